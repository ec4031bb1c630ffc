"""Whether uv.lock still says what pyproject.toml asks for, without starting uv.

uv writes each local package's requirements into the lock (``[package.metadata]``: uv's
``crates/uv-resolver/src/lock/mod.rs``, ``PackageMetadata``). They are compared by name, extras and
specifiers. Where the two could differ for another reason (sources, dynamic metadata, overrides)
nothing is said: a fresh lock must never be called out of date.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from dockyard.lock import LockFile, normalize

__all__ = ["differences"]

Requirements = dict[str, set[tuple[frozenset[str], frozenset[str]]]]


def differences(pyproject: dict[str, Any], lock: LockFile) -> list[str]:
    """Name what pyproject.toml asks for and its lock does not say, or says and it does not ask.

    Raises nothing: a requirement that cannot be parsed is uv's to report.
    """
    project = pyproject.get("project", {})
    table = lock.find(normalize(str(project.get("name", ""))))
    metadata = (table or {}).get("metadata")
    found = list(_python_difference(project, lock))
    if table is None:
        if project.get("name") and lock.packages:
            found.append(f"it does not hold {project['name']}")
        return found
    if not isinstance(metadata, dict):
        # uv leaves the metadata out where there is nothing to require.
        metadata = {}
    dynamic = project.get("dynamic", [])
    if "dependencies" not in dynamic:
        asked = _requirements(project.get("dependencies", []))
        locked = _locked(one for one in metadata.get("requires-dist", []) if not _extra_of(one))
        found += _compare(asked, locked, "dependencies")
    if "optional-dependencies" not in dynamic:
        asked_extras = {
            normalize(name): _requirements(values)
            for name, values in project.get("optional-dependencies", {}).items()
        }
        for extra, asked in asked_extras.items():
            locked = _locked(
                one for one in metadata.get("requires-dist", []) if _extra_of(one) == extra
            )
            found += _compare(asked, locked, f"extra {extra}")
    groups = metadata.get("requires-dev", {})
    for name, values in _groups(pyproject).items():
        if values is not None and (groups or lock.revision):
            found += _compare(_requirements(values), _locked(groups.get(name, [])), f"group {name}")
    return found


def _python_difference(project: dict[str, Any], lock: LockFile) -> Iterator[str]:
    asked = project.get("requires-python")
    # A workspace's lock holds the intersection of its members' ranges.
    if asked and lock.requires_python and len(lock.members) < 2:
        from packaging.specifiers import InvalidSpecifier, SpecifierSet

        try:
            if _specifiers(SpecifierSet(str(asked))) != _specifiers(
                SpecifierSet(lock.requires_python)
            ):
                yield f"requires-python is {asked}, the lock's is {lock.requires_python}"
        except InvalidSpecifier:
            return


def _specifiers(specifiers: Iterable[Any]) -> frozenset[str]:
    """Normalise a specifier set: uv and PEP 440 write one version in several ways."""
    from packaging.version import InvalidVersion, Version

    texts = set()
    for one in specifiers:
        version = one.version.removesuffix(".*")
        star = ".*" if one.version.endswith(".*") else ""
        try:
            release = Version(version)
            # Trailing zeros mean nothing but in ~= and prefix matches.
            plain = not star and one.operator not in ("~=", "===")
            version = _without_zeros(str(release)) if plain else str(release)
        except InvalidVersion:
            pass
        texts.add(f"{one.operator}{version}{star}")
    return frozenset(texts)


def _without_zeros(version: str) -> str:
    while version.endswith(".0"):
        version = version[:-2]
    return version


def _requirements(texts: Iterable[Any]) -> Requirements:
    from packaging.requirements import InvalidRequirement, Requirement

    found: Requirements = {}
    for text in texts:
        try:
            requirement = Requirement(str(text))
        except InvalidRequirement:
            continue
        extras = frozenset(map(normalize, requirement.extras))
        specifiers = frozenset() if requirement.url else _specifiers(requirement.specifier)
        found.setdefault(normalize(requirement.name), set()).add((extras, specifiers))
    return found


def _locked(entries: Iterable[dict[str, Any]]) -> Requirements:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    found: Requirements = {}
    for entry in entries:
        try:
            specifiers = _specifiers(SpecifierSet(str(entry.get("specifier", ""))))
        except InvalidSpecifier:
            specifiers = frozenset()
        extras = frozenset(map(normalize, entry.get("extras", [])))
        found.setdefault(normalize(str(entry.get("name", ""))), set()).add((extras, specifiers))
    return found


def _extra_of(entry: dict[str, Any]) -> str | None:
    """Read the extra that a locked requirement belongs to, which uv appends to its marker."""
    import re

    match = re.search(r"extra == '([^']+)'", str(entry.get("marker", "")))
    return normalize(match[1]) if match else None


def _groups(pyproject: dict[str, Any]) -> dict[str, list[Any] | None]:
    """Return each dependency group's requirements, includes followed; None where one is broken."""
    tables = {
        normalize(name): values for name, values in pyproject.get("dependency-groups", {}).items()
    }

    def flat(name: str, seen: tuple[str, ...]) -> list[Any] | None:
        if name in seen or name not in tables:
            return None
        texts: list[Any] = []
        for entry in tables[name]:
            if isinstance(entry, str):
                texts.append(entry)
            elif isinstance(entry, dict) and "include-group" in entry:
                included = flat(normalize(str(entry["include-group"])), (*seen, name))
                if included is None:
                    return None
                texts += included
        return texts

    found = {name: flat(name, ()) for name in tables}
    legacy = pyproject.get("tool", {}).get("uv", {}).get("dev-dependencies")
    if legacy is not None:
        own = found.get("dev", [])
        found["dev"] = None if own is None else [*own, *legacy]
    return found


def _compare(asked: Requirements, locked: Requirements, where: str) -> list[str]:
    found = [f"{name} was added to the {where}" for name in sorted(asked.keys() - locked.keys())]
    found += [
        f"{name} was removed from the {where}" for name in sorted(locked.keys() - asked.keys())
    ]
    for name in sorted(asked.keys() & locked.keys()):
        # uv may merge or split what one name is asked for under several markers.
        if len(asked[name]) == len(locked[name]) == 1 and asked[name] != locked[name]:
            found.append(f"{name} is asked for differently in the {where}")
    return found
