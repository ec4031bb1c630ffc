"""A bench's result as the report shows it: a table for each figure in each environment. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from dockyard.bench.commits_result import RATES, CommitReplay
from dockyard.bench.fleet_result import HEADINGS, fleet_rows, fleet_title
from dockyard.bench.medians import METRICS, Summary, summarize, summary_of
from dockyard.bench.results import BenchResult
from dockyard.bench.scenarios import DOCKERFILES, ENVIRONMENTS, SCENARIOS
from dockyard.bench.verdicts import verdicts
from dockyard.display.format import format_bytes, format_count, format_seconds
from dockyard.summary import format_rate

__all__ = [
    "BenchCell",
    "BenchEnvironment",
    "BenchFleet",
    "BenchReplay",
    "BenchRow",
    "BenchTable",
    "BenchVerdict",
    "BenchView",
    "view_bench",
]

STEPS = "Steps cached"
UNKNOWN = "–"
_LISTED = 6
REPLAY = ("commits", "number", *RATES, "time", "down", "up", "pulled")
REPLAY_BYTES = ("bytes_downloaded", "bytes_pushed", "bytes_pulled")


@dataclass(frozen=True)
class BenchCell:
    """A median with its spread, in the table's unit; ``best``: none of its row is better.

    ``text`` is the median as people read it, ``spread`` the lowest and highest where they differ.
    """

    text: str
    spread: str | None
    best: bool
    median: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class BenchRow:
    """One scenario: a cell for each Dockerfile."""

    scenario: str
    cells: tuple[BenchCell, ...]


@dataclass(frozen=True)
class BenchTable:
    """One figure, such as the time; rows are scenarios."""

    metric: str
    title: str
    rows: tuple[BenchRow, ...]


@dataclass(frozen=True)
class BenchEnvironment:
    """Where the builds ran, and a table for each figure that was measured there."""

    name: str
    tables: tuple[BenchTable, ...]


@dataclass(frozen=True)
class BenchVerdict:
    """What Dockyard is held to, and the median of the ratios that were measured."""

    target: str
    measured: str
    passed: bool


@dataclass(frozen=True)
class BenchReplay:
    """Commits that were built one after the other: means of all, and of those of each kind."""

    name: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class BenchFleet:
    """Builders that built changes as they arrived: a row for each Dockerfile."""

    name: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class BenchView:
    """A result: what it ran on, the Dockerfiles that are the columns, and what is missing."""

    started: str
    command: str
    about: tuple[str, ...]
    dockerfiles: tuple[str, ...]
    environments: tuple[BenchEnvironment, ...]
    changes: tuple[str, ...]
    verdicts: tuple[BenchVerdict, ...]
    replays: tuple[BenchReplay, ...]
    fleets: tuple[BenchFleet, ...]
    missing: tuple[str, ...]


def view_bench(result: BenchResult) -> BenchView:
    """Lay a result out; a figure that no cell of an environment has makes no table there."""
    environments = []
    for name in result.environments:
        tables = [_table(result, name, metric, title) for metric, title in METRICS.items()]
        tables.append(_steps(result, name))
        shown = tuple(one for one in tables if any(c.median is not None for c in _cells(one)))
        if shown:
            environments.append(BenchEnvironment(ENVIRONMENTS.get(name, name), shown))
    missing = [str(cell) for cell in result.missing()]
    if len(missing) > _LISTED:
        missing = [*missing[:_LISTED], f"and {len(missing) - _LISTED} more"]
    return BenchView(
        started=result.started,
        command=result.command,
        about=_about(result),
        dockerfiles=tuple(DOCKERFILES.get(name, name) for name in result.dockerfiles),
        environments=tuple(environments),
        changes=tuple(
            f"{SCENARIOS.get(name, name)}: {what}" for name, what in result.changes.items()
        ),
        verdicts=tuple(
            BenchVerdict(str(one.target), f"{one.measured:.3g} ×", bool(one.passed))
            for one in verdicts(result)
            if one.measured is not None
        ),
        replays=tuple(_replay(one) for one in result.replays if one.commits),
        fleets=tuple(
            BenchFleet(fleet_title(one), HEADINGS, tuple(map(tuple, fleet_rows(one))))
            for one in result.fleets
        ),
        missing=tuple(missing),
    )


def _about(result: BenchResult) -> tuple[str, ...]:
    machine, versions = result.machine, result.versions
    times = "once" if result.repetitions == 1 else f"{result.repetitions} times, medians"
    shaped = "the network as fast as it is"
    if result.bandwidth:
        shaped = f"registry and index held to {result.bandwidth / 1e6:g} Mbit/s each way"
    tools = f"Engine {versions.engine}, buildx {versions.buildx}, uv {versions.uv}"
    if versions.buildkit:
        tools += f", BuildKit {versions.buildkit}"
    return (
        f"{result.project}, each cell measured {times}; {shaped}",
        f"{machine.cpu}, {format_count(machine.cores, 'core')}, "
        f"{format_bytes(machine.memory)} of memory, {machine.system}",
        f"Dockyard {versions.dockyard}"
        + (f" ({versions.commit[:12]})" if versions.commit else "")
        + f", {tools}",
    )


def _cells(table: BenchTable) -> tuple[BenchCell, ...]:
    return tuple(cell for row in table.rows for cell in row.cells)


def _table(result: BenchResult, environment: str, metric: str, title: str) -> BenchTable:
    rows = []
    for scenario in result.scenarios:
        found = [
            summary_of(result, metric, environment, scenario, name) for name in result.dockerfiles
        ]
        least = min((one.median for one in found if one), default=None)
        cells = tuple(_cell(one, metric, least) for one in found)
        rows.append(BenchRow(SCENARIOS.get(scenario, scenario), cells))
    return BenchTable(metric, title, tuple(rows))


def _cell(summary: Summary | None, metric: str, least: float | None) -> BenchCell:
    if not summary:
        return BenchCell(UNKNOWN, None, False, None, None, None)
    write = format_seconds if metric == "seconds" else format_bytes
    low, high = write(summary.low), write(summary.high)
    spread = f"{low} – {high}" if low != high else None
    return BenchCell(
        write(summary.median),
        spread,
        summary.median == least,
        summary.median,
        summary.low,
        summary.high,
    )


def _steps(result: BenchResult, environment: str) -> BenchTable:
    """Make the table of cached steps: ``median`` is the share of all."""
    rows = []
    for scenario in result.scenarios:
        cells = []
        for name in result.dockerfiles:
            found = result.of(environment, scenario, name)
            cached = summarize(one.steps_cached for one in found)
            counted = summarize(one.steps_counted for one in found)
            if not cached or not counted or not counted.median:
                cells.append(BenchCell(UNKNOWN, None, False, None, None, None))
                continue
            text = f"{cached.median:g} of {counted.median:g}"
            share = cached.median / counted.median
            cells.append(BenchCell(text, None, False, share, None, None))
        rows.append(BenchRow(SCENARIOS.get(scenario, scenario), tuple(cells)))
    return BenchTable("steps_cached", STEPS, tuple(rows))


def _replay(replayed: CommitReplay) -> BenchReplay:
    """Average the commits; ``all`` of them come last."""
    where = ENVIRONMENTS.get(replayed.environment, replayed.environment)
    kinds: list[str | None] = [*dict.fromkeys(one.kind for one in replayed.commits), None]
    rows = []
    for kind in kinds:
        rates = (format_rate(replayed.mean(name, kind)) for name in RATES)
        seconds = replayed.mean("seconds", kind)
        moved = (replayed.mean(name, kind) for name in REPLAY_BYTES)
        rows.append(
            (
                kind or "all",
                str(sum(kind in (None, one.kind) for one in replayed.commits)),
                *rates,
                UNKNOWN if seconds is None else format_seconds(seconds),
                *(UNKNOWN if value is None else format_bytes(value) for value in moved),
            )
        )
    left = replayed.count - len(replayed.commits)
    name = f"{format_count(len(replayed.commits), 'commit')}, {where[0].lower()}{where[1:]}"
    return BenchReplay(name + (f" ({left} not built yet)" if left else ""), REPLAY, tuple(rows))
