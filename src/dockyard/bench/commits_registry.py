"""Commits built as CI does: each on a builder that starts empty, with the cache in a registry."""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dockyard.bench.commits_result import Traffic
from dockyard.bench.empty_builders import empty_builder
from dockyard.bench.images import docker, platform_manifest, pulled_bytes, resolve_images
from dockyard.bench.registry_server import RegistryServer

if TYPE_CHECKING:
    from dockyard.records import BuildRecord
    from dockyard.settings import Settings

__all__ = ["FreshBuilds", "fresh_builds"]


class FreshBuilds:
    """Builds one commit after the other, each on a new builder; the registry counts the bytes."""

    def __init__(self, registry: RegistryServer, bases: Mapping[str, str], buildkit: str) -> None:
        self._registry, self._buildkit = registry, buildkit
        self._before: dict[str, Any] | None = None
        self.environment = {
            "CI": "true",
            "DOCKYARD_REGISTRY": f"{registry.host}/replay",
            "DOCKYARD_NETWORK": "host",
            **bases,
        }

    def __call__(
        self, settings: Settings, environment: Mapping[str, str]
    ) -> tuple[BuildRecord, Traffic]:
        """Build, push and export the cache; the builder's own start is not timed."""
        from dockyard.build import BuildOptions, build
        from dockyard.settings import load_settings

        name = f"{settings.image}-builder"
        with empty_builder(name, self._buildkit):
            changed = {**environment, **self.environment, "DOCKYARD_BUILDER": name}
            own = load_settings(settings.root, changed, {})
            self._registry.reset()
            result = build(own, BuildOptions(push=True, load=False), changed, io.StringIO())
            if result.interrupted:
                raise KeyboardInterrupt
            if result.error:
                raise result.error
            moved = self._registry.transfers
        after = platform_manifest(self._registry, f"replay/{settings.image}", "latest")
        before, self._before = self._before, after
        return result.record, Traffic(
            pulled=None if before is None else pulled_bytes(before, after),
            downloaded=sum(one.bytes_sent for one in moved if one.method == "GET"),
            pushed=sum(one.bytes_received for one in moved),
        )


@contextlib.contextmanager
def fresh_builds(
    settings: Settings, environment: Mapping[str, str], storage: Path, *, keep: bool
) -> Iterator[FreshBuilds]:
    """Serve a registry with the base images; ``keep`` what an earlier, stopped replay pushed.

    The storage stays, for a replay that goes on. Raises EngineError where no registry can be
    started, or as base images are resolved.
    """
    if not keep:
        shutil.rmtree(storage, ignore_errors=True)
    storage.mkdir(parents=True, exist_ok=True)
    images, _ = resolve_images(settings, environment)
    with RegistryServer(storage) as registry:
        bases = {}
        for name, image in (("python", images.python), ("uv", images.uv)):
            # With its own tag: uv's tells the version, by which a build knows what it may export.
            repository = f"bases/{name}:{image.rpartition(':')[2]}"
            target = f"{registry.uncounted_host}/{repository}"
            docker("tag", image, target)
            try:
                docker("push", "--quiet", target)
            finally:
                docker("image", "rm", target)
            bases[f"DOCKYARD_{name.upper()}_IMAGE"] = f"{registry.host}/{repository}"
        yield FreshBuilds(registry, bases, images.buildkit)
