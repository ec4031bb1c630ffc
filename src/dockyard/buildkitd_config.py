"""What the dedicated builder's BuildKit is told: registries, parallelism, garbage collection. Pure.

Keys: BuildKit, ``docs/buildkitd.toml.md`` and ``cmd/buildkitd/config``. Sizes are written in
bytes: BuildKit reads “20GB” as 20 GiB.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dockyard.base_images import normalise

if TYPE_CHECKING:
    from dockyard.settings import Settings

__all__ = [
    "BuildkitConfig",
    "GarbageRule",
    "RegistryRule",
    "buildkit_config",
    "garbage_rules",
    "registry_of",
]

HOUR = 3600
DAY = 24 * HOUR
# Cheap to make again, and worthless once the sources have moved on.
SOURCES = ("type==source.local", "type==source.git.checkout")
SOURCES_BYTES = 512 * 10**6
SOURCES_SECONDS = 2 * DAY
LAYERS_SECONDS = DAY
# Of the disk: what the cache may fill at most, what BuildKit tries to leave free, and what it
# keeps however full others make the disk.
MOST_OF_DISK = 80
FREE_OF_DISK = 10
FREE_BYTES = 20 * 10**9


@dataclass(frozen=True)
class GarbageRule:
    """One ``[[worker.oci.gcpolicy]]``; sizes in bytes, age in seconds, 0 means “not given”.

    A rule acts where the *whole* cache is larger than ``max_used`` or leaves less than
    ``min_free`` on the disk, and then removes what matches any of ``filters`` and was not used for
    ``age``, the least used first, until the cache is small enough; never below ``reserved``
    (BuildKit ``cache/manager.go``, ``calculateKeepBytes`` and ``pruneOnce``). Without ``all`` it
    spares internal records and what images of the engine share.
    """

    max_used: int
    filters: tuple[str, ...] = ()
    age: int = 0
    reserved: int = 0
    min_free: int = 0
    all: bool = False


@dataclass(frozen=True)
class RegistryRule:
    """One ``[registry."host"]``: its mirrors in order, whether it is insecure, its authorities."""

    host: str
    mirrors: tuple[str, ...] = ()
    insecure: bool = False
    authorities: tuple[str, ...] = ()


@dataclass(frozen=True)
class BuildkitConfig:
    """A ``buildkitd.toml``. ``notes`` say where it is not what the settings ask for."""

    registries: tuple[RegistryRule, ...] = ()
    garbage: tuple[GarbageRule, ...] = ()
    max_parallelism: int | None = None
    notes: tuple[str, ...] = field(default=(), compare=False)

    def render(self) -> str:
        """Write it as TOML."""
        lines: list[str] = []
        for registry in self.registries:
            lines.append(f"[registry.{_text(registry.host)}]")
            if registry.mirrors:
                lines.append(f"  mirrors = {_list(registry.mirrors)}")
            if registry.insecure:
                # Both together: HTTPS with any certificate, and plain HTTP where the server does
                # not speak TLS (util/resolver/resolver.go, fillInsecureOpts).
                lines += ["  http = true", "  insecure = true"]
            if registry.authorities:
                lines.append(f"  ca = {_list(registry.authorities)}")
        lines.append("[worker.oci]")
        if self.max_parallelism:
            lines.append(f"  max-parallelism = {self.max_parallelism}")
        for rule in self.garbage:
            lines.append("  [[worker.oci.gcpolicy]]")
            if rule.all:
                lines.append("    all = true")
            if rule.filters:
                lines.append(f"    filters = {_list(rule.filters)}")
            if rule.age:
                lines.append(f"    keepDuration = {_text(f'{rule.age}s')}")
            sizes = {
                "reservedSpace": rule.reserved,
                "maxUsedSpace": rule.max_used,
                "minFreeSpace": rule.min_free,
            }
            lines += [f"    {key} = {size}" for key, size in sizes.items() if size]
        return "\n".join(lines) + "\n"


def _text(value: str) -> str:
    """Write a TOML basic string; JSON's escapes are a part of TOML's."""
    return json.dumps(value, ensure_ascii=False)


def _list(values: Iterable[str]) -> str:
    return "[" + ", ".join(_text(value) for value in values) + "]"


def registry_of(reference: str) -> str:
    """Name the registry of an image, ``docker.io`` where it names none."""
    return normalise(reference).partition("/")[0]


def garbage_rules(budget: int, disk: int | None) -> tuple[GarbageRule, ...]:
    """Size the garbage collection for a cache of ``budget`` bytes on a disk of ``disk`` bytes.

    BuildKit's own first rule removes cache mounts unused for 48 hours from any cache of more than
    512 MB. Here they outlive layers that no build has used for a day; past that, the least used
    goes, whatever it is, because one huge mount must not push out every layer. The last two rules
    have no age: the cap holds.
    """
    most = min(budget, disk * MOST_OF_DISK // 100) if disk else budget
    free = min(disk * FREE_OF_DISK // 100, FREE_BYTES) if disk else 0
    reserved = most // 2
    return (
        GarbageRule(min(SOURCES_BYTES, most), filters=SOURCES, age=SOURCES_SECONDS),
        GarbageRule(most, ("type!=exec.cachemount",), LAYERS_SECONDS, reserved, free),
        GarbageRule(most, reserved=reserved, min_free=free),
        GarbageRule(most, reserved=reserved, min_free=free, all=True),
    )


def _registries(settings: Settings) -> tuple[RegistryRule, ...]:
    mirrors: dict[str, list[str]] = {}
    for entry in settings.image_mirrors:
        mirrored, equals, mirror = entry.rpartition("=")
        registry = registry_of(f"{mirrored}/any") if equals else "docker.io"
        mirrors.setdefault(registry, []).append(mirror.rstrip("/"))
    known = dict.fromkeys(mirrors)
    known |= dict.fromkeys(m.partition("/")[0] for group in mirrors.values() for m in group)
    known |= dict.fromkeys(settings.insecure_registries)
    if settings.ca_file:
        references = [settings.python_image, settings.uv_image]
        if settings.registry:
            references.append(f"{settings.registry}/any")
        for backend in settings.cache_backends:
            options = backend.partition(":")[2].split(",")
            references += [one.removeprefix("ref=") for one in options if one.startswith("ref=")]
        known |= dict.fromkeys(registry_of(reference) for reference in references)
    return tuple(
        RegistryRule(
            host=host,
            mirrors=tuple(mirrors.get(host, ())),
            insecure=host in settings.insecure_registries,
            authorities=(str(settings.ca_file),) if settings.ca_file else (),
        )
        for host in known
    )


def buildkit_config(settings: Settings, *, disk: int | None) -> BuildkitConfig:
    """Derive the configuration from settings and the size of the builder's disk in bytes.

    None means that nobody could measure the disk: then the budget alone counts.
    """
    rules = garbage_rules(settings.cache_budget, disk)
    notes = []
    if rules[-1].max_used < settings.cache_budget:
        notes.append(
            f"DOCKYARD_CACHE_BUDGET is more than {MOST_OF_DISK} % of the builder's disk: "
            f"its cache is kept below {rules[-1].max_used / 1e9:.1f} GB"
        )
    return BuildkitConfig(
        registries=_registries(settings),
        garbage=rules,
        max_parallelism=settings.max_parallelism,
        notes=tuple(notes),
    )
