"""Which image each ``FROM`` argument of the Dockerfile really gets on this machine.

Looked for in the engine, then in each mirror, then upstream, then as a stand-in made on this
machine (:mod:`dockyard.local_images`), which the build's summary says loudly.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from dockyard import process
from dockyard.engine import REMEMBERED_SECONDS, EngineFacts, inspect_images
from dockyard.errors import ImageUnavailableError, Problem
from dockyard.stand_ins import stand_in_for
from dockyard.state import State

__all__ = ["BaseImage", "ImageOrigin", "mirror_references", "normalise", "resolve_base_images"]

UPSTREAM_SECONDS = 20.0


class ImageOrigin(StrEnum):
    """Where a base image comes from."""

    ENGINE = "engine"
    MIRROR = "mirror"
    UPSTREAM = "upstream"
    STAND_IN = "stand-in"


@dataclass(frozen=True)
class BaseImage:
    """A build argument of the Dockerfile, the image asked for, and the one that it gets."""

    argument: str
    requested: str
    resolved: str
    origin: ImageOrigin


def normalise(reference: str) -> str:
    """Write a reference in full: ``python:3.13`` is ``docker.io/library/python:3.13``.

    As distribution's ``reference.ParseNormalizedNamed`` does: the first component is a registry
    only if it has a dot or a colon or is ``localhost``.
    """
    first, slash, rest = reference.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        if first in ("docker.io", "index.docker.io"):
            return f"docker.io/{rest if '/' in rest else 'library/' + rest}"
        return reference
    return f"docker.io/{reference if slash else 'library/' + reference}"


def mirror_references(reference: str, mirrors: Iterable[str]) -> tuple[str, ...]:
    """List the same image at each mirror of its registry.

    A mirror is ``host[/prefix]``, of Docker Hub, or ``registry=host[/prefix]``, of that registry.
    """
    registry, _, path = normalise(reference).partition("/")
    found = []
    for mirror in mirrors:
        mirrored, equals, host = mirror.rpartition("=")
        if (mirrored if equals else "docker.io") == registry:
            found.append(f"{host.rstrip('/')}/{path}")
    return tuple(found)


def _first_reachable(candidates: Sequence[str]) -> tuple[str | None, str]:
    """Ask the registries for manifests, at the same time; the first in order that has its own."""
    running = [
        process.start(["docker", "buildx", "imagetools", "inspect", "--raw", candidate])
        for candidate in candidates
    ]
    answers = [one.wait(timeout=UPSTREAM_SECONDS) for one in running]
    for candidate, answer in zip(candidates, answers, strict=True):
        if answer.succeeded:
            return candidate, ""
    last = answers[-1].stderr.strip().splitlines() if answers else []
    return None, last[-1].removeprefix("ERROR: ") if last else "no answer"


def resolve_base_images(
    wanted: Mapping[str, str],
    *,
    mirrors: Sequence[str],
    state: State,
    engine: EngineFacts,
    fresh: bool = False,
) -> tuple[BaseImage, ...]:
    """Find each image of ``wanted`` (build argument → reference); recalled for an hour.

    Raises ImageUnavailableError naming every image that is nowhere.
    """
    fingerprint = json.dumps([list(wanted.items()), list(mirrors), engine.identity])
    if not fresh:
        remembered = state.recall("base-images", fingerprint, REMEMBERED_SECONDS)
        if isinstance(remembered, list):
            return tuple(
                BaseImage(**{**one, "origin": ImageOrigin(one["origin"])}) for one in remembered
            )

    stand_ins = {reference: stand_in_for(reference) for reference in wanted.values()}
    held = inspect_images(
        tuple(dict.fromkeys([*wanted.values(), *filter(None, stand_ins.values())]))
    )
    found: list[BaseImage] = []
    problems: list[Problem] = []
    for argument, reference in wanted.items():
        if reference in held:
            found.append(BaseImage(argument, reference, reference, ImageOrigin.ENGINE))
            continue
        at_mirrors = mirror_references(reference, mirrors)
        reachable, why = _first_reachable((*at_mirrors, reference))
        stand_in = stand_ins[reference]
        if reachable:
            origin = ImageOrigin.UPSTREAM if reachable == reference else ImageOrigin.MIRROR
            found.append(BaseImage(argument, reference, reachable, origin))
        elif stand_in and stand_in in held:
            found.append(BaseImage(argument, reference, stand_in, ImageOrigin.STAND_IN))
        else:
            places = " nor any mirror" if at_mirrors else ""
            hint = "set DOCKYARD_IMAGE_MIRRORS to a registry that answers"
            if stand_in:
                hint += ", or make a stand-in from Debian's packages: `invoke init --local-images`"
            problems.append(
                Problem(
                    f"the image {reference} is not in the engine, and neither its registry{places} "
                    f"has it for us: {why}",
                    where=f"DOCKYARD_{argument}",
                    hint=hint,
                )
            )
    if problems:
        raise ImageUnavailableError(*problems)
    state.remember("base-images", fingerprint, [asdict(one) for one in found])
    return tuple(found)
