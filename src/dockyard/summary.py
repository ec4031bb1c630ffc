"""A build's record as the few lines that a person wants to see of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dockyard.display.format import format_bytes, format_seconds
from dockyard.records import BuildRecord, LayerRecord

__all__ = ["format_rate", "job_summary", "layer_totals", "summary_lines"]


def format_rate(rate: Any) -> str:
    """Write a share between 0 and 1 as a percentage; a dash where there is none."""
    if not isinstance(rate, int | float):
        return "–"
    # 99.6 % is not 100 %: a full hit rate is only said of one.
    return f"{rate:.0%}" if rate in (0, 1) else f"{min(max(rate, 0.01), 0.99):.0%}"


def layer_totals(layers: Sequence[LayerRecord]) -> tuple[tuple[str, int, int], ...]:
    """Sum the layers by what they hold: (name, number of layers, bytes unpacked)."""
    kinds = {"base": (0, 0), "dependencies": (0, 0), "sources": (0, 0)}
    for layer in layers:
        kind = "sources"
        if layer.holds.startswith("dependencies-") or layer.holds == "environment":
            kind = "dependencies"
        elif layer.holds == "base" or layer.holds.startswith(("RUN ", "WORKDIR ", "ADD ")):
            kind = "base"
        count, size = kinds[kind]
        kinds[kind] = (count + 1, size + layer.size)
    return tuple((kind, count, size) for kind, (count, size) in kinds.items() if count)


def _steps(record: BuildRecord) -> str:
    counted = [step for step in record.steps if step.kind in ("run", "copy", "file")]
    ran = [step for step in counted if step.ran]
    cached = sum(step.cached for step in counted)
    text = f"{cached} cached, {len(ran)} run"
    if ran and len(ran) <= 3:
        text += " (" + "; ".join(f"{s.stage}: {s.instruction[:40]}" for s in ran) + ")"
    return text


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
            unpacked = format_bytes(record.image["unpacked_bytes"])
            lines.append(f"  image         {format_bytes(content)} compressed, {unpacked} unpacked")
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
    if record.context_bytes is not None:
        lines.append(f"  context sent  {format_bytes(record.context_bytes)}")
    lines += [f"  warning       {warning}" for warning in record.warnings]
    lines += [f"  note          {note}" for note in record.notes]
    if path:
        lines.append(f"  record        {path}")
    return lines


def job_summary(record: BuildRecord) -> str:
    """Render the summary as Markdown for a GitHub Actions job."""
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
    if record.context_bytes is not None:
        rows.append(("context sent", format_bytes(record.context_bytes)))
    table = "\n".join(f"| {name} | {_cell(value)} |" for name, value in rows)
    notes = "".join(f"\n> {note}\n" for note in record.notes)
    return f"### Image build {record.outcome}\n\n| | |\n|---|---|\n{table}\n{notes}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
