"""A package index on loopback: it hands on an index's pages, stores the files, counts the bytes.

A file's address here is its address there, written as a path: ``https://host/a.whl`` is
``<url>/files/https/host/a.whl``. So a lock's addresses are rewritten without asking anybody, and
one store serves many runs, whatever port they get.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urldefrag, urljoin

from dockyard.bench.bandwidth import Line
from dockyard.bench.loopback import CHUNK, LoopbackHandler, LoopbackServer, answer_range
from dockyard.errors import NetworkError

if TYPE_CHECKING:
    import requests

__all__ = ["IndexServer", "local_address"]

UPSTREAM_SECONDS = 120
_HREF = re.compile(rb"""(href=["'])([^"']+)(["'])""")
# The one page format that all indexes have (PEP 503), so that one rewriting does.
PAGE_TYPE = "text/html; charset=utf-8"


def local_address(base: str, url: str) -> str:
    """Rewrite a file's address ``url`` to that at the index ``base`` (``http://host:port``)."""
    return f"{base}/files/{url.replace('://', '/', 1)}"


@dataclass
class _Counts:
    sent: int = 0
    fetched: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Page:
    """A page as it is sent: plain or packed, under one entity tag (RFC 9110, section 8.8.3)."""

    plain: bytes
    packed: bytes
    tag: str

    @classmethod
    def of(cls, text: bytes) -> Self:
        """Pack a page."""
        digest = hashlib.sha256(text).hexdigest()
        return cls(text, gzip.compress(text, mtime=0), f'"{digest}"')


class IndexServer:
    """Serves what ``upstream`` (a simple index's URL) has, from ``store``; a context manager.

    What the store lacks is fetched first, and kept: :attr:`fetched` names it, because such a
    request took longer than the line alone.
    """

    def __init__(self, upstream: str, store: Path, *, line: Line | None = None) -> None:
        self.upstream = upstream.rstrip("/") + "/"
        self.line = line or Line(None)
        self._store = store
        # Pages change: those of an earlier run may lack what a lock has by now.
        self._pages = store / f"pages-{os.getpid()}"
        self._counts = _Counts()
        self._lock = threading.Lock()
        self._fetching: dict[str, threading.Lock] = {}
        self._made: dict[str, Page] = {}
        self._server = LoopbackServer(type("Handler", (_Handler,), {"index": self}))

    def __enter__(self) -> Self:
        shutil.rmtree(self._pages, ignore_errors=True)
        self._pages.mkdir(parents=True)
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()
        shutil.rmtree(self._pages, ignore_errors=True)

    @property
    def base(self) -> str:
        """``http://127.0.0.1:PORT``."""
        return f"http://{self._server.host}"

    @property
    def url(self) -> str:
        """The index's address as uv and pip take it."""
        return f"{self.base}/simple"

    @property
    def bytes_served(self) -> int:
        """Bytes of pages and files that clients received since the last :meth:`reset`."""
        self._server.settle()
        return self._counts.sent

    @property
    def fetched(self) -> tuple[str, ...]:
        """What had to be fetched from upstream since the last :meth:`reset`."""
        self._server.settle()
        return tuple(self._counts.fetched)

    @property
    def failures(self) -> tuple[str, ...]:
        """What upstream refused since the last :meth:`reset`, and why."""
        self._server.settle()
        return tuple(self._counts.failures)

    def reset(self) -> None:
        """Count from zero."""
        self._server.settle()
        self._counts = _Counts()

    def count(self, sent: int) -> None:
        """Count bytes that a client received."""
        with self._lock:
            self._counts.sent += sent

    def path_of(self, url: str, store: Path | None = None) -> Path:
        """Return the stored file of an address, fetched if it is not there yet.

        Raises NetworkError where upstream does not give it.
        """
        name = hashlib.sha256(url.encode()).hexdigest()[:16] + "-" + url.rpartition("/")[2][-80:]
        path = (store or self._store) / name
        with self._lock:
            lock = self._fetching.setdefault(name, threading.Lock())
        with lock:
            if not path.exists():
                self._fetch(url, path)
        return path

    def page(self, project: str) -> Page:
        """Return the page of a project, its links leading here; the same as long as we run.

        It is made and packed once, as a CDN does: else that would be work beside a build's own.
        """
        with self._lock:
            made = self._made.get(project)
        if made is None:
            made = Page.of(self._rewritten(project))
            with self._lock:
                self._made[project] = made
        return made

    def _rewritten(self, project: str) -> bytes:
        there = urljoin(self.upstream, f"{project}/")
        path = self.path_of(there, self._pages)

        def link(match: re.Match[bytes]) -> bytes:
            url, fragment = urldefrag(urljoin(there, match[2].decode()))
            here = local_address(self.base, url) + (f"#{fragment}" if fragment else "")
            return match[1] + here.encode() + match[3]

        return _HREF.sub(link, path.read_bytes())

    def _fetch(self, url: str, path: Path) -> None:
        import requests

        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        self._counts.fetched.append(url)
        try:
            with requests.get(
                url, headers={"Accept": "text/html, */*"}, stream=True, timeout=UPSTREAM_SECONDS
            ) as answer:
                answer.raise_for_status()
                self._keep(answer, temporary)
            temporary.replace(path)
        except (OSError, requests.RequestException) as error:
            self._counts.failures.append(f"{url}: {error}")
            raise NetworkError(
                f"{url} cannot be fetched: {error}", where="UV_DEFAULT_INDEX"
            ) from error
        finally:
            temporary.unlink(missing_ok=True)

    @staticmethod
    def _keep(answer: requests.Response, path: Path) -> None:
        with path.open("wb") as file:
            for piece in answer.iter_content(CHUNK):
                file.write(piece)


class _Handler(LoopbackHandler):
    index: IndexServer

    def do_GET(self) -> None:  # noqa: N802
        with self.server.request_in_flight():
            try:
                self._answer(self.path.partition("?")[0])
            except NetworkError:
                self._head(HTTPStatus.NOT_FOUND, 0, "text/plain")

    do_HEAD = do_GET  # noqa: N815

    def _answer(self, path: str) -> None:
        _, area, *rest = path.split("/", 2)
        if area == "simple" and rest:
            project = rest[0].strip("/")
            self._page(self.index.page(project))
        elif area == "files" and rest:
            self._file(self.index.path_of(rest[0].replace("/", "://", 1)))
        else:
            self._head(HTTPStatus.NOT_FOUND, 0, "text/plain")

    def _page(self, page: Page) -> None:
        """Send a page as PyPI does: packed, and not again to whom it has not changed for."""
        headers = {"ETag": page.tag, "Cache-Control": "no-cache"}
        if self.headers.get("If-None-Match") == headers["ETag"]:
            self._head(HTTPStatus.NOT_MODIFIED, 0, PAGE_TYPE, headers)
            return
        content = page.plain
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"] = "gzip"
            content = page.packed
        self._head(HTTPStatus.OK, len(content), PAGE_TYPE, headers)
        if self.command != "HEAD":
            self._write(content)

    def _file(self, path: Path) -> None:
        status, sent, headers = answer_range(self.headers.get("Range", ""), path.stat().st_size)
        self._head(status, len(sent), "application/octet-stream", headers)
        if self.command == "HEAD":
            return
        with path.open("rb") as file:
            file.seek(sent.start)
            left = len(sent)
            while left and (piece := file.read(min(CHUNK, left))):
                left -= len(piece)
                self._write(piece)

    def _head(
        self, status: HTTPStatus, length: int, kind: str, extra: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, **(extra or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def _write(self, data: bytes) -> None:
        self.index.line.down(len(data))
        self.wfile.write(data)
        self.index.count(len(data))
