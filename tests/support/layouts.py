"""Layouts with content of a test's choice."""

from __future__ import annotations

import hashlib
import io
import json
import random
import tarfile
from collections.abc import Sequence
from pathlib import Path

from dockyard.caches.layout import CACHE_CONFIG_TYPE, MANIFEST_TYPE, Descriptor, Layout

__all__ = ["descriptor_of", "fill_layout", "random_bytes", "tar_of"]

LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+zstd"


def random_bytes(size: int, seed: int | str) -> bytes:
    """Return the same incompressible bytes for the same arguments."""
    return random.Random(f"{size} {seed}").randbytes(size)


def descriptor_of(content: bytes, media_type: str = LAYER_TYPE) -> Descriptor:
    """Describe content."""
    return Descriptor(media_type, f"sha256:{hashlib.sha256(content).hexdigest()}", len(content))


def tar_of(name: str, content: bytes) -> bytes:
    """Return a tar of one file."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def fill_layout(root: Path, tag: str, contents: Sequence[bytes]) -> Layout:
    """Make a layout, or add to one: a cache manifest under ``tag`` with a layer per content."""
    layout = Layout(root)
    layout.create()
    layers = []
    for content in contents:
        layers.append(descriptor_of(content))
        layout.put_blob(layers[-1], [content])
    config = json.dumps({"layers": [one.digest for one in layers]}).encode()
    config_descriptor = descriptor_of(config, CACHE_CONFIG_TYPE)
    layout.put_blob(config_descriptor, [config])
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": config_descriptor.as_json(),
            "layers": [one.as_json() for one in layers],
        }
    ).encode()
    descriptor = descriptor_of(manifest, MANIFEST_TYPE)
    layout.put_blob(descriptor, [manifest])
    layout.set_tag(tag, descriptor)
    return layout
