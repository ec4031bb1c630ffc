"""The task ``check``: chooses the checks, makes them, and shows what they found."""

from __future__ import annotations

import json as json_format
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from invoke.context import Context
from invoke.tasks import task

from dockyard.boundary import emit, reported
from dockyard.task_settings import task_settings

if TYPE_CHECKING:
    from datetime import datetime

    from dockyard.checks import Verdict

__all__ = ["check"]


@task(
    help={
        "only": "make this check alone (may be given several times; --list names them)",
        "skip": "leave this check out (may be given several times)",
        "also": "make this optional check, too (may be given several times)",
        "list": "name the checks and what each asserts, and make none",
        "json": "print the verdicts as JSON on standard output",
        "junit": "write the verdicts to this file as JUnit's XML",
    },
    iterable=["only", "skip", "also"],
)
@reported
def check(
    context: Context,
    only: Any = None,
    skip: Any = None,
    also: Any = None,
    list: bool = False,  # noqa: A002 - the flag is --list
    json: bool = False,
    junit: str = "",
) -> None:
    """Check project and image; exits with 14 if a check failed, 15 if one could not be made."""
    from dockyard.checks import CHECKS, Workbench, choose, raise_failures, required, run_checks
    from dockyard.checks.reports import check_list

    if list:
        emit("\n".join(check_list(CHECKS)))
        return
    from datetime import UTC, datetime

    from dockyard.checks.progress import choose_watcher

    settings = task_settings()
    # What is asked for by name is made, whatever the settings would leave out.
    demanded = required(settings)
    kept = () if only else (one for one in settings.check_skip if one not in demanded)
    also = (*settings.check_also, *demanded, *(also or ()))
    chosen = choose(only or (), (*kept, *(skip or ())), also)
    watcher = choose_watcher(sys.stderr, os.environ, len(chosen), progress=settings.progress)
    started = datetime.now(UTC)
    with (
        watcher,
        Workbench(settings, os.environ, sys.stderr, before_build=watcher.pause) as workbench,
    ):
        verdicts = run_checks(chosen, workbench, watcher)
    _show(verdicts, started, json=json, junit_file=junit)
    raise_failures(verdicts)


def _show(verdicts: Sequence[Verdict], started: datetime, *, json: bool, junit_file: str) -> None:
    """Show the verdicts wherever somebody looks: terminal, files, GitHub's summary and log."""
    import platform
    from pathlib import Path

    from dockyard.checks import reports
    from dockyard.display import write_job_summary
    from dockyard.display.tables import width_of

    if json:
        emit(json_format.dumps(reports.verdicts_json(verdicts), indent=1, ensure_ascii=False))
    else:
        _emit_table(reports.table_lines(verdicts, width_of(sys.stdout)))
    if junit_file:
        text = reports.junit(verdicts, f"{started:%Y-%m-%dT%H:%M:%S}", platform.node())
        _write_junit(Path(junit_file), text)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        sys.stderr.writelines(f"{line}\n" for line in reports.annotation_lines(verdicts))
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        write_job_summary(Path(summary), reports.job_summary(verdicts))


def _write_junit(path: Any, text: str) -> None:
    from dockyard.errors import SettingsError
    from dockyard.state import write_atomically

    try:
        write_atomically(path, text)
    except OSError as error:
        raise SettingsError(
            f"the file cannot be written: {error.strerror}",
            where=f"--junit {path}",
            hint="name a file in a folder that can be written",
        ) from error


def _emit_table(lines: Sequence[str]) -> None:
    """Write the table, on a terminal with its signs in colour; rich respects NO_COLOR."""
    if not sys.stdout.isatty():
        emit("\n".join(lines))
        return
    from rich.console import Console
    from rich.text import Text

    styles = {"✓": "green", "✗": "bold red", "?": "yellow", "→": "cyan"}
    console = Console(highlight=False, soft_wrap=True)
    for line in lines:
        sign = line.lstrip()[:1]
        text = Text(line)
        if sign in styles:
            place = line.index(sign)
            text.stylize(styles[sign], place, place + 1)
        console.print(text)
