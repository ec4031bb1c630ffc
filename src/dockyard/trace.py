"""What a build did, step by step, as values; :mod:`dockyard.trace_reader` makes them. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from dockyard.steps import StepKind

__all__ = [
    "COUNTED_KINDS",
    "BlobTransfer",
    "BuildTrace",
    "BuildWarning",
    "CacheTransfer",
    "HitRates",
    "Step",
    "busy_seconds",
    "context_bytes",
    "hit_rates",
    "is_cancellation",
]

# The kinds whose caching is the user's concern: what a Dockerfile's own instructions do.
COUNTED_KINDS = frozenset({StepKind.COPY, StepKind.RUN, StepKind.FILE})


@dataclass(frozen=True)
class BlobTransfer:
    """A blob that a step read: bytes so far, and its size, which is 0 while it is not known."""

    digest: str
    done: int
    size: int


@dataclass(frozen=True)
class Step:
    """One vertex, as it stands.

    ``seconds`` is the time that it was busy: the union of its intervals, as BuildKit's own display
    counts (``util/progress/progressui/display.go``, ``mergeIntervals``). ``bytes_done`` and
    ``bytes_total`` sum what travelled for it, the context or the blobs of an image; the total is 0
    where BuildKit doesn't know it; ``blobs`` has those of blobs alone. ``log`` holds the last 200
    lines, and the reports (see :mod:`dockyard.layer_reports`) among those before. ``cached`` means
    that its result was found and nothing was executed. ``error`` is that of its last attempt:
    BuildKit runs a step whose cached result cannot be loaded, and it may then succeed. A vertex
    that neither started nor completed was not reached: BuildKit found out that it needs it not.
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
    blobs: tuple[BlobTransfer, ...] = ()

    @property
    def running(self) -> bool:
        """Whether it has started and not completed since."""
        return self.started is not None and self.completed is None

    @property
    def reached(self) -> bool:
        """Whether BuildKit needed it, to run it or to find it in the cache."""
        return self.started is not None or self.completed is not None or self.cached

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
class CacheTransfer:
    """A build cache that was imported or exported: ``direction`` is ``import`` or ``export``.

    ``type`` is buildx's (``registry``, ``local``, ``gha``, ``s3``, ``azblob``, ``inline``).
    ``reference`` is null where BuildKit does not name it, as for all exports. ``bytes`` is null
    where it does not count them: it reads an imported cache's blobs in the steps that need them.
    """

    direction: str
    type: str
    reference: str | None
    seconds: float
    bytes: int | None
    error: str | None


# The names of cache exporters (BuildKit, ``cache/remotecache/*/export.go``, ``Name``).
_EXPORT_TYPES = (
    ("registry", "registry"),
    ("client directory", "local"),
    ("github actions", "gha"),
    ("s3", "s3"),
    ("azure", "azblob"),
    ("inline", "inline"),
)
_IMPORT_NAME = re.compile(r"importing cache manifest from (.+)")
# What an importer that has no reference is called: its type and a hash of its attributes.
_HASHED_IMPORT = re.compile(r"([a-z0-9]+):\d+")
# buildx itself passes over a local cache that it cannot read, before BuildKit hears of it.
_LOCAL_IMPORT_SKIPPED = re.compile(
    r"WARNING: local cache import at (.+?) not found due to err: (.+)"
)


def _cache_transfer(step: Step) -> CacheTransfer | None:
    if step.kind == StepKind.CACHE_IMPORT:
        match = _IMPORT_NAME.fullmatch(step.instruction)
        name = match[1] if match else ""
        hashed = _HASHED_IMPORT.fullmatch(name)
        direction, kind, reference = "import", "registry", name or None
        if hashed:
            kind, reference = hashed[1], None
    elif step.kind == StepKind.CACHE_EXPORT:
        said = step.instruction.lower()
        kind = next((kind for sign, kind in _EXPORT_TYPES if sign in said), "unknown")
        direction, reference = "export", None
    else:
        return None
    return CacheTransfer(
        direction, kind, reference, step.seconds, step.bytes_done or None, step.error
    )


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
        return max((self.completed - self.started).total_seconds(), 0.0)

    @property
    def failed_step(self) -> Step | None:
        """The step that made the build fail, rather than being cancelled because another did.

        A cache that cannot be imported fails no build; one that cannot be exported does, unless
        its errors are ignored, so it is the last to be suspected.
        """
        failed = [
            step
            for step in self.steps
            if step.error and step.kind != StepKind.CACHE_IMPORT and not is_cancellation(step.error)
        ]
        return min(
            failed,
            key=lambda step: (step.kind == StepKind.CACHE_EXPORT, not step.log),
            default=None,
        )

    @property
    def failed_line(self) -> int | None:
        """The Dockerfile's line that buildx points at when it fails, from 1."""
        for line in self.noise:
            match = re.fullmatch(r"[^\s:]+:(\d{1,6})", line)
            if match:
                return int(match[1])
        return None

    @property
    def caches(self) -> tuple[CacheTransfer, ...]:
        """The caches that were imported and exported, or were to be."""
        skipped = (_LOCAL_IMPORT_SKIPPED.fullmatch(line) for line in self.noise)
        return (
            *(
                CacheTransfer("import", "local", match[1], 0.0, None, match[2])
                for match in skipped
                if match
            ),
            *filter(None, map(_cache_transfer, self.steps)),
        )


def is_cancellation(error: str) -> bool:
    """Whether a step was given up because another failed, or the build was stopped."""
    return bool(re.search(r"(?:context canceled|graceful stop)\W*$", error))


def busy_seconds(intervals: Iterable[tuple[datetime, datetime]]) -> float:
    """Measure the union of intervals, in seconds; one that ends before it starts counts nothing."""
    seconds, end = 0.0, None
    for start, stop in sorted(intervals):
        begin = start if end is None or start > end else end
        if stop > begin:
            seconds += (stop - begin).total_seconds()
        end = stop if end is None or stop > end else end
    return seconds


def context_bytes(trace: BuildTrace) -> int | None:
    """Sum the bytes of build contexts that went to the builder; None where none was asked for.

    Named contexts count, which BuildKit calls ``[context NAME] load from client``.
    """
    sent = [
        step.bytes_done
        for step in trace.steps
        if step.kind == StepKind.CONTEXT
        and step.instruction.endswith(("load build context", "load from client"))
    ]
    return sum(sent) if sent else None


@dataclass(frozen=True)
class HitRates:
    """Shares of steps that were cached, each between 0 and 1; None where there was no step."""

    dependency: float | None
    application: float | None
    overall: float | None


def hit_rates(trace: BuildTrace, is_dependency_stage: Callable[[str], bool]) -> HitRates:
    """Compute the cache hit rates of a build.

    A rate is the number of cached steps over the number of steps that BuildKit reached. Counted are
    the Dockerfile's own instructions: RUN, COPY and other file operations. Left out are internal
    vertices (definition, metadata, context), base images, exports, and the merge vertex that
    each linked copy has beside its own. ``dependency`` is over the stages that
    ``is_dependency_stage`` accepts and the copies of their layers into the image (``COPY --from``),
    ``application`` over all other stages and copies: the sources, WORKDIR and what a user added.
    ``overall`` is over both.
    """
    reached = [step for step in trace.steps if step.kind in COUNTED_KINDS and step.reached]

    def is_dependency(step: Step) -> bool:
        source = (
            re.search(r"--from=(\S+)", step.instruction) if step.kind == StepKind.COPY else None
        )
        return is_dependency_stage(source[1] if source else step.stage or "")

    def rate(steps: list[Step]) -> float | None:
        return sum(step.cached for step in steps) / len(steps) if steps else None

    return HitRates(
        dependency=rate([step for step in reached if is_dependency(step)]),
        application=rate([step for step in reached if not is_dependency(step)]),
        overall=rate(reached),
    )
