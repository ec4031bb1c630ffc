"""An OCI layout on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockyard.caches.layout import (
    CACHE_CONFIG_TYPE,
    INDEX_TYPE,
    MANIFEST_TYPE,
    BlobError,
    Descriptor,
    Layout,
)
from dockyard.errors import CacheError

LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+zstd"


def put(layout: Layout, content: bytes, media_type: str = LAYER_TYPE) -> Descriptor:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    descriptor = Descriptor(media_type, digest, len(content))
    layout.put_blob(descriptor, [content[:3], content[3:]])
    return descriptor


def put_json(layout: Layout, media_type: str, **values: Any) -> Descriptor:
    return put(layout, json.dumps({"schemaVersion": 2, **values}).encode(), media_type)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "layout")
    made.create()
    return made


def test_tags_are_kept_with_their_annotations(layout: Layout) -> None:
    one = put(layout, b"one", MANIFEST_TYPE).annotated({"dev.dockyard.note": "kept"})
    other = put(layout, b"other", MANIFEST_TYPE)
    layout.set_tag("a", one)
    layout.set_tag("b", other)
    layout.set_tag("b", one)
    tags = layout.index()
    assert [tag for tag, found in tags.items() if found.digest == one.digest] == ["a", "b"]
    assert dict(tags["a"].annotations)["dev.dockyard.note"] == "kept"
    layout.remove_tag("a")
    layout.remove_tag("never there")
    assert list(layout.index()) == ["b"]
    layout.create()
    assert list(layout.index()) == ["b"]


def test_no_layout_has_no_tags(tmp_path: Path) -> None:
    assert Layout(tmp_path / "nothing").index() == {}
    assert list(Layout(tmp_path / "nothing").blobs()) == []


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"manifests": [{}]}',
        '{"manifests": [{"mediaType": "x", "digest": "sha256:../../etc/passwd", "size": 1}]}',
        '{"manifests": [{"mediaType": "x", "digest": "sha256:' + "0" * 64 + '", "size": -1}]}',
    ],
)
def test_a_damaged_index_is_one_clear_error(layout: Layout, text: str) -> None:
    (layout.root / "index.json").write_text(text)
    with pytest.raises(CacheError, match=r"index is damaged") as caught:
        layout.index()
    assert "cache.clean" in str(caught.value)


def as_manifest(layout: Layout, layers: list[Descriptor], config: Descriptor) -> Descriptor:
    listed = [one.as_json() for one in layers]
    return put_json(layout, MANIFEST_TYPE, config=config.as_json(), layers=listed)


def as_index(layout: Layout, layers: list[Descriptor], config: Descriptor) -> Descriptor:
    return put_json(layout, INDEX_TYPE, manifests=[one.as_json() for one in (*layers, config)])


@pytest.mark.parametrize("form", [as_manifest, as_index], ids=["manifest", "index"])
def test_both_forms_of_a_cache_reach_layers_and_configuration(
    layout: Layout, form: Callable[[Layout, list[Descriptor], Descriptor], Descriptor]
) -> None:
    layers = [put(layout, b"layer %d" % n) for n in range(3)]
    config = put(layout, b'{"layers": [], "records": []}', CACHE_CONFIG_TYPE)
    root = form(layout, [*layers, layers[0]], config)
    found = layout.reachable(root)
    assert found[0] == root
    assert {one.digest for one in found} == {one.digest for one in (root, config, *layers)}
    assert len(found) == 5


def test_an_index_of_images_is_descended_into(layout: Layout) -> None:
    layer, config = put(layout, b"layer"), put(layout, b"{}", "application/json")
    image = as_manifest(layout, [layer], config)
    root = put_json(layout, INDEX_TYPE, manifests=[image.as_json()])
    assert [one.digest for one in layout.reachable(root)] == [
        one.digest for one in (root, image, config, layer)
    ]


def test_what_is_missing_or_damaged_is_told(layout: Layout) -> None:
    root = as_manifest(layout, [], put(layout, b"{}", CACHE_CONFIG_TYPE))
    path = layout.blob_path(root.digest)
    content = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(content[:-1] + b"]")
    with pytest.raises(BlobError, match="not what its digest says") as caught:
        layout.reachable(root)
    assert caught.value.digest == root.digest
    path.write_bytes(content[:-1])
    with pytest.raises(BlobError, match=f"has {len(content) - 1} bytes, not {len(content)}"):
        layout.reachable(root)
    path.unlink()
    with pytest.raises(BlobError, match="cannot be read"):
        layout.reachable(root)
    with pytest.raises(BlobError, match="no manifest"):
        layout.reachable(put(layout, b"[1]", MANIFEST_TYPE))


def test_verifying_reads_the_whole_blob(layout: Layout) -> None:
    blob = put(layout, b"x" * 100_000)
    layout.verify(blob)
    path = layout.blob_path(blob.digest)
    path.chmod(0o644)
    path.write_bytes(b"x" * 99_999 + b"y")
    with pytest.raises(BlobError, match="not what its digest says"):
        layout.verify(blob)
    path.write_bytes(b"x")
    with pytest.raises(BlobError, match="has 1 bytes"):
        layout.verify(blob)


def test_nothing_is_stored_under_another_digest(layout: Layout, tmp_path: Path) -> None:
    wrong = Descriptor(LAYER_TYPE, f"sha256:{hashlib.sha256(b'right').hexdigest()}", 5)
    with pytest.raises(BlobError, match="arrived otherwise"):
        layout.put_blob(wrong, [b"wrong"])
    file = tmp_path / "file"
    file.write_bytes(b"wrong")
    with pytest.raises(BlobError, match="not what its digest says"):
        layout.adopt(wrong, file)
    assert file.exists()
    assert list(layout.blobs_folder.iterdir()) == []
    file.write_bytes(b"right")
    layout.adopt(wrong, file)
    layout.verify(wrong)
    assert [digest for digest, _ in layout.blobs()] == [wrong.digest]
    assert not file.exists()


def test_a_source_that_breaks_off_leaves_nothing(layout: Layout) -> None:
    def pieces() -> Any:
        yield b"half"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        layout.put_blob(Descriptor(LAYER_TYPE, "sha256:" + "0" * 64, 8), pieces())
    assert list(layout.blobs_folder.iterdir()) == []


@pytest.mark.parametrize("digest", ["sha256:../x", "sha256:" + "A" * 64, "sha512:" + "0" * 64, ""])
def test_a_digest_is_never_a_path(layout: Layout, digest: str) -> None:
    with pytest.raises(ValueError, match="not a SHA-256 digest"):
        layout.blob_path(digest)
