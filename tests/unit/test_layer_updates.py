from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from dockyard.layer_model import ChangeModel
from dockyard.layer_parameters import FREE_LAYERS, PlannerParameters
from dockyard.layer_planner import Group, objective, plan_groups
from dockyard.layer_updates import update_groups
from dockyard.lock_versions import LockedPackages
from support.locks import locked, make_versions


def step(
    model: ChangeModel,
    groups: tuple[Group, ...],
    old: LockedPackages,
    new: LockedPackages,
    limit: int,
) -> tuple[Group, ...]:
    return update_groups(model, groups, new, model.observe(old, new), limit)


@pytest.mark.parametrize("limit", [1, 2, 5, 12])
@pytest.mark.parametrize("builds", [0.0, 1.0])
def test_every_package_is_in_one_layer_and_unchanged_layers_stay(limit: int, builds: float) -> None:
    parameters = replace(FREE_LAYERS, builds_per_change=builds)
    for seed in range(3):
        versions = make_versions(seed, 40, 60)
        model = ChangeModel(versions[0], parameters)
        groups = plan_groups(model, versions[0], (), limit)
        stayed = 0
        for old, new in pairwise(versions):
            before, groups = groups, step(model, groups, old, new, limit)
            assert len(groups) <= limit
            assert sorted(name for group in groups for name in group) == sorted(new)
            gone = {name for name in old if new.get(name) != old[name]}
            added = new.keys() - old.keys()
            for group in before:
                if gone.isdisjoint(group):
                    kept = [one for one in groups if set(one) >= set(group)]
                    # Only what is new may join a layer in which nothing changes.
                    assert len(kept) == 1
                    assert set(kept[0]) - set(group) <= added | gone
                    stayed += set(kept[0]) == set(group)
        assert stayed > len(versions) / 2 or limit == 1


def test_layers_that_change_anyway_are_never_divided_worse() -> None:
    versions = make_versions(5, 30, 40)
    model = ChangeModel(versions[0], FREE_LAYERS)
    groups = plan_groups(model, versions[0], (), 6)
    for old, new in pairwise(versions):
        if old.keys() != new.keys():
            groups = step(model, groups, old, new, 6)
            continue
        before, groups = groups, step(model, groups, old, new, 6)
        assert objective(model, groups) <= objective(model, before) * (1 + 1e-9)


def test_unchanged_layers_keep_their_place() -> None:
    now = {name: locked("1.0", 1_000_000) for name in "abcdef"}
    groups: tuple[Group, ...] = (("a",), ("b", "c"), ("d",), ("e", "f"))
    new = {**now, "a": locked("1.1", 1_000_000), "d": locked("1.1", 1_000_000)}
    updated = step(ChangeModel(now, FREE_LAYERS), groups, now, new, 4)
    assert [set(updated[1]), set(updated[3])] == [{"b", "c"}, {"e", "f"}]
    assert {*updated[0], *updated[2]} == {"a", "d"}


def test_an_added_package_goes_where_it_costs_least() -> None:
    now = {"big": locked("1.0", 300_000_000), "small": locked("1.0", 10_000)}
    groups: tuple[Group, ...] = (("big",), ("small",))
    new = {**now, "other": locked("1.0", 10_000)}
    updated = step(ChangeModel(now, FREE_LAYERS), groups, now, new, 2)
    assert [set(group) for group in updated] == [{"big"}, {"small", "other"}]


def test_a_free_layer_is_used_where_layers_cost_little() -> None:
    now = {"big": locked("1.0", 300_000_000), "small": locked("1.0", 10_000)}
    groups: tuple[Group, ...] = (("big",), ("small",))
    new = {**now, "huge": locked("1.0", 400_000_000)}
    assert len(step(ChangeModel(now, FREE_LAYERS), groups, now, new, 3)) == 3
    dear = PlannerParameters(builds_per_change=1e6)
    assert len(step(ChangeModel(now, dear), groups, now, new, 3)) == 2


def test_a_layer_that_is_left_empty_goes() -> None:
    now = {name: locked("1.0", 1_000_000) for name in "abc"}
    groups: tuple[Group, ...] = (("a",), ("b",), ("c",))
    for gone in "abc":
        new = {name: one for name, one in now.items() if name != gone}
        updated = step(ChangeModel(now, FREE_LAYERS), groups, now, new, 3)
        assert sorted(updated) == sorted((name,) for name in new)
    assert step(ChangeModel(now, FREE_LAYERS), groups, now, {}, 3) == ((),)


def test_what_has_lost_its_hash_goes_to_the_last_layer() -> None:
    now = {name: locked("1.0", 1_000_000) for name in "abcd"}
    groups: tuple[Group, ...] = (("a", "b"), ("c",), ("d",))
    new = {**now, "a": locked("git", 1_000_000, hashed=False)}
    updated = step(ChangeModel(now, FREE_LAYERS), groups, now, new, 3)
    assert "a" in updated[-1]
    assert sorted(name for group in updated for name in group) == list("abcd")
    added = {**new, "e": locked("git", 10, hashed=False)}
    again = step(ChangeModel(new, FREE_LAYERS), updated, new, added, 3)
    assert {"a", "e"} <= set(again[-1])


def test_fewer_layers_are_allowed_than_there_are() -> None:
    versions = make_versions(2, 25, 10)
    model = ChangeModel.learned(versions[:-1], FREE_LAYERS)
    groups = plan_groups(model, versions[-2], (), 9)
    updated = step(model, groups, versions[-2], versions[-1], 4)
    assert len(groups) == 9
    assert len(updated) <= 4
    assert sorted(name for group in updated for name in group) == sorted(versions[-1])


def test_the_order_within_layers_does_not_matter() -> None:
    versions = make_versions(4, 30, 30)
    results = set()
    for turn in (1, -1):
        model = ChangeModel.learned(versions[:-1], FREE_LAYERS)
        groups = tuple(group[::turn] for group in plan_groups(model, versions[-2], (), 6))
        results.add(step(model, groups, versions[-2], versions[-1], 6))
    assert len(results) == 1
