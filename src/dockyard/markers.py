"""Whether two PEP 508 markers mean the same, whatever they look like.

uv rewrites markers (``crates/uv-pep508/src/marker/algebra.rs``): it turns ``python_version`` into
``python_full_version``, ``platform_system`` into ``sys_platform``, reorders and simplifies. So they
are not compared as text but tried out, on every environment that their own literals can tell apart.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from itertools import islice, product

__all__ = ["same_outcome"]

# os_name, sys_platform and platform_system go together; a mix of them is no platform.
_PLATFORMS = (
    ("posix", "linux", "Linux"),
    ("posix", "darwin", "Darwin"),
    ("nt", "win32", "Windows"),
    ("posix", "cygwin", "CYGWIN_NT-10.0"),
    ("posix", "emscripten", "Emscripten"),
    ("posix", "aix", "AIX"),
    ("posix", "freebsd14", "FreeBSD"),
    ("java", "java", "Java"),
)
_PYTHONS = (("cpython", "CPython"), ("pypy", "PyPy"), ("graalpy", "GraalVM"))
_MACHINES = ("x86_64", "aarch64", "arm64", "AMD64")
_PYTHON_VARIABLES = {"python_version", "python_full_version"}
_PLATFORM_VARIABLES = {"os_name", "sys_platform", "platform_system"}
_IMPLEMENTATION_VARIABLES = {"implementation_name", "platform_python_implementation"}
_FREE_VARIABLES = (
    "extra",
    "implementation_version",
    "platform_machine",
    "platform_release",
    "platform_version",
)
_MOST_ENVIRONMENTS = 5000


def same_outcome(these: Collection[str], those: Collection[str], requires_python: str) -> bool:
    """Tell whether some marker of one side holds exactly where some marker of the other does.

    An empty marker always holds, an empty collection never. Only Python versions within
    ``requires_python`` count. Markers that are too many or too odd to be tried out are taken to
    be the same.
    """
    if sorted(these) == sorted(those):
        return True
    from packaging.markers import (
        InvalidMarker,
        Marker,
        UndefinedComparison,
        UndefinedEnvironmentName,
    )
    from packaging.specifiers import InvalidSpecifier
    from packaging.version import InvalidVersion

    try:
        environments = list(_environments(" ".join((*these, *those)), requires_python))
        if not environments or len(environments) > _MOST_ENVIRONMENTS:
            return True
        sides = [[Marker(text) if text else None for text in side] for side in (these, those)]
        return all(
            any(one is None or one.evaluate(environment) for one in sides[0])
            == any(one is None or one.evaluate(environment) for one in sides[1])
            for environment in environments
        )
    except (
        InvalidMarker,
        InvalidSpecifier,
        InvalidVersion,
        UndefinedComparison,
        UndefinedEnvironmentName,
    ):
        return True


def _environments(markers: str, requires_python: str) -> Iterator[dict[str, str]]:
    """Yield every environment that the literals of the markers' text can tell apart.

    Stops soon after the largest number that is worth trying.
    """
    quoted = {one or other for one, other in re.findall(r"'([^']*)'|\"([^\"]*)\"", markers)}
    # The right side of "in" is a list within one literal.
    literals = sorted(
        quoted | {part for text in quoted for part in re.split(r"[\s,|]+", text)} - {""}
    )
    used = set(re.findall(r"[a-z_]+", re.sub(r"'[^']*'|\"[^\"]*\"", "", markers)))
    known = {text for platform in _PLATFORMS for text in platform}
    platforms = [*_PLATFORMS, *((text, text, text) for text in literals if text not in known)]
    known = {text for implementation in _PYTHONS for text in implementation}
    pythons = [*_PYTHONS, *((text, text) for text in literals if text not in known)]
    versions = _python_versions(literals, requires_python)
    versions = versions if used & _PYTHON_VARIABLES else versions[:1]
    platforms = platforms if used & _PLATFORM_VARIABLES else platforms[:1]
    pythons = pythons if used & _IMPLEMENTATION_VARIABLES else pythons[:1]
    axes: list[list[str]] = []
    for variable in _FREE_VARIABLES:
        values = ["", "0", *literals, *(_MACHINES if variable == "platform_machine" else ())]
        axes.append(values if variable in used else [""])
    combinations = product(versions, platforms, pythons, product(*axes))
    for version, platform, implementation, free in islice(combinations, _MOST_ENVIRONMENTS + 1):
        os_name, sys_platform, platform_system = platform
        yield {
            "python_version": ".".join(version.split(".")[:2]),
            "python_full_version": version,
            "os_name": os_name,
            "sys_platform": sys_platform,
            "platform_system": platform_system,
            "implementation_name": implementation[0],
            "platform_python_implementation": implementation[1],
            **dict(zip(_FREE_VARIABLES, free, strict=True)),
        }


def _python_versions(literals: list[str], requires_python: str) -> list[str]:
    from packaging.specifiers import SpecifierSet

    found = {(3, minor, 0) for minor in range(8, 16)}
    for text in literals:
        if match := re.fullmatch(r"(\d+)\.(\d+)(?:\.(\d+))?(?:\.\*)?", text):
            major, minor, patch = int(match[1]), int(match[2]), int(match[3] or 0)
            found |= {(major, minor + step, 0) for step in (-1, 0, 1) if minor + step >= 0}
            found |= {(major, minor, patch + step) for step in (-1, 0, 1) if patch + step >= 0}
    specifiers = SpecifierSet(requires_python)
    versions = [".".join(map(str, version)) for version in sorted(found)]
    return [version for version in versions if specifiers.contains(version)]
