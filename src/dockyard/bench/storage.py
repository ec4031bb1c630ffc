"""A registry's storage, set back for each measurement, and a cache directory that travels."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from dockyard.archives import extract

__all__ = ["clone_storage", "pack", "unpack"]

# Blobs are never written again, so copies may share them. Small files (links, which the registry
# writes in place, and manifests) are copied.
LINKED_BYTES = 64 * 1024


def clone_storage(source: Path, target: Path) -> None:
    """Copy a registry's storage to ``target``, which is replaced; large files are hard links."""
    shutil.rmtree(target, ignore_errors=True)
    for folder, _, names in os.walk(source):
        here = target / Path(folder).relative_to(source)
        here.mkdir(parents=True, exist_ok=True)
        for name in names:
            path = Path(folder, name)
            if path.stat().st_size > LINKED_BYTES:
                os.link(path, here / name)
            else:
                shutil.copyfile(path, here / name)


class _Metered(io.RawIOBase):
    """A file whose reads or writes are let through piece by piece."""

    def __init__(self, file: IO[bytes], moved: Callable[[int], None]) -> None:
        super().__init__()
        self._file, self._moved = file, moved
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.count += len(data)
        self._moved(len(data))
        return data

    def write(self, data: Any) -> int:
        self.count += len(data)
        self._moved(len(data))
        return self._file.write(data)


def pack(folder: Path, archive: Path, moved: Callable[[int], None]) -> int:
    """Save a folder as a tar archive; the archive's bytes, each let through by ``moved``.

    It is not compressed: a cache's blobs are, and ``actions/cache`` would gain nothing.
    """
    temporary = archive.with_suffix(".new")
    with temporary.open("wb") as file:
        metered = _Metered(file, moved)
        with tarfile.open(fileobj=metered, mode="w|", bufsize=1 << 18) as tar:
            tar.add(folder, arcname=".", filter=_plain)
    temporary.replace(archive)
    return metered.count


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def unpack(archive: Path, folder: Path, moved: Callable[[int], None]) -> int:
    """Restore a folder from its archive; the archive's bytes, each let through by ``moved``."""
    folder.mkdir(parents=True, exist_ok=True)
    with archive.open("rb") as file:
        metered = _Metered(file, moved)
        with tarfile.open(fileobj=metered, mode="r|", bufsize=1 << 18) as tar:
            extract(tar, folder)
    return metered.count
