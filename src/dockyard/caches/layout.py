"""An OCI image layout on disk: tags in ``index.json``, content under its digest in ``blobs``.

OCI image-spec, ``image-layout.md``. A folder with the two of them is what BuildKit's ``type=local``
cache reads and writes (BuildKit, ``client/ociindex/ociindex.go``). Whoever changes tags holds the
folder for himself: see :mod:`dockyard.caches.directory`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dockyard.errors import CacheError
from dockyard.state import write_atomically

__all__ = [
    "CACHE_CONFIG_TYPE",
    "INDEX_TYPE",
    "MANIFEST_TYPE",
    "BlobError",
    "Descriptor",
    "Layout",
    "children",
]

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
# BuildKit, cache/remotecache/v1/spec.go
CACHE_CONFIG_TYPE = "application/vnd.buildkit.cacheconfig.v0"

INDEX_TYPES = frozenset({INDEX_TYPE, "application/vnd.docker.distribution.manifest.list.v2+json"})
MANIFEST_TYPES = frozenset({MANIFEST_TYPE, "application/vnd.docker.distribution.manifest.v2+json"})

# OCI image-spec, annotations.md: what containerd, BuildKit and skopeo look a tag up by.
TAG_ANNOTATION = "org.opencontainers.image.ref.name"
LAYOUT_VERSION = '{"imageLayoutVersion":"1.0.0"}'
# distribution refuses manifests above 4 MiB; an index.json lists many, but never that many.
MAXIMUM_MANIFEST_BYTES = 16 << 20

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class BlobError(CacheError):
    """A blob is missing, or is not what its digest says. ``digest`` names it."""

    def __init__(self, digest: str, fault: str, *, where: Path | None = None) -> None:
        super().__init__(
            f"the blob {digest} {fault}",
            where=str(where) if where else None,
            hint="the next build sets it aside and makes it anew",
        )
        self.digest = digest


@dataclass(frozen=True)
class Descriptor:
    """What refers to content: its media type, digest (``sha256:…``) and size in bytes.

    ``annotations`` are pairs, so that a descriptor can be a key. OCI image-spec, descriptor.md.
    """

    media_type: str
    digest: str
    size: int
    annotations: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_json(cls, values: Any) -> Descriptor:
        """Read one from JSON; ValueError where it lacks a part or its digest is no SHA-256."""
        try:
            media_type, digest, size = values["mediaType"], values["digest"], values["size"]
            annotations = values.get("annotations") or {}
            pairs = tuple(sorted((str(key), str(value)) for key, value in annotations.items()))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"a descriptor lacks or misshapes a part: {error}") from error
        if not (isinstance(digest, str) and _DIGEST.fullmatch(digest)):
            raise ValueError(f"{digest!r} is not a SHA-256 digest")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise ValueError(f"{size!r} is not a size")
        return cls(str(media_type), digest, size, pairs)

    def as_json(self) -> dict[str, object]:
        """Render as an index or manifest has it."""
        values: dict[str, object] = {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.size,
        }
        if self.annotations:
            values["annotations"] = dict(self.annotations)
        return values

    def annotated(self, changes: Mapping[str, str]) -> Descriptor:
        """Return it with these annotations added or replaced."""
        pairs = tuple(sorted({**dict(self.annotations), **changes}.items()))
        return replace(self, annotations=pairs)

    @property
    def is_manifest(self) -> bool:
        """Whether the content is a manifest or an index, which refer to more."""
        return self.media_type in INDEX_TYPES | MANIFEST_TYPES


def children(document: bytes) -> tuple[Descriptor, ...]:
    """List what an index or manifest refers to directly, in its order; ValueError if it is neither.

    BuildKit writes a cache either as a manifest whose configuration is the cache's, or as an index
    whose entries are the layers and the configuration (``cache/remotecache/export.go``): the
    entry's own media type tells what is to be descended into, not the place where it stands.
    """
    loaded = json.loads(document)
    if not isinstance(loaded, dict):
        raise ValueError("it is no JSON object")
    found = [loaded["config"]] if "config" in loaded else []
    for key in ("layers", "manifests"):
        listed = loaded.get(key) or []
        if not isinstance(listed, list):
            raise ValueError(f"its {key} are no list")
        found += listed
    return tuple(Descriptor.from_json(one) for one in found)


class Layout:
    """An OCI image layout below ``root``, which need not exist yet."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def blobs_folder(self) -> Path:
        """Where the blobs are, each named by the hexadecimal part of its digest."""
        return self.root / "blobs" / "sha256"

    def create(self) -> None:
        """Make the folders and the two files that are missing. Raises OSError."""
        self.blobs_folder.mkdir(parents=True, exist_ok=True)
        for name, text in (
            ("oci-layout", LAYOUT_VERSION),
            ("index.json", _index_text(())),
        ):
            if not (self.root / name).exists():
                write_atomically(self.root / name, text)

    # -------------------- tags

    def index(self) -> dict[str, Descriptor]:
        """Read the tags; none where there is no layout. Raises CacheError if it is damaged."""
        path = self.root / "index.json"
        try:
            text = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise CacheError(
                f"the cache's index cannot be read: {error.strerror}",
                where=str(path),
                hint="make the folder readable, or point DOCKYARD_CACHE_DIR elsewhere",
            ) from error
        try:
            listed = [Descriptor.from_json(one) for one in json.loads(text)["manifests"] or ()]
        except (ValueError, KeyError, TypeError) as error:
            raise CacheError(
                f"the cache's index is damaged: {error}",
                where=str(path),
                hint="`invoke cache.clean` starts an empty cache",
            ) from error
        tagged = ((dict(one.annotations).get(TAG_ANNOTATION), one) for one in listed)
        return {tag: one for tag, one in tagged if tag}

    def replace_index(self, tags: Mapping[str, Descriptor]) -> None:
        """Write all tags at once, atomically. Raises OSError."""
        entries = [one.annotated({TAG_ANNOTATION: tag}) for tag, one in sorted(tags.items())]
        write_atomically(self.root / "index.json", _index_text(entries))

    def set_tag(self, tag: str, descriptor: Descriptor) -> None:
        """Point a tag at a manifest, atomically. Raises OSError."""
        self.replace_index({**self.index(), tag: descriptor})

    def remove_tag(self, tag: str) -> None:
        """Drop a tag, atomically; it is no error when there is none. Raises OSError."""
        tags = self.index()
        if tags.pop(tag, None):
            self.replace_index(tags)

    # -------------------- content

    def blob_path(self, digest: str) -> Path:
        """Where a blob is, or would be. ValueError for what is no SHA-256 digest."""
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"{digest!r} is not a SHA-256 digest")
        return self.blobs_folder / digest.removeprefix("sha256:")

    def has(self, digest: str) -> bool:
        """Whether the blob is there; its content is not looked at."""
        return self.blob_path(digest).is_file()

    def blobs(self) -> Iterator[tuple[str, os.stat_result]]:
        """List every blob: its digest and what the file system knows of it, in no order."""
        with contextlib.suppress(FileNotFoundError), os.scandir(self.blobs_folder) as entries:
            for entry in entries:
                digest = f"sha256:{entry.name}"
                if _DIGEST.fullmatch(digest):
                    with contextlib.suppress(FileNotFoundError):
                        yield digest, entry.stat(follow_symlinks=False)

    def read(self, descriptor: Descriptor) -> bytes:
        """Read a manifest or another small blob whole; BlobError if it is missing or wrong."""
        path = self.blob_path(descriptor.digest)
        try:
            size = path.stat().st_size
            if size != descriptor.size or size > MAXIMUM_MANIFEST_BYTES:
                raise BlobError(
                    descriptor.digest, f"has {size} bytes, not {descriptor.size}", where=path
                )
            content = path.read_bytes()
        except OSError as error:
            raise BlobError(
                descriptor.digest, f"cannot be read: {error.strerror}", where=path
            ) from error
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != descriptor.digest:
            raise BlobError(descriptor.digest, "is not what its digest says", where=path)
        return content

    def reachable(self, descriptor: Descriptor) -> tuple[Descriptor, ...]:
        """List all that a manifest needs, itself first, each digest once.

        Manifests are read and checked; of the rest nothing is looked at. Raises BlobError where a
        manifest is missing, damaged or refers to what makes no sense.
        """
        found: dict[str, Descriptor] = {}
        pending = [descriptor]
        while pending:
            one = pending.pop(0)
            if one.digest in found:
                continue
            found[one.digest] = one
            if one.is_manifest:
                try:
                    pending += children(self.read(one))
                except (ValueError, RecursionError) as error:
                    raise BlobError(
                        one.digest, f"is no manifest: {error}", where=self.blob_path(one.digest)
                    ) from error
        return tuple(found.values())

    def verify(self, descriptor: Descriptor) -> None:
        """Read a blob through and compare size and digest. Raises BlobError."""
        _check(self.blob_path(descriptor.digest), descriptor)

    def put_blob(self, descriptor: Descriptor, pieces: Iterable[bytes]) -> None:
        """Store content under its digest, wholly or not at all.

        Raises BlobError where the content is not what the descriptor says, OSError where it cannot
        be written.
        """
        target = self.blob_path(descriptor.digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".incoming-", dir=target.parent)
        temporary = Path(name)
        digest, size = hashlib.sha256(), 0
        try:
            with os.fdopen(handle, "wb") as file:
                for piece in pieces:
                    digest.update(piece)
                    size += len(piece)
                    file.write(piece)
                os.fchmod(file.fileno(), 0o444)
            if size != descriptor.size or f"sha256:{digest.hexdigest()}" != descriptor.digest:
                raise BlobError(descriptor.digest, f"arrived otherwise ({size} bytes)")
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def adopt(self, descriptor: Descriptor, file: Path) -> None:
        """Move a complete file of the same file system in as a blob, once it is verified.

        Raises BlobError and leaves the file where it is when it is not what the descriptor says.
        """
        _check(file, descriptor)
        file.chmod(0o444)
        target = self.blob_path(descriptor.digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)


def _index_text(entries: Iterable[Descriptor]) -> str:
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": INDEX_TYPE,
            "manifests": [one.as_json() for one in entries],
        }
    )


def _check(path: Path, descriptor: Descriptor) -> None:
    """Raise BlobError unless a file is what the descriptor says."""
    digest = descriptor.digest
    try:
        with path.open("rb") as file:
            found = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            size = file.tell()
    except OSError as error:
        raise BlobError(digest, f"cannot be read: {error.strerror}", where=path) from error
    if size != descriptor.size:
        raise BlobError(digest, f"has {size} bytes, not {descriptor.size}", where=path)
    if found != digest:
        raise BlobError(digest, "is not what its digest says", where=path)
