"""GitHub Actions' log: a group for each stage, annotations for warnings and the failed step.

The format is of docs.github.com/actions/reference/workflow-commands-for-github-actions. A build's
own output might hold workflow commands, so it is written only while those are stopped.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, TextIO

from dockyard.display.format import strip_control
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

__all__ = ["GithubDisplay", "escape_data", "escape_property"]

# An annotation is a summary; the log itself is in the step's group.
ANNOTATED_LINES = 20


def escape_data(text: str) -> str:
    """Escape the data of a workflow command (actions/toolkit, ``command.ts``, ``escapeData``)."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escape_property(text: str) -> str:
    """Escape a property of a workflow command (the same file, ``escapeProperty``)."""
    return escape_data(text).replace(":", "%3A").replace(",", "%2C")


class GithubDisplay:
    """Writes each stage as a group once all of its steps have ended, cached ones as a line.

    ``dockerfile`` is the path in the repository that annotations point to.
    """

    def __init__(self, stream: TextIO, dockerfile: str | None = None) -> None:
        self._stream = stream
        self._dockerfile = dockerfile
        self._finished = FinishedStages()

    def begin(self, title: str) -> None:
        """Write what is built."""
        self._write(f"building {strip_control(title)}")

    def update(self, reader: TraceReader, now: float) -> None:
        """Write the stages that are done: every step of theirs has ended."""
        for stage in self._finished.newly(gather_stages(reader.steps), now):
            self._show(stage)

    def end(self, trace: BuildTrace, *, failed: bool) -> None:
        """Write what is left, then annotations: they count only outside of groups."""
        for stage in self._finished.rest(gather_stages(trace.steps)):
            self._show(stage)
        for warning in trace.warnings:
            self._annotate("warning", warning.short, warning.line)
        step = trace.failed_step
        if failed and step:
            lines = log_lines(step)[-ANNOTATED_LINES:] or [strip_control(step.error or "")]
            self._annotate("error", "\n".join([step_label(step), *lines]), trace.failed_line)

    def _annotate(self, command: str, text: str, line: int | None) -> None:
        properties = []
        if self._dockerfile:
            properties.append(f"file={escape_property(self._dockerfile)}")
        if line:
            properties.append(f"line={line}")
        place = " " + ",".join(properties) if properties else ""
        clean = "\n".join(strip_control(one) for one in text.split("\n"))
        self._write(f"::{command}{place}::{escape_data(clean)}")

    def _show(self, stage: Stage) -> None:
        reached = [step for step in stage.steps if step.reached]
        line = stage.line()
        if line is None:
            return
        worked = stage.ran or any(step.running or step.error for step in reached)
        if not stage.of_dockerfile or not worked:
            # What BuildKit says of itself may hold a text from outside, as an error does.
            self._write_stopped([line])
            return
        self._write(f"::group::{escape_data(stage.name)}")
        lines = []
        for step in reached:
            lines.append(f"{instruction_of(step)}: {step_outcome(step)}")
            lines += [f"    {one}" for one in log_lines(step)]
        self._write_stopped(lines)
        self._write("::endgroup::")

    def _write_stopped(self, lines: list[str]) -> None:
        """Write lines in which workflow commands, if there are any, are only text."""
        # A command starts its line; “##[…]” is the older form, found anywhere in it.
        if not any(one.lstrip().startswith("::") or "##[" in one for one in lines):
            for line in lines:
                self._write(line)
            return
        token = secrets.token_hex(16)
        self._write(f"::stop-commands::{token}")
        for line in lines:
            self._write(line)
        self._write(f"::{token}::")

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()
