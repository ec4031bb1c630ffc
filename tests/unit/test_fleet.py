"""``invoke bench --fleet``: what is planned, how it runs, and what its figures come to."""

from __future__ import annotations

import io
import itertools
import json
import math
import statistics
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dockyard.bench.fleet import _Fleet
from dockyard.bench.fleet_command import fleet_text, plan_lines
from dockyard.bench.fleet_plan import FleetRequest, arrivals, plan_fleet
from dockyard.bench.fleet_result import (
    FleetBuild,
    FleetResult,
    FleetStrategy,
    fleet_json,
    fleet_lines,
    fleet_of,
    percentile,
)
from dockyard.bench.progress import LineProgress
from dockyard.bench.results import BenchResult, Machine, Versions, read_result, write_result
from dockyard.bench.scale import (
    END,
    TEAMS,
    Assumptions,
    begin,
    builders_needed,
    load_of,
    scale_markdown,
    waiting_probability,
    with_scale,
)
from dockyard.bench.tables import markdown
from dockyard.bench.verdicts import fleet_verdict, verdict_lines
from dockyard.display.progress import LineWriter
from dockyard.errors import BuildFailedError, RecordError, SettingsError
from dockyard.report.bench import view_bench
from dockyard.settings import Settings, load_settings

TEXTS = {
    "README.md": "# App\n",
    "scripts/run.py": "print(1)\n",
    "src/app/__init__.py": "",
    "src/app/model.py": "X = 1\n",
    "tests/test_app.py": "def test(): ...\n",
}
SOURCES = ("src", "scripts")


def build(number: int, seconds: float, waited: float = 0.0) -> FleetBuild:
    return FleetBuild(number, 1, float(number), waited, seconds, 9, 10)


def fleet(**more: Any) -> FleetResult:
    values: dict[str, Any] = {
        "started": "2026-01-02T03:04:05Z",
        "builders": 2,
        "per_minute": 6.0,
        "seed": 1,
        "bandwidth": None,
        "keeps_state": False,
        "strategies": (
            FleetStrategy(
                "plan", (build(1, 10.0), build(2, 14.0, 3.0)), 280_000_000, 20_000, 4_000
            ),
            FleetStrategy("dockyard", (build(1, 0.5), build(2, 1.5)), 60_000, 20_000, 5_000),
        ),
    }
    return FleetResult(**{**values, **more})


def result(*fleets: FleetResult) -> BenchResult:
    machine = Machine("cpu", 2, 8, "Linux")
    versions = Versions("1", None, "1", "1", None, "1", "p", "u")
    nothing: tuple[str, ...] = ()
    return BenchResult(
        started="2026-01-02T03:04:05Z",
        command="invoke bench --fleet 2",
        project="app",
        machine=machine,
        versions=versions,
        bandwidth=None,
        repetitions=1,
        scenarios=nothing,
        dockerfiles=nothing,
        environments=nothing,
        changes={},
        fleets=fleets,
    )


# -------------------- the plan


def test_changes_arrive_as_a_poisson_process() -> None:
    times = arrivals(4000, 6.0, 1)
    gaps = [later - earlier for earlier, later in itertools.pairwise((0.0, *times))]
    assert min(gaps) >= 0
    # An exponential distribution of 10 s: its mean and deviation are the same, e^-1 are longer.
    assert statistics.fmean(gaps) == pytest.approx(10.0, rel=0.05)
    assert statistics.pstdev(gaps) == pytest.approx(10.0, rel=0.05)
    assert sum(gap > 10 for gap in gaps) / len(gaps) == pytest.approx(0.368, abs=0.03)
    # How many come in a minute: Poisson's mean and variance are the same too.
    counts = Counter(int(time // 60) for time in times)
    whole = [counts[minute] for minute in range(int(times[-1] // 60))]
    assert statistics.pvariance(whole) == pytest.approx(6.0, rel=0.15)
    assert arrivals(4000, 6.0, 1) == times
    assert arrivals(10, 6.0, 2) != times[:10]
    assert arrivals(10, 12.0, 1) == pytest.approx([time / 2 for time in times[:10]], abs=0.001)


def test_builders_take_turns_and_changes_build_on_each_other() -> None:
    plan = plan_fleet(FleetRequest(3, 7), TEXTS, SOURCES)
    assert [one.number for one in plan] == [1, 2, 3, 4, 5, 6, 7]
    assert [one.builder for one in plan] == [1, 2, 3, 1, 2, 3, 1]
    assert [one.arrives for one in plan] == list(arrivals(7, 4.0, 1))
    texts = dict(TEXTS)
    for one in plan:
        assert one.change.writes
        assert not one.change.removes
        for path, text in one.change.writes.items():
            assert path.startswith(("src/", "scripts/"))
            assert text.startswith(texts[path])
            assert text != texts[path]
        texts |= one.change.writes
    assert plan == plan_fleet(FleetRequest(3, 7), TEXTS, SOURCES)
    assert [FleetRequest(number).count for number in (1, 2, 3, 8)] == [2, 3, 5, 12]


def test_what_makes_no_fleet() -> None:
    with pytest.raises(SettingsError) as raised:
        FleetRequest(0, -1, 0.0).check()
    text = str(raised.value)
    assert all(flag in text for flag in ("--fleet", "--builds", "--rate"))
    for rate in (float("inf"), float("nan"), -1.0):
        with pytest.raises(SettingsError, match="--rate"):
            FleetRequest(2, per_minute=rate).check()
    FleetRequest(1, 0, 0.5).check()


def test_a_dry_run_lists_every_change(tmp_path: Path) -> None:
    for name, text in TEXTS.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.dockyard]\ncopy-paths = ["src", "scripts"]\n', encoding="utf-8"
    )
    settings: Settings = load_settings(tmp_path, {}, {})
    text = fleet_text(settings, FleetRequest(2, 3), {}, io.StringIO(), dry_run=True)
    python = {name: text for name, text in TEXTS.items() if name.endswith(".py")}
    plan = plan_fleet(FleetRequest(2, 3), python, settings.copy_paths)
    assert text.splitlines() == plan_lines(FleetRequest(2, 3), plan)
    assert text.splitlines()[1].startswith("2. after ")
    assert "3 builds with each of plan, dockyard, by 2 builders: about 5 minutes" in text
    with pytest.raises(SettingsError, match="--bandwidth"):
        fleet_text(settings, FleetRequest(2), {}, io.StringIO(), bandwidth="fast", dry_run=True)


# -------------------- the run, without an engine


class FakeBuilders:
    def __init__(self) -> None:
        self.emptied: list[int] = []

    def name(self, number: int) -> str:
        return f"builder-{number}"

    def empty(self, number: int) -> None:
        self.emptied.append(number)


class FakeFleet(_Fleet):
    """Builds take ``took`` seconds, and ``fails`` names the one that fails."""

    took = 0.05
    fails = 0

    def _build(self, builder: str, tree: Path) -> tuple[float, int | None, int | None]:
        end = time.monotonic() + self.took
        while time.monotonic() < end:
            self._check()
            time.sleep(0.005)
        if tree == Path(str(self.fails)):
            raise BuildFailedError("it failed")
        return self.took, 9, 10


def fake(request: FleetRequest) -> FakeFleet:
    site: Any = SimpleNamespace()
    progress = LineProgress(LineWriter(io.StringIO()))
    return FakeFleet(site, request, "plan", plan_fleet(request, TEXTS, SOURCES), progress)


def trees(request: FleetRequest) -> list[Path]:
    return [Path(str(number)) for number in range(request.count + 1)]


def run(made: FakeFleet, builders: FakeBuilders) -> None:
    made._run(builders, trees(made.request))  # type: ignore[arg-type]


def test_a_build_waits_for_its_builder_and_that_is_counted_apart() -> None:
    # All arrive at once, so the second of each builder waits for the first.
    request = FleetRequest(2, 4, per_minute=1e6)
    made, builders = fake(request), FakeBuilders()
    run(made, builders)
    built = {one.number: one for one in made._done}
    assert set(built) == {1, 2, 3, 4}
    assert {one.seconds for one in built.values()} == {0.05}
    assert max(built[1].waited, built[2].waited) < min(built[3].waited, built[4].waited)
    assert min(built[3].waited, built[4].waited) >= 0.05
    # Nothing follows the last build of a builder, which is emptied for others alone.
    assert sorted(builders.emptied) == [1, 2]
    kept = FakeBuilders()
    run(fake(replace(request, keeps_state=True)), kept)
    assert kept.emptied == []


def test_one_failure_stops_all_others() -> None:
    request = FleetRequest(3, 6, per_minute=1e6)
    made = fake(request)
    made.fails, made.took = 2, 0.1
    with pytest.raises(BuildFailedError, match="it failed"):
        run(made, FakeBuilders())
    assert len(made._done) <= 2
    assert [one.name for one in threading.enumerate() if "_work" in one.name] == []


# -------------------- figures


def test_percentiles_are_interpolated() -> None:
    values = [4.0, 1.0, 3.0, 2.0]
    found = [percentile(values, share) for share in (0, 0.5, 0.95, 1)]
    assert found == pytest.approx([1.0, 2.5, 3.85, 4.0])
    assert percentile([7.0], 0.95) == 7.0
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 0.5)


def test_a_fleet_s_figures() -> None:
    plan, ours = fleet().strategies
    assert (plan.served_bytes, ours.served_bytes) == (280_020_000, 80_000)
    assert (plan.mean("seconds"), plan.mean("served_bytes")) == (12.0, 140_010_000.0)
    assert (plan.seconds(0.5), plan.waited(0.5)) == (12.0, 1.5)
    assert fleet().share == pytest.approx(80_000 / 280_020_000)
    assert fleet(strategies=(ours,)).share is None


def test_at_most_one_percent_is_served() -> None:
    good = fleet_verdict(fleet())
    assert good is not None
    assert good.passed
    plan, ours = fleet().strategies
    bad = fleet(strategies=(plan, replace(ours, blob_bytes=3_000_000)))
    lines = verdict_lines(result(fleet(), replace(bad, builders=8)))
    assert lines[0].startswith(
        "pass  0.0002857 ×  bytes served against plan (fleet of 2, code-change)"
    )
    assert lines[1].startswith("MISS  0.01078 ×  bytes served against plan (fleet of 8")
    assert fleet_verdict(fleet(keeps_state=True)) is None


def test_a_result_holds_fleets_and_is_read_as_it_was_written(tmp_path: Path) -> None:
    kept = fleet(keeps_state=True)
    whole = result().with_fleet(fleet(seed=7)).with_fleet(kept).with_fleet(fleet())
    assert whole.fleets == (kept, fleet())
    path = tmp_path / "result.json"
    write_result(path, whole)
    assert read_result(path) == whole
    assert whole.missing() == ()
    values = json.loads(path.read_text())["fleets"][1]
    assert values["strategies"][1]["summary"]["served_bytes"] == 80_000
    assert fleet_of(values) == fleet()
    assert fleet_json(fleet())["share"] == values["share"]
    broken: list[dict[str, Any]] = [{}, {"strategies": [{}]}, {"strategies": 3}]
    for one in (*broken, {**values, "strategies": [None]}):
        with pytest.raises(ValueError, match="no fleet"):
            fleet_of(one)
    damaged = json.loads(whole.as_json())
    damaged["fleets"] = [{"builders": 3}]
    path.write_text(json.dumps(damaged))
    with pytest.raises(RecordError, match="no fleet"):
        read_result(path)


def test_a_fleet_in_text_tables_and_report() -> None:
    lines = fleet_lines(fleet())
    assert lines[0] == (
        "Fleet of 2 builders that start each build empty, 6 code changes a minute, seed 1"
    )
    shown = " ".join(lines[2].split())
    assert shown.endswith("layer 2 280 MB 140 MB 4.0 kB 12.0 s 13.8 s 2.85 s")
    text = markdown(result(fleet(), fleet(keeps_state=True)))
    assert "Project: `app`. cpu, 2 cores" in text
    assert "### Fleet of 2 builders that keep their state, 6 code changes a minute" in text
    assert "| Dockyard | 2 | 80.0 kB | 40.0 kB | 5.0 kB | 1.00 s | 1.45 s | 0.00 s |" in text
    view = view_bench(result(fleet()))
    (table,) = view.fleets
    assert table.rows[0][0] == "Three stages, one dependency layer"
    assert table.rows[0][-1] == "2.85 s"
    assert len(table.headings) == len(table.rows[0])
    assert [one.passed for one in view.verdicts] == [True]


# -------------------- what it comes to


def test_erlang_s_formula() -> None:
    # A single server is busy for the share of time that the load is (M/M/1).
    assert waiting_probability(1, 0.3) == pytest.approx(0.3)
    # From the definition: the sum over states, for 5 servers and a load of 3.
    terms = [3**k / math.factorial(k) for k in range(5)]
    full = 3**5 / math.factorial(5) * 5 / (5 - 3)
    assert waiting_probability(5, 3.0) == pytest.approx(full / (sum(terms) + full))
    assert waiting_probability(3, 3.0) == waiting_probability(2, 9.0) == 1.0
    assert waiting_probability(4, 0.0) == 0.0
    for load in (0.001, 0.5, 4.2, 40.0, 400.0):
        needed = builders_needed(load, 0.05)
        assert waiting_probability(needed, load) <= 0.05
        assert needed == 1 or waiting_probability(needed - 1, load) > 0.05


def test_builds_a_day_are_multiplied_out() -> None:
    plan = fleet().strategies[0]
    load = load_of(plan, 100, Assumptions(egress=0.1, hour=2.0, days=20, hours=10.0))
    assert load.served == pytest.approx(14.001e9)
    assert load.received == pytest.approx(200_000)
    assert load.line == pytest.approx(8 * 14.001e9 / 36_000)
    assert load.builder_hours == pytest.approx(100 * 12 / 3600)
    assert load.builders == 1  # 0.033 builds run at once
    assert load.egress == pytest.approx(20 * 14.001 * 0.1)
    assert load.compute == pytest.approx(20 * 100 * 12 / 3600 * 2)
    assert load_of(plan, 10_000, Assumptions()).builders == builders_needed(
        10_000 * 12 / 28_800, 0.05
    )


def test_tables_of_scale_go_between_their_markers() -> None:
    text = f"before\n{begin('a.json')}\nold\n{END}\nafter\n"
    once = with_scale(text, "a.json", fleet(), Assumptions())
    assert "old" not in once
    assert once.startswith("before\n")
    assert once.endswith(f"{END}\nafter\n")
    assert with_scale(once, "a.json", fleet(), Assumptions()) == once
    for team in TEAMS:
        assert f"| {team:,} | Dockyard |" in once
    assert "p = 0.5 USD" in scale_markdown(fleet(), Assumptions(egress=0.5))
    with pytest.raises(RecordError, match="no place"):
        with_scale(once, "b.json", fleet(), Assumptions())


def test_the_page_says_what_the_committed_result_comes_to(repository: Path) -> None:
    name = "docs/bench/fleet.json"
    text = (repository / "docs/scale.md").read_text(encoding="utf-8")
    fleets = [one for one in read_result(repository / name).fleets if not one.keeps_state]
    assert with_scale(text, name, fleets[0], Assumptions()) == text
    verdict = fleet_verdict(fleets[0])
    assert verdict is not None
    assert verdict.passed
    assert fleets[0].builders == 8
