"""What a registry's repository holds: blobs read from an offset and written, manifests, tags.

OCI distribution-spec 1.1, ``spec.md``. oras-py would be the library for this; its version 0.2
sends no ``Range``, starts a broken upload again, checks no digest of what it downloads, has no
timeouts, and waits 130 s before it reports a refused connection. So this is on requests.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from dockyard.base_images import normalise
from dockyard.caches.credentials import find_credential
from dockyard.caches.layout import INDEX_TYPES, MANIFEST_TYPES, MAXIMUM_MANIFEST_BYTES, Descriptor
from dockyard.caches.registry_errors import RegistryError, failure_of_exception, is_loopback
from dockyard.caches.registry_transport import COMMIT_SECONDS, RegistryTransport
from dockyard.caches.registry_upload import BlobUpload
from dockyard.errors import CacheError

if TYPE_CHECKING:
    import requests

    from dockyard.settings import Settings

__all__ = ["Manifest", "RegistryClient", "open_repository", "split_repository"]

PIECE = 1 << 17
# An OCI registry's code for content that is not what its digest says (distribution-spec, Errors).
_MISMATCH = re.compile(r"\bDIGEST_INVALID\b")
_NAMED_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
ACCEPTED_MANIFESTS = ", ".join(sorted(INDEX_TYPES | MANIFEST_TYPES))

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Manifest:
    """A manifest or index as the registry has it, byte by byte, and its descriptor."""

    descriptor: Descriptor
    content: bytes


def split_repository(reference: str) -> tuple[str, str]:
    """Split ``ghcr.io/acme/app`` (no tag) into the registry's host and the repository's name."""
    host, _, name = normalise(reference).partition("/")
    return host, name


def open_repository(
    settings: Settings, repository: str, environment: Mapping[str, str], *, connections: int = 4
) -> RegistryClient:
    """Make the client of ``repository`` (host and path, no tag) as the settings have it."""
    host, name = split_repository(repository)
    transport = RegistryTransport(
        host,
        credential=lambda: find_credential(host, environment),
        insecure=is_loopback(host) or host in settings.insecure_registries,
        ca_file=settings.ca_file,
        connections=connections,
        silence=settings.registry_timeout,
    )
    return RegistryClient(transport, name)


class RegistryClient:
    """One repository of a registry; a context manager, safe to use from several threads.

    Everything raises RegistryError (a NetworkError) for what the registry or the way to it refuses,
    and CacheError for content that is missing or not what its digest says.
    """

    def __init__(self, transport: RegistryTransport, name: str) -> None:
        self._transport = transport
        self.name = name
        self._pull = f"repository:{name}:pull"
        self._push = f"repository:{name}:pull,push"
        self._delete = f"repository:{name}:delete,pull"

    def __enter__(self) -> RegistryClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._transport.close()

    @property
    def host(self) -> str:
        """The registry's host, with its port if it has one."""
        return self._transport.host

    # -------------------- manifests and tags

    def read_manifest(self, reference: str) -> Manifest | None:
        """Read the manifest of a tag or digest; None where there is none."""
        answer = self._transport.request(
            "GET",
            self._path("manifests", reference),
            scope=self._pull,
            expected=(200, 404),
            headers={"Accept": ACCEPTED_MANIFESTS},
        )
        if answer.status_code == 404:
            return None
        content = answer.content
        digest = _digest(content)
        # Of a tag's manifest only the registry's own word tells whether it arrived as it was sent.
        told = answer.headers.get("Docker-Content-Digest", "")
        known = [one for one in (reference, told) if one.startswith("sha256:")]
        if len(content) > MAXIMUM_MANIFEST_BYTES or any(one != digest for one in known):
            raise _mismatch(self.host, next(iter(known), reference))
        media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        with contextlib.suppress(ValueError, AttributeError):
            media_type = json.loads(content).get("mediaType") or media_type
        return Manifest(Descriptor(media_type, digest, len(content)), content)

    def manifest_digest(self, reference: str) -> str | None:
        """Ask for the digest of a tag's manifest, or whether a digest is there; None if not."""
        answer = self._transport.request(
            "HEAD",
            self._path("manifests", reference),
            scope=self._pull,
            expected=(200, 404),
            headers={"Accept": ACCEPTED_MANIFESTS},
        )
        if answer.status_code == 404:
            return None
        return answer.headers.get("Docker-Content-Digest", reference)

    def write_manifest(self, reference: str, content: bytes, media_type: str) -> None:
        """Write a manifest under a tag or its digest; what it refers to has to be there already."""
        try:
            self._transport.request(
                "PUT",
                self._path("manifests", reference),
                scope=self._push,
                expected=(200, 201),
                headers={"Content-Type": media_type},
                body=content,
                silence=COMMIT_SECONDS,
            )
        except RegistryError as error:
            own = f"{content.decode(errors='replace')} {reference} {_digest(content)}"
            strange = [one for one in _NAMED_DIGEST.findall(str(error)) if one not in own]
            if error.passing or not (strange or _MISMATCH.search(str(error))):
                raise
            why = f": with {strange[0]}, which is not in it" if strange else ""
            raise RegistryError(
                f"a manifest sent to {self._transport.host} arrives there as another content{why}",
                hint="try again; if it stays so, a proxy on the way or the registry is broken",
                status=error.status,
            ) from error

    def list_tags(self) -> tuple[str, ...]:
        """List the repository's tags; none where there is no such repository."""
        found: list[str] = []
        path: str | None = self._path("tags", "list")
        while path:
            answer = self._transport.request(
                "GET", path, scope=self._pull, expected=(200, 404), headers={}
            )
            if answer.status_code == 404:
                break
            with contextlib.suppress(ValueError, AttributeError):
                found += answer.json().get("tags") or ()
            path = answer.links.get("next", {}).get("url")
        return tuple(dict.fromkeys(found))

    def delete_manifest(self, reference: str) -> bool:
        """Delete a digest with every tag that points to it, or one tag alone.

        False where the registry has no such thing or does not let tags be deleted (distribution
        before 3.0 does not).
        """
        answer = self._transport.request(
            "DELETE",
            self._path("manifests", reference),
            scope=self._delete,
            expected=(200, 202, 400, 404, 405),
        )
        return answer.status_code in (200, 202)

    # -------------------- blobs

    def has_blob(self, digest: str) -> bool:
        """Whether the repository has a blob."""
        answer = self._transport.request(
            "HEAD", self._path("blobs", digest), scope=self._pull, expected=(200, 404)
        )
        return answer.status_code == 200

    def download_blob(self, descriptor: Descriptor, path: Path, progress: Progress) -> int:
        """Complete the file at ``path``, which may hold the beginning already, and verify it.

        A connection that breaks is resumed where it broke. Returns the bytes received, which
        ``progress`` is told as they come. What arrived stays in the file whatever is raised:
        OSError where it cannot be written, CacheError where the registry lacks the blob or has
        another, RegistryError.
        """
        moved = 0
        for fresh in (False, True):
            with path.open("wb" if fresh else "ab") as file:
                moved += self._receive(descriptor, file, progress)
            with path.open("rb") as file:
                found = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            if found == descriptor.digest:
                return moved
            # The beginning may have been another's; once more from the start tells.
        path.unlink()
        raise _mismatch(self.host, descriptor.digest)

    def _receive(self, descriptor: Descriptor, file: BinaryIO, progress: Progress) -> int:
        moved, failures = 0, 0
        while True:
            offset = file.tell()
            if offset > descriptor.size:
                offset = 0
                file.truncate(0)
            if offset == descriptor.size:
                return moved
            answer = self._open_blob(descriptor.digest, offset)
            if offset and answer.status_code == 200:
                file.truncate(0)  # a registry without ranges
            before, failure = moved, None
            try:
                for piece in answer.raw.stream(PIECE, decode_content=False):
                    file.write(piece)
                    moved += len(piece)
                    progress(len(piece))
                    if file.tell() > descriptor.size:
                        raise _mismatch(self.host, descriptor.digest)
            except _broken() as error:
                failure = failure_of_exception(error, self._transport.security)
            finally:
                answer.close()
                file.flush()
            if file.tell() == descriptor.size:
                return moved
            failures = 1 if moved > before else failures + 1
            self._transport.wait_or_raise(failure or _cut(self.host), failures)

    def _open_blob(self, digest: str, offset: int) -> requests.Response:
        answer = self._transport.request(
            "GET",
            self._path("blobs", digest),
            scope=self._pull,
            expected=(200, 206, 404),
            headers={"Range": f"bytes={offset}-"} if offset else {},
            stream=True,
        )
        if answer.status_code == 404:
            answer.close()
            raise CacheError(
                f"{self.host}/{self.name} has the manifest, and not the blob {digest} of it",
                hint="a build with `--no-cache` and then `invoke cache.push` write it again",
            )
        return answer

    def upload_blob(self, descriptor: Descriptor, path: Path, progress: Progress) -> int:
        """Write a file as a blob; returns the bytes sent, more than its size if some broke off.

        A large one is resumed where the registry allows it. Raises OSError where the file cannot
        be read, RegistryError.
        """
        uploads = self._path("blobs", "uploads/")
        return BlobUpload(self._transport, uploads, self._push, descriptor, progress).send(path)

    def _path(self, kind: str, which: str) -> str:
        return f"/v2/{self.name}/{kind}/{which}"


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _broken() -> tuple[type[Exception], ...]:
    import requests
    import urllib3

    return (requests.RequestException, urllib3.exceptions.HTTPError, ConnectionError, TimeoutError)


def _cut(host: str) -> RegistryError:
    return RegistryError(
        f"{host} ended a blob before its end", hint="try again: what arrived is kept", passing=True
    )


def _mismatch(host: str, digest: str) -> CacheError:
    return CacheError(
        f"{host} serves other content than {digest} under that digest",
        hint="the registry's storage, or a proxy on the way, is broken: tell who runs it",
    )
