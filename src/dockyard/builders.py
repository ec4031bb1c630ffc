"""Which builder makes the image, with which driver, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dockyard.engine import EngineFacts
    from dockyard.settings import Settings

__all__ = ["BuilderChoice", "choose_builder", "output_for"]


@dataclass(frozen=True)
class BuilderChoice:
    """A buildx builder by name, its driver, and the reason for it in a few words."""

    name: str
    driver: str
    reason: str


def choose_builder(settings: Settings, engine: EngineFacts, *, push: bool = False) -> BuilderChoice:
    """Pick the builder: the one that is named, else what is fastest for the outcome."""
    if settings.builder != "auto":
        driver = settings.driver if settings.driver != "auto" else "docker"
        return BuilderChoice(settings.builder, driver, "named by DOCKYARD_BUILDER")
    if settings.driver not in ("auto", "docker"):
        return BuilderChoice(
            settings.builder_name, settings.driver, f"DOCKYARD_DRIVER is {settings.driver}"
        )
    if not engine.containerd_store:
        reason = "loads straight into the engine, whose image store is not containerd's"
    elif push:
        reason = "pushes what the engine's store holds"
    else:
        reason = "loads straight into the engine"
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
    into_store = choice.driver == "docker" and engine.containerd_store
    if push or into_store:
        parts = ["type=image", compression, "oci-mediatypes=true", *dated]
        if into_store:
            parts.append("unpack=true")
        if push:
            parts.append("push=true")
        return ",".join(parts)
    if not load:
        return "type=cacheonly"
    return ",".join(["type=docker", *(dated if choice.driver != "docker" else [])])
