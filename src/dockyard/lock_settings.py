"""Whether uv.lock was made with the settings of ``[tool.uv]`` and for this workspace's members.

uv records them in the lock beside the packages (``ResolverManifest`` and ``ResolverOptions`` in
``crates/uv-resolver/src/lock/mod.rs``). What the environment or the user's own configuration may
add (resolution, pre-releases, package metadata) is compared only where pyproject.toml sets it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import product
from typing import Any

from dockyard.lock_file import LockFile, conflict_key, normalize
from dockyard.lock_freshness import Difference, compare
from dockyard.markers import same_outcome
from dockyard.requirements import Sources, locked_requirement, malformed

__all__ = ["settings_differences"]

Table = dict[str, Any]

# pyproject.toml's key, the lock's, and the value that is not written down.
_OPTIONS = (
    ("resolution", "resolution-mode", "highest"),
    ("prerelease", "prerelease-mode", "if-necessary-or-explicit"),
    ("fork-strategy", "fork-strategy", "requires-python"),
)
_REQUIREMENTS = (
    ("constraint-dependencies", "constraints"),
    ("override-dependencies", "overrides"),
    ("build-constraint-dependencies", "build-constraints"),
)


def settings_differences(
    root: Table,
    projects: Sequence[Table],
    members: Collection[str] | None,
    lock: LockFile,
    *,
    own_options: bool,
) -> list[Difference]:
    """Name the settings that the lock was made without, or with others.

    ``root``: the pyproject.toml of the workspace or only project; ``projects``: that and those of
    the members. ``members``: the names of the projects in the workspace, None if that cannot be
    said. ``own_options``: resolver options come from pyproject.toml, not from a uv.toml beside it.
    Raises nothing.
    """
    settings = root.get("tool", {}).get("uv", {})
    found: list[Difference] = []
    checks: tuple[Callable[[], Iterator[Difference]], ...] = (
        lambda: _python(projects, lock),
        lambda: _members(members, lock),
        lambda: _requirements(root, settings, lock),
        lambda: _environments(settings, lock),
        lambda: _conflicts(projects, lock),
        lambda: _options(settings, lock) if own_options else iter(()),
    )
    for check in checks:
        try:
            found += check()
        except malformed():
            continue  # malformed: uv's to report, with its own words
    return found


def _python(projects: Sequence[Table], lock: LockFile) -> Iterator[Difference]:
    """Compare the range in which all projects run; uv leaves out what is excluded within it."""
    from packaging.specifiers import SpecifierSet

    asked = [one.get("project", {}).get("requires-python", "") for one in projects]
    if not any(asked) or not lock.requires_python:
        return
    texts = [",".join(filter(None, asked)), lock.requires_python]
    one, other = (
        SpecifierSet(",".join(str(each) for each in SpecifierSet(text) if each.operator != "!="))
        for text in texts
    )
    numbers = product((3, 4), range(30), (0, 1, 5, 99))
    versions = [".".join(map(str, each)) for each in numbers]
    for text in re.findall(r"\d+\.\d+(?:\.\d+)?", ",".join(texts)):
        major, minor, patch = (*map(int, text.split(".")), 0)[:3]
        versions += [f"{major}.{minor}.{max(0, patch + step)}" for step in (-1, 0, 1)]
    if set(one.filter(versions, True)) != set(other.filter(versions, True)):
        yield Difference(
            "[project] requires-python", f"it was made for Python {other}, not for {texts[0]}"
        )


def _members(members: Collection[str] | None, lock: LockFile) -> Iterator[Difference]:
    if members is None:
        return
    # A project on its own is no member of anything.
    locked = set(map(normalize, lock.members))
    asked = set(members) if len(members) > 1 or locked else set()
    for name in sorted(asked ^ locked):
        change = "was added" if name in asked else "is no longer one"
        yield Difference("[tool.uv.workspace] members", f"member {name} {change}")


def _requirements(root: Table, settings: Table, lock: LockFile) -> Iterator[Difference]:
    sources = Sources(root, root)
    for key, locked_key in _REQUIREMENTS:
        place = f"[tool.uv] {key}"
        asked = [sources.asked(text, place) for text in settings.get(key, [])]
        entries = lock.manifest.get(locked_key, [])
        locked = [locked_requirement(entry, place) for entry in entries]
        yield from compare(asked, locked, lock.requires_python)
    excluded = set(map(normalize, settings.get("exclude-dependencies", [])))
    if excluded != set(map(normalize, lock.manifest.get("excludes", []))):
        yield Difference("[tool.uv] exclude-dependencies", "other packages are left out")


def _environments(settings: Table, lock: LockFile) -> Iterator[Difference]:
    for key, locked in (
        ("environments", lock.supported_markers),
        ("required-environments", lock.required_markers),
    ):
        asked = settings.get(key, [])
        asked = [asked] if isinstance(asked, str) else asked
        if bool(asked) != bool(locked) or not same_outcome(asked, locked, lock.requires_python):
            was = " or ".join(f"`{marker}`" for marker in locked) or "any"
            yield Difference(f"[tool.uv] {key}", f"the lock was made for {was}")


def _conflicts(projects: Sequence[Table], lock: LockFile) -> Iterator[Difference]:
    asked = set()
    including: dict[str, set[str]] = {}
    for one in projects:
        name = normalize(str(one.get("project", {}).get("name", "")))
        for group in one.get("tool", {}).get("uv", {}).get("conflicts", []):
            asked.add(frozenset(conflict_key(item, name) for item in group))
        for group, entries in one.get("dependency-groups", {}).items():
            for entry in entries:
                if isinstance(entry, dict):
                    included = conflict_key({"group": entry["include-group"]}, name)
                    including.setdefault(included, set()).add(conflict_key({"group": group}, name))
    # A group that includes a conflicting one conflicts with the same.
    inferred = set(asked)
    queue = list(asked)
    for group in queue:  # grows while it is read
        for item in group:
            for other in including.get(item, set()):
                more = group - {item} | {other}
                if more not in inferred:
                    inferred.add(more)
                    queue.append(more)
    if asked - lock.conflicts or lock.conflicts - inferred:
        yield Difference("[tool.uv] conflicts", "other extras or groups exclude each other")


def _options(settings: Table, lock: LockFile) -> Iterator[Difference]:
    for key, locked_key, default in _OPTIONS:
        asked, locked = settings.get(key), lock.options.get(locked_key, default)
        if asked is not None and asked != locked:
            yield Difference(f"[tool.uv] {key}", f"{asked} is asked for, the lock has {locked}")
    if "exclude-newer" in settings and "exclude-newer" not in lock.options:
        yield Difference("[tool.uv] exclude-newer", "the lock was made without it")
    known = {_metadata_key(one) for one in lock.manifest.get("dependency-metadata", [])}
    for one in settings.get("dependency-metadata", []):
        if _metadata_key(one) not in known:
            yield Difference("[tool.uv] dependency-metadata", f"{one['name']} was added")


def _metadata_key(table: Table) -> tuple[str, str]:
    return normalize(table["name"]), str(table.get("version", ""))
