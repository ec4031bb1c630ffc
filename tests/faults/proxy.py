"""A server that stands before a registry or a package index, and breaks when it is told to.

The address stays the same whatever happens, so that image names and locks keep their meaning.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Self

from dockyard.bench.bandwidth import Line
from dockyard.bench.loopback import LoopbackServer
from dockyard.bench.registry_server import TLS_HANDSHAKE, Relay, Request, Transfer
from faults.model import Fault, Moment

__all__ = ["FaultProxy", "Healthy", "expired_certificate"]

# What “slow” costs: a wait before each answer, and one after each piece of its body, in seconds.
LATE_S = 0.2
PIECE_WAIT_S = 0.02
PIECES = 8
# Faults of a body strike requests that have one, or ask for one.
OF_BODIES = frozenset({"corrupt", "truncate"})
BODY_METHODS = frozenset({"GET", "PATCH", "PUT"})


# OCI distribution-spec, “Error Codes”.
CODES: dict[int, tuple[str, str]] = {
    401: ("UNAUTHORIZED", "authentication required"),
    403: ("DENIED", "requested access to the resource is denied"),
    404: ("NAME_UNKNOWN", "repository name not known to registry"),
    429: ("TOOMANYREQUESTS", "too many requests"),
}


def has_body(request: Request) -> bool:
    """Whether a request brings or fetches a body."""
    return request.method in BODY_METHODS and request.path != "/v2/"


def signature(request: Request) -> str:
    """Say what a request is for, without what differs between two runs of one command."""
    path = re.sub(r"sha256:[0-9a-f]{64}", "DIGEST", request.path)
    path = re.sub(r"(/uploads/)[^/?]+", r"\1UPLOAD", path)
    return f"{request.method} {re.sub(r'[0-9.]+', 'N', path)}"


@dataclass(frozen=True)
class Healthy:
    """The requests of an operation that nothing disturbed, in the order in which they came."""

    requests: tuple[Request, ...]

    def chosen(self, fault: Fault, moment: Moment) -> tuple[str | None, int]:
        """Choose the request that a fault strikes first.

        Its signature and how many like it come up to then, or (None, how many of any kind). 0: none
        fits, as where an operation never asks for anything.
        """
        fit = [one for one in self.requests if fault.name not in OF_BODIES or has_body(one)]
        if not fit:
            return None, 0
        if moment is Moment.BEFORE:
            return None, 1
        if moment is Moment.MIDDLE:
            return None, len(fit) // 2 + 1
        last = signature(fit[-1])
        return last, sum(signature(one) == last for one in fit)


class FaultProxy:
    """Hands requests on to ``port`` on loopback until it is armed; a context manager.

    ``address`` is where it listens. ``tls`` is a certificate's file and its key's: it speaks TLS
    alone then.
    """

    def __init__(
        self, port: int, *, address: str = "127.0.0.1", tls: tuple[Path, Path] | None = None
    ) -> None:
        self.recorded: list[Transfer] = []
        self.line = Line(None)
        self.tls: ssl.SSLContext | None = None
        if tls:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*tls)
        self._upstream = port
        self._address = address
        self._lock = threading.Lock()
        self._requests: list[Request] = []
        self._fault: Fault | None = None
        self._lasting = True
        self._chosen: tuple[str | None, int] = (None, 0)
        self._count = 0
        self._first_strike: float | None = None
        self.strikes = 0
        self.healed = threading.Event()
        self._handler = type("Handler", (_Relay,), {"registry": self, "proxy": self})
        # Bound and not listening: nobody else gets the port while nobody listens here.
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind((address, 0))
        self._port = int(self._reserved.getsockname()[1])
        self._server: LoopbackServer | None = None

    def __enter__(self) -> Self:
        self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.healed.set()
        self._close()
        self._reserved.close()

    @property
    def host(self) -> str:
        """``ADDRESS:PORT``."""
        return f"{self._address}:{self._port}"

    def connect(self) -> http.client.HTTPConnection:
        """Return a new connection to what it stands before."""
        return http.client.HTTPConnection("127.0.0.1", self._upstream, timeout=60)

    def watch(self) -> None:
        """Forget the requests so far: what comes now is to be :meth:`watched`."""
        with self._lock:
            self._requests.clear()

    def watched(self) -> Healthy:
        """The requests since :meth:`watch`."""
        if self._server:
            self._server.settle()
        with self._lock:
            return Healthy(tuple(self._requests))

    def arm(self, fault: Fault, moment: Moment, healthy: Healthy) -> None:
        """Break at that moment of what ``healthy`` did.

        From the first request on, or from half of them on, it stays broken until :meth:`heal`. At
        the end the last request is struck, once. A 429 passes after its Retry-After.
        """
        with self._lock:
            self._requests.clear()
            self._fault, self._chosen = fault, healthy.chosen(fault, moment)
            self._lasting = moment is not Moment.END
            self._count = self.strikes = 0
            self._first_strike = None
        self.healed.clear()
        if fault.name == "refuse" and moment is Moment.BEFORE:
            self.refuse()

    def heal(self) -> None:
        """Work again; whoever still waits for an answer loses the connection."""
        with self._lock:
            self._fault = None
        self.healed.set()
        if self._server is None:
            self._listen()

    def refuse(self) -> None:
        """Listen no more, and close what is open."""
        with self._lock:
            self.strikes += 1
            server, self._server = self._server, None
        if server:
            server.stop()

    def strike(self, request: Request) -> Fault | None:
        """Count a request, and say what happens to it; None: nothing."""
        with self._lock:
            self._requests.append(request)
            fault = self._fault
            if fault is None or (fault.name in OF_BODIES and not has_body(request)):
                return None
            wanted, number = self._chosen
            if wanted in (None, signature(request)):
                self._count += 1
            if not number or self._count < number:
                return None
            if not self._lasting and (self.strikes or wanted != signature(request)):
                return None
            now = time.monotonic()
            self._first_strike = self._first_strike or now
            if fault.retry_after and now - self._first_strike > fault.retry_after:
                return None
            self.strikes += 1
            return fault

    def _listen(self) -> None:
        self._server = LoopbackServer(self._handler, self._address, self._port)
        self._server.start()

    def _close(self) -> None:
        server, self._server = self._server, None
        if server:
            server.stop()


class _Relay(Relay):
    proxy: FaultProxy
    _fault: Fault | None = None
    _request_bytes = 0

    def handle(self) -> None:
        context = self.proxy.tls
        if context is None:
            return super().handle()
        # A client that does not trust the certificate hangs up: that is the fault.
        plain = self.connection
        try:
            with self.server.request_in_flight():
                self.proxy.strikes += plain.recv(1, socket.MSG_PEEK) == TLS_HANDSHAKE
                self.connection = context.wrap_socket(plain, server_side=True)
        except OSError:
            return None
        with self.connection:
            self._answer_encrypted()
        return None

    def _answer_encrypted(self) -> None:
        self.rfile = self.connection.makefile("rb", -1)
        self.wfile = self.connection.makefile("wb", 0)
        self.close_connection = True
        self.handle_one_request()
        while not self.close_connection:
            self.handle_one_request()

    def answer(self, request: Request) -> None:
        fault = self._fault = self.proxy.strike(request)
        self._request_bytes = 0 if self.chunked else int(self.headers.get("Content-Length", 0))
        self._announced = self._fraction = 0
        if fault is None:
            return super().answer(request)
        sends = bool(self._request_bytes or self.chunked)
        if fault.name == "refuse":
            self.close_connection = True
            # The server ends when its requests have: not in this one's thread.
            threading.Thread(target=self.proxy.refuse).start()
            raise ConnectionError("the server is gone")
        if fault.status is not None:
            return self._say(fault.status, fault.retry_after)
        if fault.name == "redirects":
            return self._say(HTTPStatus.TEMPORARY_REDIRECT, None, self.path)
        if fault.name == "slow":
            time.sleep(LATE_S)
        elif not sends and self.command != "GET":
            self._break()  # there is no body to break in
        return super().answer(request)

    def _say(self, status: int, retry_after: int | None, location: str | None = None) -> None:
        for _ in self.body():
            pass  # closing with unread bytes would reset the connection before the answer
        # What stands before a registry and fails speaks no JSON; a registry that refuses does.
        body = HTTPStatus(status).phrase.encode()
        if status in CODES:
            code, message = CODES[status]
            body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        headers = [("Content-Length", str(len(body)))]
        headers += [("Retry-After", str(retry_after))] if retry_after else []
        headers += [("Location", location)] if location else []
        if status == HTTPStatus.UNAUTHORIZED:
            headers.append(("WWW-Authenticate", 'Basic realm="faults"'))
        self.begin(status, headers)
        self.send_unbroken(b"" if self.command == "HEAD" else body)

    def _break(self) -> None:
        """Break the connection in the way of the fault, where that is what it does."""
        name = self._fault.name if self._fault else ""
        if name == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            raise ConnectionError("reset")
        if name == "stall":
            self._stall()
            raise ConnectionError("stalled")
        if name == "truncate":
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
            raise ConnectionError("truncated")

    def _stall(self) -> None:
        """Keep silent until all is well again, or the other side has hung up."""
        while not self.proxy.healed.wait(0.05):
            try:
                if self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"":
                    return
            except BlockingIOError:
                continue
            except OSError:
                return

    def received(self, piece: bytes) -> None:
        super().received(piece)
        if self._fault and self._received * 2 >= self._request_bytes:
            self._break()

    def body(self) -> Iterable[bytes]:  # type: ignore[override]
        for piece in super().body():
            yield self._damaged(piece)

    def _damaged(self, piece: bytes) -> bytes:
        if self._fault is None or self._fault.name != "corrupt" or not piece:
            return piece
        self._fault = None  # one byte of one body
        middle = len(piece) // 2
        return piece[:middle] + bytes([piece[middle] ^ 0x5A]) + piece[middle + 1 :]

    def begin(self, status: int, headers: list[tuple[str, str]]) -> None:
        lengths = [int(value) for name, value in headers if name.lower() == "content-length"]
        self._announced = next(iter(lengths), 0)
        super().begin(status, headers)
        if not self._announced and self.command == "GET":
            self._break()

    def send_unbroken(self, data: bytes) -> None:
        self.wfile.write(data)
        self._sent += len(data)

    def send(self, data: bytes) -> None:
        name = self._fault.name if self._fault else ""
        if name == "corrupt":
            data = self._damaged(data)
        elif name in ("reset", "stall", "truncate"):
            half = max(self._announced // 2, 1)
            self.send_unbroken(data[: max(half - self._sent, 0)])
            if self._sent >= half or self._announced <= 1:
                self._break()
            return
        elif name == "slow":
            size = max(len(data) // PIECES, 1)
            for start in range(0, len(data), size):
                self.send_unbroken(data[start : start + size])
                time.sleep(PIECE_WAIT_S)
            return
        self.send_unbroken(data)


def expired_certificate(folder: Path, address: str) -> tuple[Path, Path, Path]:
    """Make an authority, and a certificate of ``address`` from it that expired long ago.

    Returns the files of the authority, the certificate, and its key.
    """

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *new, "-days", "3650", "-subj", "/CN=faults", "-keyout", "ca.key",
            "-out", "ca.pem")  # fmt: skip
    openssl("req", *new, "-subj", f"/CN={address}", "-keyout", "server.key", "-out", "server.csr")
    (folder / "extensions").write_text(f"subjectAltName=IP:{address}\n")
    (folder / "serial").write_text("01\n")
    (folder / "database").write_text("")
    (folder / "ca.cnf").write_text(
        "[ca]\ndefault_ca=faults\n[faults]\ndatabase=database\nserial=serial\nnew_certs_dir=.\n"
        "default_md=sha256\npolicy=any\ncertificate=ca.pem\nprivate_key=ca.key\n"
        "[any]\ncommonName=supplied\n"
    )
    openssl("ca", "-batch", "-config", "ca.cnf", "-startdate", "20200101000000Z", "-enddate",
            "20200201000000Z", "-extfile", "extensions", "-in", "server.csr", "-out",
            "server.pem")  # fmt: skip
    return folder / "ca.pem", folder / "server.pem", folder / "server.key"
