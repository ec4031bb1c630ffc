"""Whether uv.lock still says what pyproject.toml asks for, without starting uv.

uv writes each local package's requirements into the lock (``[package.metadata]``: uv's
``crates/uv-resolver/src/lock/mod.rs``, ``PackageMetadata``) and rewrites them on the way: names,
specifiers and markers are normalised, ``[tool.uv.sources]`` replaces specifiers, extras become
markers. Where the two sides could differ for another reason (dynamic metadata, sources that depend
on a marker, what cannot be parsed) nothing is said: a fresh lock is never called stale.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from dockyard.lock_file import LockFile, normalize
from dockyard.markers import same_outcome
from dockyard.requirements import (
    UNCERTAIN,
    WORKSPACE,
    Requirement,
    Sources,
    locked_requirement,
    malformed,
)

__all__ = ["Difference", "compare", "differences"]

# Since this one the lock names the groups that are installed by default.
_DEFAULT_GROUPS_REVISION = 5


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
        found = list(_own_differences(pyproject, table, lock))
        metadata = table.get("metadata", {})
        if table.get("dependencies") and not metadata:
            found.append(Difference("[project]", "a uv before 0.3 made it, and left out from what"))
        else:
            found += _project_differences(pyproject, name, metadata, lock, root or pyproject)
            found += _group_differences(pyproject, metadata, lock, root or pyproject)
        return found
    except malformed():
        # Malformed: uv's to report, with its own words.
        return []


def _own_differences(
    pyproject: dict[str, Any], table: dict[str, Any], lock: LockFile
) -> Iterator[Difference]:
    """Compare what the lock says of the project itself: version, kind, default groups."""
    from packaging.version import Version

    asked, locked = pyproject["project"].get("version"), table.get("version")
    if asked and locked and Version(str(asked)) != Version(locked):
        yield Difference("[project] version", f"it is {asked}, the lock has {locked}")
    settings = pyproject.get("tool", {}).get("uv", {})
    package = settings.get("package", "build-system" in pyproject)
    if package and "virtual" in table["source"]:
        yield Difference("[build-system]", "the project has become one that is installed")
    # What another project needs is installed whatever it says of itself, unless it says no.
    needed = settings.get("package") is not False and _is_needed(table["name"], lock)
    if not package and not needed and "editable" in table["source"]:
        yield Difference("[build-system]", "the lock was made for a project that is installed")
    if lock.revision >= _DEFAULT_GROUPS_REVISION:
        groups = [_default_groups(one.get("default-groups")) for one in (settings, table)]
        if groups[0] != groups[1]:
            yield Difference("[tool.uv] default-groups", "the lock was made with others")


def _is_needed(name: str, lock: LockFile) -> bool:
    """Tell whether another package of the lock depends on this one."""
    tables = [table for each in lock.packages.values() for table in each if table["name"] != name]
    lists = [
        entries
        for table in tables
        for key in ("optional-dependencies", "dev-dependencies")
        for entries in table.get(key, {}).values()
    ]
    lists += [table.get("dependencies", []) for table in tables]
    return any(entry["name"] == name for entries in lists for entry in entries)


def _default_groups(groups: list[str] | str | None) -> frozenset[str]:
    if groups is None:
        return frozenset({"dev"})
    return frozenset({groups}) if isinstance(groups, str) else frozenset(map(normalize, groups))


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
    found = list(compare(asked, locked, lock.requires_python))
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
        found = list(compare(asked, locked, lock.requires_python))
        yield from found
        # The first locks did not name a group in which nothing is.
        if not found and lock.revision >= 1 and (group in groups) != (group in locked_groups):
            change = "was added" if group in groups else "was removed"
            yield Difference("[dependency-groups]", f"group {group} {change}")


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


def compare(
    asked: list[Requirement], locked: list[Requirement], requires_python: str
) -> Iterator[Difference]:
    """Name what one side asks for under conditions under which the other does not.

    Requirements of one name that are in doubt (``UNCERTAIN``) count as agreeing.
    """
    names = sorted({one.name for one in (*asked, *locked)})
    for name in names:
        mine = [one for one in asked if one.name == name]
        theirs = [one for one in locked if one.name == name]
        if mine and theirs and UNCERTAIN in {one.source for one in mine}:
            continue
        if WORKSPACE in {one.source for one in mine}:
            # Whether a member is installed, and how, is its own pyproject.toml's to say.
            theirs = [replace(one, source=WORKSPACE) if one.local else one for one in theirs]
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
        asked_for = [{one.key for one in side} for side in (mine, theirs)]
        for key in sorted(asked_for[0] ^ asked_for[1]):
            return Difference(key, f"{wanted} was {'added' if key in asked_for[0] else 'removed'}")
        return Difference(mine[0].key, f"{wanted} is asked for under other conditions")
    return Difference(mine[0].key, f"{wanted} is asked for, the lock was made for {has}")


def _texts(texts: Iterable[str]) -> str:
    return " and ".join(f"`{text}`" for text in dict.fromkeys(texts))
