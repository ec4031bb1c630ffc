"""Carries out one case of the machine: disturbs an operation, looks at what is left, goes on."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator

from dockyard.caches.sweep import WRONG_CLOCK
from dockyard.errors import EXIT_INTERRUPTED
from faults.interruptions import SIGNALS
from faults.interruptions_command import Command, tree
from faults.interruptions_site import Before, Site
from faults.interruptions_work import WORK, Work
from faults.model import Case, Outcome

__all__ = ["SHOWN", "attempt_kill", "examined", "next_run", "undone"]

# A command that is asked to end may take so long, with all that it stops.
ENDING_SECONDS = 15.0
SHOWN = 600
# What a command may leave in the project beside the files that it is to write.
OURS = re.compile(r"\.dockyard/|.*\.pyc$")


def attempt_kill(site: Site, case: Case) -> Outcome:
    """Send a signal to an operation at a moment."""
    number = signal.Signals[SIGNALS[case.fault]]
    work = WORK[case.operation](site)
    work.prepare()
    before, files = site.before(), tree(site.root)
    site.note_leftovers()
    try:
        command = work.held(case.moment)
        sent = time.monotonic()
        command.signal(number)
        # Where interrupts are held back for a moment, it has to come to the end of that.
        command.go_on()
        status = command.end()
        took = time.monotonic() - sent
    finally:
        site.registry.let_go()
        site.index.let_go()
    problems = []
    killed = number is signal.SIGKILL
    wanted = -signal.SIGKILL if killed else EXIT_INTERRUPTED
    if status != wanted:
        problems.append(f"exit code {status} instead of {wanted}: {command.stderr[-SHOWN:]}")
    if took > ENDING_SECONDS:
        problems.append(f"it took {took:.1f} s to end")
    if not killed:
        problems += _told_wrongly(command)
    problems += examined(site, work, command, before, files, cleared=not killed)
    problems += next_run(site, work, before)
    message = "" if killed else command.message()
    return Outcome(case, status, command.seconds, message[:SHOWN], tuple(problems))


def _told_wrongly(command: Command) -> Iterator[str]:
    """Say what the message of an interruption lacks."""
    message = command.message()
    if "Traceback" in command.stderr + command.stdout:
        yield f"a traceback: {command.stderr[-1500:]}"
    if "interrupted" not in message:
        yield f"it does not say that it was interrupted: {message[:SHOWN]}"
    if "→ `" not in message:
        yield f"it names no next command: {message[:SHOWN]}"


def examined(
    site: Site, work: Work, command: Command, before: Before, files: set[str], *, cleared: bool
) -> Iterator[str]:
    """Say what a command left behind that it should not have; ``cleared``: temporary files too."""
    yield from (f"still runs: {one}" for one in command.survivors())
    yield from site.damage(before, may_go=work.may_go)
    yield from work.half_done()
    yield from (f"a bug: {name}" for name in site.crash_logs())
    for name in sorted(tree(site.root) - files):
        if not OURS.match(name) and name not in work.writes and cleared:
            yield f"left behind: {name}"
    if cleared:
        yield from (f"left behind: {name}" for name in site.leftovers())


def undone(work: Work, command: Command) -> list[str]:
    """Name what a command that succeeded has not done, unless it says that its clock is wrong."""
    return [] if WRONG_CLOCK in " ".join(command.stdout.split()) else work.undone()


def next_run(site: Site, work: Work, before: Before) -> Iterator[str]:
    """Run the operation once more, and say what is wrong then."""
    again = work.start()
    status = again.end(120)
    if status:
        yield f"the next run fails ({status}): {again.message()[:SHOWN]}"
        return
    yield from (f"after the next run, {one}" for one in undone(work, again))
    yield from (f"after the next run: {one}" for one in site.damage(before, may_go=work.may_go))
    left = site.leftovers(resumed=True)
    yield from (f"left behind after the next run: {one}" for one in left)
