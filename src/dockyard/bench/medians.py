"""Medians and their spread, and the ratios between Dockerfiles, of one result. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from dockyard.bench.results import BenchResult, Measurement

__all__ = ["METRICS", "Summary", "ratio", "summarize", "summary_of"]

METRICS: dict[str, str] = {
    "seconds": "Time",
    "bytes_down": "Bytes down",
    "bytes_up": "Bytes up",
    "bytes_pulled": "Bytes that a machine with the previous image pulls",
}
"""The figures of a measurement that are compared, and how tables title them."""


@dataclass(frozen=True)
class Summary:
    """Median, lowest and highest of the repetitions, and how many there were."""

    median: float
    low: float
    high: float
    count: int


def summarize(values: Iterable[float | None]) -> Summary | None:
    """Summarize what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Summary(statistics.median(known), min(known), max(known), len(known))


def summary_of(
    result: BenchResult, metric: str, environment: str, scenario: str, dockerfile: str
) -> Summary | None:
    """Summarize one figure of one cell over its repetitions; None where none was measured."""
    found = result.of(environment, scenario, dockerfile)
    return summarize(getattr(one, metric) for one in found)


def ratio(
    result: BenchResult, metric: str, environment: str, scenario: str, dockerfile: str, base: str
) -> Summary | None:
    """Divide a Dockerfile's figure by another's, in each repetition, and summarize that.

    None where no repetition has both, or the other's is zero.
    """

    def figures(name: str) -> dict[int, float]:
        return {
            one.repetition: value
            for one in result.of(environment, scenario, name)
            if (value := _figure(one, metric)) is not None
        }

    ours, theirs = figures(dockerfile), figures(base)
    return summarize(ours[number] / theirs[number] for number in ours if theirs.get(number, 0) > 0)


def _figure(measurement: Measurement, metric: str) -> float | None:
    value = getattr(measurement, metric)
    return None if value is None else float(value)
