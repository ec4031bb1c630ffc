"""The task ``bench``: thin, as those of ``collection``."""

from __future__ import annotations

import os
import sys
from typing import Any

from invoke.context import Context
from invoke.tasks import task

from dockyard.boundary import emit, reported

__all__ = ["bench"]


@task(
    help={
        "scenario": "measure this scenario alone (may be given several times): first-build, "
        "no-change, code-change, small-dependency, large-dependency, new-dependency",
        "dockerfile": "measure this Dockerfile alone (may be given several times): original, plan, "
        "uv, uv-depot, dockyard",
        "environment": "measure here alone (may be given several times): warm, registry, directory",
        "repetitions": "how often each cell is measured (default: 3)",
        "bandwidth": "slow registry, index and archives down to this, such as 100mbit",
        "output": "the result's file (default: a new one in .dockyard/bench)",
        "resume": "go on with the run that was stopped: the file of --output, or the newest",
        "tables": "show the tables of this result, and measure nothing",
        "update": "with --tables: write them into this Markdown file, between its markers",
        "dry-run": "list what would be measured, and about how long that takes",
        "json": "print the result as JSON on standard output",
    },
    iterable=["scenario", "dockerfile", "environment"],
)
@reported
def bench(
    context: Context,
    scenario: Any = None,
    dockerfile: Any = None,
    environment: Any = None,
    repetitions: int = 3,
    bandwidth: str = "",
    output: str = "",
    resume: bool = False,
    tables: str = "",
    update: str = "",
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """Measure Dockerfiles against each other: time, bytes and cached steps, in one run."""
    from dockyard.bench.command import Request, bench_text
    from dockyard.process import interruptible
    from dockyard.task_settings import task_settings

    request = Request(
        scenarios=tuple(scenario or ()),
        dockerfiles=tuple(dockerfile or ()),
        environments=tuple(environment or ()),
        repetitions=repetitions,
        bandwidth=bandwidth,
        output=output,
        resume=resume,
        tables=tables,
        update=update,
        dry_run=dry_run,
        json=json,
    )
    interruptible()
    emit(bench_text(task_settings(), request, os.environ, sys.stderr))
