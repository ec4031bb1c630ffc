"""A build that failed for the sake of a cache or a mirror, prepared once more without it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dockyard import process
from dockyard.caches.faults import builder_is_stuck, sources_at_fault
from dockyard.display.format import format_count
from dockyard.steps import StepKind

if TYPE_CHECKING:
    from dockyard.caches.use import CacheUse
    from dockyard.preparation import Prepared
    from dockyard.silence import RegistrySilence
    from dockyard.trace import BuildTrace

__all__ = ["without_faulty_caches"]


def without_faulty_caches(
    prepared: Prepared,
    caches: CacheUse,
    trace: BuildTrace,
    silence: RegistrySilence | None = None,
) -> Prepared | None:
    """Prepare another try where a build failed for the sake of a cache; None where it did not.

    ``caches`` are those of ``prepared``, ``trace`` is the failed build's, ``silence`` what it was
    stopped for. A builder of ours that is stuck is stopped.
    """
    if caches.tried_without:
        return prepared if builder_is_stuck(trace) else None
    sources = prepared.definition.cache_from
    if silence:
        importing = silence.step.kind == StepKind.CACHE_IMPORT
        faulty = tuple(one for one in sources if importing and "type=registry" in one)
        host = (prepared.settings.registry or "").partition("/")[0]
        reason = f"as {host} said nothing for {silence.seconds} s"
    else:
        faulty = sources_at_fault(trace, sources)
        reason = "whose layers could not be loaded"
    if not faulty:
        return None
    notes = [f"built again without {format_count(len(faulty), 'cache')}, {reason}"]
    notes += caches.faults(trace)
    if builder_is_stuck(trace) and prepared.builder.driver == "docker-container":
        name = prepared.builder.name
        if name == prepared.settings.builder_name:
            # The next build starts it again; what it has cached stays.
            process.run(["docker", "buildx", "stop", name], timeout=60)
        else:
            notes.append(f"should that fail too: `docker buildx stop {name}`, and build again")
    caches = caches.without(faulty)
    return replace(
        prepared,
        caches=caches,
        definition=replace(
            prepared.definition,
            cache_from=caches.arguments.cache_from,
            cache_to=caches.arguments.cache_to,
        ),
        notes=(*prepared.notes, *notes),
    )
