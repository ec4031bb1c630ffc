"""The history of any repository's lock: which lock, for which extras, on which Python."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from dockyard import process
from dockyard.errors import ProjectError
from dockyard.history import LOG_ENTRIES, lock_history
from dockyard.lock import normalize
from dockyard.lock_versions import History
from dockyard.target import Target

__all__ = ["LockChoice", "choose_lock", "read_git_history", "run_git"]

TIMEOUT_SECONDS = 120.0
# Images of these exist, in the order in which Dockyard would take one for a project.
PYTHONS = ("3.13", "3.12", "3.11", "3.14", "3.10", "3.9")
SHOWN_LOCKS = 10


@dataclass(frozen=True)
class LockChoice:
    """One lock of a repository: its path below the folder, and the notes that the choice needs."""

    path: str
    notes: tuple[str, ...] = ()


def run_git(
    directory: Path, arguments: Sequence[str], environment: Mapping[str, str] | None = None
) -> process.Completed:
    """Run git to its end in a folder. Raises ProjectError where there is no git."""
    try:
        return process.run(
            ["git", *arguments],
            directory=directory,
            environment=environment,
            timeout=TIMEOUT_SECONDS,
        )
    except FileNotFoundError as error:
        raise ProjectError(
            "there is no git, which reads the history", hint="install git, or give a JSON file"
        ) from error


def choose_lock(directory: Path, lock: str | None) -> LockChoice:
    """Choose the lock whose history is read: the one given, else the folder's, else the only one.

    Raises ProjectError if the folder is in no repository, there is no commit, no such lock in
    the history, or several and none was given.
    """
    inside = run_git(directory, ["rev-parse", "--git-dir"])
    if not inside.succeeded:
        reason = (inside.stderr.strip().splitlines() or ["git failed"])[0]
        raise ProjectError(
            f"it is in no git repository: {reason}",
            where=str(directory),
            hint="give a repository's folder or URL, or a JSON file of lock versions",
        )
    if not run_git(directory, ["rev-parse", "--verify", "--quiet", "HEAD"]).succeeded:
        raise ProjectError(
            "the repository has no commit yet", where=str(directory), hint="commit uv.lock"
        )
    if lock is not None:
        path = PurePosixPath(lock)
        name = str(path if path.name.endswith(".lock") else path / "uv.lock")
        if _has_history(directory, name):
            return LockChoice(name)
        raise ProjectError(
            f"git has no commit of {name}", where=str(directory), hint=_known(_locks(directory))
        )
    found = _locks(directory)
    if "uv.lock" in found or _has_history(directory, "uv.lock"):
        others = [one for one in found if one != "uv.lock"]
        notes = (f"other locks, for --lock: {_some(others)}",) if others else ()
        return LockChoice("uv.lock", notes)
    if len(found) == 1:
        return LockChoice(found[0], (f"the lock is {found[0]}",))
    if not found:
        raise ProjectError(
            "there is no uv.lock in the repository, and never was one",
            where=str(directory),
            hint="only projects that uv locks can be replayed: run `uv lock`, and commit the file",
        )
    raise ProjectError(
        f"there are {len(found)} locks: {_some(found)}",
        where=str(directory),
        hint=f"choose one, such as --lock {found[0]}",
    )


def _has_history(directory: Path, lock: str) -> bool:
    found = run_git(directory, ["log", "--max-count=1", "--format=%H", "--", lock])
    return bool(found.stdout.strip())


def _locks(directory: Path) -> list[str]:
    """List the locks below a folder: today's, or where there is none those that once were."""
    listed = run_git(directory, ["ls-tree", "-r", "-z", "--name-only", "HEAD"])
    names = [one for one in listed.stdout.split("\0") if PurePosixPath(one).name == "uv.lock"]
    if not names:
        once = run_git(
            directory,
            ["log", "-z", "--format=", "--name-only", "--relative", "--", ":(glob)**/uv.lock"],
        )
        names = [one for one in once.stdout.replace("\n", "\0").split("\0") if one]
    return sorted(dict.fromkeys(names), key=lambda one: (one.count("/"), one))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN_LOCKS} more" if len(names) > SHOWN_LOCKS else ""
    return ", ".join(names[:SHOWN_LOCKS]) + more


def _known(names: Sequence[str]) -> str:
    return f"there are {_some(names)}" if names else "there is no uv.lock in this repository"


def read_git_history(
    directory: Path,
    choice: LockChoice,
    *,
    extras: Sequence[str] = (),
    groups: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[History, tuple[str, ...]]:
    """Read a lock's whole history, and say for what: extras, groups, Python.

    Extras and groups are those given, else those of ``[tool.dockyard]`` in the newest pyproject.
    """
    folder = PurePosixPath(choice.path).parent
    pyproject = _newest_pyproject(directory, f"./{folder}", environment)
    # Where Dockyard is used from a repository's root, its table is there and names the folder.
    prefix = run_git(directory, ["rev-parse", "--show-prefix"]).stdout.strip()
    place = PurePosixPath(prefix) / folder
    tool = _dockyard(pyproject, place, place)
    if not tool and place != PurePosixPath():
        tool = _dockyard(_newest_pyproject(directory, "", environment), PurePosixPath(), place)
    notes = list(choice.notes)
    if not extras and not groups:
        extras, groups = _strings(tool.get("extras")), _strings(tool.get("groups"))
    chosen = (*(f"extra {one}" for one in extras), *(f"group {one}" for one in groups))
    project = _table(pyproject, "project")
    offered = sorted(map(normalize, _table(project, "optional-dependencies")))
    if chosen:
        notes.append(f"with {', '.join(chosen)}")
    elif offered:
        notes.append(f"without the project's extras, for --extra: {_some(offered)}")
    python = _python(str(project.get("requires-python", "")))
    if python != PYTHONS[0]:
        notes.append(f"for Python {python}, as the project requires")
    history = lock_history(
        directory,
        extras=tuple(map(normalize, extras)),
        groups=tuple(map(normalize, groups)),
        target=Target(python=python),
        limit=LOG_ENTRIES,
        lock=choice.path,
        progress=progress,
    )
    return history, tuple(notes)


def _newest_pyproject(
    directory: Path, folder: str, environment: Mapping[str, str] | None
) -> dict[str, Any]:
    """Read a folder's pyproject.toml as committed last; {} where there is none.

    ``folder`` counts from the repository's root, with ``./`` from the directory.
    """
    path = f"{folder}/pyproject.toml" if folder else "pyproject.toml"
    shown = run_git(directory, ["show", f"HEAD:{path}"], environment)
    if not shown.succeeded and path.startswith("./"):
        # A bare repository has no folder that "./" could be.
        plain = str(PurePosixPath(path))
        shown = run_git(directory, ["show", f"HEAD:{plain}"], environment)
    try:
        return tomllib.loads(shown.stdout) if shown.succeeded else {}
    except tomllib.TOMLDecodeError:
        return {}


def _dockyard(pyproject: Mapping[str, Any], at: PurePosixPath, of: PurePosixPath) -> dict[str, Any]:
    """Return ``[tool.dockyard]`` of the pyproject in ``at``, if it is for the project in ``of``."""
    tool = _table(_table(pyproject, "tool"), "dockyard")
    return tool if at / str(tool.get("project", ".")) == of else {}


def _table(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = values.get(key)
    return found if isinstance(found, dict) else {}


def _strings(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(value.replace(",", " ").split())
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _python(requires: str) -> str:
    """Choose the Python that an image would have; the usual one where nothing is said."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        wanted = SpecifierSet(requires)
    except InvalidSpecifier:
        return PYTHONS[0]
    return next((one for one in PYTHONS if wanted.contains(f"{one}.99")), PYTHONS[0])
