"""Versions of a lock as the layer planner sees them: names, versions, bytes. Pure values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from dockyard.lock import Package

__all__ = ["Changes", "History", "Locked", "LockedPackages", "changes", "locked_packages"]

IDENTITY_DIGITS = 16
# What a package moves whose size the lock does not say. Indexes that tell no sizes are mostly those
# of accelerated builds (PyTorch's), whose wheels are large; a source tree mostly is not.
UNKNOWN_WHEEL_BYTES = 20_000_000
UNKNOWN_SOURCE_BYTES = 1_000_000


class Locked(NamedTuple):
    """One package of a lock, as far as layers depend on it.

    ``identity``: equal exactly where the same files would be installed. ``size``: bytes that it
    moves, estimated where the lock does not say. ``from_source``: built during the image's build.
    ``hashed``: the file has a hash; without one it can only be in the last layer. ``estimated``:
    the lock does not say the size.
    """

    version: str
    identity: str
    size: int
    from_source: bool = False
    hashed: bool = True
    estimated: bool = False


LockedPackages = Mapping[str, Locked]


class Changes(NamedTuple):
    """Names by what happened to them from one lock to the next."""

    changed: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True)
class History:
    """Successive locks of one project, oldest first, each different from the one before.

    ``commits``: that made them, none where they come from elsewhere. ``builds_per_change``: commits
    for each of them, None where that is unknown. ``skipped``: lock
    versions that could not be read. ``notes``: what limits the history, for people.
    """

    versions: tuple[LockedPackages, ...] = ()
    commits: tuple[str, ...] = ()
    builds_per_change: float | None = None
    skipped: int = 0
    notes: tuple[str, ...] = ()

    def change_counts(self) -> Counter[str]:
        """Count the version changes of each package; its arrival and removal are none."""
        return Counter(
            name for old, new in pairwise(self.versions) for name in changes(old, new).changed
        )

    def changed_together(self) -> tuple[frozenset[str], ...]:
        """List the packages of each change, oldest first."""
        return tuple(
            frozenset(name for names in changes(old, new) for name in names)
            for old, new in pairwise(self.versions)
        )

    def sizes(self) -> dict[str, int]:
        """Return the newest size, in bytes, that a lock has told of each package."""
        return {
            name: one.size
            for version in self.versions
            for name, one in version.items()
            if not one.estimated
        }


def changes(old: LockedPackages, new: LockedPackages) -> Changes:
    """Compare two locks by identity; each part is sorted by name."""
    return Changes(
        tuple(sorted(n for n, one in new.items() if n in old and old[n].identity != one.identity)),
        tuple(sorted(new.keys() - old.keys())),
        tuple(sorted(old.keys() - new.keys())),
    )


def distinct(versions: Iterable[LockedPackages]) -> tuple[LockedPackages, ...]:
    """Leave out versions in which the same is installed as in the one before."""
    kept: list[LockedPackages] = []
    for version in versions:
        if not kept or any(changes(kept[-1], version)):
            kept.append(version)
    return tuple(kept)


def locked_packages(
    packages: Sequence[Package], known_sizes: Mapping[str, int] | None = None
) -> dict[str, Locked]:
    """Describe a project's packages for the planner, by name.

    ``known_sizes``: bytes by name, for packages whose size the lock does not say. Packages of one
    name (two versions of it) are one, because a layer is told its packages by name.
    """
    found: dict[str, Locked] = {}
    for one in sorted(packages, key=lambda one: (one.name, one.version, one.identity)):
        guess = UNKNOWN_WHEEL_BYTES if one.has_wheel else UNKNOWN_SOURCE_BYTES
        size = one.size or (known_sizes or {}).get(one.name) or guess
        this = Locked(
            one.version,
            one.identity[:IDENTITY_DIGITS],
            size,
            not one.has_wheel,
            one.hashed,
            not one.size,
        )
        if before := found.get(one.name):
            this = Locked(
                f"{before.version} {this.version}",
                f"{before.identity} {this.identity}",
                before.size + size,
                before.from_source or this.from_source,
                before.hashed and this.hashed,
                before.estimated or this.estimated,
            )
        found[one.name] = this
    return found
