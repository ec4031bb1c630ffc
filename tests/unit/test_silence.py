"""A build that waits for a registry is told from one that works."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from dockyard.errors import NetworkError
from dockyard.silence import (
    SILENCE_SECONDS,
    RegistrySilence,
    SilenceWatch,
    silence_error,
    watch_for,
)
from dockyard.trace_reader import TraceReader
from support.settings import make_settings

STARTED = "2026-01-01T00:00:00Z"
IMPORT = "importing cache manifest from registry.example.com/team/app:cache"
METADATA = "[internal] load metadata for registry.example.com/python:3.13"


def reading(name: str, *statuses: dict[str, Any], completed: str | None = None) -> TraceReader:
    reader = TraceReader()
    vertex = {"digest": "sha256:1", "name": name, "started": STARTED, "completed": completed}
    reader.feed(json.dumps({"vertexes": [vertex]}).encode())
    for one in statuses:
        tell(reader, **one)
    return reader


def tell(reader: TraceReader, **status: Any) -> None:
    values = {"vertex": "sha256:1", "started": STARTED, **status}
    reader.feed(json.dumps({"statuses": [values]}).encode())


@pytest.mark.parametrize(
    ("name", "statuses", "waits"),
    [
        (IMPORT, (), True),
        (METADATA, (), True),
        ("exporting to image", ({"id": "pushing layers"},), True),
        ("exporting to image", ({"id": "exporting layers"},), False),
        ("exporting to image", (), False),
        ("exporting cache to registry", ({"id": "writing layer sha256:1"},), True),
        ("[base 1/2] FROM example.com/python", ({"id": "sha256:12345678"},), True),
        ("[base 1/2] FROM example.com/python", ({"id": "extracting sha256:12345678"},), False),
        ("[app 2/2] RUN sleep 1000", (), False),
        ("[app 2/2] RUN reads a layer", ({"id": "sha256:12345678"},), True),
    ],
)  # fmt: skip
def test_who_waits(name: str, statuses: tuple[dict[str, Any], ...], waits: bool) -> None:
    assert bool(reading(name, *statuses).waiting) is waits
    assert reading(name, *statuses, completed="2026-01-01T00:00:09Z").waiting is None
    over = reading(name, *({**one, "completed": STARTED} for one in statuses))
    assert bool(over.waiting) is (name in (IMPORT, METADATA))


def test_what_is_repeated_is_no_news() -> None:
    reader = reading(IMPORT, {"id": "sha256:12345678", "current": 5, "total": 9})
    before = reader.changes
    tell(reader, id="sha256:12345678", current=5, total=9)
    assert reader.changes == before
    tell(reader, id="sha256:12345678", current=6, total=9)
    assert reader.changes > before


def test_silence_is_counted_from_the_last_news() -> None:
    reader, watch = reading(IMPORT), SilenceWatch(10)
    watch.look(reader, 100.0)
    watch.look(reader, 110.0)
    tell(reader, id="sha256:12345678", current=5)
    watch.look(reader, 111.0)
    watch.look(reader, 121.0)
    with pytest.raises(RegistrySilence) as waited:
        watch.look(reader, 121.5)
    error = silence_error(waited.value, "other.example.com/team")
    assert isinstance(error, NetworkError)
    assert "registry.example.com has said nothing for 10 s" in str(error)
    assert "DOCKYARD_REGISTRY_TIMEOUT" in str(error)


def test_a_step_that_computes_may_be_silent() -> None:
    reader, watch = reading("[app 2/2] RUN sleep 1000"), SilenceWatch(10)
    for now in (0.0, 1000.0, 100_000.0):
        watch.look(reader, now)


def test_a_push_names_the_registry_that_is_pushed_to() -> None:
    reader, watch = reading("exporting to image", {"id": "pushing layers"}), SilenceWatch(10)
    watch.look(reader, 0.0)
    with pytest.raises(RegistrySilence) as waited:
        watch.look(reader, 11.0)
    assert "other.example.com:5000 has" in str(
        silence_error(waited.value, "other.example.com:5000/a")
    )


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        ("error: 500 Internal Server Error\nretrying in 4s\n", "500 Internal Server Error"),
        ("error: EOF\nretrying in 1s\nerror: reset by peer\nretrying in 2s\n", "reset by peer"),
        (
            'error: Put "https://r/v2/a?_state=x%3D": EOF\nretrying in 2s\n',
            'Put "https://r/v2/a": EOF',
        ),
        ("error: EOF\nretrying in 1s\npushed again\n", None),  # that had passed
        ("", None),
    ],
)
def test_what_a_builder_was_to_try_again_is_the_cause(lines: str, cause: str | None) -> None:
    reader = reading("exporting to image", {"id": "pushing layers"})
    data = base64.b64encode(lines.encode()).decode()
    log = {"vertex": "sha256:1", "stream": 2, "data": data, "timestamp": STARTED}
    reader.feed(json.dumps({"logs": [log]}).encode())
    step = reader.waiting
    assert step
    said = silence_error(RegistrySilence(step, 3), "registry.example.com/team").problems[0].message
    assert said.startswith("registry.example.com has said nothing for 3 s (exporting to image)")
    assert said.partition("; what was tried before failed: ")[2] == (cause or "")


def test_the_setting_says_how_long() -> None:
    assert watch_for(make_settings()).allowed == SILENCE_SECONDS
    assert watch_for(make_settings(registry_timeout=7)).allowed == 7
