"""GitHub Actions' log: a group for each stage, annotations for warnings and the failed step.

The format is of docs.github.com/actions/reference/workflow-commands-for-github-actions. A build's
own output might hold workflow commands, so it is written only while those are stopped.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, TextIO

from dockyard.display.format import strip_control
from dockyard.display.plain import is_shown, step_label, step_outcome

if TYPE_CHECKING:
    from dockyard.trace import BuildTrace, Step, TraceReader

__all__ = ["GithubDisplay", "escape_data"]


def escape_data(text: str) -> str:
    """Escape the data of a workflow command (actions/toolkit, ``command.ts``, ``escapeData``)."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


class GithubDisplay:
    """Writes each stage as a group once all of its steps that were reached have ended."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown: set[str] = set()

    def begin(self, title: str) -> None:
        """Write what is built."""
        self._write(f"building {strip_control(title)}")

    def update(self, reader: TraceReader, now: float) -> None:
        """Write the stages that are done: every vertex of theirs has ended."""
        stages: dict[str, list[Step]] = {}
        for step in reader.steps:
            stages.setdefault(step.stage or "", []).append(step)
        for stage, steps in stages.items():
            if stage and stage not in self._shown and all(step.completed for step in steps):
                self._group(stage, steps)

    def end(self, trace: BuildTrace, *, failed: bool) -> None:
        """Write what is left, then annotations: they count only outside of groups."""
        stages: dict[str, list[Step]] = {}
        for step in trace.steps:
            stages.setdefault(step.stage or "other", []).append(step)
        for stage, steps in stages.items():
            if stage not in self._shown:
                self._group(stage, steps)
        for warning in trace.warnings:
            place = f" line={warning.line}" if warning.line else ""
            self._write(f"::warning{place}::{escape_data(strip_control(warning.short))}")
        failure = trace.failed_step
        if failed and failure:
            shown = failure.log[-20:] or [failure.error or ""]
            text = f"{step_label(failure)}\n" + "\n".join(shown)
            lines = [strip_control(line) for line in text.split("\n")]
            self._write("::error::" + escape_data("\n".join(lines)))

    def _group(self, stage: str, steps: list[Step]) -> None:
        shown = [step for step in steps if is_shown(step) and step.started]
        self._shown.add(stage)
        if not shown:
            return
        self._write(f"::group::{escape_data(stage)}")
        token = secrets.token_hex(16)
        self._write(f"::stop-commands::{token}")
        for step in shown:
            self._write(f"{step_label(step)}: {step_outcome(step)}")
            for line in step.log:
                self._write(f"    {strip_control(line)}")
        self._write(f"::{token}::")
        self._write("::endgroup::")

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()
