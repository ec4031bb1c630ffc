"""What a builder's cache holds, as ``docker buildx du`` tells it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from dockyard import process
from dockyard.errors import BuilderError

__all__ = [
    "BuilderUsage",
    "UsageKind",
    "UsageRecord",
    "builder_usage",
    "parse_age",
    "parse_size",
    "parse_usage",
    "prune_builder",
    "usage_by_kind",
]

ASK_SECONDS = 60.0
PRUNE_SECONDS = 1800.0
# What our Dockerfile's cache mounts are called (templates/dependencies.jinja and others).
OWN_MOUNT_PREFIX = "dockyard-"

# go-units, size.go: decimal units; duration.go, HumanDuration: how long ago something was.
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "p": 10**15}
_SIZE = re.compile(r"([\d.]+)\s*([kmgtp]?)i?b", re.IGNORECASE)
_SPANS = {
    "second": 1,
    "minute": 60,
    "hour": 3600,
    "day": 86400,
    "week": 7 * 86400,
    "month": 30 * 86400,
    "year": 365 * 86400,
}
_MOUNT_ID = re.compile(r'with id "/?([^"]+)"')


class UsageKind(StrEnum):
    """What a record of the builder's cache is."""

    LAYER = "layer"
    MOUNT = "cache mount"
    SOURCE = "source"
    INTERNAL = "internal"


_KINDS = {
    "regular": UsageKind.LAYER,
    "exec.cachemount": UsageKind.MOUNT,
    "source.local": UsageKind.SOURCE,
    "source.git.checkout": UsageKind.SOURCE,
}


@dataclass(frozen=True)
class UsageRecord:
    """One record: bytes as buildx rounds them, seconds since its last use (None: never used).

    ``mount`` is a cache mount's id. ``reclaimable`` ones are in no running build. ``uses`` counts
    the steps that had it; ``parents`` are the records that it stands on, or merges.
    """

    id: str
    kind: UsageKind
    description: str
    size: int
    unused_seconds: int | None
    reclaimable: bool
    mount: str | None = None
    uses: int = 0
    parents: tuple[str, ...] = ()

    @property
    def own_mount(self) -> bool:
        """Whether it is a cache mount of a Dockerfile that Dockyard wrote."""
        return self.mount is not None and self.mount.startswith(OWN_MOUNT_PREFIX)


@dataclass(frozen=True)
class BuilderUsage:
    """Bytes that a builder's cache holds, by kind, and how many records there are."""

    layers: int
    mounts: int
    sources: int
    internal: int
    records: int

    @property
    def total(self) -> int:
        """All of it, in bytes."""
        return self.layers + self.mounts + self.sources + self.internal


def parse_size(text: str) -> int:
    """Read a size as go-units prints it, ``28.25MB``, in bytes; 0 for what is none."""
    match = _SIZE.fullmatch(text.strip())
    return round(float(match[1]) * _UNITS[match[2].lower()]) if match else 0


def parse_age(text: str) -> int | None:
    """Read “3 minutes ago” in seconds, rounded down as it is; None for what is no age."""
    lowered = text.lower()
    if lowered.startswith("less than a second"):
        return 0
    match = re.match(
        r"(?:(\d+)|about an?|an?) (second|minute|hour|day|week|month|year)s?\b", lowered
    )
    return int(match[1] or 1) * _SPANS[match[2]] if match else None


def parse_usage(text: str) -> tuple[UsageRecord, ...]:
    """Read the lines of ``docker buildx du --format json``; skip those that are no records."""
    found = []
    for line in text.splitlines():
        try:
            values = json.loads(line)
            kind = _KINDS.get(values["Type"], UsageKind.INTERNAL)
            description = str(values.get("Description") or "")
            mount = _MOUNT_ID.search(description) if kind is UsageKind.MOUNT else None
            found.append(
                UsageRecord(
                    id=str(values["ID"]),
                    kind=kind,
                    description=description,
                    size=parse_size(str(values.get("Size") or "")),
                    unused_seconds=parse_age(str(values.get("LastUsedAt") or "")),
                    reclaimable=values.get("Reclaimable") is True,
                    mount=mount[1] if mount else None,
                    uses=int(values.get("UsageCount") or 0),
                    parents=tuple(map(str, values.get("Parents") or ())),
                )
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return tuple(found)


def usage_by_kind(records: Iterable[UsageRecord]) -> BuilderUsage:
    """Sum the records' bytes by kind."""
    sums = dict.fromkeys(UsageKind, 0)
    count = 0
    for record in records:
        sums[record.kind] += record.size
        count += 1
    return BuilderUsage(
        layers=sums[UsageKind.LAYER],
        mounts=sums[UsageKind.MOUNT],
        sources=sums[UsageKind.SOURCE],
        internal=sums[UsageKind.INTERNAL],
        records=count,
    )


def builder_usage(name: str) -> tuple[UsageRecord, ...] | None:
    """Ask a builder what its cache holds; None where there is no such builder or it is stopped."""
    answered = process.run(
        ["docker", "buildx", "du", "--builder", name, "--format", "json"], timeout=ASK_SECONDS
    )
    return parse_usage(answered.stdout) if answered.succeeded else None


def prune_builder(
    name: str,
    *,
    filters: Iterable[str] = (),
    everything: bool = False,
    keep: int | None = None,
) -> int:
    """Let BuildKit prune a builder's cache; the bytes that it reclaimed, as buildx rounds them.

    ``filters`` all have to match (``until=336h``, ``type!=exec.cachemount``, ``id=…``); ``keep``
    is how many bytes may stay; ``everything`` takes internal records too. Raises BuilderError.
    """
    arguments = ["docker", "buildx", "prune", "--builder", name, "--force"]
    for one in filters:
        arguments += ["--filter", one]
    if everything:
        arguments.append("--all")
    if keep is not None:
        # buildx reads a number without a unit as bytes.
        arguments += ["--max-used-space", str(keep)]
    done = process.run(arguments, timeout=PRUNE_SECONDS)
    if not done.succeeded:
        raise BuilderError(
            f"the builder {name} cannot be pruned: {done.stderr.strip()}",
            where="DOCKYARD_BUILDER_NAME",
            hint="`invoke cache.init` repairs it; `docker buildx ls` lists those there are",
        )
    total = re.search(r"^Total:\s*(\S+)", done.stdout, re.MULTILINE)
    return parse_size(total[1]) if total else 0
