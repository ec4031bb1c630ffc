"""What a bench measured, as one JSON file: written after every cell, whole or not at all.

The schema is :class:`BenchResult`, ``SCHEMA`` its version. Times are RFC 3339 in UTC, durations
seconds, sizes bytes; null means unknown, never zero. A result that lacks cells is one that was
stopped: :meth:`BenchResult.missing` names them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from dockyard.bench.commits_result import CommitReplay, replay_of
from dockyard.bench.fleet_result import FleetResult, fleet_json, fleet_of
from dockyard.bench.scenarios import Cell, Selection, cells
from dockyard.errors import RecordError
from dockyard.state import write_atomically

__all__ = [
    "DISK",
    "MEMORY",
    "SCHEMA",
    "BenchResult",
    "Machine",
    "Measurement",
    "Versions",
    "read_result",
    "write_result",
]

SCHEMA = 1

# Where builders that start empty kept their state.
DISK, MEMORY = "disk", "memory"


@dataclass(frozen=True)
class Machine:
    """What the bench ran on: the processor's model, its cores, memory in bytes, the system.

    ``builder_state``: where builders that start empty kept their state, ``memory`` or ``disk``.
    """

    cpu: str
    cores: int
    memory: int
    system: str
    builder_state: str = DISK


@dataclass(frozen=True)
class Versions:
    """The tools that the bench ran; ``commit`` is Dockyard's, with ``-dirty`` where it was."""

    dockyard: str
    commit: str | None
    engine: str
    buildx: str
    buildkit: str | None
    uv: str
    python_image: str
    uv_image: str


@dataclass(frozen=True)
class Measurement:
    """One cell's figures.

    ``seconds`` is all that the user waits for, the sum of ``phases`` (``build``, and where a cache
    directory travels ``restore`` and ``save``). ``bytes_down`` and ``bytes_up`` are bodies alone:
    what came from the registry, the package index and the cache's archive, and what went to
    registry and archive; ``traffic`` divides them (``registry_down``, ``registry_up``, ``index``,
    ``cache_down``, ``cache_up``). ``bytes_pulled`` is what a machine that holds the image from
    before the change pulls; after a first build it is all of the image but its base.
    ``steps_cached`` of ``steps_counted`` instructions of the Dockerfile were cached.
    ``failures`` builds failed before this one; none of their figures is in these.
    """

    repetition: int
    environment: str
    scenario: str
    dockerfile: str
    started: str
    seconds: float
    bytes_down: int
    bytes_up: int
    bytes_pulled: int | None
    steps_cached: int | None
    steps_counted: int | None
    phases: dict[str, float] = field(default_factory=dict)
    traffic: dict[str, int] = field(default_factory=dict)
    failures: int = 0

    @property
    def cell(self) -> Cell:
        """Which one it is."""
        return Cell(self.repetition, self.environment, self.scenario, self.dockerfile)


@dataclass(frozen=True)
class BenchResult:
    """One run, whole or stopped.

    ``command`` is the command line. ``bandwidth`` is in bits per second and direction, null where
    nothing was shaped. ``changes`` says for each scenario what changed. ``replays`` has commits
    that were replayed, once for each environment, ``fleets`` fleets of builders that built changes.
    """

    started: str
    command: str
    project: str
    machine: Machine
    versions: Versions
    bandwidth: int | None
    repetitions: int
    scenarios: tuple[str, ...]
    dockerfiles: tuple[str, ...]
    environments: tuple[str, ...]
    changes: dict[str, str]
    measurements: tuple[Measurement, ...] = ()
    replays: tuple[CommitReplay, ...] = ()
    fleets: tuple[FleetResult, ...] = ()
    schema: int = SCHEMA

    @property
    def selection(self) -> Selection:
        """What it measures."""
        return Selection(self.scenarios, self.dockerfiles, self.environments, self.repetitions)

    def missing(self) -> tuple[Cell, ...]:
        """List the cells that were not measured, in their order."""
        made = {one.cell for one in self.measurements}
        return tuple(cell for cell in cells(self.selection) if cell not in made)

    def of(self, environment: str, scenario: str, dockerfile: str) -> tuple[Measurement, ...]:
        """Return all repetitions of one cell."""
        wanted = (environment, scenario, dockerfile)
        return tuple(
            one
            for one in self.measurements
            if (one.environment, one.scenario, one.dockerfile) == wanted
        )

    def with_measurement(self, measurement: Measurement) -> BenchResult:
        """Add one, in place of an earlier one of the same cell."""
        others = (one for one in self.measurements if one.cell != measurement.cell)
        return replace(self, measurements=(*others, measurement))

    def with_replay(self, replayed: CommitReplay) -> BenchResult:
        """Add a replay of commits, in place of an earlier one of the same environment."""
        others = (one for one in self.replays if one.environment != replayed.environment)
        return replace(self, replays=(*others, replayed))

    def with_fleet(self, fleet: FleetResult) -> BenchResult:
        """Add a fleet, in place of an earlier one of as many builders of the same kind."""

        def kind(one: FleetResult) -> tuple[object, ...]:
            return (one.builders, one.keeps_state, one.bandwidth)

        others = (one for one in self.fleets if kind(one) != kind(fleet))
        return replace(self, fleets=(*others, fleet))

    def as_json(self) -> str:
        """Render as indented JSON with the schema first."""
        values = asdict(self) | {
            "replays": [one.as_json() for one in self.replays],
            "fleets": [fleet_json(one) for one in self.fleets],
        }
        return json.dumps({"schema": values.pop("schema"), **values}, indent=1, ensure_ascii=False)


def _read(kind: type[Any], values: Any) -> Any:
    """Make a dataclass of a JSON object; unknown keys are left out."""
    if not isinstance(values, dict):
        raise TypeError(f"{kind.__name__} is no object")
    return kind(**{one.name: values[one.name] for one in fields(kind) if one.name in values})


def _tuple(values: Any, kinds: Iterable[type[Any]]) -> tuple[Any, ...]:
    if not isinstance(values, list) or not all(isinstance(one, tuple(kinds)) for one in values):
        raise TypeError("a list is none, or holds something else")
    return tuple(values)


def read_result(path: Path) -> BenchResult:
    """Read a result. Raises RecordError where it is missing, truncated, or of a newer schema."""

    def unreadable(reason: str, hint: str) -> RecordError:
        return RecordError(
            f"the bench's result cannot be read: {reason}", where=str(path), hint=hint
        )

    again = "`invoke bench` measures anew; the file is left as it is"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise unreadable(error.strerror or str(error), "check the path") from error
    except ValueError as error:
        raise unreadable("it is no whole JSON file", again) from error
    if not isinstance(values, dict) or not isinstance(values.get("schema"), int):
        raise unreadable("it has no schema version", again)
    if values["schema"] > SCHEMA:
        reason = f"its schema {values['schema']} is newer than this Dockyard's {SCHEMA}"
        raise unreadable(reason, "update Dockyard")
    try:
        names = {
            name: _tuple(values[name], [str])
            for name in ("scenarios", "dockerfiles", "environments")
        }
        measured = _tuple(values.get("measurements", []), [dict])
        result: BenchResult = _read(
            BenchResult,
            {
                **values,
                **names,
                "machine": _read(Machine, values["machine"]),
                "versions": _read(Versions, values["versions"]),
                "measurements": tuple(_read(Measurement, one) for one in measured),
                "replays": tuple(map(replay_of, _tuple(values.get("replays", []), [dict]))),
                "fleets": tuple(map(fleet_of, _tuple(values.get("fleets", []), [dict]))),
            },
        )
    except (KeyError, TypeError, ValueError) as error:
        raise unreadable(f"it lacks or misshapes a field: {error}", again) from error
    return result


def write_result(path: Path, result: BenchResult) -> None:
    """Write a result atomically. Raises RecordError where that cannot be."""
    try:
        write_atomically(path, result.as_json() + "\n")
    except OSError as error:
        raise RecordError(
            f"the bench's result cannot be written: {error.strerror}",
            where=str(path),
            hint="free some space or name another place with --output",
        ) from error
