"""The local cache directory: snapshots, commits, sweeps, locks and damaged blobs."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockyard.caches.directory import CacheDirectory, Snapshot
from dockyard.caches.layout import CACHE_CONFIG_TYPE, MANIFEST_TYPE, Descriptor, Layout
from dockyard.caches.locking import is_locked, locked_file
from dockyard.caches.sweep import last_used
from dockyard.errors import CacheError

LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+zstd"
BUDGET = 10_000


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def directory(tmp_path: Path, clock: Clock) -> CacheDirectory:
    return CacheDirectory(tmp_path / "cache", BUDGET, clock=clock, lock_seconds=0.1)


def put(layout: Layout, content: bytes, media_type: str = LAYER_TYPE) -> Descriptor:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    descriptor = Descriptor(media_type, digest, len(content))
    if not layout.has(digest):
        layout.put_blob(descriptor, [content])
    return descriptor


def export(snapshot: Snapshot, tag: str, *layers: bytes) -> Descriptor:
    """Write a cache as BuildKit does."""
    described = [put(snapshot.layout, content) for content in layers]
    config = put(snapshot.layout, json.dumps([tag, len(layers)]).encode(), CACHE_CONFIG_TYPE)
    manifest = {"config": config.as_json(), "layers": [one.as_json() for one in described]}
    root = put(snapshot.layout, json.dumps(manifest).encode(), MANIFEST_TYPE)
    snapshot.layout.set_tag(tag, root)
    return root


def store(directory: CacheDirectory, tag: str, *layers: bytes) -> Descriptor:
    with directory.open([tag]) as snapshot:
        root = export(snapshot, tag, *layers)
        assert snapshot.commit().tags == (tag,)
    return root


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def is_whole(layout: Layout) -> bool:
    for descriptor in layout.index().values():
        for one in layout.reachable(descriptor):
            layout.verify(one)
    return True


def test_a_commit_adds_what_is_new_and_only_that(directory: CacheDirectory) -> None:
    with directory.open(["main"]) as snapshot:
        assert snapshot.imports == {}
        export(snapshot, "main", b"a" * 100, b"b" * 100)
        assert directory.layout.index() == {}, "nobody sees a build's cache before its end"
        first = snapshot.commit({"latest": "main"})
    assert first.tags == ("main", "latest")
    assert first.blobs == 4
    with directory.open(["main", "latest", "nothing"]) as snapshot:
        assert list(snapshot.imports) == ["main", "latest"]
        assert is_whole(snapshot.layout)
        export(snapshot, "main", b"a" * 100, b"c" * 50)
        second = snapshot.commit()
    assert second.bytes == sum(
        found.st_size
        for digest, found in directory.layout.blobs()
        if digest not in {one.digest for one in directory.layout.reachable(latest(directory))}
    )
    assert is_whole(directory.layout)
    assert list(directory.snapshots_folder.iterdir()) == []


def latest(directory: CacheDirectory) -> Descriptor:
    return directory.layout.index()["latest"]


def test_a_snapshots_blobs_are_the_stores_files(directory: CacheDirectory) -> None:
    store(directory, "main", b"layer")
    with directory.open(["main"]) as snapshot:
        path = snapshot.layout.blob_path(digest_of(b"layer"))
        assert path.samefile(directory.layout.blob_path(digest_of(b"layer")))
        assert not path.is_symlink()


def refuse(*arguments: Any) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


@pytest.mark.parametrize("missing", [["link"], ["link", "symlink"]], ids=["symlinks", "copies"])
def test_where_files_cannot_be_linked(
    directory: CacheDirectory, monkeypatch: pytest.MonkeyPatch, missing: list[str]
) -> None:
    for name in missing:
        monkeypatch.setattr(os, name, refuse)
    store(directory, "main", b"layer", b"other")
    with directory.open(["main"]) as snapshot:
        assert is_whole(snapshot.layout)
        # Another build replaces the cache meanwhile: what we see must stay.
        with directory.open([]) as other:
            export(other, "main", b"new")
            other.commit()
        assert snapshot.layout.blob_path(digest_of(b"layer")).read_bytes() == b"layer"
        export(snapshot, "main", b"layer", b"third")
        assert snapshot.commit().notes == ()
    assert is_whole(directory.layout)
    assert directory.layout.has(digest_of(b"layer"))
    directory.sweep()
    assert not directory.layout.has(digest_of(b"new"))


def test_two_builds_at_once_keep_their_own_view(directory: CacheDirectory) -> None:
    store(directory, "main", b"old")
    with directory.open(["main"]) as one, directory.open(["main"]) as other:
        export(one, "main", b"one")
        one.commit()
        assert not directory.layout.has(digest_of(b"old"))
        assert other.layout.has(digest_of(b"old")), "a sweep takes nothing from a running build"
        export(other, "main", b"old", b"other")
        assert other.commit().notes == ()
    assert is_whole(directory.layout)
    assert {d for d, _ in directory.layout.blobs()} >= {digest_of(b"old"), digest_of(b"other")}


def test_a_killed_build_leaves_the_old_cache_and_is_cleared_away(
    directory: CacheDirectory,
) -> None:
    root = store(directory, "main", b"old")
    # What a SIGKILL leaves: the folder, and a lock that nobody holds.
    left = directory.snapshots_folder / "1-dead"
    left.mkdir()
    (left / "lock").touch()
    running = directory.open(["main"])
    assert not left.exists()
    with directory.open(["main"]) as snapshot:
        assert snapshot.imports["main"].digest == root.digest
        assert running.root.exists()
    running.drop()
    assert list(directory.snapshots_folder.iterdir()) == []
    assert is_whole(directory.layout)


def test_a_dropped_snapshot_changes_nothing(directory: CacheDirectory) -> None:
    store(directory, "main", b"old")
    before = {path: path.stat().st_ino for path in directory.layout.blobs_folder.iterdir()}
    with directory.open(["main"]) as snapshot:
        export(snapshot, "main", b"new")
    assert {path: path.stat().st_ino for path in before} == before
    assert list(directory.layout.index()) == ["main"]


def damage(path: Path, *, keep_time: bool = False) -> None:
    found = path.stat()
    path.chmod(0o644)
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    if keep_time:
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    else:
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 1))


def truncate(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("fault", "words", "aside"),
    [
        (damage, "not what its digest says", 1),
        (truncate, "bytes, not", 1),
        (Path.unlink, "missing", 0),
    ],
    ids=["changed", "cut off", "gone"],
)
@pytest.mark.parametrize("which", ["layer", "manifest"])
def test_a_damaged_blob_is_set_aside_and_its_caches_made_anew(
    directory: CacheDirectory,
    fault: Callable[[Path], None],
    words: str,
    aside: int,
    which: str,
) -> None:
    root = store(directory, "main", b"layer", b"sound")
    store(directory, "other", b"sound")
    digest = digest_of(b"layer") if which == "layer" else root.digest
    fault(directory.layout.blob_path(digest))
    with directory.open(["main", "other"]) as snapshot:
        assert list(snapshot.imports) == list(directory.layout.index()) == ["other"]
        assert len(snapshot.notes) == 1
        expected = words if (which, words) != ("manifest", "missing") else "cannot be read"
        assert expected in snapshot.notes[0]
        assert len(list(directory.corrupt_folder.glob("*"))) == aside
        export(snapshot, "main", b"layer", b"sound")
        assert snapshot.commit().notes == ()
    assert is_whole(directory.layout)
    with directory.open(["main"]) as snapshot:
        assert list(snapshot.imports) == ["main"]
        assert snapshot.notes == ()


def test_a_blob_is_read_through_only_once(
    directory: CacheDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(directory, "main", b"layer")
    read = []
    verify = Layout.verify

    def counted(layout: Layout, one: Descriptor) -> None:
        read.append(one.digest)
        verify(layout, one)

    monkeypatch.setattr(Layout, "verify", counted)
    for _ in range(2):
        directory.open(["main"]).drop()
    assert read == [], "BuildKit verified what it wrote"
    (directory.root / "verified.json").unlink()
    directory.open(["main"]).drop()
    assert len(read) == 3
    directory.open(["main"]).drop()
    assert len(read) == 3


def test_damage_that_does_not_show_is_found_on_demand(directory: CacheDirectory) -> None:
    store(directory, "main", b"layer")
    store(directory, "other", b"sound")
    damage(directory.layout.blob_path(digest_of(b"layer")), keep_time=True)
    with directory.open(["main"]) as snapshot:
        assert list(snapshot.imports) == ["main"]
    assert directory.set_aside_damaged() == (digest_of(b"layer"),)
    assert list(directory.layout.index()) == ["other"]
    assert [path.name for path in directory.corrupt_folder.iterdir()] == [
        digest_of(b"layer").removeprefix("sha256:")
    ]


def test_an_export_that_failed_half_way_is_not_taken(directory: CacheDirectory) -> None:
    before = store(directory, "main", b"old")
    with directory.open(["main"]) as snapshot:
        export(snapshot, "main", b"new", b"never written")
        snapshot.layout.blob_path(digest_of(b"never written")).unlink()
        committed = snapshot.commit({"latest": "main"})
    assert committed.tags == ()
    assert "missing or incomplete" in committed.notes[0]
    assert directory.layout.index()["main"].digest == before.digest
    assert is_whole(directory.layout)


def test_the_least_recently_used_go_first(directory: CacheDirectory, clock: Clock) -> None:
    for number, tag in enumerate(("a", "b", "c")):
        clock.now = 1000.0 + number
        store(directory, tag, b"shared" * 100, tag.encode() * 2000)
    clock.now = 2000.0
    with directory.open(["a"]) as snapshot:
        snapshot.commit()
    assert last_used(directory.layout.index()["a"]) == 2000.0
    assert directory.sweep(7000, dry_run=True).tags == ("b",)
    assert set(directory.layout.index()) == {"a", "b", "c"}
    swept = directory.sweep(7000)
    assert swept.tags == ("b",)
    assert digest_of(b"b" * 2000) in swept.blobs
    assert digest_of(b"shared" * 100) not in swept.blobs
    assert swept.bytes == pytest.approx(2000, abs=1000)
    assert is_whole(directory.layout)


def test_thirty_builds_stay_within_the_budget(directory: CacheDirectory, clock: Clock) -> None:
    for number in range(30):
        clock.now += 1
        tag = f"branch-{number % 4}"
        with directory.open([tag, "branch-0"]) as snapshot:
            export(snapshot, tag, b"base" * 500, os.urandom(1500))
            assert snapshot.commit().notes == ()
        assert sum(found.st_size for _, found in directory.layout.blobs()) <= BUDGET
        assert is_whole(directory.layout)
        assert tag in directory.layout.index()


def test_a_cache_larger_than_the_budget_is_not_kept(directory: CacheDirectory) -> None:
    with directory.open([]) as snapshot:
        export(snapshot, "main", b"x" * (BUDGET + 1))
        committed = snapshot.commit()
    assert "larger than DOCKYARD_CACHE_BUDGET" in committed.notes[0]
    assert list(directory.layout.blobs()) == []


def test_the_lock_has_a_timeout_and_names_its_holder(directory: CacheDirectory) -> None:
    store(directory, "main", b"layer")
    with locked_file(directory.root / "lock"):
        with pytest.raises(CacheError, match=rf"process {os.getpid()} has held the cache"):
            directory.open(["main"])
        with pytest.raises(CacheError, match="has held the cache"):
            directory.sweep()
    assert not is_locked(directory.root / "lock")
    directory.open(["main"]).drop()


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_a_directory_that_cannot_be_written_is_still_read(
    directory: CacheDirectory, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    store(directory, "main", b"layer")

    def fail(path: Path, *arguments: Any, **options: Any) -> None:
        if path.parent == directory.snapshots_folder:
            raise OSError(number, os.strerror(number))
        mkdir(path, *arguments, **options)

    mkdir = Path.mkdir
    monkeypatch.setattr(Path, "mkdir", fail)
    with directory.open(["main"]) as snapshot:
        assert not snapshot.writable
        assert os.strerror(number) in snapshot.notes[0]
        assert is_whole(snapshot.layout)
        assert snapshot.layout.has(digest_of(b"layer"))
    assert is_whole(directory.layout)


def test_a_directory_that_cannot_be_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    directory = CacheDirectory(tmp_path / "file" / "cache", BUDGET)
    with pytest.raises(CacheError, match="cannot be written") as caught:
        directory.open(["main"])
    assert "DOCKYARD_CACHE_DIR" in str(caught.value)


def test_blobs_set_aside_do_not_pile_up(directory: CacheDirectory) -> None:
    for number in range(20):
        content = bytes([number]) * 400
        store(directory, "main", content)
        damage(directory.layout.blob_path(digest_of(content)))
        directory.open(["main"]).drop()
    directory.sweep()
    left = [path.stat().st_size for path in directory.corrupt_folder.iterdir()]
    assert 0 < sum(left) <= BUDGET // 10
