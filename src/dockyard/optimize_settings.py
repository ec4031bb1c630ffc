"""Proposals about settings: base images, builder, compression. Pure."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dockyard.builder_plan import Action, BuilderChange
from dockyard.buildkitd_config import GarbageRule
from dockyard.display.format import format_bytes, format_count
from dockyard.optimize import ByHand, Proposal, RunTask, Safety, SetSetting
from dockyard.records import BuildRecord

__all__ = [
    "BuilderFacts",
    "CacheNeed",
    "PinnedBase",
    "parse_garbage_rules",
    "propose_base",
    "propose_builder",
    "propose_compression",
]

# Measured on the example (140 MB of layers, export and push to a registry on loopback, two cores).
DOCUMENTED_BYTES = 140_000_000
DOCUMENTED_SECONDS = {"gzip": 7.9, "zstd": 2.5}
DOCUMENTED_SHARE = 0.04
# Past this share of the cap, garbage collection runs between one build and the next.
NEARLY_FULL = 90
MOUNT_TYPE = "exec.cachemount"


@dataclass(frozen=True)
class PinnedBase:
    """An image that a setting names: the setting's key, the reference, and its digest now."""

    key: str
    reference: str
    digest: str
    told_by: str


def propose_base(
    bases: Iterable[PinnedBase], base_bytes: int | None = None
) -> tuple[Proposal, ...]:
    """Propose to pin base images by digest; ``base_bytes`` is what a moved tag moves, unpacked."""
    return tuple(
        Proposal(
            "base",
            f"pin {one.reference} to {one.digest[:19]}…",
            "its tag can move: then every layer above is made again, and two builds of one commit "
            "differ. Pinned, security updates come only when you move the digest",
            base_bytes if one.key == "python-image" else None,
            None,
            f"the digest by {one.told_by}; the base's layers, unpacked, each time that it moves",
            Safety.ASKED,
            SetSetting(one.key, f"{one.reference}@{one.digest}"),
        )
        for one in bases
        if "@" not in one.reference
    )


@dataclass(frozen=True)
class CacheNeed:
    """What a builder holds for the projects that use it, in bytes, and what it is allowed to.

    ``mounts`` are Dockyard's own cache mounts. ``rules``: its garbage collection, in order.
    """

    builder: str
    dedicated: bool
    layers: int
    mounts: int
    total: int
    rules: tuple[GarbageRule, ...]


@dataclass(frozen=True)
class BuilderFacts:
    """What `cache.init` would do, None where no dedicated builder is wanted, and each need."""

    change: BuilderChange | None
    needs: tuple[CacheNeed, ...]
    budget: int


_SIZES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def parse_garbage_rules(text: str) -> tuple[GarbageRule, ...]:
    """Read the policy from ``docker buildx inspect`` (buildx ``commands/inspect.go``).

    Sizes as units.BytesSize prints them, in bytes; durations in seconds.
    """
    rules = []
    for block in re.split(r"^GC Policy rule#\d+:\n", text, flags=re.MULTILINE)[1:]:
        values = {
            key.strip(): value.strip()
            for line in block.splitlines()
            if line.startswith(" ")
            for key, _, value in [line.partition(":")]
        }
        rules.append(
            GarbageRule(
                max_used=_size(values.get("Max Used Space", "")),
                filters=tuple(filter(None, values.get("Filters", "").split(","))),
                age=_duration(values.get("Keep Duration", "")),
                reserved=_size(values.get("Reserved Space", "") or values.get("Keep Bytes", "")),
                min_free=_size(values.get("Min Free Space", "")),
                all=values.get("All") == "true",
            )
        )
    return tuple(rules)


def _size(text: str) -> int:
    match = re.fullmatch(r"([\d.]+(?:e[+-]?\d+)?)\s*(B|[KMGT]iB)", text)
    return round(float(match[1]) * _SIZES[match[2]]) if match else 0


def _duration(text: str) -> int:
    spans = {"h": 3600, "m": 60, "s": 1}
    return sum(int(count) * spans[unit] for count, unit in re.findall(r"(\d+)([hms])", text))


def _takes_mounts(rule: GarbageRule) -> bool:
    """Whether a rule removes cache mounts."""
    return not rule.filters or any(
        one in (f"type=={MOUNT_TYPE}", f"type={MOUNT_TYPE}") for one in rule.filters
    )


def propose_builder(facts: BuilderFacts) -> tuple[Proposal, ...]:
    """Propose what `cache.init` would change, and room for what the builder's cache needs."""
    found = []
    change = facts.change
    if change and change.action in (Action.CREATE, Action.START, Action.REPLACE):
        verbs = {Action.CREATE: "make", Action.START: "repair", Action.REPLACE: "change"}
        found.append(
            Proposal(
                "builder",
                f"{verbs[change.action]} the dedicated builder {change.name}",
                "; ".join(change.reasons),
                None,
                None,
                "what buildx and the builder's container say of it",
                Safety.ASKED,
                RunTask("invoke cache.init"),
            )
        )
    for need in facts.needs:
        cap = need.rules[-1].max_used if need.rules else 0
        if need.dedicated and cap and need.total * 100 > cap * NEARLY_FULL:
            wanted = -(-max(2 * need.total, 2 * facts.budget) // 10**9)
            found.append(
                Proposal(
                    "builder",
                    f"let the cache of {need.builder} grow to {wanted} GB",
                    f"it holds {format_bytes(need.total)} of at most {format_bytes(cap)}, so that "
                    "layers and downloads go between builds",
                    need.layers + need.mounts,
                    None,
                    "`docker buildx du`; what may have to be made and downloaded again",
                    Safety.ASKED,
                    SetSetting("cache-budget", f"{wanted}GB"),
                )
            )
        early = next(
            (
                rule
                for rule in need.rules[:-1]
                if rule.age and _takes_mounts(rule) and rule.filters and need.mounts > rule.max_used
            ),
            None,
        )
        if early and not need.dedicated:
            found.append(
                Proposal(
                    "builder",
                    f"let {need.builder} keep uv's cache longer than "
                    f"{format_count(early.age // 3600, 'hour')}",
                    f"its garbage collection keeps {format_bytes(early.max_used)} of cache mounts "
                    f"that were not used for so long, and uv's holds {format_bytes(need.mounts)}: "
                    "what is over is downloaded again",
                    need.mounts - early.max_used,
                    None,
                    "`docker buildx du` and `docker buildx inspect`; after each pause",
                    Safety.BY_HAND,
                    ByHand(
                        "/etc/docker/daemon.json",
                        'add {"builder": {"gc": {"enabled": true, "policy": [{"all": true, '
                        f'"maxUsedSpace": "{-(-facts.budget // 10**9)}GB"'
                        "}]}}} and restart the engine, or use the dedicated builder",
                    ),
                )
            )
    return tuple(found)


def _export_seconds(record: BuildRecord) -> float | None:
    """Sum what compressing layers took; None where none was exported anew."""
    seconds = [step.seconds for step in record.steps if step.kind == "export" and step.ran]
    return sum(seconds) if seconds else None


def _measured(records: Sequence[BuildRecord], compression: str) -> tuple[float, float] | None:
    """Return the medians (bytes, seconds of export) of builds with that compression."""
    found = []
    for one in records:
        used = one.settings.get("compression")
        size, seconds = one.image.get("content_bytes"), _export_seconds(one)
        named = used.get("value") if isinstance(used, dict) else used
        if one.outcome == "succeeded" and named == compression and size and seconds:
            found.append((size, seconds))
    if not found:
        return None
    return statistics.median(size for size, _ in found), statistics.median(s for _, s in found)


def propose_compression(
    compression: str, records: Sequence[BuildRecord], *, able: bool = True
) -> tuple[Proposal, ...]:
    """Propose zstd for gzip; ``able``: whether the engine's store has zstd layers.

    Measured where past builds used both; else from the figures for the example.
    """
    if compression not in ("gzip", "uncompressed") or not able:
        return ()
    ours, theirs = _measured(records, compression), _measured(records, "zstd")
    size = next((one.image.get("content_bytes") for one in records if one.layers), None)
    gain_bytes: int | None = None
    gain_seconds: float | None = None
    if ours and theirs:
        gain_bytes, gain_seconds = round(ours[0] - theirs[0]), ours[1] - theirs[1]
        source = "medians of this project's recorded builds with either; per export of all layers"
    elif compression == "gzip" and size:
        gain_bytes = round(size * DOCUMENTED_SHARE)
        saved = DOCUMENTED_SECONDS["gzip"] - DOCUMENTED_SECONDS["zstd"]
        gain_seconds = saved * size / DOCUMENTED_BYTES
        source = (
            "not measured here: the example's 140 MB took 7.9 s with gzip and 2.5 s with zstd, "
            "and 4 % fewer bytes, scaled to this image; per export of all layers"
        )
    else:
        source = "not measured: no build is recorded"
    if gain_seconds is not None and gain_seconds <= 0 and (gain_bytes or 0) <= 0:
        return ()
    return (
        Proposal(
            "compression",
            f"compress layers with zstd instead of {compression}",
            "it is as small and much faster, to make and to unpack; engines since 20.10 read it",
            gain_bytes,
            gain_seconds,
            source,
            Safety.ASKED,
            SetSetting("compression", "zstd"),
        ),
    )
