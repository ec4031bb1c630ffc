"""The platform that an image runs on: which markers hold there and which wheels install.

Markers are PEP 508; wheel names are PEP 427, their tags PEP 425 and, for manylinux, PEP 600.
``packaging`` is imported inside functions: a build in which nothing changed needs none of this.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from dockyard.errors import ProjectError

__all__ = ["Matcher", "Target", "best_wheel", "marker_evaluator"]

# PEP 600 names what these older names meant; wheels still carry them.
_LEGACY_MANYLINUX = {(2, 17): "manylinux2014", (2, 12): "manylinux2010", (2, 5): "manylinux1"}
_OLDEST_GLIBC_MINOR = {"x86_64": 5, "aarch64": 17}
_CONFLICT_EXTRA = re.compile(r"extra (==|!=) '((?:extra|group|project)-\d+-[^']*)'")


@dataclass(frozen=True)
class Target:
    """The platform that an image runs on: CPython on Linux with glibc.

    ``python`` is ``3.13`` or ``3.13.2``; without a patch number the newest one is meant, because
    that is what an image tag without a patch number gives. ``glibc`` decides only which wheel's
    size is reported; Debian 12 has 2.36.
    """

    python: str = "3.13"
    platform_machine: str = "x86_64"
    sys_platform: str = "linux"
    glibc: tuple[int, int] = (2, 36)

    @property
    def python_version(self) -> tuple[int, int]:
        """Major and minor number."""
        major, minor = self.python.split(".")[:2]
        return int(major), int(minor)

    @property
    def full_python(self) -> str:
        """Version with a patch number; 99 stands for the newest when the target names none."""
        return self.python if self.python.count(".") >= 2 else f"{self.python}.99"

    def environment(self) -> dict[str, str]:
        """Return the PEP 508 marker environment, ``extra`` left out."""
        return {
            "implementation_name": "cpython",
            "implementation_version": self.full_python,
            "os_name": "posix",
            "platform_machine": self.platform_machine,
            "platform_python_implementation": "CPython",
            "platform_release": "6.1.0",
            "platform_system": "Linux",
            "platform_version": "1",
            "python_full_version": self.full_python,
            "python_version": ".".join(map(str, self.python_version)),
            "sys_platform": self.sys_platform,
        }


@cache
def _tag_ranks(target: Target) -> dict[str, int]:
    """Return every wheel tag that installs on the target, with its rank (0 is the best)."""
    from packaging.tags import compatible_tags, cpython_tags

    platforms: list[str] = []
    oldest = _OLDEST_GLIBC_MINOR.get(target.platform_machine, 17)
    for minor in range(target.glibc[1], oldest - 1, -1):
        platforms.append(f"manylinux_{target.glibc[0]}_{minor}_{target.platform_machine}")
        if legacy := _LEGACY_MANYLINUX.get((target.glibc[0], minor)):
            platforms.append(f"{legacy}_{target.platform_machine}")
    platforms.append(f"linux_{target.platform_machine}")
    interpreter = "cp{}{}".format(*target.python_version)
    tags = [
        *cpython_tags(target.python_version, [interpreter], platforms),
        *compatible_tags(target.python_version, interpreter, platforms),
    ]
    return {str(tag): rank for rank, tag in reversed(list(enumerate(tags)))}


Matcher = Callable[[str, Collection[str]], bool]


def marker_evaluator(target: Target) -> Matcher:
    """Return a function that decides a marker for the target and the active conflict items.

    Conflict items are what uv writes into markers for extras, groups and packages that exclude
    each other: ``extra == 'extra-<length>-<package>-<extra>'``.
    PEP 508 gives ``extra`` one value; uv compares it with several. Each such comparison is
    therefore replaced by one with the same outcome before the marker is evaluated. The function
    raises ProjectError for what is no marker.
    """
    from packaging.markers import (
        InvalidMarker,
        Marker,
        UndefinedComparison,
        UndefinedEnvironmentName,
    )

    environment = target.environment() | {"extra": ""}

    @cache
    def evaluate(marker: str) -> bool:
        try:
            return Marker(marker).evaluate(environment)
        except (InvalidMarker, UndefinedComparison, UndefinedEnvironmentName) as error:
            raise ProjectError(
                f"`{marker}` is no condition that can be decided",
                where="uv.lock, marker",
                hint="the file seems to be edited or badly merged: run `uv lock`",
            ) from error

    def matches(marker: str, active: Collection[str]) -> bool:
        if not marker:
            return True

        def decided(found: re.Match[str]) -> str:
            holds = (found[2] in active) == (found[1] == "==")
            return f"os_name {'==' if holds else '!='} 'posix'"

        return evaluate(_CONFLICT_EXTRA.sub(decided, marker))

    return matches


def best_wheel(wheels: Iterable[dict[str, Any]], target: Target) -> dict[str, Any] | None:
    """Return the wheel that an installer prefers on the target, None if none fits."""
    ranks = _tag_ranks(target)
    ranked = []
    for wheel in wheels:
        filename = wheel.get("filename") or wheel.get("url") or wheel.get("path") or ""
        filename = filename.split("#")[0].split("?")[0].rpartition("/")[2].removesuffix(".whl")
        parts = filename.split("-")
        if len(parts) < 5:
            continue
        build = int((re.match(r"\d+", parts[2]) or ["0"])[0]) if len(parts) > 5 else 0
        pythons, abis, platforms = (part.split(".") for part in parts[-3:])
        tags = (f"{p}-{a}-{s}" for p in pythons for a in abis for s in platforms)
        rank = min((ranks[tag] for tag in tags if tag in ranks), default=None)
        if rank is not None:
            ranked.append((rank, -build, wheel))
    return min(ranked, key=lambda entry: entry[:2])[2] if ranked else None
