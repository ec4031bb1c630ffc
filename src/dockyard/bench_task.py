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
        "commits": "replay so many made-up commits of the project instead: real builds, hit rates; "
        "--environment registry builds each on a builder that starts empty; --output adds the "
        "averages to a bench's result",
        "fleet": "let so many builders, on one registry, build code changes that arrive at random, "
        "with Dockyard and with one layer; --output adds it to a bench's result",
        "builds": "with --fleet: so many changes (default: three for every two builders)",
        "rate": "with --fleet: so many arrive in a minute, on average (default: 4)",
        "keep-state": "with --fleet: builders keep what earlier builds left (default: each build "
        "meets an empty one)",
        "seed": "with --commits or --fleet: what they are drawn with (default: 1)",
        "history": "replay the lock's history of a repository instead (its path or URL, or JSON "
        "files of lock versions): the bytes that each way to divide it would have moved",
        "lock": "with --history: which lock, where the repository has several",
        "layers": "with --history: so many layers, at no cost (default: as many as pay, up to 24)",
        "last": "with --history: replay so many changes, and count all of them",
        "extra": "with --history: count this extra's packages (may be given several times)",
        "group": "with --history: count this group's packages (may be given several times)",
        "json": "print the result as JSON on standard output",
    },
    iterable=["scenario", "dockerfile", "environment", "extra", "group"],
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
    commits: int = 0,
    fleet: int = 0,
    builds: int = 0,
    rate: float = 4.0,
    keep_state: bool = False,
    seed: int = 1,
    history: str = "",
    lock: str = "",
    layers: int = 0,
    last: int = 0,
    extra: Any = None,
    group: Any = None,
    json: bool = False,
) -> None:
    """Measure Dockerfiles against each other: time, bytes and cached steps, in one run."""
    from dockyard.bench.command import Request, bench_text
    from dockyard.process import interruptible
    from dockyard.task_settings import task_settings

    if history:
        from dockyard.bench.history import HistoryRequest, bench_history, history_text

        report = bench_history(
            history,
            HistoryRequest(layers=layers or None, last=last or None),
            os.environ,
            sys.stderr,
            lock=lock or None,
            extras=tuple(extra or ()),
            groups=tuple(group or ()),
        )
        emit(history_text(report, as_json=json))
        return
    if commits:
        from dockyard.bench.commits import CommitsRequest, commits_text

        interruptible()
        where = ",".join(environment or ()) or "warm"
        wanted = CommitsRequest(commits, where, seed)
        emit(
            commits_text(
                task_settings(), wanted, os.environ, sys.stderr, output=output, as_json=json
            )
        )
        return
    if fleet:
        from dockyard.bench.fleet_command import fleet_text
        from dockyard.bench.fleet_plan import FleetRequest

        interruptible()
        emit(
            fleet_text(
                task_settings(),
                FleetRequest(fleet, builds, rate, seed, keep_state),
                os.environ,
                sys.stderr,
                bandwidth=bandwidth,
                output=output,
                dry_run=dry_run,
                as_json=json,
            )
        )
        return
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
