"""What ``init`` would do in a project: proposals, files, notes; decided first, and only shown."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dockyard.adoption.additions import (
    TASKS,
    CannotAddError,
    noxfile_with_check,
    tasks_with_namespace,
    with_table,
)
from dockyard.adoption.place import find_place
from dockyard.adoption.proposals import SettingProposal, differing
from dockyard.adoption.survey import survey
from dockyard.errors import ProjectError, SettingsError
from dockyard.initialization import Action, FileChange, Side, plan_changes, read_text
from dockyard.settings import Settings, load_settings

__all__ = ["CI_FILES", "Adoption", "plan_adoption"]

CI_FILES = {"github": ".github/workflows/image.yml", "gitlab": ".gitlab-ci.yml"}


@dataclass(frozen=True)
class Adoption:
    """What would happen to a project.

    ``proposed`` are all settings that were thought of, defaults among them; ``proposals`` those of
    them that are written. Both are empty where the project has its table already.
    """

    root: Path
    proposed: tuple[SettingProposal, ...]
    proposals: tuple[SettingProposal, ...]
    changes: tuple[FileChange, ...]
    notes: tuple[str, ...] = ()
    settings: Settings | None = field(default=None, repr=False)

    @property
    def edits(self) -> tuple[FileChange, ...]:
        """The changes of files that are the user's own, which need a yes."""
        return tuple(one for one in self.changes if one.action is Action.EDIT)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it; a path is relative to ``root``."""
        return {
            "schema": 1,
            "root": str(self.root),
            "proposals": [one.as_json() for one in self.proposals],
            "files": [
                {
                    "path": os.path.relpath(one.path, self.root),
                    "action": str(one.action),
                    "reason": one.reason,
                    "diff": one.diff(self.root) if one.writes else "",
                }
                for one in self.changes
            ],
            "notes": list(self.notes),
        }


def plan_adoption(
    start: Path,
    environment: Mapping[str, str],
    *,
    side: Side = Side.NEITHER,
    ci: Sequence[str] = (),
    answers: Mapping[str, Any] | None = None,
) -> Adoption:
    """Look at the project that a folder is in, and decide what ``init`` does; nothing is written.

    ``answers`` take the place of proposed values, by their keys in ``[tool.dockyard]``. Raises
    ProjectError where there is no project that uv manages, SettingsError for a bad setting.
    """
    unknown = [one for one in ci if one not in CI_FILES]
    if unknown:
        raise SettingsError(
            f"there is no workflow for {', '.join(unknown)}",
            where="--ci",
            hint=f"the services are {', '.join(CI_FILES)}",
        )
    place = find_place(start)
    proposed: tuple[SettingProposal, ...] = ()
    written: tuple[SettingProposal, ...] = ()
    notes: tuple[str, ...] = ()
    edits: list[FileChange] = []
    if place.adopted:
        settings = load_settings(start, environment, {})
    else:
        proposed, notes, default = survey(place, environment)
        if answers is not None:
            proposed = tuple(
                replace(one, value=answers.get(one.key, one.value)) for one in proposed
            )
        written = differing(proposed, image=default)
        edits.append(_pyproject(place.root, written))
        table = {one.key: one.value for one in written}
        settings = load_settings(place.root, environment, {}, table=table)
    changes = [*edits, *plan_changes(settings, side, ignore_beside=not place.adopted)]
    more, left = _python_files(settings.root)
    changes += [*more, *_ci_changes(settings, environment, ci)]
    notes = (*notes, *left, *_mentions(settings, ci))
    return Adoption(settings.root, proposed, written, tuple(changes), notes, settings)


def _pyproject(root: Path, proposals: Sequence[SettingProposal]) -> FileChange:
    path = root / "pyproject.toml"
    before = read_text(path) or ""
    values = {one.key: one.value for one in proposals}
    try:
        after = with_table(before, values)
    except ValueError as error:
        raise ProjectError(
            f"[tool.dockyard] cannot be added at its end: {error}",
            where=str(path),
            hint="write tables as [tool.name], not as keys of a table in braces",
        ) from error
    return FileChange(path, Action.EDIT, "[tool.dockyard] says what the image is", before, after)


def _python_files(root: Path) -> tuple[list[FileChange], list[str]]:
    """Decide on tasks.py and noxfile.py; what cannot be changed is told in words."""
    from dockyard.ci_templates import REQUIREMENT

    changes: list[FileChange] = []
    notes: list[str] = []
    wanted = (
        ("tasks.py", TASKS, tasks_with_namespace, "Dockyard's tasks are added to yours"),
        (
            "noxfile.py",
            noxfile_with_check(None, REQUIREMENT),
            lambda text: noxfile_with_check(text, REQUIREMENT),
            "the session build-check is added to yours",
        ),
    )
    for name, fresh, add, reason in wanted:
        path = root / name
        before = read_text(path)
        if before is None:
            changes.append(FileChange(path, Action.WRITE, "there is none", None, fresh))
            continue
        try:
            after = add(before.replace("\r\n", "\n"))
        except CannotAddError as error:
            changes.append(FileChange(path, Action.LEAVE, str(error), before, before))
            notes.append(f"{name} is left alone: {error}. Once it is mended, run init again")
            continue
        if "\r\n" in before:
            after = after.replace("\n", "\r\n")
        if after == before:
            changes.append(
                FileChange(path, Action.LEAVE, "it has all that it needs", before, before)
            )
        else:
            changes.append(FileChange(path, Action.EDIT, reason, before, after))
    return changes, notes


def _ci_changes(
    settings: Settings, environment: Mapping[str, str], ci: Sequence[str]
) -> Iterator[FileChange]:
    """Write the workflows that were asked for; one that is there is the user's."""
    from dockyard.known_project import project_facts

    if not ci:
        return
    facts = project_facts(settings)
    from_source = any(not one.has_wheel for one in facts.packages)
    for service in dict.fromkeys(ci):
        path = settings.root / CI_FILES[service]
        before = read_text(path)
        if before is not None:
            yield FileChange(path, Action.LEAVE, "it is there", before, before)
        else:
            text = _workflow(service, settings, environment, from_source=from_source)
            yield FileChange(path, Action.WRITE, "you asked for it", None, text)


def _workflow(
    service: str, settings: Settings, environment: Mapping[str, str], *, from_source: bool
) -> str:
    from dockyard.ci_templates import render_github, render_gitlab
    from dockyard.project import image_name
    from dockyard.revision import begin_revision

    if service == "gitlab":
        return render_gitlab(settings, nox=True, from_source=from_source)
    revision = begin_revision(settings.root, environment, default_branch=True)()
    return render_github(
        settings,
        image=settings.image or image_name(settings),
        default_branch=settings.default_branch or revision.default_branch or "main",
        nox=True,
        from_source=from_source,
    )


def _mentions(settings: Settings, ci: Sequence[str]) -> Iterator[str]:
    """Say what is there and left alone, and what is not there and would help."""
    for name in ("Dockerfile", "Containerfile"):
        if name != settings.dockerfile and (settings.root / name).exists():
            yield f"{name} is yours and stays as it is; Dockyard builds from {settings.dockerfile}"
    above = next(
        (one for one in (settings.root, *settings.root.parents) if (one / ".git").exists()), None
    )
    if above is None:
        yield "this is no git repository: images get no revision, and the lock has no history"
    elif ci and above != settings.root:
        inner = settings.root.relative_to(above)
        yield (
            f"CI services read workflows at {above} alone: move them there, and let their steps "
            f"run in {inner}"
        )
