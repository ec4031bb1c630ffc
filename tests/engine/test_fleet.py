"""A small fleet: real BuildKits, one registry, and nothing that is left of them."""

from __future__ import annotations

import io
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from dockyard.bench.fleet import run_fleet
from dockyard.bench.fleet_plan import FleetRequest
from dockyard.bench.progress import LineProgress
from dockyard.display.progress import LineWriter
from dockyard.settings import load_settings
from support.engine import docker
from support.index import PackageIndex
from support.measured import SIZES, measured_service
from support.service import Service


@pytest.fixture
def service(tmp_path: Path, package_index: PackageIndex, base_images: Any) -> Service:
    return measured_service(tmp_path, package_index, base_images)


def containers() -> set[tuple[str, str]]:
    """Names and identifiers of what runs for a fleet."""
    lines = docker("ps", "--all", "--no-trunc", "--format", "{{.Names}} {{.ID}}").splitlines()
    found = (line.partition(" ") for line in lines)
    return {(name, one) for name, _, one in found if "-fleet-" in name}


def test_a_fleet_reads_sources_and_not_layers(
    service: Service, package_index: PackageIndex
) -> None:
    environment = {name: os.environ[name] for name in ("PATH", "HOME")}
    environment["UV_DEFAULT_INDEX"] = package_index.url
    settings = load_settings(service.root, {}, {})
    shown = io.StringIO()
    # Two arrive at once, so that builders and pushes overlap; the third meets an emptied builder.
    request = FleetRequest(builders=2, builds=3, per_minute=600)
    progress = LineProgress(LineWriter(shown))
    fleet = run_fleet(settings, environment, request, None, progress)

    plan, ours = fleet.strategies
    assert [one.dockerfile for one in fleet.strategies] == ["plan", "dockyard"]
    for one in fleet.strategies:
        assert [build.number for build in one.builds] == [1, 2, 3]
        assert [build.builder for build in one.builds] == [1, 2, 1]
        assert all(build.seconds > 0 for build in one.builds)
        assert one.builds[2].waited > one.builds[1].waited
        assert one.package_bytes == 0
        assert one.received_bytes > 0
    # Each build of one layer reads that layer, and the base with it.
    assert plan.blob_bytes > 3 * sum(SIZES.values())
    assert 0 < ours.served_bytes < 3 * 64 * 1024
    assert all(one.steps_counted == (one.steps_cached or 0) + 1 for one in ours.builds)
    assert fleet.share is not None
    assert fleet.share <= 0.01
    assert "dockyard, change 3 by builder 1" in shown.getvalue()

    mine = f"dockyard-bench-{os.getpid()}-fleet-"
    assert [name for name, _ in containers() if name.startswith(mine)] == []
    assert mine not in docker("buildx", "ls")
    assert [path.name for path in (service.root / ".dockyard/bench").iterdir()] == ["files"]


def test_nothing_is_left_after_ctrl_c(service: Service, package_index: PackageIndex) -> None:
    others = {name for name, _ in containers()}
    seen: set[tuple[str, str]] = set()

    def builds_run() -> bool:
        seen.update(one for one in containers() if one[0] not in others)
        # The first builder is emptied once the first build is made: then changes are built.
        return len(seen) == 3

    done = service.interrupt_when(
        builds_run,
        signal.SIGINT,
        "bench",
        *("--fleet", "2", "--builds", "40", "--rate", "600"),
        UV_DEFAULT_INDEX=package_index.url,
    )
    assert len(seen) == 3, done.stderr
    assert done.status == 130
    assert "Traceback" not in done.stderr
    assert {name for name, _ in seen} & {name for name, _ in containers()} == set()
    listed = docker("buildx", "ls")
    assert [name for name, _ in seen if name in listed] == []
    assert [path.name for path in (service.root / ".dockyard/bench").iterdir()] == ["files"]
