"""What ``invoke init`` writes: decided first as values, shown, and only then carried out."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
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
from dockyard.errors import DockerfileError, DockyardError
from dockyard.known_project import project_facts, target_of
from dockyard.local_packages import find_local_packages
from dockyard.project import check_copy_paths
from dockyard.state import write_atomically

if TYPE_CHECKING:
    from dockyard.layers import LayerPlan
    from dockyard.local_packages import LocalPackages
    from dockyard.project import ProjectFacts
    from dockyard.settings import Settings

__all__ = ["Action", "FileChange", "Side", "apply_changes", "difference", "plan_changes"]

TASKS = '''"""The image's tasks: `invoke --list`."""

from dockyard.collection import namespace

ns = namespace()
'''


class Action(StrEnum):
    """What happens to a file."""

    WRITE = "write"
    RENDER = "render again"
    REPLACE = "replace, keeping a .backup"
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


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
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
    before = _read(path)
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
    before = _read(path)
    if before is None:
        return FileChange(path, Action.WRITE, "there is none", None, text)
    return FileChange(path, Action.LEAVE, "it is there", before, before)


def plan_changes(settings: Settings, side: Side = Side.NEITHER) -> tuple[FileChange, ...]:
    """Decide what ``init`` does to each file, and write nothing."""
    project = settings.root / settings.project
    facts = project_facts(settings)
    dockerfile = _dockerfile_change(settings, side, facts)
    check_copy_paths(project, settings.copy_paths)
    ignored = render_dockerignore(
        settings.copy_paths, settings.install, _local_packages(settings, facts)
    )
    return (
        dockerfile,
        _missing_only(project / ".dockerignore", ignored),
        _missing_only(settings.root / ".env.example", render_env_example()),
        _missing_only(settings.root / "tasks.py", TASKS),
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


def apply_changes(changes: Sequence[FileChange]) -> None:
    """Carry out what was decided. A replaced file's old text is kept beside it first."""
    for change in changes:
        if not change.writes:
            continue
        try:
            change.path.parent.mkdir(parents=True, exist_ok=True)
            if change.action is Action.REPLACE and change.before is not None:
                write_atomically(_backup(change.path), change.before)
            write_atomically(change.path, change.after)
        except OSError as error:
            raise DockyardError(
                f"it cannot be written: {error.strerror}",
                where=str(change.path),
                hint="make the folder writable; files not yet written are as they were",
            ) from error
