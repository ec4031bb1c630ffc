"""The layer plan in the Dockerfile: it follows the lock, and moves the bytes that it says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dockyard.dockerfile import read_plan
from dockyard.layers import assign
from dockyard.project import Target, read_project
from support.engine import Cleanup, docker, random_name
from support.index import PackageIndex
from support.registry import Registry
from support.service import Service, ran_steps
from support.wheels import make_wheel

TOLERANCE = 0.15
# Versions of the smallest package that are locked before the plan is made, for it to learn from.
PAST = ("0.2", "0.3", "0.4", "0.5", "0.6", "1.0")
KILOBYTES = (9000, 6000, 5000, 4000, 3000, 2000, 1500, 900, 500, 300, 120, 40)
ADDED = 12
# Package number to its new version; None goes. Small packages change often, large ones seldom.
CHANGES: tuple[dict[int, str | None], ...] = (
    {11: "2.0"},
    {8: "2.0", 10: "2.0"},
    {2: "2.0"},
    {11: "3.0"},
    {ADDED: "1.0"},
    {9: "2.0", 7: "2.0"},
    {0: "2.0"},
    {11: "4.0", 4: "2.0"},
    {5: None},
    {10: "3.0", 6: "2.0"},
)


def add(index: PackageIndex, folder: Path, name: str, version: str, size: int) -> None:
    """Put a wheel of incompressible content on the index."""
    folder.mkdir(exist_ok=True)
    index.add(make_wheel(folder, name, version, size=size, seed=f"{name} {version}"))


@pytest.fixture
def names(tmp_path: Path, package_index: PackageIndex) -> dict[str, str]:
    """A large and two small packages, in two versions each; role → name."""
    sizes = {"large": 400_000, "small": 20_000, "tiny": 5_000}
    found = {role: random_name() for role in sizes}
    for role, name in found.items():
        for version in ("1.0", "2.0"):
            add(package_index, tmp_path / "wheels", name, version, sizes[role])
    return found


@pytest.fixture
def service(
    tmp_path: Path,
    package_index: PackageIndex,
    names: dict[str, str],
    base_images: Any,
    cleanup: Cleanup,
) -> Service:
    """One whose Dockerfile has the large package in a layer, and the two others in the last."""
    made = Service(
        tmp_path / "service",
        random_name(),
        dict.fromkeys(names.values(), "==1.0"),
        index_url=package_index.url,
        python_image=base_images.python,
        uv_image=base_images.uv,
    )
    cleanup.repository(made.name)
    made.assign([names["large"]], sorted((names["small"], names["tiny"])))
    return made


def add_package(service: Service, names: Mapping[str, str], index: PackageIndex) -> str:
    """Lock one package more and return its name."""
    added = random_name()
    add(index, service.root.parent / "wheels", added, "1.0", 10_000)
    service.lock(dict.fromkeys((*names.values(), added), "==1.0"))
    return added


def outside(text: str) -> list[str]:
    """Return the lines that are in no marked region, and not the mark."""
    kept, inside = [], False
    for line in text.splitlines():
        if line.startswith("# dockyard: begin"):
            inside = True
        elif line.startswith("# dockyard: end"):
            inside = False
        elif not inside and not line.startswith("# dockyard: rendered"):
            kept.append(line)
    return kept


def test_plan_follows_the_lock_in_an_edited_file(
    service: Service, names: dict[str, str], package_index: PackageIndex
) -> None:
    edited = service.dockerfile.read_text().replace("USER 10001:10001", "USER 20002:20002")
    service.dockerfile.write_text(edited)
    assert service.build()["notes"] == []
    assert service.dockerfile.read_text() == edited
    added = add_package(service, names, package_index)
    record = service.build()
    text = service.dockerfile.read_text()
    (note,) = record["notes"]
    assert "layer assignment updated with the lock" in note
    assert f"new: {added} 1.0 → layer" in note
    assert outside(text) == outside(edited)
    plan = read_plan(text)
    assert plan
    assert {name for layer in plan.layers for name in layer.packages} == {*names.values(), added}
    # Edited as before, and no more: nothing is said of settings, and nothing runs again.
    again = service.build()
    assert again["notes"] == []
    assert ran_steps(again) == []
    assert service.dockerfile.read_text() == text


def test_new_version_leaves_the_plan_and_the_file(service: Service, names: dict[str, str]) -> None:
    service.build()
    before = service.dockerfile.read_text()
    service.lock(dict.fromkeys(names.values(), "==1.0") | {names["large"]: "==2.0"})
    record = service.build()
    assert record["notes"] == []
    assert service.dockerfile.read_text() == before
    assert "dependencies-1: RUN" in ran_steps(record)
    assert "dependencies-2: RUN" not in ran_steps(record)


def test_file_is_left_alone_where_nobody_would_commit_it(
    service: Service, names: dict[str, str], package_index: PackageIndex
) -> None:
    """In CI and for --print; the package that no layer names is in the last one all the same."""
    service.build()
    before = service.dockerfile.read_text()
    added = add_package(service, names, package_index)
    shown = service.invoke("build", "--print")
    assert shown.status == 0, shown.stderr
    assert service.dockerfile.read_text() == before
    record = service.build(CI="true")
    assert service.dockerfile.read_text() == before
    (note,) = record["notes"]
    assert "not up to date with the lock" in note
    assert added in note
    assert "invoke build" in note
    last = [one for one in record["layers"] if one["holds"].startswith("dependencies-")][-1]
    assert last["holds"] == "dependencies-2"
    assert added in last["packages"]
    module = added.replace("-", "_")
    docker("run", "--rm", f"{service.name}:latest", "python", "-c", f"import {module}")


def test_edited_region_is_kept_and_reported(
    service: Service, names: dict[str, str], package_index: PackageIndex
) -> None:
    edited = service.dockerfile.read_text().replace(
        "install-layer dependencies-2 &&", "echo edited && install-layer dependencies-2 &&"
    )
    service.dockerfile.write_text(edited)
    service.build()
    added = add_package(service, names, package_index)
    record = service.build()
    assert service.dockerfile.read_text() == edited
    (note,) = record["notes"]
    assert "“dependencies”" in note
    assert "invoke init --replace" in note
    assert any(added in one["packages"] for one in record["layers"])


def test_bytes_pushed_are_those_that_the_plan_predicts(
    tmp_path: Path,
    package_index: PackageIndex,
    images_in_registry: Any,
    registry: Registry,
    builder_factory: Callable[..., str],
) -> None:
    """Ten lock changes, each built and pushed: blobs that the registry got, and the lock's sizes.

    Predicted is the sum, over the layers whose packages are not exactly those of a layer before, of
    their wheels' bytes.
    """
    packages = [random_name() for _ in range(ADDED + 1)]
    folder = tmp_path / "wheels"
    sizes = [1000 * size for size in (*KILOBYTES, 800)]
    versions: dict[int, str] = dict.fromkeys(range(ADDED), "1.0") | {ADDED - 1: "0.1"}
    wanted = {*versions.items(), *((ADDED - 1, version) for version in PAST)}
    for number, version in wanted | {
        (number, new) for one in CHANGES for number, new in one.items() if new
    }:
        add(package_index, folder, packages[number], version, sizes[number])

    def dependencies() -> dict[str, str]:
        return {packages[number]: f"=={version}" for number, version in versions.items()}

    service = Service(
        tmp_path / "service",
        random_name(),
        dependencies(),
        index_url=package_index.url,
        python_image=images_in_registry.python,
        uv_image=images_in_registry.uv,
    )
    service.environment |= {
        "DOCKYARD_BUILDER": builder_factory(),
        "DOCKYARD_REGISTRY": f"{registry.host}/acme",
        "DOCKYARD_CACHE_BACKENDS": "none",
    }

    def layers() -> dict[frozenset[str], int]:
        """Map each layer's packages, by identity, to the bytes of their wheels."""
        facts = read_project(service.root, extras=(), groups=(), target=Target(python="3.13"))
        plan = read_plan(service.dockerfile.read_text())
        assert plan
        return {
            frozenset(one.identity for one in layer): sum(one.size or 0 for one in layer)
            for layer in assign(plan, facts.packages)
        }

    for version in PAST:
        versions[ADDED - 1] = version
        service.lock(dependencies())
        service.commit()
    service.dockerfile.unlink()
    assert service.invoke("init").status == 0
    service.build("--push")
    before = layers()
    assert len(before) > 1
    pushed, predicted = [], []
    for change in CHANGES:
        for number, new in change.items():
            if new is None:
                del versions[number]
            else:
                versions[number] = new
        service.lock(dependencies())
        registry.reset()
        service.build("--push")
        pushed.append(registry.blob_bytes_received())
        after = layers()
        predicted.append(sum(size for names, size in after.items() if names not in before))
        before = after
        service.commit()
    figures = json.dumps({"pushed": pushed, "predicted": predicted})
    total, expected = sum(pushed), sum(predicted)
    assert all(predicted), figures
    assert abs(total - expected) <= TOLERANCE * expected, (
        f"pushed {total:,} bytes, predicted {expected:,}: {figures}"
    )
