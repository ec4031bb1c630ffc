"""Unit tests start no process and open no socket."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

# An audit hook sees what patched names cannot: `from subprocess import Popen` before the patch,
# os.posix_spawn, connect_ex. It cannot be removed, so it is switched by what is forbidden now.
PROCESS_EVENTS = frozenset(
    {
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.spawn",
        "os.system",
        "pty.spawn",
        "subprocess.Popen",
    }
)
SOCKET_EVENTS = frozenset(
    {
        "socket.bind",
        "socket.connect",
        "socket.getaddrinfo",
        "socket.gethostbyaddr",
        "socket.gethostbyname",
        "socket.sendmsg",
        "socket.sendto",
    }
)

_forbidden: frozenset[str] = frozenset()
_seen: list[str] = []


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _forbidden:
        # A socket's own text would name it by its number: the address says more.
        details = arguments[1:] if event.startswith("socket.") else arguments[:2]
        _seen.append(f"a unit test must not do this: {event} {details!r:.200}")
        raise AssertionError(_seen[-1])


sys.addaudithook(_refuse)


@pytest.fixture(autouse=True)
def no_processes_no_sockets(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Raise AssertionError on the attempt, and fail the test if the code swallowed that.

    Yields the attempts; a test that provokes one on purpose clears the list. The ``spawns``
    marker allows processes, never sockets.
    """
    global _forbidden
    spawns = request.node.get_closest_marker("spawns") is not None
    _seen.clear()
    _forbidden = SOCKET_EVENTS if spawns else SOCKET_EVENTS | PROCESS_EVENTS
    try:
        yield _seen
    finally:
        _forbidden = frozenset()
    if _seen:
        pytest.fail("; ".join(_seen), pytrace=False)
