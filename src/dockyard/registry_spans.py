"""The requests that BuildKit sent to registries in one build, from its history's bundle. Pure.

``docker buildx history export`` writes an OCI image layout (a tar, gzipped or not) with one
manifest for each build. Its layer of the type ``application/vnd.buildkit.otlp.json.v0`` is the
build's OpenTelemetry trace: JSON objects one after the other, each a span (Go's ``tracetest``
``SpanStub``: ``Name``, ``SpanContext``, ``Parent``, ``Attributes``, ``Status``, …). Each HTTP
request has a span of its own, named by the method (semantic conventions ``http``, 1.20 and newer;
older names are read too).

URLs may hold signatures and credentials: host, repository and digest are all that is kept.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["RegistryRequest", "read_bundle", "read_spans"]

LARGEST_BUNDLE = 1 << 28
_TRACE_TYPE = "application/vnd.buildkit.otlp.json"
_BLOB = re.compile(r"/v2/(?P<repository>.+?)/blobs/(?P<digest>[a-z0-9]+:[0-9a-fA-F]{32,})")
_UPLOAD = re.compile(r"/v2/(?P<repository>.+?)/blobs/uploads/")
_DIGEST = re.compile(r"[a-z0-9]+:[0-9a-fA-F]{32,}")
_METHODS = ("GET", "HEAD", "PATCH", "POST", "PUT")
_FAILED = (1, "1", "Error")
_REDIRECTS = (301, 302, 303, 307, 308)
# The names of attributes, the current one first.
_METHOD = ("http.request.method", "http.method")
_URL = ("url.full", "http.url")
_STATUS = ("http.response.status_code", "http.status_code")
_LENGTH = (
    "http.request.header.content-length",
    "http.request_content_length",
    "http.request.body.size",
)
_RANGE = ("http.request.header.range",)
_ACCEPT = ("http.request.header.accept",)


@dataclass(frozen=True)
class RegistryRequest:
    """One request for a blob.

    ``method``: HEAD and GET of a blob; PUT and PATCH that send one; POST that asks for another
    repository's. ``repository`` is ``host/path``, where ``host`` is the registry that was meant
    even if a mirror answered. ``status`` is that of the last answer, redirects followed, and None
    without one. ``sent``: bytes of the body that was sent. ``range``: the bytes that were asked
    for, as in ``Range``. ``broken``: it ended with an error, the answer's body included.
    """

    method: str
    repository: str
    digest: str | None
    status: int | None
    sent: int | None = None
    range: str | None = None
    accept: str = ""
    broken: bool = False


def read_bundle(data: bytes) -> tuple[RegistryRequest, ...]:
    """Read a bundle of one build. Raises ValueError for one that is damaged or has no trace."""
    try:
        blobs = _untar(data)
        digests = [
            str(layer["digest"])
            for one in json.loads(blobs["index.json"])["manifests"]
            for layer in json.loads(_blob(blobs, str(one["digest"])))["layers"]
            if str(layer.get("mediaType", "")).startswith(_TRACE_TYPE)
        ]
        traces = [_blob(blobs, digest) for digest in digests]
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"the build's history is damaged: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the build's history has another form: {error}") from error
    if not traces:
        raise ValueError("the build's history has no trace")
    return tuple(request for trace in traces for request in read_spans(trace))


def _untar(data: bytes) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    total = 0
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:*") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is None:
                continue
            total += member.size
            if total > LARGEST_BUNDLE:
                raise ValueError("the build's history is too large to be read")
            found[member.name] = file.read()
    return found


def _blob(blobs: dict[str, bytes], digest: str) -> bytes:
    algorithm, _, value = digest.partition(":")
    return blobs[f"blobs/{algorithm}/{value}"]


def read_spans(trace: bytes) -> tuple[RegistryRequest, ...]:
    """Read a trace's spans, and keep the requests for blobs. Raises ValueError if it is cut."""
    spans = [_Span(one) for one in _objects(trace.decode(errors="replace"))]
    # Only the requests themselves: what sent them has a span, too, with the same attributes.
    requests = [one for one in spans if one.name.removeprefix("HTTP ") in _METHODS]
    siblings: dict[str, list[_Span]] = {}
    for one in requests:
        siblings.setdefault(one.parent, []).append(one)
    return tuple(
        found for one in requests if (found := _request(one, siblings[one.parent])) is not None
    )


def _objects(text: str) -> Iterator[dict[str, Any]]:
    decoder = json.JSONDecoder()
    position = 0
    space = re.compile(r"\s*")
    while (position := space.match(text, position).end()) < len(text):  # type: ignore[union-attr]
        found, position = decoder.raw_decode(text, position)
        if isinstance(found, dict):
            yield found


class _Span:
    """What is of interest in a span; what is missing or of another shape is empty."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.name = str(values.get("Name", ""))
        self.start = str(values.get("StartTime", ""))
        self.parent = str(_table(values.get("Parent")).get("SpanID", ""))
        self.failed = _table(values.get("Status")).get("Code") in _FAILED
        self._attributes: dict[str, Any] = {}
        listed = values.get("Attributes")
        for one in listed if isinstance(listed, list) else ():
            if isinstance(one, dict) and isinstance(one.get("Key"), str):
                self._attributes[one["Key"]] = _table(one.get("Value")).get("Value")

    def text(self, names: tuple[str, ...]) -> str:
        return next((str(v) for n in names if (v := self._attributes.get(n)) is not None), "")

    def number(self, names: tuple[str, ...]) -> int | None:
        text = self.text(names)
        return int(text) if text.isdecimal() else None


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _request(span: _Span, siblings: list[_Span]) -> RegistryRequest | None:
    method = span.text(_METHOD) or span.name.removeprefix("HTTP ")
    try:
        url = urlsplit(span.text(_URL))
        query = parse_qs(url.query)
        host = url.netloc.rpartition("@")[2]
    except ValueError:
        return None
    upload, blob = _UPLOAD.match(url.path), _BLOB.fullmatch(url.path)
    named = query.get("mount" if method == "POST" else "digest", [""])[0]
    digest: str | None = None
    if method in ("GET", "HEAD") and blob:
        digest = blob["digest"]
    elif method in ("POST", "PUT") and _DIGEST.fullmatch(named):
        digest = named
    elif method != "PATCH" or not upload:
        return None
    place = blob or upload
    host = query.get("ns", [host])[0]
    status, broken = span.number(_STATUS), span.failed
    if status in _REDIRECTS:
        # The client follows by itself: the answer is that of the last request of its parent's.
        last = max(siblings, key=lambda one: one.start)
        status, broken = (None, True) if last is span else (last.number(_STATUS), last.failed)
    return RegistryRequest(
        method=method,
        repository=f"{host}/{place['repository']}" if place else host,
        digest=digest,
        status=status,
        sent=span.number(_LENGTH),
        range=span.text(_RANGE) or None,
        accept=span.text(_ACCEPT).partition(",")[0].strip(),
        broken=broken,
    )
