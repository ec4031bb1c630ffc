"""What a replay of commits measured: hit rates, seconds and bytes, each commit and on average."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from dockyard.bench.commits_plan import Kind
from dockyard.display.format import format_bytes, format_seconds
from dockyard.records import BuildRecord

__all__ = [
    "RATES",
    "CommitMeasurement",
    "CommitReplay",
    "Traffic",
    "measure_commit",
    "read_replay",
    "replay_lines",
    "replay_markdown",
    "replay_of",
]

RATES = ("dependency", "application", "overall")


@dataclass(frozen=True)
class Traffic:
    """Bytes as a registry counted them, where a build is not asked itself; None is unknown."""

    pulled: int | None = None
    downloaded: int | None = None
    pushed: int | None = None


@dataclass(frozen=True)
class CommitMeasurement:
    """One commit's build; rates are shares of steps cached, as the build's record counts them.

    ``seconds``: of the whole build. ``bytes_pulled``: compressed, what a machine that holds the
    image from before pulls. ``bytes_downloaded``: of packages, base images and caches.
    ``bytes_pushed``: of the image and caches. None is unknown. ``ran``: the steps that ran, of
    those that the rates count.
    """

    number: int
    kind: str
    summary: str
    seconds: float
    dependency: float | None
    application: float | None
    overall: float | None
    bytes_pulled: int | None = None
    bytes_downloaded: int | None = None
    bytes_pushed: int | None = None
    ran: tuple[str, ...] = ()


@dataclass(frozen=True)
class CommitReplay:
    """A replay, whole or stopped: ``commits`` of ``count`` are measured, in their order.

    ``mark`` is its own, in all that it writes. ``versions``: what small and large dependencies are
    changed to, in order. ``head`` is the work copy's last finished commit.
    """

    project: str
    environment: str
    started: str
    count: int
    seed: int
    mark: str
    commits: tuple[CommitMeasurement, ...] = ()
    versions: dict[str, tuple[str, ...]] | None = None
    head: str | None = None

    @property
    def complete(self) -> bool:
        """Whether every commit is measured."""
        return len(self.commits) >= self.count

    def mean(self, name: str, kind: str | None = None) -> float | None:
        """Average a figure over the commits, or those of a kind, that have it."""
        found = [
            value
            for one in self.commits
            if kind in (None, one.kind) and (value := getattr(one, name)) is not None
        ]
        return statistics.fmean(found) if found else None

    def with_commit(self, commit: CommitMeasurement, head: str) -> CommitReplay:
        """Add the next commit."""
        return replace(self, commits=(*self.commits, commit), head=head)

    def as_json(self) -> dict[str, Any]:
        """Return JSON values, with the averages."""
        return asdict(self) | {"mean": {name: self.mean(name) for name in (*RATES, "seconds")}}


def measure_commit(
    number: int,
    kind: Kind,
    summary: str,
    record: BuildRecord,
    before: BuildRecord | None,
    counted_traffic: Traffic | None = None,
) -> CommitMeasurement:
    """Take a commit's figures from its build's record, the one before, and what was counted."""
    rates = record.hit_rates
    traffic = counted_traffic or Traffic(
        _pulled(record, before),
        _sum(record, "base_read", "cache_read", "packages_downloaded"),
        _sum(record, "layers_pushed", "cache_written"),
    )
    counted = {"copy", "run", "file"}
    return CommitMeasurement(
        number=number,
        kind=str(kind),
        summary=summary,
        seconds=round(record.seconds, 3),
        dependency=rates.get("dependency"),
        application=rates.get("application"),
        overall=rates.get("overall"),
        bytes_pulled=traffic.pulled,
        bytes_downloaded=traffic.downloaded,
        bytes_pushed=traffic.pushed,
        ran=tuple(
            f"{step.stage}: {step.instruction[:100]}"
            for step in record.steps
            if step.kind in counted and step.ran
        ),
    )


def _pulled(record: BuildRecord, before: BuildRecord | None) -> int | None:
    """Sum the layers that the image before had not; unknown if one of them is."""
    held = {layer.digest for layer in before.layers} if before else set()
    new = [layer for layer in record.layers if layer.digest is None or layer.digest not in held]
    sizes = [layer.compressed for layer in new]
    if before is None or not record.layers or None in sizes:
        return None
    return sum(size for size in sizes if size is not None)


def _sum(record: BuildRecord, *names: str) -> int | None:
    """Sum what is known of a build's traffic; None if nothing is."""
    known = [getattr(record.traffic, name) for name in names] if record.traffic else []
    found = [value for value in known if value is not None]
    return sum(found) if found else None


def read_replay(text: str) -> CommitReplay:
    """Read a replay. Raises ValueError if it is none."""
    return replay_of(json.loads(text))


def replay_of(values: Any) -> CommitReplay:
    """Make a replay of JSON values; keys that are not known are left out. Raises ValueError."""
    try:
        commits = tuple(
            CommitMeasurement(**{**_known_fields(CommitMeasurement, one), "ran": tuple(one["ran"])})
            for one in values["commits"]
        )
        versions = {name: tuple(one) for name, one in (values["versions"] or {}).items()}
        known = _known_fields(CommitReplay, values)
        return CommitReplay(**{**known, "commits": commits, "versions": versions})
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is no replay of commits: {error}") from error


def _known_fields(kind: type[Any], values: dict[str, Any]) -> dict[str, Any]:
    return {one.name: values[one.name] for one in fields(kind) if one.name in values}


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _known(value: float | None, show: Callable[[float], str]) -> str:
    return "–" if value is None else show(value)


HEADINGS = ("commits", "number", *RATES, "seconds", "down", "up", "pulled")


def _rows(replayed: CommitReplay) -> list[list[str]]:
    kinds = [str(kind) for kind in Kind if any(one.kind == kind for one in replayed.commits)]

    def row(title: str, kind: str | None) -> list[str]:
        number = sum(kind in (None, one.kind) for one in replayed.commits)
        return [
            title,
            str(number),
            *(_share(replayed.mean(name, kind)) for name in RATES),
            _known(replayed.mean("seconds", kind), format_seconds),
            _known(replayed.mean("bytes_downloaded", kind), format_bytes),
            _known(replayed.mean("bytes_pushed", kind), format_bytes),
            _known(replayed.mean("bytes_pulled", kind), format_bytes),
        ]

    return [*(row(kind, kind) for kind in kinds), row("all", None)]


def replay_lines(replayed: CommitReplay) -> list[str]:
    """Lay the averages out as text, one row per kind of commit."""
    from dockyard.display.tables import columns

    lines = [
        f"{len(replayed.commits)} of {replayed.count} commits of {replayed.project}, seed "
        f"{replayed.seed}, {replayed.environment}: means per commit",
        *columns(HEADINGS, _rows(replayed), right=set(range(1, len(HEADINGS)))),
    ]
    if not replayed.complete:
        lines.append("stopped half-way: the same command goes on")
    return lines


def replay_markdown(replayed: CommitReplay) -> str:
    """Lay the averages out as a Markdown table."""

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    rows = _rows(replayed)
    rows[-1] = [f"**{cell}**" for cell in rows[-1]]
    rule = "| --- |" + " ---: |" * (len(HEADINGS) - 1)
    return "\n".join([line(HEADINGS), rule, *map(line, rows)]) + "\n"
