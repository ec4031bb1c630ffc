"""What a person sees of a running build: a live view, plain lines, or GitHub's log groups.

Nothing here imports rich: the live view does so when it is chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from dockyard.trace import BuildTrace
    from dockyard.trace_reader import TraceReader

__all__ = ["Display", "choose_display", "display_kind", "write_job_summary"]


class Display(Protocol):
    """Shows one build. ``update`` is called about ten times a second, with a monotonic clock."""

    def begin(self, title: str) -> None:
        """Show that the build starts."""

    def update(self, reader: TraceReader, now: float) -> None:
        """Show how the steps stand."""

    def end(self, trace: BuildTrace, *, failed: bool) -> None:
        """Show what is left to show, and give the terminal back."""


def display_kind(environment: Mapping[str, str], *, terminal: bool, progress: str) -> str:
    """Choose ``live``, ``plain``, ``github`` or ``quiet``.

    ``progress`` is DOCKYARD_PROGRESS; where that is ``auto``, BUILDKIT_PROGRESS's ``tty``,
    ``plain`` and ``quiet`` are understood as docker does.
    """
    if progress != "auto":
        return progress
    if environment.get("GITHUB_ACTIONS") == "true":
        return "github"
    asked = environment.get("BUILDKIT_PROGRESS", "auto")
    if asked in ("quiet", "plain"):
        return asked
    if asked == "tty":
        return "live"
    return "live" if terminal and environment.get("TERM") != "dumb" else "plain"


def choose_display(
    stream: TextIO,
    environment: Mapping[str, str],
    *,
    progress: str = "auto",
    dockerfile: str | None = None,
) -> Display:
    """Make the display that fits the stream, the environment and the settings.

    ``dockerfile`` is the path in the repository that annotations point to.
    """
    kind = display_kind(environment, terminal=stream.isatty(), progress=progress)
    if kind == "live":
        from dockyard.display.live import LiveDisplay

        return LiveDisplay.on(stream)
    if kind == "github":
        from dockyard.display.github import GithubDisplay

        return GithubDisplay(stream, dockerfile)
    from dockyard.display.plain import PlainDisplay

    return PlainDisplay(stream, quiet=kind == "quiet")


def write_job_summary(path: Path, markdown: str) -> None:
    """Append to the file that GITHUB_STEP_SUMMARY names."""
    with path.open("a", encoding="utf-8") as file:
        file.write(markdown + "\n")
