"""What killed processes leave is cleared away; what others are writing is not."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

import pytest

from dockyard import scratch
from dockyard.records import write_record
from dockyard.scratch import ScratchFolder
from dockyard.state import write_atomically
from support.records import make_record

# Linux gives no process a number above 2^22.
NOBODY = 2**22 + 1


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(scratch, "_cleared", set())
    return tmp_path


def test_the_next_writer_clears_what_a_killed_one_began(tmp_path: Path) -> None:
    begun = tmp_path / f".Dockerfile.{NOBODY}"
    kept = [
        f".Dockerfile.{os.getppid()}",
        f".other.{NOBODY}",
        f"Dockerfile.{NOBODY}",
        ".Dockerfile.x",
    ]
    for path in (begun, *(tmp_path / name for name in kept)):
        path.write_text("half")
    write_atomically(tmp_path / "Dockerfile", "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["Dockerfile", *kept])


def test_what_is_locked_is_being_written(tmp_path: Path) -> None:
    begun = tmp_path / f".Dockerfile.{NOBODY}"
    with begun.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        write_atomically(tmp_path / "Dockerfile", "whole")
        assert begun.exists()
    write_atomically(tmp_path / "Dockerfile", "whole")
    assert not begun.exists()


def test_a_record_clears_those_that_were_never_whole(tmp_path: Path) -> None:
    builds = tmp_path / ".dockyard/builds"
    builds.mkdir(parents=True)
    (builds / f".20250101T000000.000Z-1.json.{NOBODY}").write_text("{")
    written = write_record(tmp_path, make_record(), 5)
    assert list(builds.iterdir()) == [written]


def test_a_scratch_folder_goes_with_its_block(temporary: Path) -> None:
    with ScratchFolder() as folder:
        (folder / "file").touch()
        assert list(temporary.iterdir()) == [folder]
    assert list(temporary.iterdir()) == []


def test_scratch_folders_of_killed_processes_go(temporary: Path) -> None:
    left = temporary / f"dockyard-{NOBODY}-abc"
    kept = [
        temporary / name
        for name in (f"dockyard-{os.getppid()}-abc", "dockyard-cache", f"other-{NOBODY}-abc")
    ]
    for path in (left, *kept):
        path.mkdir()
        (path / "file").touch()
    link = temporary / f"dockyard-{NOBODY}-link"
    link.symlink_to(kept[0], target_is_directory=True)
    ScratchFolder().close()
    assert sorted(temporary.iterdir()) == sorted([*kept, link])
    assert (kept[0] / "file").exists()


def test_a_folder_that_somebody_holds_stays(temporary: Path) -> None:
    left = temporary / f"dockyard-{NOBODY}-abc"
    left.mkdir()
    descriptor = os.open(left, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        ScratchFolder().close()
        assert left.exists()
    finally:
        os.close(descriptor)
