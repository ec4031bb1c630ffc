"""What a build's traffic is added up from, as values: runs of buildx, and facts of other places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dockyard.registry_spans import RegistryRequest
    from dockyard.trace import BuildTrace

__all__ = [
    "BuildRun",
    "ImageBlob",
    "LocalCacheFacts",
    "PushedImage",
    "RegistryFacts",
    "Sum",
]


@dataclass(frozen=True)
class ImageBlob:
    """A layer of the pushed image: its digest, and its size in bytes, compressed."""

    digest: str
    size: int


@dataclass(frozen=True)
class PushedImage:
    """What a registry's manifest tells of the image: its layers from the base, all its bytes."""

    layers: tuple[ImageBlob, ...]
    bytes: int


@dataclass
class Sum:
    """A sum of bytes, or the first reason why it cannot be known."""

    bytes: int = 0
    reason: str | None = None

    def add(self, count: int | None, reason: str = "") -> None:
        """Add a part; None is one that is not known, for the given reason."""
        if count is None:
            self.reason = self.reason or reason
        else:
            self.bytes += count

    @property
    def value(self) -> int | None:
        """The sum, if all of it is known."""
        return None if self.reason else self.bytes


@dataclass(frozen=True)
class BuildRun:
    """One run of buildx: what it was told of registries, and what it did.

    ``pushes``: it pushes the image. ``imports``: the repositories (``host/path``) of the registry
    caches that it was told to read, with those that it did read in ``imported``, by reference.
    ``exports``: it writes a cache to a registry. ``requests`` are None where the builder's history
    could not be read, for ``reason``.
    """

    trace: BuildTrace
    pushes: bool = False
    imports: frozenset[str] = frozenset()
    imported: tuple[str, ...] = ()
    exports: bool = False
    requests: tuple[RegistryRequest, ...] | None = None
    reason: str = "the builder's history was not read"

    @property
    def uses_registry(self) -> bool:
        """Whether more went to registries, or came from there, than base images."""
        return self.pushes or self.exports or bool(self.imports)


@dataclass(frozen=True)
class RegistryFacts:
    """What was found in registries to go with the requests: sizes, in bytes.

    ``image``: digest → size of the image's blobs (its layers and configurations), None where its
    manifest could not be read. ``configurations``: cache reference → digest and size of its
    configuration, which BuildKit reads without a trace of it. ``sizes``: of any further blobs.
    ``reason`` says why something is missing.
    """

    image: Mapping[str, int] | None = None
    configurations: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    reason: str = "the registry did not answer"


@dataclass(frozen=True)
class LocalCacheFacts:
    """A local cache's folder: the blobs that it held, by digest; bytes read and added.

    See :class:`dockyard.caches.access.LocalCacheAccess`.
    """

    blobs: frozenset[str] = frozenset()
    read: int | None = 0
    written: int | None = 0
    reason: str = ""
