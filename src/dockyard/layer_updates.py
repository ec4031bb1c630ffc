"""A kept division into layers, brought along with the lock. Pure.

Layers in which nothing changed keep their members: to move one more package costs all of a layer.
Those that change anyway, for a package that changed, left or joined, are divided anew for
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dockyard.layer_model import ChangeModel
from dockyard.layer_planner import Group, objective, plan_groups, volatility_order
from dockyard.lock_versions import Changes, LockedPackages

__all__ = ["update_groups"]


@dataclass
class _Slot:
    """One layer: its place in the old plan (None: a new one), and whether it changes anyway."""

    place: int | None
    names: frozenset[str]
    opened: bool

    def add(self, *names: str) -> None:
        self.names |= set(names)
        self.opened = True


def update_groups(
    model: ChangeModel,
    groups: Sequence[Group],
    new: LockedPackages,
    found: Changes,
    limit: int,
) -> tuple[Group, ...]:
    """Bring layers up to date with a lock; the model has observed the change already.

    ``groups``: the members before, the last layer's included. A layer in which nothing changes
    keeps its members and, unless a layer before it goes or comes, its place. A layer that
    hashes cannot guard its packages in stays the last. More layers than ``limit`` are joined.
    """
    changed = {*found.changed, *found.removed}
    slots = [
        _Slot(place, frozenset(group) & new.keys(), not changed.isdisjoint(group) or not group)
        for place, group in enumerate(groups)
    ]
    pinned = frozenset(name for name, one in new.items() if not one.hashed)
    _pin(slots, pinned)
    _join(model, slots, limit)
    slots[-1:-1] = [_Slot(None, frozenset(), True) for _ in range(limit - len(slots))]
    last = slots[-1]
    known = frozenset[str]().union(*(slot.names for slot in slots))
    added = new.keys() - known
    for name in sorted(added, key=lambda name: (-model.weights[name], name)):
        if name in pinned:
            last.add(name)
        else:
            _place(model, slots, name)
    return _deal(model, slots, pinned)


def _pin(slots: list[_Slot], pinned: frozenset[str]) -> None:
    """Take what has lost its hash to the last layer."""
    for slot in slots[:-1]:
        if lost := slot.names & pinned:
            slot.names -= lost
            slot.opened = True
            slots[-1].add(*lost)


def _join(model: ChangeModel, slots: list[_Slot], limit: int) -> None:
    """Join layers until the limit is kept, those first that cost least together."""
    while len(slots) > limit:
        pairs = [
            (
                model.expected(tuple(a.names | b.names))
                - model.expected(tuple(a.names))
                - model.expected(tuple(b.names)),
                i,
                i + 1 + j,
            )
            for i, a in enumerate(slots)
            for j, b in enumerate(slots[i + 1 :])
        ]
        _, i, j = min(pairs)
        slots[j].add(*slots[i].names)
        del slots[i]


def _place(model: ChangeModel, slots: Sequence[_Slot], name: str) -> None:
    """Add a package where it costs least: now, if the layer would not change, and from now on."""

    def cost(slot: _Slot) -> float:
        after = model.expected((*slot.names, name)) - model.expected(tuple(slot.names))
        layer = 0.0 if slot.names else model.parameters.layer_bytes
        now = 0 if slot.opened else sum(model.weights[one] for one in slot.names)
        return now + model.parameters.horizon * (after + layer)

    min(slots, key=cost).add(name)


def _deal(model: ChangeModel, slots: Sequence[_Slot], pinned: frozenset[str]) -> tuple[Group, ...]:
    """Divide anew what changes anyway, and put every layer in its place."""
    opened = [slot for slot in slots if slot.opened]
    names = frozenset[str]().union(*(slot.names for slot in opened))
    if names:
        kept = [tuple(sorted(slot.names)) for slot in opened]
        held = pinned if slots[-1].opened else frozenset[str]()
        dealt = list(plan_groups(model, names, held & names, len(opened)))
        if objective(model, dealt) < objective(model, kept) * (1 - 1e-9):
            _distribute(model, opened, dealt, slots[-1])
    result = [slot.names for slot in slots[:-1] if slot.names]
    if slots[-1].names or not result:
        result.append(slots[-1].names)
    return tuple(volatility_order(model, names) for names in result)


def _distribute(
    model: ChangeModel, opened: Sequence[_Slot], dealt: list[Group], last: _Slot
) -> None:
    """Give each new group the place of the one it has most of, so that a review shows little."""
    old = {id(slot): slot.names for slot in opened}
    free = list(opened)
    if last.opened:
        last.names = frozenset(dealt.pop())
        free.remove(last)
    for slot in free:
        slot.names = frozenset()
    weights = model.weights
    for group in sorted(dealt, key=lambda group: (-sum(weights[n] for n in group), group)):
        shared = [sum(weights[n] for n in old[id(slot)] & set(group)) for slot in free]
        slot = free.pop(shared.index(max(shared)))
        slot.names = frozenset(group)
