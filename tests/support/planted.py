"""Secrets planted to be looked for: unique, hostile to any masking, told apart by place."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote

__all__ = ["HOSTILE", "MARKER", "USER", "Planted", "basic", "malformed", "marker_forms", "plant"]

USER = "reader"
# Every secret begins with it, so that one look at a content tells whether any may be in it.
MARKER = "zq9Hunt"
# What URLs, shells, JSON and CSV write in another way: a mask for the plain secret alone misses it.
HOSTILE = "/+%:@'$"
MALFORMED = (
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL",
    "DOCKYARD_REGISTRY",
    "DOCKYARD_IMAGE_MIRRORS",
    "DOCKYARD_UV_MIRRORS",
    "DOCKYARD_CACHE_BACKENDS",
    "DOCKYARD_BUILDER_ENDPOINT",
    "DOCKYARD_DRIVER_OPTIONS",
    "DOCKYARD_REGISTRY_PASSWORD",
    "DOCKER_HOST",
)


@dataclass(frozen=True)
class Planted:
    """A secret and the place that it was planted in.

    ``core`` is its letters and digits: in a content that has them the secret counts as found,
    however the rest of it is written there. ``secret`` is the core and a tail of other signs.
    """

    place: str
    core: str
    tail: str = ""
    user: str = USER

    @property
    def secret(self) -> str:
        """What the place is given."""
        return self.core + self.tail

    @property
    def pair(self) -> str:
        """``user:password`` as it stands in a URL."""
        return f"{self.user}:{quote(self.secret, safe='')}"

    @cached_property
    def needles(self) -> Mapping[str, tuple[bytes, ...]]:
        """What is looked for, by the form in which it is written."""
        return {
            **_forms(self.core),
            "quoted": (quote(self.secret, safe="").encode(),),
            "basic": (basic(self.user, self.secret).encode(),),
        }


def basic(user: str, password: str) -> str:
    """Return base64 of ``user:password``, as Docker's files and HTTP's header have it."""
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def _forms(text: str) -> dict[str, tuple[bytes, ...]]:
    plain = text.encode()
    encoded = set()
    for shift in range(3):
        # Base64 has three looks, by what comes before; only signs that the text alone makes count.
        whole = base64.b64encode(b"\0" * shift + plain)
        known = whole[-(-shift * 8 // 6) : (shift + len(plain)) * 8 // 6]
        encoded |= {known, known.translate(bytes.maketrans(b"+/", b"-_"))}
    return {
        "plain": (plain,),
        "base64": tuple(sorted(encoded)),
        "hex": (plain.hex().encode(), plain.hex().upper().encode()),
    }


def marker_forms() -> tuple[bytes, ...]:
    """Return what at least one form of each planted secret has in it."""
    return tuple(one for form in _forms(MARKER).values() for one in form)


def plant(
    places: Iterable[str], tails: Mapping[str, str] | None = None, *, label: str = ""
) -> dict[str, Planted]:
    """Make a secret for each place; ``tails`` are of places that do not take every sign.

    ``label`` is put before what a secret calls its place.
    """
    known = tails or {}
    return {
        place: Planted(label + place, MARKER + secrets.token_hex(8), known.get(place, HOSTILE))
        for place in places
    }


def malformed() -> tuple[dict[str, str], dict[str, Planted]]:
    """Return settings that are wrong, or not to be told like this, each with a secret in it."""
    planted = plant(MALFORMED, label="malformed, ")
    raw = {name: one.secret for name, one in planted.items()}
    backends = "DOCKYARD_CACHE_BACKENDS"
    pairs = {name: f"reader:{value}" for name, value in raw.items()}
    return {
        "UV_DEFAULT_INDEX": f"https://{pairs['UV_DEFAULT_INDEX']}@index.example.com/simple",
        "UV_EXTRA_INDEX_URL": f"ftp://{pairs['UV_EXTRA_INDEX_URL']}@index.example.com/simple",
        "DOCKYARD_REGISTRY": f"https://{pairs['DOCKYARD_REGISTRY']}@registry.example.com/team",
        "DOCKYARD_IMAGE_MIRRORS": f"{pairs['DOCKYARD_IMAGE_MIRRORS']}@mirror.example.com",
        "DOCKYARD_UV_MIRRORS": f"{pairs['DOCKYARD_UV_MIRRORS']}@mirror.example.com/simple",
        "DOCKYARD_CACHE_BACKENDS": f"s3:bucket=b,secret_access_key={raw[backends]},",
        "DOCKYARD_BUILDER_ENDPOINT": f"tcp://{pairs['DOCKYARD_BUILDER_ENDPOINT']}@builder:1 2",
        "DOCKYARD_DRIVER_OPTIONS": f"env.TOKEN={raw['DOCKYARD_DRIVER_OPTIONS']}",
        "DOCKYARD_REGISTRY_PASSWORD": raw["DOCKYARD_REGISTRY_PASSWORD"],
        "DOCKER_HOST": f"tcp://{pairs['DOCKER_HOST']}@engine:2375 x",
    }, planted
