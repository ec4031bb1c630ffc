"""Puts a campaign's result together: ``python -m faults.result`` (in ``tests``), with `--docs`.

Reads what the cases left in ``.dockyard/faults``, drops cases that are none any more, and writes
``.dockyard/faults.json``; with ``--docs`` docs/faults.json and docs/faults.md too.
"""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

from dockyard import __version__
from dockyard.report.faults import faults_markdown, view_faults
from dockyard.state import write_atomically
from faults.interruptions import (
    BUILDER_CASES,
    CLOCK_CASES,
    DISK_CASES,
    ENGINE_CASES,
    KILL_CASES,
)
from faults.model import Case, Outcome, Result, outcome_from_json, result_as_json
from faults.network_cases import CASES

__all__ = ["ALL_CASES", "gather"]

ALL_CASES: tuple[Case, ...] = (
    *CASES,
    *KILL_CASES,
    *ENGINE_CASES,
    *BUILDER_CASES,
    *DISK_CASES,
    *CLOCK_CASES,
)
COMMAND = "nox -s faults"


def portable(text: str) -> str:
    """Take out what is only of the machine that the campaign ran on: its folders and address."""
    text = re.sub(r"/\S*?/pytest-of-[^/\s]+/pytest-\d+/", "/…/", text)
    return re.sub(r"\b(?!127\.)\d{1,3}(?:\.\d{1,3}){3}(?=:\d)", "ADDRESS", text)


def gather(folder: Path) -> tuple[Outcome, ...]:
    """Read the outcomes of the cases that there are."""
    faults = {case.fault.name: case.fault for case in ALL_CASES}.values()
    files = (folder / f"{case}.json" for case in ALL_CASES)
    return tuple(
        outcome_from_json(json.loads(portable(path.read_text(encoding="utf-8"))), faults)
        for path in files
        if path.is_file()
    )


def main(root: Path, *, docs: bool) -> int:
    """Write the result; 0 where every case was tried and survived."""
    outcomes = gather(root / ".dockyard/faults")
    made = datetime.now(UTC).replace(microsecond=0).isoformat()
    values = result_as_json(Result(made, __version__, COMMAND, outcomes))
    text = json.dumps(values, indent=1, ensure_ascii=False) + "\n"
    write_atomically(root / ".dockyard/faults.json", text)
    if docs:
        write_atomically(root / "docs/faults.json", text)
        write_atomically(root / "docs/faults.md", faults_markdown(view_faults(values)))
    survived = sum(one.survived for one in outcomes)
    print(f"{survived} of {len(outcomes)} cases survived, of {len(ALL_CASES)} that there are")
    for one in outcomes:
        if not one.survived:
            print(f"{one.case}: {'; '.join(one.problems)}")
    return int(survived != len(ALL_CASES))


if __name__ == "__main__":
    sys.exit(main(Path(__file__).parents[2], docs="--docs" in sys.argv[1:]))
