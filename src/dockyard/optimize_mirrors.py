"""Proposals about mirrors, from what was measured of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dockyard.display.format import format_bytes
from dockyard.mirrors import Measurement, order
from dockyard.optimize import Proposal, Safety, SetSetting

__all__ = ["propose_a_mirror", "propose_mirrors"]

# An order that saves less than this is within what a probe varies by.
MIRROR_SHARE = 0.25
MIRROR_SECONDS = 1.0


def propose_mirrors(
    entries: Sequence[tuple[str, str]],
    measured: Mapping[str, Measurement],
    size: int,
    requests: int,
    *,
    key: str = "uv-mirrors",
    what: str = "all packages",
) -> tuple[Proposal, ...]:
    """Propose the order of the mirrors in which the packages come the fastest.

    ``entries``: each as the setting has it, and its URL ("" where it mirrors another index than
    the default one, and keeps its place). ``measured``: by URL. ``size``, in bytes, and
    ``requests`` are those of all of the project's packages; or of ``what`` else the mirrors of the
    setting ``key`` are for.
    """
    probed = [(text, measured[url]) for text, url in entries if url in measured]
    if len(probed) < 2:
        return ()
    now = [one for _, one in probed]
    if all(one.throughput is None for one in now):
        return ()
    best = order(now, size, requests)
    first, fastest = now[0], best[0]
    took, would_take = (one.seconds_for(size, requests) for one in (first, fastest))
    gain = took - would_take
    if first.throughput and (gain < MIRROR_SECONDS or gain < took * MIRROR_SHARE):
        return ()
    sorted_texts = iter(next(text for text, one in probed if one is chosen) for chosen in best)
    reordered = tuple(next(sorted_texts) if url in measured else text for text, url in entries)
    figures = "; ".join(f"{one.url}: {_speed(one)}" for one in best)
    return (
        Proposal(
            "mirrors",
            f"ask {fastest.url} first",
            f"measured now: {figures}",
            None,
            gain if first.throughput else None,
            f"{format_bytes(max(one.received for one in now))} of a real file from each; "
            f"the gain is for {what}, {format_bytes(size)}, where no cache has them",
            Safety.SAFE,
            SetSetting(key, reordered),
        ),
    )


def propose_a_mirror(
    index: Measurement, presets: Mapping[str, Measurement], size: int, requests: int
) -> tuple[Proposal, ...]:
    """Propose a well-known mirror where the index itself is much slower, or does not answer.

    ``presets``: by short name.
    """
    answering = {name: one for name, one in presets.items() if one.throughput}
    if not answering:
        return ()
    name, best = min(answering.items(), key=lambda item: item[1].seconds_for(size, requests))
    took, would_take = index.seconds_for(size, requests), best.seconds_for(size, requests)
    if index.throughput and took - would_take < max(MIRROR_SECONDS, took * MIRROR_SHARE):
        return ()
    return (
        Proposal(
            "mirrors",
            f"ask the mirror {name} before {index.url}",
            f"measured now: {best.url}: {_speed(best)}; {index.url}: {_speed(index)}. "
            "The lock's hashes are checked whichever answers",
            None,
            took - would_take if index.throughput else None,
            f"{format_bytes(best.received)} of a real file from each; the gain is for all "
            f"packages, {format_bytes(size)}, where no cache has them",
            Safety.ASKED,
            SetSetting("uv-mirrors", (name,)),
        ),
    )


def _speed(one: Measurement) -> str:
    if one.throughput is None or one.latency is None:
        return one.problem or "no answer"
    return f"{format_bytes(one.throughput)}/s, {one.latency * 1000:.0f} ms"
