"""`optimize --only pins` against a real registry: what buildx says of images is what is read."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import Any
from urllib.parse import urljoin

import requests

from dockyard.optimization_pins import pin_proposals
from support.engine import random_name
from support.registry import Registry
from support.settings import make_settings

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


class Publisher:
    """Puts an image of one layer under a tag, as an index of two platforms, without any engine."""

    def __init__(self, registry: Registry, name: str) -> None:
        self.base = f"http://{registry.host}/v2/{name}"

    def blob(self, content: bytes, media_type: str) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        begun = requests.post(f"{self.base}/blobs/uploads/", timeout=10)
        place = urljoin(begun.url, begun.headers["Location"])
        url = f"{place}{'&' if '?' in place else '?'}digest={digest}"
        requests.put(url, data=content, timeout=10).raise_for_status()
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

    def manifest(self, content: dict[str, Any], reference: str | None = None) -> dict[str, Any]:
        text = json.dumps({"schemaVersion": 2, **content}).encode()
        digest = f"sha256:{hashlib.sha256(text).hexdigest()}"
        answer = requests.put(
            f"{self.base}/manifests/{reference or digest}",
            data=text,
            headers={"Content-Type": content["mediaType"]},
            timeout=10,
        )
        answer.raise_for_status()
        return {"mediaType": content["mediaType"], "digest": digest, "size": len(text)}

    def publish(self, tag: str, version: str, size: int) -> tuple[str, int]:
        """Return the index's digest, and the bytes of the layer of linux/amd64."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            archive.addfile(tarfile.TarInfo(f"python-{version}"), io.BytesIO())
        content = buffer.getvalue() + bytes(size)
        layer = self.blob(content, "application/vnd.oci.image.layer.v1.tar")
        manifests = []
        for architecture in ("amd64", "arm64"):
            configuration: dict[str, Any] = {
                "architecture": architecture,
                "os": "linux",
                "created": f"2025-0{version[-1]}-01T00:00:00Z",
                "config": {"Env": [f"PYTHON_VERSION={version}"]},
                "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
                "history": [],
            }
            config = self.blob(
                json.dumps(configuration).encode(), "application/vnd.oci.image.config.v1+json"
            )
            made = self.manifest({"mediaType": MANIFEST, "config": config, "layers": [layer]})
            manifests.append({**made, "platform": {"os": "linux", "architecture": architecture}})
        index = self.manifest({"mediaType": INDEX, "manifests": manifests}, tag)
        return index["digest"], len(content)


def test_a_tag_that_moved_at_a_registry(engine: str, registry: Registry) -> None:
    name = random_name()
    publisher = Publisher(registry, name)
    old, before = publisher.publish("3.13", "3.13.8", 2_000_000)
    settings = make_settings(python_image=f"{registry.host}/{name}:3.13@{old}")
    notes: list[str] = []
    assert pin_proposals(settings, "amd64", notes.append) == ()
    new, after = publisher.publish("3.13", "3.13.9", 3_000_000)
    [proposal] = pin_proposals(settings, "amd64", notes.append)
    assert notes == []
    change: Any = proposal.change
    assert change.value == f"{registry.host}/{name}:3.13@{new}"
    assert "Python 3.13.8 → 3.13.9" in proposal.why
    assert f"{before / 1e6:.1f} MB → {after / 1e6:.1f} MB" in proposal.why
    assert "built 2025-08-01 → 2025-09-01" in proposal.why
