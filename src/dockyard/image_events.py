"""What the engine says while it pushes or pulls an image, as a value. Pure.

moby ``pkg/jsonmessage``, and ``daemon/containerd/{progress,image_push,image_pull}.go`` for the
store of containerd, which names a layer by the first twelve digits of its blob's digest, says
nothing of what a pull finds unpacked already, and reports no size of small ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dockyard.errors import (
    DiskFullError,
    DockyardError,
    EngineError,
    ImageUnavailableError,
    NetworkError,
)

__all__ = ["ImageEvents", "Moved", "count_layers", "image_error", "is_damage"]

MOVING = frozenset({"Pushing", "Downloading"})
MOVED = frozenset({"Pushed", "Download complete", "Pull complete"})
PRESENT = ("Layer already exists", "Already exists", "Mounted from")
_DIGEST = re.compile(r"\bdigest: (sha256:[0-9a-f]{64})", re.IGNORECASE)


@dataclass
class ImageEvents:
    """Follows the events of one push or pull: ``feed`` each, in order.

    ``sizes`` has the bytes of a layer by its short id, where the engine told them.
    """

    moved: set[str] = field(default_factory=set)
    present: set[str] = field(default_factory=set)
    sizes: dict[str, int] = field(default_factory=dict)
    digest: str | None = None
    error: str | None = None
    _current: dict[str, int] = field(default_factory=dict)

    def feed(self, event: Mapping[str, Any]) -> int:
        """Take one event in; the bytes that moved since the last one of its layer."""
        if "error" in event:
            detail = event.get("errorDetail")
            message = detail.get("message") if isinstance(detail, dict) else None
            self.error = str(message or event["error"])
            return 0
        status, layer = str(event.get("status", "")), str(event.get("id", ""))
        if found := _DIGEST.search(status):
            self.digest = found[1]
        if status.startswith(PRESENT):
            self.present.add(layer)
        elif status in MOVED or status in MOVING:
            self.moved.add(layer)
        progress = event.get("progressDetail") or {}
        current, total = progress.get("current"), progress.get("total")
        if status not in MOVING or not isinstance(current, int):
            return 0
        if isinstance(total, int) and total > 0:
            self.sizes[layer] = total
        before = self._current.get(layer, 0)
        self._current[layer] = max(current, before)
        return max(current - before, 0)


@dataclass(frozen=True)
class Moved:
    """Bytes and number of an image's layers that moved, and that were there already."""

    bytes_moved: int
    bytes_skipped: int
    layers_moved: int
    layers_skipped: int


def count_layers(followed: Iterable[ImageEvents], layers: Mapping[str, int]) -> Moved:
    """Sort an image's layers (digest → bytes) by what became of them.

    ``followed`` are the pushes or pulls of its tags: what one of them moved, the others find there.
    Where none of their ids is a digest's beginning (an engine without containerd's store names
    layers otherwise), the sizes that the engine told count instead.
    """
    moved: set[str] = set()
    present: set[str] = set()
    sizes: dict[str, int] = {}
    for one in followed:
        moved |= one.moved - one.present
        present |= one.present
        sizes |= one.sizes
    short = {digest.removeprefix("sha256:")[:12]: size for digest, size in layers.items()}
    if (moved | present) - short.keys():
        skipped = present - moved
        return Moved(
            sum(sizes.get(layer, 0) for layer in moved),
            sum(sizes.get(layer, 0) for layer in skipped),
            len(moved),
            len(skipped),
        )
    rest = short.keys() - moved
    return Moved(
        sum(short[layer] for layer in moved),
        sum(short[layer] for layer in rest),
        len(moved),
        len(rest),
    )


_LOGIN = re.compile(
    r"no basic auth|unauthorized|authentication required|authorization failed|denied"
    r"|forbidden|\b40[13]\b",
    re.IGNORECASE,
)
_TRUST = re.compile(r"x509|certificate|tls:|server gave http response to https", re.IGNORECASE)
_UNREACHABLE = re.compile(
    r"connection (?:refused|reset)|no such host|i/o timeout|deadline exceeded|no route to host"
    r"|TLS handshake|dial tcp|\bEOF\b|broken pipe",
    re.IGNORECASE,
)


_OTHER_CONTENT = re.compile(
    r"unexpected commit (?:digest|size)|got digest \S+, expected|failed size validation"
    r"|digest.{0,20}(?:invalid|not match)",
    re.IGNORECASE,
)


def is_damage(text: str) -> bool:
    """Tell from the engine's message whether content arrived that is not what its digest says."""
    return bool(_OTHER_CONTENT.search(text))


# What an engine says last when it is shut down: its own parts no longer answer it.
_SHUT_DOWN = re.compile(r"client connection is closing|transport is closing|code = Unavailable")


def image_error(text: str, reference: str, *, push: bool) -> DockyardError:
    """Turn the engine's message about one image into an error with what to do next."""
    host = reference.partition("/")[0]
    said = " ".join(text.split())[-400:]
    lowered = said.lower()
    if "no space left" in lowered or "disk quota" in lowered:
        hint = "`docker system df` shows what uses the engine's disk"
        return DiskFullError(f"no space left for {reference}: {said}", hint=hint)
    if _SHUT_DOWN.search(said):
        verb = "pushed" if push else "pulled"
        return EngineError(
            f"the Docker Engine ended before {reference} was {verb}: {said}",
            hint="`docker version` shows whether it runs again; then the same command again moves "
            "what is still missing",
        )
    if "tag does not exist" in lowered or "does not exist locally" in lowered:
        return ImageUnavailableError(
            f"the engine has no image {reference} to push", hint="`invoke build` makes it"
        )
    if re.search(r"too ?many ?requests|\b429\b", lowered):
        return NetworkError(
            f"{host} has had too many requests from here: {said}",
            hint=f"wait and try again; `docker login {host}` often raises the limit",
        )
    if _LOGIN.search(said):
        return NetworkError(
            f"{host} does not accept the login for {reference}: {said}",
            hint=f"`docker login {host}`",
        )
    if _TRUST.search(said):
        return NetworkError(
            f"the engine does not trust {host}: {said}",
            hint=f"put its authority into /etc/docker/certs.d/{host}/ca.crt, "
            "or add it to insecure-registries in the engine's daemon.json",
        )
    if not push and re.search(r"not found|manifest unknown|does not exist", lowered):
        return ImageUnavailableError(
            f"{host} has no image {reference}", hint="`invoke build --push` makes it"
        )
    if _UNREACHABLE.search(said):
        return NetworkError(
            f"{host} cannot be reached by the engine: {said}",
            hint="see whether the registry runs and DOCKYARD_REGISTRY names it, then try again",
        )
    if is_damage(said):
        way = "sent to" if push else "served by"
        return NetworkError(
            f"a layer {way} {host} arrives as another content: {said}",
            hint="try again; if it stays so, the registry's storage, or a proxy on the way, is "
            "broken",
        )
    if "redirect" in lowered:
        return NetworkError(
            f"{host} redirects without end: {said}",
            hint="see whether DOCKYARD_REGISTRY names an OCI registry, and what a proxy on the way "
            "makes of its addresses",
        )
    if re.search(r"\b5\d\d\b|unexpected status|internal server error", lowered):
        return NetworkError(
            f"{host} fails: {said}", hint="try again; if it stays so, see the registry's log"
        )
    if "error from registry" in lowered:
        return NetworkError(
            f"{host} refuses {reference}: {said}",
            hint="try again; if it stays so, the registry's log says more than it told the engine",
        )
    verb = "pushed" if push else "pulled"
    return EngineError(f"{reference} cannot be {verb}: {said}", hint="see the engine's own log")
