"""Why the steps of a build ran, as values; :mod:`dockyard.explain` makes them. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

__all__ = [
    "Cause",
    "CauseKind",
    "Comparison",
    "Detail",
    "ExplainedStep",
    "Explanation",
    "Reason",
    "Relation",
]


class CauseKind(StrEnum):
    """What made steps run.

    ``plan-stage``: the build before was given the plan, and this one's stage made it.
    ``unfinished``: the build before ended without them. ``cache-evicted``: nothing differs, and the
    builder had them no more. ``cache-not-held``: the caches that were imported have them not.
    ``unknown``: the records do not tell.
    """

    PACKAGES = "packages"
    PLAN = "plan"
    PLAN_STAGE = "plan-stage"
    FILES = "files"
    BASE_IMAGE = "base-image"
    DOCKERFILE = "dockerfile"
    SETTING = "setting"
    ARGUMENT = "argument"
    PLATFORM = "platform"
    NO_CACHE = "no-cache"
    FIRST_BUILD = "first-build"
    BUILDER = "builder"
    UNFINISHED = "unfinished"
    CACHE_EVICTED = "cache-evicted"
    CACHE_OTHER_BRANCH = "cache-other-branch"
    CACHE_UNREACHABLE = "cache-unreachable"
    CACHE_NOT_HELD = "cache-not-held"
    UNKNOWN = "unknown"


class Relation(StrEnum):
    """How a step hangs together with the cause: it changed itself, builds on what did, or was
    needed by it.
    """

    DIRECT = "direct"
    AFTER = "after"
    NEEDED = "needed"


@dataclass(frozen=True)
class Detail:
    """One thing that changed, in words; ``bytes`` is its size, None where it has none or none is
    known.
    """

    text: str
    bytes: int | None = None


@dataclass(frozen=True)
class Reason:
    """Why one step ran; steps whose reasons have the same kind and key have one cause."""

    kind: CauseKind
    key: str
    details: tuple[Detail, ...] = ()


@dataclass(frozen=True)
class Cause:
    """One root cause and what ran for it.

    ``steps`` are positions in the record's steps, in the order in which they started, without those
    that ran for a cause of more weight as well: ``shared`` are these. ``seconds`` is the time in
    which any of its steps was busy; ``bytes`` sums the layers of the image that they made, as they
    are transferred where ``compressed``, else unpacked, and is None where none is known.
    ``details`` are ordered by size, the largest first.
    """

    kind: CauseKind
    summary: str
    details: tuple[Detail, ...]
    steps: tuple[int, ...]
    shared: tuple[int, ...]
    seconds: float
    bytes: int | None
    compressed: bool = False


@dataclass(frozen=True)
class ExplainedStep:
    """A step that ran: its position in the record, and the causes' positions, the first to blame.

    ``because`` is what changed for this very step.
    """

    position: int
    stage: str | None
    instruction: str
    platform: str | None
    seconds: float
    causes: tuple[int, ...]
    relation: Relation
    because: tuple[Detail, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """The earlier build that one is compared with, and why that one."""

    id: str
    started: str
    outcome: str
    why: str


@dataclass(frozen=True)
class Explanation:
    """Why the steps of a build ran: root causes, the one that cost most first.

    No cause means that everything was cached. ``cached`` counts the steps that were. ``notes`` say
    what the records leave unknown.
    """

    build: str
    started: str
    outcome: str
    seconds: float
    compared: Comparison | None
    causes: tuple[Cause, ...]
    steps: tuple[ExplainedStep, ...]
    cached: int
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the same as values that JSON can hold."""
        return asdict(self)
