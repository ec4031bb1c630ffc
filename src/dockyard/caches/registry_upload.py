"""One blob on its way into a registry: in one request, or as a stream that can be resumed.

OCI distribution-spec 1.1, ``spec.md``, “Pushing blobs”. A large blob goes as one ``PATCH``, as the
engine sends it, which every registry takes: GitHub's refuses chunks above 4 MiB, Amazon's those
below 5 MiB. Only what follows after a break is a chunk with a ``Content-Range``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from dockyard.caches.layout import Descriptor
from dockyard.caches.registry_errors import RegistryError
from dockyard.caches.registry_transport import COMMIT_SECONDS, Body, RegistryTransport

if TYPE_CHECKING:
    import requests

__all__ = ["BlobUpload", "stored_bytes"]

# Up to here a blob goes in one request: repeating it costs less than a session's second one.
WHOLE_UPLOAD_BYTES = 4 << 20
PIECE = 1 << 16
CONTENT = {"Content-Type": "application/octet-stream"}


def stored_bytes(value: str | None) -> int:
    """Read how much a session has from its ``Range``, such as ``0-1023``.

    ``0-0`` is nothing, as distribution means it: a first byte alone is never worth a range.
    """
    found = re.fullmatch(r"(?:bytes=)?0-(\d+)", value or "")
    return int(found[1]) + 1 if found and found[1] != "0" else 0


class BlobUpload:
    """One blob's upload; ``uploads`` is the path at which sessions begin."""

    def __init__(
        self,
        transport: RegistryTransport,
        uploads: str,
        scope: str,
        descriptor: Descriptor,
        progress: Callable[[int], None],
    ) -> None:
        self._transport = transport
        self._uploads = uploads
        self._scope = scope
        self._descriptor = descriptor
        self._progress = progress
        self._sent = 0
        self._failures = 0  # in a row, without a further byte stored

    def send(self, path: Path) -> int:
        """Send the file until the registry has it; the bytes sent, those in vain included.

        Raises OSError where the file cannot be read, RegistryError.
        """
        size = self._descriptor.size
        with path.open("rb") as file:
            while True:
                location = self._begin()
                try:
                    if size > WHOLE_UPLOAD_BYTES:
                        location = self._stream(location, file)
                        self._finish(location, b"")
                    else:
                        self._finish(location, _Part(file, 0, size, self._count))
                except RegistryError as failure:
                    self._failures += 1
                    self._transport.wait_or_raise(failure, self._failures)
                else:
                    return self._sent

    def _count(self, size: int) -> None:
        self._sent += size
        self._progress(size)

    def _begin(self) -> str:
        answer = self._transport.request(
            "POST", self._uploads, scope=self._scope, expected=(202,), body=b""
        )
        location = answer.headers.get("Location")
        if location is None:
            raise RegistryError(
                f"{self._transport.host} begins an upload and does not say where",
                hint="see whether DOCKYARD_REGISTRY names an OCI registry",
            )
        return location

    def _stream(self, location: str, file: BinaryIO) -> str:
        """Send the content for as long as the session lives; where to finish it."""
        offset, size = 0, self._descriptor.size
        while offset < size:
            chunk = {"Content-Range": f"{offset}-{size - 1}"} if offset else {}
            try:
                answer = self._transport.request(
                    "PATCH",
                    location,
                    scope=self._scope,
                    expected=(202, 204),
                    headers={**CONTENT, **chunk},
                    body=_Part(file, offset, size, self._count),
                    retry=False,
                    silence=COMMIT_SECONDS,
                )
            except RegistryError as failure:
                session = self._ask(location, failure)
                location = session.headers.get("Location") or location
                stored = min(stored_bytes(session.headers.get("Range")), size)
                self._failures = 1 if stored > offset else self._failures + 1
                self._transport.wait_or_raise(failure, self._failures)
                offset = stored
            else:
                return answer.headers.get("Location") or location
        return location

    def _ask(self, location: str, failure: RegistryError) -> requests.Response:
        """Ask a session how it stands after a failure; raises that where the session is lost."""
        if not failure.passing:
            raise failure
        try:
            return self._transport.request(
                "GET", location, scope=self._scope, expected=(204,), retry=False
            )
        except RegistryError:
            raise failure from None

    def _finish(self, location: str, body: bytes | Body) -> None:
        joiner = "&" if "?" in location else "?"
        self._transport.request(
            "PUT",
            f"{location}{joiner}digest={self._descriptor.digest}",
            scope=self._scope,
            expected=(201, 204),
            headers=CONTENT,
            body=body,
            retry=False,
            silence=COMMIT_SECONDS,
        )


class _Part(Body):
    """A file from an offset to an end, whose bytes are counted as they are read."""

    def __init__(self, file: BinaryIO, start: int, end: int, count: Callable[[int], None]) -> None:
        self._file, self._start, self._end, self._count = file, start, end, count
        self.seek(0)

    def __len__(self) -> int:
        return self._end - self._start

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.read(PIECE):
            yield piece

    def read(self, size: int = -1) -> bytes:
        left = self._end - self._file.tell()
        piece = self._file.read(left if size < 0 else min(size, left))
        self._count(len(piece))
        return piece

    def tell(self) -> int:
        return self._file.tell() - self._start

    def seek(self, offset: int) -> None:
        self._file.seek(self._start + offset, os.SEEK_SET)
