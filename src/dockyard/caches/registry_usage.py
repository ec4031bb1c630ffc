"""The caches that a registry keeps beside an image: their size, their age, and whose they are."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dockyard.caches.inline import manifest_created
from dockyard.caches.layout import CACHE_CONFIG_TYPE, Descriptor, children
from dockyard.caches.scope import SHARED, branch_slug
from dockyard.scratch import ScratchFolder
from dockyard.trace_reader import parse_timestamp

if TYPE_CHECKING:
    from dockyard.caches.registry_client import RegistryClient

__all__ = ["RegistryCache", "age_days", "cache_created", "is_of_branch", "read_registry_caches"]

TAG_LENGTH = 128
CACHE_PREFIX = "cache-"
MOUNTS_PREFIX = "mounts-"
_PLATFORM = r"linux-[a-z0-9.]+"
_LAYER_CACHE = re.compile(
    rf"cache-(?:{_PLATFORM}(?:_{_PLATFORM})*|\d+\.platforms-[0-9a-f]{{12}})-(?P<branch>.+)"
)


@dataclass(frozen=True)
class RegistryCache:
    """One tag: its manifest's digest, the blobs it needs (digest → bytes), when it was made.

    ``created`` is UTC, None where the cache does not tell. ``referrers`` lists digests of other
    manifests below this one, which go and stay with it.
    """

    tag: str
    digest: str
    blobs: tuple[tuple[str, int], ...]
    created: datetime | None
    referrers: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """The bytes of its blobs, some of which other tags may share."""
        return sum(size for _, size in self.blobs)


def cache_created(config: bytes) -> datetime | None:
    """Read from a cache's configuration when its newest record was made, UTC.

    BuildKit ``cache/remotecache/v1/spec.go``: ``layers[].annotations.createdAt`` and
    ``records[].layers[].createdAt``.
    """
    try:
        loaded = json.loads(config)
        times = [one.get("annotations", {}).get("createdAt") for one in loaded.get("layers") or ()]
        for record in loaded.get("records") or ():
            times += [one.get("createdAt") for one in record.get("layers") or ()]
    except (ValueError, AttributeError, TypeError):
        return None
    # Copies of the sources carry Go's zero time or the epoch: these are no dates.
    moments = [moment for moment in map(parse_timestamp, times) if moment and moment.year > 1980]
    return max(moments, default=None)


def is_of_branch(tag: str, branches: Iterable[str]) -> bool:
    """Whether a layer cache's tag belongs to one of the branches, or to all (``latest``).

    A tag of another form than :class:`~dockyard.caches.scope.CacheScope` gives belongs to nobody
    that is known here, and is taken to be somebody's.
    """
    match = _LAYER_CACHE.fullmatch(tag)
    if match is None:
        return True
    room = TAG_LENGTH - match.start("branch")
    return match["branch"] in (SHARED, *(branch_slug(branch, room) for branch in branches))


def read_registry_caches(
    client: RegistryClient, prefixes: Collection[str] = (CACHE_PREFIX, MOUNTS_PREFIX)
) -> tuple[RegistryCache, ...]:
    """Read every cache of a repository, by tag. Raises NetworkError or CacheError."""
    found = []
    for tag in sorted(client.list_tags()):
        if not tag.startswith(tuple(prefixes)):
            continue
        manifest = client.read_manifest(tag)
        if manifest is None:
            continue
        blobs: dict[str, int] = {}
        below: list[str] = []
        created = parse_timestamp(manifest_created(manifest.content))
        pending = [manifest.content]
        while pending:
            for one in _children(pending.pop()):
                if one.is_manifest:
                    below.append(one.digest)
                    child = client.read_manifest(one.digest)
                    pending += [child.content] if child else []
                    continue
                blobs[one.digest] = one.size
                if one.media_type == CACHE_CONFIG_TYPE:
                    created = cache_created(_read_small(client, one)) or created
        found.append(
            RegistryCache(
                tag, manifest.descriptor.digest, tuple(blobs.items()), created, tuple(below)
            )
        )
    return tuple(found)


def _children(content: bytes) -> tuple[Descriptor, ...]:
    try:
        return children(content)
    except ValueError:
        return ()


def _read_small(client: RegistryClient, descriptor: Descriptor) -> bytes:
    with ScratchFolder() as folder:
        path = folder / "blob"
        client.download_blob(descriptor, path, lambda _: None)
        return path.read_bytes()


def age_days(created: datetime | None, now: datetime) -> float | None:
    """Return a cache's age in days; None where it isn't known."""
    return (now.astimezone(UTC) - created).total_seconds() / 86400 if created else None
