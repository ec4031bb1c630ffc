"""Packages, dealt to dependency layers. Pure and deterministic.

:func:`plan` makes a layer plan of a lock and its history, :func:`update` brings a kept one along
with the lock, :func:`describe` tells what to expect of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dockyard.layer_model import ChangeModel
    from dockyard.layer_parameters import PlannerParameters
    from dockyard.lock import Package
    from dockyard.lock_versions import History, LockedPackages

__all__ = [
    "ALONE_BYTES",
    "Layer",
    "LayerPlan",
    "LayerStatistics",
    "assign",
    "describe",
    "plan",
    "plan_by_size",
    "update",
]

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


@dataclass(frozen=True)
class LayerStatistics:
    """What is known of one layer of a plan.

    ``packages``: names. ``bytes``: what it moves when it
    changes. ``chance``: probability that a change of the lock changes it. ``estimated``: how many
    of its packages the lock tells no size of.
    """

    packages: tuple[str, ...]
    bytes: int
    chance: float
    estimated: int = 0

    @property
    def expected_bytes(self) -> float:
        """Bytes that it is expected to move per change of the lock."""
        return self.bytes * self.chance


def _known(packages: Sequence[Package], history: History | None) -> LockedPackages:
    from dockyard.lock_versions import locked_packages

    return locked_packages(packages, history.sizes() if history else None)


def _model(
    packages: LockedPackages, history: History | None, parameters: PlannerParameters | None
) -> ChangeModel:
    """Learn from the history, and from what the lock has changed since."""
    from dockyard.layer_model import ChangeModel
    from dockyard.layer_parameters import PlannerParameters
    from dockyard.lock_versions import distinct

    parameters = parameters or PlannerParameters()
    versions = [*history.versions, packages] if history else [packages]
    known = parameters.measured(history.builds_per_change if history else None)
    return ChangeModel.learned(distinct(versions), known)


def plan(
    packages: Sequence[Package],
    history: History | None,
    limit: int,
    parameters: PlannerParameters | None = None,
) -> LayerPlan:
    """Divide packages into the layers that are expected to cost least, at most ``limit``.

    ``history``: locks before this one, None where there are none. The plan names every package,
    those of its last layer too. What carries no hash is in the last layer.
    """
    from dockyard.layer_planner import plan_groups

    if limit < 1:
        raise ValueError("a plan has at least one layer")
    locked = _known(packages, history)
    pinned = [name for name, one in locked.items() if not one.hashed]
    groups = plan_groups(_model(locked, history, parameters), locked.keys(), pinned, limit)
    return LayerPlan(tuple(Layer(names) for names in groups) or (Layer(()),))


def update(
    plan: LayerPlan,
    old: Sequence[Package] | None,
    new: Sequence[Package],
    history: History | None,
    limit: int,
    parameters: PlannerParameters | None = None,
) -> LayerPlan:
    """Bring a plan along with a lock, at the smallest cost now and later.

    ``old``: the packages that the plan was made or last updated for. None where that is unknown:
    then what has come and gone is told from the plan's names, and no version counts as changed.
    Layers in which nothing changes keep their packages. Nothing changed: the same plan, with
    every package of the last layer named.
    """
    from dockyard.layer_updates import update_groups
    from dockyard.lock_versions import Changes, changes

    if limit < 1:
        raise ValueError("a plan has at least one layer")
    locked = _known(new, history)
    named = {name for layer in plan.layers for name in layer.packages}
    if old is None:
        before = named
        found = Changes(
            (), tuple(sorted(locked.keys() - named)), tuple(sorted(named - locked.keys()))
        )
    else:
        was = _known(old, history)
        before = was.keys() | named
        found = changes(was, locked)
        gone = set(found.removed) | (named - locked.keys())
        found = found._replace(removed=tuple(sorted(gone)))
    # What no layer named was installed in the last one.
    unnamed = before - named
    *first, last = ([*layer.packages] for layer in plan.layers)
    groups = [tuple(names) for names in (*first, [*last, *sorted(unnamed)])]
    model = _model(locked, history, parameters)
    updated = update_groups(model, groups, locked, found, limit)
    return LayerPlan(tuple(Layer(names) for names in updated) or (Layer(()),))


def describe(
    plan: LayerPlan,
    packages: Sequence[Package],
    history: History | None,
    parameters: PlannerParameters | None = None,
) -> tuple[LayerStatistics, ...]:
    """Tell what each layer of a plan holds, and how often it is expected to change."""
    locked = _known(packages, history)
    model = _model(locked, history, parameters)
    statistics = []
    for layer in assign(plan, packages):
        names = tuple(dict.fromkeys(one.name for one in layer))
        statistics.append(
            LayerStatistics(
                packages=names,
                bytes=sum(locked[name].size for name in names),
                chance=model.chance(names),
                estimated=sum(locked[name].estimated for name in names),
            )
        )
    return tuple(statistics)
