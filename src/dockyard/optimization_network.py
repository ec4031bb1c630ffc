"""Base images' digests and mirrors' speed, asked over the network for `invoke optimize`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dockyard import process
from dockyard.engine import inspect_images
from dockyard.optimize import Proposal

if TYPE_CHECKING:
    from dockyard.optimize_settings import PinnedBase
    from dockyard.process import Running
    from dockyard.project import Package
    from dockyard.records import BuildRecord
    from dockyard.settings import Settings

__all__ = ["base_proposals", "image_mirror_proposals", "mirror_proposals"]

ASK_SECONDS = 30.0


def base_proposals(
    settings: Settings, newest: BuildRecord | None, note: Callable[[str], None]
) -> tuple[Proposal, ...]:
    """Ask the registries, else the engine, for the digests of base images."""
    from dockyard.optimize_settings import PinnedBase, propose_base
    from dockyard.stand_ins import LOCAL_REGISTRY
    from dockyard.summary import layer_totals

    wanted = {
        key: reference
        for key, reference in (
            ("python-image", settings.python_image),
            ("uv-image", settings.uv_image),
        )
        if "@" not in reference and not reference.startswith(f"{LOCAL_REGISTRY}/")
    }
    held = inspect_images(tuple(wanted.values())) if wanted else {}
    asking = {key: _ask_digest(reference) for key, reference in wanted.items()}
    patience = min(ASK_SECONDS, settings.registry_timeout or ASK_SECONDS)
    pinned: list[PinnedBase] = []
    for key, reference in wanted.items():
        answered = asking[key].wait(patience)
        digest = answered.stdout.strip() if answered.succeeded else ""
        told_by = "its registry"
        if not digest.startswith("sha256:"):
            digest, told_by = _engine_digest(reference, held.get(reference)), "the engine"
        if digest:
            pinned.append(PinnedBase(key, reference, digest, told_by))
        else:
            note(
                f"base: the digest of {reference} is not known: neither its registry tells "
                "it nor has the engine the image from there"
            )
    totals = layer_totals(newest.layers) if newest else ()
    size = next((size for kind, _, size in totals if kind == "base"), None)
    return propose_base(pinned, size)


def _ask_digest(reference: str) -> Running:
    # Without “print”, buildx answers with more than the digest.
    template = "{{print .Manifest.Digest}}"
    arguments = ["docker", "buildx", "imagetools", "inspect", "--format", template, reference]
    return process.start(arguments)


def _engine_digest(reference: str, inspected: Mapping[str, Any] | None) -> str:
    """Return the digest under which the engine pulled an image; "" where it did not."""
    from dockyard.base_images import normalise

    repository = normalise(reference).rpartition(":")[0]
    for one in (inspected or {}).get("RepoDigests") or ():
        name, _, digest = str(one).partition("@")
        if normalise(name) == repository:
            return digest
    return ""


def mirror_proposals(
    settings: Settings,
    packages: Sequence[Package],
    asked: Sequence[str],
    note: Callable[[str], None],
) -> tuple[Proposal, ...]:
    """Measure the mirrors; the well-known ones only where the topic was asked for."""
    from dockyard.mirrors import PRESETS, PYPI, parse_mirror, probe
    from dockyard.optimize_mirrors import propose_a_mirror, propose_mirrors

    packages = [one for one in packages if one.source.kind == "registry"]
    size, requests = sum(one.size or 0 for one in packages), len(packages)
    probed = _probed_package(packages)
    authorities = str(settings.ca_file) if settings.ca_file else None
    entries = []
    for text in settings.uv_mirrors:
        mirror = parse_mirror(text)
        entries.append((text, "" if mirror.index else mirror.url))
    urls = [url for _, url in entries if url]
    if len(urls) > 1:
        answers = probe(urls, project=probed, authorities=authorities)
        by_url = {one.address: one for one in answers}
        dead = [one for one in answers if one.throughput is None]
        for one in dead:
            note(f"mirrors: {one.url}: {one.problem}")
        return propose_mirrors(entries, by_url, size, requests)
    if urls or "mirrors" not in asked or settings.network == "none":
        return ()
    index = (settings.uv_default_index or PYPI).rpartition("=")[2].rstrip("/")
    answers = probe([index, *PRESETS.values()], project=probed, authorities=authorities)
    presets = dict(zip(PRESETS, answers[1:], strict=True))
    if not any(one.throughput for one in answers):
        note(f"mirrors: neither {answers[0].url} nor a well-known mirror answers")
    return propose_a_mirror(answers[0], presets, size, requests)


def image_mirror_proposals(
    settings: Settings,
    environment: Mapping[str, str],
    architecture: str,
    note: Callable[[str], None],
) -> tuple[Proposal, ...]:
    """Measure the mirrors of images, where a registry has several; they keep their other places."""
    from dockyard.image_probe import probe_image_mirrors
    from dockyard.optimize import SetSetting
    from dockyard.optimize_mirrors import propose_mirrors

    if len(settings.image_mirrors) < 2:
        return ()
    proposals: list[Proposal] = []
    order = settings.image_mirrors
    for measured in probe_image_mirrors(settings, environment, architecture):
        for entry, one in measured.by_entry.items():
            if one.throughput is None:
                note(f"mirrors: {entry}: {one.problem}")
        for found in propose_mirrors(
            [(entry, entry if entry in measured.by_entry else "") for entry in order],
            measured.by_entry,
            measured.size,
            measured.requests,
            key="image-mirrors",
            what="a base image",
        ):
            proposals.append(found)
            # The next registry's mirrors are in the same list.
            if isinstance(found.change, SetSetting) and isinstance(found.change.value, tuple):
                order = found.change.value
    return tuple(proposals)


def _probed_package(packages: Sequence[Package]) -> str:
    """Choose a package that is large enough to tell a mirror's speed."""
    from dockyard.mirrors import PROBED_PROJECT

    sized = [one for one in packages if one.size and one.has_wheel]
    return max(sized, key=lambda one: one.size or 0).name if sized else PROBED_PROJECT
