"""The layer planner: a partition, within its limit, the same each time, and no worse with more."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise

from hypothesis import assume, given
from hypothesis import strategies as st

from dockyard.layer_model import ChangeModel
from dockyard.layer_parameters import FREE_LAYERS, PlannerParameters
from dockyard.layer_planner import divide, objective, plan_groups
from dockyard.layer_replay import STRATEGIES, replay
from dockyard.layers import LayerPlan, assign, describe, plan, plan_by_size, update
from dockyard.lock import Package, PackageSource
from dockyard.lock_versions import (
    History,
    LockedPackages,
    changes,
    distinct,
    locked_packages,
)

NAMES = [
    *("torch", "nvidia-cublas", "nvidia-cudnn", "boto3", "botocore", "opentelemetry-api"),
    *("opentelemetry-sdk", "numpy", "a", "b", "c", "idna", "x-y", "z1"),
]
PYPI = PackageSource("registry", "https://pypi.org/simple")


# Drawn whole, because an example has dozens of packages.
VARIANTS = [
    (version, size, has_wheel, hashed)
    for hashed in (True, False)
    for has_wheel in (True, False)
    for size in (1_000_000, None, 0, 1, 999, 123_456, 20_000_000, 500_000_000)
    for version in ("1", "1.0", "0.3.1", "2026.1.2", "1.42.6", "5!1.2", "v3", "", "1.x", "9" * 30)
]


def _identity(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _packages(chosen: dict[str, tuple[str, int | None, bool, bool]]) -> tuple[Package, ...]:
    return tuple(
        Package(
            name=name,
            version=version,
            source=PYPI,
            size=size,
            identity=_identity(name, version, size, has_wheel, hashed),
            has_wheel=has_wheel,
            hashed=hashed,
        )
        for name, (version, size, has_wheel, hashed) in chosen.items()
    )


def packages() -> st.SearchStrategy[tuple[Package, ...]]:
    """Some packages; those without a hash are few."""
    variants = st.sampled_from(VARIANTS[: len(VARIANTS) // 2] * 4 + VARIANTS)
    return st.dictionaries(st.sampled_from(NAMES), variants, max_size=9).map(_packages)


@st.composite
def histories(draw: st.DrawFn) -> History | None:
    versions = [locked_packages(one) for one in draw(st.lists(packages(), max_size=3))]
    builds = draw(st.none() | st.floats(1, 50))
    return History(versions=distinct(versions), builds_per_change=builds) if versions else None


LIMITS = st.integers(1, 16)
PARAMETERS = st.sampled_from([None, FREE_LAYERS, PlannerParameters(builds_per_change=50.0)])


def check_partition(made: LayerPlan, of: Sequence[Package], limit: int) -> None:
    assert 1 <= len(made.layers) <= limit
    named = [name for layer in made.layers for name in layer.packages]
    assert sorted(named) == sorted({one.name for one in of})
    assert all(layer.packages for layer in made.layers[:-1])
    dealt = [one for layer in assign(made, of) for one in layer]
    assert sorted(dealt, key=repr) == sorted(of, key=repr)
    last = set(made.layers[-1].packages)
    assert {one.name for one in of if not one.hashed} <= last


@given(packages(), histories(), LIMITS, PARAMETERS, st.randoms(use_true_random=False))
def test_every_package_is_in_exactly_one_layer(
    of: tuple[Package, ...],
    history: History | None,
    limit: int,
    parameters: PlannerParameters | None,
    random: object,
) -> None:
    made = plan(of, history, limit, parameters)
    check_partition(made, of, limit)
    shuffled = list(of)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert plan(shuffled, history, limit, parameters) == made
    statistics = describe(made, of, history, parameters)
    assert len(statistics) == len(made.layers)
    assert all(0 <= one.chance <= 1 + 1e-9 for one in statistics)
    assert sum(one.bytes for one in statistics) == sum(
        p.size for p in locked_packages(of, history.sizes() if history else None).values()
    )


@given(packages(), packages(), histories(), LIMITS, LIMITS, st.booleans())
def test_a_plan_that_is_brought_along_is_one_still(
    old: tuple[Package, ...],
    new: tuple[Package, ...],
    history: History | None,
    limit: int,
    later: int,
    known: bool,
) -> None:
    before = plan(old, history, limit)
    after = update(before, old if known else None, new, history, later)
    check_partition(after, new, later)
    assert update(before, old if known else None, new, history, later) == after
    if not known or len(before.layers) > later:
        return
    found = changes(
        locked_packages(old, history.sizes() if history else None),
        locked_packages(new, history.sizes() if history else None),
    )
    # What has lost its hash goes to the last layer, as does what comes without one.
    guarded = {one.name for one in old if one.hashed}
    names = {one.name for one in old}
    lost = {one.name for one in new if one.name in guarded and not one.hashed}
    moved = lost.union(*found)
    added = {one.name for one in new if one.name not in names and one.hashed}
    pinned = lost | {one.name for one in new if one.name not in names and not one.hashed}
    # A layer in which nothing changed keeps its packages, but for the one that a new package
    # joined: that is transferred again anyway, and may be divided, as torch's family was from
    # boto3, which botocore joined.
    divided = [
        layer
        for layer in before.layers[: -1 if pinned else None]
        if moved.isdisjoint(layer.packages)
        and not any(set(layer.packages) <= set(one.packages) for one in after.layers)
    ]
    assert len(divided) <= len(added)
    if not moved:
        kept = [set(one.packages) for one in before.layers]
        assert [set(one.packages) for one in after.layers] == kept


@given(packages(), LIMITS)
def test_a_plan_by_size_names_no_package_twice(of: tuple[Package, ...], limit: int) -> None:
    made = plan_by_size(of, limit)
    assert 1 <= len(made.layers) <= limit
    assert made.layers[-1].packages == ()
    assert sorted((one for layer in assign(made, of) for one in layer), key=repr) == sorted(
        of, key=repr
    )


@given(packages(), histories(), PARAMETERS)
def test_more_layers_are_expected_to_move_no_more(
    of: tuple[Package, ...], history: History | None, parameters: PlannerParameters | None
) -> None:
    assume(of)
    locked = locked_packages(of, history.sizes() if history else None)
    versions: list[LockedPackages] = [*history.versions, locked] if history else [locked]
    model = ChangeModel.learned(distinct(versions), parameters or PlannerParameters())
    pinned = [name for name, one in locked.items() if not one.hashed]
    costs = [
        objective(model, plan_groups(model, locked.keys(), pinned, limit)) for limit in range(1, 9)
    ]
    for fewer, more in pairwise(costs):
        assert more <= fewer * (1 + 1e-9)


@given(packages(), histories())
def test_a_division_costs_what_it_says(of: tuple[Package, ...], history: History | None) -> None:
    locked = locked_packages(of, history.sizes() if history else None)
    versions: list[LockedPackages] = [*history.versions, locked] if history else [locked]
    model = ChangeModel.learned(distinct(versions), FREE_LAYERS)
    for number, (cost, groups) in enumerate(divide(model, locked.keys(), 6), start=1):
        assert len(groups) == number
        assert sorted(name for group in groups for name in group) == sorted(locked)
        expected = sum(model.expected(group) for group in groups)
        assert abs(cost - expected) <= 1e-6 * max(expected, 1)


@given(st.lists(packages(), min_size=2, max_size=4), LIMITS)
def test_a_replay_is_between_its_bounds(versions: list[tuple[Package, ...]], limit: int) -> None:
    history = History(versions=distinct(map(locked_packages, versions)))
    moves = {one: replay(history, one, limit) for one in STRATEGIES}
    for change in range(len(history.versions) - 1):
        low, high = moves["lower bound"][change], moves["one layer"][change]
        for strategy in STRATEGIES:
            one = moves[strategy][change]
            assert low.moved <= one.moved <= one.total == high.total
            assert strategy == "lower bound" or one.layers <= limit


@given(packages())
def test_a_lock_differs_in_nothing_from_itself(of: tuple[Package, ...]) -> None:
    found = locked_packages(of)
    assert not any(changes(found, dict(found)))
    assert distinct([found, found]) == (found,)
