"""Images made in a registry itself, so that no engine holds anything of them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from support.layouts import random_bytes
from support.registry import Registry

__all__ = ["LayeredImage", "put_layered_image"]


@dataclass(frozen=True)
class LayeredImage:
    """A tag, and the blob of its own layer: digest and size in bytes."""

    tag: str
    digest: str
    size: int


def _request(
    registry: Registry, method: str, path: str, body: bytes = b"", kind: str = ""
) -> tuple[str, bytes]:
    """Ask past the counting proxy; the ``Location`` and the body of the answer."""
    with closing(registry.connect()) as connection:
        connection.request(method, path, body=body, headers={"Content-Type": kind} if kind else {})
        answer = connection.getresponse()
        content = answer.read()
    if answer.status >= 300:
        raise AssertionError(f"{method} {path}: {answer.status} {content!r}")
    return answer.headers.get("Location", ""), content


def _put_blob(registry: Registry, repository: str, content: bytes) -> str:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    place, _ = _request(registry, "POST", f"/v2/{repository}/blobs/uploads/")
    place += f"{'&' if '?' in place else '?'}digest={digest}"
    _request(registry, "PUT", place, content, "application/octet-stream")
    return digest


def _platform_manifest(registry: Registry, repository: str, tag: str) -> dict[str, Any]:
    manifest = registry.manifest(repository, tag)
    for one in manifest.get("manifests", ()):
        if one["platform"]["os"] == "linux":
            return registry.manifest(repository, one["digest"])
    return manifest


def _tar(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def put_layered_image(
    registry: Registry,
    base: str,
    repositories: tuple[str, ...],
    *,
    size: int,
    seed: str,
    files: Mapping[str, bytes] | None = None,
    architecture: str | None = None,
) -> LayeredImage:
    """Put an image into repositories: one of the registry's, ``NAME:TAG``, and a layer on it.

    ``size`` is that of a file in the layer in bytes, ``seed`` says what is in it, and is the tag;
    ``files`` are further ones. ``architecture`` is what the image says it is of.
    """
    source, _, tag = base.rpartition(":")
    manifest = _platform_manifest(registry, source, tag)
    _, text = _request(registry, "GET", f"/v2/{source}/blobs/{manifest['config']['digest']}")
    configuration = json.loads(text)
    configuration["architecture"] = architecture or configuration["architecture"]
    archive = _tar({"layer-of-a-test": random_bytes(size, seed), **(files or {})})
    layer = gzip.compress(archive, compresslevel=1, mtime=0)
    configuration["rootfs"]["diff_ids"].append(f"sha256:{hashlib.sha256(archive).hexdigest()}")
    configuration.setdefault("history", []).append({"created_by": "a test"})
    for repository in repositories:
        for one in manifest["layers"]:
            mount = f"mount={one['digest']}&from={source}"
            _request(registry, "POST", f"/v2/{repository}/blobs/uploads/?{mount}")
        digest = _put_blob(registry, repository, layer)
        content = json.dumps(configuration).encode()
        described = {
            **manifest,
            "config": {
                **manifest["config"],
                "digest": _put_blob(registry, repository, content),
                "size": len(content),
            },
            "layers": [
                *manifest["layers"],
                {
                    "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                    "digest": digest,
                    "size": len(layer),
                },
            ],
        }
        path = f"/v2/{repository}/manifests/{seed}"
        _request(registry, "PUT", path, json.dumps(described).encode(), manifest["mediaType"])
    return LayeredImage(seed, digest, len(layer))
