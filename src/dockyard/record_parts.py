"""The parts of a build's record (see :mod:`dockyard.records`), each as it stands in the JSON.

Sizes are bytes, durations seconds, times RFC 3339 in UTC; None means unknown, never zero. What has
a default came with schema 2, and is absent from records of schema 1.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "CacheRecord",
    "FileRecord",
    "IndexRecord",
    "InputsRecord",
    "InstructionRecord",
    "LayerRecord",
    "PackageRecord",
    "StepRecord",
    "TrafficRecord",
]


@dataclass(frozen=True)
class StepRecord:
    """One vertex of the build: where it stands, what it did, when, and whether it was cached.

    ``inputs`` are the positions, in the record's ``steps``, of those that it builds on.
    """

    stage: str | None
    kind: str
    instruction: str
    started: str | None
    seconds: float
    cached: bool
    ran: bool
    bytes: int | None = None
    error: str | None = None
    platform: str | None = None
    inputs: tuple[int, ...] = ()


@dataclass(frozen=True)
class LayerRecord:
    """One layer of the image: bytes unpacked, and what it holds.

    ``holds`` is ``base``, ``environment``, ``dependencies-<n>`` or the copied path; ``packages``
    names the packages of a dependency layer. ``digest`` and ``compressed`` (bytes) are those of the
    blob in the image's manifest.
    """

    holds: str
    size: int
    packages: tuple[str, ...] = ()
    digest: str | None = None
    compressed: int | None = None


@dataclass(frozen=True)
class CacheRecord:
    """A build cache that was imported or exported: ``direction`` is ``import`` or ``export``.

    ``type`` is buildx's (``registry``, ``local``, ``gha``, …), ``reference`` the image or folder
    where it is known. ``error`` says why it failed; a failed import fails no build.
    """

    direction: str
    type: str
    reference: str | None
    seconds: float
    bytes: int | None = None
    error: str | None = None


@dataclass(frozen=True)
class TrafficRecord:
    """The bytes that a build moved, of blobs and distributions; None where they cannot be known.

    ``context_sent``: from the client to the builder. ``base_read``: layers of base images that the
    builder read from their registries. ``cache_read``: blobs that it read from the repositories of
    registry caches, or from a local cache; layers of the base image, too, that came from there.
    ``layers_pushed`` and ``layers_skipped``: the image's blobs that went to the registry, and those
    that it had already. ``cache_written``: what cache exports moved to registries or into the
    local cache. Manifests and the configurations of base images, a few kB each, are not counted.
    ``packages_downloaded`` and
    ``packages_cached``: distributions that uv took from indexes, and from its own cache.
    ``downloaded`` and ``cached`` name them. ``unknown`` says of each field that is None why.
    """

    context_sent: int | None = None
    base_read: int | None = None
    cache_read: int | None = None
    layers_pushed: int | None = None
    layers_skipped: int | None = None
    cache_written: int | None = None
    packages_downloaded: int | None = None
    packages_cached: int | None = None
    downloaded: tuple[str, ...] = ()
    cached: tuple[str, ...] = ()
    unknown: dict[str, str] | None = None


@dataclass(frozen=True)
class PackageRecord:
    """One package of the image: its dependency layer (from 1), version and what identifies it.

    ``identity`` is equal exactly where the same files would be installed; ``source`` is where it is
    from, where that is no index (a git URL with its commit, a path). ``bytes`` is its
    distribution's size as the lock tells it.
    """

    name: str
    version: str
    identity: str
    layer: int
    source: str | None = None
    bytes: int | None = None


@dataclass(frozen=True)
class FileRecord:
    """One file of the build context: its path there, bytes, and the SHA-256 of mode and content."""

    path: str
    bytes: int
    digest: str


@dataclass(frozen=True)
class InstructionRecord:
    """One instruction of the Dockerfile: stage, line (from 1), its text shortened, its SHA-256."""

    stage: str | None
    line: int
    text: str
    digest: str


@dataclass(frozen=True)
class InputsRecord:
    """What a build was made of, as far as a later build is compared with it.

    ``files`` are those of the context that some step could copy; where there are too many the
    largest are listed, and ``files_left_out`` counts the others. ``arguments`` are the build
    arguments, without secrets. ``base_digests``: manifest digest by build argument. ``builder_id``
    tells one builder from another of its name. ``cache_scope`` names branch and platform of the
    caches that were asked for; it is null where none was. ``no_cache``: whether every step was to
    run, cached or not. ``unknown`` says of each field that could not be found out why.
    """

    packages: tuple[PackageRecord, ...] = ()
    files: tuple[FileRecord, ...] = ()
    files_left_out: int = 0
    dockerfile: tuple[InstructionRecord, ...] = ()
    arguments: dict[str, str] | None = None
    base_digests: dict[str, str] | None = None
    builder_id: str | None = None
    platforms: tuple[str, ...] = ()
    cache_scope: dict[str, str] | None = None
    no_cache: bool | None = None
    unknown: dict[str, str] | None = None


@dataclass(frozen=True)
class IndexRecord:
    """What one package index gave to one layer; ``kind`` is mirror, index, default or lock."""

    layer: str
    kind: str
    index: str
    served: tuple[str, ...]
    rejected: tuple[str, ...] = ()
    reason: str = ""
    seconds: float = 0.0
