"""What is measured: scenarios, Dockerfiles and environments, and in which order. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dockyard.errors import Problem, SettingsError

__all__ = [
    "DOCKERFILES",
    "ENVIRONMENTS",
    "SCENARIOS",
    "Cell",
    "Selection",
    "cells",
    "select",
]

SCENARIOS: dict[str, str] = {
    "first-build": "First build",
    "no-change": "No change",
    "code-change": "Code change",
    "small-dependency": "One small dependency changed",
    "large-dependency": "One large dependency changed",
    "new-dependency": "New dependency",
}
"""Each scenario, and how tables title it. All but the first start from a project built before."""

DOCKERFILES: dict[str, str] = {
    "original": "Naive single stage",
    "plan": "Three stages, one dependency layer",
    "uv": "uv's multistage guide",
    "uv-depot": "Depot's advice for uv",
    "dockyard": "Dockyard",
}
"""Each Dockerfile, a folder of ``examples/bench``, and how tables title it."""

ENVIRONMENTS: dict[str, str] = {
    "warm": "Warm local engine",
    "registry": "Fresh builder, registry cache, pushed",
    "directory": "Fresh builder, cache directory as actions/cache keeps it, pushed",
}
"""Where a build runs, and how tables title it."""

FIRST_BUILD = "first-build"


@dataclass(frozen=True)
class Cell:
    """One measurement to make; ``repetition`` counts from 1."""

    repetition: int
    environment: str
    scenario: str
    dockerfile: str

    def __str__(self) -> str:
        return f"{self.environment}, {self.scenario}, {self.dockerfile} ({self.repetition})"


@dataclass(frozen=True)
class Selection:
    """What of each kind is measured, in the order of the tables, and how often."""

    scenarios: tuple[str, ...]
    dockerfiles: tuple[str, ...]
    environments: tuple[str, ...]
    repetitions: int


def select(
    scenarios: Iterable[str] = (),
    dockerfiles: Iterable[str] = (),
    environments: Iterable[str] = (),
    repetitions: int = 3,
) -> Selection:
    """Check what was asked for; nothing of a kind means all of it.

    Raises SettingsError naming every name that there is none of.
    """
    problems: list[Problem] = []

    def chosen(flag: str, asked: Iterable[str], known: Sequence[str]) -> tuple[str, ...]:
        wanted = [name for one in asked for name in one.split(",") if name]
        for name in wanted:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
                problems.append(Problem(f"there is no {flag} {name!r}", f"--{flag}", hint))
        return tuple(name for name in known if name in wanted or not wanted)

    selection = Selection(
        chosen("scenario", scenarios, tuple(SCENARIOS)),
        chosen("dockerfile", dockerfiles, tuple(DOCKERFILES)),
        chosen("environment", environments, tuple(ENVIRONMENTS)),
        repetitions,
    )
    if repetitions < 1:
        problems.append(Problem("nothing can be measured less than once", "--repetitions", "1"))
    if problems:
        raise SettingsError(*problems)
    return selection


def cells(selection: Selection) -> tuple[Cell, ...]:
    """Order the measurements so that what drifts with time falls on all Dockerfiles alike.

    Dockerfiles are innermost, one after the other, and each repetition and scenario begins with
    the next one of them.
    """
    found = []
    names = selection.dockerfiles
    for repetition in range(1, selection.repetitions + 1):
        for environment in selection.environments:
            for number, scenario in enumerate(selection.scenarios):
                start = (repetition - 1 + number) % len(names)
                found += [
                    Cell(repetition, environment, scenario, name)
                    for name in (*names[start:], *names[:start])
                ]
    return tuple(found)
