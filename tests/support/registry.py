"""A real registry on loopback behind a proxy that counts every byte and can fail on request."""

from __future__ import annotations

import base64
import ctypes
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from support.index import CHUNK, LoopbackServer

__all__ = ["Fault", "Login", "Registry", "Request", "Transfer"]

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0
PR_SET_PDEATHSIG = 1
TLS_HANDSHAKE = b"\x16"
HOP_BY_HOP = {"connection", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
MANIFEST_TYPES = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.index.v1",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.list.v2",
        "docker.distribution.manifest.v2",
    )
)


@dataclass(frozen=True)
class Request:
    """What a fault is decided on; ``digest`` is the blob's or manifest's, where it is named."""

    method: str
    path: str
    digest: str | None


@dataclass(frozen=True)
class Fault:
    """What goes wrong: a wait first, then one of the others.

    ``status`` answers without asking the registry. ``cut_after`` closes the connection after so
    many bytes of a body: the request's or, where that is not longer, the answer's.
    """

    status: int | None = None
    cut_after: int | None = None
    delay_s: float = 0.0


@dataclass(frozen=True)
class Login:
    """What a registry wants before it answers: a login, itself or at its token server.

    ``identity_token`` is accepted there as well, where it is given.
    """

    user: str
    password: str
    tokens: bool = False
    identity_token: str | None = None


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


class Registry:
    """A registry whose blobs are below ``storage``; a context manager.

    Enter it in the main thread: the server is killed when the thread that started it ends.
    """

    def __init__(self, storage: Path) -> None:
        self.fault: Callable[[Request], Fault | None] | None = None
        self.login: Login | None = None
        self.recorded: list[Transfer] = []
        self.port = 0  # the registry's own, not the counting one
        self._storage = storage
        self._server = LoopbackServer(type("Handler", (_Relay,), {"registry": self}))
        self._process: subprocess.Popen[bytes] | None = None

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
    def transfers(self) -> tuple[Transfer, ...]:
        """Every request since the last :meth:`reset`, in the order in which they ended."""
        self._server.settle()
        return tuple(self.recorded)

    def blob_bytes_served(self) -> int:
        """Bytes of blobs (layers, configurations, cache) that clients downloaded."""
        return sum(
            each.bytes_sent
            for each in self.transfers
            if "/blobs/sha256:" in each.path
            and each.status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT)
        )

    def blob_bytes_received(self) -> int:
        """Bytes of blobs that clients uploaded, whether or not the upload succeeded."""
        return sum(each.bytes_received for each in self.transfers if "/blobs/uploads/" in each.path)

    def reset(self) -> None:
        """Forget the transfers, the fault and the login; what is stored stays."""
        self.fault = self.login = None
        self._server.settle()
        self.recorded.clear()

    def manifest(self, repository: str, reference: str) -> dict[str, Any]:
        """Return the manifest or index of a tag or digest; not counted. LookupError without one."""
        with closing(self.connect()) as connection:
            path = f"/v2/{repository}/manifests/{reference}"
            connection.request("GET", path, headers={"Accept": MANIFEST_TYPES})
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
        program = shutil.which("docker-registry")
        if program is None:
            raise AssertionError("docker-registry is not installed: run ./bootstrap first")
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
        libc, parent = ctypes.CDLL(None), os.getpid()

        def die_with_parent() -> None:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

        # Such variables would override the configuration.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("REGISTRY_")}
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [program, "serve", path],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers(log.read_text(errors="replace")):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"docker-registry does not answer:\n{log.read_text()}")
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
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class _Relay(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    registry: Registry
    server: LoopbackServer

    def handle(self) -> None:
        # The engine tries TLS first and turns to HTTP only when the answer is HTTP.
        if self.connection.recv(1, socket.MSG_PEEK) == TLS_HANDSHAKE:
            self.connection.recv(CHUNK)
            self.connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
            return
        super().handle()

    def do_GET(self) -> None:
        with self.server.request_in_flight():
            self._status = self._sent = self._received = 0
            self._cut_after: int | None = None
            parts = urlsplit(self.path)
            named = parse_qs(parts.query)
            found = re.search(r"/(sha256:[0-9a-f]{64})$", unquote(parts.path))
            digest = found[1] if found else next(iter(named.get("digest", ())), None)
            try:
                self._answer(Request(self.command, parts.path, digest))
            except (OSError, http.client.HTTPException):
                self.close_connection = True
            finally:
                counts = (self._status, self._sent, self._received)
                self.registry.recorded.append(Transfer(self.command, parts.path, digest, *counts))

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def _answer(self, request: Request) -> None:
        if self.registry.login and self._wants_login(self.registry.login):
            return
        decide = self.registry.fault
        fault = (decide(request) if decide else None) or Fault()
        time.sleep(fault.delay_s)
        chunked = self.headers.get("Transfer-Encoding", "").lower() == "chunked"
        if fault.status is not None:
            error = {"errors": [{"code": "UNKNOWN", "message": "a fault of the test's choice"}]}
            body = json.dumps(error).encode()
            for _ in self._body(chunked):
                pass  # closing with unread bytes would reset the connection before the answer
            self._start(fault.status, [("Content-Length", str(len(body)))])
            self._send(b"" if self.command == "HEAD" else body)
            return
        self._cut_after = fault.cut_after
        with closing(self.registry.connect()) as upstream:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in _end_to_end(self.headers.items()):
                upstream.putheader(name, value)
            if chunked:
                upstream.putheader("Transfer-Encoding", "chunked")
            upstream.endheaders()
            for piece in self._body(chunked):
                upstream.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            if chunked:
                upstream.send(b"0\r\n\r\n")
            answer = upstream.getresponse()
            headers = list(_end_to_end(answer.getheaders()))
            if answer.length is None:
                headers.append(("Connection", "close"))
            self._start(answer.status, headers)
            while piece := answer.read(CHUNK):
                self._send(piece)

    def _wants_login(self, login: Login) -> bool:
        """Answer what asks for a token, or lacks the login or a token of the right scope."""
        given, path = self.headers.get("Authorization", ""), urlsplit(self.path)
        pair = base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
        chunked = self.headers.get("Transfer-Encoding", "").lower() == "chunked"
        body = b"".join(self._body(chunked)) if path.path == "/token" else b""
        if path.path == "/token":
            fields = parse_qs(body.decode() or path.query)
            refresh = fields.get("refresh_token", [None])[0]
            if given == f"Basic {pair}" or (refresh and refresh == login.identity_token):
                scopes = " ".join(fields["scope"]).encode()
                answer = json.dumps({"token": base64.b64encode(scopes).decode()}).encode()
                self._start(HTTPStatus.OK, [("Content-Length", str(len(answer)))])
                self._send(answer)
                return True
        elif login.tokens:
            named = re.match(r"/v2/(.+?)/(?:blobs|manifests|tags)/", path.path)
            actions = "pull" if self.command in ("GET", "HEAD") else "pull,push"
            granted = base64.b64decode(given.removeprefix("Bearer ")).decode().split()
            if named and any(one.startswith(f"repository:{named[1]}:{actions}") for one in granted):
                return False
        elif given == f"Basic {pair}":
            return False
        challenge = 'Basic realm="registry"'
        if login.tokens:
            challenge = f'Bearer realm="http://{self.registry.host}/token",service="registry"'
        if path.path != "/token":
            for _ in self._body(chunked):
                pass
        headers = [("WWW-Authenticate", challenge), ("Content-Length", "0")]
        self._start(HTTPStatus.UNAUTHORIZED, headers)
        return True

    def _body(self, chunked: bool) -> Iterator[bytes]:
        """Yield the request's body in pieces, and count it."""
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
            if self._cut_after is not None and self._received > self._cut_after:
                raise ConnectionError("cut")
            yield piece
            if chunked and not size:
                self.rfile.readline()

    def _start(self, status: int, headers: list[tuple[str, str]]) -> None:
        self._status = status
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)  # "Connection: close" also ends the loop of requests
        self.end_headers()

    def _send(self, data: bytes) -> None:
        if self._cut_after is not None:
            data = data[: max(self._cut_after - self._sent, 0)]
        self.wfile.write(data)
        self._sent += len(data)
        if self._cut_after is not None and self._sent >= self._cut_after:
            raise ConnectionError("cut")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Requests are recorded, not printed."""


def _end_to_end(headers: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    return ((name, value) for name, value in headers if name.lower() not in HOP_BY_HOP)
