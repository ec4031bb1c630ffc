"""``invoke bench --fleet N``: N builders on one registry build changes that arrive at random."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard.bench.building import run_timed
from dockyard.bench.dockerfiles import OURS, Caches, buildx_command, invoke_command
from dockyard.bench.fleet_builders import FleetBuilders
from dockyard.bench.fleet_plan import FleetRequest, PlannedBuild, plan_fleet
from dockyard.bench.fleet_result import BASE, FleetBuild, FleetResult, FleetStrategy
from dockyard.bench.runner import EXAMPLES
from dockyard.bench.site import Site, open_site
from dockyard.bench.storage import clone_storage
from dockyard.bench.workspace import checkout, commit, read_changes
from dockyard.display.format import format_seconds

if TYPE_CHECKING:
    from dockyard.bench.progress import BenchProgress
    from dockyard.settings import Settings

__all__ = ["STRATEGIES", "planned", "run_fleet"]

STRATEGIES = (BASE, OURS)


def planned(settings: Settings, request: FleetRequest) -> tuple[PlannedBuild, ...]:
    """Plan what the fleet will build of this project. Raises SettingsError for a bad request."""
    request.check()
    project = settings.root / settings.project
    texts = {
        path.relative_to(project).as_posix(): path.read_text(encoding="utf-8")
        for source in settings.copy_paths
        for path in sorted((project / source).rglob("*.py"))
    }
    return plan_fleet(request, texts, settings.copy_paths)


def run_fleet(
    settings: Settings,
    environment: Mapping[str, str],
    request: FleetRequest,
    bandwidth: int | None,
    progress: BenchProgress,
) -> FleetResult:
    """Build the same changes with each Dockerfile; all that it makes is gone when it returns.

    Raises BuildFailedError where a build fails, BuilderError where a builder cannot be started, and
    what the bench's site raises.
    """
    builds = planned(settings, request)
    examples = settings.root / EXAMPLES
    started = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    measured = []
    progress.begin(len(builds) * len(STRATEGIES), steady=False)
    try:
        progress.say("starts the servers and copies the project")
        with open_site(
            settings,
            environment,
            folder=settings.root / ".dockyard/bench" / f"run-{os.getpid()}",
            bandwidth=bandwidth,
            changes=read_changes(examples / "changes.toml"),
            dockerfiles=examples,
        ) as site:
            site.prepare_variants(())
            for dockerfile in STRATEGIES:
                progress.say(f"{dockerfile}: starts the builders, and builds what is not counted")
                fleet = _Fleet(site, request, dockerfile, builds, progress)
                measured.append(fleet.measure())
    finally:
        progress.end()
    return FleetResult(
        started=started,
        builders=request.builders,
        per_minute=request.per_minute,
        seed=request.seed,
        bandwidth=bandwidth,
        keeps_state=request.keeps_state,
        strategies=tuple(measured),
    )


class _Stopped(Exception):  # noqa: N818 - it is no error: another build failed, or Ctrl-C came
    """Raised in a builder's thread that is to end."""


@dataclass
class _Fleet:
    """One Dockerfile's part: builders, checkouts, and a thread for each builder."""

    site: Site
    request: FleetRequest
    dockerfile: str
    builds: Sequence[PlannedBuild]
    progress: BenchProgress
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _done: list[FleetBuild] = field(default_factory=list)
    _failures: list[BaseException] = field(default_factory=list)

    def measure(self) -> FleetStrategy:
        """Make the first build, which fills the registry's cache, and then all others."""
        site = self.site
        storage = site.folder / "storage" / f"fleet-{self.dockerfile}"
        clone_storage(site.bases, storage)
        site.registry.switch(storage)
        trees = self._trees()
        request = self.request
        with FleetBuilders(request.builders, run=site.run, image=site.images.buildkit) as builders:
            self._build(builders.name(1), trees[0])
            builders.empty(1)
            site.registry.reset()
            site.index.reset()
            with site.shaping():
                self._run(builders, trees)
            moved, packages = site.registry.transfers, site.index.bytes_served
        shutil.rmtree(site.folder / "trees", ignore_errors=True)
        sent = [one for one in moved if one.method == "GET"]
        blobs = sum(one.bytes_sent for one in sent if "/blobs/" in one.path)
        return FleetStrategy(
            dockerfile=self.dockerfile,
            builds=tuple(sorted(self._done, key=lambda one: one.number)),
            blob_bytes=blobs,
            manifest_bytes=sum(one.bytes_sent for one in sent) - blobs,
            received_bytes=sum(one.bytes_received for one in moved),
            package_bytes=packages,
        )

    def _trees(self) -> list[Path]:
        """Check out every commit in a folder of its own, the project without change first."""
        site = self.site
        found = []
        texts: dict[str, str] = {}
        for number, build in enumerate((None, *self.builds)):
            tree = site.folder / "trees" / str(number)
            checkout(site.variant("no-change"), tree)
            if build:
                texts |= build.change.writes
            for name, text in texts.items():
                (tree / site.settings.project / name).write_text(text, encoding="utf-8")
            commit(tree, site.environment)
            found.append(tree)
        return found

    def _run(self, builders: FleetBuilders, trees: Sequence[Path]) -> None:
        """Build all as they arrive. Raises the first failure, all others having been stopped."""
        begin = time.monotonic()
        threads = [
            threading.Thread(target=self._work, args=(number, builders, trees, begin))
            for number in range(1, self.request.builders + 1)
        ]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.2)  # a wait without end would hold Ctrl-C up
        finally:
            self._stop.set()
            for thread in threads:
                if thread.ident:
                    thread.join()
        if self._failures:
            raise self._failures[0]

    def _work(
        self, number: int, builders: FleetBuilders, trees: Sequence[Path], begin: float
    ) -> None:
        """Build one after the other what one builder is given."""
        own = [one for one in self.builds if one.builder == number]
        try:
            for one in own:
                if self._stop.wait(max(begin + one.arrives - time.monotonic(), 0)):
                    return
                waited = max(time.monotonic() - begin - one.arrives, 0.0)
                seconds, cached, counted = self._build(builders.name(number), trees[one.number])
                self._note(
                    FleetBuild(
                        number=one.number,
                        builder=number,
                        arrived=one.arrives,
                        waited=round(waited, 3),
                        seconds=round(seconds, 3),
                        steps_cached=cached,
                        steps_counted=counted,
                    )
                )
                if one is not own[-1] and not self.request.keeps_state:
                    builders.empty(number)
        except _Stopped:
            pass
        except BaseException as error:
            with self._lock:
                self._failures.append(error)
            self._stop.set()

    def _note(self, built: FleetBuild) -> None:
        with self._lock:
            self._done.append(built)
            self.progress.advance(
                f"{self.dockerfile}, change {built.number} by builder {built.builder}: "
                f"{format_seconds(built.seconds)}, waited {format_seconds(built.waited)}"
            )

    def _build(self, builder: str, tree: Path) -> tuple[float, int | None, int | None]:
        """Build and push one commit."""
        site = self.site
        environment = {**site.environment, "CI": "true"}
        ours = self.dockerfile == OURS
        if ours:
            environment["DOCKYARD_BUILDER"] = builder
            command = invoke_command(sys.executable, push=True)
        else:
            repository = f"{site.registry.host}/bench/{self.dockerfile}"
            command = buildx_command(
                str(site.dockerfiles / self.dockerfile / "Dockerfile"),
                context=str(tree / site.settings.project),
                builder=builder,
                python_image=site.python_image,
                uv_image=site.uv_image,
                tag=f"{repository}:latest",
                push=True,
                caches=Caches(reference=f"{repository}:cache"),
            )
        built = run_timed(
            command,
            directory=tree,
            environment=environment,
            records=tree if ours else None,
            tick=self._check,
        )
        return built.seconds, built.steps_cached, built.steps_counted

    def _check(self) -> None:
        if self._stop.is_set():
            raise _Stopped
