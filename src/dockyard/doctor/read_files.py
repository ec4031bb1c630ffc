"""Read what is on this machine: the cache directory, disks, leftovers, Dockerfile and context."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard import process
from dockyard.doctor.project_findings import ContextFacts, DockerfileFacts
from dockyard.doctor.storage_findings import CacheFolder, Disk, Leftovers
from dockyard.errors import DockyardError
from dockyard.state import STATE_FOLDER, State

if TYPE_CHECKING:
    from dockyard.doctor.engine_findings import EngineAnswer
    from dockyard.settings import Settings

__all__ = [
    "is_uncommitted",
    "read_cache_folder",
    "read_context",
    "read_disks",
    "read_dockerfile",
    "read_leftovers",
    "stale_snapshots",
]

LOCK_SECONDS = 1.0
READ_RECORDS = 200
TEMPORARY = re.compile(r"\..+\.(\d+)$")


# -------------------- the cache directory and the disks


def read_cache_folder(settings: Settings) -> CacheFolder:
    """Look at DOCKYARD_CACHE_DIR, and write nothing to it."""
    from dockyard.caches.layout import Layout

    root = settings.cache_dir
    if not root.is_dir():
        parent = next((one for one in root.parents if one.exists()), Path("/"))
        usable = parent.is_dir() and os.access(parent, os.W_OK | os.X_OK)
        at_fault = root if root.exists() else parent
        refused = () if usable and not root.exists() else (str(at_fault),)
        return CacheFolder(str(root), exists=False, refused=refused, ours=False)
    layout = Layout(root)
    places = [root, layout.blobs_folder, root / "snapshots", root / "index.json", root / "lock"]
    closed = [place for place in places if place.exists() and not _usable(place)]
    ours = all(place.stat().st_uid == os.geteuid() for place in closed)
    damaged = None
    try:
        layout.index()
    except DockyardError as error:
        damaged = error.problems[0].message
    aside = root / "corrupt"
    with contextlib.suppress(OSError):
        return CacheFolder(
            str(root),
            exists=True,
            refused=tuple(map(str, closed)),
            ours=ours,
            bytes=sum(found.st_size for _, found in layout.blobs()),
            free=shutil.disk_usage(root).free,
            damaged=damaged,
            set_aside=len(list(aside.iterdir())) if aside.is_dir() else 0,
        )
    return CacheFolder(str(root), exists=True, refused=(str(root),), ours=ours)


def _usable(place: Path) -> bool:
    return os.access(place, os.W_OK | os.R_OK | (os.X_OK if place.is_dir() else 0))


def read_disks(settings: Settings, engine: EngineAnswer) -> tuple[Disk, ...]:
    """Measure the project's disk and the engine's, where that is on this machine."""
    project = _disk("the project", settings.root)
    folder = Path(str(engine.info.get("DockerRootDir") or "/nonexistent"))
    remote = bool(engine.address and not engine.address.startswith("unix:"))
    if not engine.answers:
        return (project,)
    if remote or not folder.is_dir():
        return (project, Disk("the engine, which is on another machine", None))
    if folder.stat().st_dev == settings.root.stat().st_dev:
        return (_disk("the project and the engine", settings.root),)
    return (project, _disk("the engine", folder))


def _disk(holds: str, folder: Path) -> Disk:
    try:
        usage, system = shutil.disk_usage(folder), os.statvfs(folder)
    except OSError:
        return Disk(holds, None)
    inodes = system.f_favail / system.f_files if system.f_files else None
    return Disk(holds, usage.free, usage.total, inodes)


# -------------------- leftovers


def stale_snapshots(folder: Path) -> list[Path]:
    """List the snapshots of builds that have ended without removing them."""
    from dockyard.caches.locking import is_locked

    if not folder.is_dir():
        return []
    # A lock file that is not there would be made by asking for its lock.
    return [
        one
        for one in sorted(folder.iterdir())
        if one.is_dir() and not ((one / "lock").exists() and is_locked(one / "lock"))
    ]


def read_leftovers(settings: Settings) -> Leftovers:
    """Look for what killed commands left, and for records that cannot be read."""
    from dockyard.caches.directory import CacheDirectory
    from dockyard.records import load_records

    directory = CacheDirectory(settings.cache_dir, settings.cache_budget)
    holder, waited = _holder(settings.cache_dir / "lock")
    snapshots: list[Path] = []
    with contextlib.suppress(OSError):
        snapshots = stale_snapshots(directory.snapshots_folder)
    state = settings.root / STATE_FOLDER
    dockerfile = settings.root / settings.dockerfile
    folders = (state, state / "builds", settings.cache_dir, dockerfile.parent)
    temporary = [path for folder in folders for path in _temporary(folder)]
    unreadable: list[tuple[str, str]] = []
    with contextlib.suppress(OSError):
        unreadable = [
            (str(one.path), one.reason)
            for one in load_records(settings.root, READ_RECORDS)[1]
            # One of a newer Dockyard is of use to that.
            if one.damaged
        ]
    crashes = sorted(state.glob("crash-*.log")) if state.is_dir() else []
    return Leftovers(
        tuple(map(str, snapshots)),
        tuple(map(str, temporary)),
        tuple(unreadable),
        holder,
        waited,
        tuple(map(str, crashes)),
    )


def _temporary(folder: Path) -> Iterator[Path]:
    """Yield files that were being written by processes that are gone."""
    with contextlib.suppress(OSError):
        for path in sorted(folder.iterdir()):
            found = TEMPORARY.fullmatch(path.name)
            if found and path.is_file() and not _runs(int(found[1])):
                yield path


def _runs(number: int) -> bool:
    try:
        os.kill(number, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _holder(lock: Path) -> tuple[str | None, float]:
    """Name the process that keeps holding a lock, and for how long that was watched."""
    from dockyard.caches.locking import is_locked

    started = time.monotonic()
    while lock.is_file() and is_locked(lock):
        waited = time.monotonic() - started
        if waited > LOCK_SECONDS:
            with contextlib.suppress(OSError):
                return lock.read_text(errors="replace").strip()[:32] or "unknown", waited
            return "unknown", waited
        time.sleep(0.05)
    return None, 0.0


# -------------------- the project


def read_dockerfile(settings: Settings, environment: Mapping[str, str]) -> DockerfileFacts:
    """Compare the Dockerfile with the one that the settings render. Raises ProjectError."""
    import difflib

    from dockyard.dockerfile import DockerfileState, dockerfile_state, read_plan, recipe, render
    from dockyard.dockerfile_upkeep import NO_PLAN, settle_dockerfile
    from dockyard.known_project import Facts, project_facts
    from dockyard.local_packages import find_local_packages

    name = settings.dockerfile
    path = settings.root / name
    if not path.exists():
        return DockerfileFacts(name, "missing")
    facts = project_facts(settings)
    local = find_local_packages(
        settings.root / settings.project,
        facts,
        install=settings.install,
        copy_paths=settings.copy_paths,
    )
    try:
        text = path.read_bytes().decode()
        plan = read_plan(text, name)
        rendered = render(recipe(settings, settings.image or facts.name, local), plan or NO_PLAN)
        state = State(settings.root)
        # Nothing remembered may answer here, and nothing is saved.
        state.forget()
        known = Facts(settings, state, "amd64")
        _, notes = settle_dockerfile(settings, known, state, environment, write=False)
    except (OSError, UnicodeDecodeError) as error:
        return DockerfileFacts(name, "edited", unreadable=str(error))
    verdict = dockerfile_state(text, rendered)
    changed = 0
    if verdict is not DockerfileState.CURRENT:
        lines = difflib.unified_diff(text.splitlines(), rendered.splitlines(), n=0, lineterm="")
        changed = sum(line[:1] in "+-" for line in list(lines)[2:])
    plan_notes = tuple(one for one in notes if "not up to date with the lock" in one)
    return DockerfileFacts(name, str(verdict), changed, plan_notes)


def read_context(settings: Settings) -> ContextFacts:
    """List the build context as ``.dockerignore`` leaves it. Raises ProjectError."""
    from dockyard.information import gather_context

    found = gather_context(settings)
    return ContextFacts(
        found.folder,
        len(found.listing.entries),
        sum(one.bytes for one in found.listing.entries),
        found.suggestions,
        found.listing.unreadable,
    )


def is_uncommitted(settings: Settings) -> bool | None:
    """Tell whether git has another uv.lock than the disk, or none; None outside of a repository."""
    lock = f"{settings.project}/uv.lock" if settings.project != "." else "uv.lock"
    # Without the lock: looking does not even refresh git's index.
    command = ["git", "--no-optional-locks", "status", "--porcelain", "--", lock]
    try:
        done = process.run(command, directory=settings.root, timeout=5.0)
    except OSError:
        return None
    return bool(done.stdout.strip()) if done.succeeded else None
