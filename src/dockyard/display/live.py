"""A view that moves: a line for each running stage, the finished ones folded above it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO

from dockyard.display.format import format_bytes, format_seconds, shorten, strip_control
from dockyard.display.plain import failure_lines, is_shown, step_label
from dockyard.trace import COUNTED_KINDS

if TYPE_CHECKING:
    from rich.console import Console

    from dockyard.trace import BuildTrace, Step, TraceReader

__all__ = ["LiveDisplay", "stage_lines"]


def _moving(step: Step) -> str:
    if not step.bytes_done and not step.bytes_total:
        return ""
    total = f" of {format_bytes(step.bytes_total)}" if step.bytes_total > step.bytes_done else ""
    return f"{format_bytes(step.bytes_done)}{total}"


def stage_lines(
    steps: tuple[Step, ...], since: dict[str, float], now: float
) -> tuple[list[tuple[str, float]], list[tuple[str, str, str, float]], int]:
    """Sort the steps into finished stages, running ones, and a count of cached steps. Pure.

    Finished: (stage, seconds). Running: (stage, instruction, bytes, seconds so far); ``since`` has
    the monotonic time at which each running step was first seen, by digest.
    """
    stages: dict[str, list[Step]] = {}
    for step in steps:
        if is_shown(step):
            stages.setdefault(step.stage or step.instruction, []).append(step)
    finished, running = [], []
    for stage, members in stages.items():
        active = next((step for step in members if step.running), None)
        if active:
            elapsed = now - since.setdefault(active.digest, now)
            position = f"{active.number}/{active.total} " if active.number else ""
            what = active.instruction if active.stage else ""
            last = next((line for line in reversed(active.log) if line.strip()), "")
            text = strip_control(f"{position}{last or what}").strip()
            running.append((strip_control(stage), text, _moving(active), elapsed))
        elif any(step.ran and step.completed for step in members):
            seconds = sum(step.seconds for step in members if step.ran)
            finished.append((strip_control(stage), seconds))
    cached = sum(step.cached for step in steps if step.kind in COUNTED_KINDS)
    return finished, running, cached


class LiveDisplay:
    """Draws with rich; the console is given, so that it can be a recorded one."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._since: dict[str, float] = {}
        self._finished: set[str] = set()
        self._started = False

    @classmethod
    def on(cls, stream: TextIO) -> LiveDisplay:
        """Draw on a terminal; rich itself respects NO_COLOR and its width."""
        from rich.console import Console

        return cls(Console(file=stream, highlight=False))

    def begin(self, title: str) -> None:
        """Show what is built, and take over the terminal's last lines."""
        self._console.print(f"building {title}", markup=False)
        self._live.start()
        self._started = True

    def update(self, reader: TraceReader, now: float) -> None:
        """Draw the running stages again; stages that finished become lines above them."""
        finished, running, cached = stage_lines(reader.steps, self._since, now)
        names = {name for name, *_ in running}
        for stage, seconds in finished:
            if stage not in self._finished and stage not in names:
                self._finished.add(stage)
                self._console.print(self._done(stage, seconds))
        self._live.update(self._table(running, cached), refresh=True)

    def end(self, trace: BuildTrace, *, failed: bool) -> None:
        """Fold everything, give the terminal back, and show the log of the step that failed."""
        if self._started:
            self._live.update("", refresh=True)
            self._live.stop()
        finished, _, cached = stage_lines(trace.steps, self._since, 0.0)
        for stage, seconds in finished:
            if stage not in self._finished:
                self._console.print(self._done(stage, seconds))
        if cached:
            self._console.print(f"● {cached} steps cached", style="dim")
        step = trace.failed_step
        if failed and step:
            self._console.print(f"✗ {step_label(step)}", style="red", markup=False)
            for line in failure_lines(step):
                self._console.print(f"    {line}", markup=False)

    def _done(self, stage: str, seconds: float) -> Any:
        from rich.text import Text

        return Text.assemble(
            ("✓ ", "green"), f"{shorten(stage, 60):24} ", (format_seconds(seconds), "dim")
        )

    def _table(self, running: list[tuple[str, str, str, float]], cached: int) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=True, justify="right")
        # More lines than the terminal has would make it flicker.
        for stage, text, moving, elapsed in running[: max(self._console.height - 3, 1)]:
            table.add_row(
                Text(f"▸ {shorten(stage, 40)}", "cyan"),
                Text(shorten(text, 200)),
                Text(moving),
                Text(format_seconds(elapsed), "dim"),
            )
        if cached:
            table.add_row(Text(f"● {cached} cached", "dim"), "", "", "")
        return table
