"""What so many code changes a day move and cost, computed from a fleet's measured figures. Pure.

``python -m dockyard.bench.scale docs/bench/fleet.json --update docs/scale.md`` writes the tables of
that page between its markers; ``--egress`` and ``--hour`` are other prices.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dockyard.bench.fleet_result import FleetResult, FleetStrategy
from dockyard.bench.scenarios import DOCKERFILES
from dockyard.display.format import format_bytes, format_seconds
from dockyard.errors import RecordError

__all__ = [
    "END",
    "TEAMS",
    "Assumptions",
    "Load",
    "begin",
    "builders_needed",
    "load_of",
    "scale_markdown",
    "waiting_probability",
    "with_scale",
]

TEAMS = (10, 100, 10_000)
END = "<!-- scale: end -->"
_REGION = re.compile(r"<!-- scale: begin (\S+) -->\n.*?" + re.escape(END), re.DOTALL)
GIGABYTE = 10**9


@dataclass(frozen=True)
class Assumptions:
    """What is not measured.

    ``egress`` is the price of a gigabyte (10^9 bytes) from the registry and ``hour`` that of one
    builder for an hour, in US dollars. Builds come on ``days`` a month, during ``hours`` of them.
    Of all builds at most the share ``waiting`` is to meet no free builder.
    """

    egress: float = 0.09
    hour: float = 0.48
    days: int = 30
    hours: float = 8.0
    waiting: float = 0.05


@dataclass(frozen=True)
class Load:
    """What so many builds a day come to.

    Bytes a day from the registry (``served``) and to it (``received``); ``line``: the bits per
    second that it sends on average during the hours of work; ``builder_hours`` a day; how many
    ``builders``; ``egress`` and ``compute``: US dollars a month.
    """

    served: float
    received: float
    line: float
    builder_hours: float
    builders: int
    egress: float
    compute: float


def waiting_probability(builders: int, load: float) -> float:
    """Return Erlang's C: the share of builds that meet no free builder.

    ``load`` is the mean number of builds that run at once, arrivals being a Poisson process and
    durations exponential; those of code changes vary less, so fewer wait. 1 where ``load`` is as
    much as all builders, or more.
    """
    if load >= builders:
        return 1.0
    blocked = 1.0  # Erlang's B, by its recursion over the number of builders
    for number in range(1, builders + 1):
        blocked = load * blocked / (number + load * blocked)
    return blocked / (1 - load / builders * (1 - blocked))


def builders_needed(load: float, waiting: float) -> int:
    """Return the least number of builders with which at most that share of builds waits."""
    builders = 1
    while waiting_probability(builders, load) > waiting:
        builders += 1
    return builders


def load_of(strategy: FleetStrategy, builds: int, assumed: Assumptions) -> Load:
    """Compute what so many builds a day come to with one Dockerfile."""
    seconds = strategy.mean("seconds")
    served = builds * strategy.mean("served_bytes")
    per_second = builds / (assumed.hours * 3600)
    builder_hours = builds * seconds / 3600
    return Load(
        served=served,
        received=builds * strategy.mean("received_bytes"),
        line=8 * served / (assumed.hours * 3600),
        builder_hours=builder_hours,
        builders=builders_needed(per_second * seconds, assumed.waiting),
        egress=assumed.days * served / GIGABYTE * assumed.egress,
        compute=assumed.days * builder_hours * assumed.hour,
    )


def _table(rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(rows[0]) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (rows[0], rule, *rows[1:]))


def _name(strategy: FleetStrategy) -> str:
    return DOCKERFILES.get(strategy.dockerfile, strategy.dockerfile)


def _dollars(amount: float) -> str:
    return f"{amount:,.0f} USD" if amount >= 100 else f"{amount:.2f} USD"


def _line(bits: float) -> str:
    return f"{bits / 10**6:,.2f} Mbit/s" if bits >= 10**4 else f"{bits / 10**3:.2f} kbit/s"


def _hours(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.1f} min"


def scale_markdown(fleet: FleetResult, assumed: Assumptions) -> str:
    """Write the measured figures, and what they come to for each number of builds a day."""
    measured = [
        ["a code change", "b", "u", "s", "p50", "p95"],
        *(
            [
                _name(one),
                format_bytes(one.mean("served_bytes")),
                format_bytes(one.mean("received_bytes")),
                format_seconds(one.mean("seconds")),
                format_seconds(one.seconds(0.5)),
                format_seconds(one.seconds(0.95)),
            ]
            for one in fleet.strategies
        ),
    ]
    loads = [["D", "", "B", "U", "L", "H", "N", "E", "K"]]
    for builds in TEAMS:
        for one in fleet.strategies:
            load = load_of(one, builds, assumed)
            loads.append(
                [
                    f"{builds:,}",
                    _name(one),
                    format_bytes(load.served),
                    format_bytes(load.received),
                    _line(load.line),
                    _hours(load.builder_hours),
                    str(load.builders),
                    _dollars(load.egress),
                    _dollars(load.compute),
                ]
            )
    given = (
        f"With p = {assumed.egress:g} USD per GB, q = {assumed.hour:g} USD per builder and hour, "
        f"d = {assumed.days} days a month, T = {assumed.hours:g} hours a day and "
        f"w = {assumed.waiting:.0%}:"
    )
    return "\n\n".join([_table(measured), given, _table(loads)]) + "\n"


def begin(name: str) -> str:
    """Write the line that the tables' region begins with; ``name`` is the result's path."""
    return f"<!-- scale: begin {name} -->"


def with_scale(text: str, name: str, fleet: FleetResult, assumed: Assumptions) -> str:
    """Put the tables into the region of the result ``name``. Raises RecordError without one."""
    for found in _REGION.finditer(text):
        if found[1] == name:
            tables = scale_markdown(fleet, assumed)
            return text.replace(found[0], f"{begin(name)}\n\n{tables}\n{END}")
    raise RecordError(
        "there is no place for the tables",
        hint=f"write the lines {begin(name)} and {END} where they are to stand",
    )


def _main(arguments: Sequence[str]) -> None:
    import argparse

    from dockyard.bench.results import read_result
    from dockyard.state import write_atomically

    parser = argparse.ArgumentParser(description=__doc__, prog="python -m dockyard.bench.scale")
    default = Assumptions()
    parser.add_argument("result", type=Path, help="a bench's result with a fleet")
    parser.add_argument("--egress", type=float, default=default.egress, help="USD per GB")
    parser.add_argument("--hour", type=float, default=default.hour, help="USD per builder's hour")
    parser.add_argument("--update", type=Path, help="write the tables into this Markdown file")
    flags = parser.parse_args(arguments)
    fleets = [one for one in read_result(flags.result).fleets if not one.keeps_state]
    if not fleets:
        parser.error(f"{flags.result} has no fleet whose builders start empty")
    assumed = Assumptions(egress=flags.egress, hour=flags.hour)
    if flags.update:
        before = flags.update.read_text(encoding="utf-8")
        after = with_scale(before, flags.result.as_posix(), fleets[0], assumed)
        write_atomically(flags.update, after)
    else:
        sys.stdout.write(scale_markdown(fleets[0], assumed))


if __name__ == "__main__":
    _main(sys.argv[1:])
