"""The task ``report``: thin, as those of ``collection``."""

from __future__ import annotations

import json as json_format
import os
import sys
from pathlib import Path

from invoke.context import Context
from invoke.tasks import task

from dockyard.boundary import emit, reported
from dockyard.task_settings import task_settings

__all__ = ["report"]


@task(
    help={
        "output": "where to write the page (.dockyard/report.html)",
        "open": "open the page in a browser, in a desktop session",
        "last": "how many builds to show",
        "bench": "a bench's result to show (the newest of this repository)",
        "json": "print the data behind the page on standard output, and write no page",
    },
)
@reported
def report(
    context: Context,
    output: str = "",
    open: bool = False,  # noqa: A002 - the flag is --open
    last: int = 50,
    bench: str = "",
    json: bool = False,
) -> None:
    """Write one HTML page of the last builds: timeline, layers, traffic, trends, and why."""
    from dockyard.report.gathering import default_output, gather_report, open_page, write_page

    settings = task_settings()
    data = gather_report(settings, last, Path(bench) if bench else None)
    if json:
        emit(json_format.dumps(data.as_json(), indent=1, ensure_ascii=False))
        return
    from dockyard.display.format import format_bytes, format_count
    from dockyard.report.page import render_report

    path = Path(output).absolute() if output else default_output(settings.root)
    text = render_report(data)
    write_page(path, text, settings.root)
    builds = format_count(len(data.trends), "build")
    size = format_bytes(len(text.encode()))
    emit(f"{os.path.relpath(path)}: a report of {builds} ({size}, needs no network)")
    sys.stderr.writelines(f"note: not shown: {one.path}: {one.reason}\n" for one in data.unreadable)
    if open:
        import webbrowser

        said = open_page(path, os.environ, sys.platform, webbrowser.open)
        if said:
            sys.stderr.write(f"note: {said}\n")
