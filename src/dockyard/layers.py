"""Packages, dealt to dependency layers. Pure and deterministic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dockyard.project import Package

__all__ = ["ALONE_BYTES", "Layer", "LayerPlan", "assign", "plan_by_size"]

# A layer costs every build some ten milliseconds and every cache export a look at its blob, so a
# package this small (bytes, compressed) is cheaper moved along with others than kept apart.
ALONE_BYTES = 1_000_000


@dataclass(frozen=True)
class Layer:
    """The names of the packages of one layer; empty only in the last layer of a plan."""

    packages: tuple[str, ...]


@dataclass(frozen=True)
class LayerPlan:
    """Layers in order. A package that none of them names belongs to the last one."""

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        """Check what all else relies on: at least one layer, and no package in two."""
        if not self.layers:
            raise ValueError("a plan has at least one layer")
        names = [name for layer in self.layers for name in layer.packages]
        if len(names) != len(set(names)):
            raise ValueError("a package is in more than one layer")


def plan_by_size(packages: Sequence[Package], limit: int) -> LayerPlan:
    """Give each of the ``limit - 1`` largest packages a layer of its own; the rest share the last.

    Sizes are the wheels' bytes, as the lock has them. A package of unknown size, one below
    ``ALONE_BYTES``, and one that is built from source or carries no hash goes with the rest.
    """
    if limit < 1:
        raise ValueError("a plan has at least one layer")
    largest: dict[str, int] = {}
    unfit = {one.name for one in packages if not (one.has_wheel and one.hashed and one.size)}
    for one in packages:
        if one.name not in unfit:
            largest[one.name] = largest.get(one.name, 0) + (one.size or 0)
    alone = sorted(
        (name for name, size in largest.items() if size >= ALONE_BYTES),
        key=lambda name: (-largest[name], name),
    )[: limit - 1]
    return LayerPlan((*(Layer((name,)) for name in alone), Layer(())))


def assign(plan: LayerPlan, packages: Sequence[Package]) -> tuple[tuple[Package, ...], ...]:
    """Deal packages to the plan's layers; one that no layer names goes to the last."""
    numbers = {name: number for number, layer in enumerate(plan.layers) for name in layer.packages}
    last = len(plan.layers) - 1
    dealt: list[list[Package]] = [[] for _ in plan.layers]
    for one in packages:
        dealt[numbers.get(one.name, last)].append(one)
    return tuple(tuple(layer) for layer in dealt)
