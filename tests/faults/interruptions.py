"""Kills, engines, builders, disks and clocks: the faults of the machine, and their cases. Pure.

A clock is wrong in two ways here. *Moved*: the clock of the command's own process jumps while it
runs, by ten years; the engine's and the file system's go on, which are those of a real machine.
*Dated*: files, records, locks and caches bear times ten years off, which is what a jump leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from faults.model import Case, Family, Fault, Moment, Operation, Target

__all__ = [
    "BUILDER_CASES",
    "CLOCK_CASES",
    "DISK_CASES",
    "ENGINE_CASES",
    "KILL_CASES",
    "SIGNALS",
]

SIGTERM = Fault(
    "sigterm", Family.PROCESS, "the command is asked to end (SIGTERM), as by a CI service",
    "It stops what it started, leaves nothing half done, and ends with 130.",
)  # fmt: skip
SIGINT = Fault(
    "ctrl-c", Family.PROCESS, "the command is interrupted (Ctrl-C)",
    "As of SIGTERM; programs that it started get the signal from the terminal, too.",
)  # fmt: skip
SIGKILL = Fault(
    "sigkill", Family.PROCESS, "the command is killed (SIGKILL), as by the kernel out of memory",
    "It cannot clear up after itself: the next run does.",
)  # fmt: skip
SIGNALS = {SIGTERM: "SIGTERM", SIGINT: "SIGINT", SIGKILL: "SIGKILL"}

ENGINE_STOPPED = Fault(
    "engine-stopped", Family.ENGINE, "the engine is shut down and stays down",
    "The message says that no engine answers, and how to start one.",
)  # fmt: skip
ENGINE_KILLED = Fault(
    "engine-killed", Family.ENGINE, "the engine crashes and is started again",
    "What the engine did is lost, what it had is not: the next run does it again.",
)  # fmt: skip
ENGINE_RESTARTED = Fault(
    "engine-restarted", Family.ENGINE, "the engine is restarted",
    "As of a crash: the operation fails, and the next run succeeds.",
)  # fmt: skip
BUILDER_REMOVED = Fault(
    "builder-removed", Family.ENGINE, "the builder's container is removed with its cache",
    "The message names the builder; the next run makes it anew, and has the local cache.",
)  # fmt: skip
BUILDER_KILLED = Fault(
    "builder-killed", Family.ENGINE, "the builder's container is killed",
    "As of a removed one; its cache is still there.",
)  # fmt: skip

_FULL = "The message names the place, and what was there before is still there."
DISK_CACHE = Fault(
    "disk-full-cache", Family.DISK, "the disk of the cache directory is full",
    "The build does without; a pull says what to do. The cache is what it was.",
)  # fmt: skip
DISK_STATE = Fault("disk-full-state", Family.DISK, "the disk of .dockyard is full", _FULL)
DISK_PROJECT = Fault("disk-full-project", Family.DISK, "the project's disk is full", _FULL)
DISK_TEMPORARY = Fault("disk-full-tmp", Family.DISK, "the disk of TMPDIR is full", _FULL)

FORWARDS = Fault(
    "clock-forwards", Family.CLOCK, "the clock jumps ten years forwards",
    "Nothing counts as old for that, and nothing is removed.",
)  # fmt: skip
BACKWARDS = Fault(
    "clock-backwards", Family.CLOCK, "the clock jumps ten years backwards",
    "What was remembered counts as unknown, and is found out again.",
)  # fmt: skip
FUTURE = Fault(
    "dated-future", Family.CLOCK, "files, records, locks and caches are dated ten years ahead",
    "They are used as they are, and new ones stand beside them.",
)  # fmt: skip
PAST = Fault(
    "dated-past", Family.CLOCK, "files, records, locks and caches are dated ten years ago",
    "They are used as they are.",
)  # fmt: skip

YEARS = 10 * 365.25 * 24 * 3600
MOVED = {FORWARDS: YEARS, BACKWARDS: -YEARS}
DATED = {FUTURE: YEARS, PAST: -YEARS}

EVERY = tuple(Operation)
B, M, E = Moment.BEFORE, Moment.MIDDLE, Moment.END


def _cases(
    operations: Iterable[Operation], faults: Iterable[Fault], moments: Iterable[Moment]
) -> Iterator[Case]:
    moments, faults = tuple(moments), tuple(faults)
    for operation in operations:
        for fault in faults:
            for moment in moments:
                yield Case(operation, fault, moment, Target.MACHINE)


KILL_CASES = tuple(_cases(EVERY, SIGNALS, Moment))

_ENGINES = (ENGINE_STOPPED, ENGINE_KILLED, ENGINE_RESTARTED)
ENGINE_CASES = (
    *_cases((Operation.BUILD,), _ENGINES, (B, M)),
    *_cases((Operation.BUILD_PUSH, Operation.PUSH, Operation.PULL), _ENGINES, (M,)),
)
BUILDER_CASES = (
    *_cases((Operation.BUILD,), (BUILDER_REMOVED,), (B, M)),
    *_cases((Operation.BUILD,), (BUILDER_KILLED,), (M,)),
    *_cases((Operation.BUILD_PUSH,), (BUILDER_REMOVED, BUILDER_KILLED), (M,)),
)
DISK_CASES = (
    *_cases((Operation.BUILD, Operation.CACHE_PULL, Operation.CACHE_PUSH), (DISK_CACHE,), (M,)),
    *_cases((Operation.CACHE_PRUNE,), (DISK_CACHE,), (B,)),
    *_cases((Operation.BUILD, Operation.OPTIMIZE), (DISK_STATE,), (M,)),
    *_cases((Operation.INIT, Operation.OPTIMIZE), (DISK_PROJECT,), (M,)),
    *_cases((Operation.BUILD,), (DISK_TEMPORARY,), (M,)),
)
_TIMED = (
    Operation.BUILD,
    Operation.BUILD_PUSH,
    Operation.CACHE_PUSH,
    Operation.CACHE_PULL,
    Operation.CACHE_PRUNE,
)
CLOCK_CASES = (
    *_cases(_TIMED, MOVED, (M,)),
    *_cases((Operation.BUILD, Operation.CACHE_PRUNE), MOVED, (B,)),
    *_cases((Operation.BUILD, Operation.CACHE_PRUNE), DATED, (B,)),
)
