"""What is shown while checks are made: a line that moves on a terminal, a line each elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, TextIO

from dockyard.checks.verdicts import Outcome
from dockyard.display.format import format_seconds, shorten
from dockyard.display.progress import LineWriter, choose_lines_or_bar, counting_progress

if TYPE_CHECKING:
    from rich.console import Console

    from dockyard.checks.verdicts import Verdict

__all__ = ["SIGNS", "LineWatcher", "SpinnerWatcher", "choose_watcher"]

SIGNS: Mapping[Outcome, str] = {Outcome.PASSED: "✓", Outcome.FAILED: "✗", Outcome.UNKNOWN: "?"}
FIGURE_WIDTH = 100


class LineWatcher(AbstractContextManager["LineWatcher"]):
    """Writes a line for each check that has ended."""

    def __init__(self, lines: LineWriter) -> None:
        self._lines = lines

    def __exit__(self, *exception: object) -> None:
        pass

    def begin(self, name: str) -> None:
        """Write nothing: most checks are quick."""

    def pause(self) -> None:
        """Write nothing."""

    def end(self, verdict: Verdict) -> None:
        """Write what it found."""
        figure = shorten(verdict.figure, FIGURE_WIDTH)
        took = format_seconds(verdict.seconds)
        self._lines.write(f"{SIGNS[verdict.outcome]} {verdict.name}: {figure} ({took})")


class SpinnerWatcher(AbstractContextManager["SpinnerWatcher"]):
    """Turns a spinner beside the check that is being made, with how many are done.

    As a context it gives the terminal back whatever happens.
    """

    def __init__(self, console: Console, total: int) -> None:
        self._progress = counting_progress(console, width=20, transient=True)
        self._task = self._progress.add_task("", total=total)

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def begin(self, name: str) -> None:
        """Show the check that begins."""
        self._progress.update(self._task, description=f"checking {name}")
        self._progress.start()

    def pause(self) -> None:
        """Give the terminal to a build, which shows itself."""
        self._progress.stop()

    def end(self, verdict: Verdict) -> None:
        """Count it; the table will say what it found. The terminal is given back meanwhile."""
        self._progress.advance(self._task)
        self._progress.stop()


def choose_watcher(
    stream: TextIO, environment: Mapping[str, str], total: int, *, progress: str = "auto"
) -> LineWatcher | SpinnerWatcher:
    """Make what fits the stream, the environment and DOCKYARD_PROGRESS."""
    return choose_lines_or_bar(
        stream,
        environment,
        progress=progress,
        lines=LineWatcher,
        bar=lambda console: SpinnerWatcher(console, total),
    )
