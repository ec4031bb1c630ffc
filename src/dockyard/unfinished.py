"""Files that a killed process was still writing: told from those that are being written now."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from pathlib import Path

__all__ = ["clear_unfinished", "hold_unfinished", "is_abandoned", "unfinished_path"]

_UNFINISHED = re.compile(r"\.(.+)\.(\d+)")


def unfinished_path(path: Path) -> Path:
    """Name the file beside ``path`` in which this process writes what it is to become."""
    return path.with_name(f".{path.name}.{os.getpid()}")


def hold_unfinished(descriptor: int) -> None:
    """Mark an open file as one that is being written, until it is closed."""
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_abandoned(path: Path, process: int) -> bool:
    """Whether the process that made a file or folder is gone, and nobody holds its lock.

    Both, because a process of another container has a number that says nothing here.
    """
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        pass
    except OSError:
        return False
    else:
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def clear_unfinished(folder: Path, name: str | None = None) -> None:
    """Remove what was to become ``name``, or any file of a folder of ours, and never will.

    What cannot be looked at or removed stays.
    """
    with contextlib.suppress(OSError):
        for entry in os.listdir(folder):  # noqa: PTH208 - names alone, and fast
            match = _UNFINISHED.fullmatch(entry)
            if match is None or name not in (None, match[1]):
                continue
            path = folder / entry
            if is_abandoned(path, int(match[2])):
                path.unlink(missing_ok=True)
