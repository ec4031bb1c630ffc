"""What a build did, as one JSON file below ``.dockyard/builds``: written whole or not at all.

The schema is :class:`BuildRecord` and the parts in :mod:`dockyard.record_parts`, ``SCHEMA`` its
version. Times are RFC 3339 in UTC, durations seconds, sizes bytes, rates shares between 0 and 1;
null means unknown, never zero. Schema 1 lacks ``traffic``, ``inputs`` and ``indexes``; it is read.
"""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dockyard.errors import RecordError
from dockyard.record_parts import (
    CacheRecord,
    FileRecord,
    IndexRecord,
    InputsRecord,
    InstructionRecord,
    LayerRecord,
    PackageRecord,
    StepRecord,
    TrafficRecord,
)
from dockyard.state import STATE_FOLDER, prepare_state_folder, write_atomically
from dockyard.unfinished import clear_unfinished

__all__ = [
    "SCHEMA",
    "BuildRecord",
    "CacheRecord",
    "FileRecord",
    "IndexRecord",
    "InputsRecord",
    "InstructionRecord",
    "LayerRecord",
    "NewerRecordError",
    "PackageRecord",
    "StepRecord",
    "TrafficRecord",
    "UnreadableRecord",
    "load_records",
    "new_record_id",
    "read_record",
    "record_paths",
    "write_record",
]

SCHEMA = 2
# Machines that share a folder have clocks that differ by so much, and not by more.
CLOCK_SECONDS = 3600.0


@dataclass(frozen=True)
class BuildRecord:
    """One build, from settings to outcome.

    ``outcome`` is ``succeeded``, ``failed`` or ``interrupted``. ``hit_rates`` has ``dependency``,
    ``application`` and ``overall`` (see :func:`dockyard.trace.hit_rates`). ``image`` has ``tags``,
    ``digest``, ``content_bytes`` (compressed), ``unpacked_bytes``. ``settings`` are masked.
    """

    id: str
    outcome: str
    started: str
    seconds: float
    dockyard: str
    project: dict[str, Any]
    revision: dict[str, Any]
    engine: dict[str, Any]
    builder: dict[str, Any]
    base_images: tuple[dict[str, Any], ...]
    image: dict[str, Any]
    layers: tuple[LayerRecord, ...]
    hit_rates: dict[str, Any]
    context_bytes: int | None
    steps: tuple[StepRecord, ...]
    settings: dict[str, Any]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str | None = None
    caches: tuple[CacheRecord, ...] = ()
    traffic: TrafficRecord | None = None
    inputs: InputsRecord | None = None
    indexes: tuple[IndexRecord, ...] = ()
    schema: int = field(default=SCHEMA)

    def as_json(self) -> str:
        """Render as indented JSON with the schema first."""
        values = asdict(self)
        return json.dumps({"schema": values.pop("schema"), **values}, indent=1, ensure_ascii=False)

    def cleaned(self, clean: Callable[[str], str]) -> BuildRecord:
        """Return the record with ``clean`` applied to every text in it."""
        return read_record(json.dumps(_cleaned(asdict(self), clean)))


def _cleaned(value: Any, clean: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {key: _cleaned(one, clean) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(one, clean) for one in value]
    return value


class NewerRecordError(ValueError):
    """A record was written by a newer Dockyard: it is refused, and kept."""


@dataclass(frozen=True)
class UnreadableRecord:
    """A record's file that could not be read, and why.

    ``damaged``: no Dockyard will ever read it, unlike one of a newer schema, or one that may not
    be opened.
    """

    path: Path
    reason: str
    damaged: bool = False


def new_record_id(started: datetime) -> str:
    """Name a build by its start, UTC, and the process: sortable, and unique on a machine."""
    return started.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")[:-4] + f"Z-{os.getpid()}"


def builds_folder(root: Path) -> Path:
    """Where a repository's records are."""
    return root / STATE_FOLDER / "builds"


def record_paths(root: Path) -> list[Path]:
    """List the records' files, the newest build first.

    Those of the future, which a clock that was set wrong has left, come last: they are not news.
    """
    limit = time.time() + CLOCK_SECONDS
    future = new_record_id(datetime.fromtimestamp(limit, UTC))
    paths = sorted(builds_folder(root).glob("*.json"), reverse=True)
    return sorted(paths, key=lambda path: path.stem > future)


def write_record(root: Path, record: BuildRecord, keep: int) -> Path:
    """Write one record atomically and drop all but the newest ``keep``.

    Raises RecordError where nothing can be written.
    """
    path = builds_folder(root) / f"{record.id}.json"
    try:
        prepare_state_folder(root)
        # Each record has a name of its own: nobody will write a half-written one again.
        clear_unfinished(path.parent)
        write_atomically(path, record.as_json() + "\n")
        for old in record_paths(root)[max(keep, 1) :]:
            old.unlink(missing_ok=True)
    except OSError as error:
        raise RecordError(
            f"the build's record cannot be written: {error.strerror}",
            where=str(path),
            hint="free some space or make the folder writable; the image itself is not affected",
        ) from error
    return path


def read_record(text: str) -> BuildRecord:
    """Read a record of this schema; raises ValueError saying what is wrong with it.

    Keys that are not known are ignored, so that a field may be added without a new schema.
    """
    values = json.loads(text)
    if not isinstance(values, dict) or not isinstance(values.get("schema"), int):
        raise ValueError("it has no schema version")
    if values["schema"] > SCHEMA:
        raise NewerRecordError(
            f"its schema {values['schema']} is newer than this Dockyard's {SCHEMA}"
        )
    try:
        record: BuildRecord = _read(BuildRecord, values)
        return record
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it lacks or misshapes a field: {error}") from error


# What the fields hold that are dataclasses themselves, or tuples of them.
_PARTS: dict[tuple[type[Any], str], type[Any]] = {
    (BuildRecord, "steps"): StepRecord,
    (BuildRecord, "layers"): LayerRecord,
    (BuildRecord, "caches"): CacheRecord,
    (BuildRecord, "traffic"): TrafficRecord,
    (BuildRecord, "inputs"): InputsRecord,
    (BuildRecord, "indexes"): IndexRecord,
    (InputsRecord, "packages"): PackageRecord,
    (InputsRecord, "files"): FileRecord,
    (InputsRecord, "dockerfile"): InstructionRecord,
}


# What may stand in a field, by the annotation's parts.
_SHAPES: dict[str, tuple[type[Any], ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "dict": (dict,),
    "tuple": (tuple,),
    "None": (type(None),),
}
# What is shown of a build without asking first whether it is there.
_KEYS = {
    "image": ("tags", "digest", "content_bytes"),
    "revision": ("commit", "dirty"),
    "hit_rates": ("dependency", "application", "overall"),
}


@functools.cache
def _shapes(
    kind: Any,
) -> tuple[tuple[str, type[Any] | None, bool, tuple[type[Any], ...]], ...]:
    """List a dataclass's fields: name, the dataclass in it, whether a tuple, what it may be."""
    found = []
    for one in fields(kind):
        parts = [part.partition("[")[0] for part in str(one.type).split(" | ")]
        shape = tuple(name for part in parts for name in _SHAPES.get(part, ()))
        inner = _PARTS.get((kind, one.name))
        if inner and "tuple" not in parts:
            shape += (inner,)
        found.append((one.name, inner, "tuple" in parts, shape))
    return tuple(found)


def _read(kind: type[Any], values: dict[str, Any]) -> Any:
    """Make a dataclass of a JSON object; lists become tuples, unknown keys are left out.

    Raises TypeError for a value of another type than the field's, KeyError for what is missing.
    """
    found = {}
    for name, inner, listed, shape in _shapes(kind):  # type: ignore[arg-type]
        if name not in values:
            continue
        value = values[name]
        if listed and isinstance(value, list):
            value = tuple(_read(inner, item) if inner else item for item in value)
        elif inner and not listed and isinstance(value, dict):
            value = _read(inner, value)
        if not isinstance(value, shape):
            raise TypeError(f"{name} is of another type")
        if kind is BuildRecord and any(key not in value for key in _KEYS.get(name, ())):
            raise TypeError(f"{name} is not whole")
        found[name] = value
    return kind(**found)


def load_records(
    root: Path, limit: int, *, set_aside: bool = False
) -> tuple[Sequence[BuildRecord], Sequence[UnreadableRecord]]:
    """Read the newest ``limit`` records, newest first, and name those that cannot be read.

    With ``set_aside``, for whoever shows them, damaged ones are moved to ``unreadable`` beside
    the others, where they are not looked at again. One of a newer schema stays.
    """
    records: list[BuildRecord] = []
    unreadable: list[UnreadableRecord] = []
    for path in record_paths(root):
        if len(records) >= limit:
            break
        try:
            records.append(read_record(path.read_text(encoding="utf-8")))
        except OSError as error:
            unreadable.append(UnreadableRecord(path, error.strerror or str(error)))
        except NewerRecordError as error:
            unreadable.append(UnreadableRecord(path, str(error)))
        except (ValueError, RecursionError) as error:
            whole = isinstance(error, json.JSONDecodeError | UnicodeDecodeError | RecursionError)
            reason = "it is truncated or no JSON" if whole else str(error)
            unreadable.append(UnreadableRecord(path, reason, damaged=True))
    if set_aside:
        unreadable = [_set_aside(one) if one.damaged else one for one in unreadable]
    return records, unreadable


def _set_aside(one: UnreadableRecord) -> UnreadableRecord:
    """Move a damaged record out of the way; where that cannot be, it stays and is named again."""
    target = one.path.parent / "unreadable" / one.path.name
    try:
        target.parent.mkdir(exist_ok=True)
        one.path.replace(target)
    except OSError:
        return one
    return UnreadableRecord(target, f"{one.reason}; it was moved here", damaged=True)
