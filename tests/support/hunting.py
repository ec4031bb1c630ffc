"""Looks for planted secrets wherever something may have been left: files, archives, processes.

An archive's members are looked into, whatever it is compressed with and however deep.
"""

from __future__ import annotations

import io
import sqlite3
import sys
import tarfile
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from support.planted import Planted, marker_forms

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor, ZstdError
else:
    from backports.zstd import ZstdDecompressor, ZstdError

__all__ = ["Find", "Hunter", "ProcessSampler", "contents", "finds_in"]

GZIP, ZSTD, ZIP, SQLITE = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"SQLite format 3\0"
TAR, TAR_OFFSET = b"ustar", 257
GZIP_WINDOW = 31  # the largest, and gzip's header (zlib.h, inflateInit2)
DEPTH = 6
MARKERS = marker_forms()
SAMPLE_S = 0.02


@dataclass(frozen=True, order=True)
class Find:
    """A secret that was found: of which place, where, and how it is written there."""

    place: str
    where: str
    form: str


def finds_in(content: bytes, where: str, planted: Iterable[Planted]) -> Iterator[Find]:
    """Look for secrets in bytes as they are."""
    if not any(one in content for one in MARKERS):
        return
    for secret in planted:
        for form, needles in secret.needles.items():
            if any(needle in content for needle in needles):
                yield Find(secret.place, where, form)


def contents(where: str, content: bytes, depth: int = DEPTH) -> Iterator[tuple[str, bytes]]:
    """Yield a content and everything in it that only unpacking shows, each with where it is.

    A damaged archive yields what could be read of it.
    """
    yield where, content
    if depth == 0:
        return
    for name, inner in _unpacked(content):
        yield from contents(f"{where} > {name}", inner, depth - 1)


def _unpacked(content: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        if content.startswith(GZIP):
            yield "gzip", _decompressed(content, lambda: zlib.decompressobj(GZIP_WINDOW))
        elif content.startswith(ZSTD):
            yield "zstd", _decompressed(content, ZstdDecompressor)
        elif content.startswith(ZIP):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                for name in archive.namelist():
                    yield name, archive.read(name)
        elif content[TAR_OFFSET : TAR_OFFSET + len(TAR)] == TAR:
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                for member in archive:
                    file = archive.extractfile(member) if member.isreg() else None
                    if file is not None and _is_packed(head := file.read(512)):
                        yield member.name, head + file.read()
        elif content.startswith(SQLITE):
            yield "rows", _rows(content)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, tarfile.TarError, sqlite3.Error):
        return


def _is_packed(head: bytes) -> bool:
    """Tell what holds more than its bytes show; all else was seen in the archive around it."""
    return head.startswith((GZIP, ZSTD, ZIP, SQLITE)) or head[TAR_OFFSET:].startswith(TAR)


def _decompressed(content: bytes, new: Callable[[], Any]) -> bytes:
    """Decompress all members or frames, to where one is damaged."""
    pieces = []
    while content:
        one = new()
        try:
            pieces.append(one.decompress(content))
        except (zlib.error, ZstdError):
            break
        if not one.eof or len(one.unused_data) == len(content):
            break
        content = one.unused_data
    return b"".join(pieces)


def _rows(content: bytes) -> bytes:
    """Return all values of a database: on its pages a long one is in pieces."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(content)
        tables = database.execute("select name from sqlite_master where type = 'table'").fetchall()
        lines = [
            repr(row)
            for (table,) in tables
            for row in database.execute('select * from "{}"'.format(table.replace('"', '""')))
        ]
    return "\n".join(lines).encode()


@dataclass
class Hunter:
    """Collects what is found, and counts what was searched.

    ``own`` are the files in which the secrets were planted: they are not searched. ``kinds`` counts
    contents by what they were: whoever hunts in nothing finds nothing.
    """

    planted: tuple[Planted, ...]
    own: frozenset[Path] = frozenset()
    found: set[Find] = field(default_factory=set)
    kinds: dict[str, int] = field(default_factory=dict)
    searched_bytes: int = 0

    def search(self, kind: str, where: str, content: bytes | str) -> None:
        """Search one content and what is packed in it."""
        whole = content.encode(errors="replace") if isinstance(content, str) else content
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        for place, inner in contents(where, whole):
            self.searched_bytes += len(inner)
            self.found.update(finds_in(inner, place, self.planted))

    def search_folder(self, kind: str, folder: Path) -> None:
        """Search every file below a folder, and every file's name."""
        for path in sorted(folder.rglob("*")):
            if path in self.own:
                continue
            self.found.update(finds_in(str(path).encode(), f"the name of {path}", self.planted))
            if path.is_symlink() or not path.is_file():
                continue
            self.search(kind, str(path), path.read_bytes())

    def search_tar(self, kind: str, stream: IO[bytes]) -> None:
        """Search a tar file that is read once, member by member, however large it is."""
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                self.found.update(finds_in(member.name.encode(), member.name, self.planted))
                if file := archive.extractfile(member) if member.isreg() else None:
                    self.search(kind, member.name, file.read())

    def report(self) -> str:
        """Name everything that was found, a line each."""
        return "\n".join(f"{one.place}: {one.where} ({one.form})" for one in sorted(self.found))


class ProcessSampler:
    """Reads the arguments of all processes of this machine, again and again; a context manager.

    What starts and ends between two looks is missed here.
    """

    def __init__(self) -> None:
        self.arguments: set[bytes] = set()
        self.looks = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="processes", daemon=True)

    def __enter__(self) -> ProcessSampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            started = time.monotonic()
            self.look()
            # Never more than a third of a processor.
            self._stop.wait(max(SAMPLE_S, 2 * (time.monotonic() - started)))

    def look(self) -> None:
        """Look once."""
        self.looks += 1
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                self.arguments.add(_read(folder / "cmdline"))


def _read(path: Path) -> bytes:
    """Read a file of a process; empty where it has ended, or is somebody else's."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
