"""buildx's rawjson progress, line by line, as a trace of what the build did. Pure: no clock.

Each line is a ``SolveStatus`` (BuildKit, ``client/graph.go``): vertexes, statuses, logs, warnings.
A vertex's digest recurs as it evolves and may start and complete several times. Lines that are none
are plain text that buildx mixes in (docker/buildx#2967): the error message, mostly; they are kept.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from dockyard.steps import StepKind, StepName, parse_step_name

__all__ = [
    "COUNTED_KINDS",
    "BuildTrace",
    "BuildWarning",
    "HitRates",
    "Step",
    "TraceReader",
    "hit_rates",
    "parse_timestamp",
]

KEPT_LOG_LINES = 200
KEPT_NOISE_LINES = 500

# The kinds whose caching is the user's concern: what a Dockerfile's own instructions do.
COUNTED_KINDS = frozenset({StepKind.COPY, StepKind.RUN, StepKind.FILE})

_TIMESTAMP = re.compile(
    r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:\d\d)"
)
# Statuses whose counters are bytes: context transfers, and blobs, which are named by digest.
_COUNTS_BYTES = re.compile(
    r"transferring|^(?:extracting )?sha256:[0-9a-f]{8,}|pushing|downloading|sending tarball"
)


def parse_timestamp(text: object) -> datetime | None:
    """Read an RFC 3339 time with up to nanoseconds, as Go writes it; None for anything else."""
    match = _TIMESTAMP.fullmatch(text) if isinstance(text, str) else None
    if not match:
        return None
    try:
        zone = "+00:00" if match[3] in "Zz" else match[3]
        moment = datetime.fromisoformat(match[1].upper().replace(" ", "T") + zone)
        moment += timedelta(microseconds=int((match[2] or "0").ljust(9, "0")[:6]))
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True)
class Step:
    """One vertex, as it stands.

    ``seconds`` is the time that it was busy: the union of its intervals, as BuildKit's own display
    counts (``util/progress/progressui/display.go``, ``mergeIntervals``). ``bytes_done`` and
    ``bytes_total`` sum the statuses that count bytes (transfers, blobs); the total is 0 where
    BuildKit doesn't know it. ``log`` holds the last 200 lines. A vertex that neither started nor
    completed was not reached: BuildKit found out that it needs it not.
    """

    digest: str
    kind: StepKind
    instruction: str
    stage: str | None
    platform: str | None
    number: int | None
    total: int | None
    inputs: tuple[str, ...]
    started: datetime | None
    completed: datetime | None
    seconds: float
    cached: bool
    error: str | None
    bytes_done: int
    bytes_total: int
    log: tuple[str, ...]

    @property
    def running(self) -> bool:
        """Whether it has started and not completed since."""
        return self.started is not None and self.completed is None

    @property
    def ran(self) -> bool:
        """Whether it did its work in this build, to the end or not."""
        return self.started is not None and not self.cached


@dataclass(frozen=True)
class BuildWarning:
    """A warning of BuildKit's Dockerfile checks; ``line`` counts from 1."""

    short: str
    detail: tuple[str, ...]
    url: str | None
    line: int | None


@dataclass(frozen=True)
class BuildTrace:
    """Everything that a build reported, steps in the order in which they first appeared.

    ``noise`` holds the lines that were no progress. Times are UTC.
    """

    steps: tuple[Step, ...]
    warnings: tuple[BuildWarning, ...]
    noise: tuple[str, ...]

    @property
    def started(self) -> datetime | None:
        """When the first step started."""
        return min((step.started for step in self.steps if step.started), default=None)

    @property
    def completed(self) -> datetime | None:
        """When the last step completed."""
        return max((step.completed for step in self.steps if step.completed), default=None)

    @property
    def seconds(self) -> float:
        """From the first step's start to the last one's end."""
        if not (self.started and self.completed):
            return 0.0
        return (self.completed - self.started).total_seconds()

    @property
    def failed_step(self) -> Step | None:
        """The step that failed of itself, rather than being cancelled because another did."""
        failed = [step for step in self.steps if step.error]
        own = [step for step in failed if not _is_cancellation(step.error or "")]
        with_log = [step for step in own if step.log]
        return next(iter(with_log or own), None)


def _is_cancellation(error: str) -> bool:
    return bool(re.search(r"context canceled|Canceled: |graceful stop", error))


@dataclass
class _Vertex:
    """A vertex while it evolves."""

    digest: str
    name: StepName
    inputs: tuple[str, ...] = ()
    intervals: dict[datetime, datetime | None] = field(default_factory=dict)
    cached: bool = False
    error: str | None = None
    transfers: dict[str, tuple[int, int]] = field(default_factory=dict)
    log: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LOG_LINES))
    open_lines: dict[int, str] = field(default_factory=dict)
    step: Step | None = None

    def busy_seconds(self) -> float:
        """Measure the union of the completed intervals."""
        seconds, end = 0.0, None
        for start, stop in sorted((a, b) for a, b in self.intervals.items() if b is not None):
            begin = start if end is None or start > end else end
            if stop > begin:
                seconds += (stop - begin).total_seconds()
            end = stop if end is None or stop > end else end
        return seconds

    def as_step(self) -> Step:
        if self.step is None:
            ends = list(self.intervals.values())
            complete = bool(ends) and None not in ends
            log = [*self.log, *(text for text in self.open_lines.values() if text)]
            self.step = Step(
                digest=self.digest,
                kind=self.name.kind,
                instruction=self.name.instruction,
                stage=self.name.stage,
                platform=self.name.platform,
                number=self.name.number,
                total=self.name.total,
                inputs=self.inputs,
                started=min(self.intervals, default=None),
                completed=max((end for end in ends if end), default=None) if complete else None,
                seconds=self.busy_seconds(),
                cached=self.cached,
                error=self.error,
                bytes_done=sum(done for done, _ in self.transfers.values()),
                bytes_total=sum(total for _, total in self.transfers.values()),
                log=tuple(log[-KEPT_LOG_LINES:]),
            )
        return self.step


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> int:
    return max(value, 0) if isinstance(value, int) and not isinstance(value, bool) else 0


def _decoded(value: object) -> str:
    """Read a Go ``[]byte``, which JSON carries as base64."""
    try:
        return base64.b64decode(_text(value), validate=True).decode(errors="replace")
    except (binascii.Error, ValueError):
        return ""


def _objects(status: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = status.get(key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


class TraceReader:
    """Collects progress line by line. Nothing that is fed to it makes it raise.

    ``clean`` goes over every text that comes from outside (names, logs, errors, noise), to take
    secrets out before anything can show or keep them.
    """

    def __init__(self, clean: Callable[[str], str] = lambda text: text) -> None:
        self._clean = clean
        self._vertices: dict[str, _Vertex] = {}
        self._warnings: dict[BuildWarning, None] = {}
        self._noise: deque[str] = deque(maxlen=KEPT_NOISE_LINES)

    def feed(self, line: bytes) -> None:
        """Take one line of buildx's standard error, with or without its newline."""
        try:
            status = json.loads(line) if line.lstrip().startswith(b"{") else None
        except (ValueError, RecursionError):
            status = None
        known = ("vertexes", "statuses", "logs", "warnings")
        if not isinstance(status, dict) or not (any(key in status for key in known)):
            text = line.decode(errors="replace").rstrip("\r\n")
            if text.strip() and text.strip() != "{}":
                self._noise.append(self._clean(text))
            return
        for vertex in _objects(status, "vertexes"):
            self._feed_vertex(vertex)
        for one in _objects(status, "statuses"):
            self._feed_status(one)
        for log in _objects(status, "logs"):
            self._feed_log(log)
        for warning in _objects(status, "warnings"):
            self._feed_warning(warning)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps as they stand; only those that changed since are made anew."""
        return tuple(
            vertex.as_step() for vertex in self._vertices.values() if vertex.name.instruction
        )

    def trace(self) -> BuildTrace:
        """Return what was reported so far as one value."""
        return BuildTrace(self.steps, tuple(self._warnings), tuple(self._noise))

    def _vertex(self, digest: object) -> _Vertex | None:
        """Find a vertex by digest; one that was not announced yet has no name, and isn't shown."""
        if not isinstance(digest, str) or not digest:
            return None
        vertex = self._vertices.get(digest)
        if vertex is None:
            vertex = self._vertices[digest] = _Vertex(digest, StepName(StepKind.OTHER, ""))
        vertex.step = None
        return vertex

    def _feed_vertex(self, values: dict[str, Any]) -> None:
        vertex = self._vertex(values.get("digest"))
        if vertex is None:
            return
        if name := _text(values.get("name")):
            vertex.name = parse_step_name(self._clean(name))
        if isinstance(values.get("inputs"), list):
            vertex.inputs = tuple(one for one in values["inputs"] if isinstance(one, str))
        started = parse_timestamp(values.get("started"))
        completed = parse_timestamp(values.get("completed"))
        if started:
            # Progress may arrive out of order: an end once known is not forgotten.
            vertex.intervals[started] = completed or vertex.intervals.get(started)
        if values.get("cached") is True:
            vertex.cached = True
        if error := _text(values.get("error")):
            vertex.error = self._clean(error)

    def _feed_status(self, values: dict[str, Any]) -> None:
        vertex = self._vertex(values.get("vertex"))
        identifier = _text(values.get("id"))
        if vertex is None or not _COUNTS_BYTES.search(identifier):
            return
        done, total = vertex.transfers.get(identifier, (0, 0))
        vertex.transfers[identifier] = (
            max(done, _count(values.get("current"))),
            max(total, _count(values.get("total"))),
        )

    def _feed_log(self, values: dict[str, Any]) -> None:
        vertex = self._vertex(values.get("vertex"))
        if vertex is None:
            return
        stream = _count(values.get("stream"))
        text = vertex.open_lines.get(stream, "") + _decoded(values.get("data"))
        *lines, rest = text.split("\n")
        for one in lines:
            vertex.log.append(self._clean(one.rstrip("\r").rpartition("\r")[2]))
        vertex.open_lines[stream] = rest

    def _feed_warning(self, values: dict[str, Any]) -> None:
        ranges = values.get("range")
        line = None
        if isinstance(ranges, list) and ranges and isinstance(ranges[0], dict):
            start = ranges[0].get("start")
            line = _count(start.get("line")) or None if isinstance(start, dict) else None
        detail = values.get("detail")
        short = self._clean(_decoded(values.get("short")))
        if short:
            warning = BuildWarning(
                short=short,
                detail=tuple(self._clean(_decoded(one)) for one in detail)
                if isinstance(detail, list)
                else (),
                url=_text(values.get("url")) or None,
                line=line,
            )
            self._warnings[warning] = None


@dataclass(frozen=True)
class HitRates:
    """Shares of steps that were cached, each between 0 and 1; None where there was no step."""

    dependency: float | None
    application: float | None
    overall: float | None


def hit_rates(
    trace: BuildTrace, is_dependency_stage: Callable[[str], bool], application_stage: str
) -> HitRates:
    """Compute the cache hit rates of a build.

    A rate is the number of cached steps over the number of steps that BuildKit reached. Counted are
    the Dockerfile's own instructions: RUN, COPY and other file operations. Left out are internal
    vertices (definition, metadata, context), base images, exports, and the merge vertex that
    each linked copy has beside its own. ``dependency`` is over the stages that
    ``is_dependency_stage`` accepts, ``application`` over the final stage's copies of sources
    (``COPY --from`` of a dependency layer counts as dependency), ``overall`` over all stages.
    """
    reached = [
        step
        for step in trace.steps
        if step.kind in COUNTED_KINDS and (step.started or step.completed or step.cached)
    ]

    def is_dependency(step: Step) -> bool:
        source = (
            re.search(r"--from=(\S+)", step.instruction) if step.kind == StepKind.COPY else None
        )
        return is_dependency_stage(source[1] if source else step.stage or "")

    def rate(steps: list[Step]) -> float | None:
        return sum(step.cached for step in steps) / len(steps) if steps else None

    return HitRates(
        dependency=rate([step for step in reached if is_dependency(step)]),
        application=rate(
            [
                step
                for step in reached
                if step.stage == application_stage and not is_dependency(step)
            ]
        ),
        overall=rate(reached),
    )
