"""Tar archives unpacked so that nothing leaves the folder they are unpacked into."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

__all__ = ["extract"]


def extract(archive: tarfile.TarFile, folder: Path) -> None:
    """Unpack files and folders with the filter ``data`` of PEP 706, or as carefully without it.

    Debian 12's Python 3.11.2 has no filters: they came with 3.11.4. There only files, folders and
    hard links are unpacked. Raises tarfile.TarError for a member that would leave ``folder``.
    """
    if hasattr(tarfile, "data_filter"):
        archive.extractall(folder, filter="data")
    else:
        archive.extractall(folder, members=_members(archive))  # noqa: S202 - these are checked


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for member in archive:
        for name in (member.name, member.linkname):
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts:
                raise tarfile.TarError(f"{name!r} would leave the folder")
        if member.isfile() or member.isdir() or member.islnk():
            yield member
