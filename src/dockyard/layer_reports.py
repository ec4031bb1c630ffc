"""What the layers' scripts tell in a build's log, one line of JSON each, as values. Pure.

``install-layer`` and ``finish-layer`` (both in the Dockerfile, rendered from ``templates/``) write
``dockyard: {…}``. A step that was cached wrote nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = [
    "MARK",
    "BuiltFromSource",
    "FileConflict",
    "IndexAttempt",
    "LayerReport",
    "LeftOut",
    "layer_notes",
    "parse_report",
]

MARK = "dockyard: {"


@dataclass(frozen=True)
class IndexAttempt:
    """What one index gave to one layer, and what it did not.

    ``kind``: ``mirror``, ``index`` (one that packages are pinned to), ``default``, or ``lock``: the
    default one's files, at the addresses that uv.lock has of them. ``served`` and ``rejected`` are
    package names; what uv's cache already had of this index counts as served. ``downloaded`` and
    ``cached`` are those of the served that uv said it downloads, or has; both lack a package of
    which it said nothing. They are None in a report of an older Dockerfile.
    """

    layer: str
    kind: str
    index: str
    served: tuple[str, ...]
    rejected: tuple[str, ...]
    reason: str
    seconds: float
    downloaded: tuple[str, ...] | None = None
    cached: tuple[str, ...] | None = None


@dataclass(frozen=True)
class BuiltFromSource:
    """What was downloaded to build packages of one layer from source, as ``name==version``."""

    layer: str
    downloaded: tuple[str, ...]


@dataclass(frozen=True)
class FileConflict:
    """Packages of one layer that write the same file, in the order in which they are installed."""

    layer: str
    path: str
    packages: tuple[str, ...]


@dataclass(frozen=True)
class LeftOut:
    """What one policy left out of a layer: so many files, so many bytes."""

    layer: str
    policy: str
    files: int
    bytes: int


LayerReport = IndexAttempt | BuiltFromSource | FileConflict | LeftOut


def parse_report(line: str) -> tuple[LayerReport, ...]:
    """Read one line of a log; nothing, if no layer's script wrote it."""
    start = line.find(MARK)
    if start < 0:
        return ()
    try:
        values: Any = json.loads(line[start + len(MARK) - 1 :])
        layer = str(values["layer"])
        if "conflict" in values:
            packages = tuple(map(str, values["packages"]))
            return (FileConflict(layer, str(values["conflict"]), packages),) if packages else ()
        if "left out" in values:
            return tuple(
                LeftOut(layer, str(policy), int(one["files"]), int(one["bytes"]))
                for policy, one in values["left out"].items()
            )
        if "downloaded to build" in values:
            return (BuiltFromSource(layer, tuple(map(str, values["downloaded to build"]))),)
        return (
            IndexAttempt(
                layer=layer,
                kind=str(values["kind"]),
                index=str(values["index"]),
                served=tuple(map(str, values["served"])),
                rejected=tuple(map(str, values["rejected"])),
                reason=str(values["reason"]),
                seconds=float(values["seconds"]),
                downloaded=_names(values.get("downloaded")),
                cached=_names(values.get("cached")),
            ),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()


def _names(values: Any) -> tuple[str, ...] | None:
    return None if values is None else tuple(map(str, values))


def _some(names: tuple[str, ...], limit: int = 3) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _conflict_notes(conflicts: Iterable[FileConflict]) -> Iterator[str]:
    by_packages: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for one in conflicts:
        by_packages.setdefault((one.layer, one.packages), []).append(one.path)
    for (layer, packages), paths in by_packages.items():
        yield (
            f"{' and '.join(packages)} write the same file in {layer}: {_some(tuple(paths))}. "
            f"{packages[-1]}'s is kept: they are installed in the order of their names"
        )


def layer_notes(lines: Iterable[str]) -> tuple[str, ...]:
    """Turn a build's log into notes: mirrors that failed, and files that two packages write."""
    reports = [report for line in lines for report in parse_report(line)]
    failed: dict[tuple[str, str, str], dict[str, None]] = {}
    for one in reports:
        if isinstance(one, IndexAttempt) and one.rejected and one.kind != "default":
            reason = one.reason.split("; ")[-1]
            key = (one.kind, one.index, reason)
            failed.setdefault(key, {}).update(dict.fromkeys(one.rejected))
    notes = [
        f"the addresses that uv.lock has did not all give their files, of {_some(tuple(names))}: "
        f"{reason or 'no reason told'}; the index {index} was asked"
        if kind == "lock"
        else f"the index {index} did not give {_some(tuple(names))}: {reason or 'no reason told'}; "
        "the next was tried"
        for (kind, index, reason), names in failed.items()
    ]
    conflicts = (one for one in reports if isinstance(one, FileConflict))
    return (*notes, *_conflict_notes(conflicts))
