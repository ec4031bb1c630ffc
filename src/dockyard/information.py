"""What `info`, `settings` and `context` show: gathered as values, then drawn as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TextIO

from dockyard.display.format import format_bytes, format_seconds
from dockyard.engine import ImageFacts, image_facts
from dockyard.errors import EngineError
from dockyard.records import BuildRecord, UnreadableRecord, load_records
from dockyard.state import State
from dockyard.summary import format_rate

if TYPE_CHECKING:
    from dockyard.context import ContextListing, Suggestion
    from dockyard.settings import Settings

__all__ = [
    "ContextInformation",
    "Information",
    "context_json",
    "gather",
    "gather_context",
    "present_context",
    "present_information",
    "present_settings",
]


@dataclass(frozen=True)
class Information:
    """The last builds, newest first, and the image as the engine holds it now."""

    builds: tuple[BuildRecord, ...]
    unreadable: tuple[UnreadableRecord, ...]
    image: ImageFacts | None
    image_note: str | None

    def as_json(self) -> dict[str, Any]:
        """Return the same as JSON values; each build without its steps and settings."""
        left_out = ("steps", "settings")
        return {
            "builds": [
                {name: value for name, value in asdict(one).items() if name not in left_out}
                for one in self.builds
            ],
            "unreadable": [
                {"path": str(one.path), "reason": one.reason} for one in self.unreadable
            ],
            "image": asdict(self.image) if self.image else None,
            "image_note": self.image_note,
        }


def gather(settings: Settings, last: int) -> Information:
    """Read the last builds' records and ask the engine for the image that the newest made."""
    builds, unreadable = load_records(settings.root, max(last, 1))
    newest = next((one for one in builds if one.outcome == "succeeded"), None)
    image, note = None, None
    if newest:
        tag = newest.image["tags"][0]
        try:
            image = image_facts(State(settings.root), tag, None)
        except (EngineError, OSError) as error:
            note = f"the engine was not asked: {error}"
        if image is None:
            note = note or f"{tag} is not in the engine"
        elif newest.image["digest"] and image.digest != newest.image["digest"]:
            note = f"{tag} in the engine is not what the last build made"
    return Information(tuple(builds), tuple(unreadable), image, note)


def _trend(builds: Sequence[BuildRecord]) -> str | None:
    """Compare the two newest successful builds' image sizes."""
    sizes = [b.image["content_bytes"] for b in builds if b.image.get("content_bytes")][:2]
    if len(sizes) < 2 or sizes[0] == sizes[1]:
        return None
    change = sizes[0] - sizes[1]
    return f"{'+' if change > 0 else '−'}{format_bytes(abs(change))} since the build before"


def present_information(found: Information, stream: TextIO) -> None:
    """Draw the builds and the layers of the newest one's image."""
    from rich.console import Console
    from rich.table import Table

    console = Console(file=stream)
    if not found.builds and not found.unreadable:
        console.print("no build is recorded yet: run `invoke build`")
        return
    table = Table(title="builds, newest first", title_justify="left", box=None, pad_edge=False)
    for name in ("build", "outcome", "revision"):
        table.add_column(name, no_wrap=True)
    for name in ("time", "dependencies", "application", "overall", "context", "image"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found.builds:
        revision = (one.revision["commit"] or "–")[:12] + ("*" if one.revision["dirty"] else "")
        rates = one.hit_rates
        content = one.image["content_bytes"]
        table.add_row(
            one.started[:19].replace("T", " "),
            one.outcome,
            revision,
            format_seconds(one.seconds),
            *(format_rate(rates[name]) for name in ("dependency", "application", "overall")),
            format_bytes(one.context_bytes) if one.context_bytes is not None else "–",
            format_bytes(content) if content else "–",
        )
    console.print(table)
    _present_layers(found, console)
    for bad in found.unreadable:
        console.print(f"not shown: {bad.path}: {bad.reason}", markup=False)


def _present_layers(found: Information, console: Any) -> None:
    from rich.table import Table

    newest = next((one for one in found.builds if one.layers), None)
    if newest:
        title = f"\nlayers of {newest.image['tags'][-1]}, bytes unpacked"
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        table.add_column("holds", no_wrap=True)
        table.add_column("size", justify="right", no_wrap=True)
        table.add_column("packages", overflow="ellipsis", no_wrap=True)
        for layer in newest.layers:
            table.add_row(layer.holds, format_bytes(layer.size), ", ".join(layer.packages))
        console.print(table)
    trend = _trend(found.builds)
    if trend:
        console.print(f"image size: {trend}")
    if found.image_note:
        console.print(f"note: {found.image_note}", markup=False)


def present_settings(settings: Settings, stream: TextIO) -> None:
    """Draw every setting, its masked value and its source."""
    from rich.console import Console
    from rich.table import Table

    from dockyard.settings import masked

    table = Table(box=None, pad_edge=False)
    for name in ("setting", "value", "from"):
        table.add_column(name, overflow="fold")
    for name, entry in masked(settings).items():
        value = entry["value"]
        if isinstance(value, list | tuple):
            value = ", ".join(map(str, value))
        table.add_row(name, "" if value is None else str(value), str(entry["source"]))
    console = Console(file=stream, highlight=False)
    console.print(table, markup=False)
    for note in settings.notes:
        console.print(f"note: {note}", markup=False)


@dataclass(frozen=True)
class ContextInformation:
    """The build context's listing, and the patterns that would make it smaller."""

    folder: str
    listing: ContextListing
    suggestions: tuple[Suggestion, ...]


def gather_context(settings: Settings) -> ContextInformation:
    """List the context as .dockerignore leaves it, and compare it with what the image needs."""
    from dockyard.context import list_context, read_dockerignore, suggest

    folder = settings.root / settings.project
    text = read_dockerignore(folder, settings.root / settings.dockerfile)
    listing = list_context(folder, text)
    needed = ("pyproject.toml", "uv.lock", *settings.copy_paths)
    return ContextInformation(settings.project, listing, tuple(suggest(listing, needed)))


def context_json(found: ContextInformation) -> dict[str, Any]:
    """Return the listing and the suggestions as JSON values; sizes in bytes."""
    return {
        "folder": found.folder,
        **asdict(found.listing),
        "suggestions": [asdict(one) for one in found.suggestions],
    }


def present_context(found: ContextInformation, last: int, stream: TextIO) -> None:
    """Draw the largest files of the context, its total, and the suggestions."""
    from rich.console import Console
    from rich.table import Table

    console = Console(file=stream, highlight=False)
    entries = sorted(found.listing.entries, key=lambda entry: (-entry.bytes, entry.path))
    shown = entries[:last] if last > 0 else entries
    table = Table(box=None, pad_edge=False)
    table.add_column("bytes", justify="right")
    table.add_column("file", overflow="fold")
    for entry in shown:
        table.add_row(f"{entry.bytes:,}", entry.path)
    console.print(table, markup=False)
    if len(shown) < len(entries):
        console.print(f"… and {len(entries) - len(shown)} more (`--last 0` shows all)")
    total = sum(entry.bytes for entry in entries)
    console.print(
        f"{len(entries)} files, {total:,} bytes ({format_bytes(total)}) in the context of "
        f"{found.folder}; .dockerignore leaves out {found.listing.excluded_files} files, "
        f"{format_bytes(found.listing.excluded_bytes)}",
        markup=False,
    )
    if not found.suggestions:
        console.print("nothing in it that the image does not need")
    for one in found.suggestions:
        console.print(
            f"`{one.pattern}` in .dockerignore would remove {one.files} files, "
            f"{one.bytes:,} bytes: {one.reason}",
            markup=False,
        )
