"""The explanation of the last build as the report shows it: plain texts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dockyard.display.format import format_bytes, format_count, format_seconds, shorten
from dockyard.explain_model import Cause, CauseKind, Detail, ExplainedStep, Explanation, Relation
from dockyard.steps import short_instruction

__all__ = ["CauseView", "ExplanationView", "view_explanation"]

_RELATIONS = {
    Relation.DIRECT: "",
    Relation.AFTER: ", as it builds on what ran",
    Relation.NEEDED: ", as what ran needs it",
}
_WIDTH = 120


@dataclass(frozen=True)
class CauseView:
    """One root cause in a line, what it cost, what changed, and the steps that ran for it."""

    title: str
    cost: str
    details: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExplanationView:
    """Why steps ran: the build that this one was compared with, and the causes."""

    summary: str
    compared: str | None = None
    causes: tuple[CauseView, ...] = ()
    notes: tuple[str, ...] = ()


def view_explanation(found: Explanation) -> ExplanationView:
    """Put an explanation into words; its causes are ordered already."""
    ran = len(found.steps)
    cached = format_count(found.cached, "was", "were")
    summary = f"{format_count(ran, 'step')} ran, {cached} cached"
    if not found.causes:
        summary = "Everything was cached" if not ran else summary
    compared = None
    if found.compared:
        moment = found.compared.started[:19].replace("T", " ")
        outcome = found.compared.outcome
        ended = "was interrupted" if outcome == "interrupted" else outcome
        compared = f"Compared with the build of {moment} UTC, which {ended}"
        if found.compared.why:
            compared += f": {found.compared.why}"
    return ExplanationView(
        summary=summary,
        compared=compared,
        causes=tuple(_cause(one, found.steps) for one in found.causes),
        notes=found.notes,
    )


def _cause(cause: Cause, steps: Sequence[ExplainedStep]) -> CauseView:
    positions = {one.position: one for one in steps}
    named = [positions[number] for number in cause.steps if number in positions]
    cost = f"{format_count(len(cause.steps), 'step')}, {format_seconds(cause.seconds)}"
    if cause.bytes is not None:
        cost += f", layers of {format_bytes(cause.bytes)}"
        cost += " compressed" if cause.compressed else " unpacked"
    if cause.shared:
        cost += (
            f"; {format_count(len(cause.shared), 'step')} more ran for a weightier cause as well"
        )
    return CauseView(
        title=cause.summary,
        cost=cost,
        details=tuple(
            _detail(one, cause.kind) for one in cause.details if one.text != cause.summary
        ),
        steps=tuple(map(_step, named)),
    )


def _detail(detail: Detail, kind: CauseKind) -> str:
    # A changed file's text says both of its sizes.
    told = kind is CauseKind.FILES and "→" in detail.text
    if detail.bytes is None or told:
        return detail.text
    return f"{detail.text}, {format_bytes(detail.bytes)}"


def _step(step: ExplainedStep) -> str:
    place = " ".join(filter(None, (step.stage, step.platform)))
    said = shorten(short_instruction(step.instruction), _WIDTH)
    because = f" ({', '.join(one.text for one in step.because[:3])})" if step.because else ""
    return f"{place}: {said}, {format_seconds(step.seconds)}" + _RELATIONS[step.relation] + because
