"""Packages and histories of locks, made up from a seed, for the layer planner."""

from __future__ import annotations

import random
from collections.abc import Mapping

from dockyard.lock import Package, PackageSource
from dockyard.lock_versions import Locked, LockedPackages

__all__ = ["locked", "make_history", "make_package", "make_versions"]

PYPI = PackageSource("registry", "https://pypi.org/simple")


def locked(version: str = "1.0", size: int = 1000, **more: bool) -> Locked:
    """One package of a lock; versions alone tell its files apart."""
    return Locked(version, version, size, **more)


def make_package(
    name: str,
    size: int | None = 1000,
    version: str = "1.0",
    *,
    wheel: bool = True,
    hashed: bool = True,
) -> Package:
    return Package(name, version, PYPI, size, f"{name} {version}", wheel, hashed)


def make_versions(seed: int, packages: int, changes: int) -> list[LockedPackages]:
    """A lock's versions: some packages change often, some never, a few come and go."""
    chosen = random.Random(seed)
    rates = {f"p{n}": chosen.choice((0.002, 0.01, 0.05, 0.3)) for n in range(packages)}
    now = {name: locked("1.0", int(10 ** chosen.uniform(3, 7.5))) for name in rates}
    versions: list[LockedPackages] = [dict(now)]
    for change in range(changes):
        names = [name for name in sorted(now) if chosen.random() < rates[name]]
        for name in names or [chosen.choice(sorted(now))]:
            now[name] = locked(f"1.{change + 1}", now[name].size)
        if chosen.random() < 0.1 and len(now) > 1:
            del now[chosen.choice(sorted(now))]
        if chosen.random() < 0.1:
            name = f"new{change}"
            rates[name] = 0.05
            now[name] = locked("0.1", int(10 ** chosen.uniform(3, 7)))
        versions.append(dict(now))
    return versions


def make_history(counts: Mapping[str, int], size: int = 1_000_000) -> list[LockedPackages]:
    """A lock in which one package changes at a time, each as often as told, in turns."""
    now = {name: locked("1.0", size) for name in counts}
    versions: list[LockedPackages] = [dict(now)]
    left = dict(counts)
    while any(left.values()):
        for name in [name for name, count in left.items() if count]:
            left[name] -= 1
            now[name] = locked(f"1.0.post{left[name]}", size)
            versions.append(dict(now))
    return versions
