"""What is shown while bytes move: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, TextIO

from dockyard.display.format import format_bytes
from dockyard.display.progress import LineWriter, choose_lines_or_bar

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["BarProgress", "LineProgress", "TransferProgress", "choose_progress"]

LINE_SECONDS = 5.0


class TransferProgress(Protocol):
    """Shows one transfer after the other; ``advance`` may be called from several threads."""

    def begin(self, title: str, total: int | None) -> None:
        """Show that ``total`` bytes are to move; None where that is not known."""

    def advance(self, moved: int) -> None:
        """Count further bytes."""

    def end(self) -> None:
        """Give the terminal back."""


class LineProgress:
    """A line when a transfer begins, and one every few seconds."""

    def __init__(self, lines: LineWriter, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._lines, self._clock = lines, clock
        self._title, self._moved, self._shown = "", 0, 0.0
        self._total: int | None = None

    def begin(self, title: str, total: int | None) -> None:
        """Write what moves."""
        self._title, self._total, self._moved = title, total, 0
        self._shown = self._clock()
        self._lines.write(title if total is None else f"{title}: {format_bytes(total)} to move")

    def advance(self, moved: int) -> None:
        """Count, and write a line if the last was some time ago."""
        self._moved += moved
        if moved and self._clock() - self._shown >= LINE_SECONDS:
            self._shown = self._clock()
            total = "" if self._total is None else f" of {format_bytes(self._total)}"
            self._lines.write(f"{self._title}: {format_bytes(self._moved)}{total}")

    def end(self) -> None:
        """Write nothing: the result says it."""


class BarProgress:
    """A bar for each transfer, drawn by rich."""

    def __init__(self, console: Console) -> None:
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task("", visible=False)

    def begin(self, title: str, total: int | None) -> None:
        """Draw a new bar."""
        self._progress.start()
        self._progress.remove_task(self._task)
        self._task = self._progress.add_task(title, total=total)

    def advance(self, moved: int) -> None:
        """Draw it longer."""
        self._progress.advance(self._task, moved)

    def end(self) -> None:
        """Remove the bar."""
        self._progress.stop()


def choose_progress(
    stream: TextIO, environment: Mapping[str, str], *, progress: str = "auto"
) -> TransferProgress:
    """Make what fits the stream, the environment and DOCKYARD_PROGRESS."""
    return choose_lines_or_bar(
        stream, environment, progress=progress, lines=LineProgress, bar=BarProgress
    )
