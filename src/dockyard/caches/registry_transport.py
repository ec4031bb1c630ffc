"""Requests to one registry: its scheme, its certificates, its logins, retries, errors in words.

On requests, which the Docker SDK brings along. A session of its own for each registry: no cookies
(Harbor takes whoever sends one for a browser), no ``.netrc``.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies

from dockyard.caches.credentials import Credential
from dockyard.caches.registry_errors import (
    HostSecurity,
    RegistryError,
    failure_of_exception,
    failure_of_response,
)
from dockyard.caches.registry_tokens import Challenge, parse_challenge, token_request

__all__ = ["Body", "RegistryTransport"]

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 30.0
# A registry in front of an object store copies the blob before it answers the last request.
COMMIT_SECONDS = 300.0
ATTEMPTS = 4
# Each costs the whole silence: a registry that says nothing is not asked as often.
SILENT_ATTEMPTS = 2
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 30.0
DOCKER_HUB = "registry-1.docker.io"


class Body(Protocol):
    """What a request sends and, after a redirect or a login, sends again: a file-like object."""

    def __len__(self) -> int:
        """How many bytes it has."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield it in pieces."""

    def read(self, size: int = -1) -> bytes:
        """Return at most ``size`` further bytes."""

    def tell(self) -> int:
        """Where it is read next, in bytes from its start."""

    def seek(self, offset: int) -> None:
        """Go to so many bytes from its start."""


class _Adapter(HTTPAdapter):
    """Trusts what the given context trusts."""

    def __init__(self, context: ssl.SSLContext, connections: int) -> None:
        self._context = context
        super().__init__(pool_connections=2, pool_maxsize=connections, max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, ssl_context=self._context)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, **options, ssl_context=self._context)


class RegistryTransport:
    """Sends requests to ``host``; safe to use from several threads.

    ``credential`` is asked once, when the registry wants a login. ``insecure`` registries may have
    a certificate that nobody vouches for, or none, as the engine treats them and those on loopback.
    ``pause`` waits for so many seconds between attempts. ``silence``, in seconds, is how long the
    registry may say nothing, where that is not left to us.
    """

    def __init__(
        self,
        host: str,
        *,
        credential: Callable[[], Credential | None],
        insecure: bool = False,
        ca_file: Path | None = None,
        connections: int = 4,
        silence: float | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.host = host
        self._address = DOCKER_HUB if host in ("docker.io", "index.docker.io") else host
        self._find_credential = credential
        self.security = HostSecurity(host, insecure, ca_file)
        self._connections = connections
        self._silence = silence
        self._pause = pause
        self._lock = threading.RLock()
        self._session: requests.Session | None = None
        self._base = ""
        self._verified = True
        self._credential: Credential | None = None
        self._credential_known = False
        self._authorizations: dict[str, str] = {}

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            if self._session:
                self._session.close()
            self._session = None

    def request(
        self,
        method: str,
        path: str,
        *,
        scope: str,
        expected: tuple[int, ...],
        headers: Mapping[str, str] | None = None,
        body: bytes | Body | None = None,
        stream: bool = False,
        retry: bool = True,
        silence: float = SILENCE_SECONDS,
    ) -> requests.Response:
        """Send one request and return the answer, whose status is one of ``expected``.

        ``path`` is a path or a URL that the registry gave; ``scope`` the access that a token is
        asked for (distribution, ``docs/spec/auth/scope.md``). With ``retry``, what may pass by
        itself (429, 5xx, a broken connection) is tried again. Raises RegistryError.
        """
        attempt = 0
        while True:
            attempt += 1
            failure: RegistryError | None = None
            try:
                answer = self._authorized(method, path, scope, headers, body, stream, silence)
                if answer.status_code in expected:
                    return answer
                failure = failure_of_response(answer, self.security, self._secret())
                answer.close()
            except (requests.RequestException, OSError) as error:
                failure = failure_of_exception(error, self.security)
            self.wait_or_raise(failure, attempt if retry else ATTEMPTS)

    def wait_or_raise(self, failure: RegistryError, attempt: int) -> None:
        """Wait before the attempt after ``attempt`` (from 1); raise where another is no use."""
        asked = failure.retry_after
        attempts = SILENT_ATTEMPTS if failure.silent else ATTEMPTS
        if not failure.passing or attempt >= attempts or (asked or 0) > LONGEST_PAUSE_SECONDS:
            raise failure
        self._pause(asked if asked is not None else FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))

    def _secret(self) -> str | None:
        return self._credential.secret if self._credential else None

    def _authorized(
        self,
        method: str,
        path: str,
        scope: str,
        headers: Mapping[str, str] | None,
        body: bytes | Body | None,
        stream: bool,
        silence: float,
    ) -> requests.Response:
        url = urljoin(self._found_base(), path)
        # An upload may be sent on to a storage server, which must not see our login.
        ours = urlsplit(url).netloc == urlsplit(self._base).netloc
        authorization = self._authorizations.get(scope) if ours else None
        answer = self._send(method, url, authorization, headers, body, stream, silence)
        if answer.status_code != 401 or not ours:
            return answer
        challenge = parse_challenge(answer.headers.get("WWW-Authenticate", ""))
        if challenge is None:
            return answer
        renewed = self._authorize(challenge, scope, stale=authorization)
        if renewed is None:
            return answer
        answer.close()
        return self._send(method, url, renewed, headers, body, stream, silence)

    def _send(
        self,
        method: str,
        url: str,
        authorization: str | None,
        headers: Mapping[str, str] | None,
        body: bytes | Body | None,
        stream: bool,
        silence: float,
    ) -> requests.Response:
        if body is not None and not isinstance(body, bytes):
            body.seek(0)
        # “identity”: a blob's bytes are what its digest is of, and ranges are of them.
        sent = {"Accept-Encoding": "identity", "User-Agent": "dockyard", **(headers or {})}
        if authorization:
            sent["Authorization"] = authorization
        session = self._opened()
        allowed = self._silence or silence
        return session.request(
            method,
            url,
            headers=sent,
            data=body,
            stream=stream,
            timeout=(min(CONNECT_SECONDS, allowed), allowed),
            verify=self._verified,
            proxies=get_environ_proxies(url, no_proxy=None),
        )

    def _opened(self) -> requests.Session:
        with self._lock:
            if self._session is None:
                self._session = self._open(self._verified)
            return self._session

    def _open(self, verified: bool) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        context = ssl.create_default_context()
        if self.security.ca_file:
            context.load_verify_locations(self.security.ca_file)
        if not verified:
            import urllib3

            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        session.mount("https://", _Adapter(context, self._connections))
        session.mount("http://", HTTPAdapter(pool_maxsize=self._connections))
        return session

    def _found_base(self) -> str:
        """Settle on the scheme: https, and for insecure registries what the engine would try."""
        with self._lock:
            if self._base:
                return self._base
            if self.security.insecure:
                self._base = self._probe()
            else:
                self._base = f"https://{self._address}"
            return self._base

    def _probe(self) -> str:
        secure = f"https://{self._address}"
        for verified in (True, False):
            session = self._open(verified)
            try:
                session.get(
                    f"{secure}/v2/",
                    timeout=min(CONNECT_SECONDS, self._silence or CONNECT_SECONDS),
                    verify=verified,
                    proxies=get_environ_proxies(secure, no_proxy=None),
                ).close()
            except requests.exceptions.SSLError as error:
                if "CERTIFICATE_VERIFY_FAILED" in str(error) and verified:
                    session.close()
                    continue
            except requests.RequestException:
                pass
            else:
                self._session, self._verified = session, verified
                return secure
            if verified:
                # Reading the certificates for another one takes longer than a request.
                self._session = session
            else:
                session.close()
            break
        return f"http://{self._address}"

    def _authorize(self, challenge: Challenge, scope: str, *, stale: str | None) -> str | None:
        """Answer a challenge; None where that was done already and is refused nevertheless."""
        with self._lock:
            current = self._authorizations.get(scope)
            if current != stale:
                return current  # another thread did it meanwhile
            if not self._credential_known:
                self._credential = self._find_credential()
                self._credential_known = True
            credential = self._credential
            if challenge.scheme == "basic":
                renewed = credential.basic() if credential and not credential.is_token else None
            else:
                renewed = self._fetch_token(challenge, scope, credential)
            if renewed is None or renewed == stale:
                return None
            self._authorizations[scope] = renewed
            return renewed

    def _fetch_token(
        self, challenge: Challenge, scope: str, credential: Credential | None
    ) -> str | None:
        realm = urlsplit(challenge.realm)
        if credential and realm.scheme != "https" and not self._base.startswith("http:"):
            raise RegistryError(
                f"{self.host} sends us to a token server without TLS ({realm.hostname}): "
                "the login is not sent there",
                hint="tell who runs the registry",
            )
        wanted = token_request(challenge, scope, credential)
        answer = self._send(
            wanted.method,
            wanted.url,
            wanted.authorization,
            {"Content-Type": "application/x-www-form-urlencoded"} if wanted.body else None,
            wanted.body,
            False,
            SILENCE_SECONDS,
        )
        if answer.status_code in (401, 403):
            return None
        if answer.status_code != 200:
            raise failure_of_response(answer, self.security, self._secret())
        try:
            values = answer.json()
            token = values.get("token") or values.get("access_token")
        except (ValueError, AttributeError):
            token = None
        if not token:
            raise RegistryError(
                f"the token server of {self.host} answers without a token",
                hint="try again; if it stays so, tell who runs the registry",
            )
        return f"Bearer {token}"
