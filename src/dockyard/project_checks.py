"""What is wrong with a project: its lock, the choice of extras and groups, its paths.

Each function raises ProjectError naming everything that it finds, and what to do next.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from dockyard.errors import Problem, ProjectError
from dockyard.lock_file import LockFile, normalize
from dockyard.target import Target

__all__ = ["check_chosen", "check_copy_paths", "check_fresh", "check_python", "check_shape"]

# What is read of a pyproject.toml, and what it must be where it is there at all.
_SHAPE: tuple[tuple[tuple[str, ...], type, str], ...] = (
    (("project",), dict, "a table"),
    (("project", "name"), str, "a text"),
    (("project", "optional-dependencies"), dict, "a table"),
    (("dependency-groups",), dict, "a table"),
    (("tool",), dict, "a table"),
    (("tool", "uv"), dict, "a table"),
    (("tool", "uv", "conflicts"), list, "a list"),
    (("tool", "uv", "sources"), dict, "a table"),
    (("tool", "uv", "workspace"), dict, "a table"),
)


def check_shape(pyproject: dict[str, Any], path: Path) -> None:
    """Check that what is read of a pyproject.toml has the type that it must.

    Raises ProjectError naming the first key that has not.
    """
    for keys, kind, expected in _SHAPE:
        value: Any = pyproject
        for key in keys:
            value = value.get(key, {}) if isinstance(value, dict) else {}
        if value != {} and not isinstance(value, kind):
            raise _misshapen(path, keys, expected)
    for group in pyproject.get("tool", {}).get("uv", {}).get("conflicts", []):
        if not isinstance(group, list) or not all(
            isinstance(item, dict) and all(isinstance(text, str) for text in item.values())
            for item in group
        ):
            raise _misshapen(path, ("tool", "uv", "conflicts"), "a list of lists of tables")


def _misshapen(path: Path, keys: tuple[str, ...], expected: str) -> ProjectError:
    return ProjectError(
        f"it must be {expected}", where=f"{path}, {'.'.join(keys)}", hint="`uv lock` says more"
    )


def check_fresh(
    directory: Path, tables: dict[Path, dict[str, Any]], root: dict[str, Any], lock: LockFile
) -> None:
    """Check that the lock was made from the pyproject.toml files ``tables``, by their paths.

    ``root`` is the one in ``directory``. Raises ProjectError naming each difference.
    """
    from dockyard.lock_freshness import differences
    from dockyard.lock_settings import settings_differences

    found = [
        (path, difference)
        for path, table in tables.items()
        for difference in differences(table, lock, root)
    ]
    of_settings = settings_differences(
        root,
        list(tables.values()),
        _workspace_members(directory, root),
        lock,
        own_options=not (directory / "uv.toml").exists(),
    )
    found += [(directory / "pyproject.toml", difference) for difference in of_settings]
    stale = [
        Problem(
            f"uv.lock is out of date: {difference.message}",
            where=f"{path}, {difference.key}",
            hint="run `uv lock`, and commit the file",
        )
        for path, difference in found
    ]
    if stale:
        raise ProjectError(*stale)


def _workspace_members(directory: Path, root: dict[str, Any]) -> set[str] | None:
    """Name the projects of the workspace as uv's ``crates/uv-workspace/src/workspace.rs`` does.

    What is excluded, has no pyproject.toml or is not managed by uv is none. None where a pattern or
    a pyproject.toml cannot be read, which is uv's to report.
    """
    workspace = root.get("tool", {}).get("uv", {}).get("workspace", {})
    names = {root["project"]["name"]} if "project" in root else set()
    try:
        excluded = {path for text in workspace.get("exclude", []) for path in directory.glob(text)}
        folders = {path for text in workspace.get("members", []) for path in directory.glob(text)}
        for folder in folders - excluded:
            path = folder / "pyproject.toml"
            if not path.is_file():
                continue
            table = tomllib.loads(path.read_text())
            if table.get("tool", {}).get("uv", {}).get("managed") is not False:
                names.add(table["project"]["name"])
        return set(map(normalize, names))
    except (AttributeError, KeyError, NotImplementedError, OSError, TypeError, ValueError):
        return None


def check_python(lock: LockFile, target: Target, path: Path) -> None:
    """Raise ProjectError if no Python that the target can mean is one that the project allows."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    if target.python.count(".") >= 2:
        versions = [target.python]
    else:
        versions = [f"{target.python}.{patch}" for patch in range(100)]
    try:
        allowed = SpecifierSet(lock.requires_python)
    except InvalidSpecifier:
        return
    if not any(allowed.contains(version, prereleases=True) for version in versions):
        raise ProjectError(
            f"the image's Python {target.python} is not one that the lock is for: {allowed}",
            where=f"{path}, [project] requires-python",
            hint="choose another DOCKYARD_PYTHON_IMAGE, or widen requires-python and run `uv lock`",
        )


def _unknown(kind: str, name: str, known: Collection[str], path: Path) -> Problem:
    existing = ", ".join(sorted(known)) or "none"
    nearest = difflib.get_close_matches(name, known, 1)
    advice = f"did you mean {nearest[0]}?" if nearest else f"choose among: {existing}"
    advice = advice if known else "the project has none"
    table = {"extra": "[project.optional-dependencies]", "group": "[dependency-groups]"}[kind]
    return Problem(
        f"there is no {kind} {name}; the project's {kind}s are: {existing}",
        where=f"{path}, {table}",
        hint=f"DOCKYARD_{kind.upper()}S: {advice}",
    )


def check_chosen(
    pyproject: dict[str, Any],
    lock: LockFile,
    roots: Iterable[str],
    extras: Iterable[str],
    groups: Iterable[str],
    path: Path,
) -> None:
    """Check that each extra and group that was chosen exists, in a root package or the workspace.

    Raises ProjectError naming each that does not, and the nearest that does.
    """
    # The lock leaves out what is empty, pyproject.toml what a build backend adds.
    known_extras = set(pyproject.get("project", {}).get("optional-dependencies", {}))
    known_groups = {*pyproject.get("dependency-groups", {})}
    known_groups |= {*lock.manifest.get("dependency-groups", {})}
    if "dev-dependencies" in pyproject.get("tool", {}).get("uv", {}):
        known_groups.add("dev")
    for root in roots:
        table = lock.find(root) or {}
        known_extras |= {*table.get("optional-dependencies", {})}
        known_groups |= {*table.get("dev-dependencies", {})}
    known_extras = set(map(normalize, known_extras))
    known_groups = set(map(normalize, known_groups))
    problems = [
        _unknown(kind, name, known, path)
        for kind, chosen, known in (
            ("extra", extras, known_extras),
            ("group", groups, known_groups),
        )
        for name in chosen
        if name not in known
    ]
    if problems:
        raise ProjectError(*problems)


def check_copy_paths(directory: Path, paths: Sequence[str]) -> None:
    """Check that each path to copy is in the folder; one with a wildcard is Docker's to check.

    Raises ProjectError naming every one that is not, and the nearest that is.
    """
    problems = []
    for path in paths:
        relative = Path(path.lstrip("/"))
        if any(sign in path for sign in "*?["):
            continue
        # Not Path.resolve: a link that leads to itself would be an error of its own.
        place = os.path.realpath(directory / relative)
        inside = Path(place).is_relative_to(os.path.realpath(directory))
        if ".." in relative.parts or not inside:
            message, hint = "is outside the build context", "only what is below can be copied"
        elif not (directory / relative).exists():
            message, hint = "is not there", _nearest(directory, relative)
        else:
            continue
        problems.append(
            Problem(
                f"the path to copy {path} {message}",
                where=str(directory),
                hint=f"DOCKYARD_COPY_PATHS: {hint}",
            )
        )
    if problems:
        raise ProjectError(*problems)


def _nearest(directory: Path, missing: Path) -> str:
    """Describe the existing path that a missing one most likely stands for."""
    parent = next(one for one in missing.parents if (directory / one).is_dir())
    wanted = missing.parts[len(parent.parts)]
    siblings = sorted(one.name for one in (directory / parent).iterdir())
    lowered = {name.lower(): name for name in siblings}
    if close := difflib.get_close_matches(wanted.lower(), lowered, 1):
        return f"did you mean {(parent / lowered[close[0]]).as_posix()}?"
    shown = ", ".join(name for name in siblings if not name.startswith("."))
    place = "the folder" if parent == Path() else parent.as_posix()
    return f"{place} has {shown or 'nothing'}"
