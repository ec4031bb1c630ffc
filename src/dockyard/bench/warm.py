"""Builds on the engine's own builder, which keeps what it built: a laptop during a day's work."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dockyard import process
from dockyard.bench.building import Built, run_timed
from dockyard.bench.dockerfiles import OURS, Caches, buildx_command, invoke_command, shim
from dockyard.bench.engine_cache import EngineCache
from dockyard.bench.images import docker, platform_manifest, pulled_bytes
from dockyard.bench.results import Measurement
from dockyard.bench.scenarios import FIRST_BUILD, Cell
from dockyard.bench.site import Site
from dockyard.bench.storage import clone_storage
from dockyard.bench.workspace import checkout, commit
from dockyard.errors import DiskFullError

__all__ = ["WarmEngine"]

# An unchanged build is cached the second time; the third is for a garbage collection in between.
TRIES = 3


@dataclass(frozen=True)
class _Desk:
    """Where one Dockerfile is worked on: the tree, its base image, programs to be found first."""

    tree: Path
    python_image: str
    programs: Path


class WarmEngine:
    """The environment ``warm``: one working tree for each Dockerfile and repetition.

    So that a repetition finds nothing of the one before, of another Dockerfile's, or of what the
    user built, each has cache mounts in a namespace of its own, and a base image of its own: with a
    small file that is in no other, because a step is known by what it stands on, and with a group
    that is nobody else's, because a linked copy is known by what it copies alone, owners included.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._desks: dict[tuple[int, str], _Desk] = {}
        self._begun = 0
        self._before: dict[tuple[int, str], dict[str, Any]] = {}
        self._storage_ready = False
        self._repetition = 0
        self._cache = EngineCache(site.engine_builder, site.run)
        site.at_end(self._cache.remove_ours)

    def measure(self, cell: Cell) -> Measurement:
        """Measure one cell; a first build is made, uncounted, where there was none."""
        key = (cell.repetition, cell.dockerfile)
        if cell.repetition != self._repetition:
            # Linked copies are known by their content alone: the next repetition would find them.
            self._cache.remove_ours()
            self._repetition = cell.repetition
        first = cell.scenario == FIRST_BUILD
        if first or key not in self._desks:
            self._begin(*key)
        if not first:
            self._stand_before_the_change(cell)
            if key not in self._before:
                self._before[key] = self._push(cell)
        started = datetime.now(UTC)
        with self._site.shaping():
            built, downloaded = self._build(cell)
        after = self._push(cell)
        before = self._base(cell) if first else self._before[key]
        if first:
            self._before[key] = after
        return Measurement(
            **vars(cell),
            started=started.strftime("%Y-%m-%dT%H:%M:%SZ"),
            seconds=round(built.seconds, 3),
            bytes_down=downloaded,
            bytes_up=0,
            bytes_pulled=pulled_bytes(before, after),
            steps_cached=built.steps_cached,
            steps_counted=built.steps_counted,
            phases={"build": round(built.seconds, 3)},
            traffic={"index": downloaded},
        )

    def _stand_before_the_change(self, cell: Cell) -> None:
        """Build the unchanged project, uncounted, until all of it is cached.

        The engine's garbage collection takes what it wants, and more where the disk is nearly full.
        Raises DiskFullError where it takes it again and again.
        """
        unchanged = Cell(cell.repetition, "warm", FIRST_BUILD, cell.dockerfile)
        for _ in range(TRIES):
            built, _ = self._build(unchanged)
            if built.steps_cached == built.steps_counted:
                return
        raise DiskFullError(
            f"{cell}: the engine keeps nothing of a build: its garbage collection removes it",
            where=f"the builder {self._site.engine_builder}",
            hint="free disk space (`docker buildx inspect` shows its rules), and go on with "
            "--resume",
        )

    def _image(self, dockerfile: str) -> str:
        return f"{self._site.run}-{dockerfile}"

    def _begin(self, repetition: int, dockerfile: str) -> None:
        """Make the base image and the working tree of one Dockerfile in one repetition."""
        site = self._site
        # A first build that is measured once more must not find what the first try left.
        self._begun += 1
        name = f"{repetition}-{dockerfile}-{self._begun}"
        tag = site.python_image.rpartition(":")[2]
        image = f"{site.run}/python:{tag}-{name}"
        site.at_end(_remove_image, image)
        container = f"{site.run}-base"
        mark = site.folder / "mark"
        mark.write_text(f"{image}\n")
        docker("create", "--name", container, site.images.python, "true")
        try:
            docker("cp", str(mark), f"{container}:/etc/dockyard-bench")
            group = 100_000 + secrets.randbelow(10**9)
            docker("commit", "--change", f"USER 0:{group}", container, image)
        finally:
            docker("rm", "--force", container)
        self._cache.note_base(image, f"{site.run}-{name}")
        tree = site.folder / f"warm-{name}"
        checkout(site.variant("no-change"), tree)
        configuration = tree / "pyproject.toml"
        text = configuration.read_text()
        for old, new in (
            (site.python_image, image),
            (site.uv_image, site.images.uv),
            (f'registry = "{site.registry.host}/bench"\n', ""),
            ('image = "dockyard"', f'image = "{self._image(dockerfile)}"'),
        ):
            text = text.replace(old, new)
        configuration.write_text(text)
        site.settle(tree)
        commit(tree, site.environment)
        shims = site.folder / f"bin-{name}"
        shims.mkdir()
        program = shims / "docker"
        program.write_text(shim(shutil.which("docker") or "docker", f"{site.run}-{name}"))
        program.chmod(0o755)
        self._desks[repetition, dockerfile] = _Desk(tree, image, shims)

    def _build(self, cell: Cell) -> tuple[Built, int]:
        site = self._site
        desk = self._desks[cell.repetition, cell.dockerfile]
        kept = ("pyproject.toml", site.settings.dockerfile)
        checkout(site.variant(cell.scenario), desk.tree, keep=kept)
        self._mark_sources(desk)
        site.at_end(_remove_images, self._image(cell.dockerfile))
        path = f"{desk.programs}{os.pathsep}{site.environment.get('PATH', os.defpath)}"
        site.index.reset()
        built = run_timed(
            self._command(cell.dockerfile, desk),
            directory=desk.tree,
            environment={**site.environment, "PATH": path},
            records=desk.tree if cell.dockerfile == OURS else None,
        )
        return built, site.index.bytes_served

    def _mark_sources(self, desk: _Desk) -> None:
        """Let the sources be another file than those of any build before."""
        name = self._site.changes["code-change"].file
        if name:
            with (desk.tree / self._site.settings.project / name).open("a") as file:
                file.write(f"# {desk.python_image}\n")

    def _command(self, dockerfile: str, desk: _Desk) -> list[str]:
        site = self._site
        if dockerfile == OURS:
            return invoke_command(sys.executable, push=False)
        return buildx_command(
            str(site.dockerfiles / dockerfile / "Dockerfile"),
            context=str(desk.tree / site.settings.project),
            builder=site.engine_builder,
            python_image=desk.python_image,
            uv_image=site.images.uv,
            tag=f"{self._image(dockerfile)}:latest",
            push=False,
            caches=Caches(),
        )

    def _push(self, cell: Cell) -> dict[str, Any]:
        """Push what was built to the bench's registry, uncounted, and return its manifest."""
        image = f"{self._image(cell.dockerfile)}:latest"
        return self._pushed(image, f"warm/{cell.dockerfile}", f"{cell.repetition}-{cell.scenario}")

    def _base(self, cell: Cell) -> dict[str, Any]:
        image = self._desks[cell.repetition, cell.dockerfile].python_image
        return self._pushed(image, "warm/python", f"{cell.repetition}-{cell.dockerfile}")

    def _pushed(self, image: str, repository: str, tag: str) -> dict[str, Any]:
        registry = self._site.registry
        storage = self._site.folder / "storage/warm"
        if not self._storage_ready:
            clone_storage(self._site.bases, storage)
            self._storage_ready = True
        registry.switch(storage)
        target = f"{registry.uncounted_host}/{repository}:{tag}"
        docker("tag", image, target)
        try:
            docker("push", "--quiet", target)
        finally:
            docker("image", "rm", target)
        return platform_manifest(registry, repository, tag)


def _remove_image(name: str) -> None:
    process.run(["docker", "image", "rm", "--force", name], timeout=60)


def _remove_images(repository: str) -> None:
    """Remove an image under whatever tags it got."""
    listed = process.run(
        ["docker", "image", "ls", "--format", "{{json .}}", repository], timeout=60
    )
    for line in listed.stdout.splitlines():
        one = json.loads(line)
        _remove_image(f"{one['Repository']}:{one['Tag']}")
