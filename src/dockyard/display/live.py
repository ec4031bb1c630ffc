"""A view that moves: a line for each running stage, the finished ones folded above it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO

from dockyard.display.format import format_bytes, format_count, format_seconds, shorten
from dockyard.display.stages import (
    FinishedStages,
    gather_stages,
    instruction_of,
    log_lines,
    step_label,
    step_outcome,
)

if TYPE_CHECKING:
    from rich.console import Console

    from dockyard.display.stages import Stage
    from dockyard.trace import BuildTrace, Step
    from dockyard.trace_reader import TraceReader

__all__ = ["LiveDisplay"]


def _moving(step: Step) -> str:
    if not step.bytes_done and not step.bytes_total:
        return ""
    total = f" of {format_bytes(step.bytes_total)}" if step.bytes_total > step.bytes_done else ""
    return f"{format_bytes(step.bytes_done)}{total}"


def _doing(step: Step) -> str:
    """Say what a running step does: its last output, else its instruction."""
    last = next((line for line in reversed(log_lines(step)) if line.strip()), "")
    position = f"{step.number}/{step.total} " if step.number else ""
    return position + (last or (instruction_of(step) if step.number else ""))


class LiveDisplay:
    """Draws with rich; the console is given, so that it can be a recorded one."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._since: dict[str, float] = {}
        self._finished = FinishedStages()
        self._started = False

    @classmethod
    def on(cls, stream: TextIO) -> LiveDisplay:
        """Draw on a terminal; rich itself respects NO_COLOR and its width."""
        from rich.console import Console

        return cls(Console(file=stream, highlight=False))

    def begin(self, title: str) -> None:
        """Show what is built, and take over the terminal's last lines."""
        self._print(f"building {title}")
        self._live.start()
        self._started = True

    def update(self, reader: TraceReader, now: float) -> None:
        """Draw the running stages again; stages that finished become lines above them."""
        stages = gather_stages(reader.steps)
        # In this order nothing is drawn twice: what is printed goes above the new table.
        self._live.update(self._table(stages, now))
        for stage in self._finished.newly(stages, now):
            self._tell(stage)
        self._live.refresh()

    def end(self, trace: BuildTrace, *, failed: bool) -> None:
        """Fold everything, give the terminal back, and show the log of the step that failed."""
        if self._started:
            self._live.update("", refresh=True)
            self._live.stop()
        stages = gather_stages(trace.steps)
        for stage in self._finished.rest(stages):
            self._tell(stage)
        cached = sum(stage.cached for stage in stages)
        if cached:
            self._print(f"● {format_count(cached, 'step')} cached", "dim")
        step = trace.failed_step
        if failed and step:
            self._print(f"✗ {step_label(step)}", "red")
            for line in log_lines(step):
                self._print(f"    {line}")

    def _tell(self, stage: Stage) -> None:
        """Write a finished stage's line; a wholly cached one is part of a total only."""
        broken = next((step for step in stage.steps if step.error), None)
        if broken:
            self._print(f"✗ {shorten(stage.name, 60):24} {step_outcome(broken)}", "red")
        elif stage.running:
            self._print(f"▸ {shorten(stage.name, 60):24} not finished", "yellow")
        elif stage.ran:
            moved = sum(step.bytes_done for step in stage.ran)
            size = f", {format_bytes(moved)}" if moved else ""
            self._print_done(shorten(stage.name, 60), f"{format_seconds(stage.seconds)}{size}")

    def _print(self, text: str, style: str = "") -> None:
        # As a Text nothing in it is markup or an emoji's name; the terminal itself wraps lines.
        from rich.text import Text

        self._console.print(Text(text, style), soft_wrap=True)

    def _print_done(self, name: str, took: str) -> None:
        from rich.text import Text

        self._console.print(
            Text.assemble(("✓ ", "green"), f"{name:24} ", (took, "dim")), soft_wrap=True
        )

    def _table(self, stages: tuple[Stage, ...], now: float) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=True, justify="right")
        running = [(stage, stage.running) for stage in stages]
        active = [(stage, step) for stage, step in running if step is not None]
        # More lines than the terminal has would make it flicker.
        for stage, step in active[: max(self._console.height - 3, 1)]:
            elapsed = now - self._since.setdefault(step.digest, now)
            table.add_row(
                Text(f"▸ {shorten(stage.name, 40)}", "cyan"),
                Text(shorten(_doing(step), 200)),
                Text(_moving(step)),
                Text(format_seconds(elapsed), "dim"),
            )
        cached = sum(stage.cached for stage in stages)
        if cached:
            table.add_row(Text(f"● {cached} cached", "dim"), "", "", "")
        return table
