"""Builds on a builder that starts empty, with the cache in the registry or in a folder."""

from __future__ import annotations

import hashlib
import shutil
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dockyard.bench.building import Built, run_timed
from dockyard.bench.dockerfiles import NAIVE, OURS, Caches, buildx_command, invoke_command
from dockyard.bench.images import platform_manifest, pulled_bytes
from dockyard.bench.results import Measurement
from dockyard.bench.scenarios import FIRST_BUILD, Cell
from dockyard.bench.site import Site
from dockyard.bench.storage import clone_storage, pack, unpack
from dockyard.bench.workspace import checkout, commit

__all__ = ["FreshBuilders", "recipe_key"]


def recipe_key(tree: Path, names: Iterable[str]) -> str:
    """Digest files of a tree, as ``hashFiles()`` does in a workflow of GitHub: hex."""
    digest = hashlib.sha256()
    for name in names:
        digest.update(hashlib.sha256((tree / name).read_bytes()).digest())
    return digest.hexdigest()


class FreshBuilders:
    """The environments ``registry`` and ``directory``: each build on a builder of its own.

    What a build before the change left behind, in the registry and in the cache's archive, is made
    once for each Dockerfile and set back before each measurement.
    """

    def __init__(self, site: Site, *, directory: bool) -> None:
        self._site, self._directory = site, directory
        self._name = "directory" if directory else "registry"
        self._before: dict[str, dict[str, Any]] = {}

    def measure(self, cell: Cell) -> Measurement:
        """Measure one cell."""
        first = cell.scenario == FIRST_BUILD
        if not first and cell.dockerfile not in self._before:
            self._seed(cell.dockerfile)
        storage = self._site.bases if first else self._seeded(cell.dockerfile)
        archive = None if first else self._archive(cell.dockerfile)
        # Where the cache is found under its very key, nothing is saved.
        save = first or self._key(cell) != self._key(replace(cell, scenario="no-change"))
        started = datetime.now(UTC)
        with self._site.shaping():
            phases, traffic, built = self._build(cell, storage, archive, save=save)
        after = self._manifest(cell.dockerfile)
        if first and cell.dockerfile not in self._before:
            self._keep(cell.dockerfile)
        before = self._base() if first else self._before[cell.dockerfile]
        return Measurement(
            **vars(cell),
            started=started.strftime("%Y-%m-%dT%H:%M:%SZ"),
            seconds=round(sum(phases.values()), 3),
            bytes_down=traffic["registry_down"] + traffic["index"] + traffic["cache_down"],
            bytes_up=traffic["registry_up"] + traffic["cache_up"],
            bytes_pulled=pulled_bytes(before, after),
            steps_cached=built.steps_cached,
            steps_counted=built.steps_counted,
            phases={name: round(seconds, 3) for name, seconds in phases.items()},
            traffic=traffic,
        )

    def _key(self, cell: Cell) -> str:
        """Tell what the archive's key is made of, in the way that each Dockerfile's own CI has it.

        Dockyard's recipe takes what the dependency layers depend on (docs/ci.md), the others the
        commit (https://github.com/actions/cache, docker's documentation of cache management).
        """
        if cell.dockerfile != OURS:
            return cell.scenario
        settings = self._site.settings
        return recipe_key(
            self._site.variant(cell.scenario),
            (f"{settings.project}/uv.lock", settings.dockerfile),
        )

    def _seed(self, dockerfile: str) -> None:
        """Make the first build uncounted, where none was measured, and keep what it leaves."""
        cell = Cell(0, self._name, FIRST_BUILD, dockerfile)
        self._build(cell, self._site.bases, None, save=True)
        self._keep(dockerfile)

    def _keep(self, dockerfile: str) -> None:
        """Keep what a first build left, for all that start from it."""
        self._before[dockerfile] = self._manifest(dockerfile)
        seeded = self._seeded(dockerfile)
        clone_storage(self._storage, seeded)
        if self._directory and dockerfile != NAIVE:
            shutil.copyfile(self._saved, self._archive(dockerfile) or self._saved)

    def _build(
        self, cell: Cell, storage: Path, archive: Path | None, *, save: bool
    ) -> tuple[dict[str, float], dict[str, int], Built]:
        site = self._site
        clone_storage(storage, self._storage)
        site.registry.switch(self._storage)
        tree, cache = site.folder / "tree", site.folder / "cache"
        for folder in (tree, cache, site.folder / "cache-new"):
            shutil.rmtree(folder, ignore_errors=True)
        checkout(site.variant(cell.scenario), tree)
        commit(tree, site.environment)
        phases, cache_down, cache_up = {}, 0, 0
        with site.fresh_builder() as builder:
            command, environment = self._command(cell.dockerfile, builder, tree, cache, archive)
            site.registry.reset()
            site.index.reset()
            if archive and archive.exists():
                clock = time.monotonic()
                cache_down = unpack(archive, cache, site.line.down)
                phases["restore"] = time.monotonic() - clock
            built = run_timed(
                command,
                directory=tree,
                environment=environment,
                records=tree if cell.dockerfile == OURS else None,
            )
            phases["build"] = built.seconds
            kept = cache if cell.dockerfile == OURS else site.folder / "cache-new"
            if self._directory and cell.dockerfile != NAIVE and save:
                clock = time.monotonic()
                cache_up = pack(kept, self._saved, site.line.up)
                phases["save"] = time.monotonic() - clock
        moved = site.registry.transfers
        traffic = {
            "registry_down": sum(one.bytes_sent for one in moved if one.method == "GET"),
            "registry_up": sum(one.bytes_received for one in moved),
            "index": site.index.bytes_served,
            "cache_down": cache_down,
            "cache_up": cache_up,
        }
        return phases, traffic, built

    def _command(
        self, dockerfile: str, builder: str, tree: Path, cache: Path, archive: Path | None
    ) -> tuple[list[str], dict[str, str]]:
        site = self._site
        environment = {**site.environment, "CI": "true"}
        if dockerfile == OURS:
            environment["DOCKYARD_BUILDER"] = builder
            if self._directory:
                environment["DOCKYARD_CACHE_BACKENDS"] = "local"
                environment["DOCKYARD_CACHE_DIR"] = str(cache)
            return invoke_command(sys.executable, push=True), environment
        repository = f"{site.registry.host}/bench/{dockerfile}"
        if dockerfile == NAIVE:
            caches = Caches()
        elif self._directory:
            target = str(site.folder / "cache-new")
            caches = Caches(source=str(cache) if archive else None, target=target)
        else:
            caches = Caches(reference=f"{repository}:cache")
        command = buildx_command(
            str(site.dockerfiles / dockerfile / "Dockerfile"),
            context=str(tree / site.settings.project),
            builder=builder,
            python_image=site.python_image,
            uv_image=site.uv_image,
            tag=f"{repository}:latest",
            push=True,
            caches=caches,
        )
        return command, environment

    @property
    def _storage(self) -> Path:
        return self._site.folder / "storage/cell"

    @property
    def _saved(self) -> Path:
        return self._site.folder / "saved.tar"

    def _seeded(self, dockerfile: str) -> Path:
        return self._site.folder / "storage" / f"{self._name}-{dockerfile}"

    def _archive(self, dockerfile: str) -> Path | None:
        return self._site.folder / f"{dockerfile}.tar" if self._directory else None

    def _manifest(self, dockerfile: str) -> dict[str, Any]:
        return platform_manifest(self._site.registry, f"bench/{dockerfile}", "latest")

    def _base(self) -> dict[str, Any]:
        repository, _, tag = self._site.python_image.partition("/")[2].rpartition(":")
        return platform_manifest(self._site.registry, repository, tag)
