"""The pushed image under the tags of a cache."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from dockyard.caches.inline import cache_manifest, manifest_created

NOW = datetime(2026, 11, 25, 19, 0, 0, 123456, UTC)
IMAGE = {"schemaVersion": 2, "config": {"digest": "sha256:a"}, "layers": [{"digest": "sha256:b"}]}


def test_it_is_the_image_and_when_it_was_made() -> None:
    made = cache_manifest(json.dumps(IMAGE).encode(), NOW)
    assert json.loads(made) == IMAGE | {
        "annotations": {"org.opencontainers.image.created": "2026-11-25T19:00:00Z"}
    }
    assert manifest_created(made) == "2026-11-25T19:00:00Z"


def test_other_annotations_stay() -> None:
    manifest = IMAGE | {"annotations": {"com.example.team": "shop"}}
    made = json.loads(cache_manifest(json.dumps(manifest).encode(), NOW))
    assert made["annotations"]["com.example.team"] == "shop"


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"annotations": []}', b'{"annotations": null}', b'{"annotations": {}}',
     b'{"annotations": {"org.opencontainers.image.created": 1}}'],
)  # fmt: skip
def test_what_tells_no_time(content: bytes) -> None:
    assert manifest_created(content) is None
