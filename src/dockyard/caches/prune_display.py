"""A prune plan and its outcome as lines, and the question before everything goes."""

from __future__ import annotations

from typing import TextIO

from dockyard.caches.prune import Pruned
from dockyard.caches.prune_plan import PruneItem, PrunePlan
from dockyard.display.format import format_bytes, shorten, strip_control
from dockyard.errors import CacheError

__all__ = ["confirmed", "plan_lines", "pruned_lines"]

NAME_WIDTH = 60


def _line(item: PruneItem) -> str:
    size = "unknown" if item.bytes is None else format_bytes(item.bytes)
    name = shorten(strip_control(item.name), NAME_WIDTH)
    return f"{item.kind:<11}  {size:>8}  {name:<{NAME_WIDTH}}  {item.reason}"


def plan_lines(plan: PrunePlan) -> list[str]:
    """List each thing that goes with its bytes, then the sum, then the notes."""
    lines = [_line(item).rstrip() for item in plan.items]
    count = len(plan.items)
    if count:
        lines.append(f"{count} to remove, {format_bytes(plan.bytes)} as far as it is known")
    else:
        lines.append("nothing to remove")
    return [*lines, *(f"note: {note}" for note in plan.notes)]


def pruned_lines(pruned: Pruned) -> list[str]:
    """Say what came of it."""
    return [f"{format_bytes(pruned.bytes)} freed"]


def confirmed(source: TextIO, stream: TextIO) -> bool:
    """Ask on a terminal whether to go on.

    Raises CacheError where nobody can be asked.
    """
    if not source.isatty():
        raise CacheError(
            "nobody can be asked whether all of this may go",
            hint="`invoke cache.clean --yes` removes it; --dry-run only lists it",
        )
    stream.write("Remove all of this? [y/N] ")
    stream.flush()
    return source.readline().strip().lower() in ("y", "yes")
