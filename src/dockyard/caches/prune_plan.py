"""What ``cache.prune`` and ``cache.clean`` would remove, decided from facts alone. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dockyard.caches.builder_usage import UsageKind, UsageRecord
from dockyard.caches.registry_usage import RegistryCache, age_days, is_of_branch
from dockyard.caches.sweep import DAY_SECONDS, WRONG_CLOCK, Swept, clock_is_wrong
from dockyard.display.format import format_count

__all__ = [
    "DanglingImage",
    "PruneItem",
    "PruneKind",
    "PrunePlan",
    "plan_builder",
    "plan_images",
    "plan_local",
    "plan_mounts",
    "plan_registry",
]


class PruneKind(StrEnum):
    """Where something is removed from, in the words of the listing."""

    LOCAL = "local cache"
    BUILDER = "builder"
    MOUNT = "cache mount"
    REGISTRY = "registry"
    IMAGE = "image"


@dataclass(frozen=True)
class PruneItem:
    """One thing that goes: what, its bytes (None: unknown), why, and the key it is removed by."""

    kind: PruneKind
    name: str
    bytes: int | None
    reason: str
    key: str


@dataclass(frozen=True)
class PrunePlan:
    """All that goes, and what is left alone that somebody might expect to go.

    ``everything``: whatever its age and the budget. ``oldest``: before when a local cache's last
    use makes it old, in seconds since 1970; None where that counts for nothing.
    """

    items: tuple[PruneItem, ...]
    notes: tuple[str, ...] = ()
    everything: bool = False
    oldest: float | None = None

    @property
    def bytes(self) -> int:
        """The sum of what is known, in bytes."""
        return sum(item.bytes or 0 for item in self.items)

    def of(self, kind: PruneKind) -> tuple[PruneItem, ...]:
        """The items of one kind."""
        return tuple(item for item in self.items if item.kind is kind)


@dataclass(frozen=True)
class DanglingImage:
    """An image of this project that no tag names any more: its id and its bytes."""

    id: str
    bytes: int | None


def plan_local(swept: Swept, reason: str) -> tuple[PruneItem, ...]:
    """Name what a sweep of the local directory removes; the blobs are one item."""
    tags = [PruneItem(PruneKind.LOCAL, tag, 0, reason, tag) for tag in swept.tags]
    if not swept.blobs:
        return tuple(tags)
    count = len(swept.blobs)
    name = f"{count} blob{'s' if count > 1 else ''} that no cache needs" + (
        " then" if swept.tags else ""
    )
    blobs = PruneItem(PruneKind.LOCAL, name, swept.bytes, "unreachable", "blobs")
    return (*tags, blobs)


def plan_builder(
    records: Sequence[UsageRecord], *, budget: int, days: int, everything: bool = False
) -> tuple[PruneItem, ...]:
    """Pick layers and sources of the dedicated builder that are past age or past the budget.

    ``budget`` in bytes is for the whole of its cache, mounts included; the least recently used
    goes first. A record that a running build uses stays, and so does one that was never used.
    """
    candidates = [
        record
        for record in records
        if record.reclaimable
        and record.kind in (UsageKind.LAYER, UsageKind.SOURCE)
        and (everything or record.unused_seconds is not None)
    ]
    candidates.sort(key=lambda record: (-(record.unused_seconds or 0), record.id))
    total = sum(record.size for record in records)
    found = []
    for record in candidates:
        old = (record.unused_seconds or 0) > days * DAY_SECONDS
        if everything:
            reason = "everything was asked for"
        elif old:
            reason = f"unused for more than {format_count(days, 'day')}"
        elif total > budget:
            reason = "past the budget, least recently used"
        else:
            continue
        total -= record.size
        found.append(
            PruneItem(PruneKind.BUILDER, record.description, record.size, reason, record.id)
        )
    return tuple(found)


def plan_mounts(
    records: Sequence[UsageRecord], *, own_only: bool, reason: str
) -> tuple[PruneItem, ...]:
    """Pick cache mounts: all of a dedicated builder, only Dockyard's own of a shared one."""
    return tuple(
        PruneItem(
            PruneKind.MOUNT, record.mount or record.description, record.size, reason, record.id
        )
        for record in records
        if record.kind is UsageKind.MOUNT
        and record.reclaimable
        and (record.own_mount or not own_only)
    )


def plan_registry(
    caches: Sequence[RegistryCache],
    *,
    branches: Collection[str] | None,
    days: int,
    now: datetime,
    everything: bool = False,
) -> tuple[tuple[PruneItem, ...], tuple[str, ...]]:
    """Pick the layer caches of branches that are gone or long unused; items and notes.

    ``branches`` are those that exist; None where that is not known, and then only age counts. The
    fallback that all branches share and the saved cache mounts stay unless ``everything`` goes. A
    manifest that a tag which stays points to as well is never deleted, nor is one below such a
    manifest (an index's children, attestations).
    """
    going: list[tuple[RegistryCache, str]] = []
    newest = max((one.created.timestamp() for one in caches if one.created), default=0.0)
    wrong_clock = clock_is_wrong(now.timestamp(), newest)
    for one in caches:
        age = age_days(one.created, now)
        is_layers = one.tag.startswith("cache-")
        if everything:
            going.append((one, "everything was asked for"))
        elif not is_layers or is_of_branch(one.tag, ()):
            continue
        elif branches is not None and not is_of_branch(one.tag, branches):
            going.append((one, "its branch is gone"))
        elif age is not None and age > days and not wrong_clock:
            going.append((one, f"{format_count(round(age), 'day')} old"))
    gone = {one.tag for one, _ in going}
    staying = [one for one in caches if one.tag not in gone]
    kept = {digest for one in staying for digest in (one.digest, *one.referrers)}
    still_used = {digest for one in staying for digest, _ in one.blobs}
    items: list[PruneItem] = []
    notes = [WRONG_CLOCK] if wrong_clock and not everything else []
    for one, reason in going:
        if one.digest in kept:
            notes.append(f"{one.tag} stays: a cache that is kept is the same manifest")
            continue
        # What two that go share is counted once.
        freed = sum(size for digest, size in one.blobs if digest not in still_used)
        still_used |= {digest for digest, _ in one.blobs}
        items.append(PruneItem(PruneKind.REGISTRY, one.tag, freed, reason, one.digest))
    return tuple(items), tuple(notes)


def plan_images(images: Sequence[DanglingImage], image: str) -> tuple[PruneItem, ...]:
    """Name the images of this project that no tag names any more."""
    return tuple(
        PruneItem(
            PruneKind.IMAGE,
            f"{image}@{one.id.removeprefix('sha256:')[:12]}",
            one.bytes,
            "no tag names it",
            one.id,
        )
        for one in images
    )
