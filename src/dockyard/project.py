"""A project's pyproject.toml and uv.lock, as the facts that a build needs.

pyproject.toml is that of the packaging specification (PEP 621, PEP 735 for groups) with uv's own
table; :mod:`dockyard.lock` reads the lock.
"""

from __future__ import annotations

import difflib
import hashlib
import tomllib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dockyard.errors import Problem, ProjectError
from dockyard.lock import (
    LockFile,
    Package,
    PackageSource,
    conflict_key,
    normalize,
    parse_lock,
    resolve,
    resolve_members,
)
from dockyard.target import Target

if TYPE_CHECKING:
    from dockyard.settings import Settings

__all__ = [
    "Package",
    "PackageSource",
    "ProjectFacts",
    "Target",
    "check_copy_paths",
    "image_name",
    "read_project",
]


@dataclass(frozen=True)
class ProjectFacts:
    """What a build needs of a project.

    ``packages``: what the chosen extras and groups install on the target, sorted by name, the
    project and its workspace members left out; ``members``: these, the project first, as far as
    they can be installed. ``lock_digest``: hex SHA-256 of uv.lock's bytes.
    ``files``: every file that was read.
    """

    name: str
    version: str
    description: str
    requires_python: str
    extras: tuple[str, ...]
    groups: tuple[str, ...]
    packages: tuple[Package, ...]
    lock_digest: str
    files: tuple[Path, ...]
    members: tuple[Package, ...] = ()


def _read_toml(path: Path, missing: ProjectError) -> tuple[dict[str, Any], bytes]:
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise missing from None
    except OSError as error:
        raise ProjectError(f"it cannot be read: {error.strerror}", where=str(path)) from error
    try:
        return tomllib.loads(content.decode()), content
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProjectError(
            f"it is no valid TOML: {error}",
            where=str(path),
            hint="`uv lock` writes uv.lock anew" if path.name == "uv.lock" else "mend that line",
        ) from error


def read_project(
    directory: Path, *, extras: Sequence[str], groups: Sequence[str], target: Target
) -> ProjectFacts:
    """Read a project and check that its lock is up to date and has what is asked for.

    Raises ProjectError: a file is missing or malformed; the lock is out of date; an extra or group
    does not exist; two that conflict are chosen.
    """
    path = directory / "pyproject.toml"
    pyproject, _ = _read_toml(
        path,
        ProjectError(
            "there is no pyproject.toml",
            where=str(directory),
            hint="`uv init` makes one; set DOCKYARD_PROJECT if the project is in another folder",
        ),
    )
    project = _project_table(pyproject, path)
    data, content = _read_toml(directory / "uv.lock", _no_lock(directory))
    lock = parse_lock(data, str(directory / "uv.lock"))
    tables = {path: pyproject}
    for member in _member_files(directory, lock):
        tables[member], _ = _read_toml(
            member,
            ProjectError(
                "the lock names this workspace member, which is not there",
                where=str(member),
                hint="run `uv lock`",
            ),
        )
    _check_fresh(directory, tables, pyproject, lock)
    _check_python(lock, target, path)
    name = normalize(str(project.get("name", "")))
    # A workspace root without a project of its own stands for all of its members.
    roots = [name] if name else list(map(normalize, lock.members))
    chosen_extras = tuple(dict.fromkeys(map(normalize, extras)))
    chosen_groups = tuple(dict.fromkeys(map(normalize, groups)))
    _check_chosen(pyproject, lock, roots, chosen_extras, chosen_groups, path)
    declared = pyproject.get("tool", {}).get("uv", {}).get("conflicts", [])
    conflicts = {frozenset(conflict_key(item, name) for item in group) for group in declared}
    lock = replace(lock, conflicts=lock.conflicts | conflicts)
    return ProjectFacts(
        name=name or directory.resolve().name.lower(),
        version=str(project.get("version", "") or _locked_version(lock, name)),
        description=str(project.get("description", "")),
        requires_python=str(project.get("requires-python", "")),
        extras=chosen_extras,
        groups=chosen_groups,
        packages=resolve(lock, roots, extras=chosen_extras, groups=chosen_groups, target=target),
        members=resolve_members(
            lock, roots, extras=chosen_extras, groups=chosen_groups, target=target
        ),
        lock_digest=hashlib.sha256(content).hexdigest(),
        files=(path, directory / "uv.lock", *(member for member in tables if member != path)),
    )


def image_name(settings: Settings) -> str:
    """Name the image as a build does: as the settings say, else as the project is called.

    Raises ProjectError where pyproject.toml is missing or malformed.
    """
    if settings.image:
        return settings.image
    directory = settings.root / settings.project
    path = directory / "pyproject.toml"
    pyproject, _ = _read_toml(
        path, ProjectError("there is no pyproject.toml", where=str(directory))
    )
    name = _project_table(pyproject, path).get("name")
    return normalize(str(name)) if name else directory.resolve().name.lower()


def _project_table(pyproject: dict[str, Any], path: Path) -> dict[str, Any]:
    project = pyproject.get("project")
    if project is None and "workspace" in pyproject.get("tool", {}).get("uv", {}):
        return {}
    if not isinstance(project, dict) or not isinstance(project.get("name"), str):
        raise ProjectError(
            "there is no [project] table with a name (PEP 621)",
            where=f"{path}, [project] name",
            hint="Dockyard builds projects that uv manages: `uv init` writes that table",
        )
    return project


def _no_lock(directory: Path) -> ProjectError:
    for parent in directory.resolve().parents:
        if (parent / "uv.lock").is_file():
            return ProjectError(
                f"there is no uv.lock, but {parent} has one",
                where=str(directory),
                hint="a workspace is built from its root: point DOCKYARD_PROJECT there",
            )
    return ProjectError(
        "there is no uv.lock", where=str(directory), hint="run `uv lock`, and commit the file"
    )


def _check_fresh(
    directory: Path, tables: dict[Path, dict[str, Any]], root: dict[str, Any], lock: LockFile
) -> None:
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

    Hidden folders, excluded ones and those that uv does not manage are none. None where a pattern
    or a pyproject.toml cannot be read, which is uv's to report.
    """
    workspace = root.get("tool", {}).get("uv", {}).get("workspace", {})
    names = {root["project"]["name"]} if "project" in root else set()
    try:
        excluded = {path for text in workspace.get("exclude", []) for path in directory.glob(text)}
        folders = {path for text in workspace.get("members", []) for path in directory.glob(text)}
        for folder in folders - excluded:
            path = folder / "pyproject.toml"
            if folder.name.startswith(".") or not path.is_file():
                continue
            table = tomllib.loads(path.read_text())
            if table.get("tool", {}).get("uv", {}).get("managed") is not False:
                names.add(table["project"]["name"])
        return set(map(normalize, names))
    except (AttributeError, KeyError, NotImplementedError, OSError, TypeError, ValueError):
        return None


def _check_python(lock: LockFile, target: Target, path: Path) -> None:
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


def _locked_version(lock: LockFile, name: str) -> str:
    table = lock.find(name) or {}
    return str(table.get("version", "0"))


def _member_files(directory: Path, lock: LockFile) -> list[Path]:
    """List the pyproject.toml of each workspace member but the root, as the lock locates them."""
    found = []
    for member in lock.members:
        source = (lock.find(normalize(member)) or {}).get("source", {})
        location = source.get("editable") or source.get("virtual") or source.get("directory")
        if location and location != ".":
            found.append(directory / location / "pyproject.toml")
    return found


def _unknown(kind: str, name: str, known: Collection[str], path: Path) -> Problem:
    existing = ", ".join(sorted(known)) or "none"
    nearest = difflib.get_close_matches(name, known, 1)
    advice = f"did you mean {nearest[0]}?" if nearest else f"choose among: {existing}"
    table = {"extra": "[project.optional-dependencies]", "group": "[dependency-groups]"}[kind]
    return Problem(
        f"there is no {kind} {name}; the project's {kind}s are: {existing}",
        where=f"{path}, {table}",
        hint=f"DOCKYARD_{kind.upper()}S: {advice}",
    )


def _check_chosen(
    pyproject: dict[str, Any],
    lock: LockFile,
    roots: Iterable[str],
    extras: Iterable[str],
    groups: Iterable[str],
    path: Path,
) -> None:
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
        if ".." in relative.parts:
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
    if close := difflib.get_close_matches(wanted, siblings, 1):
        return f"did you mean {(parent / close[0]).as_posix()}?"
    shown = ", ".join(name for name in siblings if not name.startswith("."))
    place = "the folder" if parent == Path() else parent.as_posix()
    return f"{place} has {shown or 'nothing'}"
