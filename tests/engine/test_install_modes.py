"""One project with a package of every kind, built in each install mode."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dockyard.file_conflicts import DisputedFile, image_conflicts
from support.engine import Cleanup, docker, random_name
from support.index import PackageIndex
from support.mixed import MixedProject
from support.service import Service, ran_steps
from support.wheels import write_wheel

Make = Callable[..., MixedProject]


def imported(project: MixedProject) -> dict[str, str]:
    """Import every package in the container: role → where it is."""
    script = f"import importlib, json; names = {project.names!r}\n" + (
        "print(json.dumps({role: importlib.import_module(name.replace('-', '_')).__file__"
        " for role, name in names.items()}))"
    )
    answer = docker("run", "--rm", f"{project.name}:latest", "python", "-c", script)
    found = json.loads(answer)
    assert isinstance(found, dict)
    return found


def test_wheel_mode_installs_every_kind_of_package(mixed: Make) -> None:
    project = mixed(install='"wheel"', command='["greet"]')
    record = project.build()
    assert docker("run", "--rm", f"{project.name}:latest") == "hello"
    places = imported(project)
    assert all(place.startswith("/opt/venv/lib/") for place in places.values()), places
    pinned = places["pinned"].replace("__init__.py", "payload.bin")
    size = docker("run", "--rm", f"{project.name}:latest", "stat", "--format=%s", pinned)
    assert size == "30000", "the index that the package is pinned to is the one it comes from"
    holds = [layer["holds"] for layer in record["layers"]]
    assert holds[-2:] == ["local-packages", "project"]
    assert "src" not in holds

    project.module.write_text(project.module.read_text().replace("hello", "changed"))
    project.index.reset()
    changed = project.build()
    assert ran_steps(changed) == [
        "app-builder: COPY --link --from=project /project/ /",
        "project: RUN",
    ]
    assert project.index.bytes_served() == 0
    assert docker("run", "--rm", f"{project.name}:latest") == "changed"


def test_copy_mode_puts_members_on_the_path(mixed: Make) -> None:
    project = mixed(install='"wheel"')
    project.environment["DOCKYARD_INSTALL"] = "copy"
    shown = project.invoke("build", "--print")
    assert shown.status == 4
    assert "packages/member/src" in shown.stderr
    assert "DOCKYARD_INSTALL=wheel" in shown.stderr
    project.environment["DOCKYARD_COPY_PATHS"] = "src,packages/member/src"
    (project.root / ".dockerignore").unlink()
    assert project.invoke("init").status == 0
    project.build()
    places = imported(project)
    assert places.pop("member").startswith("/app/packages/member/src/")
    assert all(place.startswith("/opt/venv/lib/") for place in places.values()), places


def test_packages_that_write_the_same_file_are_reported(
    tmp_path: Path, package_index: PackageIndex, base_images: Any, cleanup: Cleanup
) -> None:
    """In one layer the last by name is kept; across layers, the later layer's file is."""
    large, first, last = sorted(random_name() for _ in range(3))
    module = random_name().replace("-", "_")
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name in (first, last, large):
        files = {f"{module}/__init__.py": f"NAME = {name!r}\n".encode(), f"{name}.txt": b"here"}
        if name == large:
            files["padding.bin"] = random.Random(name).randbytes(1_500_000)
        package_index.add(write_wheel(folder, name, "1.0", files, ()))
    service = Service(
        tmp_path / "service",
        random_name(),
        dict.fromkeys((first, last, large), "==1.0"),
        index_url=package_index.url,
        python_image=base_images.python,
        uv_image=base_images.uv,
    )
    service.environment["DOCKYARD_BUILDER"] = "default"
    cleanup.name("image", f"{service.name}:latest")
    record = service.build()
    layers = [sorted(layer["packages"]) for layer in record["layers"] if layer["packages"]]
    order = tuple(name for layer in layers for name in layer)
    script = f"import {module}; print({module}.NAME)"
    assert docker("run", "--rm", f"{service.name}:latest", "python", "-c", script) == order[-1]
    [note] = [one for one in record["notes"] if "write the same file" in one]
    assert f"{first} and {last}" in note
    assert f"{module}/__init__.py" in note
    assert image_conflicts(f"{service.name}:latest", layers) == (
        DisputedFile(f"{module}/__init__.py", order),
    )
