"""A build's steps as a waterfall: stages, in each as many lanes as work at the same time. Pure.

Times are seconds since the first step began, by the builder's clock.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from dockyard.records import StepRecord
from dockyard.steps import StepKind

__all__ = ["Timeline", "TimelineBar", "TimelineStage", "make_timeline"]

# Steps that BuildKit takes for itself: shown where they are worth noticing.
_ITS_OWN = frozenset({StepKind.INTERNAL, StepKind.MERGE, StepKind.AUTH})
_NOTICEABLE = 0.04
# The share of the whole time that a bar takes in its lane at least, so that it can be seen.
_NARROWEST = 0.012
_MOVES = frozenset(
    {
        StepKind.CONTEXT,
        StepKind.IMAGE,
        StepKind.EXPORT,
        StepKind.CACHE_IMPORT,
        StepKind.CACHE_EXPORT,
    }
)
_UNSTAGED: dict[str, str] = {
    StepKind.CONTEXT: "build context",
    StepKind.IMAGE: "base images",
    StepKind.EXPORT: "export",
    StepKind.CACHE_IMPORT: "cache import",
    StepKind.CACHE_EXPORT: "cache export",
}


@dataclass(frozen=True)
class TimelineBar:
    """One step that ran, or those of a stage that were cached.

    ``state`` is ``ran``, ``moved`` (it carries data, and executes nothing), ``cached``, ``failed``
    or ``stopped`` (as another had failed). ``lane`` counts from 0 within the stage.
    """

    state: str
    instructions: tuple[str, ...]
    start: float
    seconds: float
    lane: int
    bytes: int | None = None
    error: str | None = None


@dataclass(frozen=True)
class TimelineStage:
    """A stage, or what BuildKit does beside the stages, with its bars in order of start."""

    name: str
    lanes: int
    bars: tuple[TimelineBar, ...]


@dataclass(frozen=True)
class Timeline:
    """The stages in the order in which they began; ``seconds`` from the first step to the end."""

    seconds: float
    stages: tuple[TimelineStage, ...]


def make_timeline(steps: Sequence[StepRecord]) -> Timeline:
    """Lay the steps out; what BuildKit found out that it does not need is left out."""
    times = {id(step): time for step in steps if (time := _moment(step.started))}
    if not times:
        return Timeline(0.0, ())
    zero = min(times.values())
    starts = {key: (time - zero).total_seconds() for key, time in times.items()}
    span = max(starts[id(step)] + step.seconds for step in steps if id(step) in starts)
    gathered: dict[str, list[StepRecord]] = {}
    for step in sorted(steps, key=lambda one: starts.get(id(one), 0.0)):
        if not (id(step) in starts or step.cached):
            continue
        if step.kind in _ITS_OWN and (step.cached or step.seconds < span * _NOTICEABLE):
            continue
        gathered.setdefault(_stage_name(step), []).append(step)
    stages = [_stage(name, inside, starts, span * _NARROWEST) for name, inside in gathered.items()]
    # Stages that begin as good as together are in the order of their names.
    moment = span * _NARROWEST or 1.0
    stages.sort(key=lambda one: (one.bars[0].start // moment, _natural(one.name)))
    return Timeline(round(span, 3), tuple(stages))


def _natural(name: str) -> list[tuple[int, str]]:
    """Make a key that sorts ``dependencies-9`` before ``dependencies-10``."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]


def _moment(text: str | None) -> datetime | None:
    """Read a time; None where there is none, and for what a damaged record has in its place."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _stage_name(step: StepRecord) -> str:
    name = step.stage or _UNSTAGED.get(step.kind, "BuildKit")
    return f"{name} {step.platform}" if step.platform else name


def _state(step: StepRecord) -> str:
    if step.error:
        # What BuildKit says of a step that it ends as another has failed.
        return "stopped" if "context canceled" in step.error else "failed"
    # A base image of which nothing was read was only looked up.
    if step.cached or (step.kind == StepKind.IMAGE and not step.bytes):
        return "cached"
    return "moved" if step.kind in _MOVES else "ran"


def _stage(
    name: str, steps: Sequence[StepRecord], starts: dict[int, float], narrowest: float
) -> TimelineStage:
    cached = [step for step in steps if _state(step) == "cached"]
    bars = [
        TimelineBar(
            _state(step),
            (step.instruction,),
            round(starts.get(id(step), 0.0), 3),
            step.seconds,
            0,
            step.bytes,
            step.error,
        )
        for step in steps
        if step not in cached
    ]
    if cached:
        first = min(starts.get(id(step), 0.0) for step in cached)
        instructions = tuple(step.instruction for step in cached)
        bars.append(TimelineBar("cached", instructions, round(first, 3), 0.0, 0))
    placed: list[TimelineBar] = []
    free_from: list[float] = []
    for bar in sorted(bars, key=lambda one: (one.state != "cached", one.start)):
        lane = next((n for n, free in enumerate(free_from) if free <= bar.start), len(free_from))
        # The mark of what was cached has words beside it, so nothing else is in its lane.
        end = math.inf if bar.state == "cached" else bar.start + max(bar.seconds, narrowest)
        free_from[lane : lane + 1] = [end]
        placed.append(replace(bar, lane=lane))
    placed.sort(key=lambda one: (one.start, one.lane))
    return TimelineStage(name, len(free_from), tuple(placed))
