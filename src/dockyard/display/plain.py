"""One line for each stage that ends, one for a step that takes long: for pipes, files, plain CI."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from dockyard.display.stages import (
    FinishedStages,
    gather_stages,
    instruction_of,
    log_lines,
    step_label,
    step_outcome,
)

if TYPE_CHECKING:
    from dockyard.display.stages import Stage
    from dockyard.trace import BuildTrace
    from dockyard.trace_reader import TraceReader

__all__ = ["PATIENCE_SECONDS", "PlainDisplay"]

# A step that takes no longer than this has no lines of its own, only its share of the stage's.
PATIENCE_SECONDS = 1.0


class PlainDisplay:
    """Writes lines as stages end. ``quiet`` writes nothing but a failed step's log."""

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self._stream = stream
        self._quiet = quiet
        self._announced: set[str] = set()
        self._finished = FinishedStages()
        self._since: dict[str, float] = {}

    def begin(self, title: str) -> None:
        """Write what is built."""
        self._write(f"building {title}")

    def update(self, reader: TraceReader, now: float) -> None:
        """Write a line for each stage that ended, and for steps that have run for a while."""
        if self._quiet:
            return
        stages = gather_stages(reader.steps)
        for stage in stages:
            if not stage.ended:
                self._follow(stage, now)
        for stage in self._finished.newly(stages, now):
            self._tell(stage)

    def end(self, trace: BuildTrace, *, failed: bool) -> None:
        """Write the stages that are left, and the log of the step that failed."""
        for stage in self._finished.rest(gather_stages(trace.steps)):
            self._tell(stage)
        step = trace.failed_step
        lines = log_lines(step) if failed and step else []
        if step and lines:
            self._write_always(f"the last lines of {step_label(step)}:")
            for line in lines:
                self._write_always(f"    {line}")

    def _follow(self, stage: Stage, now: float) -> None:
        """Announce what runs for long in a stage, and say when that is done."""
        for step in stage.steps:
            if step.running:
                since = self._since.setdefault(step.digest, now)
                if now - since >= PATIENCE_SECONDS and step.digest not in self._announced:
                    self._announced.add(step.digest)
                    what = f": {instruction_of(step)}" if stage.of_dockerfile else ""
                    self._write(f"{stage.name}{what} …")
            elif step.completed and step.digest in self._announced:
                self._announced.remove(step.digest)
                self._write(f"{step_label(step)} {step_outcome(step)}")

    def _tell(self, stage: Stage) -> None:
        line = stage.line()
        if line:
            self._write(line)

    def _write(self, line: str) -> None:
        if not self._quiet:
            self._write_always(line)

    def _write_always(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()
