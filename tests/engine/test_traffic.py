"""The bytes in a build's record against what the registry, the index and the disk counted."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.builders import throwaway_builder
from support.engine import Cleanup, docker, random_name
from support.index import PackageIndex
from support.registry import Fault, Registry, Request, Transfer
from support.service import Service
from support.wheels import make_wheel

SIZES = {"large": 900_000, "small": 50_000}


class Counted:
    """A service whose every build is held against the counters of what it talks to."""

    def __init__(
        self,
        folder: Path,
        registry: Registry,
        index: PackageIndex,
        images: Any,
        **settings: str,
    ) -> None:
        self.registry, self.index = registry, index
        self.wheels: dict[str, Path] = {}
        self.packages = {role: random_name() for role in SIZES}
        for role, name in self.packages.items():
            for version in ("1.0", "2.0"):
                wheel = make_wheel(folder, name, version, size=SIZES[role], seed=version)
                self.wheels[f"{name}=={version}"] = wheel
                index.add(wheel)
        self.service = Service(
            folder / "service",
            random_name(),
            dict.fromkeys(self.packages.values(), "==1.0"),
            index_url=index.url,
            python_image=images.python,
            uv_image=images.uv,
        )
        self.service.assign([self.packages["large"]], [self.packages["small"]])
        self.service.environment |= settings
        self.images = images

    @property
    def repository(self) -> str:
        return f"acme/{self.service.name}"

    def build(
        self,
        *arguments: str,
        fault: Callable[[Request], Fault | None] | None = None,
        **changes: str,
    ) -> dict[str, Any]:
        """Build; registry and index have then counted this build alone."""
        self.registry.reset()
        self.registry.fault = fault
        self.index.reset()
        return self.service.build(*arguments, **changes)

    def edit(self) -> None:
        self.service.module.write_text(f"VALUE = {random_name()!r}\n")

    def size(self, *distributions: str) -> int:
        """Bytes of wheels, by ``name==version``."""
        return sum(self.wheels[one].stat().st_size for one in distributions)

    # -------------------- what the registry counted

    def blobs(self, method: str) -> list[Transfer]:
        return [
            one
            for one in self.registry.transfers
            if one.method == method and "/blobs/" in one.path and one.status in (200, 201, 206)
        ]

    def image(self) -> dict[str, int]:
        """The blobs of the image that was pushed: digest → bytes."""
        manifest = self.registry.manifest(self.repository, "latest")
        return {one["digest"]: one["size"] for one in (*manifest["layers"], manifest["config"])}

    def base_read(self) -> int:
        """Bytes of layers that were read from the base images' repositories."""
        configurations = {self.configuration(reference) for reference in self.images}
        return sum(
            one.bytes_sent
            for one in self.blobs("GET")
            if f"/{self.repository}/" not in one.path and one.digest not in configurations
        )

    def configuration(self, reference: str) -> str:
        """The digest of an image's configuration."""
        name, _, tag = reference.partition("/")[2].partition(":")
        return str(self.registry.manifest(name, tag)["config"]["digest"])

    def cache_read(self) -> int:
        return sum(
            one.bytes_sent for one in self.blobs("GET") if f"/{self.repository}/" in one.path
        )

    def pushed(self, *, of_image: bool) -> int:
        image = self.image()
        return sum(
            one.bytes_received for one in self.blobs("PUT") if (one.digest in image) is of_image
        )

    def check_registry(self, traffic: dict[str, Any]) -> None:
        """Hold every number that concerns the registry against its counters."""
        written = self.blobs("PUT")
        image = self.image()
        skipped = image.keys() - {one.digest for one in written}
        assert traffic["base_read"] == self.base_read()
        assert traffic["cache_read"] == self.cache_read()
        assert traffic["layers_pushed"] == self.pushed(of_image=True)
        assert traffic["layers_skipped"] == sum(image[digest] for digest in skipped)
        assert traffic["cache_written"] == self.pushed(of_image=False)
        moved = traffic["layers_pushed"] + traffic["cache_written"]
        assert moved == self.registry.blob_bytes_received()

    def check_packages(
        self, traffic: dict[str, Any], downloaded: set[str], cached: frozenset[str] = frozenset()
    ) -> None:
        assert traffic["packages_downloaded"] == self.index.bytes_served()
        assert traffic["packages_downloaded"] == self.size(*downloaded)
        assert traffic["packages_cached"] == self.size(*cached)
        assert set(traffic["downloaded"]) == {one.partition("==")[0] for one in downloaded}
        assert set(traffic["cached"]) == {one.partition("==")[0] for one in cached}


@pytest.fixture
def counted(
    tmp_path: Path, registry: Registry, package_index: PackageIndex, images_in_registry: Any
) -> Callable[..., Counted]:
    def make(**settings: str) -> Counted:
        return Counted(tmp_path, registry, package_index, images_in_registry, **settings)

    return make


@pytest.fixture
def pushing(counted: Callable[..., Counted], registry: Registry) -> Counted:
    return counted(DOCKYARD_DRIVER="docker-container", DOCKYARD_REGISTRY=f"{registry.host}/acme")


def check_uvs_cache(pushing: Counted, builder: str) -> None:
    """Have both packages in one layer, which is installed from what the builder's uv has."""
    packages = tuple(pushing.packages.values())
    pushing.service.assign(packages)
    record = pushing.build("--no-load", DOCKYARD_BUILDER=builder, DOCKYARD_CACHE_BACKENDS="none")
    traffic = record["traffic"]
    assert traffic["unknown"] is None
    pushing.check_packages(traffic, set(), frozenset(f"{one}==1.0" for one in packages))
    pushing.service.assign(*((one,) for one in packages))


class CutOnce:
    """Cuts the first download of the base image's layer off; BuildKit resumes it.

    ``configuration`` is the digest of what is no layer.
    """

    def __init__(self, configuration: str) -> None:
        self.configuration = configuration
        self.happened = False

    def __call__(self, request: Request) -> Fault | None:
        if self.happened or request.method != "GET" or "/blobs/" not in request.path:
            return None
        if "/base/python/" not in request.path or request.digest == self.configuration:
            return None
        self.happened = True
        return Fault(cut_after=500_000)


def check_without_history(pushing: Counted, builder: str, folder: Path) -> None:
    """Push once more with a buildx that has no history: what that would tell is unknown."""
    program = folder / "without-history/docker"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\n[ "$2" = history ] && echo "ERROR: unknown command" >&2 && exit 1\n'
        f'exec {shutil.which("docker")} "$@"\n'
    )
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    traffic = pushing.build("--push", DOCKYARD_BUILDER=builder, PATH=path)["traffic"]
    asked = {"base_read", "cache_read", "layers_pushed", "layers_skipped"}
    assert {field for field in asked if traffic[field] is None} == asked
    for field in asked:
        assert "unknown command" in traffic["unknown"][field]
    assert traffic["cache_written"] == 0  # it is in the image
    pushing.check_packages(traffic, set())


def test_pushes_from_builders_that_start_empty(pushing: Counted, tmp_path: Path) -> None:
    """First to an empty registry, then a code change, then one package's other version."""
    large, small = (pushing.packages[role] for role in ("large", "small"))
    with throwaway_builder() as builder:
        cut = CutOnce(pushing.configuration(pushing.images.python))
        traffic = pushing.build("--push", fault=cut, DOCKYARD_BUILDER=builder)["traffic"]
        assert cut.happened
        assert traffic["unknown"] is None
        pushing.check_registry(traffic)
        pushing.check_packages(traffic, {f"{large}==1.0", f"{small}==1.0"})
        assert traffic["layers_skipped"] == traffic["cache_read"] == 0
        assert traffic["base_read"] > 0 < traffic["layers_pushed"]
        check_without_history(pushing, builder, tmp_path)
        check_uvs_cache(pushing, builder)
    pushing.edit()
    with throwaway_builder() as builder:
        record = pushing.build("--push", DOCKYARD_BUILDER=builder)
        traffic = record["traffic"]
        assert traffic["unknown"] is None
        pushing.check_registry(traffic)
        pushing.check_packages(traffic, set())
        assert 0 < traffic["layers_pushed"] < SIZES["small"] < traffic["layers_skipped"]
        assert traffic["base_read"] == 0 < traffic["cache_read"]
    pushing.service.lock({large: "==1.0", small: "==2.0"})
    with throwaway_builder() as builder:
        traffic = pushing.build("--push", DOCKYARD_BUILDER=builder)["traffic"]
        assert traffic["unknown"] is None
        pushing.check_registry(traffic)
        pushing.check_packages(traffic, {f"{small}==2.0"})
        assert SIZES["small"] < traffic["layers_pushed"] < SIZES["large"]


def test_the_engine_pulls_a_base_image(
    tmp_path: Path,
    counted: Callable[..., Counted],
    images_in_registry: Any,
    registry: Registry,
    cleanup: Cleanup,
) -> None:
    """Once: the next build reads nothing, and knows that it did not."""
    name = f"{registry.host}/base/{random_name()}:1"
    context = tmp_path / "base"
    context.mkdir()
    (context / "file").write_bytes(os.urandom(200_000))
    (context / "Dockerfile").write_text(f"FROM {images_in_registry.python}\nCOPY file /file\n")
    with throwaway_builder() as builder:
        command = ["buildx", "build", "--builder", builder, "--push", "--provenance=false"]
        docker(*command, "--tag", name, str(context))
    made = counted(DOCKYARD_BUILDER="default", DOCKYARD_PYTHON_IMAGE=name)
    record = made.build()
    for tag in record["image"]["tags"]:
        cleanup.name("image", tag)
    traffic = record["traffic"]
    assert traffic["unknown"] is None
    layers = [one.bytes_sent for one in made.blobs("GET") if one.bytes_sent > 100_000]
    assert traffic["base_read"] == sum(layers) > 200_000
    made.check_packages(traffic, {f"{one}==1.0" for one in made.packages.values()})
    for field in ("cache_read", "layers_pushed", "layers_skipped", "cache_written"):
        assert traffic[field] == 0
    traffic = made.build()["traffic"]
    assert traffic["unknown"] is None
    assert made.registry.blob_bytes_served() == traffic["base_read"] == 0
    made.check_packages(traffic, set())


def test_a_local_cache(tmp_path: Path, counted: Callable[..., Counted]) -> None:
    """What is exported is new in the folder; what is imported has been opened there."""
    made = counted(DOCKYARD_DRIVER="docker-container", DOCKYARD_CACHE_BACKENDS="local")
    folder = made.service.root / ".dockyard/cache/blobs/sha256"

    def sizes() -> dict[str, int]:
        return {one.name: one.stat().st_size for one in folder.glob("*")}

    with throwaway_builder() as builder:
        traffic = made.build("--no-load", DOCKYARD_BUILDER=builder)["traffic"]
    assert traffic["unknown"] is None
    assert traffic["cache_written"] == sum(sizes().values()) > sum(SIZES.values())
    assert traffic["cache_read"] == 0
    assert traffic["base_read"] == made.base_read() > 0

    made.edit()
    # Second names of the same files: what the new cache does not need is removed from the first.
    held = tmp_path / "held"
    held.mkdir()
    for path in folder.glob("*"):
        os.utime(path, (1, path.stat().st_mtime))
        os.link(path, held / path.name)
    with throwaway_builder() as builder:
        traffic = made.build("--no-load", DOCKYARD_BUILDER=builder)["traffic"]
    assert traffic["unknown"] is None
    opened = [one.stat() for one in held.iterdir() if one.stat().st_atime > 1]
    assert traffic["cache_read"] == sum(one.st_size for one in opened) > 0
    added = sizes().keys() - {one.name for one in held.iterdir()}
    assert traffic["cache_written"] == sum(sizes()[name] for name in added) > 0
    assert traffic["base_read"] == made.base_read() == 0
