"""A tag moved between a layout on disk and a registry: only the blobs that the other side lacks.

Blobs first and in parallel, manifests last and from the leaves up, the tag at the very end: whoever
reads the tag meanwhile finds what it was before, whole.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dockyard.caches.layout import Descriptor, Layout, children
from dockyard.caches.locking import locked_file
from dockyard.caches.parallel import Progress, ignore_progress, in_parallel
from dockyard.caches.registry_client import Manifest, RegistryClient
from dockyard.errors import CacheError, DiskFullError

__all__ = [
    "Plan",
    "Transferred",
    "clear_ingest",
    "plan_pull",
    "plan_push",
    "planned",
    "pull",
    "push",
]

INGEST_LOCK_SECONDS = 10.0
PARTIAL = ".partial"
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True)
class Plan:
    """What a transfer would move: blobs that the other side lacks, blobs that it has, manifests.

    ``manifests`` are from the leaves up, the tag's own last. ``bytes_begun`` of the missing blobs
    are here already, from a transfer that was interrupted.
    """

    missing: tuple[Descriptor, ...]
    present: tuple[Descriptor, ...]
    manifests: tuple[Manifest, ...]
    bytes_begun: int = 0

    @property
    def bytes_missing(self) -> int:
        """Bytes that will move, unless something breaks off and is sent again."""
        return sum(one.size for one in self.missing) - self.bytes_begun

    @property
    def bytes_present(self) -> int:
        """Bytes of blobs that need not move, the beginnings of interrupted ones included."""
        return sum(one.size for one in self.present) + self.bytes_begun


@dataclass(frozen=True)
class Transferred:
    """What a transfer did: ``tags`` now point at the manifest ``digest``.

    ``bytes_moved`` are those of blobs that went over the network, in vain or not, and
    ``bytes_skipped`` those that need not.
    """

    tags: tuple[str, ...]
    digest: str
    bytes_moved: int
    bytes_skipped: int
    blobs_moved: int
    blobs_skipped: int

    def as_json(self) -> dict[str, object]:
        """Render as JSON values."""
        return asdict(self)


# -------------------- to the registry


def plan_push(layout: Layout, descriptor: Descriptor, client: RegistryClient) -> Plan:
    """Find out which blobs of a manifest the registry lacks. Raises BlobError, RegistryError."""
    reachable = layout.reachable(descriptor)
    blobs = [one for one in reachable if not one.is_manifest]
    held = in_parallel(lambda one, told: client.has_blob(one.digest), blobs)
    manifests = [Manifest(one, layout.read(one)) for one in reachable if one.is_manifest]
    return Plan(
        tuple(one for one, there in zip(blobs, held, strict=True) if not there),
        tuple(one for one, there in zip(blobs, held, strict=True) if there),
        tuple(reversed(manifests)),
    )


def push(
    layout: Layout,
    plan: Plan,
    client: RegistryClient,
    tags: Sequence[str],
    progress: Progress = ignore_progress,
) -> Transferred:
    """Carry out a plan and point ``tags`` at its manifest.

    Raises BlobError, CacheError, RegistryError; the tags then still point at what they did.
    """

    def upload(one: Descriptor, told: Progress) -> int:
        try:
            return client.upload_blob(one, layout.blob_path(one.digest), told)
        except OSError as error:
            raise CacheError(
                f"the blob {one.digest} of the local cache cannot be read: {error.strerror}",
                hint="`invoke build` makes it anew",
            ) from error

    moved = in_parallel(upload, plan.missing, progress)
    root = plan.manifests[-1]
    for one in plan.manifests[:-1]:
        if client.manifest_digest(one.descriptor.digest) is None:
            client.write_manifest(one.descriptor.digest, one.content, one.descriptor.media_type)
    for tag in tags:
        if client.manifest_digest(tag) != root.descriptor.digest:
            client.write_manifest(tag, root.content, root.descriptor.media_type)
    return _result(tuple(tags), plan, moved)


# -------------------- from the registry


def plan_pull(manifest: Manifest, client: RegistryClient, layout: Layout, ingest: Path) -> Plan:
    """Find out which blobs of a registry's manifest a layout lacks.

    ``ingest`` is the folder in which interrupted downloads wait. What the layout has is taken to be
    whole, apart from its size. Raises CacheError, RegistryError.
    """
    manifests, blobs = _descend(manifest, client)
    missing, present, begun = [], [], 0
    for one in blobs:
        path = layout.blob_path(one.digest)
        if path.is_file() and path.stat().st_size == one.size:
            present.append(one)
            continue
        missing.append(one)
        with contextlib.suppress(FileNotFoundError):
            begun += min(_ingest_path(ingest, one).stat().st_size, one.size)
    return Plan(tuple(missing), tuple(present), manifests, begun)


def _descend(
    root: Manifest, client: RegistryClient
) -> tuple[tuple[Manifest, ...], tuple[Descriptor, ...]]:
    """Read all manifests below ``root``, the leaves first, and list the blobs that they need."""
    manifests: dict[str, Manifest] = {}
    blobs: dict[str, Descriptor] = {}
    pending = [root]
    while pending:
        manifest = pending.pop()
        manifests[manifest.descriptor.digest] = manifest
        try:
            referred = children(manifest.content)
        except (ValueError, RecursionError) as error:
            raise CacheError(
                f"{client.host}/{client.name} has a manifest that is none: {error}",
                hint="`invoke cache.push` from a machine that has the cache writes it again",
            ) from error
        for one in referred:
            if not one.is_manifest:
                blobs[one.digest] = one
            elif one.digest not in manifests:
                found = client.read_manifest(one.digest)
                if found is None:
                    raise CacheError(
                        f"{client.host}/{client.name} has an index, and not its {one.digest}",
                        hint="`invoke cache.push` from a machine that has the cache writes it",
                    )
                pending.append(found)
    return tuple(reversed(manifests.values())), tuple(blobs.values())


def pull(
    layout: Layout,
    plan: Plan,
    client: RegistryClient,
    tag: str,
    ingest: Path,
    progress: Progress = ignore_progress,
) -> Transferred:
    """Carry out a plan: complete the missing blobs in ``ingest``, then give them to ``layout``.

    Whatever interrupts it, the layout is as it was and ``ingest`` keeps what arrived, so that the
    next pull goes on there; both are on one file system. Raises CacheError, DiskFullError,
    RegistryError.
    """
    try:
        ingest.mkdir(parents=True, exist_ok=True)
        with locked_file(ingest / "lock", INGEST_LOCK_SECONDS):
            moved = in_parallel(
                lambda one, told: client.download_blob(one, _ingest_path(ingest, one), told),
                plan.missing,
                progress,
            )
            for one in plan.missing:
                layout.adopt(one, _ingest_path(ingest, one))
            for manifest in plan.manifests:
                layout.put_blob(manifest.descriptor, [manifest.content])
            layout.set_tag(tag, plan.manifests[-1].descriptor)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise DiskFullError(
                f"no space left for the cache: {error.strerror}",
                where=str(ingest),
                hint="free some space and pull again: what arrived is kept",
            ) from error
        raise CacheError(
            f"the cache directory cannot be written: {error.strerror}",
            where=str(ingest),
            hint="make it writable, or set DOCKYARD_CACHE_DIR",
        ) from error
    return _result((tag,), plan, moved)


def clear_ingest(ingest: Path) -> None:
    """Remove interrupted downloads, once what is to be pulled is there: nobody will go on there."""
    for path in ingest.glob(f"*{PARTIAL}"):
        path.unlink(missing_ok=True)


def _ingest_path(ingest: Path, descriptor: Descriptor) -> Path:
    return ingest / f"{descriptor.digest.removeprefix('sha256:')}{PARTIAL}"


# -------------------- both ways


def planned(tags: tuple[str, ...], plan: Plan) -> Transferred:
    """Describe what carrying a plan out would do."""
    return Transferred(
        tags=tags,
        digest=plan.manifests[-1].descriptor.digest,
        bytes_moved=plan.bytes_missing,
        bytes_skipped=plan.bytes_present,
        blobs_moved=len(plan.missing),
        blobs_skipped=len(plan.present),
    )


def _result(tags: tuple[str, ...], plan: Plan, moved: Sequence[int]) -> Transferred:
    return Transferred(
        tags=tags,
        digest=plan.manifests[-1].descriptor.digest,
        bytes_moved=sum(moved),
        bytes_skipped=plan.bytes_present,
        blobs_moved=sum(count > 0 for count in moved),
        blobs_skipped=len(plan.present) + sum(not count for count in moved),
    )
