"""What was read and added in the local cache's folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dockyard.caches import access
from dockyard.caches.access import LocalCacheAccess
from dockyard.caches.layout import Layout

NAMES = ("a" * 64, "b" * 64, "c" * 64)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "cache")
    made.create()
    for size, name in enumerate(NAMES, 1):
        (made.blobs_folder / name).write_bytes(b"x" * size)
    return made


def test_what_is_read_and_what_is_added(layout: Layout) -> None:
    times = {path.name: path.stat().st_mtime_ns for path in layout.blobs_folder.iterdir()}
    found = LocalCacheAccess(layout)
    assert found.digests == {f"sha256:{name}" for name in NAMES}
    found.measure()
    assert (found.read, found.written, found.reason) == (0, 0, "")
    (layout.blobs_folder / NAMES[1]).read_bytes()
    (layout.blobs_folder / ("d" * 64)).write_bytes(b"x" * 70)
    found.measure()
    assert (found.read, found.written) == (2, 70)
    (layout.blobs_folder / NAMES[2]).read_bytes()
    found.measure()
    assert (found.read, found.written) == (5, 70)
    after = {path.name: path.stat().st_mtime_ns for path in layout.blobs_folder.iterdir()}
    assert times.items() <= after.items()
    assert [path.name for path in layout.root.iterdir() if path.name.startswith(".")] == []


def test_an_empty_folder(tmp_path: Path) -> None:
    found = LocalCacheAccess(Layout(tmp_path))
    found.measure()
    assert (found.read, found.written) == (0, 0)


def test_a_file_system_without_access_times_tells_what_is_added_alone(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "_keeps_access_times", lambda folder: False)
    found = LocalCacheAccess(layout)
    (layout.blobs_folder / ("d" * 64)).write_bytes(b"x" * 70)
    found.measure()
    assert (found.read, found.written) == (None, 70)
    assert "access times" in found.reason


def test_a_folder_that_is_anothers_is_unknown(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "utime", refuse)
    found = LocalCacheAccess(layout)
    found.measure()
    assert (found.read, found.written) == (None, 0)
    assert "not permitted" in found.reason
