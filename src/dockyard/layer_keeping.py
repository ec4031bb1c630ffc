"""The layer plan that a Dockerfile keeps, brought along with the lock. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dockyard.layers import Layer, LayerPlan

if TYPE_CHECKING:
    from dockyard.lock import Package
    from dockyard.lock_versions import History

__all__ = ["KeptPlan", "RememberedPackages", "in_order", "keep", "new_plan", "remembered_packages"]

MOST_NAMED = 8

RememberedPackages = Mapping[str, Sequence[tuple[str, str]]]
"""Version and identity of each package of a name (two, where a lock has two of it)."""


@dataclass(frozen=True)
class KeptPlan:
    """The plan to go on with, whether it is another than before, and what changed, for people."""

    plan: LayerPlan
    changed: bool = False
    note: str = ""


def in_order(plan: LayerPlan) -> LayerPlan:
    """Sort the names within each layer: a review then shows what moved, and nothing else."""
    return LayerPlan(tuple(Layer(tuple(sorted(layer.packages))) for layer in plan.layers))


def new_plan(packages: Sequence[Package], history: History | None, limit: int) -> LayerPlan:
    """Plan the layers of a project that keeps none yet; at most ``limit``."""
    from dockyard.layers import plan

    return in_order(plan(packages, history, limit))


def remembered_packages(packages: Sequence[Package]) -> dict[str, list[tuple[str, str]]]:
    """Take from packages what tells later which of them changed."""
    found: dict[str, list[tuple[str, str]]] = {}
    for one in packages:
        found.setdefault(one.name, []).append((one.version, one.identity))
    return found


def keep(
    kept: LayerPlan,
    remembered: RememberedPackages | None,
    packages: Sequence[Package],
    history: Callable[[], History | None],
    limit: int,
) -> KeptPlan:
    """Bring the plan that a Dockerfile keeps along with the lock.

    ``remembered``: the packages that the plan was last settled for; None in a fresh clone, where
    names alone tell what has come and gone. ``history`` is asked for only when the lock changed.
    ``limit``: the most layers. The plan is the same object where no package changes its layer.
    """
    now = remembered_packages(packages)
    named = {name for layer in kept.layers for name in layer.packages}
    before = (
        None if remembered is None else {n: sorted(map(tuple, v)) for n, v in remembered.items()}
    )
    current = {name: sorted(found) for name, found in now.items()}
    same = named == now.keys() if before is None else before == current and named <= now.keys()
    if same and len(kept.layers) <= limit:
        return KeptPlan(kept)
    from dockyard.layers import update

    old = None if remembered is None else _stand_ins(remembered, packages)
    updated = in_order(update(kept, old, packages, history(), limit))
    if _sets(updated) == _sets(kept):
        return KeptPlan(kept)
    return KeptPlan(updated, True, _describe(kept, updated, remembered, now))


def _sets(plan: LayerPlan) -> list[frozenset[str]]:
    return [frozenset(layer.packages) for layer in plan.layers]


def _stand_ins(remembered: RememberedPackages, packages: Sequence[Package]) -> list[Package]:
    """Make packages of what was remembered: names and identities are all that is compared."""
    from dockyard.lock import Package, PackageSource

    known = {(one.name, one.identity): one for one in packages}
    source = PackageSource("registry", "")
    return [
        known.get(
            (name, identity),
            Package(name, version, source, None, identity, has_wheel=True, hashed=True),
        )
        for name, found in remembered.items()
        for version, identity in found
    ]


def _describe(
    kept: LayerPlan,
    updated: LayerPlan,
    remembered: RememberedPackages | None,
    now: RememberedPackages,
) -> str:
    """Tell which packages changed, came and went, and which moved beside them."""
    was = _numbers(kept)
    numbers = _numbers(updated)
    before = remembered if remembered is not None else dict.fromkeys(was, ())
    changed, new, moved = [], [], []
    for name, number in sorted(numbers.items()):
        version = " and ".join(dict.fromkeys(version for version, _ in now[name]))
        if name not in before:
            new.append(f"new: {name} {version} → layer {number}")
        elif before[name] and sorted(map(tuple, before[name])) != sorted(now[name]):
            changed.append(f"{name} {version} → layer {number}")
        elif (
            name in was
            and _companions(kept, name) != _companions(updated, name)
            and (was[name] != number)
        ):
            moved.append(f"{name} moves to layer {number}")
    gone = [f"gone: {name}" for name in sorted({*before, *was} - numbers.keys())]
    parts = [*changed, *new, *gone, *moved]
    more = len(parts) - MOST_NAMED
    if more > 0:
        parts = [*parts[:MOST_NAMED], f"{more} more"]
    if len(kept.layers) != len(updated.layers):
        from dockyard.display.format import format_count

        parts.append(f"{format_count(len(updated.layers), 'layer')} instead of {len(kept.layers)}")
    return "layer assignment updated with the lock: " + (", ".join(parts) or "packages named")


def _numbers(plan: LayerPlan) -> dict[str, int]:
    return {
        name: number for number, layer in enumerate(plan.layers, start=1) for name in layer.packages
    }


def _companions(plan: LayerPlan, name: str) -> frozenset[str]:
    """The layer that a package is in, by its members: a number alone may just have shifted."""
    return next(frozenset(one.packages) for one in plan.layers if name in one.packages)
