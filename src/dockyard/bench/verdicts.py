"""What Dockyard promises against the other Dockerfiles, held against a result. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from dockyard.bench.dockerfiles import OURS
from dockyard.bench.fleet_result import BASE, FleetResult
from dockyard.bench.medians import ratio
from dockyard.bench.results import BenchResult

__all__ = ["Target", "Verdict", "fleet_verdict", "verdict_line", "verdict_lines", "verdicts"]


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
FLEET_LIMIT = 0.01


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
    return (*found, *filter(None, map(fleet_verdict, result.fleets)))


def fleet_verdict(fleet: FleetResult) -> Verdict | None:
    """Hold a fleet whose builders start empty against one layer; None where they keep state.

    A builder that kept its state has the one layer, and reads it no more than Dockyard's.
    """
    if fleet.keeps_state:
        return None
    where = f"fleet of {fleet.builders}"
    return Verdict(Target(BASE, where, "code-change", "bytes_served", FLEET_LIMIT), fleet.share)


def verdict_lines(result: BenchResult) -> list[str]:
    """Write each target with what was measured; those that were not are left out."""
    return [verdict_line(one) for one in verdicts(result) if one.passed is not None]


def verdict_line(verdict: Verdict) -> str:
    """Write one target with what was measured."""
    if verdict.measured is None:
        return f"unknown  {verdict.target}"
    return f"{'pass' if verdict.passed else 'MISS'}  {verdict.measured:.4g} ×  {verdict.target}"
