"""The local cache directory: an OCI layout that builds read and write at the same time.

Each build works on a *snapshot*: a folder below ``snapshots`` whose blobs are links to the store's,
at once the source of BuildKit's import and the destination of its export. What a build exported
becomes part of the store by :meth:`Snapshot.commit`, under a lock held for milliseconds; until
then nobody else sees it. A build that is killed leaves a snapshot that nobody holds, which the
next one removes.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dockyard.caches.layout import BlobError, Descriptor, Layout
from dockyard.caches.locking import LOCK_SECONDS, is_locked, link, locked_file
from dockyard.caches.sweep import USED_ANNOTATION, Swept, apply_sweep, plan_sweep, trim_folder
from dockyard.errors import CacheError
from dockyard.scratch import ScratchFolder
from dockyard.state import write_atomically

__all__ = ["CacheDirectory", "Committed", "Snapshot"]

# Blobs set aside may take a tenth of the budget, so that somebody can look at them.
CORRUPT_SHARE = 10

# Of each blob the size, modification time and inode of the file that was found to be sound. Not
# its change time, which every link to it sets.
Verified = dict[str, list[int]]


@dataclass(frozen=True)
class Committed:
    """What a commit did: tags written, blobs and bytes that were new, what went, and notes."""

    tags: tuple[str, ...]
    blobs: int
    bytes: int
    swept: Swept
    notes: tuple[str, ...]


def _identity(found: os.stat_result) -> list[int]:
    return [found.st_size, found.st_mtime_ns, found.st_ino]


class CacheDirectory:
    """The store below ``root``, which need not exist, and at most ``budget`` bytes of blobs.

    ``clock`` gives seconds since 1970; ``lock_seconds`` is how long to wait for other processes.
    """

    def __init__(
        self,
        root: Path,
        budget: int,
        *,
        clock: Callable[[], float] = time.time,
        lock_seconds: float = LOCK_SECONDS,
    ) -> None:
        self.root = root
        self.layout = Layout(root)
        self.budget = budget
        self._clock = clock
        self._lock_seconds = lock_seconds

    @property
    def snapshots_folder(self) -> Path:
        """Where the snapshots of running builds are."""
        return self.root / "snapshots"

    @property
    def corrupt_folder(self) -> Path:
        """Where blobs go that are not what their digest says."""
        return self.root / "corrupt"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the store, to change it.

        Raises CacheError where another process keeps holding it, or nothing can be written (then
        its cause is the OSError).
        """
        holding = contextlib.ExitStack()
        try:
            self.layout.create()
            self.snapshots_folder.mkdir(exist_ok=True)
            holding.enter_context(locked_file(self.root / "lock", self._lock_seconds))
        except OSError as error:
            raise CacheError(
                f"the cache directory cannot be written: {error.strerror}",
                where=str(self.root),
                hint="make it writable, free some space, or set DOCKYARD_CACHE_DIR",
            ) from error
        with holding:
            yield

    def open(self, tags: Sequence[str]) -> Snapshot:
        """Take a snapshot with those of the caches ``tags``, best first, that are whole.

        A blob that is damaged is set aside, and the tags that need it are dropped, with a note. A
        directory that cannot be written gives a snapshot that is only read from. Raises CacheError
        for a lock that is not to be had, a damaged index, or no directory at all.
        """
        try:
            with self.locked():
                self._remove_stale_snapshots()
                return self._take(tags)
        except CacheError as error:
            if not isinstance(error.__cause__, OSError) or not self.root.is_dir():
                raise
            reason = error.problems[0].message
        return self._take_read_only(tags, reason)

    def _take(self, tags: Sequence[str]) -> Snapshot:
        folder = self.snapshots_folder / f"{os.getpid()}-{secrets.token_hex(4)}"
        with contextlib.ExitStack() as holding:
            try:
                folder.mkdir()
                holding.callback(shutil.rmtree, folder, ignore_errors=True)
                holding.enter_context(locked_file(folder / "lock", 0))
                layout = Layout(folder)
                layout.create()
                imports, notes = self._fill(layout, tags)
            except OSError as error:
                raise CacheError(f"a snapshot cannot be written: {error.strerror}") from error
            return Snapshot(self, layout, imports, notes, holding.pop_all(), writable=True)

    def _take_read_only(self, tags: Sequence[str], reason: str) -> Snapshot:
        known = self.layout.index()
        imports: dict[str, Descriptor] = {}
        with contextlib.ExitStack() as holding:
            layout = Layout(holding.enter_context(ScratchFolder()))
            layout.create()
            for tag in (tag for tag in tags if tag in known):
                with contextlib.suppress(BlobError, FileNotFoundError):
                    for one in self.layout.reachable(known[tag]):
                        link(self.layout.blob_path(one.digest), layout.blob_path(one.digest))
                    imports[tag] = known[tag]
            note = f"the local cache is only read, nothing is added to it: {reason}"
            return Snapshot(self, layout, imports, (note,), holding.pop_all(), writable=False)

    def _fill(
        self, layout: Layout, tags: Sequence[str]
    ) -> tuple[dict[str, Descriptor], tuple[str, ...]]:
        """Link what the tags reach into a snapshot; drop the tags that are not whole."""
        known, verified = self.layout.index(), self._verified()
        before = dict(verified)
        imports: dict[str, Descriptor] = {}
        notes = []
        for tag in (tag for tag in dict.fromkeys(tags) if tag in known):
            fault = self._link_whole(known[tag], layout, verified)
            if fault:
                notes.append(f"the local cache {tag} is not used but made anew: {fault}")
                del known[tag]
            else:
                imports[tag] = known[tag]
        if notes:
            self.layout.replace_index(known)
        if verified != before:
            self._remember(verified)
        return imports, tuple(notes)

    def _link_whole(self, descriptor: Descriptor, layout: Layout, verified: Verified) -> str | None:
        """Link all that a manifest reaches and that is sound; what is not, in words.

        What is sound of a cache that is not whole serves the export: BuildKit need not write it.
        """
        fault = None
        try:
            reachable = self.layout.reachable(descriptor)
        except BlobError as error:
            self._set_aside(error.digest, verified)
            return error.problems[0].message
        for one in reachable:
            path = self.layout.blob_path(one.digest)
            try:
                identity = _identity(path.stat())
                if identity[0] != one.size or verified.get(one.digest) != identity:
                    self.layout.verify(one)
                    verified[one.digest] = identity
                link(path, layout.blob_path(one.digest))
            except BlobError as error:
                self._set_aside(one.digest, verified)
                fault = error.problems[0].message
            except FileNotFoundError:
                fault = f"the blob {one.digest} is missing"
        return fault

    # -------------------- damaged blobs

    def _set_aside(self, digest: str, verified: Verified) -> None:
        verified.pop(digest, None)
        path = self.layout.blob_path(digest)
        self.corrupt_folder.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            path.replace(self.corrupt_folder / path.name)

    def set_aside_damaged(self) -> tuple[str, ...]:
        """Read every blob through, set the damaged ones aside, drop the tags that need them.

        For when BuildKit finds one damaged that looks sound from outside. Returns their digests.
        Raises CacheError as :meth:`locked` does.
        """
        damaged = []
        verified: Verified = {}
        with self.locked():
            for digest, found in list(self.layout.blobs()):
                try:
                    self.layout.verify(Descriptor("", digest, found.st_size))
                    verified[digest] = _identity(found)
                except BlobError:
                    damaged.append(digest)
                    self._set_aside(digest, verified)
            tags = self.layout.index()
            whole = {tag: one for tag, one in tags.items() if self._is_whole(one)}
            if len(whole) < len(tags):
                self.layout.replace_index(whole)
            self._remember(verified)
        return tuple(sorted(damaged))

    def _is_whole(self, descriptor: Descriptor) -> bool:
        try:
            return all(self.layout.has(one.digest) for one in self.layout.reachable(descriptor))
        except BlobError:
            return False

    def _verified(self) -> Verified:
        try:
            loaded = json.loads((self.root / "verified.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return loaded if isinstance(loaded, dict) else {}

    def _remember(self, verified: Verified) -> None:
        write_atomically(self.root / "verified.json", json.dumps(verified))

    # -------------------- writing

    def accept(self, snapshot: Snapshot, aliases: Mapping[str, str]) -> Committed:
        """Take over what a snapshot's index reaches; for :meth:`Snapshot.commit`."""
        written = snapshot.layout.index()
        written |= {alias: written[tag] for alias, tag in aliases.items() if tag in written}
        now = {USED_ANNOTATION: f"{self._clock():.3f}"}
        notes = []
        with self.locked():
            tags, verified = self.layout.index(), self._verified()
            needed: dict[str, Descriptor] = {}
            accepted = []
            for tag, descriptor in written.items():
                try:
                    needed |= {one.digest: one for one in self._present(snapshot, descriptor)}
                except BlobError as error:
                    notes.append(f"the local cache {tag} was not written: {error.problems[0]}")
                    continue
                tags[tag] = descriptor.annotated(now)
                accepted.append(tag)
            for tag in snapshot.imports.keys() & tags.keys() - set(accepted):
                tags[tag] = tags[tag].annotated(now)
            new = [one for one in needed.values() if self._take_over(snapshot, one, verified)]
            self._remember(verified)
            self.layout.replace_index(tags)
            swept = self._sweep(self.budget, leaving=snapshot.root)
        if lost := sorted(set(accepted) & set(swept.tags)):
            notes.append(
                f"the local cache {lost[0]} is larger than DOCKYARD_CACHE_BUDGET "
                f"({self.budget} bytes) and is not kept"
            )
        return Committed(
            tuple(accepted), len(new), sum(one.size for one in new), swept, tuple(notes)
        )

    def _present(self, snapshot: Snapshot, descriptor: Descriptor) -> tuple[Descriptor, ...]:
        """List what a written manifest reaches; BlobError unless all of it is there.

        BuildKit checks each digest as it writes, so sizes do here. That all were written is another
        matter: an export that fails half-way may still be followed by a tag.
        """
        reachable = snapshot.layout.reachable(descriptor)
        for one in reachable:
            places = [layout.blob_path(one.digest) for layout in (snapshot.layout, self.layout)]
            if not any(path.is_file() and path.stat().st_size == one.size for path in places):
                raise BlobError(one.digest, "is missing or incomplete")
        return reachable

    def _take_over(self, snapshot: Snapshot, one: Descriptor, verified: Verified) -> bool:
        """Move a blob into the store unless it is a link to the store's; whether it was new."""
        source, target = (layout.blob_path(one.digest) for layout in (snapshot.layout, self.layout))
        was_there = target.is_file()
        linked = source.is_symlink() or not source.is_file()
        if not linked and not (was_there and source.samefile(target)):
            source.replace(target)
            verified[one.digest] = _identity(target.stat())
        return not was_there

    # -------------------- keeping within the budget

    def sweep(
        self, budget: int | None = None, *, oldest: float | None = None, dry_run: bool = False
    ) -> Swept:
        """Remove what is unreachable, and tags by least recent use until the rest fits.

        ``budget`` in bytes replaces the directory's own; tags last used before ``oldest``, in
        seconds since 1970, go in any case. A dry run only tells, and writes nothing. Raises
        CacheError as :meth:`locked` does.
        """
        limit = self.budget if budget is None else budget
        if dry_run:
            return plan_sweep(self.layout, limit, self._held(), oldest)
        with self.locked():
            self._remove_stale_snapshots()
            return self._sweep(limit, oldest=oldest)

    def _sweep(
        self, budget: int, leaving: Path | None = None, oldest: float | None = None
    ) -> Swept:
        swept = plan_sweep(self.layout, budget, self._held(leaving), oldest)
        apply_sweep(self.layout, swept)
        if swept.blobs:
            gone = set(swept.blobs)
            self._remember({d: found for d, found in self._verified().items() if d not in gone})
        trim_folder(self.corrupt_folder, budget // CORRUPT_SHARE)
        return swept

    def _held(self, leaving: Path | None = None) -> frozenset[str]:
        """What running builds see through symbolic links; a hard link needs nobody's care."""
        if not self.snapshots_folder.is_dir():
            return frozenset()
        return frozenset(
            digest
            for folder in self.snapshots_folder.iterdir()
            if folder != leaving and is_locked(folder / "lock")
            for digest, found in Layout(folder).blobs()
            if stat.S_ISLNK(found.st_mode)
        )

    def _remove_stale_snapshots(self) -> None:
        for folder in self.snapshots_folder.iterdir():
            if not is_locked(folder / "lock"):
                shutil.rmtree(folder, ignore_errors=True)


class Snapshot:
    """A build's own view of the cache directory; a context manager that drops it at its end.

    ``layout`` is read and written through, its index has only the tags written since.
    ``imports`` has the caches that are whole, by tag, best first. ``notes`` are for the summary.
    """

    def __init__(
        self,
        directory: CacheDirectory,
        layout: Layout,
        imports: Mapping[str, Descriptor],
        notes: tuple[str, ...],
        holding: contextlib.ExitStack,
        *,
        writable: bool,
    ) -> None:
        self.layout = layout
        self.imports = imports
        self.notes = notes
        self.writable = writable
        self._directory = directory
        self._holding = holding

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *exception: object) -> None:
        self.drop()

    @property
    def root(self) -> Path:
        """The snapshot's folder, for BuildKit's ``src`` and ``dest``."""
        return self.layout.root

    def commit(self, aliases: Mapping[str, str] | None = None) -> Committed:
        """Make the tags written since part of the store, sweep it, and drop the snapshot.

        ``aliases`` names further tags, each for one that was written. A tag whose blobs are not
        all there is left as it was, with a note. Raises CacheError where the store cannot be
        written or locked; what it held is still there.
        """
        try:
            return self._directory.accept(self, aliases or {})
        except OSError as error:
            raise CacheError(
                f"the local cache cannot be written: {error.strerror}",
                where=str(self._directory.root),
                hint="free some space, or lower DOCKYARD_CACHE_BUDGET; what it held is still there",
            ) from error
        finally:
            self.drop()

    def drop(self) -> None:
        """Remove the snapshot; what was exported to it is forgotten unless it was committed."""
        self._holding.close()
