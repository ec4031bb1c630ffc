"""Mirrors of base images that fail in the middle of a build: each costs seconds, not the build."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from support.engine import Cleanup, random_name
from support.images import LayeredImage, put_layered_image
from support.index import PackageIndex
from support.registry import Fault, Registry, Request
from support.service import Service
from support.wheels import make_wheel

SIZE = 3_000_000
PATIENCE_SECONDS = 2
PLACES = ("one", "two")


class Mirrored(NamedTuple):
    """A service whose base image is in a registry and at two mirrors, ``one`` and ``two``."""

    service: Service
    registry: Registry
    base: str

    def image(self) -> LayeredImage:
        """Put a new base image into all three places, with a layer that nobody has."""
        repositories = ("upstream/python", *(f"{one}/upstream/python" for one in PLACES))
        seed = secrets.token_hex(6)
        return put_layered_image(self.registry, self.base, repositories, size=SIZE, seed=seed)

    def reference(self, image: LayeredImage, place: str | None = None) -> str:
        """Name it at a mirror, or upstream."""
        path = f"upstream/python:{image.tag}"
        return f"{self.registry.host}/{f'{place}/' if place else ''}{path}"

    def build(self, image: LayeredImage, *arguments: str, **changes: str) -> dict[str, Any]:
        """Build on that base image; the record."""
        host = self.registry.host
        settings = {
            "DOCKYARD_PYTHON_IMAGE": self.reference(image),
            "DOCKYARD_IMAGE_MIRRORS": ",".join(f"{host}={host}/{one}" for one in PLACES),
            "DOCKYARD_IMAGE_MIRROR_TIMEOUT": str(PATIENCE_SECONDS),
        }
        return self.service.build(*arguments, **{**settings, **changes})

    def served(self, image: LayeredImage, place: str | None) -> int:
        """Bytes of the image's own layer that a place sent."""
        prefix = f"/v2/{place}/upstream/" if place else "/v2/upstream/"
        return sum(
            one.bytes_sent
            for one in self.registry.recorded
            if one.digest == image.digest and one.path.startswith(prefix)
        )


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, images_in_registry: Any, base_images: Any
) -> Iterator[tuple[Service, str]]:
    """The service, once for all, and its base in the registry, as NAME:TAG."""
    folder = tmp_path_factory.mktemp("mirrored")
    wheel = make_wheel(folder, random_name(), "1.0", size=20_000)
    with Cleanup() as cleanup, PackageIndex() as index:
        index.add(wheel)
        service = Service(
            folder / "service",
            random_name(),
            {wheel.name.split("-")[0].replace("_", "-"): "==1.0"},
            index_url=index.url,
            python_image=base_images.python,
            uv_image=base_images.uv,
        )
        service.environment["DOCKYARD_BUILDER"] = "default"
        cleanup.name("image", f"{service.name}:latest")
        yield service, images_in_registry.python.partition("/")[2]


@pytest.fixture
def mirrored(made: tuple[Service, str], registry: Registry) -> Mirrored:
    return Mirrored(made[0], registry, made[1])


def base_of(record: dict[str, Any]) -> dict[str, Any]:
    [found] = [one for one in record["base_images"] if one["argument"] == "PYTHON_IMAGE"]
    assert isinstance(found, dict)
    return found


def mirror_notes(record: dict[str, Any]) -> list[str]:
    return [note for note in record["notes"] if "the image mirror" in note]


def test_the_first_mirror_serves_and_the_record_says_so(mirrored: Mirrored) -> None:
    image = mirrored.image()
    record = mirrored.build(image)
    assert base_of(record)["resolved"] == mirrored.reference(image, "one")
    assert (base_of(record)["origin"], base_of(record)["passed_over"]) == ("mirror", [])
    assert mirror_notes(record) == []
    assert mirrored.served(image, "one") == image.size
    assert mirrored.served(image, "two") == mirrored.served(image, None) == 0
    # Another place of the same image runs no step again.
    host = mirrored.registry.host
    other = mirrored.build(image, DOCKYARD_IMAGE_MIRRORS=f"{host}={host}/two")
    assert base_of(other)["resolved"] == mirrored.reference(image, "two")
    assert other["hit_rates"]["overall"] == 1.0


def _lacks_manifest(request: Request, image: LayeredImage) -> Fault | None:
    return Fault(status=404) if "/manifests/" in request.path else None


def _lacks_blob(request: Request, image: LayeredImage) -> Fault | None:
    return Fault(status=404) if request.digest == image.digest else None


def _sends_wrong_bytes(request: Request, image: LayeredImage) -> Fault | None:
    return Fault(corrupt=True) if request.digest == image.digest else None


def _falls_silent(request: Request, image: LayeredImage) -> Fault | None:
    return Fault(silent_after=image.size // 3) if request.digest == image.digest else None


class _Dies:
    """Cuts the connection in the middle of the layer, and every one from then on."""

    def __init__(self) -> None:
        self.dead = False

    def __call__(self, request: Request, image: LayeredImage) -> Fault | None:
        if self.dead:
            raise ConnectionResetError
        if request.digest == image.digest:
            self.dead = True
            return Fault(cut_after=image.size // 3)
        return None


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (_lacks_manifest, "not found"),
        (_lacks_blob, "it has no blob sha256:"),
        (_sends_wrong_bytes, "it sent other bytes than sha256:"),
        (_Dies(), "it broke off in the middle of a blob"),
        (_falls_silent, f"it sent nothing for {PATIENCE_SECONDS} s"),
    ],
    ids=["lacks the manifest", "lacks a blob", "sends wrong bytes", "dies", "falls silent"],
)
def test_a_mirror_that_fails_costs_seconds(
    mirrored: Mirrored,
    fault: Callable[[Request, LayeredImage], Fault | None],
    said: str,
) -> None:
    image = mirrored.image()

    def at_the_first(request: Request) -> Fault | None:
        return fault(request, image) if request.path.startswith("/v2/one/") else None

    mirrored.registry.fault = at_the_first
    started = time.monotonic()
    record = mirrored.build(image)
    assert time.monotonic() - started < 40
    base = base_of(record)
    assert base["resolved"] == mirrored.reference(image, "two")
    [passed_over] = base["passed_over"]
    assert passed_over["reference"] == mirrored.reference(image, "one")
    assert said in passed_over["reason"]
    [note] = mirror_notes(record)
    assert passed_over["reference"] in note
    assert f"{base['resolved']} was taken" in note
    assert mirrored.served(image, "two") > 0
    assert mirrored.served(image, None) == 0
    # The place that failed is not asked again for an hour.
    asked = len(mirrored.registry.recorded)
    again = mirrored.build(image)
    assert again["hit_rates"]["overall"] == 1.0
    assert (base_of(again)["resolved"], mirror_notes(again)) == (base["resolved"], [])
    later = mirrored.registry.recorded[asked:]
    assert not [one for one in later if one.path.startswith("/v2/one/")]


def test_optimize_puts_the_one_first_that_serves(mirrored: Mirrored) -> None:
    image, host = mirrored.image(), mirrored.registry.host

    def broken(request: Request) -> Fault | None:
        at_mirror = request.path.startswith("/v2/one/")
        return Fault(status=403) if at_mirror and "/blobs/" in request.path else None

    mirrored.registry.fault = broken
    done = mirrored.service.invoke(
        *("optimize", "--only", "mirrors", "--json"),
        DOCKYARD_PYTHON_IMAGE=mirrored.reference(image),
        DOCKYARD_IMAGE_MIRRORS=f"{host}={host}/one,{host}={host}/two",
    )
    assert done.status == 0, done.stderr
    [proposal] = json.loads(done.stdout)["proposals"]
    # The setting stands in the environment: it is the user's to change there.
    order = f"DOCKYARD_IMAGE_MIRRORS={host}={host}/two,{host}={host}/one"
    assert f"set {order}, or" in proposal["change"]["advice"]


def test_a_builder_of_ours_forgets_what_a_mirror_damaged(
    mirrored: Mirrored, cleanup: Cleanup
) -> None:
    """A BuildKit in a container keeps a damaged layer, and fails for it, until it is restarted."""
    image, name = mirrored.image(), random_name()
    cleanup.name("builder", name)
    cleanup.name("container", f"buildx_buildkit_{name}0")
    cleanup.name("volume", f"buildx_buildkit_{name}0_state")

    def wrong(request: Request) -> Fault | None:
        at_mirror = request.path.startswith("/v2/one/")
        return _sends_wrong_bytes(request, image) if at_mirror else None

    mirrored.registry.fault = wrong
    record = mirrored.build(
        image,
        DOCKYARD_BUILDER="auto",
        DOCKYARD_DRIVER="docker-container",
        DOCKYARD_BUILDER_NAME=name,
        DOCKYARD_UV_IMAGE=f"{mirrored.registry.host}/base/uv:{_uv_tag(mirrored)}",
        DOCKYARD_CACHE_BACKENDS="none",
    )
    assert base_of(record)["resolved"] == mirrored.reference(image, "two")
    assert "other bytes" in base_of(record)["passed_over"][0]["reason"]


def _uv_tag(mirrored: Mirrored) -> str:
    return mirrored.service.environment["DOCKYARD_UV_IMAGE"].rpartition(":")[2]
