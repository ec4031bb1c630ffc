"""What `invoke init` prints: proposals with their reasons, files, diffs and notes. Pure."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from dockyard.adoption.plan import Adoption
from dockyard.display.format import strip_control
from dockyard.initialization import Action

__all__ = ["adoption_lines", "diff_lines", "written_lines"]


def _value(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def adoption_lines(found: Adoption) -> list[str]:
    """Describe the proposals and the notes."""
    lines: list[str] = []
    if found.proposals:
        lines.append(f"[tool.dockyard] in {found.root / 'pyproject.toml'}:")
        for one in found.proposals:
            lines.append(f"  {one.key} = {_value(one.value)}")
            lines += [f"      # {one.reason}"] if one.reason else []
    lines += [f"note: {strip_control(one)}" for one in found.notes]
    return lines


def diff_lines(found: Adoption) -> Iterator[str]:
    """Show what happens to files that are there and the user's."""
    for one in found.changes:
        if one.action in (Action.EDIT, Action.REPLACE):
            yield from one.diff(found.root).splitlines()
            yield ""


def written_lines(found: Adoption, backups: Sequence[Path], *, dry_run: bool) -> Iterator[str]:
    """Name each file and what happened to it, or would; then the next command."""
    for one in found.changes:
        place = os.path.relpath(one.path, found.root)
        yield f"{one.action:8}  {place}: {one.reason}"
    for path in backups:
        yield f"kept      {os.path.relpath(path, found.root)}: the text before"
    if not any(one.writes for one in found.changes):
        yield "nothing to do"
    elif dry_run:
        yield "nothing was written"
    else:
        yield "next: `invoke build`"
