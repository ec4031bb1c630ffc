"""An HTTP server on loopback that can be stopped completely, and what its handlers share."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

__all__ = ["CHUNK", "FileAnswer", "LoopbackHandler", "LoopbackServer", "answer_range"]

CHUNK = 256 * 1024


class FileAnswer(NamedTuple):
    """How a request for a file is answered: the status, which of its bytes, and headers."""

    status: HTTPStatus
    sent: range
    headers: dict[str, str]


def answer_range(header: str, size: int) -> FileAnswer:
    """Answer a ``Range`` header for a file of ``size`` bytes that never changes.

    As RFC 9110, section 14 has it: the whole file where no single range of bytes is asked for.
    """
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header)
    status, sent = HTTPStatus.OK, range(size)
    headers = {"Accept-Ranges": "bytes", "Cache-Control": "max-age=365000000, immutable, public"}
    if match and any(match.groups()):
        start, last = match.groups()
        first = int(start) if start else max(size - int(last), 0)
        sent = range(first, min(int(last) + 1, size) if start and last else size)
        if not sent:
            missing = {"Content-Range": f"bytes */{size}"}
            return FileAnswer(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, sent, missing)
        status = HTTPStatus.PARTIAL_CONTENT
        headers["Content-Range"] = f"bytes {sent[0]}-{sent[-1]}/{size}"
    return FileAnswer(status, sent, headers)


class LoopbackServer(ThreadingHTTPServer):
    """A threaded HTTP server that knows when it is idle and stops completely; on a free port.

    A client holds its answer before the thread that sent it has noted so: whoever reads counts
    calls :meth:`settle` first.
    """

    daemon_threads = True

    def __init__(
        self, handler: type[BaseHTTPRequestHandler], bind: str = "127.0.0.1", port: int = 0
    ) -> None:
        self._changed = threading.Condition()
        self._in_flight = 0
        self._failure: Exception | None = None
        self._connections: set[socket.socket] = set()
        super().__init__((bind, port), handler)
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    @property
    def host(self) -> str:
        """``ADDRESS:PORT``."""
        return f"{self.server_address[0]!s}:{self.server_port}"

    def start(self) -> None:
        """Accept connections from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Stop accepting, and close kept-alive connections too."""
        self.shutdown()
        self._thread.join()
        with self._changed:
            connections = list(self._connections)
        for connection in connections:
            with suppress(OSError):  # the client may have hung up first
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()

    @contextmanager
    def request_in_flight(self) -> Iterator[None]:
        """Count a request as long as it is being answered."""
        with self._changed:
            self._in_flight += 1
        try:
            yield
        except Exception as error:
            if not isinstance(error, OSError):  # a client that hangs up is no failure of ours
                self._failure = error
            raise
        finally:
            with self._changed:
                self._in_flight -= 1
                self._changed.notify_all()

    def settle(self, timeout_s: float = 10.0) -> None:
        """Wait until no request is being answered; TimeoutError after ``timeout_s`` seconds.

        RuntimeError when the server itself, or a hook in it, has failed since.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._in_flight == 0, timeout_s):
                raise TimeoutError(f"{self._in_flight} requests still run after {timeout_s} s")
            failure, self._failure = self._failure, None
        if failure:
            raise RuntimeError(f"the server failed: {failure!r}") from failure

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, and remember the connection."""
        with self._changed:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection, and forget it."""
        with self._changed:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: :meth:`settle` reports."""


class LoopbackHandler(BaseHTTPRequestHandler):
    """Answers several requests on one connection, and prints nothing."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: LoopbackServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Print nothing: who serves counts."""
