"""One line when a step starts to run and one when it is done: for pipes, files and plain CI."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from dockyard.display.format import format_bytes, format_seconds, shorten, strip_control
from dockyard.steps import StepKind

if TYPE_CHECKING:
    from dockyard.trace import BuildTrace, Step, TraceReader

__all__ = ["PlainDisplay", "failure_lines", "is_shown", "step_label", "step_outcome"]

WIDTH = 100
_HIDDEN = frozenset({StepKind.INTERNAL, StepKind.MERGE, StepKind.AUTH})
# A step that takes no longer than this gets no line of its own when it starts.
PATIENCE_SECONDS = 1.0


def is_shown(step: Step) -> bool:
    """Tell whether a step is worth a line: internal and merge vertices only if they failed."""
    return step.kind not in _HIDDEN or bool(step.error)


def step_label(step: Step, width: int = WIDTH) -> str:
    """Name a step by stage, position and instruction, in one line of at most ``width``."""
    position = f"{step.number}/{step.total} " if step.number else ""
    platform = f"{step.platform} " if step.platform else ""
    where = f"{platform}{step.stage} {position}" if step.stage else ""
    return shorten(strip_control(where + step.instruction), width)


def step_outcome(step: Step) -> str:
    """Say in a word or two how a step ended, and what it moved."""
    if step.error:
        return "failed"
    if step.cached:
        return "cached"
    moved = f", {format_bytes(step.bytes_done)}" if step.bytes_done else ""
    return f"done in {format_seconds(step.seconds)}{moved}"


def failure_lines(step: Step) -> list[str]:
    """Return the failed step's log, fit for a terminal."""
    return [strip_control(line) for line in step.log]


class PlainDisplay:
    """Writes lines as steps start and end. ``quiet`` writes nothing but a failed step's log."""

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self._stream = stream
        self._quiet = quiet
        self._announced: set[str] = set()
        self._finished: set[str] = set()
        self._since: dict[str, float] = {}

    def begin(self, title: str) -> None:
        """Write what is built."""
        self._write(f"building {title}")

    def update(self, reader: TraceReader, now: float) -> None:
        """Write a line for each step that has run for a while, and for each that ended."""
        if self._quiet:
            return
        for step in reader.steps:
            if step.digest in self._finished or not is_shown(step):
                continue
            if step.completed:
                self._finish(step)
            elif step.started:
                first_seen = self._since.setdefault(step.digest, now)
                if now - first_seen >= PATIENCE_SECONDS and step.digest not in self._announced:
                    self._announced.add(step.digest)
                    self._write(f"{step_label(step)} …")

    def end(self, trace: BuildTrace, *, failed: bool) -> None:
        """Write the steps that ended since, and the log of the one that failed."""
        for step in trace.steps:
            if step.completed and step.digest not in self._finished and is_shown(step):
                self._finish(step)
        if failed and trace.failed_step and trace.failed_step.log:
            self._write_always(f"the last lines of {step_label(trace.failed_step)}:")
            for line in failure_lines(trace.failed_step):
                self._write_always(f"    {line}")

    def _finish(self, step: Step) -> None:
        self._finished.add(step.digest)
        self._write(f"{step_label(step)}: {step_outcome(step)}")

    def _write(self, line: str) -> None:
        if not self._quiet:
            self._write_always(line)

    def _write_always(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()
