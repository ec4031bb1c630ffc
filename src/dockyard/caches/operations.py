"""``cache.push`` and ``cache.pull``: the local cache and uv's cache mount, and a registry."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dockyard.caches.directory import CacheDirectory
from dockyard.caches.registry_client import Manifest, RegistryClient, open_repository
from dockyard.caches.transfer import (
    Plan,
    Transferred,
    clear_ingest,
    plan_pull,
    plan_push,
    planned,
    pull,
    push,
)
from dockyard.display.format import format_bytes, format_count, format_seconds
from dockyard.errors import CacheError, SettingsError
from dockyard.state import State

if TYPE_CHECKING:
    from dockyard.caches.scope import CacheScope
    from dockyard.display.transfer import TransferProgress
    from dockyard.engine import EngineFacts
    from dockyard.settings import Settings

__all__ = ["CacheTransfer", "pull_cache", "push_cache", "transfer_lines"]

# The folder of the cache directory in which interrupted downloads wait.
INGEST = "ingest"


@dataclass(frozen=True)
class CacheTransfer:
    """What was moved, or with ``dry_run`` would be.

    ``layers`` and ``mounts`` are None where there was nothing of the kind; ``restored`` names the
    builders that the cache mount was added to.
    """

    direction: str
    repository: str
    layers: Transferred | None
    mounts: Transferred | None
    restored: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float
    dry_run: bool = False

    @property
    def parts(self) -> tuple[Transferred, ...]:
        """The parts that there are."""
        return tuple(part for part in (self.layers, self.mounts) if part)

    def as_json(self) -> dict[str, object]:
        """Render as JSON values, with the sums of both parts."""
        sums = ("bytes_moved", "bytes_skipped", "blobs_moved", "blobs_skipped")
        return {
            "direction": self.direction,
            "repository": self.repository,
            "dry_run": self.dry_run,
            **{name: sum(getattr(part, name) for part in self.parts) for name in sums},
            "layers": self.layers.as_json() if self.layers else None,
            "mounts": self.mounts.as_json() if self.mounts else None,
            "restored": list(self.restored),
            "notes": list(self.notes),
            "seconds": round(self.seconds, 3),
        }


def transfer_lines(done: CacheTransfer) -> list[str]:
    """Say what came of it: notes first, the bytes moved and skipped last."""
    lines = [f"note: {note}" for note in done.notes]
    for part in done.parts:
        tags = ", ".join(part.tags)
        lines.append(f"{tags}  {part.digest}")
    lines += [f"cache mount restored into the builder {name}" for name in done.restored]
    verb = {"push": ("push", "pushed"), "pull": ("pull", "pulled")}[done.direction]
    moved, skipped = (
        f"{format_bytes(sum(getattr(part, f'bytes_{name}') for part in done.parts))} "
        f"in {format_count(sum(getattr(part, f'blobs_{name}') for part in done.parts), 'blob')}"
        for name in ("moved", "skipped")
    )
    what = f"would {verb[0]}" if done.dry_run else verb[1]
    lines.append(f"{what} {moved}, skipped {skipped} ({format_seconds(done.seconds)})")
    return lines


class _Work:
    """What both directions need to know first."""

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        from dockyard.caches.use import cache_scope
        from dockyard.engine import engine_facts
        from dockyard.project import image_name
        from dockyard.revision import begin_revision

        self.settings, self.environment = settings, environment
        self.started = time.monotonic()
        self.state = State(settings.root)
        revision = begin_revision(settings.root, environment, default_branch=True)
        self.engine: EngineFacts = engine_facts(self.state, environment)
        self.scope: CacheScope = cache_scope(
            settings,
            image=image_name(settings),
            platform=f"linux/{self.engine.architecture}",
            revision=revision(),
        )
        if self.scope.repository is None:
            raise SettingsError(
                "there is no registry to keep the cache in",
                where="DOCKYARD_REGISTRY",
                hint="set it to a registry and prefix, such as ghcr.io/acme",
            )
        self.repository: str = self.scope.repository
        self.directory = CacheDirectory(settings.cache_dir, settings.cache_budget)
        self.notes: list[str] = []

    @property
    def with_mounts(self) -> bool:
        return self.settings.cache_mounts != "none"

    def client(self) -> RegistryClient:
        return open_repository(self.settings, self.repository, self.environment)

    def finish(
        self,
        direction: str,
        layers: Transferred | None,
        mounts: Transferred | None,
        *,
        restored: Sequence[str] = (),
        dry_run: bool = False,
    ) -> CacheTransfer:
        self.state.save()
        return CacheTransfer(
            direction,
            self.repository,
            layers,
            mounts,
            tuple(restored),
            tuple(self.notes),
            time.monotonic() - self.started,
            dry_run,
        )


def push_cache(
    settings: Settings,
    environment: Mapping[str, str],
    progress: TransferProgress,
    *,
    mounts_only: bool = False,
    dry_run: bool = False,
) -> CacheTransfer:
    """Save the cache mount, then push it and, unless ``mounts_only``, this branch's local cache.

    With ``dry_run`` nothing is saved nor pushed. Raises CacheError where there is no cache to push,
    and what the registry or the directory refuses; the registry's tags then are as they were. That
    a mount has nothing to keep is a note.
    """
    work = _Work(settings, environment)
    scope, directory = work.scope, work.directory
    if work.with_mounts and not dry_run:
        from dockyard.caches.mount_transfer import save_into

        work.notes += save_into(directory, scope.mounts_tag, settings, environment, work.state)
    with directory.open((scope.export_tag, scope.mounts_tag)) as snapshot, work.client() as client:
        work.notes += snapshot.notes
        exported = snapshot.imports.get(scope.export_tag)
        wanted = [] if mounts_only else [(scope.export_tags, exported)]
        if work.with_mounts:
            wanted.append(((scope.mounts_tag,), snapshot.imports.get(scope.mounts_tag)))
        layout = snapshot.layout
        plans = [(tags, plan_push(layout, one, client)) for tags, one in wanted if one]
        if not plans and not mounts_only:
            raise CacheError(
                f"there is no local cache {scope.export_tag} to push",
                where=str(directory.root),
                hint="`DOCKYARD_CACHE_BACKENDS=local invoke build` makes one",
            )
        if exported is None and not mounts_only:
            work.notes.append(f"there is no local cache {scope.export_tag}: build first")
        done: dict[tuple[str, ...], Transferred] = {}
        for tags, plan in plans:
            if dry_run:
                done[tags] = planned(tags, plan)
                continue
            with _shown(progress, tags[0], plan):
                done[tags] = push(layout, plan, client, tags, progress.advance)
    return work.finish(
        "push", done.get(scope.export_tags), done.get((scope.mounts_tag,)), dry_run=dry_run
    )


def pull_cache(
    settings: Settings,
    environment: Mapping[str, str],
    progress: TransferProgress,
    *,
    mounts_only: bool = False,
    dry_run: bool = False,
) -> CacheTransfer:
    """Pull the best cache that the registry has for this branch, then restore the cache mount.

    With ``mounts_only`` the mount alone: a build with the backend ``registry`` reads layers itself.
    The branch's own, else the default branch's, else the shared one. That there is none is a note.
    With ``dry_run`` nothing is pulled. Raises what the registry or the directory refuses; the local
    cache then is as it was, and what arrived is kept for the next pull.
    """
    work = _Work(settings, environment)
    scope, directory = work.scope, work.directory
    ingest = directory.root / INGEST
    with work.client() as client:
        found = _find(client, work, mounts_only=mounts_only)
        if not found:
            return work.finish("pull", None, None, dry_run=dry_run)
        with directory.open(tuple(directory.layout.index())) as snapshot:
            if not (snapshot.writable or dry_run):
                raise CacheError(
                    "the local cache cannot be written",
                    where=str(directory.root),
                    hint="make it writable, or set DOCKYARD_CACHE_DIR",
                )
            plans = {
                tag: plan_pull(manifest, client, snapshot.layout, ingest)
                for tag, manifest in found.items()
            }
            done: dict[str, Transferred] = {}
            for tag, plan in plans.items():
                if dry_run:
                    done[tag] = planned((tag,), plan)
                    continue
                with _shown(progress, tag, plan):
                    done[tag] = pull(snapshot.layout, plan, client, tag, ingest, progress.advance)
            if not dry_run:
                work.notes += snapshot.commit().notes
                clear_ingest(ingest)
    mounts = done.pop(scope.mounts_tag, None)
    restored: list[str] = []
    if mounts and not dry_run:
        from dockyard.caches.mount_transfer import restore_from

        restored, notes = restore_from(
            directory, scope.mounts_tag, settings, environment, work.state
        )
        work.notes += notes
    layers = next(iter(done.values()), None)
    return work.finish("pull", layers, mounts, restored=restored, dry_run=dry_run)


def _find(client: RegistryClient, work: _Work, *, mounts_only: bool) -> dict[str, Manifest]:
    """Read the manifests of what is to be pulled, by tag; notes on what there is not."""
    found: dict[str, Manifest] = {}
    if mounts_only and not work.with_mounts:
        work.notes.append("DOCKYARD_CACHE_MOUNTS is none: there is nothing to pull")
        return found
    tags = (work.scope.mounts_tag,) if mounts_only else work.scope.import_tags
    for tag in tags:
        manifest = client.read_manifest(tag)
        if manifest:
            found[tag] = manifest
            break
    else:
        work.notes.append(f"{work.repository} has no cache yet (looked for {', '.join(tags)})")
    if mounts_only:
        return found
    mounts = client.read_manifest(work.scope.mounts_tag) if work.with_mounts else None
    return {**found, work.scope.mounts_tag: mounts} if mounts else found


@contextlib.contextmanager
def _shown(progress: TransferProgress, tag: str, plan: Plan) -> Iterator[None]:
    progress.begin(tag, plan.bytes_missing)
    try:
        yield
    finally:
        progress.end()
