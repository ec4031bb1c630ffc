"""What Dockyard promises against the other Dockerfiles, held against a result. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from dockyard.bench.dockerfiles import OURS
from dockyard.bench.medians import ratio
from dockyard.bench.results import BenchResult

__all__ = ["Target", "Verdict", "verdict_lines", "verdicts"]


@dataclass(frozen=True)
class Target:
    """Dockyard's figure may be at most ``limit`` times that of ``base``, in one cell."""

    base: str
    environment: str
    scenario: str
    metric: str
    limit: float

    def __str__(self) -> str:
        metric = self.metric.replace("_", " ")
        where = f"{self.environment}, {self.scenario}"
        return f"{metric} against {self.base} ({where}): at most {self.limit:g} ×"


@dataclass(frozen=True)
class Verdict:
    """A target and the median of the ratios that were measured; None where none was."""

    target: Target
    measured: float | None

    @property
    def passed(self) -> bool | None:
        """Whether it was reached; None where it is not known."""
        return None if self.measured is None else self.measured <= self.target.limit


TARGETS = (
    Target("original", "warm", "code-change", "seconds", 0.05),
    Target("original", "warm", "small-dependency", "seconds", 0.15),
    Target("original", "warm", "large-dependency", "seconds", 0.15),
    Target("original", "warm", "first-build", "seconds", 0.8),
    Target("plan", "registry", "code-change", "seconds", 0.1),
    Target("plan", "registry", "code-change", "bytes_down", 0.001),
    Target("plan", "registry", "small-dependency", "seconds", 0.3),
    Target("plan", "registry", "small-dependency", "bytes_up", 0.2),
)
NOT_SLOWER_THAN = ("uv", "uv-depot")
TOLERANCE = 1.05


def verdicts(result: BenchResult) -> tuple[Verdict, ...]:
    """Hold every target against a result: those of single cells, and “nowhere slower” for all."""
    targets = [
        *TARGETS,
        *(
            Target(base, environment, scenario, "seconds", TOLERANCE)
            for base in NOT_SLOWER_THAN
            for environment in result.environments
            for scenario in result.scenarios
        ),
    ]
    found = []
    for target in targets:
        measured = ratio(
            result, target.metric, target.environment, target.scenario, OURS, target.base
        )
        found.append(Verdict(target, measured.median if measured else None))
    return tuple(found)


def verdict_lines(result: BenchResult) -> list[str]:
    """Write each target with what was measured; those that were not are left out."""
    words = {True: "pass", False: "MISS"}
    return [
        f"{words[verdict.passed]}  {verdict.measured:.4g} ×  {verdict.target}"
        for verdict in verdicts(result)
        if verdict.passed is not None and verdict.measured is not None
    ]
