"""Proposals about the layer plan: bring it along with the lock, or make it anew. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dockyard.display.format import format_bytes, format_count
from dockyard.layer_parameters import PlannerParameters
from dockyard.layers import LayerPlan, assign, describe, plan, update
from dockyard.lock import Package
from dockyard.lock_versions import History
from dockyard.optimize import ByHand, Proposal, Safety, WriteFile

__all__ = ["propose_layers"]


@dataclass(frozen=True)
class _Judged:
    """A plan, with the bytes that a change of the lock is expected to move.

    ``cost`` has what its layers cost in build time as well, in bytes. ``sizes``: bytes by layer.
    """

    plan: LayerPlan
    moves: float
    cost: float
    sizes: dict[frozenset[str], int]


def _judge(
    one: LayerPlan,
    packages: Sequence[Package],
    history: History,
    parameters: PlannerParameters,
) -> _Judged:
    layers = describe(one, packages, history, parameters)
    moves = sum(layer.expected_bytes for layer in layers)
    known = parameters.measured(history.builds_per_change)
    sizes = {frozenset(layer.packages): layer.bytes for layer in layers}
    return _Judged(one, moves, moves + known.layer_bytes * len(sizes), sizes)


def propose_layers(
    path: str,
    kept: LayerPlan,
    packages: Sequence[Package],
    history: History,
    limit: int,
    *,
    rewritten: Callable[[LayerPlan], str],
    edited: Sequence[str] = (),
    parameters: PlannerParameters | None = None,
) -> tuple[Proposal, ...]:
    """Compare the plan that a Dockerfile keeps with what the lock and its history ask for.

    ``path``: of the Dockerfile; ``rewritten`` gives its text with another plan. ``edited``: the
    marked regions that somebody changed, which are kept. A plan is only made anew where that
    earns, within the planner's horizon, the bytes that it moves once.
    """
    parameters = parameters or PlannerParameters()
    named = {name for layer in kept.layers for name in layer.packages}
    locked = {one.name for one in packages}
    # Where the last layer's members are not named, nobody can tell which of them are new.
    unnamed = sorted(locked - named) if kept.layers[-1].packages else []
    current = _judge(kept, packages, history, parameters)
    along = current
    if unnamed:
        moved = update(kept, None, packages, history, limit, parameters)
        along = _judge(moved, packages, history, parameters)
    anew = _judge(plan(packages, history, limit, parameters), packages, history, parameters)
    once = sum(size for names, size in anew.sizes.items() if names not in along.sizes)
    changes = len(history.versions) - 1
    learned = "by other projects'"
    if changes > 0:
        learned = f"learned from {format_count(changes, 'change')} of uv.lock"
    source = f"expected per change of the lock, {learned}; sizes as the lock has them"
    if (along.cost - anew.cost) * parameters.horizon > once:
        layers = format_count(len(anew.sizes), "layer")
        chosen, what = anew, f"divide the packages into {layers} anew"
        why = (
            f"a change of the lock moves {format_bytes(anew.moves)} instead of "
            f"{format_bytes(current.moves)}; the new layers move once, {format_bytes(once)}"
        )
    elif unnamed and _dealt(along.plan, packages) != _dealt(kept, packages):
        chosen, what = along, f"give {_some(unnamed)} a layer"
        why = "no layer names what the lock has got, so that it is in the last one"
    else:
        return ()
    gain = round(current.moves - chosen.moves)
    seconds = (len(current.sizes) - len(chosen.sizes)) * parameters.seconds_per_layer
    return (
        Proposal(
            "layers",
            what,
            why,
            gain if gain > 0 else None,
            seconds if seconds > 0 else None,
            source + ("; seconds of every build, for the layers that go" if seconds > 0 else ""),
            Safety.BY_HAND if edited else Safety.SAFE,
            ByHand(path, f"its marked region “{', '.join(edited)}” was edited and is kept as it is")
            if edited
            else WriteFile(path, rewritten(chosen.plan)),
        ),
    )


def _dealt(one: LayerPlan, packages: Sequence[Package]) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(each.name for each in layer) for layer in assign(one, packages))


def _some(names: Sequence[str], limit: int = 3) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
