"""Examine everything at the same time; what does not answer in time is unknown."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from threading import Thread

from dockyard.doctor.findings import Finding, Verdict, found_error, problem, unknown
from dockyard.doctor.subject import Subject, load_subject
from dockyard.doctor.topics import OF_A_PROJECT, TOPICS
from dockyard.errors import DockyardError, SettingsError
from dockyard.settings import redactor

__all__ = ["TOPICS", "Examination", "Subject", "examine", "load_subject"]

# Whatever hangs, somebody waits for an answer.
DEADLINE_SECONDS = 15.0


@dataclass(frozen=True)
class Examination:
    """What was found, by topic in their order, and the seconds that it took."""

    findings: tuple[Finding, ...]
    seconds: float

    @property
    def problems(self) -> tuple[Finding, ...]:
        """The findings that hinder builds."""
        return tuple(one for one in self.findings if one.verdict is Verdict.PROBLEM)


def examine(
    subject: Subject, only: Sequence[str] = (), *, seconds: float = DEADLINE_SECONDS
) -> Examination:
    """Examine the topics, all where ``only`` names none; nothing waits longer than ``seconds``.

    Raises SettingsError for a topic that there is not.
    """
    strangers = [name for name in only if name not in TOPICS]
    if strangers:
        raise SettingsError(
            f"there is no topic {strangers[0]}",
            where="--only",
            hint=f"choose among: {', '.join(TOPICS)}",
        )
    chosen = [name for name in TOPICS if not only or name in only]
    started = time.monotonic()
    clean = redactor(subject.settings)
    found: dict[str, tuple[Finding, ...]] = {}

    def look(name: str) -> None:
        found[name] = _look(name, subject)

    threads = [Thread(target=look, args=(name,), daemon=True) for name in chosen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(started + seconds - time.monotonic(), 0))
    listed = []
    for name in chosen:
        # A thread that hangs is left behind; what it finds later counts no more.
        late = (unknown(name, "it could not be told in time", f"within {seconds:.0f} s"),)
        listed += [_cleaned(one, clean) for one in found.get(name, late)]
    return Examination(tuple(listed), time.monotonic() - started)


def _look(name: str, subject: Subject) -> tuple[Finding, ...]:
    if subject.outside and name in OF_A_PROJECT:
        return (unknown(name, "there is no project here"),)
    try:
        return TOPICS[name](subject)
    except DockyardError as error:
        return found_error(name, error)
    except Exception as error:  # one topic that fails must not take the others along
        return (problem(name, "this could not be examined", f"{type(error).__name__}: {error}"),)


def _cleaned(finding: Finding, clean: Callable[[str], str]) -> Finding:
    fix = clean(finding.fix) if finding.fix else finding.fix
    summary, evidence = clean(finding.summary), clean(finding.evidence)
    return replace(finding, summary=summary, evidence=evidence, fix=fix)
