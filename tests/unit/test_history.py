"""The lock's history out of real repositories, made here with git."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import dockyard.history
from dockyard.errors import ProjectError
from dockyard.history import LockReader, lock_history, parse_log, split_blobs
from dockyard.lock_versions import History, Locked, LockedPackages
from dockyard.target import Target

HEAD = """version = 1
revision = 3
requires-python = ">=3.12"

"""
ENVIRONMENT = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


def lock(name: str = "app", extra: str = "", head: str = HEAD, **versions: str) -> str:
    """A lock of a project that needs the packages given, each in its version."""
    needed = "".join(f'    {{ name = "{one}" }},\n' for one in versions)
    tables = [
        f'[[package]]\nname = "{name}"\nversion = "1"\nsource = {{ editable = "." }}\n'
        f"dependencies = [\n{needed}]\n"
    ]
    tables += [
        f'[[package]]\nname = "{one}"\nversion = "{version}"\n'
        'source = { registry = "https://pypi.org/simple" }\nwheels = [\n'
        f'    {{ url = "https://files.example.org/{one}-{version}-py3-none-any.whl", '
        f'hash = "sha256:{one}{version}", size = 1000 }},\n]\n'
        for one, version in versions.items()
    ]
    return head + "\n".join([*tables, extra])


class Repository:
    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.root,
            env={**os.environ, **ENVIRONMENT},
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    def commit(self, text: str | None, path: str = "uv.lock") -> None:
        if text is not None:
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "change")

    def history(self, folder: str = ".", memory: Path | None = None, limit: int = 200) -> History:
        return lock_history(
            self.root / folder, extras=(), groups=(), target=Target(), memory=memory, limit=limit
        )


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


def versions(history: History) -> list[dict[str, str]]:
    return [{name: one.version for name, one in found.items()} for found in history.versions]


@pytest.mark.spawns
def test_versions_that_change_packages_are_the_history(repository: Repository) -> None:
    repository.commit(lock(a="1", b="1"))
    repository.commit(lock(a="2", b="1"))
    repository.commit(lock(a="2", b="1", head=HEAD.replace("= 3", "= 2")))
    repository.commit("irrelevant", "README")
    repository.commit(lock(b="2", c="1"))
    history = repository.history()
    assert versions(history) == [{"a": "1", "b": "1"}, {"a": "2", "b": "1"}, {"b": "2", "c": "1"}]
    assert (history.skipped, history.notes) == (0, ())
    assert history.change_counts() == {"a": 1, "b": 1}
    log = repository.git("log", "--format=%H").split()
    assert history.commits == (log[4], log[3], log[0])


@pytest.mark.spawns
def test_a_lock_that_moved_between_folders_is_followed(repository: Repository) -> None:
    padding = {f"p{n}": "1" for n in range(20)}
    repository.commit(lock(name="first", a="1", **padding))
    (repository.root / "service").mkdir()
    repository.git("mv", "uv.lock", "service/uv.lock")
    repository.commit(lock(name="second", a="2", **padding), "service/uv.lock")
    repository.git("mv", "service", "backend")
    repository.commit(None)
    repository.commit(lock(name="second", a="3", **padding), "backend/uv.lock")
    assert [one["a"] for one in versions(repository.history("backend"))] == ["1", "2", "3"]


@pytest.mark.spawns
def test_a_merged_branch_is_one_change(repository: Repository) -> None:
    repository.commit(lock(a="1"))
    repository.git("switch", "--quiet", "--create", "feature")
    repository.commit(lock(a="2"))
    repository.commit(lock(a="3"))
    repository.git("switch", "--quiet", "main")
    repository.commit("irrelevant", "README")
    repository.git("merge", "--quiet", "--no-ff", "--message", "merge", "feature")
    assert [one["a"] for one in versions(repository.history())] == ["1", "3"]


@pytest.mark.spawns
def test_what_cannot_be_read_is_counted_and_left_out(repository: Repository) -> None:
    repository.commit(lock(a="1"))
    for broken in (
        "<<<<<<< HEAD\n",
        lock(a="1", head=HEAD.replace("version = 1", "version = 99")),
        lock(a="1").replace('name = "a"\nversion', 'name = "b"\nversion'),
        "\udcff".encode("utf-8", "surrogateescape").decode("latin-1") + "=",
        "",
        "version = 1\npackage = 3\n",
    ):
        repository.commit(broken)
    (repository.root / "uv.lock").write_bytes(b"\xff\xfe\0")
    repository.commit(None)
    repository.git("rm", "--quiet", "uv.lock")
    repository.commit(None)
    repository.commit(lock(a="2"))
    history = repository.history()
    assert [one["a"] for one in versions(history)] == ["1", "2"]
    assert history.skipped == 7
    assert "7 versions" in history.notes[0]


@pytest.mark.spawns
def test_a_shallow_clone_has_what_it_has(repository: Repository, tmp_path: Path) -> None:
    for version in "123456":
        repository.commit(lock(a=version))
    clone = tmp_path / "clone"
    repository.git("clone", "--quiet", "--depth", "3", f"file://{repository.root}", str(clone))
    history = lock_history(clone, extras=(), groups=(), target=Target())
    assert [one["a"] for one in versions(history)] == ["4", "5", "6"]
    assert "shallow clone: 3 versions" in history.notes[0]


@pytest.mark.spawns
def test_without_git_there_is_no_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: Repository
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    outside = tmp_path / "outside"
    outside.mkdir()
    found = lock_history(outside, extras=(), groups=(), target=Target())
    assert found.versions == ()
    assert "not a git repository" in found.notes[0]
    assert "no commit" in repository.history().notes[0]
    repository.commit("untracked beside it", "README")
    (repository.root / "uv.lock").write_text(lock(a="1"))
    assert "no commit" in repository.history().notes[0]
    monkeypatch.setenv("PATH", str(outside))
    assert "git cannot be run" in repository.history().notes[0]


@pytest.mark.spawns
def test_the_last_versions_are_enough(repository: Repository) -> None:
    for version in range(30):
        repository.commit(lock(a=str(version)))
    history = repository.history(limit=4)
    assert [one["a"] for one in versions(history)] == ["25", "26", "27", "28", "29"]
    assert len(history.changed_together()) == 4


@pytest.mark.spawns
def test_commits_are_counted_for_each_change(repository: Repository) -> None:
    for version in range(7):
        repository.commit(lock(a=str(version)))
        repository.commit(None)
        repository.commit(None)
    assert repository.history().builds_per_change == pytest.approx(20 / 6)
    assert repository.history(limit=3).builds_per_change is None


@pytest.mark.spawns
def test_each_version_is_read_once(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in "123":
        repository.commit(lock(a=version))
    repository.commit("broken")
    memory = tmp_path / "memory"
    memory.mkdir()
    read: list[str] = []

    def counted(self: LockReader, text: str) -> dict[str, Locked]:
        read.append(text)
        return original(self, text)

    original = LockReader.read
    monkeypatch.setattr(LockReader, "read", counted)
    first = repository.history(memory=memory)
    assert len(read) == 4
    assert repository.history(memory=memory) == first
    assert len(read) == 4
    repository.commit(lock(a="4"))
    assert [one["a"] for one in versions(repository.history(memory=memory))] == list("1234")
    assert len(read) == 5
    kept = memory / ".dockyard" / "history.json"
    for broken in ("", "[]", '{"fingerprint": 1}', kept.read_text()[:-20]):
        kept.write_text(broken)
        assert len(repository.history(memory=memory).versions) == 4
    shutil.rmtree(memory / ".dockyard")
    (memory / ".dockyard").write_text("in the way")
    assert len(repository.history(memory=memory).versions) == 4


@pytest.mark.spawns
def test_many_versions_are_read_in_several_turns(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dockyard.history, "BLOBS_AT_ONCE", 2)
    for version in "12121":
        repository.commit(lock(a=version, extra='# "é"\n'))
    assert [one["a"] for one in versions(repository.history())] == list("12121")


def read(text: str, extras: tuple[str, ...] = ()) -> LockedPackages:
    return LockReader(extras, (), Target()).read(text)


def test_a_reader_gives_what_a_new_one_would() -> None:
    two_versions = lock(a="1", b="1").replace(
        '{ name = "b" }', '{ name = "b", version = "2" }'
    ) + lock(b="2").rpartition("[[package]]")[2].join(["\n[[package]]", ""])
    texts = [
        lock(a="1", b="1"),
        lock(a="1", b="2"),
        lock(a="1", b="2", c="1"),
        lock(a="1", b="2").replace("\n", "\r\n"),
        two_versions,
        lock(a="3", b="1").replace(
            '{ name = "b" }', '{ name = "b", marker = "os_name == \'nt\'" }'
        ),
        lock(b="1", a="3"),
    ]
    reader = LockReader((), (), Target())
    for text in (*texts, *texts[::-1]):
        assert reader.read(text) == read(text)
    assert set(read(texts[5])) == {"a"}
    assert read(two_versions)["b"].version == "2"


def test_a_lock_without_packages_installs_nothing() -> None:
    assert read(lock()) == {}
    with pytest.raises(ProjectError):
        read("version = 1\n[[package]]\nname = 3\n")


def test_the_log_is_read() -> None:
    old, new, gone = "a" * 40, "b" * 40, "0" * 40
    text = (
        f"\0{'1' * 40}\n\n:100644 100644 {old} {new} M\tuv.lock\n"
        f"\0{'2' * 40}\n\n:100644 000000 {old} {gone} D\tuv.lock\n"
        f"\0{'3' * 40}\n"
        f"\0{'4' * 40}\n\n:100644 100644 {new} {old} R090\told name/uv.lock\tuv.lock\n"
    )
    assert parse_log(text) == (("1" * 40, new), ("4" * 40, old))
    assert parse_log("") == ()


def test_blobs_are_taken_apart() -> None:
    one, two, three = "a" * 40, "b" * 40, "c" * 40
    text = f"{one} blob 7\nfirst\nx\n{two} missing\n{three} blob 3\n\ufffdé\n"
    assert split_blobs(text, [one, two, three]) == {one: "first\nx\n", three: "\ufffdé\n"}
    assert split_blobs("", [one]) == {}
