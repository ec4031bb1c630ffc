"""Locks that end with their process, and links that share a blob between folders."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from dockyard.errors import CacheError

__all__ = ["LOCK_SECONDS", "is_locked", "link", "locked_file"]

LOCK_SECONDS = 30.0
POLL_SECONDS = 0.02


@contextlib.contextmanager
def locked_file(path: Path, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold a file's exclusive lock (flock(2)), which ends with the process whatever ends that.

    Raises CacheError where it is not to be had within ``seconds``, OSError without a file.
    """
    with path.open("a+") as file:
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    file.seek(0)
                    holder = file.read(32).strip()
                    raise CacheError(
                        f"process {holder or 'unknown'} has held the cache for {seconds:.0f} s",
                        where=str(path.parent),
                        hint="wait for it to end, or end it; its lock goes with it",
                    ) from None
                time.sleep(POLL_SECONDS)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def is_locked(path: Path) -> bool:
    """Whether somebody holds the file's lock; not if there is no such file."""
    try:
        with path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def link(source: Path, target: Path) -> None:
    """Make a file appear elsewhere too: a hard link, else a symbolic one, else a copy.

    Raises FileNotFoundError without a source, other OSErrors where nothing can be written.
    """
    for way in (os.link, os.symlink):
        try:
            way(source.absolute(), target)
        except FileExistsError:
            return
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                raise
        else:
            return
    shutil.copy2(source, target)
