"""A package index on loopback that counts every byte it serves.

It speaks the simple API in HTML (PEP 503) and JSON (PEP 691), with sizes (PEP 700) and separate
metadata files (PEP 658). Files are read from disk for each request, so altering one after
:meth:`PackageIndex.add` serves content that contradicts its announced hash.
"""

from __future__ import annotations

import base64
import email.parser
import hashlib
import html
import json
import ssl
import zipfile
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from dockyard.bench.loopback import CHUNK, LoopbackHandler, LoopbackServer, answer_range
from support.wheels import normalized

__all__ = ["IndexRequest", "PackageIndex"]

JSON_TYPE = "application/vnd.pypi.simple.v1+json"


@dataclass(frozen=True)
class IndexRequest:
    """One answered request; ``bytes_sent`` is the length of the body, without headers."""

    method: str
    path: str
    status: int
    bytes_sent: int
    range: str | None = None


@dataclass(frozen=True)
class _File:
    path: Path
    project: str
    version: str
    sha256: str
    size: int
    metadata: bytes | None = None
    requires_python: str | None = None


class PackageIndex:
    """A simple index of chosen files; a context manager.

    ``auth`` is a user and password that every request must carry. ``bind`` is the address to
    listen on: with another than loopback, containers on a bridge network reach it too. ``tls`` is
    a certificate's file and its key's.
    """

    def __init__(
        self,
        *,
        auth: tuple[str, str] | None = None,
        bind: str = "127.0.0.1",
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        self.files: dict[str, _File] = {}
        self.answered: list[IndexRequest] = []
        self.authorization = (
            "Basic " + base64.b64encode(":".join(auth).encode()).decode() if auth else None
        )
        self._server = LoopbackServer(type("Handler", (_Handler,), {"index": self}), bind)
        self._scheme = "https" if tls else "http"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            # Shaking hands while accepting would let one client hold up all others.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def url(self) -> str:
        """The index's address as uv and pip take it, without credentials or trailing slash."""
        return f"{self._scheme}://{self._server.host}/simple"

    @property
    def requests(self) -> tuple[IndexRequest, ...]:
        """Every request since the last :meth:`reset`, in the order in which they ended."""
        self._server.settle()
        return tuple(self.answered)

    def add(self, path: Path) -> None:
        """Serve a wheel or sdist; its hash and size are announced as they are now."""
        content = path.read_bytes()
        found = _File(path, "", "", hashlib.sha256(content).hexdigest(), len(content))
        if path.suffix == ".whl":
            project, version = path.stem.split("-")[:2]
            with zipfile.ZipFile(path) as wheel:
                metadata = wheel.read(f"{project}-{version}.dist-info/METADATA")
            fields = email.parser.BytesParser().parsebytes(metadata)
            found = replace(found, metadata=metadata, requires_python=fields.get("Requires-Python"))
        else:
            project, _, version = path.name.removesuffix(".tar.gz").rpartition("-")
        self.files[path.name] = replace(found, project=normalized(project), version=version)

    def bytes_served(self, filename: str | None = None) -> int:
        """Bytes sent of one file, or of all wheels and sdists (no pages, no metadata files).

        ``<wheel>.metadata`` names a wheel's metadata file.
        """
        return sum(
            request.bytes_sent
            for request in self.requests
            if request.status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT)
            and (name := request.path.removeprefix("/files/")) != request.path
            and (name == filename if filename else not name.endswith(".metadata"))
        )

    def reset(self) -> None:
        """Forget the requests; the files stay."""
        self._server.settle()
        self.answered.clear()

    def page(self, project: str | None, as_json: bool) -> bytes | None:
        """The page of one project or, for None, of all; None when there is no such project."""
        files = [(n, f) for n, f in sorted(self.files.items()) if f.project == project]
        projects = sorted({file.project for file in self.files.values()})
        if project is not None and not files:
            return None
        if not as_json:
            links = [_link(*item) for item in files] or [
                f'<a href="{name}/">{name}</a>' for name in projects if project is None
            ]
            return "\n".join(["<!DOCTYPE html>", *links, ""]).encode()
        answer: dict[str, Any] = {"meta": {"api-version": "1.1"}}
        if project is None:
            answer["projects"] = [{"name": name} for name in projects]
        else:
            answer["name"] = project
            answer["versions"] = sorted({file.version for _, file in files})
            answer["files"] = [_entry(*item) for item in files]
        return json.dumps(answer).encode()


def _entry(name: str, file: _File) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "filename": name,
        "url": f"/files/{name}",
        "hashes": {"sha256": file.sha256},
        "size": file.size,
        "upload-time": "2024-01-01T00:00:00.000000Z",
    }
    if file.metadata is not None:
        entry["core-metadata"] = {"sha256": hashlib.sha256(file.metadata).hexdigest()}
    if file.requires_python:
        entry["requires-python"] = file.requires_python
    return entry


def _link(name: str, file: _File) -> str:
    entry = _entry(name, file)
    attributes = f'href="/files/{name}#sha256={file.sha256}"'
    if "core-metadata" in entry:
        attributes += f' data-core-metadata="sha256={entry["core-metadata"]["sha256"]}"'
    if file.requires_python:
        attributes += f' data-requires-python="{html.escape(file.requires_python)}"'
    return f"<a {attributes}>{name}</a><br>"


class _Handler(LoopbackHandler):
    index: PackageIndex

    def do_GET(self) -> None:  # noqa: N802
        with self.server.request_in_flight():
            self._status, self._sent = HTTPStatus.OK, 0
            path, asked = unquote(urlsplit(self.path).path), self.headers.get("Range")
            try:
                self._answer(path)
            finally:
                note = IndexRequest(self.command, path, self._status, self._sent, asked)
                self.index.answered.append(note)

    do_HEAD = do_GET  # noqa: N815

    def _answer(self, path: str) -> None:
        wanted = self.index.authorization
        if wanted and self.headers.get("Authorization") != wanted:
            challenge = {"WWW-Authenticate": 'Basic realm="index"'}
            return self._send(HTTPStatus.UNAUTHORIZED, b"", challenge)
        _, area, *rest = path.split("/")
        if area == "files" and len(rest) == 1:
            return self._send_file(rest[0])
        project = normalized(rest[0]) if rest and rest[0] else None
        as_json = JSON_TYPE in self.headers.get("Accept", "")
        page = self.index.page(project, as_json) if area == "simple" else None
        if page is None:
            return self._send(HTTPStatus.NOT_FOUND, b"")
        # uv may keep pages between tests, and the next index may get this one's port.
        kind = JSON_TYPE if as_json else "text/html; charset=utf-8"
        return self._send(HTTPStatus.OK, page, {"Content-Type": kind, "Cache-Control": "no-cache"})

    def _send_file(self, name: str) -> None:
        file = self.index.files.get(name.removesuffix(".metadata"))
        if file is None:
            return self._send(HTTPStatus.NOT_FOUND, b"")
        if name.endswith(".metadata"):
            if file.metadata is None:
                return self._send(HTTPStatus.NOT_FOUND, b"")
            return self._send(HTTPStatus.OK, file.metadata)
        status, sent, headers = answer_range(
            self.headers.get("Range", ""), file.path.stat().st_size
        )
        headers["Content-Type"] = "application/octet-stream"
        self._start(status, {**headers, "Content-Length": str(len(sent))})
        with file.path.open("rb") as content:
            content.seek(sent.start)
            while self.command != "HEAD" and (
                piece := content.read(min(CHUNK, len(sent) - self._sent))
            ):
                self._write(piece)
        return None

    def _send(self, status: HTTPStatus, body: bytes, headers: dict[str, str] | None = None) -> None:
        self._start(status, {**(headers or {}), "Content-Length": str(len(body))})
        if self.command != "HEAD":
            self._write(body)

    def _start(self, status: HTTPStatus, headers: dict[str, str]) -> None:
        self._status = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _write(self, data: bytes) -> None:
        self.wfile.write(data)
        self._sent += len(data)
