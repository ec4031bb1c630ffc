"""A build's record as the few lines that a person wants to see of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from dockyard.display.format import format_bytes, format_seconds, shorten, strip_control
from dockyard.records import BuildRecord, LayerRecord
from dockyard.steps import short_instruction
from dockyard.trace import COUNTED_KINDS
from dockyard.traffic_display import traffic_rows

__all__ = ["format_rate", "job_summary", "layer_totals", "summary_lines"]


def format_rate(rate: Any) -> str:
    """Write a share between 0 and 1 as a percentage; a dash where there is none."""
    if not isinstance(rate, int | float):
        return "–"
    # 99.6 % is not 100 %: a full hit rate is only said of one.
    return f"{rate:.0%}" if rate in (0, 1) else f"{min(max(rate, 0.01), 0.99):.0%}"


def layer_totals(layers: Sequence[LayerRecord]) -> tuple[tuple[str, int, int], ...]:
    """Sum the layers by what they hold: (name, number of layers, bytes unpacked).

    What lies below the environment is the base, whatever the base image's own instructions were.
    """
    holds = [layer.holds for layer in layers]
    own = holds.index("environment") if "environment" in holds else 0
    kinds = {"base": (0, 0), "dependencies": (0, 0), "sources": (0, 0)}
    for position, layer in enumerate(layers):
        kind = "sources"
        if layer.holds.startswith("dependencies-") or layer.holds == "environment":
            kind = "dependencies"
        elif position < own or layer.holds.startswith(("base", "RUN ", "WORKDIR ", "ADD ")):
            kind = "base"
        count, size = kinds[kind]
        kinds[kind] = (count + 1, size + layer.size)
    return tuple((kind, count, size) for kind, (count, size) in kinds.items() if count)


def _steps(record: BuildRecord) -> str:
    counted = [step for step in record.steps if step.kind in COUNTED_KINDS]
    ran = [step for step in counted if step.ran]
    cached = sum(step.cached for step in counted)
    text = f"{cached} cached, {len(ran)} run"
    if ran and len(ran) <= 3:
        named = (
            (f"{step.stage}: " if step.stage else "")
            + shorten(strip_control(short_instruction(step.instruction)), 50)
            for step in ran
        )
        text += " (" + "; ".join(named) + ")"
    return text


def _caches(record: BuildRecord) -> str | None:
    """Name the caches that were used; what is to be said of the others is among the notes."""
    prepositions = {"import": "from", "export": "to"}
    used = [
        f"{prepositions.get(one.direction, one.direction)} {one.reference or one.type} "
        f"({format_seconds(one.seconds)})"
        for one in record.caches
        if not one.error
    ]
    return ", ".join(used) if used else None


def summary_lines(record: BuildRecord, path: str | None) -> list[str]:
    """Render the summary after a build: outcome, image, layers, steps, hit rates, notes."""
    tags = record.image["tags"]
    took = format_seconds(record.seconds)
    if record.outcome != "succeeded":
        lines = [f"✗ {tags[0]} {record.outcome} after {took}"]
    else:
        digest = str(record.image["digest"] or "").removeprefix("sha256:")[:12]
        lines = [f"✓ {tags[0]} ({digest}) in {took}"]
        lines += [f"  also tagged   {tag}" for tag in tags[1:]]
        content = record.image["content_bytes"]
        if content:
            unpacked = record.image.get("unpacked_bytes")
            more = f", {format_bytes(unpacked)} unpacked" if unpacked else ""
            lines.append(f"  image         {format_bytes(content)} compressed{more}")
        totals = layer_totals(record.layers)
        if totals:
            lines.append(
                "  layers        "
                + ", ".join(f"{kind} {format_bytes(size)} in {n}" for kind, n, size in totals)
            )
    lines.append(f"  steps         {_steps(record)}")
    rates = record.hit_rates
    lines.append(
        f"  cache hits    dependencies {format_rate(rates['dependency'])}, "
        f"application {format_rate(rates['application'])}, overall {format_rate(rates['overall'])}"
    )
    caches = _caches(record)
    if caches:
        lines.append(f"  build cache   {caches}")
    if record.context_bytes is not None:
        lines.append(f"  context sent  {format_bytes(record.context_bytes)}")
    lines += [f"  {name:<14}{text}" for name, text in traffic_rows(record.traffic)]
    lines += [f"  warning       {strip_control(warning)}" for warning in record.warnings]
    lines += [f"  note          {note}" for note in record.notes]
    if path:
        lines.append(f"  record        {path}")
    return lines


def job_summary(record: BuildRecord, why: str | None = None) -> str:
    """Render the summary as Markdown for a GitHub job; ``why`` something large ran again."""
    rates = record.hit_rates
    rows = [
        ("image", ", ".join(f"`{tag}`" for tag in record.image["tags"])),
        ("digest", f"`{record.image['digest']}`" if record.image["digest"] else "–"),
        ("time", format_seconds(record.seconds)),
        ("steps", _steps(record)),
        ("cache hits, dependencies", format_rate(rates["dependency"])),
        ("cache hits, application", format_rate(rates["application"])),
        ("cache hits, overall", format_rate(rates["overall"])),
    ]
    if record.image["content_bytes"]:
        rows.append(("image, compressed", format_bytes(record.image["content_bytes"])))
    caches = _caches(record)
    if caches:
        rows.append(("build cache", caches))
    if record.context_bytes is not None:
        rows.append(("context sent", format_bytes(record.context_bytes)))
    rows += traffic_rows(record.traffic)
    if why:
        rows.append(("why", why))
    table = "\n".join(f"| {name} | {_cell(value)} |" for name, value in rows)
    said = [f"warning: {warning}" for warning in record.warnings] + list(record.notes)
    notes = "".join(f"\n> {' '.join(note.split())}\n" for note in said)
    error = f"\n{_fenced(record.error)}\n" if record.error else ""
    return f"### Image build {record.outcome}\n\n| | |\n|---|---|\n{table}\n{error}{notes}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _fenced(text: str) -> str:
    """Put a text into a code block whose fence is longer than any run of backticks in it."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    body = "\n".join(strip_control(line) for line in text.split("\n"))
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{body}\n{fence}"
