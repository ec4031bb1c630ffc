"""The local cache directory under builds that follow each other, run at once, and are killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockyard.caches.layout import Layout
from support.builders import throwaway_builder
from support.engine import Cleanup, random_name
from support.index import PackageIndex
from support.service import Service, ran_steps
from support.wheels import make_wheel

LOCAL = {"DOCKYARD_CACHE_BACKENDS": "local"}


@pytest.fixture
def service(
    tmp_path: Path, package_index: PackageIndex, base_images: Any, cleanup: Cleanup
) -> Service:
    name, package = random_name(), random_name()
    package_index.add(make_wheel(tmp_path, package, "1.0", size=100_000))
    cleanup.name("image", f"{name}:latest")
    made = Service(
        tmp_path / "service",
        name,
        {package: "==1.0"},
        index_url=package_index.url,
        python_image=base_images.python,
        uv_image=base_images.uv,
    )
    made.environment |= LOCAL
    return made


@pytest.fixture
def layout(service: Service) -> Layout:
    return Layout(service.root / ".dockyard/cache")


def edit(service: Service, size: int = 1) -> None:
    """Change the service's sources by ``size`` random bytes."""
    service.module.with_name("data.bin").write_bytes(os.urandom(size))


def blob_bytes(layout: Layout) -> int:
    return sum(found.st_size for _, found in layout.blobs())


def assert_whole(layout: Layout) -> None:
    """Every tag's blobs are there, and are what their digests say."""
    tags = layout.index()
    assert tags
    for descriptor in tags.values():
        for one in layout.reachable(descriptor):
            layout.verify(one)
    assert list((layout.root / "snapshots").iterdir()) == []


def test_thirty_builds_stay_within_the_budget(service: Service, layout: Layout) -> None:
    edit(service)
    service.build("--no-load")
    budget = blob_bytes(layout) + 500_000
    written = 0
    for number in range(30):
        if number % 10 == 0:
            service.git("checkout", "--quiet", "-B", f"branch-{number}")
        edit(service, 100_000)
        written += 100_000
        record = service.build("--no-load", DOCKYARD_CACHE_BUDGET=f"{budget}B")
        assert record["notes"] == []
        assert blob_bytes(layout) <= budget
        assert_whole(layout)
    assert written > 500_000, "without sweeping, it would not have fitted"
    assert "cache-linux-amd64-branch-20" in layout.index()


def test_an_empty_builder_starts_from_the_directory(
    service: Service, layout: Layout, images_in_registry: Any
) -> None:
    service.environment |= {
        "DOCKYARD_PYTHON_IMAGE": images_in_registry.python,
        "DOCKYARD_UV_IMAGE": images_in_registry.uv,
    }
    service.build("--no-load")
    edit(service)
    with throwaway_builder() as builder:
        record = service.build(
            "--no-load", DOCKYARD_BUILDER=builder, DOCKYARD_DRIVER="docker-container"
        )
    assert [step for step in ran_steps(record) if "/src" not in step] == []
    assert record["notes"] == []
    assert_whole(layout)


def test_two_builds_at_once(service: Service, layout: Layout) -> None:
    service.build("--no-load")
    done: list[int] = []

    def build(branch: str) -> None:
        done.append(service.invoke("build", "--no-load", GITHUB_HEAD_REF=branch).status)

    # Without a branch of git's own, each build's is told by the variable.
    service.git("checkout", "--quiet", "--detach")
    edit(service, 100_000)
    threads = [threading.Thread(target=build, args=(branch,)) for branch in ("one", "other")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [0, 0]
    assert_whole(layout)
    assert {"cache-linux-amd64-one", "cache-linux-amd64-other"} <= layout.index().keys()


def test_a_build_killed_while_it_exports_leaves_the_old_cache(
    service: Service, layout: Layout
) -> None:
    service.build("--no-load")
    before = layout.index()
    snapshots = layout.root / "snapshots"

    def exporting() -> bool:
        """Whether something is in a snapshot that the store has not."""
        new = (d for s in snapshots.iterdir() for d, _ in Layout(s).blobs())
        return any(not layout.has(digest) for digest in new)

    edit(service, 20_000_000)
    ran = service.interrupt_when(exporting, signal.SIGKILL, "build", "--no-load")
    assert ran.status == -signal.SIGKILL
    assert layout.index() == before
    assert len(list(snapshots.iterdir())) == 1
    # buildx outlives its parent, and ends by itself.
    deadline = time.monotonic() + 60
    while subprocess.run(["pgrep", "-f", f"buildx build.*{service.name}"]).returncode == 0:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    edit(service)
    record = service.build("--no-load")
    assert record["notes"] == []
    assert_whole(layout)


def flip(path: Path) -> None:
    """Change one bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


def flip_unseen(path: Path) -> None:
    """Change one bit as a failing disk does: the file's times stay."""
    found = path.stat()
    flip(path)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def dependency_layer(layout: Layout) -> Path:
    """The blob of the cache's own package."""
    reachable = layout.reachable(layout.index()["cache-linux-amd64-main"])
    sizes = {one.size: one.digest for one in reachable if one.size > 100_000}
    return layout.blob_path(sizes[min(sizes)])


@pytest.mark.parametrize("damage", [flip, Path.unlink], ids=["changed", "gone"])
def test_a_damaged_blob_is_set_aside_and_made_anew(
    service: Service, layout: Layout, damage: Callable[[Path], None]
) -> None:
    service.build("--no-load")
    blob = dependency_layer(layout)
    damage(blob)
    record = service.build("--no-load")
    assert [note for note in record["notes"] if blob.name in note]
    aside = [path.name for path in (layout.root / "corrupt").glob("*")]
    assert aside == ([] if damage is Path.unlink else [blob.name])
    assert_whole(layout)
    assert blob.exists()
    assert service.build("--no-load")["notes"] == []


def test_damage_that_only_the_builder_sees(
    service: Service, layout: Layout, images_in_registry: Any
) -> None:
    service.environment |= {
        "DOCKYARD_PYTHON_IMAGE": images_in_registry.python,
        "DOCKYARD_UV_IMAGE": images_in_registry.uv,
        "DOCKYARD_DRIVER": "docker-container",
    }
    with throwaway_builder() as builder:
        service.build("--no-load", DOCKYARD_BUILDER=builder)
    blob = dependency_layer(layout)
    flip_unseen(blob)
    with throwaway_builder() as builder:
        # Loading takes every layer, and that one from the directory.
        record = service.build(DOCKYARD_BUILDER=builder)
        assert record["outcome"] == "succeeded"
        assert [note for note in record["notes"] if blob.name in note]
        assert [path.name for path in (layout.root / "corrupt").iterdir()] == [blob.name]
        service.build("--no-load", DOCKYARD_BUILDER=builder)
    assert_whole(layout)


@pytest.mark.parametrize("place", ["/sys/dockyard", "{root}/pyproject.toml/cache"])
def test_a_directory_that_cannot_be_written_is_a_note(service: Service, place: str) -> None:
    folder = place.format(root=service.root)
    record = service.build("--no-load", DOCKYARD_CACHE_DIR=folder)
    assert re.search(r"local cache is not used: .*cannot be written", record["notes"][0])
    assert folder in record["notes"][0]


def test_a_full_disk_is_a_note_and_the_old_cache_stays(service: Service, layout: Layout) -> None:
    service.build("--no-load")
    before = layout.index()
    edit(service, 5_000_000)
    # No file may grow beyond 1 MB: what a full disk does, without one.
    done = subprocess.run(
        ["prlimit", "--fsize=1000000", "--", sys.executable, "-m", "invoke", "build", "--no-load"],
        cwd=service.root,
        env={**os.environ, **service.environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "could not be exported" in done.stdout
    assert {tag: one.digest for tag, one in layout.index().items()} == {
        tag: one.digest for tag, one in before.items()
    }
    assert_whole(layout)
