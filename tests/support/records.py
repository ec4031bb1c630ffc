"""A build record to vary."""

from __future__ import annotations

from typing import Any

from dockyard.records import BuildRecord, LayerRecord, StepRecord

__all__ = ["make_record"]


def make_record(**changes: Any) -> BuildRecord:
    """Return a successful build's record with the given fields changed."""
    values: dict[str, Any] = {
        "id": "20260101T000000.000Z-1",
        "outcome": "succeeded",
        "started": "2026-01-01T00:00:00.000Z",
        "seconds": 1.25,
        "dockyard": "0.1.0",
        "project": {"name": "service", "version": "1.2.0"},
        "revision": {"commit": "0123456789abcdef", "branch": "main", "dirty": True},
        "engine": {"version": "28.5.2", "buildx": "0.29.1", "containerd_store": True},
        "builder": {"name": "default", "driver": "docker", "reason": "loads into the engine"},
        "base_images": ({"argument": "PYTHON_IMAGE", "requested": "python", "origin": "engine"},),
        "image": {
            "tags": ["service:latest", "service:1.2.0"],
            "digest": "sha256:" + "ab" * 32,
            "content_bytes": 169_000_000,
            "unpacked_bytes": 550_000_000,
        },
        "layers": (
            LayerRecord("base", 178_000_000),
            LayerRecord("dependencies-1", 116_000_000, ("scipy",)),
            LayerRecord("src", 61_440),
        ),
        "hit_rates": {"dependency": 1.0, "application": 0.75, "overall": 0.9},
        "context_bytes": 41_200,
        "steps": (
            StepRecord("dependencies-1", "run", "RUN install-layer", None, 0.0, True, False),
            StepRecord("app-builder", "copy", "COPY --link src /app/src", None, 0.1, False, True),
        ),
        "settings": {"image": {"value": "service", "origin": "pyproject", "where": "pyproject"}},
        "notes": (),
        "warnings": (),
        "error": None,
    }
    return BuildRecord(**{**values, **changes})
