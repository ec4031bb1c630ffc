"""What a fleet builds: code changes that arrive at random, and who takes each. Pure.

The same request over the same files gives the same plan, so every Dockerfile gets the same work.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dockyard.bench.commits_plan import Change, Kind, change_files
from dockyard.errors import Problem, SettingsError

__all__ = ["FleetRequest", "PlannedBuild", "arrivals", "plan_fleet"]

# Some builders are met a second time.
BUILDS_EACH = 1.5
# What two cores can do with one dependency layer, of which a build moves and unpacks all.
PER_MINUTE = 4.0
MARK = "fleet"


@dataclass(frozen=True)
class FleetRequest:
    """How many builders there are, how many changes they build, and how often one arrives.

    ``builds`` 0 means three for every two builders. ``per_minute`` is the mean rate of arrivals, of
    the whole fleet. ``keeps_state``: builders keep what earlier builds left, instead of being
    emptied after each, as runners of hosted CI are.
    """

    builders: int
    builds: int = 0
    per_minute: float = PER_MINUTE
    seed: int = 1
    keeps_state: bool = False

    @property
    def count(self) -> int:
        """How many changes are built with each Dockerfile."""
        return self.builds or math.ceil(self.builders * BUILDS_EACH)

    def check(self) -> None:
        """Raise SettingsError naming everything that is wrong."""
        problems = []
        if self.builders < 1:
            problems.append(Problem("a fleet has one builder at least", "--fleet", "--fleet 8"))
        if self.builds < 0:
            problems.append(Problem("fewer than no builds", "--builds", "leave it out"))
        if not 0 < self.per_minute < float("inf"):
            problems.append(Problem("nothing would ever arrive", "--rate", "4 builds per minute"))
        if problems:
            raise SettingsError(*problems)


@dataclass(frozen=True)
class PlannedBuild:
    """One change to build; numbers and builders count from 1.

    It ``arrives`` so many seconds after the fleet's start, and waits while its builder is busy.
    ``change`` comes on top of those of all builds before it.
    """

    number: int
    arrives: float
    builder: int
    change: Change


def arrivals(count: int, per_minute: float, seed: int) -> tuple[float, ...]:
    """Draw the times of a Poisson process, in seconds: its gaps are distributed exponentially."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not secret
    found, now = [], 0.0
    for _ in range(count):
        now += chance.expovariate(per_minute / 60)
        found.append(round(now, 3))
    return tuple(found)


def plan_fleet(
    request: FleetRequest, texts: Mapping[str, str], sources: Sequence[str]
) -> tuple[PlannedBuild, ...]:
    """Plan every build, in the order of arrival; builders take turns.

    ``texts``: the project's Python files by path. ``sources``: the paths that the image gets.
    """
    now = dict(texts)
    found = []
    times = arrivals(request.count, request.per_minute, request.seed)
    for number, time in enumerate(times, start=1):
        change = change_files(Kind.EDIT, now, sources, number, request.seed, MARK)
        now |= change.writes
        builder = (number - 1) % request.builders + 1
        found.append(PlannedBuild(number, time, builder, change))
    return tuple(found)
