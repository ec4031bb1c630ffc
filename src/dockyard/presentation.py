"""`info`, `context` and `settings` as text: aligned columns, every number with its unit. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dockyard.display.format import format_bytes, format_count, format_seconds, strip_control
from dockyard.display.tables import columns, join_names
from dockyard.settings_fields import CREDENTIALS, FIELDS, Field, Kind
from dockyard.summary import format_rate
from dockyard.traffic_display import bytes_down, bytes_up

if TYPE_CHECKING:
    from dockyard.information import ContextInformation, Information
    from dockyard.records import BuildRecord
    from dockyard.settings import Settings

__all__ = ["context_lines", "information_lines", "settings_lines"]

_UNKNOWN = "–"
# Narrower than this a list of packages tells nothing.
_NARROWEST = 20


def information_lines(found: Information, width: int | None) -> list[str]:
    """Describe the last builds, the image and its layers; ``width``: of the terminal, if any."""
    if not found.builds and not found.unreadable:
        return ["no build is recorded yet: `invoke build` makes the first"]
    lines = list(_builds(found.builds, width)) if found.builds else []
    lines += [f"not shown: {one.path}: {strip_control(one.reason)}" for one in found.unreadable]
    lines += _image(found)
    newest = next((one for one in found.builds if one.layers), None)
    if newest:
        lines += ["", *_layers(newest, width)]
    return lines


# The columns of builds: heading, and what it is where that needs saying. The last ones in
# _LESS_NEEDED are left out first where the terminal is narrow; --json has all.
_COLUMNS = {
    "start (UTC)": "",
    "outcome": "",
    "commit": "",
    "time": "",
    "deps": "cache hits of dependencies",
    "app": "of the application",
    "all": "of both",
    "sent": "context",
    "down": "base, cache, packages",
    "up": "layers, cache",
    "image": "compressed",
}
_LESS_NEEDED = ("app", "deps", "sent")


def _builds(builds: Sequence[BuildRecord], width: int | None) -> Iterator[str]:
    rows = []
    for one in builds:
        commit = one.revision["commit"]
        content = one.image.get("content_bytes")
        rows.append(
            (
                one.started[:16].replace("T", " "),
                one.outcome,
                commit[:7] + ("*" if one.revision["dirty"] else "") if commit else _UNKNOWN,
                format_seconds(one.seconds),
                *(format_rate(one.hit_rates[n]) for n in ("dependency", "application", "overall")),
                _bytes(one.context_bytes),
                _bytes(bytes_down(one.traffic)),
                _bytes(bytes_up(one.traffic)),
                _bytes(content),
            )
        )
    kept = list(_COLUMNS)
    left_out = list(_LESS_NEEDED)
    while True:
        picked = [list(_COLUMNS).index(name) for name in kept]
        table = columns(kept, [[row[n] for n in picked] for row in rows], right=range(3, len(kept)))
        if width is None or not left_out or max(map(len, table)) <= width:
            break
        kept.remove(left_out.pop())
    meanings = (f"{name}: {_COLUMNS[name]}" for name in kept if _COLUMNS[name])
    yield f"the last builds ({'; '.join(meanings)})"
    yield from table
    if any(one.revision["dirty"] for one in builds):
        yield "* with changes that are not committed"
    if builds[0].error:
        first = builds[0].error.strip().partition("\n")[0]
        yield f"the newest {builds[0].outcome}: {strip_control(first)}"


def _image(found: Information) -> Iterator[str]:
    newest = next((one for one in found.builds if one.outcome == "succeeded"), None)
    if newest and found.image:
        size = f"{format_bytes(found.image.unpacked_bytes)} unpacked"
        if found.image.content_bytes:
            size = f"{format_bytes(found.image.content_bytes)} compressed, {size}"
        yield ""
        yield f"{newest.image['tags'][0]} in the engine: {size}{_trend(found.builds)}"
    if found.image_note:
        yield f"note: {strip_control(found.image_note)}"


def _trend(builds: Sequence[BuildRecord]) -> str:
    """Compare the two newest builds whose image's compressed size is known."""
    sizes = [one.image["content_bytes"] for one in builds if one.image.get("content_bytes")][:2]
    if len(sizes) < 2:
        return ""
    change = sizes[0] - sizes[1]
    if not change:
        return ", as the build before"
    return f", {format_bytes(abs(change))} {'more' if change > 0 else 'less'} than the build before"


def _layers(build: BuildRecord, width: int | None) -> Iterator[str]:
    sizes = [format_bytes(layer.size) for layer in build.layers]
    total = format_bytes(sum(layer.size for layer in build.layers))
    names = [strip_control(layer.holds) for layer in build.layers]
    used = max(map(len, (*names, "total"))) + max(map(len, (*sizes, total))) + 4
    room = None if width is None else max(width - used, _NARROWEST)
    rows = [
        (name, size, join_names(layer.packages, room))
        for name, size, layer in zip(names, sizes, build.layers, strict=True)
    ]
    yield f"layers of {build.image['tags'][-1]}, unpacked"
    yield from columns(("holds", "size", "packages"), [*rows, ("total", total, "")], right=(1,))


def _bytes(count: int | None) -> str:
    return _UNKNOWN if count is None else format_bytes(count)


def context_lines(found: ContextInformation, last: int) -> list[str]:
    """Describe the ``last`` largest files (0: all) of a context, its total, and what could go."""
    listing = found.listing
    entries = sorted(listing.entries, key=lambda entry: (-entry.bytes, entry.path))
    total = sum(entry.bytes for entry in entries)
    shown = entries[:last] if last > 0 else entries
    lines = []
    if entries:
        rows = [
            (f"{entry.bytes:,}", f"{entry.bytes / total:.1%}" if total else _UNKNOWN, entry.path)
            for entry in shown
        ]
        if rest := entries[len(shown) :]:
            size = sum(entry.bytes for entry in rest)
            share = f"{size / total:.1%}" if total else _UNKNOWN
            rows.append(
                (
                    f"{size:,}",
                    share,
                    f"in {format_count(len(rest), 'file')} more; `--last 0` shows all",
                )
            )
        lines = [*columns(("bytes", "share", "file"), rows, right=(0, 1)), ""]
    left_out = format_count(listing.excluded_files, "file")
    lines.append(
        f"the context of {found.folder} holds {format_count(len(entries), 'file')}, {total:,} bytes"
        if entries
        else f"the context of {found.folder} is empty"
    )
    lines.append(f".dockerignore leaves out {left_out}, {listing.excluded_bytes:,} bytes")
    if listing.unreadable:
        lines.append(f"cannot be listed: {', '.join(map(strip_control, listing.unreadable))}")
    if entries and not found.suggestions:
        lines.append("there is nothing in it that the image does not need")
    if found.suggestions:
        saved = [
            (f"{one.bytes:,}", f"{one.files:,}", one.pattern, one.reason)
            for one in found.suggestions
        ]
        headings = ("bytes", "files", "pattern", "what it is")
        lines += ["", "lines for .dockerignore, each with what it alone would leave out"]
        lines += columns(headings, saved, right=(0, 1))
    return lines


def settings_lines(settings: Settings) -> list[str]:
    """Describe every setting: its name in the environment, its value as written there, its source.

    Secrets are masked. What is not set anywhere and has no default shows a dash.
    """
    from dockyard.settings import masked

    values = masked(settings)
    sections = list(dict.fromkeys(one.section for one in FIELDS))
    fields = sorted(
        (one for one in (*FIELDS, CREDENTIALS) if one.attribute in values),
        key=lambda one: sections.index(one.section),
    )
    headings = ("setting", "value", "from")
    rows = []
    for field in fields:
        entry = values[field.attribute]
        # The credentials' environment name is a pattern for two variables.
        name = field.environment.replace("USERNAME, ", "…, ").partition(",")[0]
        text = _value(field, entry["value"], settings.root)
        rows.append((name, text or _UNKNOWN, str(entry["source"])))
    aligned = columns(headings, rows)
    lines = aligned[:1]
    section = ""
    for field, line in zip(fields, aligned[1:], strict=True):
        if field.section != section:
            section = field.section
            lines += ["", section]
        lines.append(line)
    if settings.notes:
        lines += ["", *(f"note: {strip_control(note)}" for note in settings.notes)]
    return lines


def _value(field: Field, value: Any, root: Path) -> str:
    """Write a value as it stands in the environment or `.env`."""
    if value is None:
        return ""
    if field.kind is Kind.COMMAND:
        return shlex.join(value)
    if isinstance(value, dict):
        return ", ".join(f"{key}={one}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return (field.separator + " ").replace("  ", " ").join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    if field.kind is Kind.BYTES:
        units = (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3))
        exact = (f"{value // size}{unit}" for unit, size in units if not value % size)
        return next(exact, str(value))
    if field.kind is Kind.PATH and Path(value).is_relative_to(root) and Path(value) != root:
        return str(Path(value).relative_to(root))
    return str(value)
