"""A registry that says nothing is told from one that answers, whatever it answers."""

from __future__ import annotations

import http.client
from typing import Any

import pytest

from dockyard.caches import alive, use
from dockyard.caches.backends import CacheArguments
from support.settings import make_settings

OURS = "type=registry,ref=registry.example.com/team/app:cache"
OTHER = "type=registry,ref=other.example.com/team/app:cache"
LOCAL = "type=local,src=/cache"


def connection(error: Exception | None, seen: list[tuple[str, float]]) -> type:
    class Connection:
        def __init__(self, host: str, timeout: float, **_: Any) -> None:
            seen.append((host, timeout))

        def request(self, *_: Any, **__: Any) -> None:
            if error:
                raise error

        def getresponse(self) -> Any:
            return self

        def read(self, size: int) -> bytes:
            return b"{}"

        def close(self) -> None:
            pass

    return Connection


@pytest.mark.parametrize(
    ("error", "silent"),
    [
        (None, False),
        (TimeoutError(), True),
        (ConnectionRefusedError(), False),
        (http.client.BadStatusLine("x"), False),
    ],
)
def test_who_is_silent(
    error: Exception | None, silent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, float]] = []
    monkeypatch.setattr(alive, "getproxies", dict)
    monkeypatch.setattr(http.client, "HTTPConnection", connection(error, seen))
    monkeypatch.setattr(http.client, "HTTPSConnection", connection(error, seen))
    assert alive.is_silent("127.0.0.1:5000", seconds=3) is silent
    assert alive.is_silent("registry.example.com", seconds=600) is silent
    assert seen == [("127.0.0.1:5000", 3), ("registry.example.com", alive.SILENCE_SECONDS)]


def test_imports_of_a_silent_registry_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alive, "is_silent", lambda host, **_: host == "registry.example.com")
    exported = f"type=registry,mode=min,ignore-error=true,{OURS.partition(',')[2]},compression=zstd"
    follows = (OURS.partition("ref=")[2], "registry.example.com/team/shop:follows")
    given = CacheArguments(
        (OURS, OTHER, LOCAL), (f"{OURS},mode=max", exported, OTHER), (exported,), (follows,)
    )
    arguments, notes = use._without_silent(make_settings(), given)
    assert arguments.cache_from == (OTHER, LOCAL)
    assert arguments.cache_to == (OTHER,)
    assert (arguments.after_push, arguments.copies) == ((), ())
    assert notes == ("caches of registry.example.com are not used: it does not answer in time",)
    # A build that imports nothing is not to wait with its export either.
    assert use._without_silent(make_settings(), CacheArguments((), (exported,)))[0].cache_to == ()
    assert use._without_silent(make_settings(), CacheArguments((LOCAL,), ()))[1] == ()
