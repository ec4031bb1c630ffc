"""What shows of progress share: lines on a stream, a bar over what is counted, which one fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TextIO, TypeVar

from dockyard.display import display_kind

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

__all__ = ["LineWriter", "choose_lines_or_bar", "counting_progress"]

Lines = TypeVar("Lines")
Bar = TypeVar("Bar")


class LineWriter:
    """Writes lines, each at once; a ``quiet`` one writes none."""

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self._stream, self._quiet = stream, quiet

    def write(self, line: str) -> None:
        """Write a line."""
        if not self._quiet:
            self._stream.write(line + "\n")
            self._stream.flush()


def counting_progress(
    console: Console, *, width: int = 40, left: bool = False, transient: bool = False
) -> Progress:
    """Make rich's bar over things that are counted, with what is done now and the time it took.

    ``width`` is the bar's, in characters. ``left`` adds the time that it may still take; a
    ``transient`` bar is removed in the end.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=width),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        *((TimeRemainingColumn(),) if left else ()),
        console=console,
        transient=transient,
    )


def choose_lines_or_bar(
    stream: TextIO,
    environment: Mapping[str, str],
    *,
    progress: str,
    lines: Callable[[LineWriter], Lines],
    bar: Callable[[Console], Bar],
) -> Lines | Bar:
    """Make what fits the stream, the environment and DOCKYARD_PROGRESS."""
    kind = display_kind(environment, terminal=stream.isatty(), progress=progress)
    if kind == "live":
        from rich.console import Console

        return bar(Console(file=stream, highlight=False))
    return lines(LineWriter(stream, quiet=kind == "quiet"))
