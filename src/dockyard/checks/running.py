"""The checks that were chosen, one after the other, each with what those before it found."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from dockyard.checks.verdicts import Finding, Outcome, Verdict
from dockyard.display.format import format_count
from dockyard.errors import CheckFailedError, CheckUnavailableError, DockyardError

if TYPE_CHECKING:
    from dockyard.checks.catalogue import Check
    from dockyard.checks.workbench import Workbench

__all__ = ["Watcher", "raise_failures", "run_checks"]


class Watcher(Protocol):
    """Sees the checks go by: one begins, one has ended."""

    def begin(self, name: str) -> None:
        """Take note that a check begins."""

    def end(self, verdict: Verdict) -> None:
        """Take note of what it found."""


def run_checks(
    checks: Sequence[Check], workbench: Workbench, watcher: Watcher
) -> tuple[Verdict, ...]:
    """Make the checks in their order.

    One that rests on another of them that did not pass is not made: it would name what that one
    has named. An error of Dockyard's own tree is the verdict that it could not be checked.
    """
    found: dict[str, Verdict] = {}
    for check in checks:
        watcher.begin(check.name)
        started = time.monotonic()
        unsettled = [
            name
            for name in check.needs
            if name in found and found[name].outcome is not Outcome.PASSED
        ]
        if unsettled:
            verdict = _waiting(check, found[unsettled[0]])
        else:
            try:
                verdict = check.run(workbench)
            except DockyardError as error:
                verdict = _undecided(check, error)
            except OSError as error:
                verdict = _undecided(check, CheckUnavailableError(str(error)))
        found[check.name] = replace(verdict, seconds=time.monotonic() - started)
        watcher.end(found[check.name])
    return tuple(found.values())


def _waiting(check: Check, other: Verdict) -> Verdict:
    how = "failed" if other.outcome is Outcome.FAILED else "could not be checked"
    return Verdict(check.name, Outcome.UNKNOWN, f"it rests on “{other.name}”, which {how}")


def _undecided(check: Check, error: DockyardError) -> Verdict:
    first = error.problems[0]
    place = f"{first.where}: " if first.where else ""
    text = f"{place}{first.message}"
    figure = text.partition("\n")[0]
    return Verdict(check.name, Outcome.UNKNOWN, figure, (Finding(text),), fix=first.hint)


def raise_failures(verdicts: Sequence[Verdict]) -> None:
    """Raise CheckFailedError where a check failed, else CheckUnavailableError where one is open."""
    names = {
        outcome: [one.name for one in verdicts if one.outcome is outcome] for outcome in Outcome
    }
    failed, unknown = names[Outcome.FAILED], names[Outcome.UNKNOWN]
    checks = format_count(len(verdicts), "check")
    more = f"; {len(unknown)} could not be made" if unknown else ""
    if failed:
        raise CheckFailedError(
            f"{len(failed)} of {checks} failed: {', '.join(failed)}{more}",
            hint=f"once mended, `invoke check --only {failed[0]}` checks it alone",
        )
    if unknown:
        raise CheckUnavailableError(
            f"{len(unknown)} of {checks} could not be made: {', '.join(unknown)}",
            hint="the table says why; `--skip` leaves a check out",
        )
