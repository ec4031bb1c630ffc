"""The digest of each file of the build context, each file read once as long as it stays.

What is remembered is in ``.dockyard/context-digests.json``; the file may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from dockyard.record_parts import FileRecord
from dockyard.state import STATE_FOLDER, prepare_state_folder, write_atomically

__all__ = ["MOST_FILES", "digest_files", "digest_of", "remembered_path"]

# A record is kept for each of the last builds: what it lists has to stay small.
MOST_FILES = 2000
CHUNK = 1 << 20
# A file that changed so short before it was read may change again within the same clock tick.
SETTLED_NANOSECONDS = 2 * 10**9


def remembered_path(root: Path) -> Path:
    """Where the digests of a repository's files are remembered."""
    return root / STATE_FOLDER / "context-digests.json"


def digest_of(path: Path, mode: int) -> str:
    """Digest type, permissions and content (of a symbolic link: its target), as hex SHA-256.

    Those are what a COPY of the file depends on; times are not. Raises OSError.
    """
    digest = hashlib.sha256(f"{mode:o}\0".encode())
    if stat.S_ISLNK(mode):
        digest.update(os.fsencode(os.readlink(path)))  # noqa: PTH115 - any bytes, as they are
    elif stat.S_ISREG(mode):
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def _remembered(path: Path) -> dict[str, list[object]]:
    with contextlib.suppress(OSError, ValueError):
        loaded = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(loaded, dict):
            return {name: one for name, one in loaded.items() if isinstance(one, list)}
    return {}


def digest_files(
    folder: Path,
    sizes: Sequence[tuple[str, int]],
    root: Path,
    *,
    most: int = MOST_FILES,
    digest: Callable[[Path, int], str] = digest_of,
    now: int | None = None,
) -> tuple[tuple[FileRecord, ...], int]:
    """Digest the ``most`` largest files of a context; and count those that are left out.

    ``sizes``: path below ``folder``, with ``/``, and bytes. A file that cannot be read, or is gone
    meanwhile, counts as left out. The result is sorted by path. ``now`` is in nanoseconds.
    """
    kept = sorted(sizes, key=lambda one: (-one[1], one[0]))[:most]
    place = remembered_path(root)
    known = _remembered(place)
    now = time.time_ns() if now is None else now
    fresh: dict[str, list[object]] = {}
    found: list[FileRecord] = []
    for name, size in kept:
        path = folder / name
        try:
            status = path.lstat()
            key = [status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino]
            entry = [*key, status.st_mode]
            text = str(path)
            before = known.get(text, [])
            value = before[-1] if before[:-1] == entry else digest(path, status.st_mode)
        except OSError:
            continue
        # A surrogate of a name that is no UTF-8 could not be written into any JSON.
        name = name.encode(errors="backslashreplace").decode()
        found.append(FileRecord(name, size, str(value)))
        if now - max(status.st_mtime_ns, status.st_ctime_ns) > SETTLED_NANOSECONDS:
            fresh[text] = [*entry, value]
    if fresh != known:
        # What cannot be remembered is read again: worth no error.
        with contextlib.suppress(OSError, UnicodeError):
            prepare_state_folder(root)
            write_atomically(place, json.dumps(fresh), mode=0o600)
    found.sort(key=lambda one: one.path)
    return tuple(found), len(sizes) - len(found)
