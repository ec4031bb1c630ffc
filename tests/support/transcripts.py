"""Recorded output of buildx, and made-up output to vary."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dockyard.trace import BuildTrace
from dockyard.trace_reader import TraceReader

__all__ = ["TRANSCRIPTS", "line", "log", "moment", "read", "status", "trace_of", "vertex"]

TRANSCRIPTS = Path(__file__).resolve().parents[1] / "data/transcripts/buildx-0.29.1"
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def read(case: str) -> BuildTrace:
    """Read a recorded transcript."""
    reader = TraceReader()
    for one in (TRANSCRIPTS / f"{case}.jsonl").read_bytes().splitlines(keepends=True):
        reader.feed(one)
    return reader.trace()


def trace_of(*lines: bytes, clean: Callable[[str], str] = lambda text: text) -> BuildTrace:
    """Read lines that a test made up."""
    reader = TraceReader(clean)
    for one in lines:
        reader.feed(one)
    return reader.trace()


def moment(seconds: float) -> str:
    """Write a time so many seconds after a fixed one, as Go does."""
    return (EPOCH + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def line(**parts: Any) -> bytes:
    """Render one line of progress."""
    return json.dumps(parts).encode() + b"\n"


def vertex(
    name: str,
    started: float | None = None,
    completed: float | None = None,
    *,
    digest: str | None = None,
    **more: Any,
) -> bytes:
    """Render a line of one vertex, whose digest is its name unless given."""
    values: dict[str, Any] = {"digest": digest or name, "name": name, **more}
    if started is not None:
        values["started"] = moment(started)
    if completed is not None:
        values["completed"] = moment(completed)
    return line(vertexes=[values])


def status(digest: str, identifier: str, current: Any, total: Any = None) -> bytes:
    """Render a line of one counter."""
    values = {"vertex": digest, "id": identifier, "current": current}
    return line(statuses=[values | ({"total": total} if total is not None else {})])


def log(digest: str, text: str | bytes, stream: int = 1) -> bytes:
    """Render a line of one piece of a step's output."""
    raw = text.encode() if isinstance(text, str) else text
    data = base64.b64encode(raw).decode()
    return line(logs=[{"vertex": digest, "stream": stream, "data": data}])
