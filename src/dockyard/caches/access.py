"""What a build read of the local cache's folder, and what it added there.

BuildKit does not tell: of some blobs that it loads there is no progress. The file system does: a
blob that was read has a new access time. (Mounted with ``relatime``, the default, a file's access
time changes with the first read after a change of the file's status, which setting the time is.)
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dockyard.caches.layout import Layout

__all__ = ["LocalCacheAccess"]

# 1970: nothing is read then.
_UNREAD = 10**9


class LocalCacheAccess:
    """Watches a build's snapshot of the local cache; made before buildx starts.

    ``read`` and ``written`` are bytes as of the last :meth:`measure`, None where ``reason`` says
    that they cannot be known. ``digests`` are those of the blobs that were there.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._before: dict[str, int] = {}
        self.read: int | None = 0
        self.written: int | None = 0
        self.reason = ""
        try:
            found = dict(layout.blobs())
            self._before = {digest: status.st_size for digest, status in found.items()}
            for digest, status in found.items():
                os.utime(layout.blob_path(digest), ns=(_UNREAD, status.st_mtime_ns))
            if not _keeps_access_times(layout.root):
                self._fail("the cache's file system keeps no access times")
        except OSError as error:
            self._fail(f"the cache's access times cannot be set: {error.strerror}")

    @property
    def digests(self) -> frozenset[str]:
        """The digests of the blobs that were there at the beginning."""
        return frozenset(self._before)

    def measure(self) -> None:
        """Look again. What is called once more looks for the sum of all since the beginning."""
        read = written = 0
        try:
            for digest, status in self._layout.blobs():
                if digest not in self._before:
                    written += status.st_size
                elif status.st_atime_ns != _UNREAD:
                    read += self._before[digest]
        except OSError as error:
            self.written = None
            self._fail(f"the cache's folder cannot be listed: {error.strerror}")
            return
        self.written = written
        self.read = None if self.reason else read

    def _fail(self, reason: str) -> None:
        self.read, self.reason = None, reason


def _keeps_access_times(folder: Path) -> bool:
    """Try it with a file that is removed again. Raises OSError."""
    probe = folder / f".access-{os.getpid()}"
    try:
        probe.write_bytes(b"x")
        os.utime(probe, ns=(_UNREAD, _UNREAD))
        probe.read_bytes()
        return probe.stat().st_atime_ns != _UNREAD
    finally:
        probe.unlink(missing_ok=True)
