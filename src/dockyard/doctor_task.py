"""The task ``doctor``: thin, as those of :mod:`dockyard.collection`."""

from __future__ import annotations

import json as json_format
import os
import sys
from pathlib import Path
from typing import Any

from invoke.context import Context
from invoke.tasks import task

from dockyard.boundary import emit, reported

__all__ = ["doctor"]


@task(
    help={
        "fix": "do what can be done without you: builder, permissions, leftovers, an unedited "
        "Dockerfile",
        "dry-run": "with --fix: say what it would do, and do nothing",
        "only": "look at this topic alone (may be given several times): settings, engine, buildx, "
        "image-store, builder, buildkit, gc, lock, dockerfile, context, cache-directory, disk, "
        "state, mirrors, registries, credentials, clock, proxies, certificates",
        "json": "print as JSON on standard output",
    },
    iterable=["only"],
)
@reported
def doctor(
    context: Context,
    fix: bool = False,
    dry_run: bool = False,
    only: Any = None,
    json: bool = False,
) -> None:
    """Find what is wrong with engine, caches, network, project; exit status 16 if something is."""
    from invoke.exceptions import Exit

    from dockyard.doctor.display import finding_lines, in_colour, repair_lines, summary_line
    from dockyard.doctor.examination import examine, load_subject
    from dockyard.doctor.repairs import repair
    from dockyard.errors import EXIT_PROBLEMS

    names = tuple(only or ())
    subject = load_subject(Path.cwd(), os.environ)
    found = examine(subject, names)
    done = None
    if fix:
        done = repair(found.findings, subject.settings, os.environ, dry_run=dry_run)
        if not dry_run and any(one.done for one in done):
            found = examine(load_subject(Path.cwd(), os.environ), names)
    if json:
        values: dict[str, Any] = {
            "findings": [one.as_json() for one in found.findings],
            "problems": len(found.problems),
            "seconds": round(found.seconds, 3),
        }
        if done is not None:
            values |= {"dry_run": dry_run, "repaired": [one.as_json() for one in done]}
        emit(json_format.dumps(values, indent=1, ensure_ascii=False))
    else:
        lines = [*repair_lines(done, dry_run=dry_run), ""] if done is not None else []
        lines += [*finding_lines(found.findings), "", summary_line(found)]
        emit(in_colour(lines, sys.stdout))
    if found.problems:
        raise Exit(code=EXIT_PROBLEMS)
