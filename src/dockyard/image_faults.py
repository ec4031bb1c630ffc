"""Base images whose registry fails in the middle of a build, told from its progress. Pure.

What BuildKit 0.32 and the engine 28.5 do by themselves: a connection that is cut is taken up again
where it was, at the same place; a blob that is not there, has other content, or whose place is gone
fails the build, at the step that needs it and not at its FROM; and for a place that is silent they
wait for ever (BuildKit, ``util/resolver``: no time-out once connected).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from dockyard.base_images import ImageOrigin, normalise
from dockyard.steps import StepKind
from dockyard.trace import is_cancellation

if TYPE_CHECKING:
    from dockyard.base_images import BaseImage
    from dockyard.trace import BuildTrace, Step

__all__ = ["MirrorSilence", "images_at_fault"]

SHOWN_CHARACTERS = 200
_NAMED = re.compile(
    r"(?:load metadata for|resolve image config for|FROM) (?:docker-image://)?(\S+)"
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# containerd, core/content/helpers.go and core/remotes/docker: they name no blob.
_CUT = re.compile(r"short read|failed to copy|unexpected EOF|connection reset")


def _steps_of(image: BaseImage, steps: Iterable[Step]) -> list[Step]:
    """Find the steps that resolve and load an image, whichever digest it was found to have."""
    wanted = normalise(image.resolved)
    found = []
    for step in steps:
        named = _NAMED.match(step.instruction)
        if named and step.kind in (StepKind.IMAGE, StepKind.INTERNAL):
            reference = normalise(named[1])
            if reference == wanted or reference.startswith(f"{wanted}@"):
                found.append(step)
    return found


def _waits(steps: Iterable[Step]) -> bool:
    """Whether something of an image is still to come; its FROM ends before its blobs are there."""
    return any(
        (step.kind == StepKind.INTERNAL and step.running)
        or any(blob.done < blob.size for blob in step.blobs)
        for step in steps
    )


def _host(image: BaseImage) -> str:
    return normalise(image.resolved).partition("/")[0]


class MirrorSilence:
    """Notices that a mirror sends nothing more of a base image. It is told the time, in seconds.

    ``patience``: for how many seconds a mirror may be silent.
    """

    def __init__(self, images: Iterable[BaseImage], patience: float) -> None:
        self._images = [image for image in images if image.origin is ImageOrigin.MIRROR]
        self._patience = patience
        self._seen: dict[str, tuple[object, float]] = {}

    def silent(self, steps: Sequence[Step], now: float) -> dict[str, str]:
        """Say which images wait for a silent mirror: why, by the build argument.

        A mirror is silent when nothing comes of any image that it is to give: BuildKit reads a few
        blobs at a time.
        """
        by_host: dict[str, list[tuple[BaseImage, list[Step]]]] = {}
        for image in self._images:
            by_host.setdefault(_host(image), []).append((image, _steps_of(image, steps)))
        found: dict[str, str] = {}
        for host, watched in by_host.items():
            waiting = [image.argument for image, own in watched if _waits(own)]
            state = [
                (step.digest, step.running, tuple((blob.digest, blob.done) for blob in step.blobs))
                for _, own in watched
                for step in own
            ]
            before, since = self._seen.get(host, (None, now))
            if not waiting or state != before:
                self._seen[host] = (state, now)
            elif now - since >= self._patience:
                reason = f"it sent nothing for {self._patience:.0f} s"
                found.update(dict.fromkeys(waiting, reason))
        return found


def images_at_fault(trace: BuildTrace, images: Iterable[BaseImage]) -> dict[str, str]:
    """Say which base images made a build fail: why, by the build argument.

    Empty where the failure has another cause, such as a step's own.
    """
    texts = [step.error for step in trace.steps if step.error and not is_cancellation(step.error)]
    texts += [line for line in trace.noise if line.startswith("ERROR:")]
    found: dict[str, str] = {}
    for image in images:
        own = _steps_of(image, trace.steps)
        errors = [one.error for one in own if one.error and not is_cancellation(one.error)]
        blobs = {blob.digest for step in own for blob in step.blobs}
        repository = _repository(image)
        errors += [
            text
            for text in texts
            if blobs.intersection(_DIGEST.findall(text))
            or repository in text
            or (_CUT.search(text) and _waits(own))
        ]
        if errors:
            found[image.argument] = _meaning(errors[0])
    return found


def _repository(image: BaseImage) -> str:
    """Return the part of a URL that names the image's repository."""
    host, _, path = normalise(image.resolved).partition("@")[0].partition("/")
    return f"//{host}/v2/{re.sub(r':[^/:]+$', '', path)}/"


# What containerd says (core/content/helpers.go, core/remotes/docker), and what that means.
_MEANINGS = (
    (
        r"unexpected commit (?:digest|size)|failed size validation",
        "it sent other bytes than {blob}",
    ),
    (r"could not fetch content descriptor .* not found", "it has no blob {blob}"),
    (r"short read|unexpected EOF", "it broke off in the middle of a blob"),
    (r"unexpected status from \w+ request to \S+: (?P<status>\d+ [\w ]+)", "it answers {status}"),
    (r"(?P<status>connection (?:refused|reset)[\w ]*)$", "{status}"),
    (r": not found$", "it has no such image"),
)


def _meaning(text: str) -> str:
    """Say in few words what went wrong with a place; an error of no known form is shortened."""
    digests = _DIGEST.findall(text)
    blob = f"{digests[0][:19]}…" if digests else "the blob"
    text = text.splitlines()[0]
    for pattern, meaning in _MEANINGS:
        if match := re.search(pattern, text):
            return meaning.format(blob=blob, **match.groupdict())
    text = re.sub(r"^(?:ERROR: |failed to [\w ]+: |httpReadSeeker: )+", "", text.strip())
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"
