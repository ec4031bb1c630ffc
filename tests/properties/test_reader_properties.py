"""What others wrote (records, spans, logs, results) is read or refused with a reason."""

from __future__ import annotations

import copy
import io
import json
import math
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.bench.commits_result import read_replay
from dockyard.bench.results import read_result
from dockyard.display.format import format_bytes, format_seconds, shorten, strip_control
from dockyard.errors import RecordError
from dockyard.layer_reports import layer_notes, parse_report
from dockyard.records import BuildRecord, load_records, read_record
from dockyard.registry_spans import read_bundle, read_spans
from dockyard.revision import parse_status
from support.records import make_record

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 10**30)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["GET", "PUT", "https://r.example.org/v2/a/blobs/sha256:" + "a" * 64, "1e9", "²"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Name", "Attributes", "Key", "Value", "steps", "layer", "digest"])
            | st.text(max_size=4),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
RECORD = json.loads(make_record().as_json())


@given(st.lists(st.sampled_from(sorted(RECORD)), max_size=3), JSON, st.data())
def test_a_record_is_read_or_refused(names: list[str], value: Any, data: st.DataObject) -> None:
    values = copy.deepcopy(RECORD)
    for name in names:
        if data.draw(st.booleans()):
            values[name] = value
        else:
            values.pop(name, None)
    text = json.dumps(values)
    text = text[: data.draw(st.integers(0, len(text)))] if data.draw(st.booleans()) else text
    try:
        record = read_record(text)
    except ValueError:
        return
    assert isinstance(record, BuildRecord)
    assert read_record(record.as_json()) == record or math.nan in json.loads(text).values()


@given(JSON | st.binary(max_size=20))
def test_a_folder_of_records_is_read_past_those_that_are_none(scratch: Path, value: Any) -> None:
    folder = scratch / ".dockyard/builds"
    folder.mkdir(parents=True, exist_ok=True)
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    (folder / "2.json").write_bytes(content)
    (folder / "1.json").write_text(make_record().as_json())
    records, unreadable = load_records(scratch, 10)
    assert len(records) == 1
    assert [one.path.name for one in unreadable] == ["2.json"]
    assert unreadable[0].reason


SPAN = st.fixed_dictionaries(
    {
        "Name": st.sampled_from(["HTTP GET", "HTTP PUT", "GET", "POST", "PATCH", "x"]),
        "Attributes": st.lists(
            st.fixed_dictionaries(
                {
                    "Key": st.sampled_from(
                        [
                            "http.url",
                            "url.full",
                            "http.method",
                            "http.status_code",
                            "http.request.header.range",
                        ]
                    ),
                    "Value": st.fixed_dictionaries(
                        {
                            "Value": JSON
                            | st.sampled_from([200, 307, "404"])
                            | st.builds(
                                "{}://{}/v2/{}/blobs/{}{}".format,
                                st.sampled_from(["https", "http", "http://[::"]),
                                st.sampled_from(["r.example.org", "user:pw@r", "[", ""]),
                                st.sampled_from(["a/b", "", "a/blobs/b", "é"]),
                                st.sampled_from(
                                    ["sha256:" + "a" * 64, "uploads/", "uploads/x", "", "x"]
                                ),
                                st.sampled_from(
                                    [
                                        "",
                                        "?digest=sha256:" + "b" * 64,
                                        "?mount=x&from=y",
                                        "?ns=docker.io",
                                    ]
                                ),
                            )
                        }
                    ),
                }
            )
            | JSON,
            max_size=4,
        ),
    },
    optional={"Parent": JSON, "Status": JSON, "StartTime": JSON},
)


@given(st.lists(SPAN | JSON, max_size=5), st.binary(max_size=8))
def test_a_trace_is_read_or_refused(spans: list[Any], end: bytes) -> None:
    text = "\n".join(map(json.dumps, spans)).encode()
    for one in read_spans(text):
        assert "@" not in one.repository
        assert one.sent is None or one.sent >= 0
    try:
        read_spans(text + end)
    except ValueError:
        return


def tar_of(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


@given(JSON, JSON, st.data())
def test_a_bundle_is_read_or_refused(index: Any, manifest: Any, data: st.DataObject) -> None:
    layer = {"mediaType": "application/vnd.buildkit.otlp.json.v0", "digest": "sha256:2"}
    pick = st.booleans()
    files = {
        "index.json": {"manifests": [{"digest": "sha256:1"}]} if data.draw(pick) else index,
        "blobs/sha256/1": {"layers": [layer]} if data.draw(pick) else manifest,
        "blobs/sha256/2": data.draw(SPAN | JSON),
    }
    bundle = tar_of({name: json.dumps(one).encode() for name, one in files.items()})
    at = data.draw(st.integers(0, len(bundle)))
    for content in (bundle, bundle[:at], b"\x1f\x8b" + bundle[:at]):
        try:
            read_bundle(content)
        except ValueError:
            continue


REPORT_KEYS = (
    *("kind", "index", "served", "rejected", "reason", "seconds", "conflict"),
    *("packages", "left out", "downloaded", "cached"),
)


@given(
    st.lists(
        st.builds(
            lambda values, before, cut: f"{before}dockyard: {json.dumps(values)[:cut]}",
            JSON
            | st.fixed_dictionaries(
                {"layer": JSON},
                optional=dict.fromkeys(REPORT_KEYS, JSON),
            ),
            st.sampled_from(["", "#12 0.3 ", "\x1b[0m"]),
            st.none() | st.integers(0, 40),
        )
        | st.text(max_size=20),
        max_size=5,
    )
)
def test_any_line_of_a_log_is_a_report_or_none(lines: list[str]) -> None:
    for line in lines:
        parse_report(line)
    assert all(isinstance(note, str) for note in layer_notes(lines))


@given(JSON, st.booleans())
def test_a_bench_s_result_is_read_or_refused(scratch: Path, value: Any, wrapped: bool) -> None:
    path = scratch / "result.json"
    names = (
        "scenarios",
        "dockerfiles",
        "environments",
        "measurements",
        "machine",
        "versions",
        "replays",
    )
    path.write_text(json.dumps({"schema": 1, **dict.fromkeys(names, value)} if wrapped else value))
    with pytest.raises(RecordError):
        read_result(path)
    with pytest.raises(ValueError):  # noqa: PT011 - each part has its own words
        read_replay(
            json.dumps({"commits": value, "versions": value}) if wrapped else json.dumps(value)
        )


@given(
    st.text(max_size=80) | st.text(st.sampled_from("# branch.oid head(initial)\n1a"), max_size=80)
)
def test_any_status_of_git_is_read(text: str) -> None:
    parse_status(text)


@given(st.floats(0, 1e18) | st.integers(0, 10**18), st.text(max_size=30), st.integers(1, 40))
def test_what_is_shown_is_short_and_plain(number: float, text: str, width: int) -> None:
    assert len(format_bytes(number)) <= 14
    assert " " in format_bytes(number)
    format_seconds(number)
    assert len(shorten(text, width)) <= width
    assert "\x1b" not in strip_control(text)
    assert strip_control(strip_control(text)) == strip_control(text)
