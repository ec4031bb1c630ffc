"""Carries out one case of the network."""

from __future__ import annotations

import threading
import time

from faults.model import Case, Moment, Outcome
from faults.network_cases import expected
from faults.operations import WORK
from faults.proxy import Healthy
from faults.survival import (
    EXIT_CODES,
    Belongings,
    last_words,
    left_after_success,
    told_wrongly,
)
from faults.world import World
from support.service import Ran

__all__ = ["attempt"]

# What the network may cost at most, in seconds, with the time-outs that the campaign sets.
LONGEST_S = 45.0


class CampaignError(AssertionError):
    """The campaign itself is at fault: a healthy operation failed before anything was broken."""


def attempt(world: World, case: Case) -> Outcome:
    """Break one operation, look at what is left, heal, and run it once more."""
    healthy = _healthy(world, case)
    work = WORK[case.operation](world, case.operation, case.target)
    work.prepare()
    before = Belongings.of(world)
    proxy = world.proxy(case.target, case.fault)
    changes = {}
    if proxy.tls:
        proxy.strikes = 0
        changes = dict(work.expired())
    else:
        proxy.arm(case.fault, case.moment, healthy)
    # Whoever waits for too long is let go: others build on the same engine.
    rescue = threading.Timer(LONGEST_S, world.heal)
    rescue.start()
    started = time.monotonic()
    try:
        ran = work.run(**changes)
        seconds = time.monotonic() - started
        struck = proxy.strikes > 0
    finally:
        rescue.cancel()
        world.heal()
    problems = _judged(case, ran, struck, proxy.host)
    if seconds > LONGEST_S:
        problems.append(f"it waited for {seconds:.0f} s, until all was well again")
    delivered = ran.status == 0 and not (undone := work.undone())
    if ran.status == 0 and not delivered and not _says_so(case, ran):
        problems += [f"success was claimed: {one}" for one in undone]
    problems += before.lost(world, work.moves, succeeded=delivered)
    if not delivered and world.image_id() != before.image:
        problems += [f"the image that the engine has now: {one}" for one in work.half()]
    again = work.run()
    if again.status:
        problems.append(f"the next healthy run fails: {last_words(again) or again.stderr[-600:]}")
    else:
        problems += [f"after the next healthy run: {one}" for one in work.undone()]
    problems += left_after_success(world)
    return Outcome(case, ran.status, seconds, last_words(ran), tuple(problems))


def _healthy(world: World, case: Case) -> Healthy:
    """The requests of the operation when nothing is broken; run for it once in a world."""
    known: dict[tuple[str, str], Healthy] = world.__dict__.setdefault("_healthy", {})
    key = (case.operation, case.target)
    if key not in known:
        work = WORK[case.operation](world, case.operation, case.target)
        work.prepare()
        proxy = world.proxies[case.target]
        proxy.watch()
        ran = work.run()
        if ran.status or (undone := work.undone()):
            raise CampaignError(f"{case.operation} does not work: {ran.stderr or undone}")
        known[key] = proxy.watched()
    return known[key]


def _judged(case: Case, ran: Ran, struck: bool, host: str) -> list[str]:
    """Judge exit code and message."""
    wanted = expected(case)
    problems = []
    if struck is wanted.untouched:
        problems.append("the fault did not strike" if not struck else "somebody was asked")
    if "Traceback" in ran.stderr or ran.status not in EXIT_CODES:
        problems.append(f"exit code {ran.status}: {ran.stderr[-1500:]}")
    elif ran.status:
        if ran.status not in wanted.codes:
            codes = ", ".join(map(str, sorted(wanted.codes))) or "success"
            problems.append(f"exit code {ran.status} instead of {codes}")
        problems += told_wrongly(ran, wanted.words, host)
    elif wanted.noted and case.moment is not Moment.END and host not in ran.stdout + ran.stderr:
        problems.append(f"no note names the host {host}: {(ran.stdout + ran.stderr)[-600:]}")
    return problems


def _says_so(case: Case, ran: Ran) -> bool:
    """Whether a command that did less says that there was nothing to be had."""
    said = ("has no cache yet", "nothing to remove")
    return case.fault.name == "404" and any(one in ran.stdout for one in said)
