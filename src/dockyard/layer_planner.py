"""Packages divided into layers so that the fewest bytes are expected to move. Pure, no state.

The packages are put in order of rate per byte; the division of that order into contiguous layers is
exact, by dynamic programming. What a layer costs is in the objective, so the number comes out of
it; ``limit`` only caps it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from itertools import accumulate
from operator import add

from dockyard.layer_model import ACCELERATOR_TRAIN, ChangeModel

__all__ = ["Group", "divide", "objective", "plan_groups", "volatility_order"]

Group = tuple[str, ...]


def objective(model: ChangeModel, groups: Collection[Group]) -> float:
    """Return what these layers are expected to cost per change of the lock, in bytes."""
    return sum(model.expected(group) + model.parameters.layer_bytes for group in groups if group)


def volatility_order(model: ChangeModel, names: Collection[str]) -> tuple[str, ...]:
    """Sort packages by rate of change per byte, the steadiest first, release trains together.

    Where a layer's cost is its bytes times a rate that adds up, this is the order in which
    neighbours belong together (Smith's rule of one-machine scheduling).
    """
    weight: dict[str, float] = defaultdict(float)
    for name in sorted(names):
        train = model.trains.get(name)
        if train is not None and train != ACCELERATOR_TRAIN:
            weight[train] += max(model.weights[name], 1)

    def key(name: str) -> tuple[float, str, str]:
        train = model.trains.get(name)
        if train is None or train == ACCELERATOR_TRAIN:
            return model.rates[name] / max(model.weights[name], 1), name, ""
        return model.rates[name] / weight[train], train, name

    return tuple(sorted(names, key=key))


def _interval_costs(model: ChangeModel, names: Sequence[str]) -> list[list[float]]:
    """Return what a layer of names[i:j] costs, at [j - 1][i]; as :meth:`ChangeModel.expected`."""
    weights = [model.weights[name] for name in names]
    before = [0, *accumulate(weights)]
    marks = [model.marks.get(name, 0) for name in names]
    rates = [model.rates[name] for name in names]
    trains = [model.trains.get(name) for name in names]
    remaining = {train: model.remaining(train) for train in trains if train is not None}
    prior = model.parameters.union_weight
    total = model.observed + prior
    share = model.share
    columns: list[list[float]] = []
    for end in range(1, len(names) + 1):
        union, rate = 0, 0.0
        fastest: dict[str, float] = {}
        column = [0.0] * end
        for i in range(end - 1, -1, -1):
            union |= marks[i]
            train = trains[i]
            if train is None:
                rate += rates[i]
            elif train not in fastest:
                rate += rates[i]
                fastest[train] = rates[i]
            elif rates[i] > fastest[train]:
                rate += rates[i] - fastest[train] + remaining[train] * fastest[train]
                fastest[train] = rates[i]
            else:
                rate += remaining[train] * rates[i]
            chance = (union.bit_count() + prior * share(rate)) / total
            column[i] = (before[end] - before[i]) * chance
        columns.append(column)
    return columns


def divide(
    model: ChangeModel, names: Collection[str], limit: int
) -> list[tuple[float, tuple[Group, ...]]]:
    """Divide packages into 1, 2, … layers, at most ``limit``: what each costs, and the layers.

    Every division is the best one into so many contiguous parts of the volatility order.
    """
    ordered = volatility_order(model, names)
    size = len(ordered)
    if size == 0 or limit < 1:
        return []
    costs = _interval_costs(model, ordered)
    best = [math.inf, *(column[0] for column in costs)]
    starts = [[0] * (size + 1)]
    totals = [best[size]]
    for count in range(2, min(limit, size) + 1):
        following = [math.inf] * (size + 1)
        start = [0] * (size + 1)
        for end in range(count, size + 1):
            sums = list(map(add, best[count - 1 : end], costs[end - 1][count - 1 :]))
            following[end] = smallest = min(sums)
            start[end] = count - 1 + sums.index(smallest)
        best = following
        starts.append(start)
        totals.append(best[size])
    return [(total, _parts(ordered, starts[: n + 1])) for n, total in enumerate(totals)]


def _parts(ordered: tuple[str, ...], starts: Sequence[Sequence[int]]) -> tuple[Group, ...]:
    parts = []
    end = len(ordered)
    for start in reversed(starts):
        parts.append(ordered[start[end] : end])
        end = start[end]
    return tuple(reversed(parts))


def plan_groups(
    model: ChangeModel, names: Collection[str], pinned: Collection[str], limit: int
) -> tuple[Group, ...]:
    """Divide packages into the layers that cost least, at most ``limit``; the last has ``pinned``.

    ``pinned`` (some of ``names``) can only be in the last layer: alone there, or with the
    others that they cost least with. Without them the last layer is the most volatile.
    """
    free = set(names) - set(pinned)
    bound = tuple(sorted(pinned))
    layer = model.parameters.layer_bytes
    best: tuple[float, tuple[Group, ...]] = (math.inf, ())
    divisions = divide(model, free, limit)
    if not bound:
        choices = [(cost + layer * len(parts), parts) for cost, parts in divisions]
        return min(choices, key=lambda one: (one[0], len(one[1])), default=best)[1]
    if not free:
        return (bound,)
    alone = model.expected(bound)
    for cost, parts in divisions:
        count = len(parts)
        if count < limit:
            best = min(best, (cost + alone + layer * (count + 1), (*parts, bound)), key=_first)
        for index, part in enumerate(parts):
            joined = (*part, *bound)
            change = model.expected(joined) - model.expected(part)
            found = (*parts[:index], *parts[index + 1 :], joined)
            best = min(best, (cost + change + layer * count, found), key=_first)
    return best[1]


def _first(choice: tuple[float, tuple[Group, ...]]) -> float:
    return choice[0]
