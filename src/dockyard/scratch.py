"""Temporary folders that a killed process does not leave for ever: the next one clears them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from pathlib import Path

from dockyard.unfinished import is_abandoned

__all__ = ["ScratchFolder"]

_NAME = re.compile(r"dockyard-(\d+)-[a-z0-9_]+")
_cleared: set[str] = set()


class ScratchFolder:
    """A folder below the system's temporary one, held until :meth:`close`; a context manager.

    What processes of this user left there that run no more goes first, once in each process.
    Raises OSError where none can be made.
    """

    def __init__(self) -> None:
        parent = tempfile.gettempdir()
        if parent not in _cleared:
            _cleared.add(parent)
            _clear(Path(parent))
        self.path = Path(tempfile.mkdtemp(prefix=f"dockyard-{os.getpid()}-"))
        self._descriptor = os.open(self.path, os.O_RDONLY)
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the folder with all that is in it; further calls do nothing."""
        if self._descriptor >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._descriptor)
            self._descriptor = -1


def _clear(parent: Path) -> None:
    """Remove the folders that others left; what cannot be looked at or removed stays."""
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            match = _NAME.fullmatch(entry.name)
            if match is None or not entry.is_dir(follow_symlinks=False):
                continue
            with contextlib.suppress(OSError):
                own = entry.stat(follow_symlinks=False).st_uid == os.getuid()
                if own and is_abandoned(Path(entry.path), int(match[1])):
                    shutil.rmtree(entry.path, ignore_errors=True)
