"""Steps and their reasons, gathered to root causes with what each cost. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from dockyard.explain_model import Cause, CauseKind, Detail, ExplainedStep, Reason, Relation

if TYPE_CHECKING:
    from dockyard.record_parts import StepRecord
    from dockyard.records import BuildRecord

__all__ = ["gather_causes", "layer_bytes"]

# What the details of a cause are, where there are several.
_NOUNS = {
    CauseKind.PACKAGES: ("package", "packages"),
    CauseKind.PLAN: ("package", "packages"),
    CauseKind.FILES: ("file", "files"),
}

Identity = tuple[CauseKind, str]


def gather_causes(
    record: BuildRecord, blamed: Mapping[int, tuple[tuple[Reason, ...], Relation]]
) -> tuple[tuple[Cause, ...], tuple[ExplainedStep, ...]]:
    """Gather steps to causes, the one that cost most first, and say of each step which are its."""
    reasons: dict[Identity, list[Reason]] = {}
    first: dict[Identity, list[int]] = {}
    further: dict[Identity, list[int]] = {}
    order = sorted(blamed, key=lambda number: (record.steps[number].started or "", number))
    for number in order:
        for position, reason in enumerate(blamed[number][0]):
            identity = (reason.kind, reason.key)
            reasons.setdefault(identity, []).append(reason)
            (further if position else first).setdefault(identity, []).append(number)
    found = []
    for identity, alike in reasons.items():
        own = first.get(identity, [])
        details = _details((one for reason in alike for one in reason.details), identity[0])
        size, compressed = layer_bytes(record, own)
        found.append(
            (
                identity,
                Cause(
                    kind=identity[0],
                    summary=_summary(identity[0], details),
                    details=details,
                    steps=tuple(own),
                    shared=tuple(further.get(identity, [])),
                    seconds=round(_busy(record.steps[number] for number in own), 3),
                    bytes=size,
                    compressed=compressed,
                ),
            )
        )
    found.sort(key=lambda one: (-one[1].seconds, -(one[1].bytes or 0), one[1].summary))
    positions = {identity: position for position, (identity, _) in enumerate(found)}
    steps = tuple(
        ExplainedStep(
            position=number,
            stage=record.steps[number].stage,
            instruction=record.steps[number].instruction,
            platform=record.steps[number].platform,
            seconds=record.steps[number].seconds,
            causes=tuple(
                dict.fromkeys(positions[(one.kind, one.key)] for one in blamed[number][0])
            ),
            relation=blamed[number][1],
            because=_details(one for reason in blamed[number][0] for one in reason.details)
            if blamed[number][1] is Relation.DIRECT
            else (),
        )
        for number in order
    )
    return tuple(cause for _, cause in found), steps


def _details(details: Iterable[Detail], kind: CauseKind | None = None) -> tuple[Detail, ...]:
    """List details once each, the largest first.

    What has no size comes first, such as a setting; of packages and files its size is unknown then.
    """
    leads = kind not in _NOUNS
    return tuple(
        sorted(
            dict.fromkeys(details),
            key=lambda one: (not (leads and one.bytes is None), -(one.bytes or 0)),
        )
    )


def _summary(kind: CauseKind, details: Sequence[Detail]) -> str:
    if not details:
        return "packages changed" if kind is CauseKind.PACKAGES else str(kind)
    nouns = _NOUNS.get(kind)
    more = len(details) - 1
    text = details[0].text
    if kind is CauseKind.PLAN:
        text = f"the layer plan changed: {text}"
    if nouns and more:
        text += f" and {more} more {nouns[0] if more == 1 else nouns[1]}"
    return text


def _busy(steps: Iterable[StepRecord]) -> float:
    """Measure the time in which any step was busy, in seconds; the sum where no start is known."""
    from dockyard.trace import busy_seconds

    intervals, unplaced = [], 0.0
    for step in steps:
        try:
            start = datetime.fromisoformat(step.started or "")
        except ValueError:
            unplaced += step.seconds
            continue
        intervals.append((start, start + timedelta(seconds=step.seconds)))
    return busy_seconds(intervals) + unplaced


def layer_bytes(record: BuildRecord, steps: Iterable[int]) -> tuple[int | None, bool]:
    """Sum the image's layers that steps made; whether that is what travels, or unpacked."""
    from dockyard.recording import what_layer_holds

    made = set()
    for number in steps:
        step = record.steps[number]
        keyword, *words = step.instruction.split()
        kept = [word for word in words if not word.startswith("--")]
        made.add(what_layer_holds(" ".join([keyword, *kept]) + " # buildkit"))
    layers = [layer for layer in record.layers if layer.holds != "base" and layer.holds in made]
    if not layers:
        return None, False
    compressed = [layer.compressed for layer in layers if layer.compressed is not None]
    if len(compressed) == len(layers):
        return sum(compressed), True
    return sum(layer.size for layer in layers), False
