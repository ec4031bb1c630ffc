"""What each way to divide a lock's packages would have moved over its history. Pure.

Strategies are those of :mod:`dockyard.layer_replay`; bytes are those of the wheels.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dockyard.display.format import format_bytes, format_count
from dockyard.display.tables import columns
from dockyard.errors import ProjectError
from dockyard.layer_parameters import FREE_LAYERS, PlannerParameters
from dockyard.layer_replay import STRATEGIES, Strategy, replay, score, total_score
from dockyard.lock_versions import History

__all__ = [
    "HistoryReport",
    "HistoryRequest",
    "RepositoryReplay",
    "StrategyScore",
    "history_lines",
    "replay_repository",
]

DEFAULT_LAYERS = 24
ONE_LAYER: Strategy = "one layer"


@dataclass(frozen=True)
class HistoryRequest:
    """What is replayed: ``layers`` at most, the ``last`` changes.

    Without ``layers`` the plan is the one that a build would make: at most 24, each of which has to
    be worth the time that it costs. With a number, layers are free and all of them are used.
    Without ``last`` all changes are replayed and the last 70 % count.
    """

    layers: int | None = None
    last: int | None = None

    @property
    def limit(self) -> int:
        """The most layers that a strategy may use."""
        return self.layers or DEFAULT_LAYERS

    def parameters(self, history: History) -> PlannerParameters:
        """What a layer costs, as the history and the request tell."""
        if self.layers:
            return FREE_LAYERS
        return PlannerParameters().measured(history.builds_per_change)


@dataclass(frozen=True)
class StrategyScore:
    """One strategy over the changes that count.

    ``mean_share``: of the bytes of all packages, moved per change. ``moved``: bytes in sum.
    ``against_one_layer``: ``moved`` over what one layer would have moved, None where that is 0.
    ``layers``: after the last change.
    """

    mean_share: float
    moved: int
    against_one_layer: float | None
    layers: int


@dataclass(frozen=True)
class RepositoryReplay:
    """One lock's history, replayed.

    ``versions``: that differ in their packages; ``scored``: changes that count. ``packages``,
    ``bytes``, ``estimated``: of the newest version; the last counts packages whose size the lock
    does not tell. ``skipped``: versions that could not be read.
    """

    name: str
    versions: int
    scored: int
    packages: int
    bytes: int
    estimated: int
    skipped: int
    strategies: dict[Strategy, StrategyScore]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class HistoryReport:
    """One repository or several; ``left_out`` has those that could not be replayed, and why."""

    request: HistoryRequest
    repositories: tuple[RepositoryReplay, ...]
    left_out: dict[str, str]

    def median(self, strategy: Strategy) -> StrategyScore:
        """Return the median of each figure over the repositories; there must be one."""
        found = [one.strategies[strategy] for one in self.repositories]
        known = [one.against_one_layer for one in found if one.against_one_layer is not None]
        return StrategyScore(
            mean_share=statistics.median(one.mean_share for one in found),
            moved=round(statistics.median(one.moved for one in found)),
            against_one_layer=statistics.median(known) if known else None,
            layers=round(statistics.median(one.layers for one in found)),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the same as JSON values, with the median where there are several."""
        values = asdict(self)
        if len(self.repositories) > 1:
            values["median"] = {one: asdict(self.median(one)) for one in STRATEGIES}
        return values


def replay_repository(
    name: str, history: History, request: HistoryRequest, notes: Sequence[str] = ()
) -> RepositoryReplay:
    """Replay a history by every strategy. Raises ProjectError if nothing ever changed in it."""
    versions = history.versions
    if len(versions) < 2:
        found = "no version" if not versions else "one version"
        raise ProjectError(
            f"there is {found} of the lock, so no change that could be replayed"
            + "".join(f"; {reason}" for reason in history.notes),
            where=name,
            hint="`invoke layers` tells what to expect of a lock without a history",
        )
    parameters = request.parameters(history)
    limit = request.limit
    scores = {}
    layers = {}
    for strategy in STRATEGIES:
        moves = replay(history, strategy, limit, parameters, request.last)
        layers[strategy] = moves[-1].layers
        scores[strategy] = (
            score(history, strategy, limit, parameters)
            if request.last is None
            else total_score(moves)
        )
    whole = scores[ONE_LAYER].moved
    newest = versions[-1].values()
    estimated = sum(one.estimated or one.size == 0 for one in newest)
    return RepositoryReplay(
        name=name,
        versions=len(versions),
        scored=scores[ONE_LAYER].changes,
        packages=len(newest),
        bytes=sum(one.size for one in newest),
        estimated=estimated,
        skipped=history.skipped,
        strategies={
            strategy: StrategyScore(
                mean_share=one.mean_share,
                moved=one.moved,
                against_one_layer=one.moved / whole if whole else None,
                layers=layers[strategy],
            )
            for strategy, one in scores.items()
        },
        notes=(*notes, *history.notes, *_size_notes(estimated, len(newest))),
    )


def _size_notes(estimated: int, packages: int) -> tuple[str, ...]:
    if not estimated:
        return ()
    if estimated == packages:
        return (
            "the lock tells no sizes at all (it was made by an early uv, or against an index that "
            "tells none): every figure is an estimate; `uv lock --upgrade` records sizes",
        )
    return (
        f"the sizes of {estimated} of {packages} packages are estimated: the lock does not tell "
        "them",
    )


def _share(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def history_lines(report: HistoryReport) -> list[str]:
    """Lay the report out as text: strategies of one repository, or one row per repository."""
    if len(report.repositories) == 1 and not report.left_out:
        return _one(report.repositories[0], report.request)
    headings = ["repository", "changes", *STRATEGIES, "bytes", "this plan's"]
    rows = [
        [
            one.name,
            str(one.scored),
            *(_share(one.strategies[strategy].mean_share) for strategy in STRATEGIES),
            format_bytes(one.strategies[ONE_LAYER].moved),
            format_bytes(one.strategies["this plan"].moved),
        ]
        for one in report.repositories
    ]
    if report.repositories:
        medians = {one: report.median(one) for one in STRATEGIES}
        rows.append(
            [
                "median",
                str(round(statistics.median(one.scored for one in report.repositories))),
                *(_share(medians[strategy].mean_share) for strategy in STRATEGIES),
                format_bytes(medians[ONE_LAYER].moved),
                format_bytes(medians["this plan"].moved),
            ]
        )
    lines = [
        f"mean share of the dependencies' bytes that a change of uv.lock moves, "
        f"{_limit(report.request)}",
        *columns(headings, rows, right=set(range(1, len(headings)))),
    ]
    for one in report.repositories:
        lines += [f"note: {one.name}: {note}" for note in one.notes]
    return lines + [f"left out: {name}: {why}" for name, why in report.left_out.items()]


def _limit(request: HistoryRequest) -> str:
    if request.layers:
        return f"in {format_count(request.layers, 'layer')}"
    return f"in up to {format_count(request.limit, 'layer')}, as many as are worth their time"


def _one(one: RepositoryReplay, request: HistoryRequest) -> list[str]:
    rows = [
        [
            strategy,
            str(found.layers),
            _share(found.mean_share),
            format_bytes(found.moved),
            _share(found.against_one_layer),
        ]
        for strategy, found in one.strategies.items()
    ]
    about = "~" if one.estimated else ""
    return [
        f"{one.name}: {format_count(one.versions, 'version')} of uv.lock, {one.scored} of "
        f"{format_count(one.versions - 1, 'change')} scored; "
        f"{format_count(one.packages, 'package')} now, "
        f"{about}{format_bytes(one.bytes)}; {_limit(request)}",
        "",
        *columns(
            ["strategy", "layers", "mean per change", "bytes in total", "of one layer's"],
            rows,
            right={1, 2, 3, 4},
        ),
        *(f"note: {note}" for note in one.notes),
    ]
