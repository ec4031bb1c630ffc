"""Proposals that move a base image's pinned digest to what its tag means now. Pure.

Documents are those of ``docker buildx imagetools inspect --format '{{json .}}'`` (``manifest``,
``image``) and manifests of the OCI image specification 1.1.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from dockyard.display.format import format_bytes, format_count
from dockyard.optimize import ByHand, Proposal, Safety, SetSetting

__all__ = [
    "BaseContents",
    "MovedPin",
    "WrittenPin",
    "base_contents",
    "changes",
    "propose_pins",
    "split_pin",
    "written_pins",
]

# Variables of an image's configuration that name a version, and what they are called in words:
# those of the official images of Python, and of uv.
VERSIONS = {"PYTHON_VERSION": "Python", "UV_VERSION": "uv", "PYPY_VERSION": "PyPy"}
# The official images' Debian layer: “# debian.sh --arch 'amd64' out/ 'trixie' '@1762202650'”, the
# time of the snapshot in seconds since 1970 UTC (debuerreotype, docker-debian-artifacts).
_DEBIAN = re.compile(r"debian\.sh .*?'([a-z]+)' '@(\d+)'")
# An image with a tag and a digest, after a blank, “=” or a comma.
_WRITTEN = re.compile(r"(?<=[\s=,])([a-z0-9][\w./:-]*:[\w.-]+@sha256:[0-9a-f]{64})(?=[\s,]|$)")
_UBUNTU = re.compile(r"org\.opencontainers\.image\.version=([\d.]+)")


@dataclass(frozen=True)
class BaseContents:
    """What one digest of an image holds, for one platform.

    ``layers``: digest → compressed bytes. ``versions``: what it names its parts' versions, and
    ``built``: when it was made (RFC 3339, UTC); empty where it says nothing.
    """

    layers: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    built: str = ""

    @property
    def size(self) -> int:
        """Compressed bytes of all layers."""
        return sum(self.layers.values())


@dataclass(frozen=True)
class MovedPin:
    """A pinned image whose tag has moved on: the setting's key, the reference, both digests.

    ``key`` is None for one that a Dockerfile names itself, and ``place`` says where. ``before`` and
    ``after`` are what the digests hold, None where no registry tells.
    """

    key: str | None
    reference: str
    digest: str
    before: BaseContents | None
    after: BaseContents | None
    place: str = ""


@dataclass(frozen=True)
class WrittenPin:
    """A pinned image that a Dockerfile names itself, and the line (from 1) that does."""

    reference: str
    line: int


def written_pins(text: str, known: Collection[str]) -> tuple[WrittenPin, ...]:
    """Find pinned images in a Dockerfile; those ``known`` are a setting's, which renders them."""
    found: dict[str, WrittenPin] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not re.match(r"\s*(?:FROM|COPY|RUN|ARG)\b", line, re.IGNORECASE):
            continue
        for match in _WRITTEN.finditer(line):
            if match[1] not in known:
                found.setdefault(match[1], WrittenPin(match[1], number))
    return tuple(found.values())


def split_pin(reference: str) -> tuple[str, str] | None:
    """Split ``name:tag@digest`` into ``name:tag`` and digest; None without both."""
    named, at, digest = reference.partition("@")
    return (named, digest) if at and ":" in named.rpartition("/")[2] else None


def base_contents(
    image: Mapping[str, Any] | None, manifest: Mapping[str, Any] | None
) -> BaseContents | None:
    """Take from an image's configuration and manifest what tells one digest from another."""
    if manifest is None or "layers" not in manifest:
        return None
    image = image or {}
    layers = {str(one["digest"]): int(one.get("size", 0)) for one in manifest["layers"]}
    own = image.get("config") or {}
    variables = dict(str(one).partition("=")[::2] for one in own.get("Env") or ())
    versions = {title: variables[name] for name, title in VERSIONS.items() if variables.get(name)}
    for entry in image.get("history") or ():
        told = str(entry.get("created_by", ""))
        if debian := _DEBIAN.search(told):
            day = datetime.fromtimestamp(int(debian[2]), UTC)
            versions[f"Debian {debian[1]}"] = f"of {day:%Y-%m-%d}"
        elif ubuntu := _UBUNTU.search(told):
            versions["Ubuntu"] = ubuntu[1]
    labelled = (own.get("Labels") or {}).get("org.opencontainers.image.version")
    if labelled and not versions:
        versions["version"] = str(labelled)
    return BaseContents(layers, versions, str(image.get("created", "")))


def changes(before: BaseContents | None, after: BaseContents | None) -> str:
    """Say in one sentence what is different between two digests of an image."""
    if after is None:
        return "its registry does not tell what it holds"
    found = []
    old = before.versions if before else {}
    for title in dict.fromkeys((*old, *after.versions)):
        was, now = old.get(title), after.versions.get(title)
        if was != now:
            was, now = was or ("unknown" if before is None else "none"), now or "none"
            found.append(f"{title} {was} → {now}")
        else:
            found.append(f"{title} {now}, as before")
    new = {digest: size for digest, size in after.layers.items() if digest not in _layers(before)}
    if before is None:
        found.append(f"{format_count(len(after.layers), 'layer')}, {format_bytes(after.size)}")
        found.append("what the pinned digest holds is not known: its registry no longer has it")
    else:
        found.append(
            f"new layers: {len(new)} of {len(after.layers)}, {format_bytes(sum(new.values()))}; "
            f"{format_bytes(before.size)} → {format_bytes(after.size)} in all"
        )
    built = [one.built[:10] for one in (before, after) if one and one.built]
    if len(built) == 2 and built[0] != built[1]:
        found.append(f"built {built[0]} → {built[1]}")
    return "; ".join(found)


def _layers(contents: BaseContents | None) -> Mapping[str, int]:
    return contents.layers if contents else {}


def propose_pins(moved: Iterable[MovedPin], platform: str) -> tuple[Proposal, ...]:
    """Propose to move each pin to what its tag means now.

    The gain is no figure of bytes: it is what was mended upstream, and the layers are made again.
    """
    found = []
    for one in moved:
        parts = split_pin(one.reference)
        if parts is None or parts[1] == one.digest:
            continue
        named, old = parts
        found.append(
            Proposal(
                "pins",
                f"move {named} from {old[:19]}… to {one.digest[:19]}…",
                f"{changes(one.before, one.after)}. All layers above the base are made again",
                None,
                None,
                f"manifests and configurations in its registry, for {platform}",
                Safety.ASKED if one.key else Safety.BY_HAND,
                SetSetting(one.key, f"{named}@{one.digest}")
                if one.key
                else ByHand(one.place, f"write {named}@{one.digest}"),
            )
        )
    return tuple(found)
