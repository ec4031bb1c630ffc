"""Settings shown without their secrets, and secrets taken out of any text. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard.settings_fields import CREDENTIALS, FIELDS, Field

if TYPE_CHECKING:
    from dockyard.settings import Settings

__all__ = [
    "mask_credentials",
    "masked",
    "may_hold_secret",
    "redact",
    "redact_url",
    "redactor",
    "secret_values",
]

_SHORT = 4
_PIECE = 8
# Greedy up to the last “@”: a password may hold “/” or “@” where nothing has validated it. The
# bounded scheme keeps a long text without any URL from costing quadratic time.
_USER_INFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,15}://)(\S*)@")
_SECRET_OPTION = re.compile(
    r"(?i)((?:password|passwd|secret|token|access_key|account_key)(?:_id|_key)?=)([^,;&\s]+)"
)


def mask_credentials(text: str) -> str:
    """Hide the user and password of each URL in ``text``, and the values of secret options."""
    return _SECRET_OPTION.sub(r"\1***", _USER_INFO.sub(r"\1***@", text))


def may_hold_secret(field: Field, raw: object) -> bool:
    """Tell whether a malformed value could be a secret, or a piece of one, that no mask finds."""
    text = str(raw)
    uv = field.attribute.startswith("uv_")
    holds_user = "@" in text and (uv or re.search(r":\S*@", text) is not None)
    return field.secret or holds_user or _SECRET_OPTION.search(text) is not None


def secret_values(settings: Settings) -> tuple[str, ...]:
    """Return every secret as it may appear in output, longest first, for :func:`redact`.

    Beside the secret itself: as a URL and as a JSON string have it, and decoded from a URL.
    """
    import json
    from urllib.parse import quote, unquote

    pairs = []
    for name, value in settings.index_credentials.items():
        stem, _, part = name.rpartition("_")
        if part == "PASSWORD":
            pairs.append((settings.index_credentials.get(f"{stem}_USERNAME", ""), value))
        elif f"{stem}_PASSWORD" not in settings.index_credentials:
            pairs.append((value, ""))
    found: set[str] = set()
    for text in _texts(settings):
        found.update(match[2] for match in _SECRET_OPTION.finditer(text))
        for match in _USER_INFO.finditer(text):
            user, _, password = match[2].partition(":")
            # “ssh://me@host” names an account; elsewhere a lone user is a token.
            if password or match[1].startswith("http"):
                pairs.append((user, password))
    for user, password in pairs:
        # With a token as the user, the password is a filler: “x”, “x-oauth-basic”, nothing.
        found.add(password)
        if len(password) < _SHORT or password == "x-oauth-basic":  # noqa: S105
            found.add(user)
    # Who cannot read a URL quotes a piece of what should have been escaped: “invalid port :piece”.
    found |= {one for secret in found for one in re.split("[/?#]", secret) if len(one) >= _PIECE}
    found |= {unquote(secret) for secret in found}
    found |= {quote(secret, safe="") for secret in found}
    found |= {json.dumps(secret)[1:-1] for secret in found}
    return tuple(sorted(found - {""}, key=lambda secret: (-len(secret), secret)))


def redact_url(text: str, url: str) -> str:
    """Take a URL's user and password out of a text that quotes them, in whole or in pieces."""
    found = {match[2] for match in _USER_INFO.finditer(url)}
    found |= {one for user in found for one in re.split("[/?#:@]", user) if len(one) >= _PIECE}
    return mask_credentials(redact(text, found))


def _cleaner(secrets: Collection[str]) -> Callable[[str], str]:
    patterns = [
        re.escape(secret) if len(secret) >= _SHORT else rf"(?<!\w){re.escape(secret)}(?!\w)"
        for secret in sorted(secrets, key=len, reverse=True)
        if secret
    ]
    if not patterns:
        return str
    pattern = re.compile("|".join(patterns))
    return lambda text: pattern.sub("***", text)


def redact(text: str, secrets: Collection[str]) -> str:
    """Replace every secret in ``text``; one of fewer than 4 characters only as a whole word."""
    return _cleaner(secrets)(text)


def redactor(settings: Settings) -> Callable[[str], str]:
    """Return the function that replaces every secret of these settings in a text."""
    return _cleaner(secret_values(settings))


def _texts(settings: Settings) -> Iterator[str]:
    for field in FIELDS:
        value = getattr(settings, field.attribute, None)
        if isinstance(value, str):
            yield value
        elif isinstance(value, tuple):
            yield from map(str, value)
        elif isinstance(value, Mapping):
            yield from (f"{key}={entry}" for key, entry in value.items())


def _plain(field: Field, value: object) -> object:
    """Turn a value into what JSON can hold, without secrets."""
    if isinstance(value, Mapping):
        if field.secret:
            return dict.fromkeys(value, "***")
        return {
            key: mask_credentials(f"{key}={entry}")[len(key) + 1 :] for key, entry in value.items()
        }
    if field.secret and value:
        return "***"
    if isinstance(value, tuple):
        return [_plain(field, entry) for entry in value]
    if isinstance(value, Path):
        return str(value)
    return mask_credentials(value) if isinstance(value, str) else value


def masked(settings: Settings) -> dict[str, dict[str, object]]:
    """Return each setting as JSON can hold it, without secrets.

    ``source`` says in words where the value was set, ``origin`` is the :class:`Origin`'s value.
    """
    return {
        field.attribute: {
            "value": _plain(field, getattr(settings, field.attribute)),
            "source": settings.sources[field.attribute].where,
            "origin": settings.sources[field.attribute].origin.value,
        }
        for field in (*FIELDS, CREDENTIALS)
        if not field.stands_in_for
    }
