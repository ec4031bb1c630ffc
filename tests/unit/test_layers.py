from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from dockyard.layer_parameters import FREE_LAYERS
from dockyard.layers import Layer, LayerPlan, assign, describe, plan, plan_by_size, update
from dockyard.lock import Package
from dockyard.lock_versions import (
    UNKNOWN_SOURCE_BYTES,
    UNKNOWN_WHEEL_BYTES,
    History,
    changes,
    distinct,
    locked_packages,
)
from support.locks import locked, make_package


def some_packages(count: int, seed: int = 0) -> list[Package]:
    chosen = random.Random(seed)
    return [
        make_package(f"p{n:03}", int(10 ** chosen.uniform(3, 8)), f"1.{chosen.randrange(90)}.0")
        for n in range(count)
    ]


def named(made: LayerPlan) -> list[str]:
    return sorted(name for layer in made.layers for name in layer.packages)


def sets(made: LayerPlan) -> list[set[str]]:
    return [set(layer.packages) for layer in made.layers]


@pytest.mark.parametrize("count", [0, 1, 2, 30, 700])
@pytest.mark.parametrize("limit", [1, 3, 24])
def test_every_package_is_in_exactly_one_layer(count: int, limit: int) -> None:
    packages = some_packages(count)
    made = plan(packages, None, limit, FREE_LAYERS)
    assert 1 <= len(made.layers) <= limit
    assert named(made) == [one.name for one in packages]
    assert sorted(one.name for layer in assign(made, packages) for one in layer) == named(made)
    described = describe(made, packages, None)
    assert [one.packages for one in described] == [tuple(sorted(one)) for one in sets(made)]
    assert all((one.bytes > 0 and 0 < one.chance <= 1) or not packages for one in described)


def test_the_same_packages_give_the_same_plan_in_any_order() -> None:
    packages = some_packages(80)
    expected = plan(packages, None, 8)
    for seed in range(3):
        assert plan(random.Random(seed).sample(packages, 80), None, 8) == expected


def test_a_limit_below_one_is_refused() -> None:
    refused = pytest.raises(ValueError, match="at least one layer")
    with refused:
        plan([], None, 0)
    with refused:
        update(LayerPlan((Layer(()),)), None, [], None, 0)
    with refused:
        plan_by_size([], 0)


def test_a_missing_size_is_estimated() -> None:
    packages = [
        make_package("wheel", None),
        make_package("source", None, wheel=False),
        make_package("known", 500),
    ]
    found = locked_packages(packages)
    assert {name: one.size for name, one in found.items()} == {
        "wheel": UNKNOWN_WHEEL_BYTES,
        "source": UNKNOWN_SOURCE_BYTES,
        "known": 500,
    }
    assert [name for name, one in found.items() if one.estimated] == ["source", "wheel"]
    before = {"wheel": locked("0.9", 7_000_000), "source": locked("0.9", 1, estimated=True)}
    history = History(versions=(before,))
    sized = locked_packages(packages, history.sizes())
    assert sized["wheel"].size == 7_000_000
    assert sized["source"].size == UNKNOWN_SOURCE_BYTES
    made = plan(packages, history, 3, FREE_LAYERS)
    described = {one.packages: one.estimated for one in describe(made, packages, history)}
    assert described == {("wheel",): 1, ("source",): 1, ("known",): 0}


def test_two_versions_of_one_name_are_one_package() -> None:
    pair = [make_package("a", 10, "1.0"), make_package("a", 20, "2.0")]
    assert locked_packages(pair) == locked_packages(pair[::-1])
    assert locked_packages(pair)["a"].size == 30
    other = [pair[0], replace(pair[1], identity="other")]
    assert changes(locked_packages(pair), locked_packages(other)).changed == ("a",)


def test_what_has_no_hash_is_in_the_last_layer() -> None:
    packages = [*some_packages(20), make_package("branch", None, wheel=False, hashed=False)]
    for limit in (1, 2, 5, 40):
        assert "branch" in plan(packages, None, limit, FREE_LAYERS).layers[-1].packages


def test_the_plan_follows_the_lock_and_moves_nothing_else() -> None:
    old = some_packages(60)
    made = plan(old, None, 8, FREE_LAYERS)
    smallest = min(old, key=lambda one: (one.size or 0, one.name))
    new = [replace(one, identity="other") if one is smallest else one for one in old]
    updated = update(made, old, new, None, 8, FREE_LAYERS)
    assert sets(updated) == sets(made)
    added = [*new, make_package("added", 5000)]
    with_added = update(updated, new, added, None, 8, FREE_LAYERS)
    assert named(with_added) == sorted(one.name for one in added)
    assert sum(a != b for a, b in zip(sets(with_added), sets(updated), strict=True)) == 1


def test_without_the_packages_before_names_tell_what_came_and_went() -> None:
    old = some_packages(30)
    made = plan(old, None, 5, FREE_LAYERS)
    assert sets(update(made, None, old, None, 5, FREE_LAYERS)) == sets(made)
    gone, *rest = old
    new = [*rest, make_package("added", 5000)]
    updated = update(made, None, new, None, 5, FREE_LAYERS)
    assert named(updated) == sorted(one.name for one in new)
    assert gone.name not in named(updated)
    unchanged = [one for one in sets(made) if gone.name not in one and one in sets(updated)]
    assert len(unchanged) >= 3


def test_what_no_layer_named_was_in_the_last_one() -> None:
    old = [make_package(name, 1_000_000) for name in "abcd"]
    kept = LayerPlan((Layer(("a",)), Layer(())))
    new = [replace(one, identity="other") if one.name == "a" else one for one in old]
    assert sets(update(kept, old, new, None, 2, FREE_LAYERS)) == [{"a"}, {"b", "c", "d"}]


def test_an_update_says_the_same_twice() -> None:
    old = some_packages(50)
    made = plan(old, None, 8)
    new = [replace(one, identity="other") if n % 5 == 0 else one for n, one in enumerate(old)]
    once = update(made, old, new, None, 8)
    assert update(once, new, new, None, 8) == once
    assert update(made, old[::-1], new[::-1], None, 8) == once


def test_the_history_decides_what_is_kept_apart() -> None:
    packages = [make_package(name, 5_000_000, "1.0") for name in "abcdef"]
    versions = [locked_packages(packages)]
    for change in range(30):
        name = "ce"[change % 2]
        versions.append({**versions[-1], name: locked(f"1.{change}", 5_000_000)})
    history = History(versions=tuple(versions))
    made = plan(packages, history, 2, FREE_LAYERS)
    assert sets(made) == [{"a", "b", "d", "f"}, {"c", "e"}]
    steady, busy = describe(made, packages, history)
    assert busy.chance > 2 * steady.chance
    assert busy.expected_bytes == busy.bytes * busy.chance
    # What the lock has changed since its last commit is the 31st change.
    assert history.change_counts() == {"c": 15, "e": 15}
    assert history.changed_together() == (frozenset("c"), frozenset("e")) * 15


def test_a_project_that_is_built_often_gets_fewer_layers() -> None:
    packages = some_packages(40)
    counts = [
        len(plan(packages, History(builds_per_change=builds), 40).layers)
        for builds in (1.0, None, 50.0)
    ]
    assert counts[0] > counts[1] > counts[2]


def test_versions_that_install_the_same_are_one() -> None:
    one, same, other = ({"a": locked("1", n)} for n in (10, 20, 30))
    other["a"] = locked("2", 30)
    assert distinct([one, same, other, other]) == (one, other)
    assert distinct([]) == ()


def test_the_largest_alone_as_before() -> None:
    packages: Sequence[Package] = [
        make_package("big", 9_000_000),
        make_package("bigger", 10_000_000),
        make_package("large", 8_000_000),
        make_package("small", 10),
        make_package("source", 50_000_000, wheel=False),
    ]
    assert plan_by_size(packages, 3).layers == (Layer(("bigger",)), Layer(("big",)), Layer(()))
    assert (
        sum(one.bytes for one in describe(plan_by_size(packages, 3), packages, None)) == 77_000_010
    )
