"""A fault campaign's result as people read it: cases survived of those tried. Pure but for reading.

The JSON that `nox -s faults` writes: ``made`` (RFC 3339, UTC), ``dockyard``, ``command``,
``operations`` (name → command as it is typed), ``faults`` (``name``, ``family``, ``what`` happens,
what it ``means`` to a user), and ``outcomes`` (``operation``, ``fault``, ``moment``, ``target``,
``exit_code``, ``seconds``, ``message``, ``problems``): a case without problems is survived.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dockyard.errors import RecordError

__all__ = ["FaultRow", "FaultView", "faults_markdown", "read_faults", "view_faults"]

SCHEMA = 1
FAMILIES = {
    "network": "The network",
    "process": "The command is ended",
    "engine": "The engine, or a builder",
    "disk": "The disk",
    "clock": "The clock",
}


@dataclass(frozen=True)
class FaultRow:
    """One fault: what happens, what it is to a user, and a cell for each operation.

    A cell is “survived / tried”, empty where nothing was tried. ``seconds`` are the median and the
    longest of the commands that it struck.
    """

    name: str
    family: str
    what: str
    means: str
    cells: tuple[str, ...]
    survived: int
    tried: int
    seconds: tuple[float, float]


@dataclass(frozen=True)
class FaultView:
    """A campaign; ``operations`` are the table's columns, ``failures`` the cases not survived."""

    made: str
    command: str
    dockyard: str
    operations: tuple[str, ...]
    rows: tuple[FaultRow, ...]
    survived: int
    tried: int
    failures: tuple[str, ...]


def view_faults(values: Mapping[str, Any]) -> FaultView:
    """Count a result. Raises LookupError, TypeError or ValueError where it is none."""
    if values["schema"] != SCHEMA:
        raise ValueError(f"its schema is {values['schema']}, and not {SCHEMA}")
    outcomes: Sequence[Mapping[str, Any]] = values["outcomes"]
    operations: Mapping[str, str] = values["operations"]
    rows = []
    for fault in values["faults"]:
        own = [one for one in outcomes if one["fault"] == fault["name"]]
        if not own:
            continue
        seconds = [float(one["seconds"]) for one in own]
        cells = tuple(
            _cell([one for one in own if one["operation"] == operation]) for operation in operations
        )
        rows.append(
            FaultRow(
                fault["name"],
                FAMILIES.get(fault["family"], fault["family"]),
                fault["what"],
                fault["means"],
                cells,
                _survived(own),
                len(own),
                (statistics.median(seconds), max(seconds)),
            )
        )
    return FaultView(
        made=values["made"],
        command=values["command"],
        dockyard=values["dockyard"],
        operations=tuple(operations.values()),
        rows=tuple(rows),
        survived=_survived(outcomes),
        tried=len(outcomes),
        failures=tuple(
            ".".join(str(one[key]) for key in ("operation", "target", "fault", "moment"))
            + f": {'; '.join(one['problems'])}"
            for one in outcomes
            if one["problems"]
        ),
    )


def _survived(outcomes: Sequence[Mapping[str, Any]]) -> int:
    return sum(not one["problems"] for one in outcomes)


def _cell(outcomes: Sequence[Mapping[str, Any]]) -> str:
    return f"{_survived(outcomes)} / {len(outcomes)}" if outcomes else ""


def read_faults(path: Path) -> FaultView:
    """Read a result's file. Raises RecordError where that cannot be done."""
    try:
        return view_faults(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise RecordError(
            f"the result of the fault campaign cannot be read: {error}",
            where=str(path),
            hint="`nox -s faults` makes another",
        ) from error


def faults_markdown(view: FaultView) -> str:
    """Write the page about a campaign: the table, and what each fault means to a user."""
    lines = [
        "# What breaks, and what happens then",
        "",
        "Every operation is tried while something that it depends on breaks: before it begins, in "
        "the middle, at its end. A case is survived where the exit code is right, the message "
        "names the cause and what to do next, no partial file is left, the earlier cache and "
        "image are still usable, and the next healthy run succeeds. A command may also succeed in "
        "spite of the fault, if it delivers all that it claims.",
        "",
        f"`{view.command}` with Dockyard {view.dockyard}, {view.made}: "
        f"**{view.survived} of {view.tried} cases survived.** This page is generated from "
        "[faults.json](faults.json), where each case's exit code, seconds and message are. "
        "A case counts as it was tried last: they need not all be of one run.",
        "",
        "Each cell is cases survived / tried. Seconds are the median and the longest of the "
        "commands that the fault struck, with the time-outs that the campaign sets "
        "(`DOCKYARD_REGISTRY_TIMEOUT=3`, `UV_HTTP_TIMEOUT=2`, `DOCKYARD_UV_MIRROR_TIMEOUT=2`).",
    ]
    heads = [f"`{one.removeprefix('invoke ')}`" for one in view.operations]
    for family in dict.fromkeys(row.family for row in view.rows):
        lines += ["", f"## {family}", ""]
        own = [row for row in view.rows if row.family == family]
        used = [place for place in range(len(heads)) if any(row.cells[place] for row in own)]
        lines.append(
            "| fault | " + " | ".join(heads[place] for place in used) + " | all | seconds |"
        )
        lines.append("|---|" + "---|" * (len(used) + 2))
        for row in own:
            cells = " | ".join(row.cells[place] for place in used)
            median, longest = row.seconds
            lines.append(
                f"| {row.name} | {cells} | {row.survived} / {row.tried} "
                f"| {median:.1f}, {longest:.1f} |"
            )
        lines += ["", "| fault | what happens | what it means to you |", "|---|---|---|"]
        lines += [f"| {row.name} | {row.what} | {row.means} |" for row in own]
    if view.failures:
        lines += ["", "## Not survived", "", *(f"- {one}" for one in view.failures)]
    return "\n".join(lines) + "\n"
