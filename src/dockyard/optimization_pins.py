"""Ask registries what pinned images' tags mean now, and what is in the old and the new digest."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dockyard import process
from dockyard.optimize import Proposal
from dockyard.optimize_pins import (
    BaseContents,
    MovedPin,
    base_contents,
    propose_pins,
    split_pin,
    written_pins,
)
from dockyard.settings_fields import FIELDS

if TYPE_CHECKING:
    from dockyard.process import Running
    from dockyard.settings import Settings

__all__ = ["PINNABLE", "pin_proposals", "platform_manifest"]

ASK_SECONDS = 30.0
# The settings that name an image, in the order in which a build needs them.
PINNABLE = ("python_image", "uv_image", "buildkit_image", "sbom_generator")


def pin_proposals(
    settings: Settings,
    architecture: str,
    note: Callable[[str], None],
    dockerfile: str = "",
) -> tuple[Proposal, ...]:
    """Look up every image that a setting or the text of the Dockerfile pins by digest.

    ``architecture`` is the engine's. All registries are asked at the same time. What cannot be
    asked becomes a note.
    """
    platform = settings.platforms[0] if settings.platforms else f"linux/{architecture}"
    keys = {field.attribute: field.key for field in FIELDS}
    named_by = {one: str(getattr(settings, one)) for one in PINNABLE}
    places: dict[str, tuple[str | None, str]] = {
        reference: (keys[attribute], "") for attribute, reference in named_by.items()
    }
    places |= {
        one.reference: (None, f"{settings.dockerfile}, line {one.line}")
        for one in written_pins(dockerfile, tuple(places))
    }
    pinned: dict[str, tuple[str, str]] = {}
    for reference in places:
        if parts := split_pin(reference):
            pinned[reference] = parts
        elif "@" in reference:
            note(f"pins: {reference} has no tag, which would say where to move its digest to")
    asking = {
        reference: _inspect(named, "{{print .Manifest.Digest}}")
        for reference, (named, _) in pinned.items()
    }
    patience = min(ASK_SECONDS, settings.registry_timeout or ASK_SECONDS)
    now: dict[str, str] = {}
    for reference, (named, _) in pinned.items():
        answered = asking[reference].wait(patience)
        digest = answered.stdout.strip() if answered.succeeded else ""
        if digest.startswith("sha256:"):
            now[reference] = digest
        else:
            note(f"pins: its registry does not tell what {named} means now")
    moved = [one for one, digest in now.items() if digest != pinned[one][1]]
    wanted = [
        f"{_repository(pinned[one][0])}@{digest}"
        for one in moved
        for digest in (pinned[one][1], now[one])
    ]
    contents = _contents(wanted, platform)
    return propose_pins(
        (
            MovedPin(
                places[one][0],
                one,
                now[one],
                before=contents[f"{_repository(pinned[one][0])}@{pinned[one][1]}"],
                after=contents[f"{_repository(pinned[one][0])}@{now[one]}"],
                place=places[one][1],
            )
            for one in moved
        ),
        platform,
    )


def _repository(named: str) -> str:
    return named.rpartition(":")[0]


def _inspect(reference: str, template: str = "{{json .}}") -> Running:
    arguments = ["docker", "buildx", "imagetools", "inspect", "--format", template, reference]
    return process.start(arguments)


def _contents(references: Sequence[str], platform: str) -> dict[str, BaseContents | None]:
    asked = {one: _inspect(one) for one in references}
    documents = {one: _json(running) for one, running in asked.items()}
    manifests: dict[str, Running] = {}
    for reference, document in documents.items():
        if digest := platform_manifest(document, platform):
            place = f"{reference.partition('@')[0]}@{digest}"
            manifests[reference] = process.start(
                ["docker", "buildx", "imagetools", "inspect", "--raw", place]
            )
    return {
        one: base_contents(
            _image(documents[one], platform),
            _json(manifests[one]) if one in manifests else None,
        )
        for one in references
    }


def _json(running: Running) -> dict[str, Any]:
    answered = running.wait(ASK_SECONDS)
    try:
        found = json.loads(answered.stdout) if answered.succeeded else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def platform_manifest(document: Mapping[str, Any], platform: str) -> str | None:
    """Find the digest of a platform's manifest: in an index, else the image's own."""
    manifest = document.get("manifest") or {}
    if "manifests" not in manifest:
        found = manifest.get("digest")
        return str(found) if found else None
    system, _, rest = platform.partition("/")
    architecture, _, variant = rest.partition("/")
    for one in manifest["manifests"]:
        has = one.get("platform") or {}
        fits = (has.get("os"), has.get("architecture")) == (system, architecture)
        if fits and (not variant or has.get("variant") == variant):
            return str(one["digest"])
    return None


def _image(document: Mapping[str, Any], platform: str) -> Mapping[str, Any] | None:
    """Take a platform's configuration: buildx keys several by platform, and shows one as it is."""
    image = document.get("image") or {}
    if "rootfs" in image:
        return dict(image)
    named = next((one for key, one in image.items() if key.startswith(platform)), None)
    return dict(named) if named else None
