"""One layer of an image, read through once, file by file.

Layers are those of the OCI image specification 1.1 (layer.md). They come as a stream: neither they
nor their files are held whole.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

from dockyard.checks.secret_shapes import MARKER_BYTES, Searched, search
from dockyard.dockerfile import DEPENDENCY_STAGE_PREFIX
from dockyard.recording import what_layer_holds

__all__ = ["FileEntry", "LayerContents", "read_layer"]

CHUNK = 1 << 20
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_INSTALLED = re.compile(r"(?:^|/)(?:site|dist)-packages/")


@dataclass(frozen=True)
class FileEntry:
    """A file of a layer: bytes (0 for what is no regular file), and whether it may be executed."""

    bytes: int
    executable: bool = False


@dataclass(frozen=True)
class LayerContents:
    """One layer: the instruction that made it, whether it is the base's, and its entries by path.

    ``removed`` are the paths, files or whole folders, that it takes away from the layers below.
    ``suspicious``: what looks like a secret, path → why.
    """

    created_by: str
    base: bool
    files: Mapping[str, FileEntry]
    removed: tuple[str, ...] = ()
    suspicious: Mapping[str, str] = field(default_factory=dict)


def read_layer(
    stream: IO[bytes], *, created_by: str, base: bool, secrets: Sequence[str]
) -> LayerContents:
    """Read a layer's tar stream; whatever is not the base's is searched for secrets on the way.

    What packages of an index hold is public, so there only the given ``secrets`` are looked for.
    """
    files: dict[str, FileEntry] = {}
    removed: list[str] = []
    suspicious: dict[str, str] = {}
    holds = what_layer_holds(created_by)
    from_index = holds == "environment" or holds.startswith(DEPENDENCY_STAGE_PREFIX)
    own_packages = holds in ("project", "local-packages")
    markers = tuple(one.encode() for one in secrets)
    with tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK) as archive:
        for member in archive:
            path = member.name.removeprefix("./").strip("/")
            folder, _, name = path.rpartition("/")
            if name == _OPAQUE:
                removed.append(f"{folder}/")
                continue
            if name.startswith(_WHITEOUT):
                removed.append(f"{folder}/{name.removeprefix(_WHITEOUT)}".lstrip("/"))
                continue
            if member.isdir():
                continue
            executable = bool(member.mode & 0o111) and not member.issym()
            files[path] = FileEntry(member.size if member.isreg() else 0, executable)
            content = archive.extractfile(member) if member.isreg() and not base else None
            if content is None:
                continue
            public = from_index or (bool(_INSTALLED.search(path)) and not own_packages)
            why = search(path, _chunks(content), Searched(markers, shapes=not public))
            if why:
                suspicious[path] = why
    return LayerContents(created_by, base, files, tuple(removed), suspicious)


def _chunks(content: IO[bytes]) -> Iterable[bytes]:
    """Yield a file's content in pieces that overlap, so that none hides what is searched for."""
    before = b""
    while piece := content.read(CHUNK):
        yield before + piece
        before = piece[-MARKER_BYTES:]
