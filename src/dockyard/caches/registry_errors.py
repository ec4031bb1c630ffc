"""What a registry's answers and its silence mean, in words and with what to do next.

The one place where exceptions of requests become ours. A URL never enters a message: an upload's
holds a token, a proxy's a password.
"""

from __future__ import annotations

import errno
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard.display.format import strip_control
from dockyard.errors import NetworkError

if TYPE_CHECKING:
    import requests

__all__ = [
    "HostSecurity",
    "RegistryError",
    "failure_of_exception",
    "failure_of_response",
    "is_loopback",
    "retry_after_seconds",
]

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
FULL = re.compile(r"no space left|disk quota|insufficient storage|quota exceeded", re.IGNORECASE)


def is_loopback(host: str) -> bool:
    """Whether a ``host[:port]`` is this machine: such registries need no certificate."""
    return re.fullmatch(r"(localhost|127(\.\d+){3}|\[::1\])(:\d+)?", host) is not None


@dataclass(frozen=True)
class HostSecurity:
    """A registry's host, whether it may do without a trusted certificate, and whose we trust."""

    host: str
    insecure: bool
    ca_file: Path | None


class RegistryError(NetworkError):
    """A request failed. ``status`` is the answer's (0: there was none).

    ``silent`` says that it was waited for in vain, ``passing`` whether the same may succeed a
    moment later, ``retry_after`` in how many seconds, where the registry says that.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        status: int = 0,
        passing: bool = False,
        retry_after: float | None = None,
        silent: bool = False,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.passing = passing
        self.retry_after = retry_after
        self.silent = silent


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk through what an exception wraps: as cause, as context, as argument, as ``reason``."""
    seen: set[int] = set()
    pending = [error]
    while pending:
        one = pending.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = [*one.args, getattr(one, "reason", None), one.__cause__, one.__context__]
        pending += [each for each in inner if isinstance(each, BaseException)]


def failure_of_exception(error: BaseException, security: HostSecurity) -> RegistryError:
    """Translate what was raised while talking to a registry."""
    import requests
    import urllib3.exceptions as urllib3

    host = security.host
    causes = tuple(_causes(error))
    for one in causes:
        if isinstance(one, RegistryError):
            return one
    for one in causes:
        if isinstance(one, ssl.SSLCertVerificationError):
            trusted = f"DOCKYARD_CA_FILE ({security.ca_file})" if security.ca_file else None
            return RegistryError(
                f"the certificate of {host} is not trusted: {one.verify_message or one.reason}",
                hint=f"{trusted} does not hold its authority: add it there"
                if trusted
                else "set DOCKYARD_CA_FILE to the certificate of its authority, "
                f"or add {host} to DOCKYARD_INSECURE_REGISTRIES",
            )
    if any(isinstance(one, requests.exceptions.ProxyError) for one in causes):
        return RegistryError(
            f"the proxy on the way to {host} does not let us through",
            hint="see HTTPS_PROXY and NO_PROXY",
        )
    if any(isinstance(one, requests.TooManyRedirects) for one in causes):
        return RegistryError(
            f"{host} redirects without end",
            hint="see whether DOCKYARD_REGISTRY names an OCI registry, and what a proxy on the way "
            "makes of its addresses",
        )
    hint = "see whether the registry runs and DOCKYARD_REGISTRY names it, then try again"
    for one in causes:
        if isinstance(one, urllib3.NameResolutionError):
            return RegistryError(f"there is no host {host} (its name is unknown)", hint=hint)
        if isinstance(one, OSError) and one.errno == errno.ECONNREFUSED:
            return RegistryError(f"{host} refuses the connection", hint=hint, passing=True)
    timeouts = (requests.Timeout, urllib3.TimeoutError, TimeoutError)
    if any(isinstance(one, timeouts) for one in causes):
        return RegistryError(
            f"{host} does not answer in time",
            hint="see whether the network or the registry is slow (DOCKYARD_REGISTRY_TIMEOUT says "
            "how long it may be silent), and try again: what arrived is kept",
            passing=True,
            silent=True,
        )
    for one in causes:
        if isinstance(one, ssl.SSLError):
            return RegistryError(
                f"{host} does not speak TLS: {one.reason or 'the handshake fails'}",
                hint=f"add {host} to DOCKYARD_INSECURE_REGISTRIES if it is reached over plain HTTP",
            )
    systems = (one.strerror for one in causes if isinstance(one, OSError) and one.strerror)
    return RegistryError(
        f"the connection to {host} broke: {next(systems, 'it was closed in the middle')}",
        hint="try again: what arrived is kept",
        passing=True,
    )


def retry_after_seconds(value: str | None, now: datetime | None = None) -> float | None:
    """Read ``Retry-After`` (RFC 9110, 10.2.3): seconds, or a date; None for neither."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max((when - (now or datetime.now(UTC))).total_seconds(), 0.0)


def failure_of_response(
    answer: requests.Response, security: HostSecurity, secret: str | None = None
) -> RegistryError:
    """Translate an answer that is no success; ``secret`` is taken out of the registry's words."""
    host, status = security.host, answer.status_code
    said = _said(answer, secret)
    asked = retry_after_seconds(answer.headers.get("Retry-After"))
    detail = f": {said}" if said else ""
    if status == 401:
        message, hint = f"{host} wants a login that it accepts{detail}", f"`docker login {host}`"
    elif status == 403:
        message = f"{host} does not allow this with the present login{detail}"
        hint = f"`docker login {host}` as somebody who may"
    elif status in (413, 507) or FULL.search(said):
        return RegistryError(
            f"{host} has no space for it ({status}{detail})",
            hint="`invoke cache.prune --registry` frees what old branches left there",
            status=status,
        )
    elif status == 429:
        wait = f", and asks to wait for {asked:.0f} s" if asked else ""
        message = f"{host} has had too many requests from here{wait}"
        hint = f"wait and try again; `docker login {host}` often raises the limit"
    elif status == 404:
        message = f"{host} does not have it{detail}"
        hint = "see whether DOCKYARD_REGISTRY and the image's name are right"
    elif status >= 500:
        message = f"{host} fails ({status} {_phrase(status)}{detail})"
        hint = "try again; if it stays so, see the registry's log"
    else:
        message = f"{host} refuses the request ({status} {_phrase(status)}{detail})"
        hint = "see whether DOCKYARD_REGISTRY names an OCI registry"
    return RegistryError(
        message, hint=hint, status=status, passing=status in PASSING, retry_after=asked
    )


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "unknown"


def _said(answer: requests.Response, secret: str | None) -> str:
    """Read the registry's own words (OCI distribution-spec, “Error Codes”), on one line."""
    try:
        errors = answer.json()["errors"]
        first = errors[0]
        detail = first.get("detail")
        parts = [str(first.get("code", "")), str(first.get("message", ""))]
        if isinstance(detail, str) or (isinstance(detail, dict) and FULL.search(str(detail))):
            parts.append(str(detail))
        text = " ".join(part for part in parts if part)
    except Exception:  # what a broken server sends can fail in any way
        return ""
    if secret:
        text = text.replace(secret, "***")
    return strip_control(" ".join(text.split()))[:300]
