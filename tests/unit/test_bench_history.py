"""``invoke bench --history``, over repositories made here with git and files made up."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from dockyard.bench.history import StatusLine, bench_history, gather_history, history_text
from dockyard.bench.history_clone import is_url
from dockyard.bench.history_git import choose_lock, read_git_history
from dockyard.bench.history_report import HistoryReport, HistoryRequest, replay_repository
from dockyard.errors import DockyardError, NetworkError, ProjectError
from dockyard.git_remote import parse_remote
from dockyard.lock_versions import History, LockedPackages
from support.locks import locked, make_versions
from unit.test_history import Repository, lock


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repository")
    for versions in ({"a": "1", "b": "1"}, {"a": "2", "b": "1"}, {"a": "2", "b": "2"}):
        made.commit(lock(**versions))
    return made


def gather(reference: Path | str, request: HistoryRequest | None = None, **more: Any) -> Any:
    said: list[str] = []
    report = gather_history(
        str(reference), request or HistoryRequest(last=10), os.environ, said.append, **more
    )
    return report, said


def failure(reference: Path | str, request: HistoryRequest | None = None, **more: Any) -> str:
    with pytest.raises(DockyardError) as caught:
        gather(reference, request, **more)
    return f"{caught.value.exit_code}: {caught.value}"


@pytest.mark.spawns
def test_a_repository_is_replayed_with_progress(repository: Repository) -> None:
    report, said = gather(repository.root, HistoryRequest(layers=2, last=10))
    (one,) = report.repositories
    assert (one.name, one.versions, one.scored, one.packages) == ("repository", 3, 2, 2)
    assert {name: found.moved for name, found in one.strategies.items()} == {
        "one layer": 4000,
        "by size": 4000,
        "this plan": 2000,
        "lower bound": 2000,
    }
    assert one.strategies["this plan"].against_one_layer == 0.5
    assert one.estimated == 0
    assert said[-1] == "repository: 3 of 3 commits read"


@pytest.mark.spawns
def test_the_lock_of_a_subfolder_and_one_that_is_gone(repository: Repository) -> None:
    repository.commit(lock(a="1"), "service/uv.lock")
    repository.commit(lock(a="2"), "service/uv.lock")
    for report, _ in (
        gather(repository.root / "service"),
        gather(repository.root / "service/uv.lock"),
        gather(repository.root, lock="service/uv.lock"),
        gather(repository.root, lock="service"),
    ):
        assert report.repositories[0].versions == 2
    report, _ = gather(repository.root)
    assert report.repositories[0].notes[0] == "other locks, for --lock: service/uv.lock"
    repository.git("rm", "--quiet", "uv.lock")
    repository.commit(lock(a="1"), "other/uv.lock")
    report, _ = gather(repository.root)
    assert report.repositories[0].versions == 3


@pytest.mark.spawns
def test_several_locks_are_a_question(tmp_path: Path) -> None:
    made = Repository(tmp_path / "many")
    made.commit(lock(a="1"), "one/uv.lock")
    assert choose_lock(made.root, None).path == "one/uv.lock"
    made.commit(lock(a="1"), "two/uv.lock")
    said = failure(made.root)
    assert said.startswith("4: ")
    assert "there are 2 locks: one/uv.lock, two/uv.lock" in said
    assert "--lock one/uv.lock" in said
    assert "there are one/uv.lock, two/uv.lock" in failure(made.root, lock="three/uv.lock")


@pytest.mark.spawns
def test_what_cannot_be_replayed_says_why(tmp_path: Path, repository: Repository) -> None:
    assert "there is no such file or folder" in failure(tmp_path / "nowhere")
    (tmp_path / "plain").mkdir()
    assert "it is in no git repository" in failure(tmp_path / "plain")
    empty = Repository(tmp_path / "empty")
    assert "no commit yet" in failure(empty.root)
    empty.commit("text", "README")
    said = failure(empty.root)
    assert said.startswith("4: ")
    assert "there is no uv.lock in the repository, and never was one" in said
    empty.commit(lock(a="1"))
    assert "there is one version of the lock" in failure(empty.root)
    empty.commit("no lock at all")
    said = failure(empty.root)
    assert "there is one version" in said
    assert "1 version of uv.lock could not be read and was left out" in said
    assert "--layers must be at least 1" in failure(repository.root, HistoryRequest(layers=0))
    assert "--last must be at least 1" in failure(repository.root, HistoryRequest(last=0))


@pytest.mark.spawns
def test_a_shallow_clone_says_so(repository: Repository, tmp_path: Path) -> None:
    url = f"file://{repository.root}"
    repository.git("clone", "--quiet", "--depth=2", url, str(tmp_path / "shallow"))
    report, _ = gather(tmp_path / "shallow")
    (one,) = report.repositories
    assert one.versions == 2
    assert any(note.startswith("shallow clone: 2 versions") for note in one.notes)


@pytest.mark.spawns
def test_a_url_is_cloned_without_its_files_and_removed(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.git("config", "uploadpack.allowFilter", "true")
    repository.git("config", "uploadpack.allowAnySHA1InWant", "true")
    repository.commit(lock(a="1"), "service/uv.lock")
    repository.commit(lock(a="2"), "service/uv.lock")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    report, said = gather(f"file://{repository.root}")
    assert report.repositories[0].versions == 3
    assert report.repositories[0].name.endswith("/repository")
    assert "fetching versions of uv.lock: 0 of 3" in said
    assert list(temporary.iterdir()) == []
    report, _ = gather(f"file://{repository.root}", lock="service")
    assert report.repositories[0].versions == 2
    said_error = failure(f"file://{tmp_path}/nowhere")
    assert said_error.startswith("10: ")
    assert list(temporary.iterdir()) == []


def test_credentials_are_in_no_argument_and_no_message() -> None:
    remote = parse_remote("https://user:p%40ss@example.org/owner/name.git")
    assert remote.url == "https://example.org/owner/name.git"
    assert remote.authorization == "dXNlcjpwQHNz"
    environment = remote.environment({"GIT_CONFIG_COUNT": "1"})
    assert environment["GIT_CONFIG_KEY_1"] == "http.https://example.org/.extraHeader"
    assert environment["GIT_CONFIG_VALUE_1"] == "Authorization: Basic dXNlcjpwQHNz"
    assert environment["GIT_TERMINAL_PROMPT"] == "0"
    assert remote.clean("at https://user:pw@example.org: dXNlcjpwQHNz") == (
        "at https://example.org: ***"
    )
    assert parse_remote("git@example.org:owner/name").authorization is None
    assert "GIT_CONFIG_COUNT" not in parse_remote("https://example.org/a").environment({})


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("https://example.org/a/b", True),
        ("git@example.org:a/b.git", True),
        ("ssh://git@example.org/a", True),
        ("some/folder", False),
        ("folder:with-colon", False),
    ],
)
def test_urls_and_paths(reference: str, expected: bool) -> None:
    assert is_url(reference) is expected


@pytest.mark.spawns
def test_extras_and_python_are_those_of_the_newest_project(tmp_path: Path) -> None:
    extra = '[package.optional-dependencies]\nfast = [\n    { name = "x" },\n]\n'
    registry = 'source = { registry = "https://pypi.org/simple" }\n'

    def text(version: str) -> str:
        base = lock(a="1", head="version = 1\nrevision = 3\n\n")
        head, _, rest = base.partition('[[package]]\nname = "a"')
        wheel = (
            f'wheels = [\n    {{ url = "https://files.example.org/x-{version}-py3-none-any.whl", '
            f'hash = "sha256:x{version}", size = 500 }},\n]\n'
        )
        package = f'[[package]]\nname = "x"\nversion = "{version}"\n{registry}{wheel}'
        return f'{head}{extra}\n[[package]]\nname = "a"{rest}\n{package}'

    made = Repository(tmp_path / "extras")
    project = (
        '[project]\nname = "app"\nrequires-python = "<3.13"\n'
        'optional-dependencies = { Fast = ["x"] }\n'
    )
    made.commit(project, "pyproject.toml")
    made.commit(text("1"))
    made.commit(text("2"))
    choice = choose_lock(made.root, None)
    history, notes = read_git_history(made.root, choice)
    assert [sorted(one) for one in history.versions] == [["a"]]
    assert "without the project's extras, for --extra: fast" in notes
    assert "for Python 3.12, as the project requires" in notes
    history, notes = read_git_history(made.root, choice, extras=["fast"])
    assert [one["x"].version for one in history.versions] == ["1", "2"]
    made.commit(project + '[tool.dockyard]\nextras = ["fast"]\n', "pyproject.toml")
    history, notes = read_git_history(made.root, choice)
    assert [one["x"].version for one in history.versions] == ["1", "2"]
    assert "with extra fast" in notes
    # A table for another folder's project is none for this one.
    made.commit(
        f'{project}[tool.dockyard]\nproject = "other"\nextras = ["fast"]\n', "pyproject.toml"
    )
    assert "with extra fast" not in read_git_history(made.root, choice)[1]
    made.commit(text("1"), "other/uv.lock")
    assert "with extra fast" in read_git_history(made.root, choose_lock(made.root, "other"))[1]
    assert "with extra fast" in read_git_history(made.root / "other", choice)[1]


def history_file(folder: Path, name: str, seed: int = 3) -> Path:
    entries: list[dict[str, Any]] = []
    before: LockedPackages = {}
    for version in make_versions(seed, 20, 20):
        entries.append(
            {
                "set": {n: [p.version, p.size] for n, p in version.items() if before.get(n) != p},
                "del": [n for n in before if n not in version],
            }
        )
        before = version
    path = folder / name
    path.write_text(json.dumps(entries))
    return path


def test_files_of_versions_one_row_each_and_the_median(tmp_path: Path) -> None:
    for number, name in enumerate(("a+one.json", "b+two.json", "c+three.json")):
        history_file(tmp_path, name, number)
    (tmp_path / "d+bad.json").write_text('[{"set": 3}]')
    (tmp_path / "README.md").write_text("not a history")
    report, _ = gather(tmp_path, HistoryRequest(layers=8))
    assert [one.name for one in report.repositories] == ["a/one", "b/two", "c/three"]
    assert list(report.left_out) == ["d/bad"]
    shares = sorted(one.strategies["by size"].mean_share for one in report.repositories)
    assert report.median("by size").mean_share == shares[1]
    lines = history_text(report, as_json=False).splitlines()
    assert lines[1].split()[:2] == ["repository", "changes"]
    assert [line.split()[0] for line in lines[2:6]] == ["a/one", "b/two", "c/three", "median"]
    assert lines[-1].startswith("left out: d/bad: it is no list of versions")
    values = json.loads(history_text(report, as_json=True))
    assert values["median"]["by size"]["mean_share"] == shares[1]
    one, _ = gather(tmp_path / "a+one.json", HistoryRequest(layers=8))
    assert one.repositories[0] == report.repositories[0]


def test_files_that_are_no_history(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{")
    assert "it is no JSON" in failure(tmp_path / "x.json")
    assert "none of its files is a history of a lock: x: it is no JSON" in failure(tmp_path)
    (tmp_path / "x.json").write_text("[]")
    assert "there is no version of the lock" in failure(tmp_path / "x.json")


def test_seventy_percent_count_unless_the_last_are_asked_for() -> None:
    history = History(versions=tuple(make_versions(1, 10, 20)))
    assert replay_repository("x", history, HistoryRequest(layers=4)).scored == 14
    assert replay_repository("x", history, HistoryRequest(layers=4, last=5)).scored == 5


def test_layers_have_their_price_unless_a_number_is_given() -> None:
    history = History(versions=tuple(make_versions(1, 30, 20)), builds_per_change=50.0)
    usual = replay_repository("x", history, HistoryRequest()).strategies["this plan"]
    free = replay_repository("x", history, HistoryRequest(layers=24)).strategies["this plan"]
    assert usual.layers < free.layers == 24
    assert free.moved < usual.moved


def test_estimated_sizes_are_told() -> None:
    some = {"a": locked("1", 1000), "b": locked("1", 500, estimated=True)}
    history = History(versions=(some, {**some, "a": locked("2", 1000)}))
    one = replay_repository("x", history, HistoryRequest())
    assert one.estimated == 1
    assert one.notes == ("the sizes of 1 of 2 packages are estimated: the lock does not tell them",)
    assert "~1.5 kB" in history_text(HistoryReport(HistoryRequest(), (one,), {}), as_json=False)
    history = History(
        versions=({"b": locked("1", 5, estimated=True)}, {"b": locked("2", 5, estimated=True)})
    )
    assert "tells no sizes at all" in replay_repository("x", history, HistoryRequest()).notes[0]


def test_progress_is_shown_now_and_then() -> None:
    now = [0.0]
    stream = io.StringIO()
    line = StatusLine(stream, clock=lambda: now[0])
    for second in (0.0, 0.2, 0.6, 1.0, 4.0):
        now[0] = second
        line(f"at {second}")
    line.close()
    assert stream.getvalue() == "at 0.6\nat 4.0\n"


@pytest.mark.spawns
def test_progress_goes_when_it_fails(tmp_path: Path) -> None:
    stream = io.StringIO()
    with pytest.raises(ProjectError):
        bench_history(str(tmp_path), HistoryRequest(), os.environ, stream)
    with pytest.raises(NetworkError):
        bench_history(f"file://{tmp_path}/x", HistoryRequest(), os.environ, stream)
    assert stream.getvalue() == ""
