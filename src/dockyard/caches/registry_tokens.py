"""How a registry asks for a login, and what its token server is asked. Pure.

distribution, ``docs/spec/auth/token.md`` and ``oauth.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit
from urllib.request import parse_http_list, parse_keqv_list

from dockyard.caches.credentials import Credential

__all__ = ["Challenge", "TokenRequest", "parse_challenge", "token_request"]


@dataclass(frozen=True)
class Challenge:
    """A ``WWW-Authenticate`` header: ``basic``, or ``bearer`` with where tokens are given."""

    scheme: str
    realm: str
    service: str = ""
    scope: str = ""


@dataclass(frozen=True)
class TokenRequest:
    """The request that a token comes from; it holds a secret and is never shown."""

    method: str
    url: str
    authorization: str | None = None
    body: bytes | None = None

    def __repr__(self) -> str:
        return f"TokenRequest({self.method} {urlsplit(self.url).hostname})"


def parse_challenge(header: str) -> Challenge | None:
    """Read a challenge (RFC 9110, 11.6.1); None for one that we cannot answer."""
    scheme, _, rest = header.strip().partition(" ")
    try:
        values = {k.lower(): v for k, v in parse_keqv_list(parse_http_list(rest)).items()}
    except (ValueError, IndexError):
        values = {}
    realm = values.get("realm", "")
    if scheme.lower() == "basic":
        return Challenge("basic", realm)
    if scheme.lower() == "bearer" and urlsplit(realm).scheme in ("http", "https"):
        return Challenge("bearer", realm, values.get("service", ""), values.get("scope", ""))
    return None


def token_request(challenge: Challenge, scope: str, credential: Credential | None) -> TokenRequest:
    """Put the request for a token together: with a refresh token, a password, or nobody's."""
    # A challenge lists what this one request needs; the scope is of all that are to come.
    scopes = list(dict.fromkeys([*scope.split(), *challenge.scope.split()]))
    service = [("service", challenge.service)] if challenge.service else []
    if credential and credential.is_token:
        fields = [
            ("grant_type", "refresh_token"),
            *service,
            ("client_id", "dockyard"),
            ("scope", " ".join(scopes)),
            ("refresh_token", credential.secret),
        ]
        return TokenRequest("POST", challenge.realm, body=urlencode(fields).encode())
    query = urlencode([*service, *(("scope", one) for one in scopes)])
    joiner = "&" if urlsplit(challenge.realm).query else "?"
    return TokenRequest(
        "GET",
        f"{challenge.realm}{joiner}{query}",
        authorization=credential.basic() if credential else None,
    )
