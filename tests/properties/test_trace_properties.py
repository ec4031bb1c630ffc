"""The rawjson reducer: no stream makes it raise, and order and repetition change no final state."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dockyard.dockerfile import is_dependency_stage
from dockyard.steps import parse_step_name
from dockyard.trace import Step, busy_seconds, hit_rates
from dockyard.trace_reader import TraceReader, parse_timestamp

DIGESTS = [f"sha256:{letter * 64}" for letter in "abcdef"]
NAMES = [
    "[app-builder 2/9] COPY --link src /app/src",
    "[app-builder 3/9] COPY --link --from=dependencies-1 /dependencies-1/ /",
    "[linux/arm64 dependencies-1 1/1] RUN install-layer dependencies-1",
    "[internal] load build context",
    "exporting to image",
    "importing cache manifest from registry/app:cache",
]
START = datetime(2026, 1, 1, tzinfo=UTC)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=12,
)


def moment(seconds: int) -> str:
    return (START + timedelta(seconds=seconds)).isoformat().replace("+00:00", ".123456789Z")


def line(**parts: list[dict[str, Any]]) -> bytes:
    return json.dumps(parts).encode()


@st.composite
def vertices(draw: st.DrawFn) -> list[bytes]:
    """Progress of some vertices: each attempt starts, and mostly completes."""
    lines = []
    for digest, name in draw(
        st.dictionaries(st.sampled_from(DIGESTS), st.sampled_from(NAMES))
    ).items():
        inputs = draw(st.sampled_from([[], [DIGESTS[0]]]))
        common = {"digest": digest, "name": name, "inputs": inputs}
        lines.append(line(vertexes=[common]))
        for start in draw(st.lists(st.integers(0, 50), max_size=3, unique=True)):
            cached = draw(st.booleans())
            begun = common | {"started": moment(start)}
            lines.append(line(vertexes=[begun | ({"cached": True} if cached else {})]))
            if draw(st.booleans()):
                error = draw(st.sampled_from(["", "exit code: 1", "context canceled"]))
                ended = {"completed": moment(start + draw(st.integers(-2, 9))), "error": error}
                lines.append(line(vertexes=[begun | ended | ({"cached": True} if cached else {})]))
        for current in draw(st.lists(st.integers(-1, 500), max_size=3)):
            identifier = draw(st.sampled_from(["transferring context:", "sha256:" + "1" * 64, "x"]))
            status = {"id": identifier, "vertex": digest, "current": current, "total": 500}
            lines.append(line(statuses=[status]))
    for short in draw(
        st.lists(st.sampled_from(["JSONArgsRecommended", "FromAsCasing"]), max_size=2)
    ):
        warning = {"vertex": DIGESTS[0], "short": base64.b64encode(short.encode()).decode()}
        lines.append(line(warnings=[warning]))
    return lines


def logs(texts: list[bytes]) -> list[bytes]:
    return [
        line(logs=[{"vertex": DIGESTS[0], "stream": 1, "data": base64.b64encode(one).decode()}])
        for one in texts
    ]


def read(lines: list[bytes]) -> TraceReader:
    reader = TraceReader()
    for one in lines:
        reader.feed(one)
    return reader


def final(lines: list[bytes]) -> tuple[set[Step], set[Any], tuple[str, ...]]:
    trace = read(lines).trace()
    return set(trace.steps), set(trace.warnings), trace.noise


@given(vertices(), st.randoms(use_true_random=False), st.data())
def test_neither_order_nor_repetition_changes_the_end(
    lines: list[bytes], random: Any, data: st.DataObject
) -> None:
    expected = final(lines)
    again = data.draw(st.lists(st.sampled_from(lines), max_size=10)) if lines else []
    shuffled = [*lines, *again]
    random.shuffle(shuffled)
    assert final(shuffled) == expected


@given(vertices(), st.lists(st.binary(max_size=40), max_size=5), st.data())
def test_a_stream_cut_anywhere_is_read_as_far_as_it_goes(
    lines: list[bytes], texts: list[bytes], data: st.DataObject
) -> None:
    stream = b"\n".join([*lines, *logs(texts)])
    cut = stream[: data.draw(st.integers(0, len(stream)))].split(b"\n")
    whole = read(stream.split(b"\n")).trace()
    trace = read(cut).trace()
    digests = [one.digest for one in whole.steps]
    assert [one.digest for one in trace.steps] == digests[: len(trace.steps)]
    assert len(trace.noise) <= len(whole.noise) + 1


# What has the keys of progress, and anything in them.
ALMOST = st.fixed_dictionaries(
    {},
    optional={
        "vertexes": st.lists(
            st.fixed_dictionaries(
                {"digest": st.sampled_from(DIGESTS) | JSON},
                optional={
                    key: st.sampled_from([moment(1), moment(-(10**6)), "9999-12-31T23:59:59+00:01"])
                    | JSON
                    for key in ("name", "inputs", "started", "completed", "cached", "error")
                },
            )
            | JSON,
            max_size=3,
        )
        | JSON,
        "statuses": st.lists(
            st.fixed_dictionaries(
                {"vertex": st.sampled_from(DIGESTS), "id": st.just("transferring x") | JSON},
                optional={"current": JSON, "total": JSON},
            )
            | JSON,
            max_size=3,
        )
        | JSON,
        "logs": st.lists(
            st.fixed_dictionaries(
                {"vertex": st.sampled_from(DIGESTS)}, optional={"stream": JSON, "data": JSON}
            )
            | JSON,
            max_size=3,
        )
        | JSON,
        "warnings": st.lists(
            st.fixed_dictionaries(
                {}, optional={"short": st.just("YQ==") | JSON, "detail": JSON, "range": JSON}
            ),
            max_size=2,
        )
        | JSON,
    },
)
LINES = st.lists(
    st.binary(max_size=60)
    | ALMOST.map(lambda one: json.dumps(one).encode())
    | st.just(b'{"vertexes": [' * 2000)
    | JSON.map(lambda one: json.dumps(one).encode()),
    max_size=12,
)


@given(LINES)
def test_nothing_that_is_fed_makes_it_raise(lines: list[bytes]) -> None:
    reader = read(lines)
    trace = reader.trace()
    assert reader.trace() == trace
    assert trace.seconds >= 0
    assert trace.failed_step is None or trace.failed_step.error
    assert trace.failed_line is None or trace.failed_line >= 0
    for step in trace.steps:
        assert step.seconds >= 0
        assert step.bytes_done >= 0
        assert step.bytes_total >= 0
        assert not (step.cached and step.ran)
        assert not step.running or step.started is not None
    rates = hit_rates(trace, is_dependency_stage)
    assert all(rate is None or 0 <= rate <= 1 for rate in vars(rates).values())
    assert all(one.seconds >= 0 for one in trace.caches)


@given(st.lists(st.binary(max_size=30), max_size=8), st.data())
def test_a_log_is_the_same_however_it_is_divided(texts: list[bytes], data: st.DataObject) -> None:
    named = line(vertexes=[{"digest": DIGESTS[0], "name": NAMES[2], "started": moment(1)}])
    ended = line(
        vertexes=[
            {"digest": DIGESTS[0], "name": NAMES[2], "started": moment(1), "completed": moment(2)}
        ]
    )
    whole = b"".join(texts)
    (one,) = read([named, *logs(texts), ended]).steps
    (other,) = read([named, *logs([whole]), ended]).steps
    assert one.log == other.log


@given(st.text(max_size=40) | JSON)
def test_a_time_is_read_or_it_is_none(text: Any) -> None:
    found = parse_timestamp(text)
    assert found is None or found.tzinfo is UTC


@given(st.lists(st.tuples(st.integers(0, 9999), st.integers(-99, 9999)), max_size=8))
def test_busy_time_is_no_more_than_the_whole_span(numbers: list[tuple[int, int]]) -> None:
    milliseconds = timedelta(milliseconds=1)
    intervals = [(START + a * milliseconds, START + (a + b) * milliseconds) for a, b in numbers]
    seconds = busy_seconds(intervals)
    assert seconds >= 0
    forward = [(start, stop) for start, stop in intervals if stop > start]
    if forward:
        span = max(stop for _, stop in forward) - min(start for start, _ in forward)
        assert seconds <= span.total_seconds() + 1e-6
        longest = max((stop - start).total_seconds() for start, stop in forward)
        assert seconds >= longest * (1 - 1e-9)
    else:
        assert seconds == 0
    assert busy_seconds([*intervals, *intervals]) == seconds


@given(st.text(max_size=60) | st.sampled_from(NAMES))
def test_any_name_of_a_step_is_read(name: str) -> None:
    parse_step_name(name)
