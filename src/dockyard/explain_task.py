"""The task ``explain``: thin, as those of ``collection``."""

from __future__ import annotations

import json as json_format
import sys

from invoke.context import Context
from invoke.tasks import task

from dockyard.boundary import emit, reported
from dockyard.task_settings import task_settings

__all__ = ["explain"]


@task(
    help={
        "build": "the build to explain: its id or the beginning of it, or a number counted back "
        "(0 or last: the newest, which is the default; 1: the one before)",
        "json": "print as JSON on standard output",
    },
)
@reported
def explain(context: Context, build: str = "last", json: bool = False) -> None:
    """Say why the steps of a build ran: what changed since the build before, and what that cost."""
    from dockyard.explain_choice import explain_recorded
    from dockyard.explain_display import render_explanation
    from dockyard.settings import redactor

    settings = task_settings()
    found, unreadable = explain_recorded(settings.root, build, settings.records)
    for one in unreadable:
        sys.stderr.write(f"not looked at: {one.path}: {one.reason}\n")
    clean = redactor(settings)
    if json:
        emit(clean(json_format.dumps(found.as_json(), indent=1, ensure_ascii=False)))
    else:
        emit(clean(render_explanation(found, sys.stdout)))
