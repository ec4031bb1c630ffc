"""What is remembered between builds, and files that are written whole or not at all."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from dockyard.state import State, prepare_state_folder, write_atomically


def test_remembered_values_come_back_for_the_same_fingerprint(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.remember("engine", "a", {"version": "28"})
    state.save()
    again = State(tmp_path)
    assert again.recall("engine", "a") == {"version": "28"}
    assert again.recall("engine", "b") is None
    assert again.recall("other", "a") is None


def test_remembered_values_grow_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = State(tmp_path)
    now = 1_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    state.remember("engine", "a", 1)
    assert state.recall("engine", "a", 10) == 1
    now += 11
    assert state.recall("engine", "a", 10) is None
    now -= 60  # a clock that jumped back must not make a value eternal
    assert state.recall("engine", "a", 10) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"engine": 3}', "\x00"])
def test_a_broken_file_is_the_same_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / ".dockyard").mkdir()
    (tmp_path / ".dockyard/state.json").write_text(text)
    state = State(tmp_path)
    assert state.recall("engine", "a") is None
    state.remember("engine", "a", 1)
    state.save()
    assert State(tmp_path).recall("engine", "a") == 1


def test_forgetting_is_saved(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.remember("engine", "a", 1)
    state.remember("project", "a", 2)
    state.save()
    state = State(tmp_path)
    state.forget("engine", "unknown")
    state.save()
    assert State(tmp_path).recall("engine", "a") is None
    assert State(tmp_path).recall("project", "a") == 2


def test_nothing_remembered_writes_nothing(tmp_path: Path) -> None:
    State(tmp_path).save()
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_ignored_by_git(tmp_path: Path) -> None:
    prepare_state_folder(tmp_path)
    assert (tmp_path / ".dockyard/.gitignore").read_text().splitlines()[-1] == "*"


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_state_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.remember("a", "b", 1)
    state.save()
    path = tmp_path / ".dockyard/state.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text())["a"]["value"] == 1
