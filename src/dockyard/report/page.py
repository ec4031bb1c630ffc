"""The page of `invoke report`: values and their charts in, one self-contained HTML text out. Pure.

The page asks no network for anything, and its content policy forbids it to: scripts run that are
named there by their hash, and no others, whatever a record holds.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

from dockyard.display.format import format_bytes, format_count, format_seconds
from dockyard.report.charts import charts
from dockyard.report.data import NOT_COUNTED, ReportData, TrafficLine, cleaned
from dockyard.report.figures import MARKS
from dockyard.report.text import moment_text, safe
from dockyard.report.trends import MANY, MEDIAN_OF
from dockyard.steps import short_instruction
from dockyard.summary import format_rate

if TYPE_CHECKING:
    import jinja2

__all__ = ["render_report"]

UNKNOWN = "unknown"
STATES = ("ran", "moved", "cached", "failed", "stopped")


def render_report(data: ReportData) -> str:
    """Render the page; some 5 MB, nearly all of which is plotly.js."""
    from plotly.offline import get_plotlyjs

    data = cleaned(data, safe)
    environment = _environment()
    plotly = get_plotlyjs().replace("\r", "")
    script = environment.get_template("report.js").render().strip()
    figures = {name: json.loads(figure.to_json()) for name, figure in sorted(charts(data).items())}
    text: str = environment.get_template("report.html.jinja").render(
        data=data,
        head=data.headline,
        figures=figures,
        sized=any(layer.packages for layer in (data.image.layers if data.image else ())),
        figure_heights={name: one["layout"]["height"] for name, one in figures.items()},
        uncounted=any(one.reason == NOT_COUNTED for one in data.traffic),
        not_counted=NOT_COUNTED,
        many=len(data.trends) > MANY,
        median_of=MEDIAN_OF,
        states=_states(data),
        marks=[_mark(*one) for one in MARKS],
        tiles=_tiles(data),
        traffic=_traffic(data.traffic),
        plotly=plotly,
        script=script,
        policy=_policy(plotly, script),
    )
    return text


def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dockyard"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        bytes=lambda count: UNKNOWN if count is None else format_bytes(count),
        seconds=lambda count: UNKNOWN if count is None else format_seconds(count),
        rate=format_rate,
        short=short_instruction,
        moment=moment_text,
        utc=lambda moment: moment[:19].replace("T", " ") + " UTC",
    )
    return environment


def _states(data: ReportData) -> list[str]:
    """Name the states that the waterfall shows, for its legend."""
    there = {bar.state for stage in data.timeline.stages for bar in stage.bars}
    return [state for state in STATES if state in there]


def _mark(colour: str, symbol: str) -> str:
    """Draw a chart's symbol for its legend, in a square from -6 to 6."""
    drawn = {
        "square": '<path d="M-5-5H5V5H-5Z"/>',
        "triangle-up": '<path d="M0-6 6 5H-6Z"/>',
        "cross": '<path d="M-2-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z"/>',
        "x": '<path transform="rotate(45)" d="M-2-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z"/>',
        "circle": '<circle r="5.5"/>',
    }[symbol]
    return f'<svg width="12" height="12" viewBox="-6 -6 12 12" fill="{colour}">{drawn}</svg>'


def _policy(*scripts: str) -> str:
    """Write the Content-Security-Policy (W3C CSP 3) that lets these scripts run."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'"
        for one in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _tiles(data: ReportData) -> list[dict[str, Any]]:
    """Name the figures that matter: a label, the figure, and what to compare it with."""
    head, latest = data.headline, data.trends[-1]
    usual = ""
    if head.usual_seconds is not None:
        usual = f"median of the others shown: {format_seconds(head.usual_seconds)}"
    tiles = [
        {"label": "Time", "value": format_seconds(head.seconds), "detail": usual},
        {
            "label": "Cache hits",
            "value": format_rate(latest.overall),
            "detail": f"dependencies {format_rate(latest.dependency)}, "
            f"application {format_rate(latest.application)}",
        },
        {
            "label": "Steps run",
            "value": f"{head.steps_ran}",
            "detail": f"of {head.steps_ran + head.steps_cached}; {head.steps_cached} cached",
        },
    ]
    for label, value, direction in (
        ("Received", latest.received, "received"),
        ("Sent", latest.sent, "sent"),
    ):
        lines = [one for one in data.traffic if one.direction == direction]
        unknown = [one for one in lines if one.bytes is None]
        detail = "all of it counted"
        if unknown:
            detail = f"{len(unknown)} of {format_count(len(lines), 'kind')} unknown"
        value_text = UNKNOWN if value is None else format_bytes(value)
        if unknown and value is not None:
            value_text = f"≥ {value_text}"
        tiles.append({"label": label, "value": value_text, "detail": detail})
    if head.image_bytes is not None:
        change = ""
        if head.image_change is not None:
            sign = "+" if head.image_change > 0 else "−" if head.image_change < 0 else "±"
            change = f"{sign}{format_bytes(abs(head.image_change))} against the build before"
        tiles.append(
            {
                "label": "Image, compressed",
                "value": format_bytes(head.image_bytes),
                "detail": change,
            }
        )
    return tiles


def _traffic(lines: tuple[TrafficLine, ...]) -> list[dict[str, Any]]:
    """Group the lines by direction, each with its share of the largest for a bar's width."""
    largest = max((one.bytes or 0 for one in lines), default=0)
    titles = {"received": "Received", "sent": "Sent", "saved": "Not moved, being there already"}
    return [
        {
            "title": title,
            "direction": direction,
            "lines": [
                {"line": one, "width": _width(one.bytes, largest)}
                for one in lines
                if one.direction == direction
            ],
        }
        for direction, title in titles.items()
    ]


def _width(count: int | None, largest: int) -> float:
    """Return a bar's width in percent; what is not zero stays visible."""
    return max(round(100 * count / largest, 1), 0.6) if count else 0.0
