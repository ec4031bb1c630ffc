"""``cache.info``: what each part of the build cache holds, gathered as values, then shown."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

from dockyard.caches.builder_usage import BuilderUsage, builder_usage, usage_by_kind
from dockyard.caches.directory import CacheDirectory
from dockyard.caches.layout import BlobError
from dockyard.caches.prune import dedicated_builder
from dockyard.caches.registry_usage import read_registry_caches
from dockyard.caches.sweep import age_limit, last_used
from dockyard.display.format import format_bytes
from dockyard.errors import DockyardError
from dockyard.settings_masking import mask_credentials

if TYPE_CHECKING:
    from dockyard.settings import Settings

__all__ = ["CacheEntry", "CacheInformation", "CachePlace", "gather_caches", "present_caches"]

# Backends whose content only BuildKit can see, and where their own pages show it.
UNSEEN = {
    "gha": "github.com shows them below Actions → Caches",
    "s3": "`aws s3 ls` shows them",
    "azblob": "`az storage blob list` shows them",
    "inline": "it is in the image itself",
}


@dataclass(frozen=True)
class CacheEntry:
    """One cache by its tag: bytes, and when it was last used (local) or made (registry), UTC."""

    tag: str
    bytes: int
    when: str | None


@dataclass(frozen=True)
class CachePlace:
    """One backend: ``bytes`` counts each blob once. What is not known is None, never zero.

    ``prunable`` is what ``cache.prune`` would free now, in bytes.
    """

    kind: str
    where: str
    bytes: int | None
    entries: tuple[CacheEntry, ...] | None
    prunable: int | None
    note: str | None = None


@dataclass(frozen=True)
class CacheInformation:
    """All of it: the backends, each builder's usage by kind, and the budget in bytes."""

    budget: int
    places: tuple[CachePlace, ...]
    builders: Mapping[str, BuilderUsage | None]

    def as_json(self) -> dict[str, Any]:
        """Return the same as JSON values."""
        builders = {
            name: {**asdict(usage), "total": usage.total} if usage else None
            for name, usage in self.builders.items()
        }
        return {
            "budget": self.budget,
            "places": [asdict(place) for place in self.places],
            "builders": builders,
        }


def _moment(seconds: float) -> str | None:
    if seconds <= 0:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def local_place(settings: Settings) -> CachePlace:
    """Describe the local directory. Raises CacheError where its index is damaged."""
    directory = CacheDirectory(settings.cache_dir, settings.cache_budget)
    where = str(settings.cache_dir)
    if not directory.root.is_dir():
        return CachePlace("local", where, 0, (), 0, "there is none yet")
    entries = []
    broken = []
    for tag, descriptor in directory.layout.index().items():
        try:
            reachable = directory.layout.reachable(descriptor)
        except BlobError:
            broken.append(tag)
            continue
        size = sum(one.size for one in reachable)
        entries.append(CacheEntry(tag, size, _moment(last_used(descriptor))))
    entries.sort(key=lambda entry: entry.when or "", reverse=True)
    oldest = age_limit(directory.layout.index(), time.time(), settings.cache_days)
    prunable = directory.sweep(oldest=oldest, dry_run=True).bytes
    total = sum(found.st_size for _, found in directory.layout.blobs())
    note = f"damaged, made anew by the next build: {', '.join(broken)}" if broken else None
    return CachePlace("local", where, total, tuple(entries), prunable, note)


def registry_place(settings: Settings, image: str, environment: Mapping[str, str]) -> CachePlace:
    """Describe the caches beside the image in its registry; a silent registry is a note."""
    from dockyard.caches.registry_client import open_repository

    where = f"{settings.registry}/{image}"
    try:
        with open_repository(settings, where, environment) as client:
            caches = read_registry_caches(client)
    except DockyardError as error:
        return CachePlace("registry", where, None, None, None, error.problems[0].message)
    distinct = {digest: size for one in caches for digest, size in one.blobs}
    entries = tuple(
        CacheEntry(one.tag, one.bytes, _moment(one.created.timestamp()) if one.created else None)
        for one in caches
    )
    note = None if caches else "there is none yet"
    return CachePlace("registry", where, sum(distinct.values()), entries, None, note)


def gather_caches(
    settings: Settings, image: str, environment: Mapping[str, str]
) -> CacheInformation:
    """Ask the directory, the registry and the builders. Raises CacheError, EngineError."""
    places = [local_place(settings)]
    if settings.registry:
        places.append(registry_place(settings, image, environment))
    for backend in settings.cache_backends:
        kind, _, options = backend.partition(":")
        if kind in UNSEEN:
            shown = mask_credentials(options)
            places.append(CachePlace(kind, shown, None, None, None, UNSEEN[kind]))
    builders: dict[str, BuilderUsage | None] = {}
    for name in (dedicated_builder(settings), "default"):
        if name:
            records = builder_usage(name)
            builders[name] = usage_by_kind(records) if records is not None else None
    return CacheInformation(settings.cache_budget, tuple(places), builders)


def present_caches(found: CacheInformation, stream: TextIO) -> None:
    """Draw it as tables."""
    from rich.console import Console
    from rich.table import Table

    console = Console(file=stream, highlight=False, soft_wrap=not stream.isatty())
    for place in found.places:
        size = "size unknown" if place.bytes is None else format_bytes(place.bytes)
        line = f"{place.kind}: {size}"
        if place.kind == "local":
            line += f" of {format_bytes(found.budget)}"
        if place.prunable:
            line += f", {format_bytes(place.prunable)} prunable"
        console.print(f"[bold]{line}[/bold]  {place.where}", markup=True)
        if place.note:
            console.print(f"  {place.note}", markup=False)
        if place.entries:
            table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
            for heading in (
                "  cache",
                "bytes",
                "made" if place.kind == "registry" else "last used",
            ):
                table.add_column(heading, justify="right" if heading == "bytes" else "left")
            for entry in place.entries:
                table.add_row(f"  {entry.tag}", format_bytes(entry.bytes), entry.when or "unknown")
            console.print(table)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("builder", "layers", "cache mounts", "sources", "internal", "total"):
        table.add_column(heading, justify="left" if heading == "builder" else "right")
    for name, usage in found.builders.items():
        if usage is None:
            table.add_row(name, "it does not answer")
            continue
        parts = (usage.layers, usage.mounts, usage.sources, usage.internal, usage.total)
        table.add_row(name, *map(format_bytes, parts))
    console.print(table)
