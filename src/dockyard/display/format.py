"""Numbers and foreign text, made fit to be shown."""

from __future__ import annotations

import re

__all__ = ["format_bytes", "format_count", "format_seconds", "shorten", "strip_control"]

# CSI and OSC sequences, two-byte escapes, then every other control character but the tab.
_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-_]"
    r"|[\x00-\x08\x0a-\x1f\x7f-\x9f]"
)


def format_bytes(count: float) -> str:
    """Write a number of bytes in decimal units, as docker does: ``41.2 kB``."""
    size = float(count)
    if abs(size) < 1000:
        return f"{size:.0f} B"
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if abs(size) < 999.5:
            return f"{size:.1f} {unit}" if abs(size) < 99.95 else f"{size:.0f} {unit}"
    return f"{size / 1000:.1f} TB"


def format_count(count: int, one: str, several: str | None = None) -> str:
    """Write a number with what it counts: ``1 step``, ``1,204 files``, ``2 copies are``.

    ``several`` is what follows another number than 1, where that is not ``one`` with an “s”.
    """
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"


def format_seconds(seconds: float) -> str:
    """Write a duration: ``0.42 s``, ``12.4 s``, ``3 min 07 s``."""
    if round(seconds, 2) < 10:
        return f"{seconds:.2f} s"
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s"


def shorten(text: str, width: int) -> str:
    """Cut a text to at most ``width`` characters, its whitespace collapsed."""
    collapsed = " ".join(text.split())
    return collapsed if len(collapsed) <= width else collapsed[: max(width - 1, 0)] + "…"


def strip_control(text: str) -> str:
    """Take terminal escapes and control characters out of text that a build printed."""
    return _CONTROL.sub("", text)
