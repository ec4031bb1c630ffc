"""A result as Markdown, and in a file between its markers. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from dockyard.bench.bandwidth import format_bandwidth
from dockyard.bench.commits_result import replay_markdown
from dockyard.bench.fleet_result import fleet_markdown, fleet_title
from dockyard.bench.medians import METRICS, Summary, summary_of
from dockyard.bench.results import MEMORY, BenchResult
from dockyard.bench.scenarios import DOCKERFILES, ENVIRONMENTS, SCENARIOS
from dockyard.bench.short_tables import short_markdown
from dockyard.display.format import format_bytes, format_count, format_seconds
from dockyard.errors import RecordError

__all__ = ["END", "SHORT", "begin", "markdown", "regions", "with_tables"]

END = "<!-- bench: end -->"
_REGION = re.compile(r"<!-- bench: begin (\S+) -->\n.*?" + re.escape(END), re.DOTALL)
SHORT = "#short"
UNKNOWN = "–"


def markdown(result: BenchResult) -> str:
    """Render every table of a result, with what it was measured on."""
    parts = [_about(result)]
    for environment in result.environments:
        parts.append(f"### {ENVIRONMENTS.get(environment, environment)}")
        for metric, title in METRICS.items():
            if any(
                (found := summary_of(result, metric, environment, scenario, dockerfile))
                and found.high
                for scenario in result.scenarios
                for dockerfile in result.dockerfiles
            ):
                parts += [f"{title}:", _table(result, metric, environment)]
        parts += ["Steps cached:", _steps(result, environment)]
    for one in result.replays:
        where = ENVIRONMENTS.get(one.environment, one.environment)
        commits = format_count(len(one.commits), "commit")
        parts.append(f"### {commits}, mostly of code: {where[0].lower()}{where[1:]}")
        parts.append("Means per commit; a rate is the share of steps that were cached.")
        parts.append(replay_markdown(one).strip())
    for fleet in result.fleets:
        parts += [f"### {fleet_title(fleet)}", fleet_markdown(fleet)]
    return "\n\n".join(parts) + "\n"


def _about(result: BenchResult) -> str:
    machine, versions = result.machine, result.versions
    line = "unlimited" if result.bandwidth is None else format_bandwidth(result.bandwidth)
    times = max((one.repetition for one in result.measurements), default=0)
    runs = (
        f"medians of {times} repetitions, with the lowest and the highest"
        if times > 1
        else "each cell measured once"
    )
    if missing := len(result.missing()):
        runs += f" (stopped: {format_count(missing, 'cell is', 'cells are')} not measured)"
    if failed := [str(one.cell) for one in result.measurements if one.failures]:
        runs += f"; a build failed, and was repeated, of: {'; '.join(failed)}"
    changes = "; ".join(
        f"{SCENARIOS.get(name, name).lower()}: {text}"
        for name, text in result.changes.items()
        if text != "nothing"
    )
    state = ""
    if {"registry", "directory"} & set(result.environments):
        where = "in memory" if machine.builder_state == MEMORY else "on disk"
        state = f"Builders that start empty keep their state {where}. "
    project = f"`{result.project}`" + (f" ({changes})" if changes else "")
    return (
        f"`{result.command}` on {result.started[:10]}: {runs}. Project: {project}. "
        f"{machine.cpu}, {format_count(machine.cores, 'core')}, "
        f"{format_bytes(machine.memory)} of memory, {machine.system}. {state}"
        f"Docker Engine {versions.engine}, buildx {versions.buildx}, "
        f"BuildKit {versions.buildkit or 'unknown'}, uv {versions.uv}, Dockyard "
        f"{versions.dockyard} ({versions.commit or 'no commit'}). Line: {line}."
    )


def _table(result: BenchResult, metric: str, environment: str) -> str:
    def cell(scenario: str, dockerfile: str) -> str:
        found = summary_of(result, metric, environment, scenario, dockerfile)
        return _format(metric, found)

    return _grid(result, cell)


def _steps(result: BenchResult, environment: str) -> str:
    def cell(scenario: str, dockerfile: str) -> str:
        found = result.of(environment, scenario, dockerfile)
        if not found or found[-1].steps_counted is None:
            return UNKNOWN
        return f"{found[-1].steps_cached} of {found[-1].steps_counted}"

    return _grid(result, cell)


def _grid(result: BenchResult, cell: Callable[[str, str], str]) -> str:
    names = [DOCKERFILES.get(name, name) for name in result.dockerfiles]
    rows = [["", *names], ["---", *["---:"] * len(names)]]
    for scenario in result.scenarios:
        title = SCENARIOS.get(scenario, scenario)
        rows.append([title, *(cell(scenario, name) for name in result.dockerfiles)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _format(metric: str, found: Summary | None) -> str:
    if found is None:
        return UNKNOWN
    write = format_seconds if metric == "seconds" else format_bytes
    text = write(found.median)
    spread = (write(found.low), write(found.high))
    return text if found.count == 1 or spread == (text, text) else f"{text} ({'–'.join(spread)})"


def begin(name: str) -> str:
    """Write the line that a region of tables begins with; ``name`` is the result's path."""
    return f"<!-- bench: begin {name} -->"


def regions(text: str) -> dict[str, str]:
    """Find the regions of tables in a file: the result's path, and the region with its markers.

    A path that ends in ``#short`` asks for what was promised, and for times alone.
    """
    return {match[1]: match[0] for match in _REGION.finditer(text)}


def with_tables(text: str, name: str, result: BenchResult) -> str:
    """Put a result's tables into the regions of that name, or into the only one there is.

    Raises RecordError where there is no place for them.
    """
    found = regions(text)
    if name not in found and name + SHORT not in found and len(found) == 1:
        (only,) = found
        asked = name + SHORT if only.endswith(SHORT) else name
        text = text.replace(begin(only), begin(asked))
        found = regions(text)
    for asked, write in ((name, markdown), (name + SHORT, short_markdown)):
        if asked in found:
            text = text.replace(found[asked], f"{begin(asked)}\n\n{write(result)}\n{END}")
    if name not in found and name + SHORT not in found:
        raise RecordError(
            "there is no place for the tables",
            hint=f"write the lines {begin(name)} and {END} where they are to stand",
        )
    return text
