"""uv's cache mount, and with it the whole cache, from one builder to another."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockyard.caches.layout import Descriptor, Layout
from dockyard.caches.mounts import MOUNT, MountSteps, mount_record, restore_mount, save_mount
from dockyard.state import State
from support.engine import docker, random_name
from support.index import PackageIndex
from support.registry import Registry
from support.service import Service, counted, ran_steps
from support.wheels import make_sdist, make_wheel


@pytest.fixture
def packages(tmp_path: Path, package_index: PackageIndex) -> dict[str, str]:
    """A package that is an sdist alone, and a wheel in two versions."""
    names = {role: random_name() for role in ("source", "wheel", "foreign")}
    folder = tmp_path / "packages"
    folder.mkdir()
    package_index.add(make_sdist(folder, names["source"], "1.0", size=40_000))
    for version in ("1.0", "2.0"):
        package_index.add(make_wheel(folder, names["wheel"], version, size=3_000, seed=version))
    return names


@pytest.fixture
def service(
    tmp_path: Path,
    registry: Registry,
    package_index: PackageIndex,
    packages: dict[str, str],
    images_in_registry: Any,
) -> Service:
    python, uv = images_in_registry
    made = Service(
        tmp_path / "service",
        random_name(),
        {packages["source"]: "==1.0", packages["wheel"]: "==1.0"},
        index_url=package_index.url,
        python_image=python,
        uv_image=uv,
        # One layer, so that the wheel's change installs the built package again.
        settings={"layers": "1", "cache-backends": '["local"]'},
    )
    made.environment["DOCKYARD_REGISTRY"] = f"{registry.host}/team"
    package_index.reset()
    registry.reset()
    return made


def transferred(service: Service, task: str, *arguments: str) -> dict[str, Any]:
    done = service.invoke(task, "--json", *arguments)
    assert done.status == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["notes"] == [], found["notes"]
    assert isinstance(found, dict)
    return found


def settled_uses(builder: str) -> int:
    """How often the mount was used; BuildKit counts each use twice, the second time later."""
    deadline = time.monotonic() + 10
    while (record := mount_record(builder)) is None or record.uses % 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return record.uses


def test_an_empty_machine_builds_as_if_it_had_built_before(
    service: Service,
    packages: dict[str, str],
    registry: Registry,
    package_index: PackageIndex,
    builder_factory: Callable[..., str],
    tmp_path: Path,
) -> None:
    sdist = f"/files/{packages['source'].replace('-', '_')}-1.0.tar.gz"
    first = builder_factory()
    service.environment["DOCKYARD_BUILDER"] = first
    service.build("--no-load")
    assert sdist in {one.path for one in package_index.requests}

    registry.reset()
    pushed = transferred(service, "cache.push")
    assert pushed["bytes_moved"] == registry.blob_bytes_received() > 0
    assert pushed["mounts"]["blobs_moved"] == 2  # one layer and the image's configuration
    uses = settled_uses(first)

    # Nothing changed: no step runs on the builder, no byte moves.
    registry.reset()
    again = transferred(service, "cache.push")
    assert (again["bytes_moved"], registry.blob_bytes_received()) == (0, 0)
    assert again["bytes_skipped"] == pushed["bytes_moved"] + pushed["bytes_skipped"]
    assert settled_uses(first) == uses

    docker("buildx", "rm", "--force", first)
    shutil.rmtree(service.root / ".dockyard")
    second = builder_factory()
    service.environment["DOCKYARD_BUILDER"] = second
    dry = transferred(service, "cache.pull", "--dry-run")
    assert dry["bytes_skipped"] == 0
    registry.reset()
    pulled = transferred(service, "cache.pull")
    assert pulled["restored"] == [second]
    assert pulled["bytes_moved"] == dry["bytes_moved"] == pushed["bytes_moved"]

    package_index.reset()
    record = service.build("--no-load")
    assert ran_steps(record) == []
    assert counted(record)
    assert not package_index.requests

    # What runs again finds the built wheel.
    service.lock({packages["source"]: "==1.0", packages["wheel"]: "==2.0"})
    package_index.reset()
    record = service.build("--no-load")
    assert any("dependencies-1" in step for step in ran_steps(record))
    asked = {one.path for one in package_index.requests}
    assert sdist not in asked
    assert any(packages["wheel"].replace("-", "_") in path for path in asked)

    # The restored mount was not saved from here before, and yet is the same blob.
    service.lock({packages["source"]: "==1.0", packages["wheel"]: "==1.0"})
    registry.reset()
    later = transferred(service, "cache.push")
    assert later["mounts"]["digest"] == pushed["mounts"]["digest"]
    assert later["mounts"]["bytes_moved"] == 0


FILL = f"""\
ARG PYTHON_IMAGE
FROM ${{PYTHON_IMAGE}}
ARG FILES
RUN {MOUNT} <<'SCRIPT'
#!/usr/bin/env python3
import os, pathlib
for entry in os.environ["FILES"].split():
    path, _, content = entry.partition("=")
    path = pathlib.Path("/var/cache/uv", path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
SCRIPT
"""
LIST = f"""\
ARG PYTHON_IMAGE
FROM ${{PYTHON_IMAGE}} AS list
ARG NONCE
RUN {MOUNT} cd /var/cache/uv && find . -type f -exec grep -H "" {{}} + > /list || touch /list
FROM scratch
COPY --from=list /list /
"""
ALPHA = "sdists-v11/pypi/alpha-beta/1.0/r1"
BUILT = {
    f"{ALPHA}/alpha_beta-1.0-py3-none-any.whl": "wheel",
    f"{ALPHA}/metadata.msgpack": "noted",
}
OTHERS = {
    f"{ALPHA}/src/setup.py": "unpacked",
    "sdists-v11/pypi/foreign/1.0/r2/foreign-1.0-py3-none-any.whl": "secret",
    "archive-v0/abc/alpha/__init__.py": "unpacked",
    "simple-v28/pypi/alpha.rkyv": "index",
}


class MountOf:
    """A builder's mount, filled and listed by builds of the test's own."""

    def __init__(self, builder: str, bases: tuple[str, str], tmp_path: Path) -> None:
        self.steps = MountSteps(builder, *bases)
        self.state = State(tmp_path / builder)
        self._folder = tmp_path / builder
        self._folder.mkdir()

    def _build(self, dockerfile: str, *arguments: str) -> None:
        path = self._folder / "Dockerfile"
        path.write_text(dockerfile)
        image = ("--build-arg", f"PYTHON_IMAGE={self.steps.python_image}")
        place = ("--builder", self.steps.builder, "--file", str(path))
        docker("buildx", "build", "--quiet", *place, *image, *arguments, str(self._folder))

    def fill(self, files: dict[str, str]) -> None:
        named = " ".join(f"{path}={content}" for path, content in files.items())
        self._build(FILL, "--build-arg", f"FILES={named}", "--output", "type=cacheonly")

    def files(self) -> dict[str, str]:
        output = self._folder / "output"
        arguments = (
            "--build-arg",
            f"NONCE={random_name()}",
            "--output",
            f"type=local,dest={output}",
        )
        self._build(LIST, *arguments)
        lines = (output / "list").read_text().splitlines()
        return {
            path.removeprefix("./"): content
            for path, _, content in (line.partition(":") for line in lines)
        }

    def save(self, layout: Layout, kind: str, packages: set[str]) -> Descriptor | None:
        options: dict[str, Any] = {"before": None, "state": self.state, "environment": os.environ}
        saved = save_mount(self.steps, layout, kind, kind=kind, packages=packages, **options)
        return saved.descriptor

    def restore(self, layout: Layout, descriptor: Descriptor) -> bool:
        return restore_mount(
            self.steps, layout, descriptor, state=self.state, environment=os.environ
        )


def test_what_is_saved_of_a_mount_and_what_a_restored_one_keeps(
    tmp_path: Path, images_in_registry: Any, builder_factory: Callable[..., str]
) -> None:
    layout = Layout(tmp_path / "layout, with a comma")
    layout.create()
    first = MountOf(builder_factory(), images_in_registry, tmp_path)
    assert first.save(layout, "built", {"alpha-beta"}) is None  # no mount yet

    first.fill(OTHERS)
    assert first.save(layout, "built", {"alpha-beta"}) is None  # nothing built in it
    assert layout.index() == {}

    first.fill(BUILT)
    saved = first.save(layout, "built", {"alpha-beta"})
    assert saved is not None
    assert first.files() == {**BUILT, **OTHERS}
    everything = first.save(layout, "all", set())
    assert everything is not None

    # Another builder, a remote one, makes the same of the same files, whenever they were written.
    second = MountOf(builder_factory("remote"), images_in_registry, tmp_path)
    second.fill({f"{ALPHA}/metadata.msgpack": "newer"})
    assert second.restore(layout, saved)
    assert second.files() == {**BUILT, f"{ALPHA}/metadata.msgpack": "newer"}
    assert not second.restore(layout, saved)
    second.fill({f"{ALPHA}/metadata.msgpack": "noted"})
    assert second.save(layout, "built", {"alpha-beta"}) == layout.index()["built"]
    assert layout.index()["built"].digest == saved.digest
    assert second.restore(layout, everything)
    assert second.files() == {**BUILT, **OTHERS}
