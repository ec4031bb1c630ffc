"""What the page of `invoke report` shows, as values: records in, :class:`ReportData` out. Pure.

Sizes are bytes, durations seconds, times RFC 3339 in UTC, rates shares between 0 and 1; None means
unknown, never zero.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

from dockyard.records import BuildRecord, TrafficRecord, UnreadableRecord
from dockyard.report.bench import BenchView
from dockyard.report.explanation import ExplanationView
from dockyard.report.faults import FaultView
from dockyard.report.layers import ImageArea, image_area
from dockyard.report.timeline import Timeline, make_timeline
from dockyard.trace import COUNTED_KINDS

__all__ = [
    "Headline",
    "ReportData",
    "TrafficLine",
    "TrendPoint",
    "Unreadable",
    "cleaned",
    "make_report_data",
]

SCHEMA = 1
NOT_COUNTED = "the Dockyard that made this build did not count it"
# Field of TrafficRecord, direction, and what it is to the reader.
TRAFFIC = (
    ("packages_downloaded", "received", "Packages from indexes"),
    ("base_read", "received", "Base images from registries"),
    ("cache_read", "received", "Build caches"),
    ("context_sent", "sent", "Build context to the builder"),
    ("layers_pushed", "sent", "Image layers pushed"),
    ("cache_written", "sent", "Build caches written"),
    ("packages_cached", "saved", "Packages that uv's cache had"),
    ("layers_skipped", "saved", "Layers that the registry had"),
)

Value = TypeVar("Value")


@dataclass(frozen=True)
class TrafficLine:
    """One kind of traffic: ``direction`` is received, sent, or saved (needed, and not moved).

    ``reason`` says why ``bytes`` is None.
    """

    name: str
    label: str
    direction: str
    bytes: int | None
    reason: str | None = None


@dataclass(frozen=True)
class TrendPoint:
    """One build among the others.

    ``received`` and ``sent`` are sums of what is known; what is not is named in ``unknown``.
    """

    id: str
    started: str
    outcome: str
    commit: str | None
    dirty: bool
    seconds: float
    dependency: float | None
    application: float | None
    overall: float | None
    received: int | None
    sent: int | None
    unknown: tuple[str, ...]
    image_bytes: int | None


@dataclass(frozen=True)
class Headline:
    """The last build's outcome, and the figures of it that matter.

    ``usual_seconds`` is the median of the other builds that succeeded. ``image_change`` is how many
    bytes more its compressed image has than that of the build before it.
    """

    project: str
    version: str | None
    outcome: str
    started: str
    seconds: float
    usual_seconds: float | None
    commit: str | None
    branch: str | None
    dirty: bool
    builder: str
    driver: str
    engine: str | None
    dockyard: str
    tags: tuple[str, ...]
    digest: str | None
    image_bytes: int | None
    unpacked_bytes: int | None
    image_change: int | None
    steps_cached: int
    steps_ran: int
    error: str | None
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Unreadable:
    """A record that could not be read, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class ReportData:
    """All that the page shows; ``trends`` are oldest first, the last build at the end.

    ``image`` is of the last build that made one, which ``image_id`` names.
    """

    headline: Headline
    timeline: Timeline
    traffic: tuple[TrafficLine, ...]
    trends: tuple[TrendPoint, ...]
    image: ImageArea | None
    image_id: str | None
    explanation: ExplanationView | None
    bench: BenchView | None
    faults: FaultView | None
    unreadable: tuple[Unreadable, ...]
    schema: int = SCHEMA

    def as_json(self) -> dict[str, Any]:
        """Return the same as JSON values, with the schema first."""
        values = asdict(self)
        return {"schema": values.pop("schema"), **values}


def cleaned(value: Value, clean: Callable[[str], str]) -> Value:
    """Return the value with ``clean`` applied to every text in it, however deep."""
    changed: Any = value
    if isinstance(value, str):
        changed = clean(value)
    elif isinstance(value, tuple | list):
        changed = type(value)(cleaned(one, clean) for one in value)
    elif isinstance(value, dict):
        changed = {key: cleaned(one, clean) for key, one in value.items()}
    elif is_dataclass(value) and not isinstance(value, type):
        changed = replace(
            value, **{one.name: cleaned(getattr(value, one.name), clean) for one in fields(value)}
        )
    result: Value = changed
    return result


def make_report_data(
    records: Sequence[BuildRecord],
    unreadable: Sequence[UnreadableRecord] = (),
    *,
    explanation: ExplanationView | None = None,
    bench: BenchView | None = None,
    faults: FaultView | None = None,
) -> ReportData:
    """Put together what the page shows of ``records``, which are newest first and at least one."""
    newest = records[0]
    pictured = next((one for one in records if one.layers), None)
    return ReportData(
        headline=_headline(records),
        timeline=make_timeline(newest.steps),
        traffic=traffic_lines(newest),
        trends=tuple(_trend_point(one) for one in reversed(records)),
        image=image_area(pictured) if pictured else None,
        image_id=pictured.id if pictured else None,
        explanation=explanation,
        bench=bench,
        faults=faults,
        unreadable=tuple(Unreadable(str(one.path), one.reason) for one in unreadable),
    )


def _headline(records: Sequence[BuildRecord]) -> Headline:
    newest = records[0]
    others = [one.seconds for one in records[1:] if one.outcome == "succeeded"]
    size = newest.image.get("content_bytes")
    before = next((one.image.get("content_bytes") for one in records[1:] if one.layers), None)
    counted = [step for step in newest.steps if step.kind in COUNTED_KINDS]
    return Headline(
        project=str(newest.project.get("name")),
        version=newest.project.get("version"),
        outcome=newest.outcome,
        started=newest.started,
        seconds=newest.seconds,
        usual_seconds=statistics.median(others) if others else None,
        commit=newest.revision.get("commit"),
        branch=newest.revision.get("branch"),
        dirty=bool(newest.revision.get("dirty")),
        builder=str(newest.builder.get("name")),
        driver=str(newest.builder.get("driver")),
        engine=newest.engine.get("version"),
        dockyard=newest.dockyard,
        tags=tuple(newest.image.get("tags") or ()),
        digest=newest.image.get("digest"),
        image_bytes=size,
        unpacked_bytes=newest.image.get("unpacked_bytes"),
        image_change=None if size is None or before is None else size - before,
        steps_cached=sum(step.cached for step in counted),
        steps_ran=sum(step.ran for step in counted),
        error=newest.error,
        warnings=newest.warnings,
        notes=newest.notes,
    )


def _traffic(record: BuildRecord) -> TrafficRecord:
    """Return what was counted; a record of schema 1 knows the context alone."""
    return record.traffic or TrafficRecord(context_sent=record.context_bytes)


def traffic_lines(record: BuildRecord) -> tuple[TrafficLine, ...]:
    """Return each kind of traffic of a build, with the reason where it is unknown."""
    traffic = _traffic(record)
    reasons = traffic.unknown or {}
    otherwise = NOT_COUNTED if record.traffic is None else "nothing told it"
    lines = []
    for name, direction, label in TRAFFIC:
        count: int | None = getattr(traffic, name)
        reason = reasons.get(name, otherwise) if count is None else None
        lines.append(TrafficLine(name, label, direction, count, reason))
    return tuple(lines)


def _trend_point(record: BuildRecord) -> TrendPoint:
    lines = traffic_lines(record)

    def moved(direction: str) -> int | None:
        known = [one.bytes for one in lines if one.direction == direction and one.bytes is not None]
        return sum(known) if known else None

    return TrendPoint(
        id=record.id,
        started=record.started,
        outcome=record.outcome,
        commit=record.revision.get("commit"),
        dirty=bool(record.revision.get("dirty")),
        seconds=record.seconds,
        dependency=record.hit_rates.get("dependency"),
        application=record.hit_rates.get("application"),
        overall=record.hit_rates.get("overall"),
        received=moved("received"),
        sent=moved("sent"),
        unknown=tuple(one.label for one in lines if one.direction != "saved" and one.bytes is None),
        image_bytes=record.image.get("content_bytes"),
    )
