"""An image's bytes, apportioned to its layers and their packages. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dockyard.dockerfile import DEPENDENCY_STAGE_PREFIX
from dockyard.records import BuildRecord, LayerRecord, PackageRecord

__all__ = ["ImageArea", "LayerArea", "PackageArea", "apportion", "image_area"]


@dataclass(frozen=True)
class PackageArea:
    """A package in a layer: its share of the layer's bytes, and its distribution's own.

    What a package takes unpacked is known of a layer, not of each package in it, so ``bytes`` is
    the layer's, apportioned by ``distribution_bytes``.
    """

    name: str
    version: str | None
    bytes: int
    distribution_bytes: int | None


@dataclass(frozen=True)
class LayerArea:
    """A layer: its bytes unpacked. ``kind`` is base, environment, dependencies or sources.

    ``packages`` is empty where their sizes are unknown; ``names`` names them always.
    """

    holds: str
    kind: str
    bytes: int
    packages: tuple[PackageArea, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class ImageArea:
    """The layers that hold anything, in their order in the image."""

    name: str
    bytes: int
    layers: tuple[LayerArea, ...]


def image_area(record: BuildRecord) -> ImageArea:
    """Apportion the image that a build made; its packages come from the record's inputs."""
    sizes: dict[int, list[PackageRecord]] = {}
    for package in record.inputs.packages if record.inputs else ():
        sizes.setdefault(package.layer, []).append(package)
    holds = [layer.holds for layer in record.layers]
    own = holds.index("environment") if "environment" in holds else 0
    layers = tuple(
        _layer(layer, _kind(layer.holds, position < own), sizes)
        for position, layer in enumerate(record.layers)
        if layer.size
    )
    tags = record.image.get("tags") or ["image"]
    return ImageArea(str(tags[0]), sum(layer.bytes for layer in layers), layers)


def _kind(holds: str, below: bool) -> str:
    if holds == "environment":
        return "environment"
    if holds.startswith(DEPENDENCY_STAGE_PREFIX):
        return "dependencies"
    return "base" if below or holds.startswith(("base", "RUN ", "WORKDIR ", "ADD ")) else "sources"


def _layer(layer: LayerRecord, kind: str, sizes: dict[int, list[PackageRecord]]) -> LayerArea:
    number = layer.holds.removeprefix(DEPENDENCY_STAGE_PREFIX)
    known = sizes.get(int(number), []) if number != layer.holds and number.isdigit() else []
    names = tuple(one.name for one in known) or layer.packages
    packages: tuple[PackageArea, ...] = ()
    weights = [one.bytes for one in known]
    if len(known) == 1:
        weights = [1]  # a package alone in its layer is the layer, whatever its size
    if known and all(weights):
        shares = apportion(layer.size, [weight or 0 for weight in weights])
        packages = tuple(
            PackageArea(one.name, one.version, share, one.bytes)
            for one, share in zip(known, shares, strict=True)
        )
        packages = tuple(sorted(packages, key=lambda one: (-one.bytes, one.name)))
    return LayerArea(layer.holds, kind, layer.size, packages, names)


def apportion(total: int, weights: Sequence[int]) -> list[int]:
    """Divide ``total`` by ``weights`` into whole numbers whose sum is ``total``."""
    whole = sum(weights)
    shares, given, counted = [], 0, 0
    for weight in weights:
        counted += weight
        upto = total * counted // whole
        shares.append(upto - given)
        given = upto
    return shares
