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

__all__ = ["release_stuck_builder", "without_faulty_caches"]

# The identifier of no record.
NOTHING = "dockyard-removes-nothing"


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
    notes += release_stuck_builder(prepared, trace)
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


def release_stuck_builder(prepared: Prepared, trace: BuildTrace) -> tuple[str, ...]:
    """Let a builder forget a damaged layer that it would go on failing for; what is left to say.

    What it had received of that goes when it collects garbage, which pruning does even where it
    finds nothing to remove. One of ours is stopped as well, and the next build starts it again;
    what it has cached stays.
    """
    name, driver = prepared.builder.name, prepared.builder.driver
    if not builder_is_stuck(trace):
        return ()
    collect = ["docker", "buildx", "prune", "--builder", name, "--force"]
    process.run([*collect, "--filter", f"id={NOTHING}"], timeout=60)
    if driver == "docker-container" and name == prepared.settings.builder_name:
        process.run(["docker", "buildx", "stop", name], timeout=60)
        return ()
    if driver == "docker":
        return ()
    restart = "start its BuildKit again"
    if driver == "docker-container":
        restart = f"`docker buildx stop {name}`"
    return (f"should that fail too: {restart}, and build again",)
