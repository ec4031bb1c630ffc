"""What `invoke explain` says of real builds, each with one thing changed since the one before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.builders import throwaway_builder
from support.engine import docker, random_name
from support.index import PackageIndex
from support.service import Service
from support.wheels import make_wheel


@pytest.fixture
def service(
    tmp_path: Path, package_index: PackageIndex, images_in_registry: Any
) -> Iterator[Service]:
    """One with a large and a small package, each a layer, on a builder of its own."""
    packages = {role: f"{random_name()}-{role}" for role in ("large", "small")}
    for role, name in packages.items():
        for version in ("1.0", "2.0"):
            size = 500_000 if role == "large" else 20_000
            package_index.add(make_wheel(tmp_path, name, version, size=size, seed=version))
    made = Service(
        tmp_path / "service",
        random_name(),
        dict.fromkeys(packages.values(), "==1.0"),
        index_url=package_index.url,
        python_image=images_in_registry.python,
        uv_image=images_in_registry.uv,
    )
    made.assign([packages["large"]], [packages["small"]])
    with throwaway_builder() as builder:
        made.environment["DOCKYARD_BUILDER"] = builder
        yield made


def locked_name(service: Service, role: str) -> str:
    text = (service.root / "uv.lock").read_text()
    return next(word for word in text.split('"') if word.endswith(f"-{role}"))


def explained(service: Service) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    """Build, and explain it: kinds and summaries of the causes, and the explanation."""
    service.build("--no-load")
    done = service.invoke("explain", "--json")
    assert done.status == 0, done.stderr
    found = json.loads(done.stdout)
    return [(cause["kind"], cause["summary"]) for cause in found["causes"]], found


def stages(found: dict[str, Any]) -> set[str]:
    return {step["stage"] for step in found["steps"]}


def test_true_causes_of_real_builds(service: Service) -> None:
    large, small = (locked_name(service, role) for role in ("large", "small"))

    causes, _ = explained(service)
    assert [kind for kind, _ in causes] == ["first-build"]

    causes, found = explained(service)
    assert causes == []
    assert found["cached"] > 0

    service.module.write_text("VALUE = 'another'\n")
    causes, found = explained(service)
    ((kind, summary),) = causes
    assert kind == "files"
    assert summary.startswith(f"{service.module.relative_to(service.root)} changed (")
    assert [step["instruction"] for step in found["steps"]] == ["COPY --link src /app/src"]

    service.lock({large: "==1.0", small: "==2.0"})
    causes, found = explained(service)
    assert causes == [("packages", f"{small} 1.0 → 2.0 (layer 2)")]
    assert stages(found) == {"dependencies-2", "app-builder"}

    service.environment["DOCKYARD_SLIM"] = "bytecode,tests"
    causes, found = explained(service)
    ((kind, summary),) = causes
    assert (kind, summary.partition(" (")[0]) == (
        "setting",
        "DOCKYARD_SLIM bytecode → bytecode, tests",
    )
    assert "environment DOCKYARD_SLIM" in summary

    text = service.dockerfile.read_text()
    service.dockerfile.write_text(text.replace("WORKDIR /app\n", "WORKDIR /app\nRUN echo hello\n"))
    causes, found = explained(service)
    ((kind, summary),) = causes
    assert kind == "dockerfile"
    assert "(stage app-builder): `RUN echo hello` is new" in summary
    assert [step["instruction"] for step in found["steps"]] == ["RUN echo hello"]

    builder = service.environment["DOCKYARD_BUILDER"]
    docker("buildx", "prune", "--builder", builder, "--all", "--force")
    causes, found = explained(service)
    ((kind, summary),) = causes
    assert kind == "cache-evicted"
    assert summary == f"no longer in the cache of the builder {builder}: pruned or evicted"
    assert found["cached"] == 0

    shown = service.invoke("explain", "--build", "1")
    assert "`RUN echo hello` is new" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert service.invoke("explain", "--build", "nothing").status == 12
