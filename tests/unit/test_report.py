"""The report: its values, its charts, and a page that nothing in a record breaks out of."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from dockyard.bench.results import write_result
from dockyard.errors import RecordError
from dockyard.explain_model import (
    Cause,
    CauseKind,
    Comparison,
    Detail,
    ExplainedStep,
    Explanation,
    Relation,
)
from dockyard.record_parts import InputsRecord, LayerRecord, TrafficRecord
from dockyard.records import write_record
from dockyard.report.bench import view_bench
from dockyard.report.charts import charts
from dockyard.report.data import NOT_COUNTED, ReportData, cleaned, make_report_data
from dockyard.report.explanation import view_explanation
from dockyard.report.figures import log_ticks
from dockyard.report.gathering import (
    default_output,
    desktop_session,
    gather_report,
    open_page,
    write_page,
)
from dockyard.report.layers import apportion, image_area
from dockyard.report.page import render_report
from dockyard.report.text import safe
from dockyard.report.timeline import make_timeline
from dockyard.report.trends import running_median
from support.records import make_record
from support.reports import HOSTILE, make_builds, make_result, make_step, package, rich_record
from support.settings import make_settings

# -------------------------------------------- values --------------------------------------------


def test_the_headline_is_of_the_newest_build() -> None:
    newest, *others = make_builds(3)
    head = make_report_data([newest, *others]).headline
    assert (head.project, head.outcome, head.started) == ("service", "succeeded", newest.started)
    assert head.usual_seconds == 2.5  # of 4 s and 1 s, the newest's 7 s apart
    assert (head.steps_ran, head.steps_cached) == (3, 1)
    assert head.image_change == 0


def test_the_image_is_compared_with_the_one_before_it() -> None:
    before = rich_record(image={"tags": ["a"], "content_bytes": 100, "digest": None})
    failed = make_record(layers=(), image={"tags": ["a"], "content_bytes": None})
    after = rich_record(image={"tags": ["a"], "content_bytes": 90, "digest": None})
    assert make_report_data([after, failed, before]).headline.image_change == -10
    assert make_report_data([after]).headline.image_change is None
    assert make_report_data([failed, before]).headline.image_change is None


def test_trends_are_oldest_first() -> None:
    trends = make_report_data(make_builds(12)).trends
    assert [one.started for one in trends] == sorted(one.started for one in trends)
    assert [one.outcome for one in trends].index("failed") == 9


def test_zero_is_not_unknown() -> None:
    lines = {one.name: one for one in make_report_data([rich_record()]).traffic}
    assert (lines["base_read"].bytes, lines["base_read"].reason) == (0, None)
    assert lines["cache_written"].bytes is None
    assert lines["cache_written"].reason == "the builder does not tell "


def test_what_is_unknown_is_in_no_sum() -> None:
    (point,) = make_report_data([rich_record()]).trends
    assert point.received == 20_035_000
    assert point.sent == 941 + 19_000
    assert point.unknown == ("Build caches written",)
    nothing = rich_record(traffic=TrafficRecord())
    (point,) = make_report_data([nothing]).trends
    assert (point.received, point.sent) == (None, None)


def test_a_record_of_schema_1_knows_its_context_alone() -> None:
    lines = make_report_data([make_record(schema=1)]).traffic
    known = {one.name: one.bytes for one in lines if one.bytes is not None}
    assert known == {"context_sent": 41_200}
    assert {one.reason for one in lines if one.bytes is None} == {NOT_COUNTED}


def test_the_data_is_json() -> None:
    data = make_report_data(make_builds(2), bench=view_bench(make_result()))
    values = json.loads(json.dumps(data.as_json()))
    assert next(iter(values)) == "schema"
    assert values["schema"] == 1
    assert values["headline"]["project"] == "service"
    assert len(values["trends"]) == 2


def test_cleaning_reaches_every_text() -> None:
    data = make_report_data([rich_record("SECRET")], bench=view_bench(make_result("SECRET")))
    assert "SECRET" in repr(data)
    assert "SECRET" not in repr(cleaned(data, lambda text: text.replace("SECRET", "***")))


# ------------------------------------------- timeline -------------------------------------------


def test_steps_at_the_same_time_are_in_lanes_of_their_own() -> None:
    steps = [
        make_step("builder", 0.0, 2.0, instruction="RUN a"),
        make_step("builder", 1.0, 2.0, instruction="RUN b"),
        make_step("builder", 2.0, 1.0, instruction="RUN c"),
    ]
    (stage,) = make_timeline(steps).stages
    assert [(bar.instructions, bar.lane) for bar in stage.bars] == [
        (("RUN a",), 0),
        (("RUN b",), 1),
        (("RUN c",), 0),
    ]
    assert stage.lanes == 2


def test_cached_steps_of_a_stage_are_one_mark() -> None:
    steps = [
        make_step("builder", 0.5, 0.0, instruction="RUN a", cached=True),
        make_step("builder", 0.4, 0.0, instruction="RUN b", cached=True),
        make_step("builder", 0.0, 1.0, instruction="RUN c"),
    ]
    (stage,) = make_timeline(steps).stages
    (mark,) = [bar for bar in stage.bars if bar.state == "cached"]
    assert (mark.instructions, mark.start) == (("RUN b", "RUN a"), 0.4)
    assert [(bar.state, bar.lane) for bar in stage.bars] == [("ran", 1), ("cached", 0)]


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "ran"),
        ({"cached": True}, "cached"),
        ({"error": "exit code 1"}, "failed"),
        ({"error": "exit code 137: context canceled: context canceled"}, "stopped"),
        ({"kind": "export"}, "moved"),
        ({"kind": "image", "bytes": 5}, "moved"),
        ({"kind": "image"}, "cached"),
        ({"kind": "of a later Dockyard"}, "ran"),
    ],
)
def test_what_a_step_did(changes: dict[str, Any], state: str) -> None:
    (stage,) = make_timeline([make_step("builder", 0.0, 1.0, **changes)]).stages
    assert [bar.state for bar in stage.bars] == [state]


def test_what_was_not_needed_is_left_out() -> None:
    steps = [
        make_step("builder", 0.0, 1.0),
        make_step("not reached", None, 0.0),
        make_step(None, 0.0, 0.001, kind="internal", instruction="load .dockerignore"),
        make_step("builder", 0.0, 0.001, kind="merge", instruction="LINK COPY"),
    ]
    assert [stage.name for stage in make_timeline(steps).stages] == ["builder"]


def test_what_buildkit_waits_for_is_shown() -> None:
    steps = [
        make_step(None, 0.0, 3.0, kind="internal", instruction="load metadata for python"),
        make_step("builder", 3.0, 1.0),
    ]
    assert [stage.name for stage in make_timeline(steps).stages] == ["BuildKit", "builder"]


def test_stages_that_begin_together_are_in_natural_order() -> None:
    steps = [make_step(f"dependencies-{n}", 1.0 + n / 9999, 5.0) for n in (10, 9, 2)]
    steps.append(make_step("plan", 0.0, 1.0))
    names = [stage.name for stage in make_timeline(steps).stages]
    assert names == ["plan", "dependencies-2", "dependencies-9", "dependencies-10"]


def test_platforms_have_stages_of_their_own() -> None:
    steps = [make_step("a", 0.0, 1.0, platform=f"linux/{name}") for name in ("amd64", "arm64")]
    assert [one.name for one in make_timeline(steps).stages] == ["a linux/amd64", "a linux/arm64"]


def test_times_that_are_none() -> None:
    steps = [
        replace(make_step("a", 0.0, 1.0), started="yesterday"),
        replace(make_step("b", 1.0, 1.0), started="2026-01-01T00:00:01"),
        make_step("c", 2.0, 1.0),
    ]
    timeline = make_timeline(steps)
    assert [(stage.name, stage.bars[0].start) for stage in timeline.stages] == [
        ("b", 0.0),
        ("c", 1.0),
    ]


def test_no_step_started() -> None:
    assert make_timeline([make_step("a", None, 0.0)]).stages == ()


# -------------------------------------------- layers --------------------------------------------


@pytest.mark.parametrize("weights", [[1], [1, 1, 1], [7, 0, 13], [1_000_000, 1, 1]])
def test_shares_sum_up(weights: list[int]) -> None:
    shares = apportion(1000, weights)
    assert sum(shares) == 1000
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share - 1000 * weight / sum(weights)) < 1


def test_packages_share_their_layer_by_their_distributions() -> None:
    image = image_area(rich_record())
    assert image.bytes == sum(layer.bytes for layer in image.layers)
    assert [layer.kind for layer in image.layers] == [
        "base",
        "environment",
        "dependencies",
        "dependencies",
        "sources",
    ]
    layer = image.layers[3]
    assert [(one.name, one.bytes) for one in layer.packages] == [
        ("one", 20_000_000),
        ("two", 10_000_000),
    ]


def test_a_layer_is_undivided_where_a_size_is_unknown() -> None:
    inputs = InputsRecord(
        packages=(package("big", 1), package("one", 2, 5), package("two", 2, None))
    )
    image = image_area(rich_record(inputs=inputs))
    assert [(one.name, one.bytes) for one in image.layers[2].packages] == [("big", 80_000_000)]
    assert (image.layers[3].packages, image.layers[3].names) == ((), ("one", "two"))


def test_a_record_of_schema_1_has_layers_alone() -> None:
    image = image_area(rich_record(inputs=None))
    assert [layer.packages for layer in image.layers] == [()] * 5
    assert image.layers[3].names == ("one", "two")


def test_an_empty_layer_has_no_area() -> None:
    image = image_area(rich_record(layers=(LayerRecord("base", 5), LayerRecord("src", 0))))
    assert [layer.holds for layer in image.layers] == ["base"]


def test_a_failed_build_shows_the_image_before_it() -> None:
    data = make_report_data([make_record(outcome="failed", layers=()), rich_record(id="earlier")])
    assert data.image_id == "earlier"
    assert data.image


# ------------------------------------------ explanation ------------------------------------------


def explanation(*causes: Cause, **changes: Any) -> Explanation:
    step = ExplainedStep(
        3, "dependencies-2", "RUN install-layer", None, 1.5, (0,), Relation.AFTER, (Detail("b"),)
    )
    values: dict[str, Any] = {
        "build": "id",
        "started": "2026-01-01T00:00:00.000Z",
        "outcome": "succeeded",
        "seconds": 3.0,
        "compared": Comparison("before", "2025-12-31T01:02:03.000Z", "interrupted", "the last"),
        "causes": causes,
        "steps": (step,) if causes else (),
        "cached": 20,
    }
    return Explanation(**{**values, **changes})


def test_a_cause_leads_its_steps() -> None:
    details = (Detail("redis 5.3.1 → 8.1.0", 300_000), Detail("the same words"))
    cause = Cause(
        CauseKind.PACKAGES, "the same words", details, (3,), (1,), 1.5, 2_000_000, compressed=True
    )
    view = view_explanation(explanation(cause))
    assert view.summary == "1 step ran, 20 were cached"
    assert view.compared == (
        "Compared with the build of 2025-12-31 01:02:03 UTC, which was interrupted: the last"
    )
    (shown,) = view.causes
    assert shown.details == ("redis 5.3.1 → 8.1.0, 300 kB",)  # and not the title again
    assert shown.cost == (
        "1 step, 1.50 s, layers of 2.0 MB compressed; 1 step more ran for a weightier cause as well"
    )
    assert shown.steps == (
        "dependencies-2: RUN install-layer, 1.50 s, as it builds on what ran (b)",
    )


def test_where_all_was_cached_there_is_no_cause() -> None:
    view = view_explanation(explanation(compared=None))
    assert (view.summary, view.compared, view.causes) == ("Everything was cached", None, ())


# -------------------------------------------- bench --------------------------------------------


def test_a_bench_is_a_table_of_each_figure_that_was_measured() -> None:
    view = view_bench(make_result())
    assert view.dockerfiles == ("Naive single stage", "Dockyard")
    assert [one.name for one in view.environments] == [
        "Warm local engine",
        "Fresh builder, registry cache, pushed",
    ]
    metrics = [table.metric for table in view.environments[1].tables]
    assert metrics == ["seconds", "bytes_down", "bytes_up", "steps_cached"]
    row = view.environments[0].tables[0].rows[0]
    assert [cell.text for cell in row.cells] == ["40.8 s", "2.75 s"]
    assert [cell.spread for cell in row.cells] == ["40.5 s – 41.0 s", "2.50 s – 3.00 s"]
    assert [cell.best for cell in row.cells] == [False, True]
    assert view.environments[0].tables[-1].rows[0].cells[0].text == "18 of 23"
    assert view.missing == ()
    assert "100 Mbit/s" in view.about[0]


def test_a_bench_that_was_stopped_names_what_is_missing() -> None:
    view = view_bench(make_result(left=1))
    assert len(view.missing) == 1
    assert len(view_bench(make_result(left=8)).missing) == 7  # six, and how many more


def test_a_replay_of_commits_is_averaged() -> None:
    (replay,) = view_bench(make_result()).replays
    assert replay.name == "3 commits, warm local engine (1 not built yet)"
    code, lock, whole = (dict(zip(replay.headings, row, strict=True)) for row in replay.rows)
    assert (code["number"], lock["number"], whole["number"]) == ("2", "1", "3")
    assert (code["dependency"], code["application"], code["overall"]) == ("100%", "75%", "96%")
    assert (code["time"], whole["time"]) == ("1.00 s", "2.00 s")
    assert (code["down"], code["pulled"]) == ("0 B", "30.0 kB")
    assert (lock["down"], lock["pulled"]) == ("–", "–")


def test_a_bench_says_what_dockyard_is_held_to() -> None:
    verdicts = {one.target: one for one in view_bench(make_result()).verdicts}
    missed = next(one for name, one in verdicts.items() if "0.05" in name)
    assert not missed.passed
    assert missed.measured == "0.0674 ×"
    assert next(one for name, one in verdicts.items() if "0.8" in name).passed


# -------------------------------------------- charts --------------------------------------------


def test_there_is_a_chart_for_everything() -> None:
    found = charts(make_report_data(make_builds(2), bench=view_bench(make_result())))
    assert sorted(found) == [
        "bench-0",
        "bench-1",
        "layers",
        "timeline",
        "trend-bytes",
        "trend-hits",
        "trend-image",
        "trend-time",
    ]


def test_what_is_unknown_is_a_gap_in_its_line() -> None:
    known, unknown = rich_record(), rich_record(traffic=TrafficRecord())
    received = charts(make_report_data([unknown, known]))["trend-bytes"].data[0]
    assert (received.name, list(received.y)) == ("received", [20_035_000, None])
    assert "unknown" in received.hovertext[1]


def test_many_builds_have_a_running_median() -> None:
    few = charts(make_report_data(make_builds(60)))["trend-time"].data
    dots, line = charts(make_report_data(make_builds(61)))["trend-time"].data
    assert [trace.mode for trace in few] == ["lines+markers"]
    assert (dots.mode, line.mode) == ("markers", "lines")
    assert len(line.y) == 61


def test_a_running_median_keeps_gaps() -> None:
    values = [1.0] * 20 + [None] + [3.0] * 20
    found = running_median(values)
    assert found[20] is None
    assert (found[0], found[-1]) == (1.0, 3.0)
    assert found[19] == 1.0  # of six ones and four threes, the gap left out
    assert running_median([1.0, 50.0, 1.0]) == [1.0, 1.0, 1.0]


def test_states_are_told_apart_by_more_than_colour() -> None:
    timeline = charts(make_report_data([rich_record()]))["timeline"]
    looks = [
        (trace.marker.pattern.shape if trace.type == "bar" else trace.marker.symbol)
        for trace in timeline.data
    ]
    assert len(looks) == 4
    assert len(set(looks)) == 4


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.39, 9.7, [0.2, 0.5, 1, 2, 5, 10]),
        (0.4, 95.0, [0.3, 1, 3, 10, 30, 100]),
        (0.02, 900.0, [0.01, 0.1, 1, 10, 100, 1000]),
        (1.0, 1.0, [1]),
    ],
)
def test_ticks_of_a_scale_of_ratios(low: float, high: float, ticks: list[float]) -> None:
    assert log_ticks(low, high) == pytest.approx(ticks)


def test_plotly_takes_no_text_for_markup() -> None:
    data = make_report_data([rich_record(HOSTILE)], bench=view_bench(make_result(HOSTILE)))
    text = json.dumps([figure.to_dict() for figure in charts(data).values()], default=list)
    allowed = re.compile(r"</?b>|<br>")
    assert re.findall(r"<[^>]*>", allowed.sub("", text)) == []
    assert "&lt;a href=" in text


# -------------------------------------------- the page --------------------------------------------


class Page(HTMLParser):
    """Collects elements with their attributes, the scripts' texts and all other text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.text += f" {data}"

    def attributes(self, *names: str) -> list[str | None]:
        return [found[name] for _, found in self.elements for name in names if name in found]


def page_of(*builds: Any, **more: Any) -> Page:
    return Page(render_report(make_report_data(builds or [rich_record()], **more)))


def hostile_data() -> ReportData:
    cause = Cause(CauseKind.FILES, HOSTILE, (Detail(HOSTILE),), (3,), (), 1.0, None)
    step = ExplainedStep(3, HOSTILE, HOSTILE, HOSTILE, 1.0, (0,), Relation.DIRECT)
    found = view_explanation(explanation(cause, steps=(step,), notes=(HOSTILE,)))
    data = make_report_data(
        [rich_record(HOSTILE)],
        explanation=found,
        bench=view_bench(make_result(HOSTILE, left=1)),
    )
    unreadable = make_report_data([rich_record()]).unreadable
    assert unreadable == ()
    return data


def test_nothing_breaks_out_of_the_page() -> None:
    text = render_report(hostile_data())
    page = Page(text)
    assert len(page.scripts) == 3
    assert [tag for tag, _ in page.elements if tag in ("img", "iframe", "object", "link")] == []
    handlers = [name for _, found in page.elements for name in found if name.startswith("on")]
    assert handlers == []
    assert page.text.count("<script>document.title") > 10  # shown as it stands
    assert "{{ 7 * 7 }}" in page.text
    figures = json.loads(page.scripts[0])
    assert "timeline" in figures
    text.encode("utf-8")
    assert re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text.replace(page.scripts[1], "")) == []


def test_the_page_refers_to_nothing_outside() -> None:
    page = Page(render_report(hostile_data()))
    references = page.attributes("src", "href", "action", "srcset", "data")
    assert references
    assert [one for one in references if not str(one).startswith("#")] == []


def test_only_the_pages_own_scripts_may_run() -> None:
    page = page_of()
    policy = next(
        str(found["content"])
        for tag, found in page.elements
        if tag == "meta" and found.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; ")
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    hashes = [
        "'sha256-" + base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() + "'"
        for one in page.scripts[1:]
    ]
    assert rules["script-src"].split() == hashes
    assert not re.search(r"https?:", policy)


def test_the_same_data_gives_the_same_page() -> None:
    assert render_report(hostile_data()) == render_report(hostile_data())


def test_every_chart_has_its_place() -> None:
    page = page_of(*make_builds(3), bench=view_bench(make_result()))
    places = [found["id"] for tag, found in page.elements if found.get("class") == "chart"]
    assert sorted(map(str, places)) == sorted(json.loads(page.scripts[0]))


@pytest.mark.parametrize("count", [1, 2, 200])
def test_any_number_of_builds(count: int) -> None:
    page = page_of(*make_builds(count))
    heading = "The only build so far" if count == 1 else f"The last {count} builds"
    assert heading in page.text
    assert len(json.loads(page.scripts[0])["trend-time"]["data"][0]["y"]) == count


def test_a_build_that_failed_first() -> None:
    failed = make_record(
        outcome="failed",
        error="dependencies-1: the index cannot be reached",
        layers=(),
        image={"tags": ["a:latest"], "digest": None, "content_bytes": None},
        hit_rates={"dependency": None, "application": None, "overall": None},
        context_bytes=None,
        steps=(),
    )
    page = page_of(failed)
    assert "✗ failed" in page.text
    assert "the index cannot be reached" in page.text
    assert "Layers of the image" not in page.text
    assert "Timeline of the last build" not in page.text


def test_what_is_unknown_is_called_so() -> None:
    text = " ".join(page_of(make_record()).text.split())
    assert "Received unknown 3 of 3 kinds unknown" in text
    assert "Sent ≥ 41.2 kB 2 of 3 kinds unknown" in text
    assert NOT_COUNTED in text


# -------------------------------------- reading and writing --------------------------------------


def test_without_a_record_the_next_command_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError) as caught:
        gather_report(make_settings(tmp_path), 5)
    assert "`invoke build`" in str(caught.value)


def write_builds(root: Path, count: int) -> list[str]:
    builds = make_builds(count)
    for one in builds:
        write_record(root, one, 500)
    return [one.id for one in builds]


def test_records_that_cannot_be_read_are_named_beside_the_others(tmp_path: Path) -> None:
    write_builds(tmp_path, 2)
    folder = tmp_path / ".dockyard/builds"
    (folder / "20260102T000000.000Z-1.json").write_text('{"schema": 2, "id"')
    (folder / "20260103T000000.000Z-1.json").write_text('{"schema": 99}')
    data = gather_report(make_settings(tmp_path), 5)
    assert [one.reason for one in data.unreadable] == [
        "its schema 99 is newer than this Dockyard's 2",
        "it is truncated or no JSON; it was moved here",
    ]
    assert len(data.trends) == 2
    text = " ".join(Page(render_report(data)).text.split())
    assert "2 records are not shown" in text
    assert "unreadable/20260102T000000.000Z-1.json : it is truncated" in text
    again = gather_report(make_settings(tmp_path), 5).unreadable
    assert [Path(one.path).stem for one in again] == ["20260103T000000.000Z-1"]


def test_only_records_that_cannot_be_read(tmp_path: Path) -> None:
    folder = tmp_path / ".dockyard/builds"
    folder.mkdir(parents=True)
    (folder / "20260102T000000.000Z-1.json").write_text("{")
    with pytest.raises(RecordError) as caught:
        gather_report(make_settings(tmp_path), 5)
    assert "it is truncated" in str(caught.value)
    assert "invoke build" in str(caught.value)


def test_the_last_builds_are_shown_and_the_others_left_alone(tmp_path: Path) -> None:
    ids = write_builds(tmp_path, 6)
    (tmp_path / ".dockyard/builds/20250101T000000.000Z-1.json").write_text('{"schema": 99}')
    data = gather_report(make_settings(tmp_path), 2)
    assert [one.id for one in data.trends] == [ids[1], ids[0]]
    assert data.unreadable == ()
    assert data.explanation
    assert data.explanation.compared


def test_no_secret_of_the_settings_is_shown(tmp_path: Path) -> None:
    password = "correct-horse"
    settings = make_settings(tmp_path, index_credentials={"UV_INDEX_A_PASSWORD": password})
    assert password in settings.secret_values()
    write_record(tmp_path, replace(rich_record(password), error=password), 5)
    text = render_report(gather_report(settings, 5))
    assert password not in text
    assert "***" in text


def test_the_newest_result_of_the_bench_is_shown(tmp_path: Path) -> None:
    write_builds(tmp_path, 1)
    settings = make_settings(tmp_path)
    assert gather_report(settings, 5).bench is None
    folder = tmp_path / ".dockyard/bench"
    write_result(folder / "20260101T000000Z.json", make_result(command="older"))
    write_result(folder / "20260102T000000Z.json", make_result(command="newer"))
    (folder / "commits-warm.json").write_text("{}")
    found = gather_report(settings, 5)
    assert found.bench
    assert (found.bench.command, found.unreadable) == ("newer", ())
    (folder / "20260103T000000Z.json").write_text('{"schema": 1, "sta')
    found = gather_report(settings, 5)
    assert found.bench
    assert found.bench.command == "newer"
    assert [Path(one.path).name for one in found.unreadable] == ["20260103T000000Z.json"]


def test_a_committed_result_is_shown_where_none_was_measured(tmp_path: Path) -> None:
    write_builds(tmp_path, 1)
    write_result(tmp_path / "docs/bench/result.json", make_result(command="committed"))
    found = gather_report(make_settings(tmp_path), 5).bench
    assert found
    assert found.command == "committed"
    write_result(tmp_path / ".dockyard/bench/20260101T000000Z.json", make_result(command="mine"))
    found = gather_report(make_settings(tmp_path), 5).bench
    assert found
    assert found.command == "mine"


def test_a_result_that_was_named_must_be_readable(tmp_path: Path) -> None:
    write_builds(tmp_path, 1)
    named = tmp_path / "result.json"
    with pytest.raises(RecordError, match=r"result\.json"):
        gather_report(make_settings(tmp_path), 5, named)
    write_result(named, make_result(command="named"))
    found = gather_report(make_settings(tmp_path), 5, named)
    assert found.bench
    assert found.bench.command == "named"


def test_the_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = default_output(tmp_path)
    write_page(path, "before", tmp_path)
    assert (tmp_path / ".dockyard/.gitignore").exists()
    with pytest.raises(UnicodeEncodeError):
        write_page(path, "\ud800", tmp_path)
    assert path.read_text() == "before"
    assert [one.name for one in path.parent.iterdir() if "report" in one.name] == ["report.html"]


def test_a_page_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="it is a folder"):
        write_page(tmp_path, "", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="--output"):
        write_page(tmp_path / "file/page.html", "", tmp_path)


@pytest.mark.parametrize(
    ("environ", "platform", "there"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ""}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({}, "darwin", True),
        ({"SSH_CONNECTION": "a"}, "darwin", False),
    ],
)
def test_a_browser_is_opened_on_a_desktop_alone(
    environ: dict[str, str], platform: str, there: bool
) -> None:
    assert desktop_session(environ, platform) is there
    opened: list[str] = []

    def show(address: str) -> bool:
        opened.append(address)
        return True

    said = open_page(Path("/a folder/report.html"), environ, platform, show)
    assert (said is None) is there
    assert opened == (["file:///a%20folder/report.html"] if there else [])
    if said:
        assert "/a folder/report.html" in said


def test_a_desktop_without_a_browser() -> None:
    said = open_page(Path("/report.html"), {"DISPLAY": ":0"}, "linux", lambda _: False)
    assert said == "no browser was found: open /report.html in one"


def test_what_no_page_can_hold_is_taken_out() -> None:
    assert safe("a\x1b[31mb\x00\ud800c\nd\te") == "ab?c\nd\te"
