"""Which Debian packages the locked packages are known to need, by the table beside this file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from dockyard.lock import Package

__all__ = ["DebianPackages", "debian_packages", "debian_table"]


@dataclass(frozen=True)
class DebianPackages:
    """Debian packages to build with and to run with, each with the reason for all of them.

    ``unknown``: locked packages that are built from source and that the table does not know.
    """

    build: tuple[str, ...] = ()
    build_reason: str = ""
    runtime: tuple[str, ...] = ()
    runtime_reason: str = ""
    unknown: tuple[str, ...] = ()


@cache
def debian_table() -> dict[str, dict[str, Any]]:
    """Return the table by the name of the Python package, as ``debian.toml`` explains it."""
    import tomllib

    path = Path(__file__).with_name("debian.toml")
    entries = tomllib.loads(path.read_text(encoding="utf-8"))["package"]
    return {entry["name"]: entry for entry in entries}


def debian_packages(
    locked: Iterable[Package], wheels: dict[str, bool] | None = None, *, headers: bool = True
) -> DebianPackages:
    """Look up what the locked packages of one target need.

    ``wheels``: packages without a wheel that fits → whether the lock has wheels for other
    platforms alone, which tells that something in them is compiled. ``headers``: the base image
    has Python's, as Docker's library does; a Debian Python has them in a package of their own.
    """
    packages = {one.name: one for one in locked}
    build: dict[str, list[str]] = {}
    runtime: dict[str, list[str]] = {}
    unknown = []
    for name, package in packages.items():
        entry = debian_table().get(name, {})
        if any(other in packages for other in entry.get("unless", ())):
            continue
        for one in entry.get("always", ()):
            runtime.setdefault(one, []).append(name)
        if package.has_wheel or package.source.kind in ("directory", "editable", "virtual"):
            continue
        for one in entry.get("runtime", ()):
            runtime.setdefault(one, []).append(name)
        needed = entry.get("build", ())
        if not entry and (wheels or {}).get(name):
            needed = ("build-essential",)
        elif not entry and package.source.kind != "git":
            unknown.append(name)
        for one in (*needed, *(("python3-dev",) if needed and not headers else ())):
            build.setdefault(one, []).append(name)
    return DebianPackages(
        tuple(sorted(build)),
        _reason(build, "built from source"),
        tuple(sorted(runtime)),
        _reason(runtime, "not whole without them"),
        tuple(unknown),
    )


def _reason(found: dict[str, list[str]], why: str) -> str:
    names = sorted({name for names in found.values() for name in names})
    return f"{', '.join(names)}: {why}" if names else ""
