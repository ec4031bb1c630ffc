"""What ``doctor --fix`` does: each of it said beforehand, and none of it a loss to anybody."""

from __future__ import annotations

import contextlib
import shutil
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dockyard.doctor.findings import Finding, Repair
from dockyard.errors import DockyardError

if TYPE_CHECKING:
    from dockyard.settings import Settings

__all__ = ["Repaired", "repair"]


@dataclass(frozen=True)
class Repaired:
    """One repair: what was done, or would be; ``error`` where it could not be."""

    repair: Repair
    done: tuple[str, ...]
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the same as JSON values."""
        return {"repair": str(self.repair), "done": list(self.done), "error": self.error}


def repair(
    findings: Iterable[Finding],
    settings: Settings,
    environment: Mapping[str, str],
    *,
    dry_run: bool,
) -> tuple[Repaired, ...]:
    """Carry out the repairs that the findings name, each once; a dry run only says what it would.

    One that fails is told in the result and hinders none of the others.
    """
    wanted = {one.repair for one in findings}
    done = []
    for kind, act in REPAIRS.items():
        if kind not in wanted:
            continue
        try:
            done.append(Repaired(kind, tuple(act(settings, environment, dry_run))))
        except DockyardError as error:
            done.append(Repaired(kind, (), str(error.problems[0])))
        except OSError as error:
            done.append(Repaired(kind, (), f"{error.filename}: {error.strerror}"))
    return tuple(done)


def _builder(settings: Settings, environment: Mapping[str, str], dry_run: bool) -> list[str]:
    """Do what ``cache.init`` does: the builder's cache stays."""
    from dockyard.cache_setup import initialize

    change = initialize(settings, environment, dry_run=dry_run).builder
    return change.lines()


def _cache_permissions(
    settings: Settings, environment: Mapping[str, str], dry_run: bool
) -> list[str]:
    """Give the owner of the cache directory, who runs this, back what was taken."""
    root = settings.cache_dir
    places = [root, *(root / name for name in ("blobs", "blobs/sha256", "snapshots"))]
    places += [root / name for name in ("index.json", "lock", "verified.json", "oci-layout")]
    done = []
    for place in places:
        with contextlib.suppress(FileNotFoundError):
            mode = stat.S_IMODE(place.stat().st_mode)
            wanted = mode | stat.S_IRUSR | stat.S_IWUSR | (stat.S_IXUSR if place.is_dir() else 0)
            if wanted == mode:
                continue
            if not dry_run:
                place.chmod(wanted)
            done.append(f"chmod {mode:04o} → {wanted:04o} {place}")
    return done


def _dockerfile(settings: Settings, environment: Mapping[str, str], dry_run: bool) -> list[str]:
    """Write the Dockerfile where there is none, or render one again that nobody edited."""
    from dockyard.initialization import Action, apply_changes, plan_changes

    path = settings.root / settings.dockerfile
    changes = [
        one
        for one in plan_changes(settings)
        if one.path == path and one.action in (Action.WRITE, Action.RENDER)
    ]
    if not dry_run:
        apply_changes(changes)
    return [f"{one.action} {settings.dockerfile}: {one.reason}" for one in changes]


def _leftovers(settings: Settings, environment: Mapping[str, str], dry_run: bool) -> list[str]:
    """Remove snapshots and temporary files whose processes are gone."""
    from dockyard.caches.directory import CacheDirectory
    from dockyard.doctor.read_files import read_leftovers, stale_snapshots

    temporary = [Path(path) for path in read_leftovers(settings).temporary]
    directory = CacheDirectory(settings.cache_dir, settings.cache_budget)
    folder = directory.snapshots_folder
    if dry_run:
        return [f"remove {path}" for path in (*stale_snapshots(folder), *temporary)]
    done = []
    if stale_snapshots(folder):
        # Under the lock nobody is just making one.
        with directory.locked():
            for path in stale_snapshots(folder):
                shutil.rmtree(path)
                done.append(f"removed {path}")
    for path in temporary:
        path.unlink(missing_ok=True)
        done.append(f"removed {path}")
    return done


def _records(settings: Settings, environment: Mapping[str, str], dry_run: bool) -> list[str]:
    """Move records that cannot be read aside, so that nobody reads them; none is removed."""
    from dockyard.doctor.read_files import READ_RECORDS
    from dockyard.records import load_records

    before = load_records(settings.root, READ_RECORDS, set_aside=not dry_run)[1]
    verb = "set aside" if dry_run else "moved to"
    return [f"{verb} {one.path}" for one in before if one.damaged]


REPAIRS: Mapping[Repair, Callable[[Settings, Mapping[str, str], bool], list[str]]] = {
    Repair.CACHE_PERMISSIONS: _cache_permissions,
    Repair.LEFTOVERS: _leftovers,
    Repair.RECORDS: _records,
    Repair.DOCKERFILE: _dockerfile,
    Repair.BUILDER: _builder,
}
