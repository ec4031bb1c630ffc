"""What was found out before and need not be asked again: one small JSON file, safe to delete."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path

from dockyard.unfinished import clear_unfinished, hold_unfinished, unfinished_path

__all__ = ["STATE_FOLDER", "State", "prepare_state_folder", "write_atomically"]

STATE_FOLDER = ".dockyard"


def prepare_state_folder(root: Path) -> Path:
    """Make ``.dockyard`` below ``root``, ignored by git, and return it."""
    folder = root / STATE_FOLDER
    folder.mkdir(exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("# Dockyard's records and caches of this machine.\n*\n")
    return folder


def write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace ``path`` by ``text``, wholly or not at all, whatever interrupts it.

    What a killed process began to write in its place is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    clear_unfinished(path.parent, path.name)
    temporary = unfinished_path(path)
    try:
        with open(temporary, "w", encoding="utf-8", newline="\n") as file:  # noqa: PTH123 - fsync
            hold_unfinished(file.fileno())
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


class State:
    """Remembered answers: each under a name, with the fingerprint of what it was computed from.

    An unreadable file is the same as none. Nothing here is worth an error: what is not remembered
    is found out again.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._changed = False
        self._entries: dict[str, dict[str, object]] = {}
        with contextlib.suppress(OSError, ValueError):
            loaded = json.loads((root / STATE_FOLDER / "state.json").read_text(encoding="utf-8"))
            if isinstance(loaded, dict):
                self._entries = {k: v for k, v in loaded.items() if isinstance(v, dict)}

    def recall(self, name: str, fingerprint: str, seconds: float | None = None) -> object | None:
        """Return the remembered value; None if it is of other inputs or older than ``seconds``."""
        entry = self._entries.get(name, {})
        if entry.get("fingerprint") != fingerprint:
            return None
        when = entry.get("time")
        if seconds is not None and not (
            isinstance(when, int | float) and 0 <= time.time() - when <= seconds
        ):
            return None
        return entry.get("value")

    def remember(self, name: str, fingerprint: str, value: object) -> None:
        """Keep a JSON value until :meth:`save`."""
        self._entries[name] = {"fingerprint": fingerprint, "time": time.time(), "value": value}
        self._changed = True

    def forget(self, *names: str) -> None:
        """Drop remembered values, all where none is named."""
        for name in names or tuple(self._entries):
            self._changed = self._entries.pop(name, None) is not None or self._changed

    def save(self) -> None:
        """Write the file if anything changed; a read-only tree just remembers nothing."""
        if not self._changed:
            return
        with contextlib.suppress(OSError):
            folder = prepare_state_folder(self._root)
            write_atomically(folder / "state.json", json.dumps(self._entries), mode=0o600)
            self._changed = False
