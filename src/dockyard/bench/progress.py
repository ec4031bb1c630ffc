"""What is shown while a bench runs: which cell, how many are left, and how long that takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, TextIO

from dockyard.display.format import format_bytes, format_seconds
from dockyard.display.progress import LineWriter, choose_lines_or_bar, counting_progress

if TYPE_CHECKING:
    from rich.console import Console

    from dockyard.bench.results import Measurement

__all__ = ["BenchProgress", "choose_bench_progress", "outcome"]


class BenchProgress(Protocol):
    """Shows a bench: ``say`` what is done now, ``advance`` with what was measured."""

    def begin(self, total: int, *, steady: bool = True) -> None:
        """Show that so many measurements are to be made; ``steady``: each takes about as long."""

    def say(self, what: str) -> None:
        """Show what is done now."""

    def advance(self, text: str) -> None:
        """Show one that is made."""

    def end(self) -> None:
        """Give the terminal back."""


def outcome(measurement: Measurement) -> str:
    """Say in a line what was measured in a cell."""
    return (
        f"{measurement.cell}: {format_seconds(measurement.seconds)}, "
        f"{format_bytes(measurement.bytes_down)} down, {format_bytes(measurement.bytes_up)} up"
    )


class LineProgress:
    """A line for each cell, with what is left."""

    def __init__(self, lines: LineWriter, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._lines, self._clock = lines, clock
        self._total = self._done = 0
        self._started = 0.0
        self._steady = True

    def begin(self, total: int, *, steady: bool = True) -> None:
        """Note the time."""
        self._total, self._done, self._started = total, 0, self._clock()
        self._steady = steady

    def say(self, what: str) -> None:
        """Write what begins."""
        self._lines.write(f"[{self._done + 1}/{self._total}] {what}")

    def advance(self, text: str) -> None:
        """Write what was measured, and what is left."""
        self._done += 1
        left = (self._clock() - self._started) / self._done * (self._total - self._done)
        estimate = f"; about {format_seconds(left)} left" if self._steady else ""
        self._lines.write(f"    {text}{estimate}")

    def end(self) -> None:
        """Write nothing: the result says it."""


class BarProgress:
    """A bar over all cells, drawn by rich, under the lines of those that are measured."""

    def __init__(self, console: Console) -> None:
        self._progress = counting_progress(console, left=True)
        self._task = self._progress.add_task("")

    def begin(self, total: int, *, steady: bool = True) -> None:
        """Draw the bar."""
        self._progress.update(self._task, total=total)
        self._progress.start()

    def say(self, what: str) -> None:
        """Write beside the bar what is done."""
        self._progress.update(self._task, description=what)

    def advance(self, text: str) -> None:
        """Draw it longer."""
        self._progress.console.print(text, markup=False)
        self._progress.advance(self._task)

    def end(self) -> None:
        """Leave the bar as it is."""
        self._progress.stop()


def choose_bench_progress(
    stream: TextIO, environment: Mapping[str, str], *, progress: str = "auto"
) -> BenchProgress:
    """Make what fits the stream, the environment and DOCKYARD_PROGRESS."""
    return choose_lines_or_bar(
        stream, environment, progress=progress, lines=LineProgress, bar=BarProgress
    )
