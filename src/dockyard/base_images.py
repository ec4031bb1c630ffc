"""Which image each ``FROM`` argument of the Dockerfile really gets on this machine.

Looked for in the engine, then in each mirror, then upstream, then as a stand-in made on this
machine (:mod:`dockyard.local_images`), which the build's summary says loudly. A place that turns
out to be of no use while a build reads from it is passed over: :func:`resolve_elsewhere`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from dockyard import process
from dockyard.engine import REMEMBERED_SECONDS, EngineFacts, ImageInspection, inspect_images
from dockyard.errors import ImageUnavailableError, Problem
from dockyard.stand_ins import stand_in_for
from dockyard.state import State

__all__ = [
    "BaseImage",
    "BaseImageQuestions",
    "ImageOrigin",
    "PassedOver",
    "candidates_here",
    "mirror_references",
    "normalise",
    "passed_over_notes",
    "resolve_base_images",
    "resolve_elsewhere",
]

UPSTREAM_SECONDS = 20.0
# How long a mirror is waited for where another has answered.
MIRROR_SECONDS = 5.0
SHOWN_CHARACTERS = 200


class ImageOrigin(StrEnum):
    """Where a base image comes from."""

    ENGINE = "engine"
    MIRROR = "mirror"
    UPSTREAM = "upstream"
    STAND_IN = "stand-in"


@dataclass(frozen=True)
class PassedOver:
    """A place that did not give an image, by the reference asked for there, and why."""

    reference: str
    reason: str


@dataclass(frozen=True)
class BaseImage:
    """A build argument of the Dockerfile, the image asked for, and the one that it gets.

    ``passed_over``: the places that were asked before ``resolved`` in this build.
    """

    argument: str
    requested: str
    resolved: str
    origin: ImageOrigin
    passed_over: tuple[PassedOver, ...] = ()


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


def _reason(answer: process.Completed) -> str:
    said = answer.stderr.strip().splitlines()
    if answer.status < 0 or not said:
        return "no answer in time"
    return said[-1].removeprefix("ERROR: ")[:SHOWN_CHARACTERS]


class _Question:
    """Asks registries for manifests, all at the same time, from now on."""

    def __init__(self, candidates: Sequence[str]) -> None:
        self._candidates = candidates
        self._started = time.monotonic()
        self._running = [
            process.start(["docker", "buildx", "imagetools", "inspect", "--raw", candidate])
            for candidate in candidates
        ]

    def first_reachable(self) -> tuple[str | None, tuple[PassedOver, ...]]:
        """Return the first in order that has its manifest, and those before it.

        One that is silent is waited for longer where no other has answered.
        """
        answers: dict[int, process.Completed] = {}
        for seconds in (MIRROR_SECONDS, UPSTREAM_SECONDS):
            end = self._started + seconds
            for position, one in enumerate(self._running):
                if position not in answers and one.ends_within(end - time.monotonic()):
                    answers[position] = one.wait()
                if position in answers and answers[position].succeeded:
                    break
            if any(answer.succeeded for answer in answers.values()):
                break
        passed_over = []
        found = None
        for position, one in enumerate(self._running):
            # What still runs is killed.
            answer = answers[position] if position in answers else one.wait(timeout=0)
            if found is None and answer.succeeded:
                found = self._candidates[position]
            elif found is None:
                passed_over.append(PassedOver(self._candidates[position], _reason(answer)))
        return found, tuple(passed_over)

    def drop(self) -> None:
        """Kill what still asks."""
        for one in self._running:
            one.wait(timeout=0)


def _origin(reference: str, resolved: str) -> ImageOrigin:
    return ImageOrigin.UPSTREAM if reference == resolved else ImageOrigin.MIRROR


def _fingerprint(wanted: Mapping[str, str], mirrors: Sequence[str], engine: EngineFacts) -> str:
    return json.dumps([list(wanted.items()), list(mirrors), engine.identity])


def _remember(state: State, fingerprint: str, found: Iterable[BaseImage]) -> None:
    # Who was passed over is of the build that saw it.
    entries = [{**asdict(one), "passed_over": ()} for one in found]
    state.remember("base-images", fingerprint, entries)


def candidates_here(wanted: Mapping[str, str]) -> tuple[str, ...]:
    """List what the engine may hold of ``wanted``: the images themselves, and stand-ins."""
    stand_ins = (stand_in_for(reference) for reference in wanted.values())
    return tuple(dict.fromkeys([*wanted.values(), *filter(None, stand_ins)]))


class BaseImageQuestions:
    """Asks the engine, and registries for what it does not hold, from now on.

    ``wanted``: the reference by the build argument. ``inspection``: the engine has been asked
    already, for all of :func:`candidates_here`. What was found is recalled for an hour, unless
    ``fresh``.
    """

    def __init__(
        self,
        wanted: Mapping[str, str],
        *,
        mirrors: Sequence[str],
        state: State,
        engine: EngineFacts,
        fresh: bool = False,
        inspection: ImageInspection | None = None,
    ) -> None:
        self._wanted, self._mirrors, self._state = wanted, mirrors, state
        self._fingerprint = _fingerprint(wanted, mirrors, engine)
        self._asked: dict[str, _Question] = {}
        self._recalled = None if fresh else self._recall()
        if self._recalled is not None:
            return
        self._held = inspection.found() if inspection else inspect_images(candidates_here(wanted))
        self._asked = {
            reference: _Question((*mirror_references(reference, mirrors), reference))
            for reference in dict.fromkeys(wanted.values())
            if reference not in self._held
        }

    def _recall(self) -> tuple[BaseImage, ...] | None:
        remembered = self._state.recall("base-images", self._fingerprint, REMEMBERED_SECONDS)
        if not isinstance(remembered, list):
            return None
        return tuple(
            BaseImage(**{**one, "origin": ImageOrigin(one["origin"]), "passed_over": ()})
            for one in remembered
        )

    def answer(self) -> tuple[BaseImage, ...]:
        """Wait for the answers: where each image is to be had.

        Raises ImageUnavailableError naming every image that is nowhere.
        """
        if self._recalled is not None:
            return self._recalled
        answers = {name: question.first_reachable() for name, question in self._asked.items()}
        found: list[BaseImage] = []
        problems: list[Problem] = []
        for argument, reference in self._wanted.items():
            if reference in self._held:
                found.append(BaseImage(argument, reference, reference, ImageOrigin.ENGINE))
                continue
            reachable, passed_over = answers[reference]
            stand_in = stand_in_for(reference)
            if reachable:
                origin = _origin(reference, reachable)
                found.append(BaseImage(argument, reference, reachable, origin, passed_over))
            elif stand_in and stand_in in self._held:
                # That no registry answered is said of a stand-in anyway.
                found.append(BaseImage(argument, reference, stand_in, ImageOrigin.STAND_IN))
            else:
                problems.append(self._nowhere(argument, reference, passed_over, stand_in))
        if problems:
            raise ImageUnavailableError(*problems)
        _remember(self._state, self._fingerprint, found)
        return tuple(found)

    def _nowhere(
        self,
        argument: str,
        reference: str,
        passed_over: Sequence[PassedOver],
        stand_in: str | None,
    ) -> Problem:
        places = " nor any mirror" if mirror_references(reference, self._mirrors) else ""
        hint = "set DOCKYARD_IMAGE_MIRRORS to a registry that answers"
        if stand_in:
            hint += ", or make a stand-in from Debian's packages: `invoke init --local-images`"
        return Problem(
            f"the image {reference} is not in the engine, and neither its registry{places} "
            f"has it for us: {passed_over[-1].reason}",
            where=f"DOCKYARD_{argument}",
            hint=hint,
        )

    def drop(self) -> None:
        """Ask no longer: what still runs is killed."""
        for question in self._asked.values():
            question.drop()


def resolve_base_images(
    wanted: Mapping[str, str],
    *,
    mirrors: Sequence[str],
    state: State,
    engine: EngineFacts,
    fresh: bool = False,
) -> tuple[BaseImage, ...]:
    """Find each image of ``wanted``, and wait for that: see :class:`BaseImageQuestions`.

    Raises ImageUnavailableError naming every image that is nowhere.
    """
    return BaseImageQuestions(
        wanted, mirrors=mirrors, state=state, engine=engine, fresh=fresh
    ).answer()


def resolve_elsewhere(
    images: Sequence[BaseImage],
    failed: Mapping[str, str],
    *,
    mirrors: Sequence[str],
    state: State,
    engine: EngineFacts,
) -> tuple[BaseImage, ...] | None:
    """Find images anew whose place failed in the middle of a build, at the places after it.

    ``failed``: why, by the build argument. What is found is recalled for an hour, so that the next
    build does not go there again. None where an image is nowhere else.
    """
    found = []
    for image in images:
        if image.argument not in failed:
            found.append(image)
            continue
        if image.origin is not ImageOrigin.MIRROR:
            return None  # upstream is the last, and what the engine holds comes from nowhere
        places = (*mirror_references(image.requested, mirrors), image.requested)
        left = places[places.index(image.resolved) + 1 :] if image.resolved in places else ()
        reachable, passed_over = _Question(left).first_reachable() if left else (None, ())
        if reachable is None:
            return None
        here = PassedOver(image.resolved, failed[image.argument])
        found.append(
            replace(
                image,
                resolved=reachable,
                origin=_origin(image.requested, reachable),
                passed_over=(*image.passed_over, here, *passed_over),
            )
        )
    wanted = {image.argument: image.requested for image in images}
    _remember(state, _fingerprint(wanted, mirrors, engine), found)
    return tuple(found)


def passed_over_notes(images: Iterable[BaseImage]) -> tuple[str, ...]:
    """Say which mirrors did not give an image, why, and what did; a place is named once."""
    said: dict[tuple[str, str], str] = {}
    for image in images:
        for one in image.passed_over:
            said.setdefault((one.reference, one.reason), image.resolved)
    return tuple(
        f"the image mirror did not give {reference}: {reason}; {resolved} was taken"
        for (reference, reason), resolved in said.items()
    )
