"""What cannot be written is told by its cause."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from dockyard import initialization
from dockyard.boundary import report_interruption
from dockyard.errors import DiskFullError, DockyardError, unwritable
from dockyard.initialization import Action, FileChange, apply_changes


def test_a_full_disk_is_not_a_missing_permission() -> None:
    full = unwritable(OSError(errno.ENOSPC, "No space left on device"), "/a", "nothing changed")
    assert isinstance(full, DiskFullError)
    assert "/a: no space left to write it; nothing changed\n  → free some space" in str(full)
    denied = unwritable(PermissionError(errno.EACCES, "Permission denied"), "/a", "nothing changed")
    assert type(denied) is DockyardError
    assert "make the folder writable" in str(denied)


def test_a_disk_that_is_full_at_once_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "Dockerfile"
    path.write_text("mine")

    def full(path: Path, text: str, mode: int = 0o644) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(initialization, "write_atomically", full)
    with pytest.raises(DiskFullError, match="nothing was changed"):
        apply_changes([FileChange(path, Action.REPLACE, "asked for", "mine", "rendered")])
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {"Dockerfile": "mine"}


def test_an_interruption_that_carries_a_note_tells_that(capsys: pytest.CaptureFixture[str]) -> None:
    interruption = KeyboardInterrupt()
    interruption.add_note("`invoke bench --resume`: 3 cells are left")
    report_interruption(interruption)
    assert capsys.readouterr().err == "interrupted\n  → `invoke bench --resume`: 3 cells are left\n"
