"""The cache that an image carries in its configuration, under the tags of a cache. Pure.

BuildKit imports a cache from an image as well as from a cache's manifest (``cache/remotecache/
import.go``, ``importInlineCache``; the configuration's key is ``moby.buildkit.cache.v0``).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

__all__ = ["CREATED", "cache_manifest", "manifest_created"]

# OCI image specification, annotations.md.
CREATED = "org.opencontainers.image.created"


def cache_manifest(content: bytes, now: datetime) -> bytes:
    """Return an image's manifest or index as that of a cache: with the time at which it was made.

    ``now`` is UTC. The digest is another than the image's: deleting one by digest leaves the other.
    """
    manifest: dict[str, Any] = json.loads(content)
    moment = now.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")
    manifest["annotations"] = {**(manifest.get("annotations") or {}), CREATED: moment}
    return json.dumps(manifest, separators=(",", ":")).encode()


def manifest_created(content: bytes) -> str | None:
    """Read when a cache that is an image was made, as RFC 3339; None where nothing tells."""
    try:
        found = json.loads(content).get("annotations", {}).get(CREATED)
    except (ValueError, AttributeError):
        return None
    return found if isinstance(found, str) else None
