"""An HTTP server on loopback that can be stopped completely, and knows when it is idle."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["CHUNK", "LoopbackServer"]

CHUNK = 256 * 1024


class LoopbackServer(ThreadingHTTPServer):
    """A threaded HTTP server on a free port that knows when it is idle and stops completely.

    A client holds its answer before the thread that sent it has noted so: whoever reads counts
    calls :meth:`settle` first.
    """

    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler], bind: str = "127.0.0.1") -> None:
        self._changed = threading.Condition()
        self._in_flight = 0
        self._failure: Exception | None = None
        self._connections: set[socket.socket] = set()
        super().__init__((bind, 0), handler)
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
