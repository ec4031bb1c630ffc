"""Spans and bundles as BuildKit's history of builds has them, made up to vary."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import Any

__all__ = ["BLOB", "bundle", "span", "text"]

BLOB = "sha256:" + "ab" * 32
TRACE = "application/vnd.buildkit.otlp.json.v0"


def span(
    method: str = "GET",
    url: str = f"https://registry.example/v2/acme/app/blobs/{BLOB}",
    status: int | None = 200,
    *,
    name: str | None = None,
    parent: str = "p1",
    start: str = "1",
    code: object = 0,
    old: bool = False,
    **headers: str,
) -> dict[str, Any]:
    """A request's span, by the names of today or (``old``) those before HTTP's were settled."""
    names = ("http.method", "http.url", "http.status_code")
    if not old:
        names = ("http.request.method", "url.full", "http.response.status_code")
    values: dict[str, Any] = dict(zip(names, (method, url, status), strict=True))
    length = headers.pop("length", None)
    if length:
        values["http.request_content_length" if old else "http.request.header.content-length"] = (
            length
        )
    values |= {f"http.request.header.{key}": value for key, value in headers.items()}
    return {
        "Name": name or f"HTTP {method}",
        "SpanContext": {"SpanID": "s"},
        "Parent": {"SpanID": parent},
        "StartTime": start,
        "Attributes": [
            {"Key": key, "Value": {"Type": "STRING", "Value": value}}
            for key, value in values.items()
            if value is not None
        ],
        "Status": {"Code": code},
    }


def text(*spans: object) -> bytes:
    return "\n".join(json.dumps(one, indent=1) for one in spans).encode()


def bundle(trace: bytes, media_type: str = TRACE) -> bytes:
    """An OCI layout of one history record, as a tar."""
    blobs: dict[str, bytes] = {}

    def add(content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return f"sha256:{digest}"

    layers = [{"mediaType": media_type, "digest": add(trace)}]
    manifest = add(json.dumps({"layers": layers}).encode())
    blobs["index.json"] = json.dumps({"manifests": [{"digest": manifest}]}).encode()
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, content in blobs.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return target.getvalue()
