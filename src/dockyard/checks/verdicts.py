"""What a check found, as a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Finding", "Outcome", "Verdict", "judge"]


class Outcome(StrEnum):
    """How a check ended: all is well, something is wrong, or it could not be made."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "could not check"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: in words, and the line (from 1) of a file below the root."""

    message: str
    line: int | None = None
    file: str | None = None

    def __str__(self) -> str:
        if not self.file:
            return self.message
        place = f"{self.file}, line {self.line}" if self.line else self.file
        return f"{place}: {self.message}"


@dataclass(frozen=True)
class Verdict:
    """What one check says: how it ended, the figure that rests on, what is wrong, and the fix.

    ``notes`` are to be said whatever the outcome; ``seconds``: how long the check took.
    """

    name: str
    outcome: Outcome
    figure: str
    findings: tuple[Finding, ...] = ()
    fix: str | None = None
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the same as JSON values."""
        return {**asdict(self), "outcome": str(self.outcome), "seconds": round(self.seconds, 3)}


def judge(
    name: str,
    findings: Sequence[Finding],
    figure: str,
    fix: str,
    notes: Sequence[str] = (),
) -> Verdict:
    """Make the verdict: passed where there is no finding, else failed, with the fix."""
    if not findings:
        return Verdict(name, Outcome.PASSED, figure, notes=tuple(notes))
    return Verdict(name, Outcome.FAILED, figure, tuple(findings), fix, tuple(notes))
