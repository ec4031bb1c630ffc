"""Records, a bench's result and an explanation as a report shows them, hostile texts among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dockyard.bench.commits_result import CommitMeasurement, CommitReplay
from dockyard.bench.results import BenchResult, Machine, Measurement, Versions
from dockyard.bench.scenarios import cells, select
from dockyard.record_parts import (
    InputsRecord,
    LayerRecord,
    PackageRecord,
    StepRecord,
    TrafficRecord,
)
from dockyard.records import BuildRecord
from support.records import make_record

__all__ = ["HOSTILE", "make_builds", "make_result", "make_step", "package", "rich_record"]

HOSTILE = (
    "</script><script>document.title='broken out'</script>"
    "<img src=x onerror=\"document.title='broken out'\">"
    '<a href="https://example.com/">&amp;"\'\x1b[31m\x07\ud800%{x}{{ 7 * 7 }}'
)
DAY = "2026-01-01"


def make_step(
    stage: str | None,
    start: float | None,
    seconds: float,
    *,
    kind: str = "run",
    instruction: str = "RUN true",
    cached: bool = False,
    **more: Any,
) -> StepRecord:
    """Return a step that began ``start`` seconds after midnight, None for one not needed."""
    return StepRecord(
        stage=stage,
        kind=kind,
        instruction=instruction,
        started=None if start is None else f"{DAY}T00:{int(start // 60):02}:{start % 60:06.3f}Z",
        seconds=seconds,
        cached=cached,
        ran=not cached and start is not None,
        **more,
    )


def package(name: str, layer: int, size: int | None = None) -> PackageRecord:
    """Return version 1.0 of a package, whose distribution has so many bytes."""
    return PackageRecord(name, "1.0", f"{name}-1.0", layer, bytes=size)


def rich_record(hostile: str = "", **changes: Any) -> BuildRecord:
    """Return a build of which everything is known; ``hostile`` stands in each of its texts."""
    steps = (
        make_step(None, 0.0, 0.1, kind="context", instruction=f"load {hostile}", bytes=941),
        make_step("app-builder", 0.1, 0.2, kind="copy", instruction=f"COPY src {hostile}"),
        make_step("app-builder", 0.1, 0.0, kind="copy", instruction="COPY lib", cached=True),
        make_step(f"dependencies-1{hostile}", 0.2, 4.0, instruction=f"RUN {hostile}"),
        make_step("dependencies-2", 0.2, 3.0, error=f"exit code 1 {hostile}"),
        make_step(None, 4.2, 1.0, kind="export", instruction="exporting", bytes=30_000_000),
    )
    values: dict[str, Any] = {
        "project": {"name": f"service{hostile}", "version": f"1.2{hostile}"},
        "revision": {"commit": f"01234{hostile}", "branch": f"main{hostile}", "dirty": True},
        "steps": steps,
        "layers": (
            LayerRecord("base", 100_000_000),
            LayerRecord("environment", 90_000),
            LayerRecord("dependencies-1", 80_000_000, (f"big{hostile}",)),
            LayerRecord("dependencies-2", 30_000_000, ("one", "two")),
            LayerRecord(f"src{hostile}", 60_000),
        ),
        "traffic": TrafficRecord(
            context_sent=941,
            base_read=0,
            cache_read=35_000,
            layers_pushed=19_000,
            layers_skipped=140_000_000,
            packages_downloaded=20_000_000,
            packages_cached=5_000_000,
            unknown={"cache_written": f"the builder does not tell {hostile}"},
        ),
        "inputs": InputsRecord(
            packages=(
                package(f"big{hostile}", 1, 30_000_000),
                package("one", 2, 2_000_000),
                package("two", 2, 1_000_000),
            )
        ),
        "notes": (f"a note {hostile}",),
        "warnings": (f"a warning {hostile}",),
        "error": f"an error {hostile}" if hostile else None,
    }
    return make_record(**{**values, **changes})


def make_builds(count: int, **changes: Any) -> list[BuildRecord]:
    """Return so many builds, the newest first, a minute apart, every tenth failed."""
    return [
        rich_record(
            id=f"20260101T{number // 60:02}{number % 60:02}00.000Z-1",
            started=f"{DAY}T{number // 60:02}:{number % 60:02}:00.000Z",
            seconds=1.0 + number % 7 * 3,
            outcome="failed" if number % 10 == 9 else "succeeded",
            **changes,
        )
        for number in reversed(range(count))
    ]


def make_result(hostile: str = "", *, left: int = 0, **changes: Any) -> BenchResult:
    """Return a bench of two repetitions in which Dockyard is best; the last cells are missing."""
    selection = select(
        ("code-change", "first-build"), ("original", "dockyard"), ("warm", "registry"), 2
    )
    wanted: Sequence[Any] = cells(selection)
    measurements = []
    for cell in wanted[: len(wanted) - left]:
        seconds = (2.0 if cell.dockerfile == "dockyard" else 40.0) + cell.repetition / 2
        remote = cell.environment == "registry"
        measurements.append(
            Measurement(
                repetition=cell.repetition,
                environment=cell.environment,
                scenario=cell.scenario,
                dockerfile=cell.dockerfile,
                started=f"{DAY}T00:00:00.000Z",
                seconds=seconds,
                bytes_down=int(seconds * 1_000_000) if remote else 0,
                bytes_up=int(seconds * 500_000) if remote else 0,
                bytes_pulled=None,
                steps_cached=18,
                steps_counted=23,
            )
        )
    values: dict[str, Any] = {
        "started": f"{DAY}T00:00:00.000Z",
        "command": f"invoke bench {hostile}",
        "project": f"examples/service {hostile}",
        "machine": Machine(f"A processor {hostile}", 2, 8_000_000_000, "Linux"),
        "versions": Versions("0.1.0", "ab" * 20, "28.5", "0.29", None, "0.13", "python", "uv"),
        "bandwidth": 100_000_000,
        "repetitions": 2,
        "scenarios": selection.scenarios,
        "dockerfiles": selection.dockerfiles,
        "environments": selection.environments,
        "changes": {"code-change": f"one line {hostile}"},
        "measurements": tuple(measurements),
        "replays": (
            CommitReplay(
                project="examples/service",
                environment="warm",
                started=f"{DAY}T00:00:00.000Z",
                count=4,
                seed=1,
                mark="mark",
                commits=(
                    CommitMeasurement(1, "code", hostile, 0.5, 1.0, 0.75, 0.95, 20_000, 0, 0),
                    CommitMeasurement(2, "code", "b", 1.5, 1.0, None, 0.97, 40_000, 0, 0),
                    CommitMeasurement(3, f"lock {hostile}", "c", 4.0, 0.8, 1.0, 0.9),
                ),
            ),
        ),
    }
    return BenchResult(**{**values, **changes})
