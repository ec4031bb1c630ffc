"""An explanation as text: the causes with their costs, what changed, and what ran for it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from dockyard.display.format import (
    format_bytes,
    format_count,
    format_seconds,
    shorten,
    strip_control,
)
from dockyard.explain_model import Cause, CauseKind, Detail, ExplainedStep, Explanation, Relation
from dockyard.steps import short_instruction

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["explanation_lines", "one_line", "render_explanation", "worth_a_line"]

# From here on a build says by itself why something ran again: seconds of steps, bytes of layers.
LARGE_SECONDS = 5.0
LARGE_BYTES = 20_000_000
# More than these of what changed, and of what ran, are counted only.
SHOWN_DETAILS = 8
SHOWN_STEPS = 4

# A line: its text, and rich's style for it.
Line = tuple[str, str]


def _cost(cause: Cause) -> str:
    if not cause.steps:
        return "its steps ran for the cause above anyway" if cause.shared else "no step"
    text = f"{format_count(len(cause.steps), 'step')}, {format_seconds(cause.seconds)}"
    if cause.bytes is not None:
        how = "" if cause.compressed else ", unpacked"
        text += f", {format_bytes(cause.bytes)} of layers{how}"
    return text


def worth_a_line(seconds: float, size: int | None) -> bool:
    """Whether what ran is large enough for a build to explain itself unasked."""
    return seconds >= LARGE_SECONDS or (size or 0) >= LARGE_BYTES


def one_line(explanation: Explanation) -> str | None:
    """Say in one line why something large ran again; None where nothing did, or for the first time.

    It is one line, whatever the summary holds.
    """
    causes = [one for one in explanation.causes if one.steps]
    if not causes or causes[0].kind in (CauseKind.FIRST_BUILD, CauseKind.NO_CACHE):
        return None
    if not any(worth_a_line(one.seconds, one.bytes) for one in causes):
        return None
    text = f"{shorten(strip_control(causes[0].summary), 160)}: {_cost(causes[0])}"
    if more := len(causes) - 1:
        text += f"; and {format_count(more, 'more cause')}"
    return f"{text} (`invoke explain` says more)"


def explanation_lines(explanation: Explanation) -> list[str]:
    """Describe it all as plain lines."""
    return [text for text, _ in _lines(explanation)]


def render_explanation(explanation: Explanation, stream: TextIO) -> str:
    """Describe it all as it is written to a stream: coloured for a terminal that wants it.

    rich itself respects NO_COLOR.
    """
    if not stream.isatty():
        return "\n".join(explanation_lines(explanation))
    from rich.console import Console

    console = Console(file=stream, highlight=False)
    with console.capture() as captured:
        for text, style in _lines(explanation):
            console.print(_styled(text, style), soft_wrap=True)
    return captured.get()


def _styled(text: str, style: str) -> Text:
    # As a Text nothing in it is markup or an emoji's name.
    from rich.text import Text

    return Text(text, style)


def _lines(explanation: Explanation) -> Iterator[Line]:
    for text, style in _unclean_lines(explanation):
        yield strip_control(text), style


def _unclean_lines(explanation: Explanation) -> Iterator[Line]:
    took = format_seconds(explanation.seconds)
    yield f"build {explanation.build}: {explanation.outcome} after {took}", "bold"
    if explanation.compared:
        one = explanation.compared
        failed = "" if one.outcome == "succeeded" else f", {one.outcome}"
        yield f"compared with {one.id}{failed} ({one.why})", "dim"
    else:
        yield "compared with none: no earlier build of this image is recorded here", "dim"
    ran = len(explanation.steps)
    yield "", ""
    if not ran:
        if explanation.cached:
            yield f"everything was cached ({format_count(explanation.cached, 'step')})", "green"
        else:
            yield "no step of the Dockerfile was reached", "yellow"
        return
    reached = format_count(ran + explanation.cached, "step")
    yield f"{ran} of {reached} ran, for {_causes(explanation)}", ""
    for number, cause in enumerate(explanation.causes, 1):
        yield "", ""
        style = "yellow" if cause.kind is CauseKind.UNKNOWN else "bold"
        yield f"{number}. {_headline(cause)}", style
        yield f"   {_cost(cause)}", "cyan"
        yield from _details(cause)
        steps = [one for one in explanation.steps if number - 1 in one.causes[:1]]
        yield from _steps(steps)
    if explanation.notes:
        yield "", ""
        for note in explanation.notes:
            yield f"note: {note}", "yellow"


def _causes(explanation: Explanation) -> str:
    count = len(explanation.causes)
    return "one cause" if count == 1 else f"{count} causes, what cost most first"


def _headline(cause: Cause) -> str:
    """Write the summary; with its size, where one thing changed that has one."""
    if len(cause.details) == 1 and cause.details[0].text == cause.summary:
        return _detail(cause, cause.details[0])
    return cause.summary


def _detail(cause: Cause, detail: Detail) -> str:
    told = detail.bytes is None or (cause.kind is CauseKind.FILES and detail.text.endswith(")"))
    return detail.text if told else f"{detail.text}, {format_bytes(detail.bytes or 0)}"


def _details(cause: Cause) -> Iterator[Line]:
    details = [one for one in cause.details if one.text != cause.summary]
    for one in details[:SHOWN_DETAILS]:
        yield f"     {_detail(cause, one)}", ""
    if rest := details[SHOWN_DETAILS:]:
        yield f"     and {len(rest)} more", "dim"


def _steps(steps: list[ExplainedStep]) -> Iterator[Line]:
    """Name the steps that changed themselves, the longest first; fold those after and needed."""
    direct = [one for one in steps if one.relation is Relation.DIRECT] or steps[:1]
    direct.sort(key=lambda one: -one.seconds)
    for one in direct[:SHOWN_STEPS]:
        yield f"   → {_step(one)}, {format_seconds(one.seconds)}", "dim"
    if rest := direct[SHOWN_STEPS:]:
        yield f"   → and {len(rest)} more", "dim"
    after = sum(one.relation is Relation.AFTER and one not in direct for one in steps)
    if after:
        those = "it" if len(direct) == 1 else "them"
        yield f"   … and {format_count(after, 'step')} after {those}", "dim"
    needed = sum(one.relation is Relation.NEEDED and one not in direct for one in steps)
    if needed:
        steps_first = format_count(needed, "step")
        yield f"   … and {steps_first} that had to run first, found in no cache", "dim"


def _step(step: ExplainedStep) -> str:
    platform = f"[{step.platform}] " if step.platform else ""
    stage = f"{step.stage}: " if step.stage else ""
    return f"{platform}{stage}{shorten(short_instruction(step.instruction), 70)}"
