"""What of a layout is to go, so that the rest fits a budget: looked at first, then removed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dockyard.caches.layout import BlobError, Descriptor, Layout

__all__ = [
    "DAY_SECONDS",
    "USED_ANNOTATION",
    "WRONG_CLOCK",
    "Swept",
    "age_limit",
    "apply_sweep",
    "clock_is_wrong",
    "last_used",
    "plan_sweep",
    "trim_folder",
]

DAY_SECONDS = 86400
# A clock that is so far past whatever was made or used last has been set wrong.
WRONG_CLOCK_SECONDS = 365 * DAY_SECONDS
WRONG_CLOCK = (
    "by the clock, no cache here was used for a year: as it may be set wrong, nothing counts as "
    "old (`invoke cache.prune --all` removes caches whatever their age)"
)

USED_ANNOTATION = "dev.dockyard.used"


@dataclass(frozen=True)
class Swept:
    """What a sweep removes: tags, blobs (by digest), and the bytes of those blobs."""

    tags: tuple[str, ...]
    blobs: tuple[str, ...]
    bytes: int


def last_used(descriptor: Descriptor) -> float:
    """When a tag was last imported or written, in seconds since 1970; 0 where it isn't known."""
    try:
        return float(dict(descriptor.annotations).get(USED_ANNOTATION, ""))
    except ValueError:
        return 0.0


def clock_is_wrong(now: float, newest: float) -> bool:
    """Whether ``now`` is hardly the time, by the newest use that is known (0: none is).

    Both in seconds since 1970. A clock that jumped would otherwise make every cache old at once.
    """
    return newest > 0 and now - newest > WRONG_CLOCK_SECONDS


def age_limit(tags: Mapping[str, Descriptor], now: float, days: int) -> float | None:
    """Say before when a tag's last use makes it old, in seconds since 1970.

    None where that cannot be told, because the clock is wrong.
    """
    newest = max(map(last_used, tags.values()), default=0.0)
    return None if clock_is_wrong(now, newest) else now - days * DAY_SECONDS


def _bytes(caches: Iterable[dict[str, int]]) -> int:
    """Sum the sizes of the distinct blobs."""
    merged: dict[str, int] = {}
    for sizes in caches:
        merged |= sizes
    return sum(merged.values())


def plan_sweep(
    layout: Layout,
    budget: int,
    held: frozenset[str] = frozenset(),
    oldest: float | None = None,
) -> Swept:
    """Decide what goes: tags least recently used until the others fit, then unreachable blobs.

    ``budget`` is in bytes of blobs, each counted once however many tags reach it. Tags last used
    before ``oldest``, in seconds since 1970, go whatever the budget, and so does a tag whose
    manifest is missing or damaged. Blobs that are ``held`` stay in any case. Nothing is changed.
    """
    tags = layout.index()
    sizes: dict[str, dict[str, int]] = {}
    for tag, descriptor in tags.items():
        with contextlib.suppress(BlobError):
            sizes[tag] = {one.digest: one.size for one in layout.reachable(descriptor)}
    kept = sorted(sizes, key=lambda tag: (last_used(tags[tag]), tag), reverse=True)
    if oldest is not None:
        kept = [tag for tag in kept if last_used(tags[tag]) >= oldest]
    while kept and _bytes(sizes[tag] for tag in kept) > budget:
        kept.pop()
    staying = held.union(*(sizes[tag] for tag in kept))
    going = {d: found.st_size for d, found in layout.blobs() if d not in staying}
    return Swept(
        tags=tuple(sorted(tags.keys() - set(kept))),
        blobs=tuple(sorted(going)),
        bytes=sum(going.values()),
    )


def apply_sweep(layout: Layout, swept: Swept) -> None:
    """Remove the tags first, so that no tag is ever left without its blobs. Raises OSError."""
    if swept.tags:
        tags = layout.index()
        layout.replace_index({tag: one for tag, one in tags.items() if tag not in swept.tags})
    for digest in swept.blobs:
        layout.blob_path(digest).unlink(missing_ok=True)


def trim_folder(folder: Path, limit: int) -> None:
    """Keep the newest files of a folder, up to ``limit`` bytes. Raises OSError."""
    if not folder.is_dir():
        return
    total = 0
    for path in sorted(folder.iterdir(), key=lambda one: one.stat().st_mtime, reverse=True):
        total += path.stat().st_size
        if total > limit:
            path.unlink(missing_ok=True)
