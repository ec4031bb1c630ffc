"""A project's pyproject.toml and uv.lock, as the facts that a build needs.

pyproject.toml is that of the packaging specification (PEP 621, PEP 735 for groups) with uv's own
table; :mod:`dockyard.lock` reads the lock.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dockyard.errors import ProjectError
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
from dockyard.project_checks import (
    check_chosen,
    check_copy_paths,
    check_fresh,
    check_python,
    check_shape,
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
    check_shape(pyproject, path)
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
        check_shape(tables[member], member)
    check_fresh(directory, tables, pyproject, lock)
    check_python(lock, target, path)
    name = normalize(str(project.get("name", "")))
    # A workspace root without a project of its own stands for all of its members.
    roots = [name] if name else list(map(normalize, lock.members))
    chosen_extras = tuple(dict.fromkeys(map(normalize, extras)))
    chosen_groups = tuple(dict.fromkeys(map(normalize, groups)))
    check_chosen(pyproject, lock, roots, chosen_extras, chosen_groups, path)
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
