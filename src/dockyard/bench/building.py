"""One timed command: how long it took, and which of its steps were cached."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dockyard import process
from dockyard.errors import BuildFailedError, RecordError

__all__ = ["Built", "run_timed"]

SHOWN_LINES = 12


@dataclass(frozen=True)
class Built:
    """Seconds from the command's start to its end; counted steps, and how many were cached."""

    seconds: float
    steps_cached: int | None
    steps_counted: int | None


def run_timed(
    command: Sequence[str],
    *,
    directory: Path,
    environment: Mapping[str, str],
    records: Path | None,
    tick: Callable[[], None] | None = None,
) -> Built:
    """Run a build, buildx's with rawjson progress or ``invoke build``, whose record is then read.

    What was written before, by whomever, is on the disk first: else a build would wait for it.
    ``tick`` is called ten times a second; what it raises stops the build. Raises BuildFailedError
    with the end of what the build said.
    """
    os.sync()
    lines: list[bytes] = []
    started = time.monotonic()
    with process.follow(command, environment=environment, directory=directory) as child:
        lines.extend(child.lines(tick))
        status = child.wait()
    seconds = time.monotonic() - started
    if status:
        text = b"\n".join(lines[-SHOWN_LINES:]).decode(errors="replace")
        raise BuildFailedError(
            f"a build of the bench failed with status {status}:\n{text}",
            where=" ".join(command),
        )
    cached, counted = _of_record(records) if records else _of_progress(lines)
    return Built(seconds, cached, counted)


def _of_progress(lines: Sequence[bytes]) -> tuple[int, int]:
    from dockyard.trace import COUNTED_KINDS
    from dockyard.trace_reader import TraceReader

    reader = TraceReader()
    for line in lines:
        reader.feed(line)
    steps = [s for s in reader.trace().steps if s.kind in COUNTED_KINDS and s.reached]
    return sum(step.cached for step in steps), len(steps)


def _of_record(folder: Path) -> tuple[int, int]:
    from dockyard.records import read_record
    from dockyard.trace import COUNTED_KINDS

    paths = sorted((folder / ".dockyard/builds").glob("*.json"))
    if not paths:
        raise RecordError("the build left no record", where=str(folder))
    record = read_record(paths[-1].read_text(encoding="utf-8"))
    kinds = {str(kind) for kind in COUNTED_KINDS}
    steps = [s for s in record.steps if s.kind in kinds and (s.cached or s.ran)]
    return sum(step.cached for step in steps), len(steps)
