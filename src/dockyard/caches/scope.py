"""What a build's cache is called, so that no two images, platforms or branches share a name. Pure.

A name is a tag: of the image's own repository, where the blobs are shared with the image, and of
the local layout. Its grammar is ``[A-Za-z0-9_][A-Za-z0-9._-]{0,127}`` (distribution/reference).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["SHARED", "CacheScope", "branch_slug", "platform_slug"]

# What builds without a branch write, and the default branch's builds move along.
SHARED = "latest"

_TAG_LENGTH = 128
_PLATFORM_LENGTH = 48
_DIGITS = 12


def _short_digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:_DIGITS]


def branch_slug(branch: str, length: int = 64) -> str:
    """Turn a branch into part of a tag of at most ``length`` characters; no two become the same.

    Where letters are lost it ends with twelve digits of the name's SHA-256. So does a name that
    only looks like that, and one that is :data:`SHARED`.
    """
    slug = re.sub(r"[^A-Za-z0-9._]+", "-", branch).strip("-")
    looks_shortened = re.search(rf"(?:^|-)[0-9a-f]{{{_DIGITS}}}$", slug)
    if slug == branch and len(slug) <= length and slug != SHARED and not looks_shortened:
        return slug
    kept = slug[: length - _DIGITS - 1].rstrip("-")
    return f"{kept}-{_short_digest(branch)}" if kept else _short_digest(branch)


def platform_slug(platforms: Sequence[str]) -> str:
    """Name a set of platforms: ``linux-amd64``, ``linux-arm.v7``, several joined by ``_``.

    A “.” before the variant, because ``linux-arm-v7-main`` could also be branch ``v7-main``.
    """
    ordered = sorted(set(platforms))
    parts = []
    for platform in ordered:
        system, _, rest = platform.partition("/")
        parts.append(f"{system}-{rest.replace('/', '.')}")
    joined = "_".join(parts)
    if len(joined) <= _PLATFORM_LENGTH:
        return joined
    return f"{len(ordered)}.platforms-{_short_digest(joined)}"


@dataclass(frozen=True)
class CacheScope:
    """The names of one build's cache.

    ``image`` is the image's name without registry and tag, ``registry`` a host with an optional
    prefix, ``platforms`` what the build is for (never empty), ``branch`` None outside of a branch.
    """

    image: str
    registry: str | None
    platforms: tuple[str, ...]
    branch: str | None
    default_branch: str

    @property
    def platform(self) -> str:
        """What the build is for, as part of a tag."""
        return platform_slug(self.platforms)

    def tag_of(self, branch: str | None) -> str:
        """Name the layer cache of a branch; of what has none, where it is None."""
        stem = f"cache-{self.platform}-"
        return stem + (branch_slug(branch, _TAG_LENGTH - len(stem)) if branch else SHARED)

    @property
    def export_tag(self) -> str:
        """The tag that this build's cache is written to."""
        return self.tag_of(self.branch)

    @property
    def shared_tag(self) -> str:
        """The tag that every build may fall back to."""
        return self.tag_of(None)

    @property
    def moves_shared(self) -> bool:
        """Whether the shared tag follows this build: it is on the default branch, or on none."""
        return self.branch in (None, self.default_branch)

    @property
    def export_tags(self) -> tuple[str, ...]:
        """The tags to write: the build's own, and the shared one where that follows."""
        return tuple(dict.fromkeys((self.export_tag, *([self.shared_tag] * self.moves_shared))))

    @property
    def import_tags(self) -> tuple[str, ...]:
        """The tags to import from, best first: the branch's, the default branch's, the shared."""
        branches = (self.branch, self.default_branch, None)
        return tuple(dict.fromkeys(self.tag_of(branch) for branch in branches))

    @property
    def mounts_tag(self) -> str:
        """The tag of the saved cache mounts, which branches share; a fork's are its own.

        In them are wheels that were built from source, which no hash in a lock tells apart.
        """
        own = f"mounts-{self.platform}"
        if self.branch is None or ":" not in self.branch:
            return own
        return f"{own}-{branch_slug(self.branch, _TAG_LENGTH - len(own) - 1)}"

    @property
    def repository(self) -> str | None:
        """``<registry>/<image>``, or an image whose own name has a registry; None without one."""
        if self.registry:
            return f"{self.registry}/{self.image}"
        return self.image if "/" in self.image else None

    def reference(self, tag: str) -> str:
        """Write the full reference of a tag. Raises ValueError without a registry."""
        if self.repository is None:
            raise ValueError("there is no registry to name")
        return f"{self.repository}:{tag}"
