"""What ``invoke bench --fleet`` does with its flags: plan, run, and keep the result."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from dockyard.bench.bandwidth import parse_bandwidth
from dockyard.bench.fleet_plan import FleetRequest, PlannedBuild
from dockyard.bench.fleet_result import fleet_json, fleet_lines
from dockyard.bench.results import read_result, write_result
from dockyard.bench.scenarios import Selection
from dockyard.display.format import format_count, format_seconds
from dockyard.state import prepare_state_folder

if TYPE_CHECKING:
    from dockyard.settings import Settings

__all__ = ["fleet_text", "plan_lines"]

# On a machine of two cores: servers and copies, then builders and the first build of each
# Dockerfile, and the last build after its arrival.
SETUP_SECONDS, EACH_SECONDS = 40.0, 65.0


def fleet_text(
    settings: Settings,
    request: FleetRequest,
    environment: Mapping[str, str],
    stream: TextIO,
    *,
    bandwidth: str = "",
    output: str = "",
    dry_run: bool = False,
    as_json: bool = False,
) -> str:
    """Run a fleet, or list what it would do; the text of its result. Progress goes to ``stream``.

    ``output`` is a bench's result, which the fleet is added to, or a file that is not there yet and
    gets a result with the fleet alone; without it that is a new one in ``.dockyard/bench``. Raises
    RecordError where the first cannot be read, before anything is built.
    """
    from dockyard.bench.fleet import planned, run_fleet
    from dockyard.bench.progress import choose_bench_progress
    from dockyard.bench.runner import new_result
    from dockyard.bench.verdicts import fleet_verdict, verdict_line

    bits = parse_bandwidth(bandwidth) if bandwidth else None
    builds = planned(settings, request)
    if dry_run:
        return "\n".join(plan_lines(request, builds))
    path = Path(output) if output else _new_path(settings)
    if path.exists():
        result = read_result(path)
    else:
        command = shlex.join(["invoke", *sys.argv[1:]])
        nothing = Selection((), (), (), 1)
        result = new_result(settings, environment, nothing, bandwidth=bits, command=command)
    progress = choose_bench_progress(stream, environment, progress=settings.progress)
    fleet = run_fleet(settings, environment, request, bits, progress)
    # A bench may have gone on with it meanwhile.
    latest = read_result(path) if path.exists() else result
    write_result(path, latest.with_fleet(fleet))
    stream.write(f"the result is written to {path}: `invoke report --bench {path}` shows it\n")
    if as_json:
        import json

        return json.dumps(fleet_json(fleet), indent=1, ensure_ascii=False)
    verdict = fleet_verdict(fleet)
    return "\n".join([*fleet_lines(fleet), *([verdict_line(verdict)] if verdict else [])])


def _new_path(settings: Settings) -> Path:
    folder = prepare_state_folder(settings.root) / "bench"
    # Not named as a bench's own results are: it is none to resume, nor what a report shows unasked.
    return folder / f"fleet-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"


def plan_lines(request: FleetRequest, builds: tuple[PlannedBuild, ...]) -> list[str]:
    """List the plan, and about how long it takes."""
    from dockyard.bench.fleet import STRATEGIES

    seconds = SETUP_SECONDS + len(STRATEGIES) * (EACH_SECONDS + builds[-1].arrives)
    minutes = format_count(round(seconds / 60), "minute")
    return [
        *(
            f"{one.number}. after {format_seconds(one.arrives)}, builder {one.builder}: "
            f"{one.change.summary}"
            for one in builds
        ),
        f"{format_count(len(builds), 'build')} with each of {', '.join(STRATEGIES)}, by "
        f"{format_count(request.builders, 'builder')}: about {minutes} without --bandwidth",
    ]
