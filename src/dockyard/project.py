"""A project's pyproject.toml and uv.lock, as the facts that a build needs.

pyproject.toml is that of the packaging specification (PEP 621, PEP 735 for groups) with uv's own
table; :mod:`dockyard.lock` reads the lock.
"""

from __future__ import annotations

import difflib
import hashlib
import tomllib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dockyard.errors import Problem, ProjectError
from dockyard.lock import LockFile, Package, PackageSource, Target, normalize, parse_lock, resolve

__all__ = [
    "Package",
    "PackageSource",
    "ProjectFacts",
    "Target",
    "check_copy_paths",
    "read_project",
]


@dataclass(frozen=True)
class ProjectFacts:
    """What a build needs of a project.

    ``packages``: what the chosen extras and groups install on the target, sorted by name, the
    project and its workspace members left out. ``lock_digest``: hex SHA-256 of uv.lock's bytes.
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
    pyproject, _ = _read_toml(
        directory / "pyproject.toml",
        ProjectError(
            "there is no pyproject.toml",
            where=str(directory),
            hint="`uv init` makes one; set DOCKYARD_PROJECT if the project is in another folder",
        ),
    )
    data, content = _read_toml(
        directory / "uv.lock",
        ProjectError(
            "there is no uv.lock",
            where=str(directory),
            hint="run `uv lock`, and commit the file",
        ),
    )
    lock = parse_lock(data, str(directory / "uv.lock"))
    project = pyproject.get("project", {})
    members = _member_files(directory, lock)
    files = [directory / "pyproject.toml", directory / "uv.lock", *members]
    tables = {directory / "pyproject.toml": pyproject}
    for path in members:
        tables[path], _ = _read_toml(
            path,
            ProjectError(
                "the lock names this workspace member, which is not there",
                where=str(path),
                hint="run `uv lock`",
            ),
        )
    from dockyard.lock_freshness import differences

    stale = [
        Problem(
            f"uv.lock is out of date: {difference}",
            where=str(path),
            hint="run `uv lock`, and commit the file",
        )
        for path, table in tables.items()
        for difference in differences(table, lock)
    ]
    if stale:
        raise ProjectError(*stale)
    name = normalize(str(project["name"])) if "name" in project else ""
    chosen_extras = tuple(map(normalize, extras))
    chosen_groups = tuple(map(normalize, groups))
    _check_chosen(pyproject, lock, chosen_extras, chosen_groups, directory)
    # A workspace root without a project of its own stands for all of its members.
    roots = [name] if name else list(map(normalize, lock.members))
    return ProjectFacts(
        name=name or directory.resolve().name.lower(),
        version=str(project.get("version", "") or _locked_version(lock, name)),
        description=str(project.get("description", "")),
        requires_python=str(project.get("requires-python", "")),
        extras=chosen_extras,
        groups=chosen_groups,
        packages=resolve(lock, roots, extras=chosen_extras, groups=chosen_groups, target=target),
        lock_digest=hashlib.sha256(content).hexdigest(),
        files=tuple(files),
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


def _unknown(kind: str, name: str, known: Collection[str], where: str) -> Problem:
    existing = ", ".join(sorted(known)) or "none"
    nearest = difflib.get_close_matches(name, known, 1)
    advice = f"did you mean {nearest[0]}?" if nearest else f"choose among: {existing}"
    plural = f"{kind}s"
    return Problem(
        f"there is no {kind} {name}; the project's {plural} are: {existing}",
        where=where,
        hint=f"DOCKYARD_{plural.upper()}: {advice}",
    )


def _check_chosen(
    pyproject: dict[str, Any],
    lock: LockFile,
    extras: Iterable[str],
    groups: Iterable[str],
    directory: Path,
) -> None:
    project = pyproject.get("project", {})
    name = normalize(str(project.get("name", "")))
    table = lock.find(name) or {}
    known_extras = {normalize(one) for one in project.get("optional-dependencies", {})}
    known_extras |= {normalize(one) for one in table.get("optional-dependencies", {})}
    known_groups = {normalize(one) for one in pyproject.get("dependency-groups", {})}
    known_groups |= {normalize(one) for one in table.get("dev-dependencies", {})}
    known_groups |= {normalize(one) for one in lock.manifest.get("dependency-groups", {})}
    if "dev-dependencies" in pyproject.get("tool", {}).get("uv", {}):
        known_groups.add("dev")
    where = str(directory / "pyproject.toml")
    problems = [_unknown("extra", one, known_extras, where) for one in extras if one not in known_extras]
    problems += [_unknown("group", one, known_groups, where) for one in groups if one not in known_groups]
    if problems:
        raise ProjectError(*problems)


def check_copy_paths(directory: Path, paths: Sequence[str]) -> None:
    """Raise ProjectError naming every path to copy that does not exist, and the nearest that does."""
    problems = []
    for path in paths:
        if (directory / path).exists() or any(sign in path for sign in "*?["):
            continue
        parent = (directory / path).parent
        siblings = [one.name for one in parent.iterdir()] if parent.is_dir() else []
        nearest = difflib.get_close_matches(Path(path).name, siblings, 1)
        advice = f"did you mean {Path(path).parent / nearest[0]}? " if nearest else ""
        problems.append(
            Problem(
                f"the path to copy {path} is not there",
                where=str(directory),
                hint=f"{advice}DOCKYARD_COPY_PATHS lists what the image gets",
            )
        )
    if problems:
        raise ProjectError(*problems)
