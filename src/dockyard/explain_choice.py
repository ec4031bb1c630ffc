"""Which record BUILD names, and which earlier one it is compared with.

BUILD is a record's id, the beginning of one, or a number counted back: 0 or ``last`` is the newest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from dockyard import boundary
from dockyard.errors import RecordError
from dockyard.explain_caches import builder_differs, effective_platforms
from dockyard.explain_steps import counted

if TYPE_CHECKING:
    from pathlib import Path

    from dockyard.explain_model import Explanation
    from dockyard.records import BuildRecord, UnreadableRecord

__all__ = [
    "Choice",
    "choose_before",
    "choose_build",
    "explain_build",
    "explain_recorded",
    "why_line",
]

# So many records are read to find one to compare a build with; the more where that is not enough.
LOOKED_BACK = (4, 25)
_SHOWN = 5


def choose_build(
    build: str, records: Sequence[BuildRecord], unreadable: Sequence[UnreadableRecord] = ()
) -> int:
    """Return the position of the record that BUILD names; ``records`` are newest first.

    Raises RecordError naming what there is where it names none, or several.
    """
    if not records:
        if unreadable:
            first = unreadable[0]
            raise RecordError(
                f"no build's record can be read: {first.reason}",
                where=str(first.path),
                hint="a newer Dockyard may read it; `invoke build` makes another",
            )
        raise RecordError(
            "no build is recorded yet", hint="`invoke build` makes the first; then ask again"
        )
    wanted = build.strip()
    if wanted in ("", "last"):
        return 0
    if re.fullmatch(r"\d{1,9}", wanted) and int(wanted) < len(records):
        return int(wanted)
    found = [number for number, one in enumerate(records) if one.id == wanted]
    found = found or [number for number, one in enumerate(records) if one.id.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    bad = [one for one in unreadable if one.path.name.startswith(wanted)]
    if not found and bad:
        raise RecordError(
            f"the record cannot be read: {bad[0].reason}",
            where=str(bad[0].path),
            hint="`invoke explain` without --build explains the newest that can",
        )
    if found:
        raise RecordError(
            f"{len(found)} builds begin with “{wanted}”: "
            + _named([records[number].id for number in found]),
            where="BUILD",
            hint="give more of the id",
        )
    raise RecordError(
        f"there is no build “{wanted}”",
        where="BUILD",
        hint=f"the newest are {_named([one.id for one in records])}; or give a number counted "
        f"back, 0 for the newest to {len(records) - 1}",
    )


def _named(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return ", ".join(ids[:_SHOWN]) + more


def _image(record: BuildRecord) -> str:
    tags = record.image.get("tags") or [""]
    name, _, tag = str(tags[0]).rpartition(":")
    return name if name and "/" not in tag else str(tags[0])


def _comparable(record: BuildRecord, earlier: BuildRecord) -> bool:
    """Whether an earlier build is of the same project and image, and came as far as its steps."""
    return (
        record.project.get("name") == earlier.project.get("name")
        and _image(record) == _image(earlier)
        and any(counted(step) and (step.ran or step.cached) for step in earlier.steps)
    )


class Choice(NamedTuple):
    """An earlier build to compare with, and why that one; ``exact``: no older one fits better."""

    record: BuildRecord
    why: str
    exact: bool = False


def choose_before(record: BuildRecord, earlier: Sequence[BuildRecord]) -> Choice | None:
    """Choose what to compare a build with; ``earlier`` is newest first.

    It is the newest one of the same project and image that the same builder made, for all of the
    platforms where there is such a one.
    """
    comparable = [one for one in earlier if _comparable(record, one)]
    platforms = set(effective_platforms(record))
    same_builder = [one for one in comparable if builder_differs(one, record) is not True]
    name = record.builder.get("name")
    why = f"the newest before it on the builder {name}"
    for one in same_builder:
        if platforms <= set(effective_platforms(one)):
            return Choice(one, f"{why}, for the same platform", exact=True)
    for one in same_builder:
        return Choice(one, f"{why}, for another platform")
    for one in comparable:
        why = f"the newest before it; none of the same builder ({name}) is recorded"
        return Choice(one, why)
    return None


def explain_build(
    build: str, records: Sequence[BuildRecord], unreadable: Sequence[UnreadableRecord] = ()
) -> Explanation:
    """Explain the build that BUILD names. Raises RecordError as :func:`choose_build` does."""
    from dockyard.explain import explain

    position = choose_build(build, records, unreadable)
    chosen = choose_before(records[position], records[position + 1 :])
    return explain(records[position], *(chosen[:2] if chosen else (None, "")))


def explain_recorded(
    root: Path, build: str, keep: int
) -> tuple[Explanation, Sequence[UnreadableRecord]]:
    """Explain the build that BUILD names, and say which records could not be read for it.

    ``keep`` is how many records there may be. Raises RecordError as :func:`choose_build` does.
    """
    from dockyard.records import load_records

    wanted = build.strip()
    counted_back = int(wanted) if re.fullmatch(r"\d{1,3}", wanted) else 0
    named = not counted_back and wanted not in ("", "last", "0")
    unreadable: dict[str, UnreadableRecord] = {}
    for back in (keep,) if named else LOOKED_BACK:
        limit = counted_back + 1 + back
        records, bad = load_records(root, limit, set_aside=True)
        unreadable.update((one.path.name, one) for one in bad)
        position = choose_build(build, records, tuple(unreadable.values()))
        chosen = choose_before(records[position], records[position + 1 :])
        if len(records) < limit or (chosen and chosen.exact):
            break
    return explain_build(build, records), tuple(unreadable.values())


def why_line(root: Path, record: BuildRecord) -> str | None:
    """Say in one line why something large ran again in a build that was just recorded.

    Returns None, and reads no other record, where nothing large ran, or the build failed: then
    that is what matters.
    """
    from dockyard.explain import explain
    from dockyard.explain_causes import layer_bytes
    from dockyard.explain_display import one_line, worth_a_line
    from dockyard.records import load_records

    if record.outcome != "succeeded":
        return None
    ran = [number for number, step in enumerate(record.steps) if counted(step) and step.ran]
    seconds = sum(record.steps[number].seconds for number in ran)
    if not worth_a_line(seconds, layer_bytes(record, ran)[0]):
        return None
    for back in LOOKED_BACK:
        records, _ = load_records(root, back)
        chosen = choose_before(record, [one for one in records if one.id < record.id])
        if len(records) < back or (chosen and chosen.exact):
            break
    line = one_line(explain(record, *chosen[:2])) if chosen else None
    return line and line.replace("`invoke ", f"`{boundary.program} ")
