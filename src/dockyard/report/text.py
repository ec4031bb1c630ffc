"""Texts of records, made fit for a page, and for plotly, which takes some HTML in labels. Pure."""

from __future__ import annotations

import html
import textwrap

from dockyard.display.format import strip_control

__all__ = ["commit_text", "moment_text", "plotly_text", "safe", "wrapped"]


def safe(text: str) -> str:
    """Take out what no page can hold: terminal escapes, control characters, lone surrogates."""
    lines = text.encode("utf-8", "replace").decode("utf-8").split("\n")
    return "\n".join(map(strip_control, lines))


def plotly_text(text: str) -> str:
    """Quote a text for plotly, which would take ``<b>`` or ``<a href=…>`` in it for markup."""
    return html.escape(safe(text), quote=False)


def wrapped(text: str, *, lines: int, width: int = 46) -> list[str]:
    """Break a text into at most so many quoted lines, which a phone's hover box has room for."""
    broken = textwrap.wrap(safe(text), width, max_lines=lines, placeholder=" …")
    return [plotly_text(line) for line in broken]


def moment_text(started: str) -> str:
    """Write a record's time short: ``11-25 17:21``."""
    return plotly_text(started[5:16].replace("T", " "))


def commit_text(commit: str, dirty: bool) -> str:
    """Write a commit short, with a star where files were changed that are not committed."""
    return plotly_text(commit[:7]) + ("*" if dirty else "")
