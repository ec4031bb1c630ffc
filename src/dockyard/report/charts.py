"""The report's charts: :class:`~dockyard.report.data.ReportData` in, plotly figures out. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dockyard.display.format import format_bytes, format_seconds, shorten
from dockyard.report.bench import BenchTable
from dockyard.report.data import ReportData
from dockyard.report.figures import (
    BLUE,
    GREEN,
    GREY,
    MARKS,
    ORANGE,
    VERMILION,
    bare_figure,
    log_ticks,
    pattern,
)
from dockyard.report.layers import ImageArea
from dockyard.report.text import plotly_text, wrapped
from dockyard.report.timeline import Timeline, TimelineBar
from dockyard.report.trends import trend_charts
from dockyard.steps import short_instruction
from dockyard.summary import format_rate

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["charts"]

LANE_PIXELS = 21
_STATES = (
    # state, what the legend says, colour, pattern
    ("ran", "ran", BLUE, ""),
    ("moved", "moved data", ORANGE, "/"),
    ("failed", "failed", VERMILION, "x"),
    ("stopped", "stopped", GREY, "\\"),
)
# A layer's colour, and that of the packages in it, by what it holds. White is read on all of them.
_KINDS = {
    "base": ("#6b7480", "#6b7480"),
    "environment": ("#2b7a6e", "#2b7a6e"),
    "sources": ("#ad5800", "#ad5800"),
}
# Neighbouring dependency layers are told apart by lightness alone.
_DEPENDENCIES = (("#174a7a", "#2567a5"), ("#25609b", "#3a7ab7"))


def charts(data: ReportData) -> dict[str, go.Figure]:
    """Draw every chart for which there is data, by the id of its place in the page."""
    found = {}
    if data.timeline.stages:
        found["timeline"] = _timeline(data.timeline)
    if data.image and data.image.layers:
        found["layers"] = _layers(data.image)
    found.update(trend_charts(data.trends))
    if data.bench:
        for number, environment in enumerate(data.bench.environments):
            for table in environment.tables:
                timed = any(cell.low for row in table.rows for cell in row.cells)
                if table.metric == "seconds" and timed:
                    found[f"bench-{number}"] = _bench(table, data.bench.dockerfiles)
    return found


def _timeline(timeline: Timeline) -> go.Figure:
    import plotly.graph_objects as go

    lanes = sum(stage.lanes for stage in timeline.stages)
    gaps = len(timeline.stages) * 0.5
    figure = bare_figure(round((lanes + gaps) * LANE_PIXELS) + 52, barmode="overlay", bargap=0)
    figure.update_layout(
        margin={"l": 8, "r": 16, "t": 4, "b": 44}, uniformtext={"minsize": 10, "mode": "hide"}
    )
    bars: dict[str, list[tuple[float, TimelineBar, str]]] = {}
    ticks, below = [], 0.0
    for number, stage in enumerate(timeline.stages):
        top = below
        for bar in stage.bars:
            bars.setdefault(bar.state, []).append((top + 0.25 + bar.lane + 0.5, bar, stage.name))
        below = top + stage.lanes + 0.5
        ticks.append(((top + below) / 2, stage.name))
        if number % 2:
            figure.add_hrect(
                y0=top, y1=below, fillcolor="#808896", opacity=0.1, line_width=0, layer="below"
            )
    shortest = timeline.seconds * 0.004
    for state, name, colour, shape in _STATES:
        placed = bars.get(state, [])
        if placed:
            figure.add_trace(
                go.Bar(
                    orientation="h",
                    name=name,
                    y=[y for y, _, _ in placed],
                    base=[bar.start for _, bar, _ in placed],
                    x=[max(bar.seconds, shortest) for _, bar, _ in placed],
                    width=0.84,
                    marker={
                        "color": colour,
                        "pattern": pattern(shape),
                        "line": {"width": 0},
                    },
                    # Nobody reads a text on a pattern.
                    text=["" if shape else _bar_label(bar) for _, bar, _ in placed],
                    textposition="inside",
                    insidetextanchor="start",
                    textangle=0,
                    insidetextfont={"size": 11, "color": "#ffffff"},
                    hovertext=[_bar_hover(bar, stage) for _, bar, stage in placed],
                    hoverinfo="text",
                )
            )
    cached = bars.get("cached", [])
    if cached:
        figure.add_trace(
            go.Scatter(
                mode="markers+text",
                name="cached",
                x=[bar.start for _, bar, _ in cached],
                y=[y for y, _, _ in cached],
                marker={
                    "symbol": "diamond-open",
                    "size": 10,
                    "color": GREEN,
                    "line": {"width": 2, "color": GREEN},
                },
                text=[f"  {len(bar.instructions)} cached" for _, bar, _ in cached],
                textposition="middle right",
                textfont={"size": 11},
                cliponaxis=False,
                hovertext=[_bar_hover(bar, stage) for _, bar, stage in cached],
                hoverinfo="text",
            )
        )
    figure.update_yaxes(
        range=[below, 0],
        tickmode="array",
        tickvals=[place for place, _ in ticks],
        ticktext=[plotly_text(shorten(name, 24)) + " " for _, name in ticks],
        showgrid=False,
    )
    figure.update_xaxes(
        range=[-timeline.seconds * 0.03, timeline.seconds * 1.02 or 1],
        ticksuffix=" s",
        nticks=8,
        title={"text": "since the first step", "standoff": 6},
        showgrid=True,
    )
    return figure


def _bar_label(bar: TimelineBar) -> str:
    return plotly_text(shorten(short_instruction(bar.instructions[0]), 48))


def _bar_hover(bar: TimelineBar, stage: str) -> str:
    lines = [f"<b>{plotly_text(stage)}</b>"]
    shown = bar.instructions[:6]
    for instruction in shown:
        width = 3 if len(bar.instructions) == 1 else 1
        lines += wrapped(short_instruction(instruction), lines=width)
    if len(bar.instructions) > len(shown):
        lines.append(f"and {len(bar.instructions) - len(shown)} more")
    if bar.state == "cached":
        lines.append("cached: found, and not run")
    else:
        ended = {"failed": "failed after", "stopped": "stopped after"}.get(bar.state, "took")
        lines.append(f"{ended} {format_seconds(bar.seconds)}, from {format_seconds(bar.start)} on")
        if bar.bytes is not None:
            lines.append(f"moved {format_bytes(bar.bytes)}")
    if bar.error:
        lines += wrapped(bar.error, lines=3)
    return "<br>".join(lines)


def _layers(image: ImageArea) -> go.Figure:
    import plotly.graph_objects as go

    ids, labels, parents, values, colours, hovers = ["image"], [""], [""], [image.bytes], [""], [""]
    colours[0] = "rgba(128,136,150,0.12)"
    labels[0] = plotly_text(f"{shorten(image.name, 40)}, {format_bytes(image.bytes)}")
    hovers[0] = f"<b>{plotly_text(image.name)}</b><br>{format_bytes(image.bytes)} unpacked"
    dependencies = 0
    for number, layer in enumerate(image.layers):
        key = f"layer {number}"
        if layer.kind == "dependencies":
            colour, inner = _DEPENDENCIES[dependencies % 2]
            dependencies += 1
        else:
            colour, inner = _KINDS[layer.kind]
        share = layer.bytes / image.bytes
        size = f"{format_bytes(layer.bytes)} unpacked, {format_rate(share)} of the image"
        about = [f"<b>{plotly_text(shorten(layer.holds, 60))}</b>", size]
        if layer.names:
            about += wrapped(", ".join(layer.names), lines=5)
        ids.append(key)
        parents.append("image")
        labels.append(plotly_text(shorten(layer.holds, 30)))
        values.append(layer.bytes)
        colours.append(colour)
        hovers.append("<br>".join(about))
        for package in layer.packages:
            name = " ".join(filter(None, (package.name, package.version)))
            distribution = (
                f"distribution: {format_bytes(package.distribution_bytes)}"
                if package.distribution_bytes is not None
                else "distribution's size unknown"
            )
            share_of = "" if len(layer.packages) == 1 else "about "
            ids.append(f"package {len(ids)}")
            parents.append(key)
            labels.append(plotly_text(package.name))
            values.append(package.bytes)
            colours.append(inner)
            hovers.append(
                f"<b>{plotly_text(name)}</b><br>{share_of}{format_bytes(package.bytes)} unpacked, "
                f"in {plotly_text(layer.holds)}<br>{distribution}"
            )
    figure = bare_figure(460)
    figure.update_layout(margin={"l": 0, "r": 0, "t": 0, "b": 0})
    figure.add_trace(
        go.Treemap(
            ids=ids,
            labels=labels,
            parents=parents,
            values=values,
            branchvalues="total",
            sort=True,
            text=[format_bytes(value) for value in values],
            textinfo="label+text",
            hovertext=hovers,
            hoverinfo="text",
            marker={"colors": colours, "line": {"width": 1}, "cornerradius": 3, "pad": {"t": 20}},
            tiling={"pad": 2},
            pathbar={"visible": False},
            root={"color": "rgba(0,0,0,0)"},
            textfont={"size": 12, "color": ["#888888", *["#ffffff"] * (len(ids) - 1)]},
        )
    )
    return figure


def _bench(table: BenchTable, dockerfiles: Sequence[str]) -> go.Figure:
    """Draw a dot for each Dockerfile in the row of each scenario, on a scale of ratios."""
    import plotly.graph_objects as go

    known = [
        value
        for row in table.rows
        for cell in row.cells
        for value in (cell.low, cell.high)
        if value
    ]
    figure = bare_figure(len(table.rows) * 34 + 48)
    figure.update_layout(margin={"l": 8, "r": 16, "t": 4, "b": 32})
    for number, dockerfile in enumerate(dockerfiles):
        colour, symbol = MARKS[number % len(MARKS)]
        placed = [
            (y, row.scenario, row.cells[number])
            for y, row in enumerate(table.rows)
            if row.cells[number].median
        ]
        figure.add_trace(
            go.Scatter(
                mode="markers",
                name=dockerfile,
                x=[cell.median for _, _, cell in placed],
                y=[y for y, _, _ in placed],
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": [(cell.high or 0) - (cell.median or 0) for _, _, cell in placed],
                    "arrayminus": [(cell.median or 0) - (cell.low or 0) for _, _, cell in placed],
                    "thickness": 1.5,
                    "width": 0,
                    "color": colour,
                },
                marker={"symbol": symbol, "size": 12, "color": colour, "line": {"width": 0}},
                hovertext=[
                    f"<b>{plotly_text(dockerfile)}</b><br>{plotly_text(scenario)}: {cell.text}"
                    + (f"<br>{cell.spread}" if cell.spread else "")
                    for _, scenario, cell in placed
                ],
                hoverinfo="text",
            )
        )
    ticks = log_ticks(min(known), max(known))
    figure.update_xaxes(
        type="log",
        range=[math.log10(min(known) * 0.8), math.log10(max(known) * 1.25)],
        tickangle=0,
        tickvals=ticks,
        ticktext=[f"{tick:g} s" for tick in ticks],
        showgrid=True,
    )
    figure.update_yaxes(
        range=[len(table.rows) - 0.5, -0.5],
        tickvals=list(range(len(table.rows))),
        ticktext=[
            "<br>".join(wrapped(row.scenario, lines=2, width=18)) + " " for row in table.rows
        ],
        showgrid=True,
    )
    return figure
