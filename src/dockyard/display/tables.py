"""Aligned columns of text, and numbers of bytes that are read one under another.

rich's own tables make all columns narrower where the terminal is narrow, which cuts the short ones
off together with the long one. Here only what is known to be long is shortened.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from typing import TextIO

from dockyard.display.format import format_count, strip_control

__all__ = ["columns", "join_names", "width_of"]

_GAP = "  "


def width_of(stream: TextIO) -> int | None:
    """Return the terminal's width in characters, None where the stream is no terminal."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def columns(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[int] = ()
) -> list[str]:
    """Lay rows out under their headings; the columns numbered in ``right`` end where they end.

    Characters of double width count as two. Control characters are taken out.
    """
    from rich.cells import cell_len

    table = [headings, *([strip_control(cell) for cell in row] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*table, strict=True)]
    lines = []
    for row in table:
        cells = []
        for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
            blanks = " " * (width - cell_len(cell))
            cells.append(blanks + cell if number in right else cell + blanks)
        lines.append(_GAP.join(cells).rstrip())
    return lines


def join_names(names: Sequence[str], width: int | None) -> str:
    """Join names by commas; those that do not fit into ``width`` characters are only counted."""
    text = ", ".join(names)
    if width is None or len(text) <= width:
        return text
    for shown in range(len(names) - 1, 0, -1):
        text = f"{', '.join(names[:shown])} and {len(names) - shown} more"
        if len(text) <= width:
            return text
    return format_count(len(names), "package")
