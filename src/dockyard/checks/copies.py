"""A copy of the build context to change: the user's files are not touched."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tomllib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dockyard.errors import CheckUnavailableError

if TYPE_CHECKING:
    from dockyard.context import ContextListing

__all__ = ["another_hash", "copy_context", "file_to_touch", "touch"]


def copy_context(source: Path, listing: ContextListing, target: Path) -> None:
    """Copy the files of a context, with their modes and times; empty folders as well.

    Modes, also those of folders, are part of what BuildKit keys a COPY by; times are not.
    """
    for folder, folders, files in os.walk(source):
        if not folders and not files:
            # What .dockerignore leaves out of these it leaves out of the copy, too.
            (target / Path(folder).relative_to(source)).mkdir(parents=True, exist_ok=True)
    for entry in listing.entries:
        place = target / entry.path
        place.parent.mkdir(parents=True, exist_ok=True)
        original = source / entry.path
        if original.is_symlink() or original.is_file():
            shutil.copy2(original, place, follow_symlinks=False)
    ignore = source / ".dockerignore"
    if ignore.is_file():
        shutil.copy2(ignore, target / ignore.name)
    for folder, _, _ in os.walk(target):
        original = source / Path(folder).relative_to(target)
        if original.is_dir():
            shutil.copymode(original, folder)


def file_to_touch(paths: Sequence[str], copied: Sequence[str]) -> str | None:
    """Choose a source file below the first copied path that has one, a module if there is any.

    ``paths`` are the context's files; without anything copied none is chosen.
    """
    below = [
        path
        for top in map(PurePosixPath, copied)
        for path in paths
        if top == PurePosixPath(path) or top in PurePosixPath(path).parents
    ]
    modules = [path for path in below if path.endswith(".py")]
    return next(iter([*modules, *below]), None)


def touch(path: Path) -> None:
    """Add a comment that no other build has seen; in what is no module, a line without meaning."""
    text = f"\n# {secrets.token_hex(16)}\n".encode()
    content, mode = path.read_bytes(), path.stat().st_mode
    path.unlink()
    path.write_bytes(content + text)
    path.chmod(mode)


def another_hash(lock: str, name: str, version: str) -> str:
    """Give a package of a lock one hash more, as if a file of it had been added to the index.

    What is installed stays what it was, and any index that has it will do, or uv's cache: but the
    requirement is another. Raises CheckUnavailableError where the lock has no such package.
    """
    head = rf'\[\[package\]\]\nname = "{re.escape(name)}"\nversion = "{re.escape(version)}"\n'
    table = re.search(rf"{head}(?:(?!\[\[package\]\]).*\n)*", lock)
    other = f'hash = "sha256:{secrets.token_hex(32)}"'
    text = table[0] if table else ""
    if match := re.search(r"\nwheels = \[\n(    \{ .*\n)", text):
        added = re.sub(r'hash = "sha256:[0-9a-f]{64}"', other, match[1])
        after = match.end(1)
    elif match := re.search(r'\nsdist = \{ (url|path) = "([^"]*/)?[^"]*", .*\n', text):
        # It has no wheel: this one is for a platform that no image is of.
        file = f"{name.replace('-', '_')}-{version}-py3-none-win_arm64.whl"
        added = f'wheels = [\n    {{ {match[1]} = "{match[2] or ""}{file}", {other} }},\n]\n'
        after = match.end()
    else:
        added, after = "", 0
    if table is None or other not in added:
        raise CheckUnavailableError(f"the lock does not have {name} {version} as uv writes it")
    place = table.start() + after
    changed = lock[:place] + added + lock[place:]
    tomllib.loads(changed)
    return changed
