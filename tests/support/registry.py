"""A real registry on loopback that counts every byte, wants a login and can fail on request."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from dockyard.bench.registry_server import RegistryServer, Relay, Request, Transfer

__all__ = ["Fault", "Login", "Registry", "Request", "Transfer"]

# Nobody who waits in a test waits for longer.
SILENT_SECONDS = 60.0


@dataclass(frozen=True)
class Fault:
    """What goes wrong: a wait first, then one of the others.

    ``status`` answers without asking the registry. ``cut_after`` closes the connection after so
    many bytes of a body: the request's or, where that is not longer, the answer's. ``silent_after``
    sends so many bytes of the answer and then nothing until the registry is reset; ``corrupt``
    sends other bytes.
    """

    status: int | None = None
    cut_after: int | None = None
    delay_s: float = 0.0
    silent_after: int | None = None
    corrupt: bool = False


@dataclass(frozen=True)
class Login:
    """What a registry wants before it answers: a login, itself or at its token server.

    ``identity_token`` is accepted there as well, where it is given.
    """

    user: str
    password: str
    tokens: bool = False
    identity_token: str | None = None


class Registry(RegistryServer):
    """A registry whose blobs are below ``storage``; a context manager.

    Enter it in the main thread: the server is killed when the thread that started it ends.
    """

    def __init__(self, storage: Path) -> None:
        super().__init__(storage, relay=_Relay)
        self.fault: Callable[[Request], Fault | None] | None = None
        self.login: Login | None = None
        self.healed = threading.Event()

    def reset(self) -> None:
        """Forget the transfers, the fault and the login; what is stored stays."""
        self.fault = self.login = None
        self.healed.set()
        self.healed = threading.Event()
        super().reset()


class _Relay(Relay):
    registry: Registry
    _cut_after: int | None
    _fault: Fault

    def answer(self, request: Request) -> None:
        self._cut_after, self._fault = None, Fault()
        if self.registry.login and self._wants_login(self.registry.login):
            return
        decide = self.registry.fault
        fault = (decide(request) if decide else None) or Fault()
        time.sleep(fault.delay_s)
        if fault.status is not None:
            error = {"errors": [{"code": "UNKNOWN", "message": "a fault of the test's choice"}]}
            body = json.dumps(error).encode()
            for _ in self.body():
                pass  # closing with unread bytes would reset the connection before the answer
            self.begin(fault.status, [("Content-Length", str(len(body)))])
            self.send(b"" if self.command == "HEAD" else body)
            return
        self._cut_after, self._fault = fault.cut_after, fault
        super().answer(request)

    def _wants_login(self, login: Login) -> bool:
        """Answer what asks for a token, or lacks the login or a token of the right scope."""
        given, path = self.headers.get("Authorization", ""), urlsplit(self.path)
        pair = base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
        body = b"".join(self.body()) if path.path == "/token" else b""
        if path.path == "/token":
            fields = parse_qs(body.decode() or path.query)
            refresh = fields.get("refresh_token", [None])[0]
            if given == f"Basic {pair}" or (refresh and refresh == login.identity_token):
                scopes = " ".join(fields["scope"]).encode()
                token = base64.b64encode(scopes).decode()
                # OAuth's name, and the one from before (distribution's specification of tokens).
                answer = json.dumps({"token": token, "access_token": token}).encode()
                self.begin(HTTPStatus.OK, [("Content-Length", str(len(answer)))])
                self.send(answer)
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
            for _ in self.body():
                pass
        headers = [("WWW-Authenticate", challenge), ("Content-Length", "0")]
        self.begin(HTTPStatus.UNAUTHORIZED, headers)
        return True

    def received(self, piece: bytes) -> None:
        if self._cut_after is not None and self._received > self._cut_after:
            raise ConnectionError("cut")

    def send(self, data: bytes) -> None:
        if self._cut_after is not None:
            data = data[: max(self._cut_after - self._sent, 0)]
        if self._fault.corrupt:
            data = bytes(one ^ 0x55 for one in data[:64]) + data[64:]
        silent_after = self._fault.silent_after
        if silent_after is not None and self._sent + len(data) > silent_after:
            super().send(data[: silent_after - self._sent])
            self.registry.healed.wait(SILENT_SECONDS)
            raise ConnectionError("silent")
        super().send(data)
        if self._cut_after is not None and self._sent >= self._cut_after:
            raise ConnectionError("cut")
