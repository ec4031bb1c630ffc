"""Ask one mirror for a page and a file, against a deadline (PEP 503's and PEP 691's simple API)."""

from __future__ import annotations

import hashlib
import re
import ssl
import time
import urllib.error
import urllib.request
from html.parser import HTMLParser
from http.client import HTTPException
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from dockyard.mirrors import Measurement, without_credentials

__all__ = ["Probe"]

CHUNK = 64 * 1024
PAGE_BYTES = 5_000_000


class _Links(HTMLParser):
    """Collects the targets of a page's links."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]


class Probe:
    """One mirror's measurement, which can be read while it still runs."""

    def __init__(
        self, url: str, project: str, seconds: float, sample: int, authorities: str | None
    ) -> None:
        self._url = url
        self._project = project
        self._deadline = time.monotonic() + seconds
        self._sample = sample
        self._authorities = authorities
        self._latency: float | None = None
        self._received = 0
        self._download: tuple[float, float] | None = None
        self._problem = "no answer in time"
        # What it sends fast is of no use if it is not what was asked for.
        self._useless = False

    def left(self) -> float:
        """How many seconds are left."""
        return self._deadline - time.monotonic()

    def run(self) -> None:
        """Measure; failures become part of the measurement."""
        try:
            page = self._page()
            links = _Links()
            links.feed(page)
            files = [link for link in links.found if re.search(r"\.(whl|tar\.gz)(#|$)", link)]
            if not files:
                self._problem = f"it has no file of {self._project}"
                return
            url, _, fragment = urljoin(f"{self._url}/{self._project}/", files[-1]).partition("#")
            self._fetch(url, fragment.partition("sha256=")[2])
        except urllib.error.HTTPError as error:
            self._problem = f"it answers {error.code}"
        except urllib.error.URLError as error:
            self._problem = without_credentials(str(error.reason))
        except (OSError, ValueError, HTTPException) as error:
            self._problem = without_credentials(str(error)) or type(error).__name__

    def measurement(self) -> Measurement:
        """Return what is known by now."""
        throughput = None
        if self._download and self._received and not self._useless:
            throughput = self._received / max(self._download[1] - self._download[0], 1e-6)
        return Measurement(
            without_credentials(self._url),
            self._latency,
            throughput,
            self._received,
            "" if throughput else self._problem,
            self._url,
        )

    def _open(self, url: str) -> urllib.response.addinfourl:
        parts = urlsplit(url)
        request = urllib.request.Request(url)  # noqa: S310 - the settings allow http(s) alone
        if parts.username or parts.password:
            import base64

            pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
            bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
            request = urllib.request.Request(bare)  # noqa: S310
            encoded = base64.b64encode(pair.encode()).decode()
            request.add_unredirected_header("Authorization", f"Basic {encoded}")
        context = ssl.create_default_context() if parts.scheme == "https" else None
        if context and self._authorities:
            context.load_verify_locations(self._authorities)
        answer: urllib.response.addinfourl = urllib.request.urlopen(  # noqa: S310
            request, timeout=max(self.left(), 0.1), context=context
        )
        return answer

    def _page(self) -> str:
        started = time.monotonic()
        with self._open(f"{self._url}/{self._project}/") as answer:
            self._latency = time.monotonic() - started
            content = answer.read(PAGE_BYTES)
        if len(content) < min(_announced(answer), PAGE_BYTES):
            raise ValueError("its page ends before its announced length")
        return content.decode(errors="replace")

    def _fetch(self, url: str, expected: str) -> None:
        """Read a file, or the sample of it; ``expected``: its SHA-256, "" if the page had none."""
        started, digest = time.monotonic(), hashlib.sha256()
        with self._open(url) as answer:
            while self._received < self._sample and self.left() > 0:
                piece = answer.read1(CHUNK)
                if not piece:
                    self._judge(_announced(answer), digest.hexdigest(), expected)
                    return
                digest.update(piece)
                self._received += len(piece)
                self._download = (started, time.monotonic())

    def _judge(self, announced: int, digest: str, expected: str) -> None:
        """Judge a file that was read to its end. Raises ValueError if it is not what it should."""
        self._useless = True
        if self._received < announced:
            raise ValueError("a file ends before its announced length")
        if expected and digest != expected.lower():
            raise ValueError("it serves a file that does not match its hash")
        self._useless = False


def _announced(answer: urllib.response.addinfourl) -> int:
    """Return the length that an answer announced, in bytes; 0 where it announced none."""
    text = str(answer.headers.get("Content-Length") or "")
    return int(text) if text.isdigit() else 0
