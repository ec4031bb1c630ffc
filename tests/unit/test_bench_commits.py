"""``invoke bench --commits``: what is committed, what counts, and that a stopped replay goes on."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dockyard.bench.commits import CommitsRequest, replay_commits, result_path
from dockyard.bench.commits_plan import Kind, change_files, plan_commits
from dockyard.bench.commits_project import WorkCopy
from dockyard.bench.commits_result import (
    CommitMeasurement,
    CommitReplay,
    Traffic,
    measure_commit,
    read_replay,
    replay_lines,
    replay_markdown,
)
from dockyard.bench.results import BenchResult, Machine, Versions, read_result, write_result
from dockyard.bench.tables import markdown
from dockyard.errors import ProjectError, RecordError, SettingsError
from dockyard.records import BuildRecord, LayerRecord, StepRecord, TrafficRecord
from dockyard.settings import Settings, load_settings
from support.records import make_record

FILES = {
    "README.md": "# App\n",
    "scripts/run.py": "print(1)\n",
    "src/app/__init__.py": "",
    "src/app/model.py": "X = 1\n",
    "tests/test_app.py": "def test(): ...\n",
}


def test_the_usual_mix_of_commits() -> None:
    kinds = plan_commits(45, 1)
    assert Counter(kinds) == {
        Kind.EDIT: 23,
        Kind.NEW_FILE: 4,
        Kind.RENAME: 3,
        Kind.TEXT: 5,
        Kind.RELEASE: 1,
        Kind.SMALL: 6,
        Kind.LARGE: 1,
        Kind.ADDED: 1,
        Kind.REMOVED: 1,
    }
    assert kinds == plan_commits(45, 1)
    assert kinds != plan_commits(45, 2)


@pytest.mark.parametrize("count", [10, 13, 25, 40, 60, 100, 200])
def test_one_commit_in_five_changes_a_dependency(count: int) -> None:
    for seed in range(5):
        kinds = plan_commits(count, seed)
        assert len(kinds) == count
        assert sum(kind.of_dependencies for kind in kinds) == pytest.approx(0.2 * count, abs=2)
        if Kind.RENAME in kinds:
            assert kinds.index(Kind.NEW_FILE) < kinds.index(Kind.RENAME)


def test_too_few_commits_are_no_replay() -> None:
    with pytest.raises(ValueError, match="no replay"):
        plan_commits(9, 1)


def make(kind: Kind, number: int = 7, mark: str = "m", **more: str) -> Any:
    return change_files(kind, {**FILES, **more}, ("src", "scripts"), number, 1, mark)


def test_an_edit_adds_to_files_of_the_image_and_is_valid_code() -> None:
    changed: Counter[str] = Counter()
    for number in range(200):
        change = make(Kind.EDIT, number)
        changed.update(list(change.writes))
        for path, text in change.writes.items():
            assert text.startswith(FILES[path])
            assert len(text) > len(FILES[path])
            compile(text, path, "exec")
        assert change.removes == ()
    assert set(changed) == {"scripts/run.py", "src/app/__init__.py", "src/app/model.py"}
    assert changed["src/app/model.py"] > changed["scripts/run.py"] > 0


def test_the_same_seed_writes_the_same_but_for_the_mark() -> None:
    assert make(Kind.EDIT) == make(Kind.EDIT)
    one, other = make(Kind.EDIT), make(Kind.EDIT, mark="n")
    assert one.writes.keys() == other.writes.keys()
    assert one.writes != other.writes


def test_files_are_added_and_those_are_renamed() -> None:
    added = make(Kind.NEW_FILE)
    (path,) = added.writes
    assert path.endswith("/change_7.py")
    compile(added.writes[path], path, "exec")
    renamed = make(Kind.RENAME, 9, **{path: "text"})
    assert renamed.removes == (path,)
    assert renamed.writes == {path.replace("_7", "_9"): "text"}


def test_texts_are_in_no_layer() -> None:
    paths = {path for number in range(30) for path in make(Kind.TEXT, number).writes}
    assert paths == {"README.md", "tests/test_app.py"}


def record(**changes: Any) -> BuildRecord:
    rates = {"dependency": 0.9, "application": 0.75, "overall": 0.8}
    return make_record(hit_rates=rates, seconds=1.5, **changes)


def test_a_measurement_is_the_record_s() -> None:
    def step(kind: str, ran: bool, stage: str = "app") -> StepRecord:
        return StepRecord(stage, kind, f"{kind.upper()} x", None, 0.1, not ran, ran)

    old, new = LayerRecord("a", 9, digest="1", compressed=5), LayerRecord("b", 9, (), "2", 7)
    before = record(layers=(old,))
    now = record(
        layers=(old, new),
        steps=(step("copy", True), step("run", False), step("export", True), step("merge", True)),
        traffic=TrafficRecord(cache_read=3, packages_downloaded=4, layers_pushed=8),
    )
    found = measure_commit(3, Kind.EDIT, "Change x", now, before)
    assert found == CommitMeasurement(
        3, "code edited", "Change x", 1.5, 0.9, 0.75, 0.8, 7, 7, 8, ("app: COPY x",)
    )
    assert measure_commit(1, Kind.EDIT, "", now, None).bytes_pulled is None
    counted = measure_commit(1, Kind.EDIT, "", now, before, Traffic(10, 11, 12))
    figures = (counted.bytes_pulled, counted.bytes_downloaded, counted.bytes_pushed)
    assert figures == (10, 11, 12)
    unknown = replace(now, layers=(old, LayerRecord("b", 9)), traffic=TrafficRecord())
    found = measure_commit(1, Kind.EDIT, "", unknown, before)
    assert (found.bytes_pulled, found.bytes_downloaded, found.bytes_pushed) == (None, None, None)


def measurement(number: int, kind: Kind, rate: float | None, **more: Any) -> CommitMeasurement:
    return CommitMeasurement(number, str(kind), "x", 1.0, rate, rate, rate, **more)


def replayed(*commits: CommitMeasurement, count: int = 2) -> CommitReplay:
    return CommitReplay("app", "warm", "2026-01-01T00:00:00+00:00", count, 1, "m", commits)


def test_rates_are_averaged_over_the_commits_that_have_one() -> None:
    one = replayed(
        measurement(1, Kind.EDIT, 1.0, bytes_pulled=1000),
        measurement(2, Kind.SMALL, 0.5),
        measurement(3, Kind.EDIT, None),
        count=4,
    )
    assert one.mean("overall") == 0.75
    assert one.mean("overall", "code edited") == 1.0
    assert one.mean("bytes_downloaded") is None
    assert not one.complete
    assert read_replay(json.dumps(one.as_json())) == replace(one, versions={})
    lines = replay_lines(one)
    assert lines[0].startswith("3 of 4 commits of app, seed 1, warm")
    assert " ".join(lines[-2].split()) == "all 3 75.0% 75.0% 75.0% 1.00 s – – 1.0 kB"
    assert lines[-1] == "stopped half-way: the same command goes on"
    assert replay_markdown(one).splitlines()[2] == (
        "| code edited | 2 | 100.0% | 100.0% | 100.0% | 1.00 s | – | – | 1.0 kB |"
    )


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"commits": [{"number": 1}]}', '{"commits": 3}']
)
def test_what_is_no_replay_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each parser has its own words
        read_replay(text)


def test_a_bench_s_result_holds_a_replay_of_each_environment(tmp_path: Path) -> None:
    machine, versions = (
        Machine("cpu", 2, 8, "Linux"),
        Versions("1", None, "1", "1", None, "1", "p", "u"),
    )
    result = BenchResult("t", "invoke bench", "app", machine, versions, None, 1, (), (), (), {})
    one = replace(replayed(measurement(1, Kind.EDIT, 0.9)), versions={})
    other = replace(one, environment="registry")
    later = replace(one, started="later")
    whole = result.with_replay(one).with_replay(other).with_replay(later)
    assert whole.replays == (other, later)
    write_result(tmp_path / "result.json", whole)
    assert read_result(tmp_path / "result.json") == whole
    text = markdown(whole)
    assert "### 1 commit, mostly of code: warm local engine" in text
    assert "| **all** | **1** | **90.0%** |" in text
    values = json.loads(whole.as_json())
    values["replays"] = [{"commits": 3}]
    (tmp_path / "result.json").write_text(json.dumps(values))
    with pytest.raises(RecordError, match="no replay of commits"):
        read_result(tmp_path / "result.json")


class FakeWork(WorkCopy):
    """A copy whose uv changes the lock without an index."""

    def uv(self, *arguments: str) -> str | None:
        lock, project = self.root / "uv.lock", self.root / "pyproject.toml"
        self.ran.append(arguments)
        if arguments[0] == "lock" and "<" in arguments[-1]:
            name, _, version = arguments[-1].partition("<")
            text = lock.read_text()
            if name in self.stuck:
                return "no earlier release"
            lock.write_text(
                text.replace(
                    f'name = "{name}"\nversion = "{version}"', f'name = "{name}"\nversion = "0"'
                )
            )
        elif arguments[0] == "lock":
            name, _, version = arguments[-1].partition("==")
            text = lock.read_text()
            lock.write_text(
                text.replace(
                    f'name = "{name}"\nversion = "0"', f'name = "{name}"\nversion = "{version}"'
                )
            )
        elif arguments[0] in ("add", "remove"):
            project.write_text(f"{project.read_text()}\n# {arguments[0]} {arguments[1]}\n")
        return None

    stuck: frozenset[str] = frozenset()

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        super().__init__(root, environment)
        self.ran: list[tuple[str, ...]] = []


@pytest.fixture
def project(tmp_path: Path, repository: Path) -> Settings:
    """A clone of the repository's example as a project of its own."""
    root = tmp_path / "project"
    shutil.copytree(
        repository / "examples/mushroom",
        root,
        ignore=shutil.ignore_patterns(".venv", "__pycache__", ".*_cache", ".dockyard"),
    )
    with (root / "pyproject.toml").open("a") as file:
        file.write('\n[tool.dockyard]\nextras = ["cpu"]\ncopy-paths = ["src", "scripts"]\n')
    work = WorkCopy(root, {})
    work.git("init", "--quiet")
    work.commit("first")
    return load_settings(root, {}, {})


@pytest.mark.spawns
def test_a_replay_builds_every_commit_and_goes_on_where_it_was_stopped(project: Settings) -> None:
    built: list[str] = []
    work = FakeWork(project.root / ".dockyard/bench/commits", {"DOCKYARD_IMAGE": "other"})

    def build(settings: Settings, environment: Mapping[str, str]) -> tuple[BuildRecord, None]:
        if len(built) == 5:
            raise KeyboardInterrupt
        assert settings.image is not None
        assert settings.image.startswith("dockyard-replay-")
        assert "DOCKYARD_IMAGE" not in environment
        assert work.git("status", "--porcelain") == ""
        built.append(work.git("log", "-1", "--format=%s"))
        return record(), None

    said: list[str] = []
    request = CommitsRequest(12)
    with pytest.raises(KeyboardInterrupt):
        replay_commits(project, request, work, build, said.append)
    stopped = read_replay(result_path(project.root, "warm").read_text())
    assert (len(stopped.commits), stopped.complete) == (4, False)
    built.append("the one that was interrupted")
    whole = replay_commits(project, request, work, build, said.append)
    assert "going on after 4 of 12 commits" in said
    assert whole.complete
    assert whole.commits[:4] == stopped.commits
    assert whole.mark == stopped.mark
    kinds = plan_commits(12, 1)
    assert [one.kind for one in whole.commits] == [str(kind) for kind in kinds]
    assert len(built) == 14
    log = work.git("log", "--format=%s").splitlines()
    assert len(log) == 14  # the project, where the replay begins, and twelve
    dockerfile = (work.root / "docker/Dockerfile").read_text()
    assert f'.replay-{{layer}}").write_text("{whole.mark}\\n")' in dockerfile
    # Dependencies were locked at the release before, and come back one by one.
    assert 'version = "0"\n' not in (work.root / "uv.lock").read_text()
    again = replay_commits(project, request, work, lambda *_: (record(), None), said.append)
    assert again.mark != whole.mark


@pytest.mark.spawns
def test_packages_that_cannot_be_lowered_are_passed_over(project: Settings) -> None:
    from dockyard.preparation import project_facts

    work = FakeWork(project.root / ".dockyard/bench/commits", {})
    work.create(project, "x")
    packages = project_facts(project).packages
    sizes = {one.name: one.size or 0 for one in packages}
    large = sorted((n for n in sizes if sizes[n] >= 1_000_000), key=lambda n: -sizes[n])
    work.stuck = frozenset(large[:1])
    lock = (work.root / "uv.lock").read_text()
    found = work.step_back(packages, 2, 1, 1, lambda text: None)
    assert found["large"][0].partition("==")[0] == large[1]
    assert all(sizes[one.partition("==")[0]] < 1_000_000 for one in found["small"])
    assert (work.root / "uv.lock").read_text().count('version = "0"\n') == 3
    (work.root / "uv.lock").write_text(lock)
    work.stuck = frozenset(sizes)
    with pytest.raises(ProjectError, match="only 0 of 2 small dependencies"):
        work.step_back(packages, 2, 1, 1, lambda text: None)
    assert (work.root / "uv.lock").read_text() == lock


@pytest.mark.spawns
def test_bad_requests(project: Settings, tmp_path: Path) -> None:
    work = FakeWork(tmp_path / "work", {})
    with pytest.raises(SettingsError, match=r"10 at least(?s:.)*give warm or registry"):
        CommitsRequest(3, "cellar").check()
    with pytest.raises(SettingsError, match="10 at least"):
        replay_commits(
            project, CommitsRequest(3), work, lambda *_: (record(), None), lambda text: None
        )
    shutil.rmtree(project.root / ".git")
    with pytest.raises(ProjectError, match="no git repository"):
        replay_commits(
            project, CommitsRequest(12), work, lambda *_: (record(), None), lambda text: None
        )
