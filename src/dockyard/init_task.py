"""The task ``init``: Dockyard's files for a project, and its settings where it has none yet."""

from __future__ import annotations

import json as json_format
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from invoke.context import Context
from invoke.tasks import task

from dockyard.boundary import emit, reported
from dockyard.task_settings import task_settings

if TYPE_CHECKING:
    from dockyard.adoption.plan import Adoption
    from dockyard.errors import SettingsError
    from dockyard.initialization import Side

__all__ = ["init"]


@task(
    help={
        "yes": "take every proposal and change existing files, without asking",
        "ci": "write the workflow of a CI service: github or gitlab (may be given several times)",
        "diff": "show how docker/Dockerfile differs from what the settings would render",
        "replace": "take the rendered Dockerfile; yours is kept as docker/Dockerfile.backup",
        "keep": "keep your edited Dockerfile beside the changed settings",
        "local-images": "make the base images from Debian's packages and PyPI, without a registry",
        "dry-run": "show what would be written, and write nothing",
        "json": "print what is proposed and written as JSON on standard output",
    },
    iterable=["ci"],
)
@reported
def init(
    context: Context,
    yes: bool = False,
    ci: Any = None,
    diff: bool = False,
    replace: bool = False,
    keep: bool = False,
    local_images: bool = False,
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """Propose settings for the project, and write what is missing: Dockerfile, tasks.py, …."""
    from dockyard.adoption.display import written_lines
    from dockyard.adoption.plan import plan_adoption
    from dockyard.errors import SettingsError
    from dockyard.initialization import Side, apply_changes, difference

    if replace and keep:
        raise SettingsError("--replace and --keep contradict each other", hint="give one of them")
    if diff:
        emit(difference(task_settings()) or "no difference")
        return
    side = Side.RENDERED if replace else Side.EDITED if keep else Side.NEITHER
    services = [name for entry in ci or () for name in entry.split(",") if name]
    found = plan_adoption(Path.cwd(), os.environ, side=side, ci=services)
    asks = not (yes or dry_run or json) and sys.stdin.isatty() and sys.stdout.isatty()
    if asks and found.edits:
        answered = _ask(found, side, services)
        if answered is None:
            emit("nothing was written")
            return
        found = answered
    elif not json:
        _show(found, sys.stdout)
    refused = bool(found.edits) and not (yes or asks or dry_run)
    backups = () if dry_run or refused else apply_changes(found.changes)
    if json:
        kept = [os.path.relpath(one, found.root) for one in backups]
        written = not (dry_run or refused)
        answer = {**found.as_json(), "written": written, "backups": kept}
        emit(json_format.dumps(answer, indent=1, ensure_ascii=False))
    if refused:
        raise _nobody_to_ask(found)
    if not json:
        emit("\n".join(written_lines(found, backups, dry_run=dry_run)))
    if local_images and not dry_run:
        from dockyard.local_images import ensure_local_images

        settings = task_settings()
        ensure_local_images(settings.python_image, settings.uv_image)


def _ask(found: Adoption, side: Side, services: list[str]) -> Adoption | None:
    """Have the user settle the proposals and agree to what is written; None where they do not."""
    from dockyard.adoption.plan import plan_adoption
    from dockyard.adoption.questions import ask_settings, confirm

    try:
        if found.proposed:
            answers = ask_settings(found.proposed, input, emit)
            found = plan_adoption(Path.cwd(), os.environ, side=side, ci=services, answers=answers)
            emit("")
        _show(found, sys.stdout)
        return found if confirm("Write this?", input) else None
    except EOFError:
        raise KeyboardInterrupt from None


def _show(found: Adoption, stream: TextIO) -> None:
    from dockyard.adoption.display import adoption_lines, diff_lines

    stream.writelines(f"{line}\n" for line in (*adoption_lines(found), *diff_lines(found)))
    stream.flush()


def _nobody_to_ask(found: Adoption) -> SettingsError:
    from dockyard.errors import SettingsError

    names = ", ".join(os.path.relpath(one.path, found.root) for one in found.edits)
    return SettingsError(
        f"existing files would change ({names}), and nobody is there to ask",
        where=str(found.root),
        hint="`invoke init --yes` writes what is shown above, --dry-run nothing",
    )
