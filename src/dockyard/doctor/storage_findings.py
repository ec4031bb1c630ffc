"""What the cache directory, the disks and the state folder say. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dockyard.display.format import format_bytes, format_count, format_seconds
from dockyard.doctor.findings import Finding, Repair, note, ok, problem, unknown

__all__ = [
    "CacheFolder",
    "Disk",
    "Leftovers",
    "cache_findings",
    "disk_findings",
    "state_findings",
]

# A build of a machine-learning image needs some: below the first it fails, below the second soon.
DISK_PROBLEM = 2 * 10**9
DISK_NOTE = 10 * 10**9
INODES_NOTE = 0.05


@dataclass(frozen=True)
class CacheFolder:
    """The local cache directory: bytes of its blobs, and whether this user can write to it.

    ``refused`` are the paths that cannot be written, ``ours`` whether this user owns them all;
    ``damaged`` says why its index cannot be read. ``free``: bytes on its disk.
    """

    path: str
    exists: bool
    refused: tuple[str, ...] = ()
    ours: bool = True
    bytes: int | None = None
    free: int | None = None
    damaged: str | None = None
    set_aside: int = 0


@dataclass(frozen=True)
class Disk:
    """A disk by what is on it; bytes, and the share of free inodes. None is unknown."""

    holds: str
    free: int | None
    total: int | None = None
    inodes: float | None = None
    reclaim: str = "`docker system df` shows what uses it; `invoke cache.prune` frees build cache"


@dataclass(frozen=True)
class Leftovers:
    """What killed commands left: snapshots and temporary files, by path; unreadable records.

    ``held_by`` is the process that holds the cache's lock, for so many seconds as was waited.
    """

    snapshots: tuple[str, ...] = ()
    temporary: tuple[str, ...] = ()
    unreadable: tuple[tuple[str, str], ...] = ()
    held_by: str | None = None
    held_seconds: float = 0.0
    crashes: tuple[str, ...] = ()


def cache_findings(folder: CacheFolder, budget: int) -> tuple[Finding, ...]:
    """Say whether the cache directory can be used, and how full it is."""
    topic = "cache-directory"
    if folder.refused:
        listed = ", ".join(folder.refused[:3]) + (" …" if len(folder.refused) > 3 else "")
        place = folder.path if folder.exists else folder.refused[0]
        owner = "sudo chown -R $USER" if not folder.ours else "chmod -R u+rwX"
        return (
            problem(
                topic,
                "the cache directory cannot be written: builds read it, and keep nothing",
                listed,
                f"`{owner} {place}`, or set DOCKYARD_CACHE_DIR",
                Repair.CACHE_PERMISSIONS if folder.ours else None,
            ),
        )
    if not folder.exists:
        return (ok(topic, "there is none yet; the first build with the backend local makes it"),)
    if folder.damaged:
        fix = "`invoke cache.clean` empties it"
        return (problem(topic, "its index cannot be read", folder.damaged, fix),)
    found = []
    size = folder.bytes
    held = (
        f"{format_bytes(size) if size is not None else 'unknown bytes'} of {format_bytes(budget)}"
    )
    if size is not None and size > budget:
        found.append(note(topic, "it is over its budget", held, "`invoke cache.prune`"))
    else:
        found.append(ok(topic, "it can be written, and is within its budget", held))
    if folder.free is not None and size is not None and folder.free < min(budget - size, budget):
        found.append(
            note(
                topic,
                "its disk has less room than its budget promises",
                f"{format_bytes(folder.free)} free, {format_bytes(max(budget - size, 0))} to go",
                "lower DOCKYARD_CACHE_BUDGET, or set DOCKYARD_CACHE_DIR to a larger disk",
            )
        )
    if folder.set_aside:
        summary = "blobs that were damaged are set aside"
        evidence = f"{folder.set_aside} in corrupt/"
        found.append(note(topic, summary, evidence, "check the disk; `rm -r` them when you have"))
    return tuple(found)


def disk_findings(disks: Sequence[Disk]) -> tuple[Finding, ...]:
    """Say how much room each disk has."""
    topic = "disk"
    found = []
    for one in disks:
        if one.free is None:
            found.append(unknown(topic, f"free space for {one.holds} is unknown"))
            continue
        of = f" of {format_bytes(one.total)}" if one.total else ""
        evidence = f"{format_bytes(one.free)}{of} free"
        if one.free < DISK_PROBLEM:
            found.append(problem(topic, f"no room for {one.holds}", evidence, one.reclaim))
        elif one.free < DISK_NOTE:
            found.append(note(topic, f"little room for {one.holds}", evidence, one.reclaim))
        elif one.inodes is not None and one.inodes < INODES_NOTE:
            evidence = f"{one.inodes:.1%} of inodes free"
            found.append(note(topic, f"few inodes for {one.holds}", evidence, one.reclaim))
        else:
            found.append(ok(topic, f"room for {one.holds}", evidence))
    return tuple(found)


def state_findings(left: Leftovers) -> tuple[Finding, ...]:
    """Name what killed commands left behind, and what keeps others waiting."""
    topic = "state"
    found = []
    if left.held_by is not None:
        waited = format_seconds(left.held_seconds)
        found.append(
            problem(
                topic,
                f"process {left.held_by} holds the cache directory's lock",
                f"for more than {waited}; a build holds it for milliseconds",
                f"wait for it, or end it (`kill {left.held_by}`): its lock goes with it",
            )
        )
    if stale := (*left.snapshots, *left.temporary):
        kinds = [
            format_count(len(paths), name)
            for name, paths in (("snapshot", left.snapshots), ("temporary file", left.temporary))
            if paths
        ]
        found.append(
            note(
                topic,
                f"killed commands left {' and '.join(kinds)}, with locks that nobody holds",
                ", ".join(stale[:3]) + (" …" if len(stale) > 3 else ""),
                "`invoke doctor --fix --only state` removes them",
                Repair.LEFTOVERS,
            )
        )
    if left.unreadable:
        path, reason = left.unreadable[0]
        more = f" and {len(left.unreadable) - 1} more" if len(left.unreadable) > 1 else ""
        found.append(
            note(
                topic,
                f"{format_count(len(left.unreadable), 'build record')} cannot be read",
                f"{path}: {reason}{more}",
                "`invoke doctor --fix --only state` moves them to unreadable/",
                Repair.RECORDS,
            )
        )
    if left.crashes:
        fix = "please report them, then delete them"
        found.append(note(topic, "Dockyard failed here", ", ".join(left.crashes[:3]), fix))
    return tuple(found) or (ok(topic, "no leftovers, all records can be read"),)
