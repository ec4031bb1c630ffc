"""The run: one cell after the other; the result is written after each, so a stopped one resumes."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dockyard import process
from dockyard.bench.empty_builders import builder_state, machine_memory
from dockyard.bench.fresh import FreshBuilders
from dockyard.bench.progress import outcome
from dockyard.bench.results import BenchResult, Machine, Measurement, Versions, write_result
from dockyard.bench.scenarios import Cell, Selection
from dockyard.bench.site import open_site
from dockyard.bench.warm import WarmEngine
from dockyard.bench.workspace import read_changes
from dockyard.errors import BuildFailedError, NetworkError, RecordError

if TYPE_CHECKING:
    from dockyard.bench.progress import BenchProgress
    from dockyard.settings import Settings

__all__ = ["EXAMPLES", "measured", "new_result", "resumed", "run_bench"]

EXAMPLES = "examples/bench"
# A cell during which the index had to ask upstream, or whose build failed, is measured again, so
# many times at most: BuildKit's own pushes fail now and then.
TRIES = 3


class Environment(Protocol):
    """Where builds run."""

    def measure(self, cell: Cell) -> Measurement:
        """Measure one cell."""


def run_bench(
    settings: Settings,
    environment: Mapping[str, str],
    result: BenchResult,
    path: Path,
    progress: BenchProgress,
) -> BenchResult:
    """Measure every cell that ``result`` lacks; ``path`` is written after each."""
    missing = result.missing()
    folder = settings.root / ".dockyard/bench" / f"run-{os.getpid()}"
    examples = settings.root / EXAMPLES
    progress.begin(len(missing))
    try:
        progress.say("starts the servers and copies the project")
        with open_site(
            settings,
            environment,
            folder=folder,
            bandwidth=result.bandwidth,
            changes=read_changes(examples / "changes.toml"),
            dockerfiles=examples,
        ) as site:
            site.prepare_variants(result.scenarios)
            environments: dict[str, Environment] = {
                "warm": WarmEngine(site),
                "registry": FreshBuilders(site, directory=False),
                "directory": FreshBuilders(site, directory=True),
            }
            for cell in missing:
                progress.say(str(cell))
                where = environments[cell.environment]
                measurement = measured(cell, where, lambda: site.index.fetched, progress.say)
                result = result.with_measurement(measurement)
                write_result(path, result)
                progress.advance(outcome(measurement))
    finally:
        progress.end()
    return result


def measured(
    cell: Cell,
    environment: Environment,
    fetched: Callable[[], Sequence[str]],
    say: Callable[[str], None],
) -> Measurement:
    """Measure a cell, again where it cannot count; ``fetched`` names what the index had to fetch.

    Raises NetworkError or BuildFailedError where no try counts.
    """
    failures = 0
    for left in reversed(range(TRIES)):
        try:
            measurement = environment.measure(cell)
        except BuildFailedError:
            failures += 1
            if not left:
                raise
            say(f"{cell}: the build failed, and is tried again")
            continue
        if not fetched():
            return replace(measurement, failures=failures)
    raise NetworkError(
        f"{cell}: the index had to be asked in each of {TRIES} tries, for {fetched()[-1]}",
        hint="check the network, and resume with --resume",
    )


def new_result(
    settings: Settings,
    environment: Mapping[str, str],
    selection: Selection,
    *,
    bandwidth: int | None,
    command: str,
) -> BenchResult:
    """Describe the run that is to come: machine, versions, what changes."""
    changes = read_changes(settings.root / EXAMPLES / "changes.toml")
    return BenchResult(
        started=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        command=command,
        project=settings.project,
        machine=_machine(),
        versions=_versions(settings, environment),
        bandwidth=bandwidth,
        repetitions=selection.repetitions,
        scenarios=selection.scenarios,
        dockerfiles=selection.dockerfiles,
        environments=selection.environments,
        changes={name: changes[name].text for name in selection.scenarios},
    )


def resumed(result: BenchResult, fresh: BenchResult, path: Path) -> BenchResult:
    """Return the stopped run to go on with. Raises RecordError where ``fresh`` would not fit it."""
    differences = [
        f"{name}: {old} then, {new} now"
        for name, old, new in (
            *_compared(result.versions, fresh.versions),
            *_compared(result.machine, fresh.machine),
            ("bandwidth", result.bandwidth, fresh.bandwidth),
            ("project", result.project, fresh.project),
        )
        if old != new
    ]
    differences += [
        f"{name}: {result.changes[name]} then, {fresh.changes[name]} now"
        for name in result.scenarios
        if name in fresh.changes and result.changes.get(name) != fresh.changes[name]
    ]
    if differences:
        raise RecordError(
            "what was measured does not go with what would be: " + "; ".join(differences),
            where=str(path),
            hint="measure anew without --resume, or put back what changed",
        )
    return replace(result)


def _compared(old: object, new: object) -> list[tuple[str, object, object]]:
    return [
        (name, value, vars(new)[name])
        for name, value in vars(old).items()
        if name != "commit" or _clean(value) != _clean(vars(new)[name])
    ]


def _clean(commit: str | None) -> str | None:
    # The result's own file may be what is not committed.
    return commit and commit.removesuffix("-dirty")


def _machine() -> Machine:
    cpu = platform.processor() or platform.machine()
    memory = machine_memory()
    try:
        if found := re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text()):
            cpu = " ".join(found[1].split())
    except OSError:
        pass
    try:
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        system = platform.system()
    named = f"{system}, {platform.release()}"
    return Machine(cpu, os.cpu_count() or 1, memory, named, builder_state(memory))


def _versions(settings: Settings, environment: Mapping[str, str]) -> Versions:
    from dockyard import __version__
    from dockyard.bench.images import resolve_images
    from dockyard.revision import begin_revision

    revision = begin_revision(settings.root, environment)
    images, engine = resolve_images(settings, environment)
    uv = process.run(
        ["docker", "run", "--rm", "--entrypoint", "/uv", images.uv, "--version"], timeout=60
    )
    tag = images.buildkit.partition("@")[0].rpartition(":")[2]
    return Versions(
        dockyard=__version__,
        commit=revision().short,
        engine=engine.version,
        buildx=engine.buildx,
        buildkit=tag or None,
        uv=uv.stdout.strip().removeprefix("uv ").partition(" ")[0],
        python_image=images.python,
        uv_image=images.uv,
    )
