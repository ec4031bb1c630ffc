"""What a fleet moved and how long its builds took; part of a bench's result."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from dockyard.bench.dockerfiles import OURS
from dockyard.bench.scenarios import DOCKERFILES
from dockyard.display.format import format_bytes, format_count, format_seconds

__all__ = [
    "BASE",
    "HEADINGS",
    "FleetBuild",
    "FleetResult",
    "FleetStrategy",
    "fleet_json",
    "fleet_lines",
    "fleet_markdown",
    "fleet_of",
    "fleet_rows",
    "fleet_title",
    "percentile",
]

BASE = "plan"
"""The Dockerfile that Dockyard's is held against: one dependency layer."""
HEADINGS = ("", "builds", "from the registry", "each", "to it", "p50", "p95", "waited p95")


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which ``share`` (0 to 1) of them lie, interpolated linearly.

    The lowest is the percentile of 0, the highest of 1. Raises ValueError where there is none.
    """
    if not values:
        raise ValueError("nothing was measured")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


@dataclass(frozen=True)
class FleetBuild:
    """One build: the seconds after the fleet's start when it ``arrived``, and those it ``waited``.

    It waited for its builder; ``seconds`` are those of the command, from its start to its end.
    """

    number: int
    builder: int
    arrived: float
    waited: float
    seconds: float
    steps_cached: int | None
    steps_counted: int | None


@dataclass(frozen=True)
class FleetStrategy:
    """All builds with one Dockerfile, and what moved while they ran, in bytes of bodies.

    The registry sent ``blob_bytes`` and ``manifest_bytes`` (manifests, and answers that there is
    none), and was sent ``received_bytes``. ``package_bytes`` came from the package index.
    """

    dockerfile: str
    builds: tuple[FleetBuild, ...]
    blob_bytes: int
    manifest_bytes: int
    received_bytes: int
    package_bytes: int = 0

    @property
    def served_bytes(self) -> int:
        """All that the registry sent."""
        return self.blob_bytes + self.manifest_bytes

    def mean(self, name: str) -> float:
        """Average a figure of the builds (``seconds``), or divide one of all by their number."""
        if name == "seconds":
            return statistics.fmean(one.seconds for one in self.builds)
        total: int = getattr(self, name)
        return total / len(self.builds)

    def seconds(self, share: float) -> float:
        """Return a percentile of the builds' seconds, without what they waited."""
        return percentile([one.seconds for one in self.builds], share)

    def waited(self, share: float) -> float:
        """Return a percentile of the seconds that builds waited for their builder."""
        return percentile([one.waited for one in self.builds], share)


@dataclass(frozen=True)
class FleetResult:
    """A fleet of so many builders, and what it did with each Dockerfile.

    ``per_minute`` is the mean rate of arrivals, drawn with ``seed``. ``bandwidth`` is that of the
    registry's line, in bits per second and direction, null where it was not shaped.
    ``keeps_state``: builders kept what earlier builds left; else each build met an empty one.
    """

    started: str
    builders: int
    per_minute: float
    seed: int
    bandwidth: int | None
    keeps_state: bool
    strategies: tuple[FleetStrategy, ...]

    def of(self, dockerfile: str) -> FleetStrategy | None:
        """Return what was measured with one Dockerfile."""
        return next((one for one in self.strategies if one.dockerfile == dockerfile), None)

    @property
    def share(self) -> float | None:
        """What the registry served for Dockyard's builds over the same for one layer."""
        ours, base = self.of(OURS), self.of(BASE)
        if ours is None or base is None or not base.served_bytes:
            return None
        return ours.served_bytes / base.served_bytes


def fleet_of(values: Any) -> FleetResult:
    """Make a fleet's result of JSON values; unknown keys are left out. Raises ValueError."""
    try:
        strategies = tuple(
            FleetStrategy(
                **{
                    **_known(FleetStrategy, one),
                    "builds": tuple(
                        FleetBuild(**_known(FleetBuild, each)) for each in one["builds"]
                    ),
                }
            )
            for one in values["strategies"]
        )
        return FleetResult(**{**_known(FleetResult, values), "strategies": strategies})
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is no fleet's result: {error}") from error


def _known(kind: type[Any], values: dict[str, Any]) -> dict[str, Any]:
    return {one.name: values[one.name] for one in fields(kind) if one.name in values}


def fleet_json(fleet: FleetResult) -> dict[str, Any]:
    """Return JSON values, with what is computed of them."""
    values = asdict(fleet)
    for one, strategy in zip(values["strategies"], fleet.strategies, strict=True):
        one["summary"] = {
            "served_bytes": strategy.served_bytes,
            "seconds_p50": round(strategy.seconds(0.5), 3),
            "seconds_p95": round(strategy.seconds(0.95), 3),
            "waited_p95": round(strategy.waited(0.95), 3),
        }
    return values | {"share": fleet.share}


def fleet_title(fleet: FleetResult) -> str:
    """Say in a line what a fleet was."""
    state = "that keep their state" if fleet.keeps_state else "that start each build empty"
    return (
        f"Fleet of {format_count(fleet.builders, 'builder')} {state}, "
        f"{fleet.per_minute:g} code changes a minute"
    )


def fleet_rows(fleet: FleetResult) -> list[list[str]]:
    """Lay a fleet out under HEADINGS, a row for each Dockerfile."""
    return [
        [
            DOCKERFILES.get(one.dockerfile, one.dockerfile),
            str(len(one.builds)),
            format_bytes(one.served_bytes),
            format_bytes(one.mean("served_bytes")),
            format_bytes(one.received_bytes),
            format_seconds(one.seconds(0.5)),
            format_seconds(one.seconds(0.95)),
            format_seconds(one.waited(0.95)),
        ]
        for one in fleet.strategies
    ]


def fleet_lines(fleet: FleetResult) -> list[str]:
    """Write a fleet's result as text."""
    from dockyard.display.tables import columns

    return [
        f"{fleet_title(fleet)}, seed {fleet.seed}",
        *columns(HEADINGS, fleet_rows(fleet), right=set(range(1, len(HEADINGS)))),
    ]


def fleet_markdown(fleet: FleetResult) -> str:
    """Write a fleet's result as a Markdown table."""
    rows = [list(HEADINGS), ["---", *["---:"] * (len(HEADINGS) - 1)], *fleet_rows(fleet)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
