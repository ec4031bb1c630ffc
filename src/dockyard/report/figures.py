"""What the report's charts have in common: a bare figure, colours, patterns and scales. Pure.

The page's style sheet colours texts, lines and the background, so that one figure serves light and
dark; only marks have colours here, of Okabe and Ito's palette (https://jfly.uni-koeln.de/color/)
or near it, and what a colour says a pattern, a symbol or a dash says as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dockyard.display.format import format_bytes

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "MARKS",
    "ORANGE",
    "PURPLE",
    "VERMILION",
    "bare_figure",
    "byte_axis",
    "log_ticks",
    "pattern",
]

BLUE, ORANGE, GREEN, VERMILION, PURPLE = "#3a86c8", "#e69f00", "#0a9e73", "#d55e00", "#b86a9b"
GREY = "#8a919c"
# A colour and a symbol each for things that are compared.
MARKS = (
    (GREY, "square"),
    (VERMILION, "triangle-up"),
    (ORANGE, "cross"),
    (PURPLE, "x"),
    (BLUE, "circle"),
)


def bare_figure(height: int, **layout: Any) -> go.Figure:
    """Make a figure of so many pixels without data, as wide as its place."""
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.update_layout(
        template=go.layout.Template(),
        height=height,
        margin={"l": 8, "r": 12, "t": 8, "b": 36},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "inherit", "size": 12, "color": "#888888"},
        hoverlabel={
            "bgcolor": "#20242b",
            "bordercolor": "#20242b",
            "font": {"color": "#f4f5f7", "size": 12},
            "align": "left",
            "namelength": -1,
        },
        showlegend=False,
        dragmode=False,
        **layout,
    )
    figure.update_xaxes(automargin=True, fixedrange=True, zeroline=False, showline=False)
    figure.update_yaxes(automargin=True, fixedrange=True, zeroline=False, showline=False)
    return figure


def pattern(shape: str) -> dict[str, Any]:
    """Lay a pattern over a bar's colour: plotly's ``/``, ``x``, or none where it is empty."""
    return {
        "shape": shape,
        "size": 6,
        "solidity": 0.3,
        "fillmode": "overlay",
        "fgcolor": "rgba(255,255,255,0.75)",
        "fgopacity": 1,
    }


def log_ticks(low: float, high: float) -> list[float]:
    """Choose 1, 10, 100 … around the values, and 2 and 5 between them where there is room."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    between = (1, 2, 5) if last - first <= 2 else (1, 3) if last - first <= 3 else (1,)
    ticks = [digit * 10.0**power for power in range(first, last + 1) for digit in between]
    start = max((number for number, tick in enumerate(ticks) if tick <= low), default=0)
    end = min((number for number, tick in enumerate(ticks) if tick >= high))
    return ticks[start : end + 1]


def byte_axis(figure: go.Figure, values: Sequence[int]) -> None:
    """Scale a y axis from 0 with ticks that read as people write bytes."""
    largest = max(values, default=0) or 1
    step = 10 ** (len(str(largest)) - 1)
    step = next(one for one in (step // 2, step, step * 2, step * 5) if largest <= one * 4.5) or 1
    ticks = [step * number for number in range(6) if step * (number - 1) < largest]
    figure.update_yaxes(
        range=[0, max(largest * 1.12, ticks[-1])],
        tickvals=ticks,
        ticktext=[format_bytes(tick).replace(".0 ", " ") for tick in ticks],
    )
