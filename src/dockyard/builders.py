"""Which builder makes the image, with which driver, and why. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from dockyard.engine import EngineFacts
    from dockyard.records import BuildRecord
    from dockyard.settings import Settings

__all__ = [
    "BuilderChoice",
    "PastLoad",
    "choose_builder",
    "is_in_engine",
    "load_seconds",
    "output_for",
    "past_load",
]

# What the docker driver can export a cache to, given the containerd image store:
# https://docs.docker.com/build/cache/backends/
ENGINE_CACHE_BACKENDS = ("auto", "none", "inline", "local", "registry", "gha")
COMPARED_BUILDS = 5


@dataclass(frozen=True)
class BuilderChoice:
    """A buildx builder by name, its driver, and the reason for it in a few words.

    ``dedicated``: it is the one that `cache.init` makes.
    """

    name: str
    driver: str
    reason: str
    dedicated: bool = False


class PastLoad(NamedTuple):
    """What an earlier build says of loading: seconds and bytes, each None where it says nothing."""

    driver: str
    seconds: float | None
    content_bytes: int | None


def past_load(record: BuildRecord) -> PastLoad:
    """Take from a record what :func:`choose_builder` wants of it."""
    size = record.image.get("content_bytes")
    return PastLoad(
        str(record.builder.get("driver")),
        load_seconds(record),
        size if isinstance(size, int) else None,
    )


def load_seconds(record: BuildRecord) -> float | None:
    """Tell how long a build took to get its image into the engine; None if it did not do that.

    From the start of the first export step to the end of the last: they overlap.
    """
    exports = [step for step in record.steps if step.kind == "export" and step.started]
    pushed = any(step.instruction.startswith("pushing") for step in exports)
    if record.outcome != "succeeded" or pushed or not exports:
        return None
    starts = [datetime.fromisoformat(str(step.started)).timestamp() for step in exports]
    ends = [start + step.seconds for start, step in zip(starts, exports, strict=True)]
    return max(ends) - min(starts)


def _median(values: Sequence[float]) -> float:
    # The statistics module costs 10 ms of import, before buildx starts.
    return sorted(values)[len(values) // 2]


def _why_load(past: Sequence[PastLoad]) -> str:
    """Say what loading with the engine's own builder saves, as far as earlier builds know.

    ``past``: of this project, newest first.
    """
    measured: dict[str, list[float]] = {}
    for one in past:
        if one.seconds is not None:
            measured.setdefault(one.driver, []).append(one.seconds)
    ours, theirs = (
        _median(measured[driver][:COMPARED_BUILDS]) if driver in measured else None
        for driver in ("docker", "docker-container")
    )
    if ours and theirs:
        if theirs > ours:
            return f"loads {theirs / ours:.1f} × faster than dedicated"
        return f"loads straight into the engine (in {ours:.1f} s, dedicated in {theirs:.1f} s)"
    size = next((one.content_bytes for one in past if one.content_bytes), None)
    if size:
        return f"loads straight into the engine; dedicated would send {size / 1e6:.0f} MB each time"
    return "loads straight into the engine"


def _why_dedicated(settings: Settings, engine: EngineFacts, push: bool) -> str | None:
    """Say what the engine's own builder cannot do for this build, or does worse; None: nothing."""
    if not engine.containerd_store:
        return "the engine's image store is not containerd's"
    if len(settings.platforms) > 1:
        return f"builds for {len(settings.platforms)} platforms"
    kinds = [entry.partition(":")[0] for entry in settings.cache_backends]
    beyond = [kind for kind in kinds if kind not in ENGINE_CACHE_BACKENDS]
    if beyond:
        return f"exports its cache to {', '.join(beyond)}"
    if push:
        return "pushes without holding the layers that are in the registry"
    return None


def choose_builder(
    settings: Settings,
    engine: EngineFacts,
    *,
    push: bool = False,
    load: bool = True,
    named_driver: str | None = None,
    past: Sequence[PastLoad] = (),
    local_images: bool = False,
) -> BuilderChoice:
    """Pick the builder: the one that is named, else what is fastest for the outcome.

    ``named_driver`` is the driver of the builder that DOCKYARD_BUILDER names, as buildx knows it.
    ``past`` are this project's builds, newest first: they make the reason a measured one.
    ``local_images``: a base image is in the engine alone, where no other builder sees it.

    Loading with a cache export stays on the engine's own builder: measured on a project of 140 MB
    compressed, a code change with ``type=local,mode=max`` takes 0.97 s there and 2.1 s on the
    dedicated one, which sends the whole image again.
    """
    if settings.builder != "auto":
        driver = named_driver or ("docker" if settings.driver == "auto" else settings.driver)
        return BuilderChoice(settings.builder, driver, "named by DOCKYARD_BUILDER")
    if settings.driver == "docker":
        return BuilderChoice(engine.context, "docker", "DOCKYARD_DRIVER is docker")
    if settings.driver != "auto":
        reason = f"DOCKYARD_DRIVER is {settings.driver}"
        return BuilderChoice(settings.builder_name, settings.driver, reason, dedicated=True)
    why = _why_dedicated(settings, engine, push)
    if why and local_images:
        reason = "the base images are in the engine alone, where no other builder sees them"
        return BuilderChoice(engine.context, "docker", reason)
    if why:
        return BuilderChoice(settings.builder_name, "docker-container", why, dedicated=True)
    reason = _why_load(past) if load else "fills the cache that the next load builds from"
    return BuilderChoice(engine.context, "docker", reason)


def output_for(
    settings: Settings,
    engine: EngineFacts,
    choice: BuilderChoice,
    *,
    push: bool = False,
    load: bool = True,
    epoch: int | None = None,
) -> str:
    """Render buildx's ``--output`` for what is to come of the build.

    ``epoch``, in seconds since 1970, dates the image. It is the exporter's and not the build
    argument ``SOURCE_DATE_EPOCH``, which is part of WORKDIR's cache key: that would run again, on
    the base image, at every commit.

    Exporter attributes: BuildKit ``exporter/containerimage/exptypes/keys.go``. The ``docker``
    driver's ``image`` exporter writes into the engine's own containerd store; ``docker`` (the
    tarball) is what the other drivers, and engines without that store, can load from.
    """
    compression = f"compression={settings.compression}"
    if settings.compression in ("zstd", "gzip", "estargz"):
        compression += f",compression-level={settings.compression_level}"
    dated = [f"source-date-epoch={epoch}"] if epoch is not None else []
    if dated and settings.reproducible:
        dated.append("rewrite-timestamp=true")
    into_store = choice.driver == "docker" and engine.containerd_store
    if push or (into_store and load):
        parts = ["type=image", compression, "oci-mediatypes=true", *dated]
        if into_store:
            parts.append("unpack=true")
        if push:
            parts.append("push=true")
        return ",".join(parts)
    if not load:
        return "type=cacheonly"
    return ",".join(["type=docker", *(dated if choice.driver != "docker" else [])])


def is_in_engine(choice: BuilderChoice, output: str) -> bool:
    """Whether the image of a build that succeeded is in the engine, by its :func:`output_for`."""
    kind = output.partition(",")[0]
    return kind == "type=docker" or (choice.driver == "docker" and kind != "type=cacheonly")
