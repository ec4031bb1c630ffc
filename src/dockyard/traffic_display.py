"""A build's traffic in the few words that a summary has room for. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from dockyard.display.format import format_bytes, strip_control
from dockyard.record_parts import TrafficRecord

__all__ = ["bytes_down", "bytes_up", "traffic_rows"]


def _total(parts: Iterable[int | None]) -> int | None:
    known = tuple(parts)
    return None if None in known else sum(part or 0 for part in known)


def bytes_down(traffic: TrafficRecord | None) -> int | None:
    """Add up what came from registries, indexes and the local cache; None if a part is unknown."""
    if traffic is None:
        return None
    return _total((traffic.base_read, traffic.cache_read, traffic.packages_downloaded))


def bytes_up(traffic: TrafficRecord | None) -> int | None:
    """Add up what was pushed and exported; None if a part is unknown."""
    return None if traffic is None else _total((traffic.layers_pushed, traffic.cache_written))


def traffic_rows(traffic: TrafficRecord | None) -> tuple[tuple[str, str], ...]:
    """Say what moved, as rows of a heading and a text; a direction in which nothing did has none.

    What is unknown is said, with the reason.
    """
    if traffic is None:
        return ()
    down = _row(
        traffic,
        ("base", "base_read", ""),
        ("cache", "cache_read", ""),
        ("packages", "packages_downloaded", _beside(traffic.packages_cached, "from uv's cache")),
    )
    up = _row(
        traffic,
        ("layers", "layers_pushed", _beside(traffic.layers_skipped, "were there already")),
        ("cache", "cache_written", ""),
    )
    return tuple((name, text) for name, text in (("down", down), ("up", up)) if text)


def _beside(count: int | None, what: str) -> str:
    return f" ({format_bytes(count)} {what})" if count else ""


def _row(traffic: TrafficRecord, *parts: tuple[str, str, str]) -> str:
    said, reasons = [], []
    for name, field, more in parts:
        count: int | None = getattr(traffic, field)
        if count is None:
            said.append(f"{name} unknown{more}")
            reasons.append((traffic.unknown or {}).get(field, ""))
        elif count or more:
            said.append(f"{name} {format_bytes(count)}{more}")
    why = "; ".join(dict.fromkeys(strip_control(one) for one in reasons if one))
    return ", ".join(said) + (f" – {why}" if why else "")
