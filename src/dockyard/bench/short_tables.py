"""A result in short, for a README: what was promised, and how long each build took. Pure."""

from __future__ import annotations

from dockyard.bench.dockerfiles import NAIVE, OURS
from dockyard.bench.medians import ratio, summary_of
from dockyard.bench.results import BenchResult
from dockyard.bench.scenarios import DOCKERFILES, ENVIRONMENTS, SCENARIOS
from dockyard.bench.verdicts import NOT_SLOWER_THAN, Verdict, verdicts
from dockyard.display.format import format_bytes, format_count, format_seconds

__all__ = ["short_markdown"]

_FIGURES = {
    "seconds": "time",
    "bytes_down": "bytes down",
    "bytes_up": "bytes up",
    "bytes_served": "bytes that the registry served",
}
# What Dockyard set out to beat: how much less a better Dockerfile was said to take.
AIMS = (
    ("time of a code change", "60–70 %", "seconds", "warm", ("code-change",)),
    (
        "time of a changed dependency",
        *("40–50 %", "seconds", "warm"),
        ("small-dependency", "large-dependency"),
    ),
    (
        "bytes down, on an empty builder",
        *("60–70 %", "bytes_down", "registry"),
        ("code-change", "small-dependency", "large-dependency"),
    ),
    (
        "bytes pushed",
        *("50–60 %", "bytes_up", "registry"),
        ("code-change", "small-dependency", "large-dependency"),
    ),
)
AIMED_HIT_RATE = "75–85 %"


def short_markdown(result: BenchResult) -> str:
    """Render the aims and promises with what came of them, slower cells, and all times."""
    found = verdicts(result)
    promised = [one for one in found if one.target.base not in NOT_SLOWER_THAN]
    parts = [_aims(result), _promises(result, [o for o in promised if o.measured is not None])]
    others = [one for one in found if one not in promised and one.measured is not None]
    if others:
        parts.append(_others(result, others))
    for environment in result.environments:
        if any(result.of(environment, scenario, OURS) for scenario in result.scenarios):
            parts += [f"Time, {_where(environment)}:", _times(result, environment)]
    parts.append(_about(result))
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(result: BenchResult) -> str:
    missing = len(result.missing())
    left = (
        f", stopped: {format_count(missing, 'cell is', 'cells are')} not measured"
        if missing
        else ""
    )
    times = max((one.repetition for one in result.measurements), default=0)
    runs = f"medians of {times} repetitions" if times > 1 else "each cell measured once"
    return f"`{result.command}` on {result.started[:10]}: {runs}{left}."


def _where(environment: str) -> str:
    title = ENVIRONMENTS.get(environment, environment)
    return f"{title[0].lower()}{title[1:]}"


def _aims(result: BenchResult) -> str:
    rows = []
    for title, aim, metric, environment, scenarios in AIMS:
        saved = [
            f"{_share(1 - found.median)} ({SCENARIOS[scenario].lower()})"
            for scenario in scenarios
            if (found := ratio(result, metric, environment, scenario, OURS, NAIVE))
        ]
        if saved:
            rows.append([f"less {title}", aim, ", ".join(saved)])
    rates = [
        f"{_share(rate)} ({_where(one.environment)}, {len(one.commits)} commits)"
        for one in result.replays
        if (rate := one.mean("overall")) is not None
    ]
    if rates:
        rows.append(["steps that were cached", AIMED_HIT_RATE, ", ".join(rates)])
    if not rows:
        return ""
    table = [[f"than “{DOCKERFILES[NAIVE]}”", "aimed at", "measured"], ["---"] * 3, *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in table)


def _share(value: float) -> str:
    return f"{value * 100:.4g} %"


def _promises(result: BenchResult, found: list[Verdict]) -> str:
    if not found:
        return ""
    rows = [["against", "what", "promised", "measured", "", ""], ["---"] * 6]
    for one in found:
        target = one.target
        scenario = SCENARIOS.get(target.scenario, target.scenario).lower()
        rows.append(
            [
                DOCKERFILES.get(target.base, target.base),
                f"{scenario}, {_where(target.environment)}: {_FIGURES[target.metric]}",
                f"≤ {target.limit:g} ×",
                f"{one.measured:.3g} ×",
                _pair(result, one),
                "reached" if one.passed else "**missed**",
            ]
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _pair(result: BenchResult, verdict: Verdict) -> str:
    target = verdict.target
    write = format_seconds if target.metric == "seconds" else format_bytes
    values = [
        summary_of(result, target.metric, target.environment, target.scenario, dockerfile)
        for dockerfile in (OURS, target.base)
    ]
    return " for ".join(write(one.median) for one in values if one)


def _others(result: BenchResult, found: list[Verdict]) -> str:
    slower = [one for one in found if not one.passed]
    names = " and ".join(f"“{DOCKERFILES.get(name, name)}”" for name in NOT_SLOWER_THAN)
    text = f"Against {names}, Dockyard is not slower in {len(found) - len(slower)} of {len(found)}"
    if not slower:
        return f"{text} cells."
    cells = "; ".join(
        f"{SCENARIOS.get(one.target.scenario, one.target.scenario).lower()}, "
        f"{_where(one.target.environment)}, against "
        f"“{DOCKERFILES.get(one.target.base, one.target.base)}”: {one.measured:.3g} × "
        f"({_pair(result, one)})"
        for one in slower
    )
    return f"{text} cells. Slower by more than 5 %: {cells}."


def _times(result: BenchResult, environment: str) -> str:
    names = [DOCKERFILES.get(name, name) for name in result.dockerfiles]
    rows = [["", *names], ["---", *["---:"] * len(names)]]
    for scenario in result.scenarios:
        cells = []
        for name in result.dockerfiles:
            found = summary_of(result, "seconds", environment, scenario, name)
            cells.append(format_seconds(found.median) if found else "–")
        rows.append([SCENARIOS.get(scenario, scenario), *cells])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
