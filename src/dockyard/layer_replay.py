"""A lock's history replayed: what each way to divide its packages would have moved. Pure.

Of every change the bytes of all layers count whose content is new: a layer whose packages are
exactly those that one layer of the version before had moves nothing.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args

from dockyard.layer_model import ChangeModel
from dockyard.layer_parameters import FREE_LAYERS, PlannerParameters
from dockyard.layer_planner import Group, plan_groups
from dockyard.layer_updates import update_groups
from dockyard.layers import ALONE_BYTES
from dockyard.lock_versions import History, Locked, LockedPackages, distinct

__all__ = [
    "STRATEGIES",
    "Moved",
    "Score",
    "Strategy",
    "Summary",
    "read_history",
    "replay",
    "score",
    "summarize",
    "total_score",
]

Strategy = Literal["one layer", "by size", "this plan", "lower bound"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
SCORED_SHARE = 0.7


@dataclass(frozen=True)
class Moved:
    """One change of the lock: the bytes that it moved, of all that the new lock has.

    ``predicted``: what the plan before it expected per change, None where nothing predicts.
    ``layers``: how many there are after it.
    """

    moved: int
    total: int
    layers: int
    predicted: float | None = None

    @property
    def share(self) -> float:
        """The moved bytes' share of all bytes."""
        return self.moved / self.total if self.total else 0.0


@dataclass(frozen=True)
class Score:
    """Several changes in sum: of one history or of several."""

    changes: int
    mean_share: float
    moved: int
    total: int


@dataclass(frozen=True)
class Summary:
    """Several histories: their scores' median and mean, and the share of all bytes together."""

    median: float
    mean: float
    byte_weighted: float


def read_history(path: Path) -> History:
    """Read a history from a JSON file.

    A list, oldest first, of objects with ``set`` (package → [version, bytes]) and ``del`` (names);
    applied in order, starting with no packages. A version of a git source carries its revision.
    """
    entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    packages: dict[str, Locked] = {}
    versions: list[LockedPackages] = []
    for entry in entries:
        packages = dict(packages)
        for name, (version, size) in entry["set"].items():
            packages[name] = Locked(str(version), f"{version} {size}", size or 0)
        for name in entry["del"]:
            packages.pop(name, None)
        versions.append(packages)
    return History(versions=distinct(versions))


def _by_size(packages: LockedPackages, layers: int) -> list[Group]:
    names = sorted(packages, key=lambda name: (-packages[name].size, name))
    alone = [name for name in names if packages[name].size >= ALONE_BYTES][: layers - 1]
    rest = tuple(name for name in names if name not in set(alone))
    return [*((name,) for name in alone), rest]


class _Replay:
    """Divides each version's packages in turn, as one strategy does."""

    def __init__(
        self,
        strategy: Strategy,
        layers: int,
        past: Sequence[LockedPackages],
        parameters: PlannerParameters,
    ) -> None:
        self.layers = layers
        now = past[-1]
        self.predicted: float | None = None
        self.next: Callable[[LockedPackages, LockedPackages], Sequence[Group]]
        self.groups: Sequence[Group]
        if strategy == "this plan":
            self.model = ChangeModel.learned(past, parameters)
            pinned = [name for name, one in now.items() if not one.hashed]
            self.groups = plan_groups(self.model, now.keys(), pinned, layers)
            self.next = self._update
        else:
            divide: Mapping[Strategy, Callable[[LockedPackages], Sequence[Group]]] = {
                "one layer": lambda packages: [tuple(packages)],
                "by size": lambda packages: _by_size(packages, layers),
                "lower bound": lambda packages: [(name,) for name in packages],
            }
            self.groups = divide[strategy](now)
            self.next = lambda old, new: divide[strategy](new)

    def _update(self, old: LockedPackages, new: LockedPackages) -> Sequence[Group]:
        model = self.model
        self.predicted = sum(
            sum(old[name].size for name in group) * model.chance(group) for group in self.groups
        )
        return update_groups(model, self.groups, new, model.observe(old, new), self.layers)

    def step(self, old: LockedPackages, new: LockedPackages) -> Moved:
        """Divide the next version, and compare it with the one before."""
        before = {frozenset((n, old[n].identity) for n in group) for group in self.groups}
        self.groups = self.next(old, new)
        moved = sum(
            sum(new[name].size for name in group)
            for group in self.groups
            if frozenset((n, new[n].identity) for n in group) not in before
        )
        total = sum(one.size for one in new.values())
        return Moved(moved, total, len(self.groups), self.predicted)


def replay(
    history: History,
    strategy: Strategy,
    layers: int,
    parameters: PlannerParameters = FREE_LAYERS,
    last: int | None = None,
) -> tuple[Moved, ...]:
    """Replay a history's changes, or its ``last`` ones, with at most ``layers`` layers.

    This plan is made at the version before the first change that is replayed, from what came
    before, and is then only updated. Layers are free unless ``parameters`` give them a cost.
    """
    versions = history.versions
    count = len(versions) - 1 if last is None else min(last, len(versions) - 1)
    if count < 1:
        return ()
    first = len(versions) - 1 - count
    run = _Replay(strategy, layers, versions[: first + 1], parameters)
    return tuple(run.step(old, new) for old, new in pairwise(versions[first:]))


def total_score(moves: Sequence[Moved]) -> Score:
    """Sum several changes up; none at all score 0."""
    return Score(
        changes=len(moves),
        mean_share=statistics.fmean(one.share for one in moves) if moves else 0.0,
        moved=sum(one.moved for one in moves),
        total=sum(one.total for one in moves),
    )


def score(
    history: History,
    strategy: Strategy,
    layers: int,
    parameters: PlannerParameters = FREE_LAYERS,
) -> Score:
    """Score a strategy on a history: all of it is replayed, the last 70 % of its changes count."""
    moves = replay(history, strategy, layers, parameters)
    return total_score(moves[int((1 - SCORED_SHARE) * len(moves)) :])


def summarize(scores: Sequence[Score]) -> Summary:
    """Put the scores of several histories together. Raises ValueError where there are none."""
    if not scores:
        raise ValueError("there is no history to score")
    shares = [one.mean_share for one in scores]
    total = sum(one.total for one in scores)
    return Summary(
        median=statistics.median(shares),
        mean=statistics.fmean(shares),
        byte_weighted=sum(one.moved for one in scores) / total if total else 0.0,
    )
