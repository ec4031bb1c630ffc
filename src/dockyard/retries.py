"""Further tries of a build that failed for the sake of a mirror or a cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockyard.build_retry import release_stuck_builder, without_faulty_caches
from dockyard.caches.faults import builder_is_stuck
from dockyard.image_faults import images_at_fault
from dockyard.image_watch import images_elsewhere, with_images

if TYPE_CHECKING:
    from dockyard.base_images import BaseImage
    from dockyard.preparation import Prepared
    from dockyard.silence import RegistrySilence
    from dockyard.state import State
    from dockyard.trace import BuildTrace

__all__ = ["Retries"]

# A build is run again without a cache at fault; and once more where the builder still hands out
# what it had received of a damaged layer, which it forgets by that (seen with BuildKit 0.32).
CACHE_RETRIES = 2
# So it is after another place was taken for a base image; on a busy engine not by the first try.
FORGETTING_RETRIES = 2


class Retries:
    """The further tries of one build. They end: an image has so many places, a cache so many."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._without_caches = 0
        self._forgetting = 0

    def next(
        self,
        prepared: Prepared,
        trace: BuildTrace,
        silence: RegistrySilence | None = None,
        elsewhere: tuple[BaseImage, ...] | None = None,
    ) -> tuple[Prepared, str] | None:
        """Prepare another try of a build that failed, with the reason; None where there is none.

        ``silence`` and ``elsewhere``: what it was stopped for, if it was; the latter says where its
        base images are to be had.
        """
        if elsewhere is None and silence is None:
            failed = images_at_fault(trace, prepared.base_images)
            elsewhere = images_elsewhere(prepared, failed, self._state)
        if elsewhere:
            self._forgetting = FORGETTING_RETRIES
            notes = release_stuck_builder(prepared, trace)
            again = with_images(prepared, elsewhere, notes)
            return again, "the build was started again, with a base image from another place"
        if self._forgetting and builder_is_stuck(trace):
            # The builder has not asked there yet: it had kept what the mirror sent, until now.
            self._forgetting -= 1
            release_stuck_builder(prepared, trace)
            return prepared, "the build was started again, with a base image from another place"
        if prepared.caches is None or self._without_caches == CACHE_RETRIES:
            return None
        without = without_faulty_caches(prepared, prepared.caches, trace, silence)
        if without is None:
            return None
        self._without_caches += 1
        return without, "the build was started again, without a cache that was at fault"
