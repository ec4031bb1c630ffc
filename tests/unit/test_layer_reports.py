"""What the layers' scripts write, read back, and the notes that come of it."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from dockyard.layer_reports import (
    BuiltFromSource,
    FileConflict,
    IndexAttempt,
    layer_notes,
    parse_report,
)

ATTEMPT = {
    "layer": "dependencies-1",
    "kind": "mirror",
    "index": "https://mirror.example/simple",
    "served": ["one"],
    "rejected": ["two"],
    "reason": "Failed to download; hash mismatch",
    "seconds": 0.25,
}
CONFLICT = {"layer": "dependencies-1", "conflict": "a/b.py", "packages": ["one", "two"]}


def line(values: Mapping[str, object]) -> str:
    return "dockyard: " + json.dumps(values)


def test_what_uv_took_from_where_is_read_back() -> None:
    (found,) = parse_report(line({**ATTEMPT, "downloaded": ["one"], "cached": []}))
    assert isinstance(found, IndexAttempt)
    assert (found.downloaded, found.cached) == (("one",), ())
    (older,) = parse_report(line(ATTEMPT))
    assert isinstance(older, IndexAttempt)
    assert (older.downloaded, older.cached) == (None, None)
    built = line({"layer": "project", "downloaded to build": ["hatchling==1.0"]})
    assert parse_report(built) == (BuiltFromSource("project", ("hatchling==1.0",)),)
    assert layer_notes([built]) == ()


def test_an_attempt_is_read_back() -> None:
    assert parse_report(line(ATTEMPT)) == (
        IndexAttempt(
            "dependencies-1",
            "mirror",
            "https://mirror.example/simple",
            ("one",),
            ("two",),
            "Failed to download; hash mismatch",
            0.25,
        ),
    )
    assert parse_report(line(CONFLICT)) == (
        FileConflict("dependencies-1", "a/b.py", ("one", "two")),
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Resolved 3 packages in 4ms",
        "dockyard: {",
        "dockyard: {}",
        "dockyard: []",
        'dockyard: {"layer": "x", "conflict": "a", "packages": 1}',
        'dockyard: {"layer": "x", "left out": 3}',
        line({**ATTEMPT, "seconds": None}),
    ],
)
def test_other_lines_are_no_reports(text: str) -> None:
    assert parse_report(text) == ()


def test_a_failed_mirror_is_named_once_with_all_that_it_failed_at() -> None:
    other = {**ATTEMPT, "layer": "dependencies-2", "rejected": ["three"]}
    served = {**ATTEMPT, "kind": "default", "rejected": []}
    assert layer_notes([line(ATTEMPT), "noise", line(other), line(served)]) == (
        "the index https://mirror.example/simple did not give two, three: hash mismatch; the next "
        "was tried",
    )


def test_the_default_indexs_own_failure_is_the_builds_error_and_no_note() -> None:
    assert layer_notes([line({**ATTEMPT, "kind": "default"})]) == ()


def test_a_conflict_names_packages_in_order_and_who_is_kept() -> None:
    more = [line({**CONFLICT, "conflict": f"a/{number}.py"}) for number in range(4)]
    [note] = layer_notes([line(CONFLICT), *more])
    assert note.startswith("one and two write the same file in dependencies-1: a/b.py, a/0.py")
    assert "and 2 more" in note
    assert "two's is kept" in note


def test_addresses_of_the_lock_that_gave_nothing_are_told_apart_from_an_index() -> None:
    reason = "404 Not Found"
    values = {**ATTEMPT, "kind": "lock", "served": [], "rejected": ["one", "two"], "reason": reason}
    (note,) = layer_notes([line(values), line({**ATTEMPT, "kind": "default", "rejected": []})])
    assert note == (
        "the addresses that uv.lock has did not all give their files, of one, two: 404 Not Found; "
        "the index https://mirror.example/simple was asked"
    )
