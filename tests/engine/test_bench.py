"""One small bench, of everything that it has: servers, seeds, fresh builders, the result."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest

from dockyard.bench.progress import LineProgress
from dockyard.bench.results import BenchResult, Measurement, read_result
from dockyard.bench.runner import new_result, run_bench
from dockyard.bench.scenarios import select
from dockyard.display.progress import LineWriter
from dockyard.settings import load_settings
from support.engine import docker
from support.index import PackageIndex
from support.measured import SIZES, measured_service
from support.service import Service

# It removes steps from the engine's own builder, and its speed is what it measures.
pytestmark = pytest.mark.alone


@pytest.fixture
def service(tmp_path: Path, package_index: PackageIndex, base_images: Any) -> Service:
    return measured_service(tmp_path, package_index, base_images)


def names(*arguments: str) -> set[str]:
    ours = f"dockyard-bench-{os.getpid()}"
    return {line for line in docker(*arguments).splitlines() if ours in line}


def test_a_bench_counts_what_moved_and_leaves_nothing_behind(
    service: Service, package_index: PackageIndex, tmp_path: Path
) -> None:
    environment = {name: os.environ[name] for name in ("PATH", "HOME")}
    environment["UV_DEFAULT_INDEX"] = package_index.url
    settings = load_settings(service.root, {}, {})
    selection = select(
        ["code-change", "small-dependency"], ["plan", "dockyard"], ["registry"], repetitions=1
    )
    begun = new_result(settings, environment, selection, bandwidth=None, command="invoke bench")
    path, shown = tmp_path / "result.json", io.StringIO()
    result = run_bench(settings, environment, begun, path, LineProgress(LineWriter(shown)))

    assert result.missing() == ()
    assert read_result(path) == result
    assert "[4/4]" in shown.getvalue()

    code, small = (figures(result, name) for name in ("code-change", "small-dependency"))
    for one in result.measurements:
        assert one.bytes_down == one.traffic["registry_down"] + one.traffic["index"]
        assert one.bytes_up == one.traffic["registry_up"]
        assert one.seconds == one.phases["build"] > 0
    # The packages' bytes do not compress: they are what travels.
    assert code["dockyard"].bytes_down < 64 * 1024
    assert code["dockyard"].steps_counted == (code["dockyard"].steps_cached or 0) + 1
    assert code["plan"].bytes_down > sum(SIZES.values())
    assert code["plan"].traffic["index"] == code["dockyard"].traffic["index"] == 0
    for name in ("plan", "dockyard"):
        pulled = code[name].bytes_pulled
        assert pulled is not None
        assert 0 < pulled < 64 * 1024
    whole, part = small["plan"], small["dockyard"]
    assert whole.traffic["index"] > sum(SIZES.values())
    assert SIZES["small"] < part.traffic["index"] < SIZES["large"]
    assert whole.bytes_up > 2 * sum(SIZES.values())  # the image's layer, and the cache's
    assert SIZES["small"] < part.bytes_up < 2 * SIZES["small"] + 64 * 1024
    assert (whole.bytes_pulled or 0) > sum(SIZES.values())
    assert SIZES["small"] < (part.bytes_pulled or 0) < SIZES["large"]

    # Fetched once, whoever asked how often.
    for wheel in tmp_path.glob("*.whl"):
        assert package_index.bytes_served(wheel.name) in (0, wheel.stat().st_size)
    left = [path.name for path in (service.root / ".dockyard/bench").iterdir()]
    assert left == ["files"]
    assert names("buildx", "ls") == set()
    assert names("ps", "--all", "--format", "{{.Names}}") == set()
    assert names("image", "ls", "--format", "{{.Repository}}") == set()


def figures(result: BenchResult, scenario: str) -> dict[str, Measurement]:
    return {name: result.of("registry", scenario, name)[0] for name in ("plan", "dockyard")}
