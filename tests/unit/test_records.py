"""Build records: written whole, read back, and the unreadable ones named."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dockyard.errors import RecordError
from dockyard.records import (
    SCHEMA,
    BuildRecord,
    CacheRecord,
    FileRecord,
    IndexRecord,
    InputsRecord,
    InstructionRecord,
    PackageRecord,
    TrafficRecord,
    load_records,
    new_record_id,
    read_record,
    write_record,
)
from support.records import make_record


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    record = make_record()
    path = write_record(tmp_path, record, keep=10)
    assert path == tmp_path / f".dockyard/builds/{record.id}.json"
    assert read_record(path.read_text()) == record
    assert json.loads(path.read_text())["schema"] == SCHEMA


def test_caches_come_back_as_they_were() -> None:
    caches = (
        CacheRecord("import", "registry", "example.test/a:cache", 0.02, None, "not found"),
        CacheRecord("export", "local", "/cache", 1.5, 1000),
    )
    record = make_record(caches=caches)
    assert read_record(record.as_json()) == record
    assert json.loads(record.as_json())["caches"][1] == {
        "direction": "export",
        "type": "local",
        "reference": "/cache",
        "seconds": 1.5,
        "bytes": 1000,
        "error": None,
    }


def test_a_record_without_caches_is_read() -> None:
    values = json.loads(make_record().as_json())
    del values["caches"]
    assert read_record(json.dumps(values)).caches == ()


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    for number in range(5):
        write_record(tmp_path, make_record(id=f"2026010{number}T000000Z-1"), keep=3)
    names = sorted(path.stem for path in (tmp_path / ".dockyard/builds").iterdir())
    assert names == [f"2026010{number}T000000Z-1" for number in (2, 3, 4)]


def test_records_are_listed_newest_first_and_limited(tmp_path: Path) -> None:
    for number in range(4):
        write_record(tmp_path, make_record(id=f"2026010{number}T000000Z-1"), keep=10)
    records, unreadable = load_records(tmp_path, 2)
    assert [one.id[:8] for one in records] == ["20260103", "20260102"]
    assert unreadable == []


def test_no_record_is_no_error(tmp_path: Path) -> None:
    assert load_records(tmp_path, 5) == ([], [])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "truncated"),
        (make_record().as_json()[:200], "truncated"),
        ("[]", "no schema"),
        ('{"schema": "1"}', "no schema"),
        (json.dumps({"schema": SCHEMA + 1}), "newer"),
        (json.dumps({"schema": SCHEMA, "id": "x"}), "lacks or misshapes"),
    ],
    ids=["empty", "half", "list", "text schema", "newer schema", "missing fields"],
)
def test_an_unreadable_record_is_named_and_kept(tmp_path: Path, text: str, reason: str) -> None:
    good = write_record(tmp_path, make_record(id="20260101T000000Z-1"), keep=10)
    bad = good.with_name("20260102T000000Z-1.json")
    bad.write_text(text)
    records, unreadable = load_records(tmp_path, 5)
    assert [one.id for one in records] == ["20260101T000000Z-1"]
    assert [one.path for one in unreadable] == [bad]
    assert reason in unreadable[0].reason
    assert bad.read_text() == text


def test_damaged_records_are_set_aside_where_they_are_shown(tmp_path: Path) -> None:
    good = write_record(tmp_path, make_record(id="20260101T000000Z-1"), keep=10)
    texts = {"cut": good.read_text()[:300], "newer": '{"schema": 9}', "bytes": "\udcff"}
    for name, text in texts.items():
        good.with_name(f"20260102T000000Z-{name}.json").write_bytes(
            text.encode(errors="surrogateescape")
        )
    records, unreadable = load_records(tmp_path, 5, set_aside=True)
    assert [one.id for one in records] == ["20260101T000000Z-1"]
    aside = good.parent / "unreadable"
    assert {one.path.parent for one in unreadable if one.damaged} == {aside}
    assert (aside / "20260102T000000Z-cut.json").read_text() == texts["cut"]
    again = load_records(tmp_path, 5, set_aside=True)
    assert again[0] == records
    assert [one.path.name for one in again[1]] == ["20260102T000000Z-newer.json"]


def test_a_damaged_record_that_cannot_be_moved_is_named_where_it_is(tmp_path: Path) -> None:
    good = write_record(tmp_path, make_record(), keep=10)
    bad = good.with_name("20260102T000000Z-1.json")
    bad.write_text("{")
    (good.parent / "unreadable").write_text("a file")
    _, (found,) = load_records(tmp_path, 5, set_aside=True)
    assert found.path == bad


@pytest.mark.parametrize(
    "change",
    [
        {"seconds": "1"},
        {"image": []},
        {"image": {"tags": ["a"]}},
        {"revision": None},
        {"steps": [1]},
        {"steps": {}},
        {"layers": [{"holds": "x", "size": None}]},
        {"traffic": []},
        {"traffic": {"base_read": "1"}},
        {"inputs": {"files": [{"path": "a"}]}},
        {"error": 1},
    ],
    ids=str,
)
def test_a_field_of_another_shape_is_refused(change: dict[str, object]) -> None:
    values = {**json.loads(make_record().as_json()), **change}
    with pytest.raises(ValueError, match="lacks or misshapes"):
        read_record(json.dumps(values))


def test_a_record_of_the_first_schema_is_read() -> None:
    values = {**json.loads(make_record().as_json()), "schema": 1}
    for name in ("traffic", "inputs", "indexes"):
        del values[name]
    for step in values["steps"]:
        del step["platform"], step["inputs"]
    found = read_record(json.dumps(values))
    assert (found.schema, found.traffic, found.inputs, found.indexes) == (1, None, None, ())
    assert found.steps == make_record().steps


def test_traffic_inputs_and_indexes_come_back_as_they_were() -> None:
    record = make_record(
        traffic=TrafficRecord(1, None, 3, downloaded=("a",), unknown={"base_read": "why"}),
        inputs=InputsRecord(
            packages=(PackageRecord("a", "1", "x", 1),),
            files=(FileRecord("b", 2, "y"),),
            dockerfile=(InstructionRecord(None, 1, "FROM x", "z"),),
            arguments={"A": "1"},
            platforms=("linux/amd64",),
        ),
        indexes=(IndexRecord("dependencies-1", "mirror", "https://a", ("a",), reason="slow"),),
    )
    assert read_record(record.as_json()) == record


def test_unknown_keys_are_ignored() -> None:
    values = {**json.loads(make_record().as_json()), "later": 1}
    assert read_record(json.dumps(values)) == make_record()


def test_cleaning_reaches_every_text() -> None:
    record = make_record(error="the secret", notes=("a secret",), settings={"x": {"y": ["secret"]}})
    text = record.cleaned(lambda one: one.replace("secret", "***")).as_json()
    assert "secret" not in text
    assert text.count("***") == 3


def test_cleaning_leaves_the_rest_alone() -> None:
    record = make_record()
    assert record.cleaned(lambda text: text) == record


def test_a_full_disk_leaves_no_partial_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RecordError, match="No space left"):
        write_record(tmp_path, make_record(), keep=3)
    assert list((tmp_path / ".dockyard/builds").iterdir()) == []


def test_identifiers_sort_by_time() -> None:
    early = new_record_id(datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC))
    late = new_record_id(datetime(2026, 1, 2, 3, 4, 6, 0, UTC))
    assert early.startswith("20260102T030405.678Z-")
    assert early < late


def test_records_are_values() -> None:
    assert isinstance(replace(make_record(), outcome="failed"), BuildRecord)


def test_records_of_the_future_are_not_the_newest(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    times = {"future": now + timedelta(days=3650), "last": now, "first": now - timedelta(days=1)}
    records = {name: make_record(id=new_record_id(when)) for name, when in times.items()}
    for record in records.values():
        write_record(tmp_path, record, 3)
    found, _ = load_records(tmp_path, 3)
    assert [one.id for one in found] == [records[name].id for name in ("last", "first", "future")]
    newest = make_record(id=new_record_id(now + timedelta(seconds=1)))
    write_record(tmp_path, newest, 3)
    found, _ = load_records(tmp_path, 9)
    assert [one.id for one in found] == [newest.id, records["last"].id, records["first"].id]
