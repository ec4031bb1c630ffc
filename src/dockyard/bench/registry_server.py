"""A real registry on loopback, behind a proxy that counts every byte and may slow it down."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol, Self
from urllib.parse import parse_qs, unquote, urlsplit

from dockyard import process
from dockyard.bench.bandwidth import Line
from dockyard.bench.loopback import CHUNK, LoopbackHandler, LoopbackServer
from dockyard.caches.layout import INDEX_TYPES, MANIFEST_TYPES
from dockyard.errors import EngineError

__all__ = ["RegistryServer", "Relay", "Request", "Transfer", "Upstream"]

PROGRAM = "docker-registry"
START_TIMEOUT_S = 20.0
TLS_HANDSHAKE = b"\x16"
HOP_BY_HOP = {"connection", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
ACCEPTED = ", ".join(sorted(INDEX_TYPES | MANIFEST_TYPES))
SUCCEEDED = (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT)


@dataclass(frozen=True)
class Request:
    """One request; ``digest`` is the blob's or manifest's, where it is named."""

    method: str
    path: str
    digest: str | None


@dataclass(frozen=True)
class Transfer:
    """One request; the bytes are those of bodies, without headers and chunk framing.

    ``status`` is 0 when the client had no answer.
    """

    method: str
    path: str
    digest: str | None
    status: int
    bytes_sent: int
    bytes_received: int


class RegistryServer:
    """A registry whose blobs are below ``storage``; a context manager.

    Enter it in the main thread: the server is killed when the thread that started it ends. The
    address stays the same over :meth:`switch`.
    """

    def __init__(
        self, storage: Path, *, line: Line | None = None, relay: type[Relay] | None = None
    ) -> None:
        self.recorded: list[Transfer] = []
        self.port = 0  # the registry's own, not the counting one
        self.line = line or Line(None)
        self._storage = storage
        self._server = LoopbackServer(type("Handler", (relay or Relay,), {"registry": self}))
        self._process: process.Server | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stop()
            self._server.server_close()
            raise
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._server.stop()
        finally:
            self._stop()

    @property
    def host(self) -> str:
        """``127.0.0.1:PORT``, as the first part of an image's reference."""
        return self._server.host

    @property
    def uncounted_host(self) -> str:
        """The registry's own ``127.0.0.1:PORT``, past the proxy; another one after a switch."""
        return f"127.0.0.1:{self.port}"

    @property
    def transfers(self) -> tuple[Transfer, ...]:
        """Every request since the last :meth:`reset`, in the order in which they ended."""
        self._server.settle()
        return tuple(self.recorded)

    def blob_bytes_served(self) -> int:
        """Bytes of blobs (layers, configurations, cache) that clients downloaded."""
        return sum(
            each.bytes_sent
            for each in self.transfers
            if "/blobs/sha256:" in each.path and each.status in SUCCEEDED
        )

    def blob_bytes_received(self) -> int:
        """Bytes of blobs that clients uploaded, whether or not the upload succeeded."""
        return sum(each.bytes_received for each in self.transfers if "/blobs/uploads/" in each.path)

    def reset(self) -> None:
        """Forget the transfers; what is stored stays."""
        self._server.settle()
        self.recorded.clear()

    def switch(self, storage: Path) -> None:
        """Serve another storage at the same address, and forget the transfers."""
        self._server.settle()
        self._stop()
        self._storage = storage
        self._start()
        self.recorded.clear()

    def manifest(self, repository: str, reference: str) -> dict[str, Any]:
        """Return the manifest or index of a tag or digest; not counted. LookupError without one."""
        with closing(self.connect()) as connection:
            path = f"/v2/{repository}/manifests/{reference}"
            connection.request("GET", path, headers={"Accept": ACCEPTED})
            answer = connection.getresponse()
            content = answer.read()
        if answer.status != HTTPStatus.OK:
            raise LookupError(f"{repository} {reference}: {answer.status} {content!r}")
        manifest: dict[str, Any] = json.loads(content)
        return manifest

    def connect(self) -> http.client.HTTPConnection:
        """Return a new connection past the counting proxy."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def _start(self) -> None:
        program = shutil.which(PROGRAM)
        if program is None:
            raise EngineError(
                f"the program {PROGRAM} is not installed",
                hint=f"`apt-get install {PROGRAM}` on Debian or Ubuntu; else see "
                "https://distribution.github.io/distribution/",
            )
        self._storage.mkdir(parents=True, exist_ok=True)
        config = {
            "version": "0.1",
            "log": {"level": "info", "formatter": "json"},
            "storage": {
                "filesystem": {"rootdirectory": str(self._storage / "data")},
                "delete": {"enabled": True},
            },
            # Port 0: the registry itself picks a free one and logs it.
            "http": {"addr": "127.0.0.1:0", "relativeurls": True, "secret": "not-secret"},
        }
        path, log = self._storage / "config.yml", self._storage / "registry.log"
        path.write_text(json.dumps(config))  # JSON is YAML
        # Such variables would override the configuration.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("REGISTRY_")}
        self._process = process.serve(
            [program, "serve", str(path)], log=log, environment=environment
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers(log.read_text(errors="replace")):
            if not self._process.running or time.monotonic() > deadline:
                said = log.read_text(errors="replace").strip().splitlines()
                raise EngineError(
                    f"{PROGRAM} does not answer: {said[-1] if said else 'it said nothing'}",
                    where=str(path),
                    hint=f"try `{PROGRAM} serve {path}`",
                )
            time.sleep(0.02)

    def _answers(self, log: str) -> bool:
        if (listening := re.search(r"listening on 127\.0\.0\.1:(\d+)", log)) is None:
            return False
        self.port = int(listening[1])
        with closing(self.connect()) as connection:
            try:
                connection.request("GET", "/v2/")
                return connection.getresponse().status == HTTPStatus.OK
            except OSError:
                return False

    def _stop(self) -> None:
        if self._process is not None:
            self._process.stop()
            self._process = None


class Upstream(Protocol):
    """What a relay hands requests on to: in our tree a registry, in tests any server."""

    recorded: list[Transfer]
    line: Line

    def connect(self) -> http.client.HTTPConnection:
        """Return a new connection to it."""


class Relay(LoopbackHandler):
    """Hands every request on to the registry, and notes what it moved."""

    registry: Upstream

    def handle(self) -> None:
        """Answer requests; one for TLS in the clear, so that clients turn to HTTP."""
        # The engine tries TLS first and turns to HTTP only when the answer is HTTP.
        if self.connection.recv(1, socket.MSG_PEEK) == TLS_HANDSHAKE:
            self.connection.recv(CHUNK)
            self.connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
            return
        super().handle()

    def do_GET(self) -> None:  # noqa: N802
        """Answer one request of whatever method."""
        with self.server.request_in_flight():
            self._status = self._sent = self._received = 0
            parts = urlsplit(self.path)
            named = parse_qs(parts.query)
            found = re.search(r"/(sha256:[0-9a-f]{64})$", unquote(parts.path))
            digest = found[1] if found else next(iter(named.get("digest", ())), None)
            try:
                self.answer(Request(self.command, parts.path, digest))
            except (OSError, http.client.HTTPException):
                self.close_connection = True
            finally:
                counts = (self._status, self._sent, self._received)
                self.registry.recorded.append(Transfer(self.command, parts.path, digest, *counts))

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    @property
    def chunked(self) -> bool:
        """Whether the request's body comes in chunks."""
        return self.headers.get("Transfer-Encoding", "").lower() == "chunked"

    def answer(self, request: Request) -> None:
        """Pass the request on, and its answer back."""
        chunked = self.chunked
        with closing(self.registry.connect()) as upstream:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in _end_to_end(self.headers.items()):
                upstream.putheader(name, value)
            if chunked:
                upstream.putheader("Transfer-Encoding", "chunked")
            upstream.endheaders()
            for piece in self.body():
                upstream.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            if chunked:
                upstream.send(b"0\r\n\r\n")
            answer = upstream.getresponse()
            headers = list(_end_to_end(answer.getheaders()))
            if answer.length is None:
                headers.append(("Connection", "close"))
            self.begin(answer.status, headers)
            while piece := answer.read(CHUNK):
                self.send(piece)

    def body(self) -> Iterator[bytes]:
        """Yield the request's body in pieces, and count it."""
        chunked = self.chunked
        size = 0 if chunked else int(self.headers.get("Content-Length", 0))
        while size or chunked:
            if not size:
                size = int(self.rfile.readline().partition(b";")[0], 16)
                if not size:
                    while self.rfile.readline().strip():
                        pass  # trailers
                    return
            if not (piece := self.rfile.read1(min(size, CHUNK))):
                raise ConnectionError("the client closed the connection inside a body")
            size -= len(piece)
            self._received += len(piece)
            self.received(piece)
            yield piece
            if chunked and not size:
                self.rfile.readline()

    def received(self, piece: bytes) -> None:
        """Let a piece of the request's body through, or raise ConnectionError."""
        self.registry.line.up(len(piece))

    def begin(self, status: int, headers: list[tuple[str, str]]) -> None:
        """Send the answer's head."""
        self._status = status
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)  # "Connection: close" also ends the loop of requests
        self.end_headers()

    def send(self, data: bytes) -> None:
        """Send a piece of the answer's body, and count it."""
        self.registry.line.down(len(data))
        self.wfile.write(data)
        self._sent += len(data)


def _end_to_end(headers: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    return ((name, value) for name, value in headers if name.lower() not in HOP_BY_HOP)
