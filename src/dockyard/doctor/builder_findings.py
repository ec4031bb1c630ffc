"""What is told of a builder means: whether it is as wanted, and what its cache may lose. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dockyard.builder_plan import Action, BuilderChange
from dockyard.buildkitd_config import GarbageRule
from dockyard.caches.builder_usage import UsageKind, UsageRecord
from dockyard.display.format import format_bytes
from dockyard.doctor.findings import Finding, Repair, note, ok, problem, unknown
from dockyard.engine import version_numbers

__all__ = [
    "MINIMUM_BUILDKIT",
    "BuilderAnswer",
    "builder_findings",
    "buildkit_findings",
    "gc_findings",
]

# 0.17 is the first that knows the sizes of garbage collection as they are rendered.
MINIMUM_BUILDKIT = (0, 17)
INIT = "`invoke cache.init`"
HOUR = 3600
# Past this share of the cap, something goes between one build and the next.
NEARLY_FULL = 0.9
MOUNT_TYPE = "exec.cachemount"


@dataclass(frozen=True)
class BuilderAnswer:
    """What buildx says of the builder that the settings choose.

    ``exists``: buildx knows it; ``dedicated``: it is the one that ``cache.init`` makes, and
    ``change`` what that would do. ``status`` is the node's (``running``), ``version`` BuildKit's,
    ``usage`` None where it does not tell. ``options`` and ``files`` are what it was made with.
    """

    name: str
    driver: str
    reason: str
    dedicated: bool = False
    exists: bool = True
    change: BuilderChange | None = None
    status: str = ""
    version: str = ""
    rules: tuple[GarbageRule, ...] = ()
    usage: tuple[UsageRecord, ...] | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    error: str = ""


def builder_findings(answers: Sequence[BuilderAnswer]) -> tuple[Finding, ...]:
    """Say of each builder whether it is there, runs, and is as the settings want it."""
    return tuple(_builder(one) for one in answers)


def _builder(one: BuilderAnswer) -> Finding:
    topic = "builder"
    if not one.exists:
        if one.dedicated:
            summary = f"the builder {one.name} is missing; the next build that needs it makes it"
            return note(topic, summary, one.reason, INIT, Repair.BUILDER)
        return problem(
            topic,
            f"there is no builder {one.name}",
            "DOCKYARD_BUILDER",
            "`docker buildx ls` lists those there are; unset it to let Dockyard choose",
        )
    if one.error:
        fix = f"`docker buildx inspect {one.name}` says more"
        return unknown(topic, f"the builder {one.name} does not tell about itself", one.error, fix)
    if one.change and one.change.action in (Action.CREATE, Action.REPLACE, Action.START):
        verb = (
            "does not run" if one.change.action is Action.START else "is not as the settings want"
        )
        reasons = "; ".join(one.change.reasons)
        return problem(topic, f"the builder {one.name} {verb}", reasons, INIT, Repair.BUILDER)
    if one.status and one.status != "running":
        summary = f"the builder {one.name} is {one.status}; a build starts it"
        return note(topic, summary, one.reason, f"`docker buildx inspect --bootstrap {one.name}`")
    summary = f"the builder {one.name} ({one.driver}) runs"
    return ok(topic, f"{summary}, as the settings want it" if one.change else summary, one.reason)


def buildkit_findings(answers: Sequence[BuilderAnswer]) -> tuple[Finding, ...]:
    """Compare BuildKit's version with what the rendered configuration needs."""
    topic = "buildkit"
    found = []
    for one in answers:
        numbers = version_numbers(one.version)
        if one.driver == "docker":
            # Distributions build it without a version; the engine's own says enough.
            found.append(ok(topic, f"BuildKit of {one.name} is the engine's", one.version))
        elif not numbers:
            if one.exists and one.status == "running":
                found.append(unknown(topic, f"BuildKit of {one.name} tells no version"))
        elif numbers < MINIMUM_BUILDKIT:
            needed = ".".join(map(str, MINIMUM_BUILDKIT))
            found.append(
                problem(
                    topic,
                    f"BuildKit of {one.name} is too old for its garbage collection's sizes; "
                    f"{needed} or newer is needed",
                    one.version,
                    "set DOCKYARD_BUILDKIT_IMAGE to a newer one, then `invoke cache.init`",
                )
            )
        else:
            found.append(ok(topic, f"BuildKit of {one.name}", one.version))
    return tuple(found)


def gc_findings(answers: Sequence[BuilderAnswer], budget: int) -> tuple[Finding, ...]:
    """Say what each builder's garbage collection would evict, cache mounts before all."""
    return tuple(_gc(one, budget) for one in answers if one.exists and not one.error)


def _gc(one: BuilderAnswer, budget: int) -> Finding:
    topic = "gc"
    if one.usage is None:
        return unknown(topic, f"{one.name} does not tell what its cache holds")
    total = sum(record.size for record in one.usage)
    mounts = sum(record.size for record in one.usage if record.kind is UsageKind.MOUNT)
    held = f"holds {format_bytes(total)}, {format_bytes(mounts)} of it cache mounts"
    if not one.rules:
        summary = f"{one.name} shows no garbage collection policy"
        return unknown(topic, summary, held, "buildx 0.17 or newer shows it")
    early = _early_rule(one.rules, budget)
    if early:
        lost = max(mounts - early.max_used, 0)
        rule = (
            f"cache mounts unused for {early.age // HOUR} h go where the cache is larger than "
            f"{format_bytes(early.max_used)}"
        )
        if lost:
            summary = f"{one.name} evicts {format_bytes(lost)} of cache mounts after a pause"
            return note(
                topic, summary, f"{held}; {rule}", INIT if one.dedicated else _policy(budget)
            )
        return ok(topic, f"{one.name} evicts no cache mount yet", f"{held}; {rule}")
    cap = one.rules[-1].max_used
    if cap and total > cap * NEARLY_FULL:
        summary = f"the cache of {one.name} is nearly full: what is used least goes"
        fix = f"set DOCKYARD_CACHE_BUDGET above {format_bytes(total)}, then {INIT}"
        return note(topic, summary, f"{held}, at most {format_bytes(cap)}", fix)
    limit = f"at most {format_bytes(cap)}" if cap else "without a cap"
    return ok(topic, f"{one.name} evicts nothing", f"{held}, {limit}")


def _policy(budget: int) -> str:
    size = f"{-(-budget // 10**9)}GB"
    policy = f'{{"all": true, "maxUsedSpace": "{size}"}}'
    return (
        f'add {{"builder": {{"gc": {{"enabled": true, "policy": [{policy}]}}}}}} to '
        "/etc/docker/daemon.json, or use the dedicated builder (DOCKYARD_DRIVER=docker-container)"
    )


def _early_rule(rules: Sequence[GarbageRule], budget: int) -> GarbageRule | None:
    """Return a rule that takes cache mounts by age, below what the settings allow."""
    for rule in rules:
        of_mounts = not rule.filters or any(
            one in (f"type=={MOUNT_TYPE}", f"type={MOUNT_TYPE}") for one in rule.filters
        )
        if of_mounts and rule.filters and rule.age and 0 < rule.max_used < budget:
            return rule
    return None
