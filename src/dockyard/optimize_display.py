"""What `invoke optimize` prints: a table of proposals, the reasons, and the diff. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dockyard.display.format import format_bytes, format_count, format_seconds, strip_control
from dockyard.display.tables import columns
from dockyard.optimize import ByHand, Proposal, RunTask, Safety, applicable

if TYPE_CHECKING:
    from dockyard.optimization import Optimization

__all__ = ["optimization_lines"]

UNKNOWN = "–"
NARROWEST = 60


def gain_of(proposal: Proposal) -> str:
    """Write the expected gain: bytes, seconds, both, or a dash where nobody knows."""
    parts = []
    if proposal.gain_bytes is not None:
        parts.append(format_bytes(proposal.gain_bytes))
    if proposal.gain_seconds is not None:
        parts.append(format_seconds(proposal.gain_seconds))
    return ", ".join(parts) or UNKNOWN


def _how(proposal: Proposal, *, applies: bool) -> str:
    if applies:
        return "--apply"
    if proposal.safe is Safety.ASKED:
        return f"--apply --only {proposal.topic}"
    return "by hand"


def optimization_lines(found: Optimization, width: int | None = None) -> list[str]:
    """Describe it all; ``width``: of the terminal, None where there is none."""
    lines = list(_applied(found))
    proposals = found.proposals
    chosen = applicable(proposals, found.asked)
    if not chosen:
        lines.append("nothing to propose" + (" beyond that" if found.applied else ""))
    if proposals and not chosen:
        lines += ["", "what could be better too, and is for you to decide:", ""]
    if proposals:
        lines += _table(proposals, chosen)
        lines += ["", *_reasons(proposals, width)]
    if found.diff and not found.applied:
        lines += [
            "",
            f"what `invoke optimize{_only(found.asked)} --apply` would change:",
            "",
            found.diff,
        ]
    if chosen and not found.applied:
        lines += ["", f"`invoke optimize{_only(found.asked)} --apply` does {_count(chosen)} of it"]
    if found.notes:
        lines += ["", *(f"note: {strip_control(note)}" for note in found.notes)]
    return lines


def _only(asked: Sequence[str]) -> str:
    return "".join(f" --only {topic}" for topic in asked)


def _count(proposals: Sequence[Proposal]) -> str:
    return format_count(len(proposals), "point")


def _applied(found: Optimization) -> Iterator[str]:
    if not found.applied:
        return
    for one in found.applied:
        yield f"done: {one.topic}: {strip_control(one.what)}"
    if found.diff:
        yield ""
        yield found.diff
    if found.backups:
        yield f"the old text is kept: {', '.join(found.backups)}"
    of_the_image = ("weight", "install", "compression", "base", "pins")
    if any(one.topic in of_the_image for one in found.applied):
        yield "the next `invoke build` makes the image so"
    yield ""


def _table(proposals: Sequence[Proposal], chosen: Sequence[Proposal]) -> list[str]:
    rows = [
        (str(number), one.topic, gain_of(one), _how(one, applies=one in chosen), one.what)
        for number, one in enumerate(proposals, 1)
    ]
    return columns(("#", "topic", "gain", "applied by", "what"), rows, right=(0, 2))


def _reasons(proposals: Sequence[Proposal], width: int | None) -> Iterator[str]:
    """Say of each why, what the gain was measured on, and what is to be done by hand."""
    for number, one in enumerate(proposals, 1):
        parts = [one.why]
        if one.gain_bytes is not None or one.gain_seconds is not None:
            parts.append(f"gain: {one.measured_from}")
        match one.change:
            case ByHand(place, advice):
                parts.append(f"in {place}: {advice}")
            case RunTask(command):
                parts.append(f"`{command}` does it")
            case _:
                pass
        text = strip_control(". ".join(parts))
        yield from textwrap.wrap(
            text,
            max(width or 100, NARROWEST),
            initial_indent=f"{number:>2}  ",
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
