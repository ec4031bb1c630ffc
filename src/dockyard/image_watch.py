"""Base images from another place, where the mirror that a build reads from fails or is silent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from dockyard.base_images import ImageOrigin, resolve_elsewhere

if TYPE_CHECKING:
    from dockyard.base_images import BaseImage
    from dockyard.image_faults import MirrorSilence
    from dockyard.preparation import Prepared
    from dockyard.state import State
    from dockyard.trace_reader import TraceReader

__all__ = ["ElsewhereError", "ImageWatch", "images_elsewhere", "with_images"]


class ElsewhereError(Exception):
    """A build is to be stopped, as a mirror is silent and ``images`` are to be had elsewhere."""

    def __init__(self, images: tuple[BaseImage, ...]) -> None:
        super().__init__(", ".join(image.resolved for image in images))
        self.images = images


class ImageWatch:
    """Watches over what a build reads of base images from mirrors."""

    def __init__(self, prepared: Prepared, state: State) -> None:
        self._prepared, self._state = prepared, state
        self._silence: MirrorSilence | None = None
        if any(image.origin is ImageOrigin.MIRROR for image in prepared.base_images):
            from dockyard.image_faults import MirrorSilence

            # The whole build is given up after the registry's time-out.
            settings = prepared.settings
            patience = settings.image_mirror_timeout
            if settings.registry_timeout:
                patience = min(patience, settings.registry_timeout)
            self._silence = MirrorSilence(prepared.base_images, patience)

    def look(self, reader: TraceReader, now: float) -> None:
        """Take the build as it stands at ``now`` (monotonic seconds).

        Raises ElsewhereError where a mirror is silent and another place has its images; where none
        has, the build goes on waiting.
        """
        silent = self._silence.silent(reader.steps, now) if self._silence else {}
        if not silent:
            return
        if images := images_elsewhere(self._prepared, silent, self._state):
            raise ElsewhereError(images)
        self._silence = None


def images_elsewhere(
    prepared: Prepared, failed: Mapping[str, str], state: State
) -> tuple[BaseImage, ...] | None:
    """Find the images that failed at their next places; ``failed``: why, by the argument."""
    if not failed or prepared.engine is None:
        return None
    return resolve_elsewhere(
        prepared.base_images,
        failed,
        mirrors=prepared.settings.image_mirrors,
        state=state,
        engine=prepared.engine,
    )


def with_images(
    prepared: Prepared, images: tuple[BaseImage, ...], notes: tuple[str, ...] = ()
) -> Prepared:
    """Prepare the same build with other references of its base images.

    A reference is in no cache key, only what it refers to: what has run does not run again.
    """
    resolved = {image.argument: image.resolved for image in images}
    arguments = tuple(
        (name, resolved.get(name, value)) for name, value in prepared.definition.build_arguments
    )
    return replace(
        prepared,
        base_images=images,
        notes=(*prepared.notes, *notes),
        definition=replace(prepared.definition, build_arguments=arguments),
    )
