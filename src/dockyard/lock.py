"""``uv.lock`` read as the packages that one target platform installs.

The format is uv's own (``crates/uv-resolver/src/lock/mod.rs``); the walk over it follows uv's
``lock/installable.rs`` and must choose what ``uv export`` chooses. Markers are PEP 508, names are
compared as PEP 503 normalises them, wheel names are PEP 427, platform tags PEP 425 and PEP 600.

``packaging`` is imported inside functions: a build in which nothing changed reads no lock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from dockyard.errors import Problem, ProjectError
from dockyard.lock_file import LockFile, conflict_key, normalize, parse_lock
from dockyard.target import Matcher, Target, best_wheel, marker_evaluator

__all__ = [
    "LockFile",
    "Package",
    "PackageSource",
    "Target",
    "conflict_key",
    "normalize",
    "parse_lock",
    "resolve",
    "resolve_members",
]

SourceKind = Literal["registry", "git", "url", "path", "directory", "editable", "virtual"]
SOURCE_KINDS: tuple[SourceKind, ...] = get_args(SourceKind)


@dataclass(frozen=True)
class PackageSource:
    """Where a package comes from: an index, a git repository, a URL or a path.

    ``location``: the URL or path; of a git repository without the tag or branch that was asked
    for. ``revision``: the git commit. ``subdirectory``: where in it the project is.
    """

    kind: SourceKind
    location: str
    revision: str | None = None
    subdirectory: str | None = None


@dataclass(frozen=True)
class Package:
    """One locked package as the target installs it.

    ``size``: bytes of the wheel that the target downloads, of the sdist where no wheel fits, None
    where the lock does not say. ``hashes``: of all its files, sorted, as ``sha256:<hex>``.
    ``identity``: hex SHA-256 of name, version, source and hashes, so that it changes only when
    something else would be installed. ``has_wheel``: a wheel fits the target; without one it is
    built from source. ``hashed``: the file that is installed has a hash.
    """

    name: str
    version: str
    source: PackageSource
    size: int | None
    identity: str
    has_wheel: bool
    hashed: bool
    hashes: tuple[str, ...] = ()


def resolve(
    lock: LockFile,
    roots: Sequence[str],
    *,
    extras: Collection[str],
    groups: Collection[str],
    target: Target,
) -> tuple[Package, ...]:
    """Return what the target installs for the root packages, sorted by name.

    Workspace members and packages that cannot be installed (``virtual``) are walked through and
    left out. ``extras`` and ``groups`` are the chosen ones, normalised. Raises ProjectError if two
    of them, or what they lead to, are declared as conflicting.
    """
    left_out = {*map(normalize, lock.members), *roots}
    chosen = {
        id(table): to_package(table, target)
        for table in reach(lock, roots, extras=extras, groups=groups, target=target)
        if normalize(table["name"]) not in left_out and "virtual" not in table["source"]
    }
    return tuple(sorted(chosen.values(), key=lambda package: (package.name, package.version)))


def resolve_members(
    lock: LockFile,
    roots: Sequence[str],
    *,
    extras: Collection[str],
    groups: Collection[str],
    target: Target,
) -> tuple[Package, ...]:
    """Return the root packages, then the workspace members that the target installs for them.

    Those that cannot be installed (``virtual``) are left out; otherwise as :func:`resolve`.
    """
    members = {*map(normalize, lock.members), *roots}
    found = {
        id(table): to_package(table, target)
        for table in reach(lock, roots, extras=extras, groups=groups, target=target)
        if normalize(table["name"]) in members and "virtual" not in table["source"]
    }
    return tuple(sorted(found.values(), key=lambda one: (one.name not in roots, one.name)))


def reach(
    lock: LockFile,
    roots: Sequence[str],
    *,
    extras: Collection[str],
    groups: Collection[str],
    target: Target,
) -> list[dict[str, Any]]:
    """Return the tables of the roots and of all that they lead to; a table may come twice."""
    matches = marker_evaluator(target)
    check_supported(lock, matches, target)
    tables = [lock_package(lock, {"name": name}, matches) for name in roots]
    start = [(table, extra) for table in tables for extra in ("", *extras)]
    first = list(group_dependencies(lock, tables, groups))
    active = {conflict_key({}, name) for name in roots}
    active |= {conflict_key({"extra": extra}, name) for name in roots for extra in extras}
    active |= {conflict_key({"group": group}, name) for name in roots for group in groups}
    if lock.conflicts:
        # Which extras are active must be known before the markers that ask for them are decided:
        # a first walk collects them, the second one uses them (as installable.rs does).
        for _ in walk(lock, start, first, matches, active, collect=True):
            pass
        check_conflicts(lock, active)
    return [*tables, *walk(lock, start, first, matches, active, collect=False)]


def check_supported(lock: LockFile, matches: Matcher, target: Target) -> None:
    """Raise ProjectError if the lock was made for other platforms (``[tool.uv] environments``)."""
    markers = lock.supported_markers
    if markers and not any(matches(marker, ()) for marker in markers):
        raise ProjectError(
            f"it does not cover {target.sys_platform} on {target.platform_machine} with Python "
            f"{target.python}, only: {' or '.join(markers)}",
            where="uv.lock, supported-markers",
            hint="add the image's platform to [tool.uv] environments and run `uv lock`",
        )


def group_dependencies(
    lock: LockFile, roots: Iterable[dict[str, Any]], groups: Collection[str]
) -> Iterator[dict[str, Any]]:
    """Return the dependencies of the chosen groups, of a root or of the workspace itself."""
    for table in roots:
        # uv writes the first key and reads both.
        own = table.get("dev-dependencies", table.get("dependency-groups", {}))
        for group in groups:
            yield from own.get(group, [])
    for group in groups:
        # Requirements of a workspace without a project have "extras" where packages have "extra".
        for entry in lock.manifest.get("dependency-groups", {}).get(group, []):
            yield {key: entry[key] for key in ("name", "marker") if key in entry} | {
                "extra": entry.get("extras", [])
            }


def walk(
    lock: LockFile,
    start: list[tuple[dict[str, Any], str]],
    first: list[dict[str, Any]],
    matches: Matcher,
    active: set[str],
    *,
    collect: bool,
) -> Iterator[dict[str, Any]]:
    """Visit every package that is reached, roots excepted; ``collect`` adds extras to active."""
    queue = list(start)
    seen = {(id(table), extra) for table, extra in start}

    def follow(dependency: dict[str, Any]) -> dict[str, Any] | None:
        extras = dependency.get("extra", [])
        name = normalize(dependency["name"])
        keys = {conflict_key({"extra": extra}, name) for extra in extras} if collect else set()
        if not matches(dependency.get("marker", ""), active | keys if keys else active):
            return None
        active.update(keys)
        table = lock_package(lock, dependency, matches, active)
        for extra in ("", *map(normalize, extras)):
            if (id(table), extra) not in seen:
                seen.add((id(table), extra))
                queue.append((table, extra))
        return table

    for dependency in first:
        if (reached := follow(dependency)) is not None:
            yield reached
    for table, extra in queue:  # grows while it is read: breadth first
        optional = table.get("optional-dependencies", {})
        for dependency in optional.get(extra, []) if extra else table.get("dependencies", []):
            if (reached := follow(dependency)) is not None:
                yield reached


def lock_package(
    lock: LockFile,
    dependency: dict[str, Any],
    matches: Matcher,
    active: Collection[str] = (),
) -> dict[str, Any]:
    """Return the package that a dependency means: by name, and version and source if it has them.

    uv writes version and source only where the name alone is ambiguous, and neither in the
    requirements of a workspace without a project: there the packages' own markers decide.
    """
    candidates = [
        table
        for table in lock.packages.get(normalize(dependency["name"]), [])
        if all(dependency.get(key) in (None, table.get(key)) for key in ("version", "source"))
    ]
    if len(candidates) > 1:
        candidates = [
            table
            for table in candidates
            if any(matches(marker, active) for marker in table.get("resolution-markers", [""]))
        ]
    if len(candidates) != 1:
        found = "is not in the lock" if not candidates else "is ambiguous in the lock"
        raise ProjectError(
            f"{dependency['name']} {found}",
            where="uv.lock, package",
            hint="the file seems to be edited or badly merged: run `uv lock`",
        )
    return candidates[0]


def check_conflicts(lock: LockFile, active: Collection[str]) -> None:
    """Raise ProjectError naming each pair of active items that the project declares exclusive."""
    problems = []
    for group in sorted(lock.conflicts, key=sorted):
        together = [describe_conflict(key) for key in sorted(group) if key in active]
        if len(together) > 1:
            problems.append(
                Problem(
                    f"{' and '.join(together)} cannot be installed together",
                    "pyproject.toml, [tool.uv] conflicts",
                    "choose one of them",
                )
            )
    if problems:
        raise ProjectError(*problems)


def describe_conflict(key: str) -> str:
    """Turn a conflict key back into words: ``extra cpu of app``."""
    kind, length, rest = key.split("-", 2)
    package, name = rest[: int(length)], rest[int(length) + 1 :]
    return f"{kind} {name} of {package}" if name else f"package {package}"


def to_package(table: dict[str, Any], target: Target) -> Package:
    """Describe a package of the lock as the target installs it."""
    source = package_source(table["source"])
    wheel = best_wheel(table.get("wheels", []), target)
    file = wheel or table.get("sdist") or {}
    name, version = normalize(table["name"]), str(table.get("version", ""))
    files = [*table.get("wheels", []), table.get("sdist", {})]
    hashes = tuple(sorted({entry["hash"] for entry in files if "hash" in entry}))
    location = source.location.rstrip("/")
    place = (source.kind, location, source.revision or "", source.subdirectory or "")
    text = "\n".join([name, version, *place, *hashes])
    return Package(
        name=name,
        version=version,
        source=source,
        size=file.get("size"),
        identity=hashlib.sha256(text.encode()).hexdigest(),
        has_wheel=wheel is not None,
        hashed="hash" in file,
        hashes=hashes,
    )


def package_source(table: dict[str, Any]) -> PackageSource:
    """Read a package's ``source``; a kind that is not known counts as an index.

    A git source is ``URL?tag=…&subdirectory=…#commit`` (``lock/mod.rs``, ``GitSource``). Which tag
    or branch led to the commit does not change what is installed.
    """
    kind: SourceKind = next((kind for kind in SOURCE_KINDS if kind in table), "registry")
    location = str(table.get(kind, ""))
    subdirectory = table.get("subdirectory")
    if kind != "git":
        return PackageSource(kind, location, None, subdirectory)
    parts = urlsplit(location)
    query = dict(parse_qsl(parts.query))
    kept = {name: query[name] for name in query.keys() - {"branch", "rev", "subdirectory", "tag"}}
    url = urlunsplit(parts._replace(query=urlencode(sorted(kept.items())), fragment=""))
    return PackageSource(
        kind, url, parts.fragment or None, subdirectory or query.get("subdirectory")
    )
