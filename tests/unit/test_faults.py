"""The fault campaign as values: its cases, its result and the page about it."""

from __future__ import annotations

import importlib
import json
from functools import reduce
from pathlib import Path

import pytest

from dockyard.bench.registry_server import Request
from dockyard.errors import RecordError
from dockyard.records import write_record
from dockyard.report.faults import faults_markdown, read_faults, view_faults
from dockyard.report.gathering import gather_report
from dockyard.report.page import render_report
from faults.interruptions_command import Point
from faults.interruptions_work import WORK
from faults.model import (
    Case,
    Moment,
    Operation,
    Outcome,
    Result,
    Target,
    network_fault,
    result_as_json,
    result_from_json,
)
from faults.network_cases import CASES, REPRESENTATIVE, WORDS, expected
from faults.proxy import Healthy
from support.records import make_record
from support.settings import make_settings

BUILD = Case(Operation.BUILD, network_fault("stall"), Moment.MIDDLE, Target.INDEX)
PUSH = Case(Operation.BUILD_PUSH, network_fault("429"), Moment.END, Target.REGISTRY)
RESULT = Result(
    "2026-01-01T00:00:00+00:00",
    "1.0",
    "nox -s faults",
    (Outcome(PUSH, 0, 1.0, "", ("it lost a tag",)), Outcome(BUILD, 10, 2.5, "error: silent")),
)
HEALTHY = Healthy(
    (
        Request("HEAD", "/v2/app/blobs/sha256:" + "a" * 64, "sha256:" + "a" * 64),
        Request("GET", "/v2/app/blobs/sha256:" + "b" * 64, "sha256:" + "b" * 64),
        Request("GET", "/v2/app/blobs/sha256:" + "c" * 64, "sha256:" + "c" * 64),
        Request("POST", "/v2/app/blobs/uploads/", None),
    )
)


def test_cases_are_told_apart_and_many() -> None:
    names = [str(case) for case in CASES]
    assert len(set(names)) == len(names) >= 110
    assert set(REPRESENTATIVE) <= set(names)
    assert {case.operation for case in CASES} == set(Operation)
    assert str(PUSH) == "build-push.registry.429.end"


def test_every_case_that_may_fail_has_words_for_its_cause() -> None:
    for case in CASES:
        wanted = expected(case)
        assert not wanted.codes or case.fault.name in WORDS, case
        assert 1 not in wanted.codes


POINTS = sorted(
    {
        point.function
        for work in WORK.values()
        for point in (work.clocked, *work.moments.values())
        if isinstance(point, Point)
    }
)


@pytest.mark.parametrize("function", POINTS)
def test_a_point_at_which_a_command_is_held_is_a_function(function: str) -> None:
    module, _, name = function.partition(":")
    assert callable(reduce(getattr, name.split("."), importlib.import_module(module)))


def test_a_result_is_read_back() -> None:
    assert result_from_json(json.loads(json.dumps(result_as_json(RESULT)))) == RESULT
    with pytest.raises(ValueError, match="schema 2"):
        result_from_json({**result_as_json(RESULT), "schema": 2})


@pytest.mark.parametrize(
    ("name", "moment", "chosen"),
    [
        ("reset", Moment.BEFORE, (None, 1)),
        ("reset", Moment.MIDDLE, (None, 3)),
        ("reset", Moment.END, ("POST /v2/app/blobs/uploads/", 1)),
        ("corrupt", Moment.MIDDLE, (None, 2)),
        ("corrupt", Moment.END, ("GET /v2/app/blobs/DIGEST", 2)),
    ],
)
def test_when_a_fault_strikes(name: str, moment: Moment, chosen: tuple[str | None, int]) -> None:
    found = HEALTHY.chosen(network_fault(name), moment)
    assert (found[0] and found[0].replace("vN", "v2"), found[1]) == chosen
    assert Healthy(()).chosen(network_fault(name), moment) == (None, 0)


def test_the_table_counts_what_survived() -> None:
    view = view_faults(result_as_json(RESULT))
    assert (view.survived, view.tried) == (1, 2)
    assert [(row.name, row.cells) for row in view.rows] == [
        ("stall", ("1 / 1", "")),
        ("429", ("", "0 / 1")),
    ]
    assert view.failures == ("build-push.registry.429.end: it lost a tag",)
    page = faults_markdown(view)
    assert "| 429 |  | 0 / 1 | 0 / 1 | 1.0, 1.0 |" in page
    assert "**1 of 2 cases survived.**" in page
    assert "- build-push.registry.429.end: it lost a tag" in page


def test_a_file_that_is_no_result_is_named(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    for text in ("", "[]", '{"schema": 9}', '{"schema": 1}'):
        path.write_text(text)
        with pytest.raises(RecordError, match=r"faults\.json"):
            read_faults(path)


def test_the_report_shows_the_newest_campaign_else_the_committed_one(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    write_record(tmp_path, make_record(), 5)
    assert gather_report(settings, 5).faults is None
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/faults.json").write_text(json.dumps(result_as_json(RESULT)))
    data = gather_report(settings, 5)
    assert data.faults
    assert data.faults.tried == 2
    page = render_report(data)
    assert "1 of 2 cases survived" in page
    assert "build-push.registry.429.end: it lost a tag" in page
    (tmp_path / ".dockyard/faults.json").write_text("{")
    broken = gather_report(settings, 5)
    assert broken.faults is None
    assert [Path(one.path).name for one in broken.unreadable] == ["faults.json"]


def test_the_committed_page_is_of_the_committed_result() -> None:
    # To regenerate it, in tests: python -m faults.result --docs
    docs = Path(__file__).parents[2] / "docs"
    page = (docs / "faults.md").read_text(encoding="utf-8")
    assert page == faults_markdown(read_faults(docs / "faults.json"))
    assert "pytest-of" not in (docs / "faults.json").read_text(encoding="utf-8")
