"""Whether uv.lock still says what pyproject.toml asks for, without starting uv.

uv writes each local package's requirements into the lock (``[package.metadata]``: uv's
``crates/uv-resolver/src/lock/mod.rs``, ``PackageMetadata``) and rewrites them on the way: names,
specifiers and markers are normalised, ``[tool.uv.sources]`` replaces specifiers, extras become
markers. Where the two sides could differ for another reason (dynamic metadata, sources that depend
on a marker, what cannot be parsed) nothing is said: a fresh lock is never called stale.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from dockyard.lock import LockFile, normalize
from dockyard.markers import same_outcome
from dockyard.requirements import UNCERTAIN, Requirement, Sources, locked_requirement

__all__ = ["Difference", "differences"]


@dataclass(frozen=True)
class Difference:
    """One thing that pyproject.toml and its lock do not agree on; ``key`` is pyproject.toml's."""

    key: str
    message: str


def differences(
    pyproject: dict[str, Any], lock: LockFile, root: dict[str, Any] | None = None
) -> list[Difference]:
    """Name what pyproject.toml asks for and the lock does not say, and the other way round.

    ``pyproject`` is that of the project or of a workspace member; ``root`` that of the workspace,
    whose ``[tool.uv.sources]`` hold for the members too. Raises nothing.
    """
    from packaging.requirements import InvalidRequirement
    from packaging.specifiers import InvalidSpecifier

    project = pyproject.get("project")
    if not isinstance(project, dict) or "name" not in project:
        return []
    try:
        name = normalize(str(project["name"]))
        if name not in lock.packages:
            return [Difference("[project] name", f"it does not hold {project['name']}")]
        table = lock.find(name)
        if table is None:
            return []
        found = list(_python_differences(project, lock))
        metadata = table.get("metadata", {})
        if metadata or not table.get("dependencies"):
            found += _project_differences(pyproject, name, metadata, lock, root or pyproject)
            found += _group_differences(pyproject, metadata, lock, root or pyproject)
        return found
    except (InvalidRequirement, InvalidSpecifier, AttributeError, TypeError, ValueError):
        # Malformed: uv's to report, with its own words.
        return []


def _python_differences(project: dict[str, Any], lock: LockFile) -> Iterator[Difference]:
    asked = project.get("requires-python")
    # A workspace's lock holds the intersection of its members' ranges.
    if not asked or not lock.requires_python or len(lock.members) > 1:
        return
    from packaging.specifiers import SpecifierSet

    one, other = SpecifierSet(str(asked)), SpecifierSet(lock.requires_python)
    versions = [f"3.{minor}.{patch}" for minor in range(30) for patch in (0, 1, 5, 99)]
    for text in re.findall(r"\d+\.\d+(?:\.\d+)?", f"{one},{other}"):
        major, minor, patch = (*map(int, text.split(".")), 0)[:3]
        versions += [f"{major}.{minor}.{max(0, patch + step)}" for step in (-1, 0, 1)]
    if set(one.filter(versions, True)) != set(other.filter(versions, True)):
        yield Difference(
            "[project] requires-python", f"it was made for Python {other}, not for {asked}"
        )


def _project_differences(
    pyproject: dict[str, Any],
    name: str,
    metadata: dict[str, Any],
    lock: LockFile,
    root: dict[str, Any],
) -> Iterator[Difference]:
    project = pyproject["project"]
    dynamic = project.get("dynamic", [])
    if "dependencies" in dynamic or "optional-dependencies" in dynamic:
        return
    sources = Sources(pyproject, root)
    asked = [
        sources.asked(text, "[project] dependencies") for text in project.get("dependencies", [])
    ]
    extras = {
        normalize(extra): texts for extra, texts in project.get("optional-dependencies", {}).items()
    }
    for extra, texts in extras.items():
        key = f"[project.optional-dependencies] {extra}"
        asked += [sources.asked(text, key, extra) for text in texts]
    if "version" in dynamic and any(one.name == name for one in asked):
        return  # uv writes references of such a project to its own extras out in full
    locked = [
        locked_requirement(entry, "[project] dependencies")
        for entry in metadata.get("requires-dist", [])
    ]
    found = list(_compare(asked, locked, lock.requires_python))
    yield from found
    provided = metadata.get("provides-extras")
    if provided is not None and not found:
        provided = set(map(normalize, provided))
        for extra in sorted(extras.keys() ^ provided):
            change = "was added" if extra in extras else "was removed"
            yield Difference("[project.optional-dependencies]", f"extra {extra} {change}")


def _group_differences(
    pyproject: dict[str, Any], metadata: dict[str, Any], lock: LockFile, root: dict[str, Any]
) -> Iterator[Difference]:
    settings = pyproject.get("tool", {}).get("uv", {})
    sources = Sources(pyproject, root)
    # A group's own requires-python goes into the markers of its requirements.
    narrowed = bool(settings.get("dependency-groups"))
    locked_groups = metadata.get("requires-dev", metadata.get("dependency-groups", {}))
    groups = _groups(pyproject)
    for group in sorted(groups.keys() | locked_groups.keys()):
        key = f"[dependency-groups] {group}"
        asked = [sources.asked(text, key) for text in groups.get(group, [])]
        locked = [locked_requirement(entry, key) for entry in locked_groups.get(group, [])]
        if narrowed and {one.name for one in asked} == {one.name for one in locked}:
            continue
        yield from _compare(asked, locked, lock.requires_python)


def _groups(pyproject: dict[str, Any]) -> dict[str, list[str]]:
    """Return each dependency group's requirements, ``include-group`` followed (PEP 735).

    Raises ValueError where a group is missing or includes itself.
    """
    tables = {
        normalize(name): entries for name, entries in pyproject.get("dependency-groups", {}).items()
    }

    def flat(name: str, above: tuple[str, ...]) -> Iterator[str]:
        if name in above or name not in tables:
            raise ValueError(name)
        for entry in tables[name]:
            if isinstance(entry, str):
                yield entry
            else:
                yield from flat(normalize(entry["include-group"]), (*above, name))

    found = {name: list(flat(name, ())) for name in tables}
    legacy = pyproject.get("tool", {}).get("uv", {}).get("dev-dependencies", [])
    if legacy:
        found["dev"] = [*found.get("dev", []), *legacy]
    return found


def _compare(
    asked: list[Requirement], locked: list[Requirement], requires_python: str
) -> Iterator[Difference]:
    names = sorted({one.name for one in (*asked, *locked)})
    for name in names:
        mine = [one for one in asked if one.name == name]
        theirs = [one for one in locked if one.name == name]
        if mine and theirs and UNCERTAIN in {one.source for one in mine}:
            continue
        kinds = {one.what for one in (*mine, *theirs)}
        differing = {
            what
            for what in kinds
            if not same_outcome(
                [one.marker for one in mine if one.what == what],
                [one.marker for one in theirs if one.what == what],
                requires_python,
            )
        }
        if differing:
            yield _describe(
                [one for one in mine if one.what in differing],
                [one for one in theirs if one.what in differing],
            )


def _describe(mine: list[Requirement], theirs: list[Requirement]) -> Difference:
    wanted, has = (_texts(one.text for one in side) for side in (mine, theirs))
    if not theirs:
        return Difference(mine[0].key, f"{wanted} was added")
    if not mine:
        return Difference(theirs[0].key, f"{has} was removed")
    if wanted == has:
        return Difference(mine[0].key, f"{wanted} is asked for under other conditions")
    return Difference(mine[0].key, f"{wanted} is asked for, the lock was made for {has}")


def _texts(texts: Iterable[str]) -> str:
    return " and ".join(f"`{text}`" for text in dict.fromkeys(texts))
