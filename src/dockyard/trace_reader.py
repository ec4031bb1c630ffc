"""buildx's rawjson progress, line by line, as a :class:`~dockyard.trace.BuildTrace`. No clock.

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

from dockyard.layer_reports import MARK
from dockyard.steps import StepKind, StepName, parse_step_name
from dockyard.trace import BlobTransfer, BuildTrace, BuildWarning, Step, busy_seconds

__all__ = ["TraceReader", "parse_timestamp"]

KEPT_LOG_LINES = 200
KEPT_NOISE_LINES = 500
# Of a line that is longer only the end is kept: a step may print megabytes without a newline.
KEPT_CHARACTERS = 4000
# A layer's report names all of its packages in one line; half of one is worth nothing.
KEPT_REPORT_CHARACTERS = 1 << 20
LARGEST_COUNT = 2**63 - 1  # of Go's int64

_TIMESTAMP = re.compile(
    r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:\d\d)"
)
# What a step does with a registry, and what it does with nobody else while it is silent.
_TRANSFERS = re.compile(r"sha256:|resolve |pushing |writing ")
_COMPUTES = re.compile(r"extracting |exporting |unpacking |preparing |transferring |sending ")
_ASKS = re.compile(r"load metadata for |resolve image config for ")
# Statuses whose counters are bytes that travel: what the client sends, and blobs, which are named
# by their digest. “extracting sha256:…” counts a blob again that was counted when it came.
_COUNTS_BYTES = re.compile(r"transferring |sha256:[0-9a-f]{8,}$|sending tarball")


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


@dataclass
class _Attempt:
    """One interval of a vertex: an execution, a load from the cache, a look at a source."""

    completed: datetime | None = None
    cached: bool = False
    error: str | None = None


@dataclass
class _Vertex:
    """A vertex while it evolves; its attempts by their start."""

    digest: str
    name: StepName
    inputs: tuple[str, ...] = ()
    attempts: dict[datetime, _Attempt] = field(default_factory=dict)
    cached_unstarted: bool = False
    error_unstarted: str | None = None
    transfers: dict[str, tuple[int, int]] = field(default_factory=dict)
    open_parts: set[str] = field(default_factory=set)
    log: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LOG_LINES))
    dropped_reports: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LOG_LINES))
    open_lines: dict[int, bytes] = field(default_factory=dict)
    step: Step | None = None

    def _cached(self) -> bool:
        attempts = self.attempts.values()
        # A step with inputs that starts uncached is executed (BuildKit, ``solver/jobs.go``: Exec;
        # CacheMap reports only sources), even where its result is loaded again afterwards.
        executed = bool(self.inputs) and any(not one.cached for one in attempts)
        return not executed and (self.cached_unstarted or any(one.cached for one in attempts))

    @property
    def waiting(self) -> bool:
        """Whether it runs and can only be waiting for a registry."""
        if not any(one.completed is None for one in self.attempts.values()):
            return False
        if any(_COMPUTES.match(part) for part in self.open_parts):
            return False
        name = self.name
        asks = name.kind in (StepKind.CACHE_IMPORT, StepKind.AUTH) or _ASKS.match(name.instruction)
        return bool(asks) or any(_TRANSFERS.match(part) for part in self.open_parts)

    def as_step(self, clean: Callable[[str], str]) -> Step:
        if self.step is None:
            ends = [one.completed for one in self.attempts.values()]
            complete = bool(ends) and None not in ends
            last = self.attempts[max(self.attempts)] if self.attempts else None
            # A line without its end may be half of something, a secret even.
            left = [clean(_decoded(one)) for one in self.open_lines.values() if one and complete]
            self.step = Step(
                digest=self.digest,
                kind=self.name.kind,
                instruction=self.name.instruction,
                stage=self.name.stage,
                platform=self.name.platform,
                number=self.name.number,
                total=self.name.total,
                inputs=self.inputs,
                started=min(self.attempts, default=None),
                completed=max((end for end in ends if end), default=None) if complete else None,
                seconds=busy_seconds(
                    (start, one.completed) for start, one in self.attempts.items() if one.completed
                ),
                cached=self._cached(),
                error=last.error if last else self.error_unstarted,
                bytes_done=sum(done for done, _ in self.transfers.values()),
                bytes_total=sum(total for _, total in self.transfers.values()),
                log=(
                    *self.dropped_reports,
                    *[*self.log, *map(_kept, map(_final, left))][-KEPT_LOG_LINES:],
                ),
                blobs=tuple(
                    BlobTransfer(name, done, total)
                    for name, (done, total) in self.transfers.items()
                    if name.startswith("sha256:")
                ),
            )
        return self.step


def _final(line: str) -> str:
    """Take of a line that was overwritten, as progress bars do, what stands there at the end."""
    return line.rstrip("\r").rpartition("\r")[2]


def _kept(line: str) -> str:
    """Cut a long line, but for a report's."""
    return line[-(KEPT_REPORT_CHARACTERS if MARK in line else KEPT_CHARACTERS) :]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return min(max(value, 0), LARGEST_COUNT)


def _decoded(raw: bytes) -> str:
    return raw.decode(errors="replace")


def _bytes(value: object) -> bytes:
    """Read a Go ``[]byte``, which JSON carries as base64."""
    try:
        return base64.b64decode(_text(value), validate=True)
    except (binascii.Error, ValueError):
        return b""


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
        self.changes = 0

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
                self._noise.append(self._clean(text)[-KEPT_CHARACTERS:])
                self.changes += 1
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
    def waiting(self) -> Step | None:
        """A step that runs and can only be waiting for a registry, where there is one.

        ``changes`` grows by what is news: BuildKit repeats what it said, ten times a second.
        """
        found = (one for one in self._vertices.values() if one.waiting)
        vertex = next(found, None)
        return vertex.as_step(self._clean) if vertex else None

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps as they stand; only those that changed since are made anew."""
        return tuple(
            vertex.as_step(self._clean)
            for vertex in self._vertices.values()
            if vertex.name.instruction
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
        cached = values.get("cached") is True
        error = self._clean(_text(values.get("error"))) or None
        if moment := started or completed:
            known = vertex.attempts.get(moment)
            self.changes += known is None or (completed is not None and not known.completed)
            attempt = vertex.attempts.setdefault(moment, _Attempt())
            attempt.cached = attempt.cached or cached
            # Progress may arrive out of order: an end once known is not forgotten. A start repeats
            # the error of the attempt before, so only an end tells of an error.
            if completed:
                attempt.completed, attempt.error = completed, error
        else:
            vertex.cached_unstarted = vertex.cached_unstarted or cached
            vertex.error_unstarted = error or vertex.error_unstarted

    def _feed_status(self, values: dict[str, Any]) -> None:
        vertex = self._vertex(values.get("vertex"))
        identifier = _text(values.get("id"))
        if vertex is None:
            return
        is_open = bool(values.get("started")) and not values.get("completed")
        if is_open is not (identifier in vertex.open_parts):
            (vertex.open_parts.add if is_open else vertex.open_parts.discard)(identifier)
            self.changes += 1
        if not _COUNTS_BYTES.match(identifier):
            return
        done, total = vertex.transfers.get(identifier, (0, 0))
        self.changes += _count(values.get("current")) > done
        vertex.transfers[identifier] = (
            max(done, _count(values.get("current"))),
            max(total, _count(values.get("total"))),
        )

    def _feed_log(self, values: dict[str, Any]) -> None:
        vertex = self._vertex(values.get("vertex"))
        if vertex is None:
            return
        self.changes += 1
        stream = _count(values.get("stream"))
        *lines, rest = (vertex.open_lines.get(stream, b"") + _bytes(values.get("data"))).split(
            b"\n"
        )
        for one in lines:
            if len(vertex.log) == KEPT_LOG_LINES and MARK in vertex.log[0]:
                vertex.dropped_reports.append(vertex.log[0])
            vertex.log.append(_kept(_final(self._clean(_decoded(one)))))
        limit = KEPT_REPORT_CHARACTERS if MARK.encode() in rest[:64] else KEPT_CHARACTERS
        if len(rest) > 4 * limit:
            # Cleaned before it is cut, so that no half of a secret escapes.
            rest = self._clean(_decoded(rest))[-KEPT_CHARACTERS:].encode()
        vertex.open_lines[stream] = rest

    def _feed_warning(self, values: dict[str, Any]) -> None:
        ranges = values.get("range")
        line = None
        if isinstance(ranges, list) and ranges and isinstance(ranges[0], dict):
            start = ranges[0].get("start")
            line = _count(start.get("line")) or None if isinstance(start, dict) else None
        detail = values.get("detail")
        short = self._clean(_decoded(_bytes(values.get("short"))))
        if short:
            warning = BuildWarning(
                short=short,
                detail=tuple(self._clean(_decoded(_bytes(one))) for one in detail)
                if isinstance(detail, list)
                else (),
                url=_text(values.get("url")) or None,
                line=line,
            )
            self._warnings[warning] = None
