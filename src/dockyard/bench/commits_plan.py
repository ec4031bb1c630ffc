"""Commits as a team makes them: mostly code, some texts, now and then a dependency. Pure.

The same count and seed give the same commits, in the same order. ``mark`` is one run's own: it goes
into what is written, or a second run would find on the engine what the first has built.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath

__all__ = ["FEWEST_COMMITS", "Change", "Kind", "change_files", "plan_commits"]

FEWEST_COMMITS = 10
# One commit in five changes a dependency. Ten builds for each change of the lock are usual, so this
# is the harder case.
DEPENDENCY_SHARE = 0.2
TEXT_SHARE = 0.11
NEW_FILE_SHARE = 0.09
RENAME_SHARE = 0.07
# So many commits have one release and one large dependency.
CYCLE = 45
SEVERAL_FILES = 0.3


class Kind(StrEnum):
    """What a commit changes."""

    EDIT = "code edited"
    NEW_FILE = "file added"
    RENAME = "file renamed"
    TEXT = "README or tests only"
    RELEASE = "version of the project"
    SMALL = "small dependency"
    LARGE = "large dependency"
    ADDED = "dependency added"
    REMOVED = "dependency removed"

    @property
    def of_dependencies(self) -> bool:
        """Whether it changes what is installed."""
        return self in (Kind.SMALL, Kind.LARGE, Kind.ADDED, Kind.REMOVED)


@dataclass(frozen=True)
class Change:
    """Files to write, by path, and files to remove; ``summary`` is the commit's message."""

    summary: str
    writes: Mapping[str, str] = field(default_factory=dict)
    removes: tuple[str, ...] = ()


def plan_commits(count: int, seed: int) -> tuple[Kind, ...]:
    """Draw the kinds of so many commits, in a random order. Raises ValueError below ten."""
    if count < FEWEST_COMMITS:
        raise ValueError(f"fewer than {FEWEST_COMMITS} commits are no replay")
    rare = max(round(count / CYCLE), 1)
    kinds = [Kind.ADDED, Kind.REMOVED, *([Kind.LARGE] * rare)]
    kinds += [Kind.SMALL] * max(round(count * DEPENDENCY_SHARE) - len(kinds), 1)
    kinds += [Kind.RELEASE] * (rare if count >= CYCLE // 2 else 0)
    for kind, share in (
        (Kind.TEXT, TEXT_SHARE),
        (Kind.NEW_FILE, NEW_FILE_SHARE),
        (Kind.RENAME, RENAME_SHARE),
    ):
        kinds += [kind] * round(count * share)
    kinds += [Kind.EDIT] * (count - len(kinds))
    random.Random(seed).shuffle(kinds)  # noqa: S311 - to be repeated, not secret
    if Kind.NEW_FILE in kinds and Kind.RENAME in kinds:
        # What is renamed has been added before.
        new, renamed = kinds.index(Kind.NEW_FILE), kinds.index(Kind.RENAME)
        if renamed < new:
            kinds[renamed], kinds[new] = kinds[new], kinds[renamed]
    return tuple(kinds)


def _function(chance: random.Random, number: int, mark: str) -> str:
    """Write a function of a few lines that nothing calls."""
    lines = "".join(
        f"    total += {chance.randint(1, 9999)} * factor\n" for _ in range(chance.randint(1, 25))
    )
    return (
        f"\n\ndef change_{number}_{mark}(factor: int = {chance.randint(1, 99)}) -> int:\n"
        f'    """Return a number that commit {number} is about."""\n    total = 0\n{lines}'
        "    return total\n"
    )


def change_files(
    kind: Kind, files: Mapping[str, str], sources: Sequence[str], number: int, seed: int, mark: str
) -> Change:
    """Make the change of one commit that is no dependency's.

    ``files``: the texts of the project's files by path, the Python files and the README at least.
    ``sources``: the paths that the image gets. Renamed are files that an earlier commit has added,
    because nothing imports them; where there is none, one is added.
    """
    chance = random.Random(f"{seed}-{number}")  # noqa: S311 - as above
    code = [
        path
        for path in sorted(files)
        if path.endswith(".py") and any(PurePosixPath(path).is_relative_to(one) for one in sources)
    ]
    ours = [path for path in code if PurePosixPath(path).name.startswith("change_")]
    if kind is Kind.RENAME and ours:
        old = chance.choice(ours)
        new = str(PurePosixPath(old).with_name(f"change_{number}.py"))
        return Change(f"Rename {old} to {new}", {new: files[old]}, (old,))
    if kind in (Kind.NEW_FILE, Kind.RENAME):
        folder = PurePosixPath(chance.choice(code)).parent
        path = str(folder / f"change_{number}.py")
        text = f'"""What commit {number} adds."""{_function(chance, number, mark)}'
        return Change(f"Add {path}", {path: text})
    if kind is Kind.TEXT:
        texts = [
            path
            for path in sorted(files)
            if path == "README.md" or (path.startswith("tests/") and path.endswith(".py"))
        ]
        path = chance.choice(texts or ["NOTES.md"])
        added = f"\nNote {number}, {mark}.\n" if path.endswith(".md") else f"\n# {number} {mark}\n"
        return Change(f"Change {path}", {path: files.get(path, "") + added})
    # Mostly the package itself, now and then a script beside it.
    first = [path for path in code if PurePosixPath(path).is_relative_to(sources[0])]
    chosen = {chance.choice(first or code)}
    while chance.random() < SEVERAL_FILES and len(chosen) < len(code):
        chosen.add(chance.choice(code))
    return Change(
        f"Change {', '.join(sorted(chosen))}",
        {path: files[path] + _function(chance, number, mark) for path in sorted(chosen)},
    )
