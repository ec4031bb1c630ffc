"""What `invoke optimize` proposes, as values: what, why, the gain, and the change itself. Pure.

Each topic is a function from facts to proposals (``optimize_files``, ``optimize_settings``,
``optimize_weight``); :mod:`dockyard.optimization` gathers the facts and carries changes out.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

__all__ = [
    "PYPROJECT",
    "TOPICS",
    "AddLines",
    "ByHand",
    "Change",
    "Proposal",
    "RunTask",
    "Safety",
    "SetSetting",
    "WriteFile",
    "applicable",
    "differences",
    "edited",
    "ranked",
    "setting_written",
]

TOPICS = (
    "layers",
    "context",
    "order",
    "install",
    "weight",
    "compression",
    "base",
    "pins",
    "mirrors",
    "builder",
)
PYPROJECT = "pyproject.toml"
_UNKEPT = "its tables are laid out in a way that cannot be kept"


class Safety(StrEnum):
    """Whether ``--apply`` carries a proposal out.

    ``safe``: it does. ``asked``: with ``--only`` and its topic alone, because it is a matter of
    taste or trust. ``by hand``: never, because only a person can tell whether it is right.
    """

    SAFE = "safe"
    ASKED = "asked"
    BY_HAND = "by hand"


@dataclass(frozen=True)
class AddLines:
    """Lines at the end of a text file; ``path`` is below the repository root, as everywhere."""

    path: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class WriteFile:
    """A file's whole new text."""

    path: str
    text: str


@dataclass(frozen=True)
class SetSetting:
    """A key of ``[tool.dockyard]``: its new value, or with ``add`` an entry more in its list.

    ``entries`` is the list as it is in force, which an addition starts from.
    """

    key: str
    value: str | int | tuple[str, ...]
    add: bool = False
    entries: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunTask:
    """A task of Dockyard's that does it."""

    command: str


@dataclass(frozen=True)
class ByHand:
    """A place that a person edits, and how."""

    place: str
    advice: str


Change = AddLines | WriteFile | SetSetting | RunTask | ByHand


@dataclass(frozen=True)
class Proposal:
    """One thing that could be better.

    ``gain_bytes`` and ``gain_seconds`` are what is expected, None where it is not known;
    ``measured_from`` says what they were measured on, and what one unit of gain is (once, or per
    build).
    """

    topic: str
    what: str
    why: str
    gain_bytes: int | None
    gain_seconds: float | None
    measured_from: str
    safe: Safety
    change: Change

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it; the change says of what kind it is."""
        change = {"kind": type(self.change).__name__, **asdict(self.change)}
        return {**asdict(self), "safe": str(self.safe), "change": change}


def ranked(proposals: Iterable[Proposal]) -> tuple[Proposal, ...]:
    """Sort: what can be applied first, then by topic, then the largest gain first."""
    levels = list(Safety)
    return tuple(
        sorted(
            proposals,
            key=lambda one: (
                levels.index(one.safe),
                TOPICS.index(one.topic),
                -(one.gain_bytes or 0),
                -(one.gain_seconds or 0.0),
                one.what,
            ),
        )
    )


def applicable(proposals: Iterable[Proposal], asked: Sequence[str] = ()) -> tuple[Proposal, ...]:
    """Choose what ``--apply`` carries out; ``asked``: the topics that ``--only`` names."""
    return tuple(
        one
        for one in proposals
        if one.safe is Safety.SAFE or (one.safe is Safety.ASKED and one.topic in asked)
    )


def setting_written(text: str, changes: Sequence[SetSetting]) -> str:
    """Change keys of ``[tool.dockyard]`` in a pyproject.toml; all else keeps its very bytes.

    Raises ValueError where that cannot be done without disturbing the file.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    before = tomllib.loads(text)
    try:
        expected: dict[str, Any] = {**before.get("tool", {}).get("dockyard", {})}
        document = tomlkit.parse(text)
        tool = document.setdefault("tool", tomlkit.table(is_super_table=True))
        table = tool.setdefault("dockyard", tomlkit.table())
        for change in changes:
            held = expected.get(change.key)
            if change.add and isinstance(held, list):
                # In place: the list may be laid out, and have comments.
                if change.value not in held:
                    table[change.key].append(change.value)
                    expected[change.key] = [*held, change.value]
                continue
            value: Any = (*change.entries, change.value) if change.add else change.value
            expected[change.key] = [*value] if isinstance(value, tuple) else value
            table[change.key] = expected[change.key]
        after = tomlkit.dumps(document)
        written = tomllib.loads(after)
    except (TOMLKitError, TypeError, AttributeError) as error:
        raise ValueError(f"{_UNKEPT}: {error}") from error
    wanted = {**before, "tool": {**before.get("tool", {}), "dockyard": expected}}
    if written != wanted or not _only_dockyard_changed(text, after):
        raise ValueError(_UNKEPT)
    return after


def _only_dockyard_changed(before: str, after: str) -> bool:
    """Whether no line went but such as a value of the table was on: the rest is as it was."""
    gone = [
        line[1:].strip()
        for line in difflib.unified_diff(before.split("\n"), after.split("\n"), n=0, lineterm="")
        if line.startswith("-") and not line.startswith("---")
    ]
    return not any(line.startswith(("[", "#")) for line in gone)


def edited(texts: Mapping[str, str | None], changes: Iterable[Change]) -> dict[str, str]:
    """Carry changes out on texts (path below the root → text, None where there is no file).

    Returns the files that are different afterwards. Raises ValueError where a pyproject.toml
    cannot be changed without disturbing it.
    """
    after: dict[str, str] = {}
    settings: list[SetSetting] = []
    for change in changes:
        match change:
            case AddLines(path, lines):
                text = after.get(path, texts.get(path) or "")
                ending = "\r\n" if "\r\n" in text else "\n"
                if text and not text.endswith("\n"):
                    text += ending
                held = text.splitlines()
                after[path] = text + "".join(
                    f"{line}{ending}" for line in lines if line not in held
                )
            case WriteFile(path, text):
                after[path] = text
            case SetSetting():
                settings.append(change)
            case _:
                pass
    if settings:
        after[PYPROJECT] = setting_written(after.get(PYPROJECT, texts[PYPROJECT] or ""), settings)
    return {path: text for path, text in after.items() if text != texts.get(path)}


def differences(texts: Mapping[str, str | None], after: Mapping[str, str]) -> str:
    """Show what changes in each file as one unified diff."""
    parts = []
    for path, text in sorted(after.items()):
        before = texts.get(path)
        lines = difflib.unified_diff(
            (before or "").splitlines(),
            text.splitlines(),
            f"a/{path}" if before is not None else "/dev/null",
            f"b/{path}",
            lineterm="",
        )
        parts += list(lines)
    return "\n".join(parts)
