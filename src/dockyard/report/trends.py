"""The report's charts of one build after the other: time, cache hits, bytes and image. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dockyard.display.format import format_bytes, format_seconds
from dockyard.report.data import TrendPoint
from dockyard.report.figures import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    bare_figure,
    byte_axis,
    log_ticks,
    pattern,
)
from dockyard.report.text import commit_text, moment_text, plotly_text
from dockyard.summary import format_rate

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["MANY", "MEDIAN_OF", "running_median", "trend_charts"]

# From so many builds on a line through each of them says nothing.
MANY = 60
MEDIAN_OF = 11


def trend_charts(points: Sequence[TrendPoint]) -> dict[str, go.Figure]:
    """Draw the charts by the ids of their places; ``points`` are oldest first."""
    return {
        "trend-time": _time(points),
        "trend-hits": _hits(points),
        "trend-bytes": _bytes(points),
        "trend-image": _image(points),
    }


def _trend(points: Sequence[TrendPoint], **layout: Any) -> go.Figure:
    figure = bare_figure(190, **layout)
    figure.update_layout(margin={"l": 8, "r": 14, "t": 10, "b": 10}, hovermode="x")
    figure.update_xaxes(
        range=[-0.6, len(points) - 0.4], showgrid=False, showticklabels=False, ticks=""
    )
    figure.update_yaxes(showgrid=True, nticks=5)
    return figure


def _about(point: TrendPoint, *lines: str) -> str:
    first = f"<b>{moment_text(point.started)}</b>"
    if point.commit:
        first += f" {commit_text(point.commit, point.dirty)}"
    if point.outcome != "succeeded":
        first += f", {plotly_text(point.outcome)}"
    return "<br>".join([first, *lines])


def _lines(
    points: Sequence[TrendPoint],
    values: Sequence[float | None],
    hovers: Sequence[str],
    name: str,
    colour: str,
    dash: str = "solid",
) -> list[go.Scatter]:
    """Draw a line through the values; of many, faint dots and the line of their running median."""
    import plotly.graph_objects as go

    many = len(points) > MANY
    succeeded = [one.outcome == "succeeded" for one in points]
    common = {"x": list(range(len(points))), "connectgaps": False, "name": name}
    line = {"color": colour, "width": 2, "dash": dash}
    dots = go.Scatter(
        **common,
        mode="markers" if many else "lines+markers",
        y=values,
        line=line,
        marker={
            "color": colour,
            "opacity": [0.4 if many and fine else 1 for fine in succeeded],
            "line": {"width": 0},
            "size": [(5 if many else 7) if fine else (8 if many else 10) for fine in succeeded],
            "symbol": ["circle" if fine else "x" for fine in succeeded],
        },
        hovertext=hovers,
        hoverinfo="text",
    )
    if not many:
        return [dots]
    return [
        dots,
        go.Scatter(**common, mode="lines", y=running_median(values), line=line, hoverinfo="skip"),
    ]


def running_median(values: Sequence[float | None]) -> list[float | None]:
    """Return the median of what is known around each value; None where the value is unknown."""
    half = MEDIAN_OF // 2
    found: list[float | None] = []
    for number, value in enumerate(values):
        around = values[max(number - half, 0) : number + half + 1]
        known = [one for one in around if one is not None]
        found.append(None if value is None else statistics.median(known))
    return found


def _time(points: Sequence[TrendPoint]) -> go.Figure:
    figure = _trend(points)
    hovers = [_about(one, format_seconds(one.seconds)) for one in points]
    seconds = [one.seconds for one in points]
    figure.add_traces(_lines(points, seconds, hovers, "time", BLUE))
    if min(seconds) > 0 and max(seconds) > 10 * min(seconds):
        ticks = log_ticks(min(seconds), max(seconds))
        figure.update_yaxes(
            type="log",
            range=[math.log10(ticks[0] * 0.9), math.log10(ticks[-1] * 1.1)],
            tickvals=ticks,
            ticktext=[f"{tick:g} s" for tick in ticks],
        )
    else:
        figure.update_yaxes(rangemode="tozero", ticksuffix=" s")
    return figure


def _hits(points: Sequence[TrendPoint]) -> go.Figure:
    figure = _trend(points)
    for name, colour, dash in (
        ("application", ORANGE, "dot"),
        ("dependency", GREEN, "dash"),
        ("overall", BLUE, "solid"),
    ):
        values = [getattr(one, name) for one in points]
        hovers = [f"{name}: {format_rate(value)}" for value in values]
        if name == "overall":
            hovers = [
                _about(one, f"overall: {format_rate(value)}")
                for one, value in zip(points, values, strict=True)
            ]
        figure.add_traces(_lines(points, values, hovers, name, colour, dash))
    figure.update_yaxes(range=[-0.05, 1.08], tickformat=".0%", tickvals=[0, 0.25, 0.5, 0.75, 1])
    return figure


def _bytes(points: Sequence[TrendPoint]) -> go.Figure:
    import plotly.graph_objects as go

    figure = _trend(points, barmode="stack", bargap=0.25)
    for name, colour, shape in (("received", BLUE, ""), ("sent", ORANGE, "/")):
        values = [getattr(one, name) for one in points]
        hovers = []
        for one, value in zip(points, values, strict=True):
            known = "unknown" if value is None else format_bytes(value)
            least = "at least " if value is not None and one.unknown else ""
            line = f"{name}: {least}{known}"
            hovers.append(_about(one, line) if name == "received" else line)
        figure.add_trace(
            go.Bar(
                name=name,
                x=list(range(len(points))),
                y=values,
                marker={
                    "color": colour,
                    "pattern": pattern(shape),
                    "line": {"width": 0},
                },
                hovertext=hovers,
                hoverinfo="text",
            )
        )
    byte_axis(figure, [(one.received or 0) + (one.sent or 0) for one in points])
    return figure


def _image(points: Sequence[TrendPoint]) -> go.Figure:
    figure = _trend(points)
    sizes = [one.image_bytes for one in points]
    hovers = [
        _about(one, "no image" if size is None else f"{format_bytes(size)} compressed")
        for one, size in zip(points, sizes, strict=True)
    ]
    figure.add_traces(_lines(points, sizes, hovers, "image", PURPLE))
    byte_axis(figure, [size or 0 for size in sizes])
    return figure
