"""Which build is explained and against which; what a person reads of it, and a program."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from dockyard.build import BuildResult, present
from dockyard.errors import RecordError
from dockyard.explain import explain
from dockyard.explain_choice import choose_before, choose_build, explain_recorded, why_line
from dockyard.explain_display import explanation_lines, one_line, render_explanation
from dockyard.explain_task import explain as task
from dockyard.records import BuildRecord, UnreadableRecord, load_records, write_record
from support.explained import ALL, Made
from support.records import make_record
from support.settings import make_settings

ONE = Made()
BUMPED = ONE.with_packages(redis=("5.3.1", 2, 231_000))
PACKAGE = ("plan", "dep2", "copy-dep2")
IDS = ("20260104T000000.000Z-4", "20260103T000000.000Z-3", "20260102T000000.000Z-2")


def some(*ids: str) -> list[BuildRecord]:
    return [ONE.record(id=one) for one in ids]


@pytest.mark.parametrize(
    ("build", "position"),
    [("last", 0), ("", 0), ("0", 0), ("1", 1), ("2", 2), (IDS[2], 2), ("20260103", 1)],
)
def test_a_build_is_named_by_id_prefix_or_number(build: str, position: int) -> None:
    assert choose_build(build, some(*IDS)) == position


@pytest.mark.parametrize(
    ("build", "message", "hint"),
    [
        ("3", "there is no build “3”", "0 for the newest to 2"),
        ("nothing", "there is no build “nothing”", f"the newest are {IDS[0]}, {IDS[1]}, {IDS[2]}"),
        ("202601", f"3 builds begin with “202601”: {IDS[0]}", "give more of the id"),
    ],
)
def test_a_build_that_is_not_there_is_an_error_with_a_way_on(
    build: str, message: str, hint: str
) -> None:
    with pytest.raises(RecordError) as caught:
        choose_build(build, some(*IDS))

    (problem,) = caught.value.problems
    assert caught.value.exit_code == 12
    assert problem.message.startswith(message)
    assert hint in (problem.hint or "")


def test_without_any_record_there_is_nothing_to_explain() -> None:
    with pytest.raises(RecordError, match="no build is recorded yet") as caught:
        choose_build("last", [])

    assert "`invoke build` makes the first" in str(caught.value)


def test_records_that_cannot_be_read_are_named() -> None:
    bad = UnreadableRecord(Path(f"builds/{IDS[0]}.json"), "its schema 9 is newer than 2")

    with pytest.raises(RecordError, match="its schema 9 is newer"):
        choose_build("last", [], [bad])
    with pytest.raises(RecordError, match="its schema 9 is newer"):
        choose_build(IDS[0], some(*IDS[1:]), [bad])
    assert choose_build("last", some(*IDS[1:]), [bad]) == 0


def test_a_build_is_compared_with_the_newest_of_its_builder_image_and_platform() -> None:
    record = ONE.record(id="9")
    dedicated = ONE.but(builder=("dockyard", "docker-container", "volume")).record(id="8")
    arm = ONE.but(platforms=("linux/arm64",)).record(id="7")
    other = make_record(id="6", image={"tags": ["other:latest"]})
    hopeless = make_record(id="5", outcome="failed", steps=())
    same = ONE.record(id="4", outcome="failed")

    def chosen(*earlier: BuildRecord) -> tuple[str, str] | None:
        found = choose_before(record, earlier)
        return (found.record.id, found.why) if found else None

    assert chosen(dedicated, arm, other, hopeless, same, ONE.record(id="3")) == (
        "4",
        "the newest before it on the builder default, for the same platform",
    )
    assert chosen(dedicated, arm) == (
        "7",
        "the newest before it on the builder default, for another platform",
    )
    assert chosen(dedicated, other) == (
        "8",
        "the newest before it; none of the same builder (default) is recorded",
    )
    assert chosen(other, hopeless) is None


def test_no_more_records_are_read_than_are_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ids(count: int, made: Made, start: int) -> None:
        for number in range(start, start + count):
            write_record(tmp_path, made.record(id=f"20260101T0000{number:02}.000Z-1"), keep=50)

    read: list[int] = []

    def load(root: Path, limit: int, **options: bool) -> Any:
        read.append(limit)
        return load_records(root, limit, **options)

    monkeypatch.setattr("dockyard.records.load_records", load)
    other = ONE.but(builder=("dockyard", "docker-container", "volume"))
    ids(3, ONE, 10)
    ids(7, other, 20)
    newest = "20260101T000030.000Z-1"
    write_record(tmp_path, ONE.record(id=newest), keep=50)

    found, _ = explain_recorded(tmp_path, "last", 50)
    assert found.compared
    assert (found.build, found.compared.id) == (newest, "20260101T000012.000Z-1")
    assert read == [5, 26]
    read.clear()
    found, _ = explain_recorded(tmp_path, "2", 50)
    assert found.compared
    assert (found.build[9:15], found.compared.id[9:15]) == ("000025", "000024")
    assert read == [7]
    found, _ = explain_recorded(tmp_path, "20260101T000010", 50)
    assert found.compared is None


def test_text_leads_with_the_cause_and_folds_what_followed() -> None:
    before = ONE.record(*ALL, id="20260101T000000.000Z-1")
    changed = BUMPED.with_files(src__app__main_dot_py=("main 2", 4_100))
    found = explain(changed.record("src", *PACKAGE, id="2"), before, "the newest before it")

    assert explanation_lines(found) == [
        "build 2: succeeded after 1.25 s",
        "compared with 20260101T000000.000Z-1 (the newest before it)",
        "",
        "4 of 12 steps ran, for 2 causes, what cost most first",
        "",
        "1. redis 5.3.0 → 5.3.1 (layer 2), 231 kB",
        "   3 steps, 4.60 s, 18.0 MB of layers",
        "   → dependencies-2: RUN install-layer dependencies-2 && finish-layer "
        "dependencies-2 bytec…, 4.00 s",
        "   → plan: RUN <<SCRIPT, 0.20 s",
        "   … and 1 step after them",
        "",
        "2. src/app/main.py changed (4.0 kB → 4.1 kB)",
        "   1 step, 0.05 s, 9.0 kB of layers",
        "   → app-builder: COPY src /app/src, 0.05 s",
    ]


def test_text_of_a_build_in_which_all_was_cached() -> None:
    found = explain(ONE.record(), ONE.record(*ALL, id="1"), "because")

    assert explanation_lines(found)[-1] == "everything was cached (12 steps)"


def test_text_holds_no_control_characters_of_what_a_build_was_made_of() -> None:
    evil = ONE.but(files={**ONE.files, "src/\x1b[31mred\x07.py": ("x", 10)})
    found = explain(evil.record("src", id="2"), ONE.record(id="1"))

    text = "\n".join(explanation_lines(found))
    assert "src/red.py added" in text
    assert "\x1b" not in text
    assert "\x07" not in text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    found = explain(BUMPED.record(*PACKAGE, id="2"), ONE.record(id="1"))
    plain = "\n".join(explanation_lines(found))

    assert "\x1b[" in render_explanation(found, Terminal())
    assert render_explanation(found, io.StringIO()) == plain
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    # Bold is no colour; and no line is broken but by the terminal itself.
    without = render_explanation(found, Terminal())
    assert "\x1b[36m" not in without
    assert "\x1b[2;36m" not in without
    assert any(
        "install-layer dependencies-2 && finish-layer dependencies-2 bytec…, 4.00 s" in line
        for line in without.splitlines()
    )


def test_json_is_the_whole_explanation() -> None:
    found = explain(BUMPED.record(*PACKAGE, id="2"), ONE.record(id="1"), "because")

    read = json.loads(json.dumps(found.as_json()))

    (cause,) = read["causes"]
    assert (cause["kind"], cause["seconds"], cause["bytes"]) == ("packages", 4.6, 18_000_000)
    assert cause["details"] == [{"text": "redis 5.3.0 → 5.3.1 (layer 2)", "bytes": 231_000}]
    assert [step["relation"] for step in read["steps"]] == ["direct", "direct", "after"]
    assert read["compared"] == {
        "id": "1",
        "started": "2026-01-01T00:00:00.000Z",
        "outcome": "succeeded",
        "why": "because",
    }


def run_task(root: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> int:
    """Run the task in a repository: its exit status."""
    (root / "pyproject.toml").write_text('[project]\nname = "service"\nversion = "1"\n')
    monkeypatch.chdir(root)
    try:
        task(Context(), **options)
    except Exit as stopped:
        return stopped.code
    return 0


def test_task_without_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_task(tmp_path, monkeypatch) == 12
    assert capsys.readouterr() == (
        "",
        "error: no build is recorded yet\n  → `invoke build` makes the first; then ask again\n",
    )


def test_task_shows_what_is_readable_and_names_what_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_record(tmp_path, ONE.record(*ALL, id="20260101T000000.000Z-1"), keep=10)
    path = write_record(tmp_path, BUMPED.record(*PACKAGE, id="20260102T000000.000Z-2"), keep=10)
    cut = path.with_name("20260103T000000.000Z-3.json")
    cut.write_text(path.read_text()[:2000])

    assert run_task(tmp_path, monkeypatch, build="20260103") == 12
    assert "the record cannot be read: it is truncated" in capsys.readouterr().err
    cut.write_text(path.read_text()[:2000])
    assert run_task(tmp_path, monkeypatch, json=True) == 0
    out, err = capsys.readouterr()
    assert [cause["kind"] for cause in json.loads(out)["causes"]] == ["packages"]
    assert err.startswith("not looked at: ")
    assert "it is truncated" in err
    assert run_task(tmp_path, monkeypatch, build="1") == 0
    out, err = capsys.readouterr()
    assert "the first build of service that is recorded here" in out
    assert err == ""


BIG = BUMPED.with_packages(scipy=("1.15.2", 1, 35_100_000))
BIG_RAN = ("plan", "dep1", "dep2", "copy-dep1", "copy-dep2")


def test_one_line_says_why_something_large_ran_again() -> None:
    found = explain(BIG.record(*BIG_RAN, id="2"), ONE.record(id="1"))

    assert one_line(found) == (
        "scipy 1.15.1 → 1.15.2 (layer 1) and 1 more package: 5 steps, 9.00 s, 54.0 MB of layers "
        "(`invoke explain` says more)"
    )


@pytest.mark.parametrize(
    ("now", "ran"),
    [
        (ONE, ()),
        (BUMPED, ("plan",)),
        (ONE.with_files(src__app__main_dot_py=("main 2", 4_100)), ("src",)),
        (ONE.but(no_cache=True), ALL),
    ],
    ids=["all cached", "a small step", "code", "asked for"],
)
def test_one_line_is_not_said_of_what_is_small_or_expected(now: Made, ran: tuple[str, ...]) -> None:
    assert one_line(explain(now.record(*ran, id="2"), ONE.record(id="1"))) is None


def test_one_line_is_not_said_of_a_first_build() -> None:
    assert one_line(explain(ONE.record(*ALL), None)) is None


def told(root: Path, record: BuildRecord, **environment: str) -> str:
    stream = io.StringIO()
    present(BuildResult(record, None, None), make_settings(root=root), environment, stream)
    return stream.getvalue()


def test_a_build_explains_itself_where_something_large_ran_again(tmp_path: Path) -> None:
    write_record(tmp_path, ONE.record(*ALL, id="20260101T000000.000Z-1"), keep=10)
    record = BIG.record(*BIG_RAN, hit_rates={"dependency": 0.5, "application": 1, "overall": 0.6})
    write_record(tmp_path, record, keep=10)

    assert "\n  why           scipy 1.15.1 → 1.15.2 (layer 1) and 1 more" in told(tmp_path, record)
    assert "why" not in told(tmp_path, replace(record, outcome="failed"))


def test_the_job_summary_explains_as_the_terminal_does(tmp_path: Path) -> None:
    write_record(tmp_path, ONE.record(*ALL, id="20260101T000000.000Z-1"), keep=10)
    record = BIG.record(*BIG_RAN, hit_rates={"dependency": 0.5, "application": 1, "overall": 0.6})
    summary = tmp_path / "summary.md"

    shown = told(tmp_path, record, GITHUB_STEP_SUMMARY=str(summary))

    (line,) = (one for one in shown.splitlines() if one.startswith("  why "))
    assert f"| why | {line.removeprefix('  why').strip()} |" in summary.read_text().splitlines()


def test_a_build_in_which_all_was_cached_reads_no_other_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("no record is needed for this")

    monkeypatch.setattr("dockyard.records.load_records", refuse)
    record = ONE.record(hit_rates={"dependency": 1.0, "application": 1.0, "overall": 1.0})

    assert "why" not in told(tmp_path, record)
    assert why_line(tmp_path, BUMPED.record("plan")) is None
