"""What the doctor says of one thing: a verdict, the figure it rests on, and the command to run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any

from dockyard.errors import DockyardError

__all__ = [
    "Finding",
    "Repair",
    "Verdict",
    "found_error",
    "note",
    "ok",
    "problem",
    "unknown",
    "worst",
]


class Verdict(StrEnum):
    """How bad it is. ``unknown`` is what could not be looked at, and never counts as well."""

    OK = "ok"
    NOTE = "note"
    UNKNOWN = "unknown"
    PROBLEM = "problem"


class Repair(StrEnum):
    """What ``--fix`` does by itself: nothing that anybody could miss afterwards."""

    BUILDER = "builder"
    CACHE_PERMISSIONS = "cache-permissions"
    DOCKERFILE = "dockerfile"
    LEFTOVERS = "leftovers"
    RECORDS = "records"


@dataclass(frozen=True)
class Finding:
    """One finding. ``evidence`` is what was measured or read, ``fix`` a command or a step."""

    topic: str
    verdict: Verdict = field(kw_only=True)
    summary: str
    evidence: str = ""
    fix: str | None = None
    repair: Repair | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the same as JSON values."""
        return {**asdict(self), "verdict": str(self.verdict), "repair": self.repair}


# All is well; worth knowing, and no hindrance; a hindrance now or soon; what nobody could tell.
ok = partial(Finding, verdict=Verdict.OK)
note = partial(Finding, verdict=Verdict.NOTE)
problem = partial(Finding, verdict=Verdict.PROBLEM)
unknown = partial(Finding, verdict=Verdict.UNKNOWN)


def found_error(topic: str, error: DockyardError) -> tuple[Finding, ...]:
    """Turn each problem of an error into a finding."""
    return tuple(problem(topic, one.message, one.where or "", one.hint) for one in error.problems)


def worst(findings: Iterable[Finding]) -> Verdict:
    """Return the worst verdict; all is well where there is no finding."""
    order = tuple(Verdict)
    return max((one.verdict for one in findings), key=order.index, default=Verdict.OK)
