"""Carries out the cases in which the engine, a builder, a disk or the clock lets a command down."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from dockyard.caches.sweep import USED_ANNOTATION
from dockyard.errors import (
    BuilderError,
    CacheError,
    DiskFullError,
    EngineError,
    RecordError,
)
from faults.interruptions import (
    BUILDER_REMOVED,
    DATED,
    DISK_CACHE,
    DISK_PROJECT,
    DISK_STATE,
    DISK_TEMPORARY,
    ENGINE_KILLED,
    ENGINE_RESTARTED,
    MOVED,
)
from faults.interruptions_command import Command, tree
from faults.interruptions_engine import OwnEngine
from faults.interruptions_site import Site
from faults.interruptions_try import SHOWN, examined, next_run, undone
from faults.interruptions_work import GONE, WORK, Work
from faults.model import Case, Moment, Operation, Outcome
from support.engine import docker

__all__ = ["attempt_builder", "attempt_clock", "attempt_disk", "attempt_engine"]

DISK_BYTES = 120_000_000
LEFT_BYTES = 40_000
FULL = r"[Nn]o space left|disk quota"


def judged(command: Command, codes: set[int], words: str) -> Iterator[str]:
    """Say what is wrong with a failure's exit code and message."""
    said = command.stderr + command.stdout
    if "Traceback" in said or "a bug in Dockyard" in said:
        yield f"a bug: {said[-1500:]}"
    if command.status not in codes:
        yield f"exit code {command.status} instead of {sorted(codes)}: {said[-SHOWN:]}"
    message = command.message() if command.status else said
    if not re.search(words, message):
        yield f"the cause ({words}) is not named: {message[-SHOWN:]}"
    if command.status and "→ " not in message:
        yield f"no next step is named: {message[-SHOWN:]}"


# -------------------- the engine


def attempt_engine(site: Site, engine: OwnEngine, case: Case) -> Outcome:
    """Take the engine away while it works, and perhaps give it back."""
    work = WORK[case.operation](site)
    work.prepare()
    before, files = site.before(), tree(site.root)
    site.note_leftovers()
    try:
        command = work.held(case.moment)
        if case.fault in (ENGINE_KILLED,):
            engine.crash()
        else:
            engine.stop()
        if case.fault in (ENGINE_KILLED, ENGINE_RESTARTED):
            engine.start()
        command.go_on()
        site.registry.let_go()
        site.index.let_go()
        command.end()
    finally:
        site.registry.let_go()
        site.index.let_go()
        if not engine.running:
            engine.start()
    problems: list[str] = []
    # Before anything was begun, an engine that is there again is as good as the old one.
    unharmed = case.moment is Moment.BEFORE and case.fault in (ENGINE_KILLED, ENGINE_RESTARTED)
    if not (unharmed and command.status == 0):
        problems += judged(command, {EngineError.exit_code}, r"Docker Engine")
    problems += examined(site, work, command, before, files, cleared=True)
    problems += next_run(site, work, before)
    return _outcome(case, command, problems)


def _outcome(case: Case, command: Command, problems: list[str]) -> Outcome:
    message = command.message()[:SHOWN] if command.status else ""
    return Outcome(case, command.status, command.seconds, message, tuple(problems))


# -------------------- the builder


def attempt_builder(site: Site, name: str, case: Case) -> Outcome:
    """Remove or kill the dedicated builder's container while it works."""
    work = WORK[case.operation](site)
    work.prepare()
    before, files = site.before(), tree(site.root)
    site.note_leftovers()
    container = f"buildx_buildkit_{name}0"
    try:
        command = work.held(case.moment)
        if case.fault is BUILDER_REMOVED:
            docker("container", "rm", "--force", "--volumes", container)
            docker("volume", "rm", "--force", f"{container}_state")
        else:
            docker("container", "kill", container)
        command.go_on()
        site.registry.let_go()
        site.index.let_go()
        command.end()
    finally:
        site.registry.let_go()
        site.index.let_go()
    problems: list[str] = []
    if not (case.moment is Moment.BEFORE and command.status == 0):
        problems += judged(command, {BuilderError.exit_code}, rf"builder {name}")
    problems += examined(site, work, command, before, files, cleared=True)
    problems += next_run(site, work, before)
    return _outcome(case, command, problems)


# -------------------- the disk


@contextlib.contextmanager
def _small_disk(place: Path) -> Iterator[Path]:
    """Mount a file system of its own at a folder, with what was in it; all is put back after."""
    aside = place.with_name(f"{place.name}.aside")
    subprocess.run(["cp", "--archive", str(place), str(aside)], check=True)
    options = ["-t", "tmpfs", "-o", f"size={DISK_BYTES}"]
    subprocess.run(["mount", *options, "dockyard-test", str(place)], check=True)
    try:
        subprocess.run(["cp", "--archive", f"{aside}/.", str(place)], check=True)
        yield place
        subprocess.run(["rm", "-rf", str(aside)], check=True)
        subprocess.run(["cp", "--archive", str(place), str(aside)], check=True)
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
        subprocess.run(["cp", "--archive", f"{aside}/.", str(place)], check=True)
        subprocess.run(["rm", "-rf", str(aside)], check=True)


def _fill(place: Path, left: int) -> Path:
    """Write a file that leaves so many bytes."""
    filler = place / "filler"
    free = os.statvfs(place)
    with filler.open("wb") as file:
        pieces = max(free.f_bavail * free.f_frsize - left, 0)
        for _ in range(pieces // 4096):
            file.write(b"\0" * 4096)
    return filler


_PLACES = {
    DISK_CACHE: ".dockyard/cache",
    DISK_STATE: ".dockyard",
    DISK_PROJECT: "",
}


def attempt_disk(site: Site, case: Case) -> Outcome:
    """Let the disk of one folder be full."""
    work = WORK[case.operation](site)
    work.prepare()
    temporary = case.fault is DISK_TEMPORARY
    place = site.temporary if temporary else site.root / _PLACES[case.fault]
    with _small_disk(place):
        before, files = site.before(), tree(site.root)
        site.note_leftovers()
        filler = _fill(place, LEFT_BYTES if case.fault is DISK_CACHE else 0)
        try:
            command = work.start()
            command.end()
        finally:
            filler.unlink()
        problems = list(_full_judged(case, work, command))
        problems += examined(site, work, command, before, files, cleared=True)
        problems += next_run(site, work, before)
    return _outcome(case, command, problems)


def _full_judged(case: Case, work: Work, command: Command) -> Iterator[str]:
    """Say what is wrong with how a full disk was met: as an error, or as a note of success."""
    codes = {0, DiskFullError.exit_code, CacheError.exit_code, RecordError.exit_code}
    if case.fault is DISK_PROJECT:
        codes = {DiskFullError.exit_code}
    if case.operation is Operation.CACHE_PRUNE:
        codes = {0}  # it frees space, and needs none
        yield from (f"success was claimed: {one}" for one in work.undone() if not command.status)
    unneeded = case.operation in (Operation.CACHE_PRUNE, Operation.CACHE_PUSH)
    # Python takes another folder where nothing can be written in TMPDIR.
    elsewhere = case.fault is DISK_TEMPORARY and not command.status
    words = "" if unneeded or elsewhere else FULL
    yield from judged(command, codes, words)


# -------------------- the clock


def attempt_clock(site: Site, case: Case) -> Outcome:
    """Let the command's clock jump, or date all that there is as a jump leaves it."""
    work = WORK[case.operation](site)
    work.prepare()
    if case.fault in DATED:
        _date(site, DATED[case.fault])
    before, files = site.before(), tree(site.root)
    site.note_leftovers()
    clock = MOVED.get(case.fault, 0.0)
    point = work.clocked if clock and case.moment is Moment.MIDDLE else None
    command = work.start(point=point, clock=clock)
    if point:
        command.reach()
        command.go_on()
    command.end()
    problems = list(judged(command, {0}, ""))
    problems += (f"success was claimed: {one}" for one in undone(work, command))
    problems += examined(site, work, command, before, files, cleared=True)
    problems += next_run(site, work, before)
    problems += _last_build(site, case)
    return _outcome(case, command, problems)


def _date(site: Site, seconds: float) -> None:
    """Move the times of all below .dockyard and of the sources, and the caches' last use."""
    when = time.time() + seconds
    for path in (*(site.root / ".dockyard").rglob("*"), *site.root.joinpath("src").rglob("*")):
        os.utime(path, (when, when), follow_symlinks=False)
    tags = site.layout.index()
    moved = {tag: one.annotated({USED_ANNOTATION: f"{when:.3f}"}) for tag, one in tags.items()}
    # What is to be pruned is old by any clock.
    site.layout.replace_index(moved | {tag: one for tag, one in tags.items() if tag == GONE})


def _last_build(site: Site, case: Case) -> Iterator[str]:
    """Whether the build that was made last is the one that is shown as the last."""
    import json

    if case.operation is not Operation.BUILD:
        return
    shown = json.loads(site.must("info", "--json").stdout)["builds"][0]["id"]
    newest = max(
        (site.root / ".dockyard/builds").glob("*.json"), key=lambda one: one.stat().st_ctime
    )
    if shown != newest.stem:
        yield f"`invoke info` shows {shown} as the last build, and it was {newest.stem}"
