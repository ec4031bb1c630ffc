"""What a bench measures and in which order, its result, medians, tables and verdicts."""

from __future__ import annotations

import io
import json
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dockyard.bench.bandwidth import Line, TokenBucket, format_bandwidth, parse_bandwidth
from dockyard.bench.command import Request, bench_text
from dockyard.bench.commits_result import CommitMeasurement, CommitReplay
from dockyard.bench.dockerfiles import Caches, buildx_command, invoke_command, shim
from dockyard.bench.empty_builders import builder_state
from dockyard.bench.engine_cache import records_of_bench
from dockyard.bench.fresh import recipe_key
from dockyard.bench.leftovers import abandoned
from dockyard.bench.medians import ratio, summarize, summary_of
from dockyard.bench.results import (
    DISK,
    MEMORY,
    BenchResult,
    Machine,
    Measurement,
    Versions,
    read_result,
    write_result,
)
from dockyard.bench.runner import measured, resumed
from dockyard.bench.scenarios import DOCKERFILES, ENVIRONMENTS, SCENARIOS, Cell, cells, select
from dockyard.bench.short_tables import short_markdown
from dockyard.bench.storage import clone_storage, pack, unpack
from dockyard.bench.tables import END, SHORT, begin, markdown, regions, with_tables
from dockyard.bench.verdicts import verdict_lines, verdicts
from dockyard.bench.workspace import checkout, read_changes
from dockyard.caches.builder_usage import UsageKind, UsageRecord, parse_usage
from dockyard.errors import BuildFailedError, NetworkError, RecordError, SettingsError
from dockyard.settings import Settings, load_settings


def measurement(cell: Cell, seconds: float = 1.0, **more: Any) -> Measurement:
    values: dict[str, Any] = {
        "started": "2026-01-02T03:04:05Z",
        "seconds": seconds,
        "bytes_down": 1000,
        "bytes_up": 0,
        "bytes_pulled": None,
        "steps_cached": 3,
        "steps_counted": 4,
    }
    return Measurement(**vars(cell), **{**values, **more})


def result(repetitions: int = 3, **more: Any) -> BenchResult:
    selection = select(repetitions=repetitions)
    values: dict[str, Any] = {
        "started": "2026-01-02T03:04:05Z",
        "command": "invoke bench",
        "project": "examples/mushroom",
        "machine": Machine("A processor", 2, 8 * 10**9, "Debian, 6.1"),
        "versions": Versions("0.1.0", "abc", "28", "0.29", "v0.32.2", "0.13.9", "python", "uv"),
        "bandwidth": None,
        "repetitions": repetitions,
        "scenarios": selection.scenarios,
        "dockerfiles": selection.dockerfiles,
        "environments": selection.environments,
        "changes": dict.fromkeys(SCENARIOS, "nothing"),
    }
    return BenchResult(**{**values, **more})


def test_cells_are_every_combination_once_with_dockerfiles_taking_turns() -> None:
    found = cells(select(repetitions=2))
    wanted = 2 * len(SCENARIOS) * len(DOCKERFILES) * len(ENVIRONMENTS)
    assert len(found) == len(set(found)) == wanted
    # One scenario's Dockerfiles stand together, and the one that begins is another each time.
    groups = [found[start : start + 5] for start in range(0, wanted, 5)]
    assert all(len({(g.repetition, g.environment, g.scenario) for g in one}) == 1 for one in groups)
    firsts = Counter(one[0].dockerfile for one in groups)
    assert set(firsts) == set(DOCKERFILES)
    assert max(firsts.values()) - min(firsts.values()) <= len(ENVIRONMENTS)
    # A first build precedes all that start from it.
    for environment in ENVIRONMENTS:
        order = [one.scenario for one in found if one.environment == environment]
        assert order[:5] == ["first-build"] * 5


def test_a_selection_keeps_the_tables_order() -> None:
    selection = select(["code-change,first-build"], ["dockyard", "plan"], ["directory"], 1)
    assert selection.scenarios == ("first-build", "code-change")
    assert selection.dockerfiles == ("plan", "dockyard")
    assert [str(cell) for cell in cells(selection)] == [
        "directory, first-build, plan (1)",
        "directory, first-build, dockyard (1)",
        "directory, code-change, dockyard (1)",
        "directory, code-change, plan (1)",
    ]


def test_every_unknown_name_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        select(["code-chnage"], ["mine"], ["warm", "cold"], 0)
    messages = [str(problem) for problem in caught.value.problems]
    assert len(messages) == 4
    assert "did you mean code-change?" in messages[0]
    assert "original, plan, uv, uv-depot, dockyard" in messages[1]
    assert "cold" in messages[2]
    assert "--repetitions" in messages[3]


def test_medians_and_spread_leave_out_what_is_unknown() -> None:
    found = summarize([3.0, None, 1.0, 2.0])
    assert found is not None
    assert (found.median, found.low, found.high, found.count) == (2.0, 1.0, 3.0, 3)
    assert summarize([None]) is None


def test_a_ratio_is_taken_within_each_repetition() -> None:
    measured = result()
    for number, (ours, theirs) in enumerate([(1.0, 10.0), (4.0, 10.0), (3.0, 5.0)], 1):
        for name, seconds in (("dockyard", ours), ("plan", theirs)):
            cell = Cell(number, "warm", "code-change", name)
            measured = measured.with_measurement(measurement(cell, seconds))
    found = ratio(measured, "seconds", "warm", "code-change", "dockyard", "plan")
    assert found is not None
    assert (found.median, found.low, found.high) == (0.4, 0.1, 0.6)
    assert ratio(measured, "bytes_up", "warm", "code-change", "dockyard", "plan") is None
    assert summary_of(measured, "bytes_pulled", "warm", "code-change", "plan") is None


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    cell = Cell(1, "registry", "no-change", "uv")
    written = result(1, bandwidth=10**8).with_measurement(
        measurement(cell, phases={"build": 1.0}, traffic={"index": 5})
    )
    path = tmp_path / "folder/result.json"
    write_result(path, written)
    assert read_result(path) == written
    assert next(iter(json.loads(path.read_text()))) == "schema"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"schema": 1, "star', "no whole JSON"),
        ("[]", "no schema version"),
        ('{"schema": 99}', "newer than this Dockyard's"),
        ('{"schema": 1, "scenarios": ["no-change"]}', "lacks or misshapes"),
    ],
)
def test_a_result_that_is_none_is_refused_and_left(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(RecordError, match=words):
        read_result(path)
    assert path.read_text() == text


def test_a_stopped_run_knows_what_is_left_and_a_second_measurement_replaces_the_first() -> None:
    stopped = result(1)
    cell = cells(stopped.selection)[0]
    stopped = stopped.with_measurement(measurement(cell)).with_measurement(measurement(cell, 2.0))
    assert [one.seconds for one in stopped.measurements] == [2.0]
    assert stopped.missing() == cells(stopped.selection)[1:]


def test_a_run_goes_on_only_with_what_it_began_with(tmp_path: Path) -> None:
    begun = result()
    assert resumed(begun, result(started="later", command="another"), tmp_path) == begun
    versions = replace(begun.versions, commit="def", engine="29")
    with pytest.raises(RecordError) as caught:
        resumed(begun, result(versions=versions, bandwidth=1000), tmp_path)
    for words in ("commit: abc then, def now", "engine: 28 then, 29 now", "bandwidth"):
        assert words in str(caught.value)


def test_a_result_that_is_not_committed_itself_does_not_keep_a_run_from_going_on(
    tmp_path: Path,
) -> None:
    begun = result()
    versions = replace(begun.versions, commit=f"{begun.versions.commit}-dirty")
    assert resumed(begun, result(versions=versions), tmp_path) == begun


class Flaky:
    """An environment whose first builds fail."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    def measure(self, cell: Cell) -> Measurement:
        if self.failures:
            self.failures -= 1
            raise BuildFailedError("a push failed")
        return measurement(cell)


def test_a_cell_whose_build_failed_is_measured_again_and_says_so() -> None:
    said: list[str] = []
    cell = Cell(1, "registry", "code-change", "plan")
    found = measured(cell, Flaky(2), tuple, said.append)
    assert (found.failures, len(said)) == (2, 2)
    assert "a build failed, and was repeated, of: registry, code-change, plan (1)" in markdown(
        result(1).with_measurement(found)
    )
    with pytest.raises(BuildFailedError):
        measured(cell, Flaky(3), tuple, said.append)
    with pytest.raises(NetworkError, match="each of 3 tries, for a"):
        measured(cell, Flaky(0), lambda: ("a.whl",), said.append)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_bucket_lets_its_rate_through() -> None:
    clock = Clock()
    bucket = TokenBucket(1000, clock=clock.time, sleep=clock.sleep)
    for _ in range(100):
        bucket.take(100)
    assert clock.now == pytest.approx(10, abs=0.05)
    # A pause earns no more than a moment's bytes.
    clock.now += 60
    before = clock.now
    for _ in range(10):
        bucket.take(100)
    assert clock.now - before == pytest.approx(1, abs=0.05)


def test_connections_share_a_line_and_directions_do_not() -> None:
    clock, lock = Clock(), threading.Lock()
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        with lock:
            slept.append(seconds)

    line = Line(8000, clock=clock.time, sleep=sleep)
    line.down(10**6)
    assert slept == []  # nothing is measured yet
    line.shaped = True
    threads = [threading.Thread(target=line.down, args=(1000,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(slept) == pytest.approx([1, 2, 3], abs=0.05)
    slept.clear()
    line.up(500)
    assert slept == pytest.approx([0.5], abs=0.05)
    Line(None).down(10**9)


@pytest.mark.parametrize(
    ("text", "bits"), [("100mbit", 10**8), ("1.5 Gbit", 1_500_000_000), ("64kbit", 64_000)]
)
def test_bandwidths(text: str, bits: int) -> None:
    assert parse_bandwidth(text) == bits
    assert parse_bandwidth(format_bandwidth(bits)) == bits


@pytest.mark.parametrize("text", ["", "100", "fast", "0mbit", "100MB", "-1mbit"])
def test_what_is_no_bandwidth(text: str) -> None:
    with pytest.raises(SettingsError, match="is no bandwidth"):
        parse_bandwidth(text)


def test_commands_are_those_of_the_guides() -> None:
    def command(caches: Caches, push: bool = True) -> str:
        return " ".join(
            buildx_command(
                "examples/bench/uv/Dockerfile",
                context="project",
                builder="one",
                python_image="host/python:3.13",
                uv_image="host/uv:1",
                tag="host/uv:latest",
                push=push,
                caches=caches,
            )
        )

    plain = command(Caches(), push=False)
    assert "--cache" not in plain
    assert "--load" in plain
    assert plain.endswith(" project")
    registry = command(Caches(reference="host/uv:cache"))
    assert "--push" in registry
    assert "--cache-from type=registry,ref=host/uv:cache" in registry
    assert "--cache-to type=registry,ref=host/uv:cache,mode=max" in registry
    first = command(Caches(target="new"))
    assert "--cache-from" not in first
    assert "--cache-to type=local,dest=new,mode=max" in first
    assert "--cache-from type=local,src=old" in command(Caches(source="old", target="new"))
    assert invoke_command("python", push=True) == ["python", "-m", "invoke", "build", "--push"]


@pytest.mark.spawns
def test_the_shim_gives_builds_a_namespace_and_passes_all_else_on(tmp_path: Path) -> None:
    from dockyard import process

    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\nprintf "<%s>" "$@"\n')
    front = tmp_path / "shim"
    front.write_text(shim(str(docker), "space"))
    for path in (docker, front):
        path.chmod(0o755)
    built = process.run([str(front), "buildx", "build", "--tag", "a b", "."])
    assert built.stdout == (
        "<buildx><build><--build-arg><BUILDKIT_CACHE_MOUNT_NS=space><--tag><a b><.>"
    )
    assert process.run([str(front), "buildx", "ls"]).stdout == "<buildx><ls>"


def usage(name: str, *parents: str, description: str = "step", mount: str = "") -> UsageRecord:
    kind = UsageKind.MOUNT if mount else UsageKind.LAYER
    return UsageRecord(name, kind, description, 1, 0, True, mount or None, 1, parents)


def test_what_a_bench_left_is_told_from_what_others_did() -> None:
    records = [
        usage("python", description=""),
        usage("base", "python", description=""),
        usage("run", "base"),
        usage("linked"),
        usage("found-linked"),
        usage("merged", "python", "base", "linked", "found-linked"),
        usage("theirs", "python"),
        usage("their-linked"),
        usage("their-merged", "python", "their-linked"),
        usage("mount", mount="dockyard-bench-7-1-plan//root/.cache/uv"),
        usage("their-mount", mount="dockyard-uv"),
    ]
    ours = records_of_bench(
        records, roots={"base"}, before={"found-linked"}, run="dockyard-bench-7"
    )
    assert ours == ("linked", "merged", "mount", "run")


def test_usage_names_the_records_that_one_stands_on() -> None:
    line = json.dumps({"ID": "a", "Type": "regular", "Parents": ["b", "c"], "Size": "1B"})
    assert parse_usage(line)[0].parents == ("b", "c")


def test_a_restored_storage_shares_blobs_and_nothing_that_is_written_in_place(
    tmp_path: Path,
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "blobs").mkdir(parents=True)
    (source / "blobs/data").write_bytes(b"b" * 100_000)
    (source / "link").write_text("sha256:old")
    target.mkdir()
    (target / "left").write_text("of another measurement")
    clone_storage(source, target)
    assert (target / "blobs/data").samefile(source / "blobs/data")
    (target / "link").write_text("sha256:new")
    assert (source / "link").read_text() == "sha256:old"
    assert not (target / "left").exists()


def test_a_cache_travels_whole_and_each_byte_is_let_through(tmp_path: Path) -> None:
    folder, moved = tmp_path / "cache", list[int]()
    (folder / "blobs").mkdir(parents=True)
    (folder / "blobs/one").write_bytes(b"1" * 300_000)
    (folder / "index.json").write_text("{}")
    saved = pack(folder, tmp_path / "cache.tar", moved.append)
    assert saved == sum(moved) == (tmp_path / "cache.tar").stat().st_size
    moved.clear()
    restored = unpack(tmp_path / "cache.tar", tmp_path / "restored", moved.append)
    assert restored == sum(moved) <= saved
    assert (tmp_path / "restored/blobs/one").read_bytes() == b"1" * 300_000
    assert (tmp_path / "restored/index.json").read_text() == "{}"


def test_a_checkout_touches_only_what_differs(tmp_path: Path) -> None:
    source, tree = tmp_path / "source", tmp_path / "tree"
    for name, text in (("same", "1"), ("changed", "1"), ("gone/file", "1"), ("settings", "1")):
        for root in (source, tree):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
    (tree / ".dockyard").mkdir()
    (tree / ".dockyard/state.json").write_text("{}")
    (source / "changed").write_text("2")
    (source / "new").write_text("2")
    (source / "settings").write_text("2")
    (source / "gone/file").unlink()
    before = (tree / "same").stat().st_mtime_ns
    checkout(source, tree, keep=("settings",))
    assert (tree / "same").stat().st_mtime_ns == before
    assert (tree / "changed").read_text() == (tree / "new").read_text() == "2"
    assert (tree / "settings").read_text() == "1"
    assert not (tree / "gone").exists()
    assert (tree / ".dockyard/state.json").exists()


def test_changes_of_the_repository_and_changes_that_are_none(
    repository: Path, tmp_path: Path
) -> None:
    found = read_changes(repository / "examples/bench/changes.toml")
    assert set(found) == set(SCENARIOS)
    assert (repository / "examples/mushroom" / str(found["code-change"].file)).is_file()
    assert found["small-dependency"].arguments[:2] == ("lock", "--upgrade-package")
    assert found["new-dependency"].arguments[0] == "add"
    assert found["no-change"].text == found["first-build"].text == "nothing"
    with pytest.raises(SettingsError, match="nothing to measure"):
        read_changes(tmp_path / "none.toml")
    for text, words in (("[", "no TOML"), ('[code-change]\nfiles = "a"', "neither file nor")):
        (tmp_path / "changes.toml").write_text(text)
        with pytest.raises(SettingsError, match=words):
            read_changes(tmp_path / "changes.toml")


def test_every_dockerfile_has_its_folder_and_says_whose_it_is(repository: Path) -> None:
    folder = repository / "examples/bench"
    assert {path.name for path in folder.iterdir() if path.is_dir()} == set(DOCKERFILES)
    for name in DOCKERFILES:
        assert (folder / name / "README.md").is_file()
        assert (folder / name / "Dockerfile").is_file() is (name != "dockyard")


def full_result() -> BenchResult:
    measured = result(3, changes={**dict.fromkeys(SCENARIOS, "nothing"), "code-change": "a edited"})
    for cell in cells(measured.selection):
        ours = cell.dockerfile == "dockyard"
        seconds = (0.1 if ours else 10.0) * (1 + cell.repetition / 100)
        more = {"bytes_down": 10 if ours else 10**6, "bytes_up": 10 if ours else 10**6}
        measured = measured.with_measurement(measurement(cell, seconds, **more))
    return measured


def test_tables_show_medians_with_their_spread_and_what_was_measured_on_what() -> None:
    text = markdown(full_result())
    assert "| Code change | 10.2 s (10.1 s–10.3 s)" in text
    assert "| 0.10 s |" in text
    assert "3 of 4" in text
    for words in ("A processor, 2 cores", "Docker Engine 28", "`invoke bench`", "a edited"):
        assert words in text
    assert "highest. Project" in text
    once = markdown(result(1).with_measurement(measurement(Cell(1, "warm", "no-change", "plan"))))
    assert "| First build | – |" in once
    assert "each cell measured once (stopped: 89 cells are not measured)" in once


def test_tables_replace_what_is_between_the_markers() -> None:
    text = f"before\n{begin('a.json')}\nold\n{END}\nafter\n"
    once = with_tables(text, "a.json", full_result())
    assert once.startswith(f"before\n{begin('a.json')}\n")
    assert once.endswith(f"{END}\nafter\n")
    assert "old" not in once
    assert with_tables(once, "a.json", full_result()) == once
    # The only region takes another result, of several none but its own does.
    assert list(regions(with_tables(once, "b.json", full_result()))) == ["b.json"]
    for text in ("no markers", once + once.replace("a.json", "b.json")):
        with pytest.raises(RecordError, match="no place"):
            with_tables(text, "c.json", full_result())


def test_a_region_may_show_promises_and_times_alone() -> None:
    text = f"{begin('a.json#short')}\n{END}\n{begin('a.json')}\n{END}\n"
    shown = regions(with_tables(text, "a.json", full_result()))
    assert shown["a.json"] == f"{begin('a.json')}\n\n{markdown(full_result())}\n{END}"
    short = shown["a.json#short"]
    promise = "| ≤ 0.05 × | 0.01 × | 0.10 s for 10.2 s | reached |"
    assert promise in short
    assert "not slower in 36 of 36 cells." in short
    assert "| less time of a code change | 60–70 % | 99 % (code change) |" in short
    assert "Time, warm local engine:" in short
    assert "| Code change | 10.2 s | 10.2 s | 10.2 s | 10.2 s | 0.10 s |" in short
    assert "bytes that a machine" not in short.lower()
    # A file's only region takes another result, and stays as short as it was.
    alone = f"{begin('a.json#short')}\n{END}\n"
    assert list(regions(with_tables(alone, "b.json", full_result()))) == ["b.json#short"]


def test_the_share_of_cached_steps_is_held_against_its_aim() -> None:
    replay = CommitReplay("examples/mushroom", "warm", "2026-01-02T03:04:05Z", 2, 1, "mark")
    for number, rate in ((1, 0.9), (2, 1.0)):
        commit = CommitMeasurement(number, "code", "x", 1.0, rate, rate, rate)
        replay = replay.with_commit(commit, "abc")
    text = short_markdown(result(1, replays=(replay,)))
    assert "| steps that were cached | 75–85 % | 95 % (warm local engine, 2 commits) |" in text


def test_a_run_that_was_stopped_claims_no_repetition_that_it_has_not() -> None:
    stopped = result(2).with_measurement(measurement(Cell(1, "warm", "code-change", "uv")))
    for text in (markdown(stopped), short_markdown(stopped)):
        assert "each cell measured once" in text
        assert "medians" not in text


def test_promises_that_are_missed_and_cells_that_are_slower_are_said() -> None:
    measured = result(1)
    for name, seconds in (("original", 10.0), ("uv", 1.0), ("dockyard", 2.0)):
        cell = Cell(1, "warm", "code-change", name)
        measured = measured.with_measurement(measurement(cell, seconds))
    text = short_markdown(measured)
    assert "on 2026-01-02: each cell measured once, stopped: 87 cells are not measured." in text
    assert "Time, fresh builder" not in text
    assert "| 0.2 × | 2.00 s for 10.0 s | **missed** |" in text
    assert "not slower in 0 of 1 cells. Slower by more than 5 %: code change" in text
    assert "2 × (2.00 s for 1.00 s)" in text


def test_documents_show_what_committed_results_say(repository: Path) -> None:
    results = {path.relative_to(repository).as_posix() for path in repository.glob("docs/bench/*")}
    shown = set()
    for page in (*repository.glob("*.md"), *repository.glob("docs/*.md")):
        text = page.read_text(encoding="utf-8")
        for name in {region.removesuffix(SHORT) for region in regions(text)}:
            assert with_tables(text, name, read_result(repository / name)) == text, page.name
            shown.add(name)
    assert shown == results


def test_targets_are_held_against_what_was_measured() -> None:
    found = verdicts(full_result())
    assert {one.passed for one in found} == {True}
    slow = full_result()
    for number in (1, 2, 3):
        cell = Cell(number, "registry", "code-change", "dockyard")
        slow = slow.with_measurement(measurement(cell, 9.0, bytes_down=10))
    missed = [str(one.target) for one in verdicts(slow) if one.passed is False]
    assert missed == ["seconds against plan (registry, code-change): at most 0.1 ×"]
    assert any(line.startswith("MISS") for line in verdict_lines(slow))
    assert {one.passed for one in verdicts(result())} == {None}
    assert verdict_lines(result()) == []


def test_only_what_a_dead_bench_made_is_left_over() -> None:
    names = ["dockyard-bench-7-3", "dockyard-bench-8", "dockyard-bench-7/python:3.13-1-plan"]
    names += ["run-7", "files", "dockyard-bench-x", "mine-dockyard-bench-7", "dockyard-bench-7-3"]
    assert abandoned(names, lambda number: number == 8) == (
        "dockyard-bench-7-3",
        "dockyard-bench-7/python:3.13-1-plan",
        "run-7",
    )


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "pyproject.toml").write_text("[tool.dockyard]\n")
    return load_settings(tmp_path, {}, {})


def test_a_dry_run_lists_the_cells_and_about_how_long_they_take(settings: Settings) -> None:
    request = Request(scenarios=("no-change",), environments=("warm",), dry_run=True)
    text = bench_text(settings, request, {}, stream := io.StringIO())
    lines = text.splitlines()
    assert lines[0] == "warm, no-change, original (1)"
    assert lines[-1].startswith("15 cells, about ")
    assert stream.getvalue() == ""


def test_tables_of_a_result_into_a_file(settings: Settings, tmp_path: Path) -> None:
    path, readme = tmp_path / "result.json", tmp_path / "README.md"
    write_result(path, full_result())
    readme.write_text(f"{begin('any.json')}\n{END}\n")
    request = Request(tables=str(path), update=str(readme))
    bench_text(settings, request, {}, io.StringIO())
    assert "| Code change |" in readme.read_text()
    with pytest.raises(RecordError, match="cannot be read"):
        bench_text(settings, replace(request, update="none.md"), {}, io.StringIO())
    with pytest.raises(SettingsError, match="--tables"):
        bench_text(settings, Request(update=str(readme)), {}, io.StringIO())
    with pytest.raises(RecordError, match="no bench was stopped"):
        bench_text(settings, Request(resume=True), {}, io.StringIO())


@pytest.mark.parametrize(
    ("memory", "expected"), [(0, DISK), (7_900_000_000, DISK), (8_000_000_000, MEMORY)]
)
def test_builders_keep_their_state_in_memory_where_half_of_it_is_enough(
    memory: int, expected: str
) -> None:
    assert builder_state(memory) == expected


@pytest.mark.parametrize(
    ("environments", "kept", "expected"),
    [
        (("warm", "registry"), MEMORY, "keep their state in memory"),
        (("directory",), DISK, "keep their state on disk"),
        (("warm",), MEMORY, None),
    ],
)
def test_tables_tell_where_builders_kept_their_state(
    environments: tuple[str, ...], kept: str, expected: str | None
) -> None:
    made = result(environments=environments)
    text = markdown(replace(made, machine=replace(made.machine, builder_state=kept)))
    found = [one for one in text.splitlines() if "keep their state" in one]
    assert bool(found) is bool(expected)
    assert all(str(expected) in one for one in found)


def test_the_recipes_key_changes_with_lock_and_dockerfile_alone(tmp_path: Path) -> None:
    names = ("uv.lock", "docker/Dockerfile")
    (tmp_path / "docker").mkdir()
    for name in names:
        (tmp_path / name).write_text(name)
    key = recipe_key(tmp_path, names)
    (tmp_path / "main.py").write_text("changed")
    assert recipe_key(tmp_path, names) == key
    found = {key}
    for name in names:
        (tmp_path / name).write_text(f"{name} changed")
        found.add(recipe_key(tmp_path, names))
    assert len(found) == 3
