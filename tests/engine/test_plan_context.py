"""The plan as a build context: the very files of the stage, and what a build saves by them."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from dockyard.dockerfile import recipe, render
from dockyard.known_project import Facts
from dockyard.layers import Layer, LayerPlan
from dockyard.plan_context import plan_context
from dockyard.project import Target
from dockyard.settings import load_settings
from dockyard.state import State
from support.builders import throwaway_builder
from support.engine import docker, random_name
from support.index import PackageIndex
from support.projects import CASES, Case, facts_of
from support.registry import Registry
from support.service import Service, ran_steps
from support.wheels import make_wheel


def for_this_python(case: Case) -> bool:
    """Whether the stand-in's Python is among those that the lock is for."""
    from dockyard.errors import ProjectError

    try:
        facts_of(case, Target("3.13"))
    except ProjectError:
        return False
    return True


# Of each shape the case that chooses the most.
SHAPES = {
    case.shape: case
    for case in sorted(CASES.values(), key=lambda case: len(case.options))
    if for_this_python(case)
}


def tree(folder: Path) -> dict[str, tuple[int, str]]:
    """Mode and text of all that is below a folder."""
    return {
        path.relative_to(folder).as_posix(): (
            stat.S_IMODE(path.stat().st_mode),
            path.read_text() if path.is_file() else "",
        )
        for path in sorted(folder.rglob("*"))
    }


def test_most_shapes_are_compared() -> None:
    assert len(SHAPES) >= 20, sorted({case.shape for case in CASES.values()} - SHAPES.keys())


@pytest.mark.parametrize("case", SHAPES.values(), ids=SHAPES)
def test_the_files_are_those_of_the_stage(case: Case, base_images: Any, tmp_path: Path) -> None:
    root = tmp_path / random_name()
    shutil.copytree(case.folder, root, ignore=shutil.ignore_patterns(".dockyard", "docker"))
    packages = sorted({one.name for one in facts_of(case, Target("3.13")).packages})
    plan = LayerPlan((Layer(tuple(packages[::2])), Layer(tuple(packages[1::2])), Layer(())))
    given = {
        "DOCKYARD_COPY_PATHS": ".",
        "DOCKYARD_EXTRAS": ",".join(case.extras),
        "DOCKYARD_GROUPS": ",".join(case.groups),
        "DOCKYARD_PYTHON_IMAGE": base_images.python,
        "DOCKYARD_UV_IMAGE": base_images.uv,
    }
    settings, state = load_settings(root, given, {}), State(root)
    facts = Facts(settings, state, "amd64")
    what = recipe(settings, settings.image or facts.known.name, facts.known.local)
    dockerfile = root / settings.dockerfile
    dockerfile.parent.mkdir()
    dockerfile.write_text(render(what, plan))

    found = plan_context(settings, plan, facts, state, os.environ)
    assert found, "uv is not at hand, or its export failed"
    docker(
        *("buildx", "build", "--builder", "default", "--quiet", "--target", "plan"),
        *("--file", str(dockerfile), "--output", f"type=local,dest={tmp_path / 'out'}", str(root)),
    )
    expected = tree(tmp_path / "out/plan")
    assert tree(root / found / "plan") == expected
    assert any(text for _, text in expected.values())


@pytest.fixture
def service(
    tmp_path: Path, package_index: PackageIndex, images_in_registry: Any, registry_server: Registry
) -> Service:
    """One with two packages, each a layer, that is pushed to the test's registry."""
    packages = sorted(random_name() for _ in range(2))
    for name in packages:
        for version in ("1.0", "2.0"):
            package_index.add(make_wheel(tmp_path, name, version, size=50_000, seed=version))
    made = Service(
        tmp_path / random_name(),
        random_name(),
        dict.fromkeys(packages, "==1.0"),
        index_url=package_index.url,
        python_image=images_in_registry.python,
        uv_image=images_in_registry.uv,
    )
    made.assign(*([name] for name in packages))
    made.environment |= {
        "DOCKYARD_DRIVER": "docker-container",
        "DOCKYARD_REGISTRY": f"{registry_server.host}/acme",
    }
    return made


def without_uv(folder: Path) -> str:
    """Return a PATH on which uv is of another version."""
    folder.mkdir(exist_ok=True)
    (folder / "uv").write_text("#!/bin/sh\necho uv 0.1.0\n")
    (folder / "uv").chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def given_plan(record: dict[str, Any]) -> bool:
    return any(step["instruction"] == "context plan load from client" for step in record["steps"])


def test_whoever_makes_the_plan_finds_what_the_other_built(
    service: Service, tmp_path: Path
) -> None:
    other = without_uv(tmp_path / "other")
    with throwaway_builder() as builder:
        service.environment["DOCKYARD_BUILDER"] = builder
        first = service.build("--no-load")
        assert given_plan(first)
        assert "plan" not in {step["stage"] for step in first["steps"]}

        second = service.build("--no-load", PATH=other)
        assert not given_plan(second)
        assert {step.partition(":")[0] for step in ran_steps(second)} == {"plan"}
        done = service.invoke("explain", "--json")
        (cause,) = json.loads(done.stdout)["causes"]
        assert cause["kind"] == "plan-stage"
        assert "was made by its stage" in cause["summary"]

        third = service.build("--no-load")
        assert given_plan(third)
        assert ran_steps(third) == []


def test_a_new_version_of_the_project_reads_no_base_image(
    service: Service, registry_server: Registry
) -> None:
    """The lock and pyproject.toml changed, and no layer feels it: an empty builder moves little."""
    with throwaway_builder() as builder:
        service.build("--push", DOCKYARD_BUILDER=builder)
    for name in ("pyproject.toml", "uv.lock"):
        path = service.root / name
        text, count = re.subn(r'version = "0\.1\.0"', 'version = "0.2.0"', path.read_text())
        assert count == 1
        path.write_text(text)
    service.commit()
    registry_server.reset()
    with throwaway_builder() as builder:
        record = service.build("--push", DOCKYARD_BUILDER=builder)
    assert record["project"]["version"] == "0.2.0"
    assert ran_steps(record) == []
    assert record["hit_rates"]["dependency"] == 1.0
    assert record["traffic"]["base_read"] == 0
    assert 0 < registry_server.blob_bytes_served() < 64 * 1024


def test_the_printed_command_builds_the_same(service: Service) -> None:
    """``--print`` names the context only where it is there to be sent."""
    assert "--build-context" not in service.invoke("build", "--print").stdout
    with throwaway_builder() as builder:
        service.build("--no-load", DOCKYARD_BUILDER=builder)
    shown = service.invoke("build", "--print").stdout
    match = re.search(r"--build-context plan=(\S+)", shown)
    assert match
    assert (service.root / match[1] / "plan/assignment").is_file()
    assert '"contexts": {' in shown
