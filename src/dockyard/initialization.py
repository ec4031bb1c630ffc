"""What ``invoke init`` writes: decided first as values, shown, and only then carried out."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard.dockerfile import (
    DockerfileState,
    accept,
    dockerfile_state,
    read_plan,
    recipe,
    render,
    render_dockerignore,
)
from dockyard.dockerfile_upkeep import NO_PLAN, past_locks
from dockyard.env_example import render_env_example
from dockyard.errors import DockerfileError, DockyardError, ProjectError, unwritable
from dockyard.known_project import project_facts, target_of
from dockyard.local_packages import find_local_packages
from dockyard.project import check_copy_paths
from dockyard.state import write_atomically

if TYPE_CHECKING:
    from dockyard.layers import LayerPlan
    from dockyard.local_packages import LocalPackages
    from dockyard.project import ProjectFacts
    from dockyard.settings import Settings

__all__ = [
    "Action",
    "FileChange",
    "Side",
    "apply_changes",
    "difference",
    "plan_changes",
    "read_text",
]


class Action(StrEnum):
    """What happens to a file."""

    WRITE = "write"
    RENDER = "render again"
    REPLACE = "replace, keeping a .backup"
    EDIT = "edit, keeping a .backup"
    ACCEPT = "accept as it is"
    LEAVE = "leave"


class Side(StrEnum):
    """Whose Dockerfile is taken where an edited one and the rendered one differ."""

    NEITHER = "neither"
    RENDERED = "rendered"
    EDITED = "edited"


@dataclass(frozen=True)
class FileChange:
    """One file: what happens to it, why, and its text afterwards (and before, if there was one)."""

    path: Path
    action: Action
    reason: str
    before: str | None
    after: str

    @property
    def writes(self) -> bool:
        """Whether applying this changes the disk."""
        return self.action is not Action.LEAVE

    def diff(self, root: Path) -> str:
        """Show the change as a unified diff, with the path below ``root``."""
        name = os.path.relpath(self.path, root)
        lines = difflib.unified_diff(
            (self.before or "").splitlines(),
            self.after.splitlines(),
            "/dev/null" if self.before is None else f"a/{name}",
            f"b/{name}",
            lineterm="",
        )
        return "\n".join(lines)


def read_text(path: Path) -> str | None:
    """Read a file with its own line ends; None where there is none.

    Raises DockyardError where something is there that is no readable text.
    """
    try:
        return path.read_bytes().decode()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise DockyardError(
            f"it cannot be read: {error}", where=str(path), hint="mend or move the file"
        ) from error


def _local_packages(settings: Settings, facts: ProjectFacts) -> LocalPackages:
    return find_local_packages(
        settings.root / settings.project,
        facts,
        install=settings.install,
        copy_paths=settings.copy_paths,
    )


def _new_plan(settings: Settings, facts: ProjectFacts) -> LayerPlan:
    from dockyard.layer_keeping import new_plan

    history = past_locks(settings, target_of(settings), remember=False)
    return new_plan(facts.packages, history, settings.layers)


def _dockerfile_change(settings: Settings, side: Side, facts: ProjectFacts) -> FileChange:
    path = settings.root / settings.dockerfile
    before = read_text(path)
    try:
        plan = read_plan(before, settings.dockerfile) if before else None
    except DockerfileError:
        if side is not Side.RENDERED:
            raise
        plan = None
    if plan is None:
        # One that keeps no plan is compared with none; a rendered one gets a new plan.
        keeps_none = before is not None and side is not Side.RENDERED
        plan = NO_PLAN if keeps_none else _new_plan(settings, facts)
    rendered = render(
        recipe(settings, settings.image or facts.name, _local_packages(settings, facts)), plan
    )
    state = dockerfile_state(before, rendered)
    if before is None:
        return FileChange(path, Action.WRITE, "there is none", None, rendered)
    if state is DockerfileState.CURRENT:
        return FileChange(path, Action.LEAVE, "it is up to date", before, before)
    if state is DockerfileState.OUTDATED:
        reason = "nobody edited it, and its settings changed"
        return FileChange(path, Action.RENDER, reason, before, rendered)
    if side is Side.RENDERED:
        return FileChange(path, Action.REPLACE, "you asked for the rendered one", before, rendered)
    if side is Side.EDITED and state is DockerfileState.DIVERGED:
        after = accept(before, rendered)
        return FileChange(path, Action.ACCEPT, "you asked to keep yours", before, after)
    reason = "it was edited by hand (--diff shows how, --replace takes the rendered one"
    reason += ", --keep yours)" if state is DockerfileState.DIVERGED else ")"
    return FileChange(path, Action.LEAVE, reason, before, before)


def _missing_only(path: Path, text: str) -> FileChange:
    before = read_text(path)
    if before is None:
        return FileChange(path, Action.WRITE, "there is none", None, text)
    return FileChange(path, Action.LEAVE, "it is there", before, before)


def _ignore_change(settings: Settings, facts: ProjectFacts, *, beside: bool) -> FileChange:
    project = settings.root / settings.project
    text = render_dockerignore(
        settings.copy_paths, settings.install, _local_packages(settings, facts)
    )
    change = _missing_only(project / ".dockerignore", text)
    if not beside or change.before in (None, text):
        return change
    # BuildKit prefers one beside the Dockerfile, so that one of another image may stay.
    dockerfile = settings.root / settings.dockerfile
    own = _missing_only(dockerfile.with_name(f"{dockerfile.name}.dockerignore"), text)
    reason = ".dockerignore is there, and is yours"
    return replace(own, reason=reason) if own.before is None else own


def plan_changes(
    settings: Settings, side: Side = Side.NEITHER, *, ignore_beside: bool = False
) -> tuple[FileChange, ...]:
    """Decide what ``init`` does to the files that builds need, and write nothing.

    ``ignore_beside``: where a .dockerignore is, write another beside the Dockerfile.
    """
    project = settings.root / settings.project
    facts = project_facts(settings)
    dockerfile = _dockerfile_change(settings, side, facts)
    check_copy_paths(project, settings.copy_paths)
    return (
        dockerfile,
        _ignore_change(settings, facts, beside=ignore_beside),
        _missing_only(settings.root / ".env.example", render_env_example()),
    )


def difference(settings: Settings) -> str:
    """Compare the Dockerfile with the one that the settings would render, as a unified diff."""
    path = settings.root / settings.dockerfile
    change = _dockerfile_change(settings, Side.RENDERED, project_facts(settings))
    if change.before is None:
        raise DockerfileError("there is no Dockerfile", where=str(path), hint="`invoke init`")
    return "".join(
        difflib.unified_diff(
            change.before.splitlines(keepends=True),
            change.after.splitlines(keepends=True),
            f"{settings.dockerfile} (yours)",
            f"{settings.dockerfile} (rendered)",
        )
    )


def _backup(path: Path) -> Path:
    candidate = path.with_name(path.name + ".backup")
    number = 2
    while candidate.exists():
        candidate = path.with_name(f"{path.name}.backup{number}")
        number += 1
    return candidate


def _check_writable(path: Path) -> None:
    """Raise ProjectError unless a file can be written there, whatever is there now."""
    if path.is_symlink() and not path.exists():
        raise ProjectError(
            "it is a link that leads nowhere", where=str(path), hint="mend or remove the link"
        )
    place = path.parent
    while not (place.exists() or place.is_symlink()):
        place = place.parent
    if not place.is_dir():
        raise ProjectError(
            "it is a file, and a folder is needed there", where=str(place), hint="move the file"
        )
    # An existing file is replaced by a new one, so it is the folder that must be writable.
    place = path.resolve().parent if path.exists() else place
    if not os.access(place, os.W_OK | os.X_OK):
        raise ProjectError(
            "the folder cannot be written to; nothing was changed",
            where=str(place),
            hint="make it writable, or work in a copy; --dry-run shows what would be written",
        )


def apply_changes(changes: Sequence[FileChange]) -> tuple[Path, ...]:
    """Carry out what was decided, all or nothing; return where the old texts are kept.

    The old text of a file that was the user's is kept beside it first. A link is followed.
    Raises DockyardError where something cannot be written; then all is as it was before.
    """
    wanted = [change for change in changes if change.writes]
    for change in wanted:
        _check_writable(change.path)
    undo = ExitStack()
    backups: list[Path] = []
    with undo:
        for change in wanted:
            try:
                backups += _carry_out(change, undo)
            except OSError as error:
                raise unwritable(error, str(change.path), "nothing was changed") from error
        undo.pop_all()
    return tuple(backups)


def _carry_out(change: FileChange, undo: ExitStack) -> list[Path]:
    path = change.path.resolve()
    missing = [one for one in path.parents if not one.exists()]
    if missing:
        undo.callback(_remove_empty, missing)
        path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    kept: list[Path] = []
    if change.before is None:
        undo.callback(path.unlink, missing_ok=True)
    else:
        undo.callback(_restore, path, change.before, mode)
        if change.action in (Action.REPLACE, Action.EDIT):
            backup = _backup(path)
            undo.callback(backup.unlink, missing_ok=True)
            write_atomically(backup, change.before, mode)
            kept.append(backup)
    write_atomically(path, change.after, mode)
    return kept


def _restore(path: Path, text: str, mode: int) -> None:
    """Give a file its old text back, unless it still has it: a full disk takes nothing more."""
    if read_text(path) != text:
        write_atomically(path, text, mode)


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove folders that were made, innermost first; one that holds something stays."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
