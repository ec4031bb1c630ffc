from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from dockyard.layer_model import ACCELERATOR_TRAIN, ChangeModel, prior_rate, release_trains
from dockyard.layer_parameters import FREE_LAYERS, PlannerParameters, VersionRates
from dockyard.layer_planner import divide, objective, plan_groups, volatility_order
from support.locks import locked, make_history, make_versions


def contiguous(names: tuple[str, ...], parts: int) -> Iterator[tuple[tuple[str, ...], ...]]:
    for cuts in itertools.combinations(range(1, len(names)), parts - 1):
        edges = (0, *cuts, len(names))
        yield tuple(names[i:j] for i, j in itertools.pairwise(edges))


def some_models() -> Iterator[ChangeModel]:
    for seed in range(4):
        yield ChangeModel.learned(make_versions(seed, 9, 30 * seed), FREE_LAYERS)
    trains = {
        "opentelemetry-api": locked("1.29.0", 60_000),
        "opentelemetry-sdk": locked("1.29.0", 120_000),
        "boto3": locked("1.42.6", 140_000),
        "botocore": locked("1.42.6", 14_500_000),
        "torch": locked("2.9.1", 800_000_000),
        "nvidia-cublas": locked("13.0.1", 400_000_000),
        "triton": locked("3.5.1", 150_000_000),
        "idna": locked("3.11", 70_000),
    }
    yield ChangeModel.learned([trains, {**trains, "idna": locked("3.12", 70_000)}], FREE_LAYERS)


@pytest.mark.parametrize("model", [*some_models()])
def test_no_contiguous_division_costs_less(model: ChangeModel) -> None:
    ordered = volatility_order(model, model.rates)
    found = divide(model, model.rates, 5)
    assert [len(parts) for _, parts in found] == [1, 2, 3, 4, 5]
    for cost, parts in found:
        least = min(objective(model, one) for one in contiguous(ordered, len(parts)))
        assert math.isclose(cost, least, rel_tol=1e-9)
        assert math.isclose(objective(model, parts), least, rel_tol=1e-9)


def test_more_layers_are_never_expected_to_cost_more() -> None:
    for model in some_models():
        costs = [
            objective(model, plan_groups(model, model.rates, (), limit)) for limit in range(1, 12)
        ]
        assert all(after <= before + 1e-6 for before, after in itertools.pairwise(costs))


def test_the_order_of_the_packages_does_not_matter() -> None:
    versions = make_versions(7, 40, 60)
    names = list(versions[-1])
    expected = plan_groups(ChangeModel.learned(versions, FREE_LAYERS), names, (), 6)
    chosen = random.Random(3)
    for _ in range(3):
        chosen.shuffle(names)
        permuted = [dict(sorted(one.items(), key=lambda _: chosen.random())) for one in versions]
        assert plan_groups(ChangeModel.learned(permuted, FREE_LAYERS), names, (), 6) == expected


def test_layers_that_cost_more_than_they_save_are_not_made() -> None:
    versions = make_versions(1, 30, 20)
    counts = []
    for builds in (0.0, 1.0, 10.0, 100.0, 1e6):
        model = ChangeModel.learned(versions, PlannerParameters(builds_per_change=builds))
        counts.append(len(plan_groups(model, versions[-1], (), 20)))
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[2] > counts[-1] == 1


def test_pinned_packages_are_last_with_what_they_cost_least_with() -> None:
    steady, busy = ("big", "bigger"), ("busy", "busier")
    now = {name: locked("1.0", 50_000_000) for name in steady}
    now |= {name: locked("1.99.0", 50_000) for name in busy}
    now["branch"] = locked("1.0", 100_000, hashed=False)
    model = ChangeModel(now, FREE_LAYERS)
    for limit in range(1, 6):
        groups = plan_groups(model, now, ["branch"], limit)
        assert len(groups) <= limit
        assert sorted(name for group in groups for name in group) == sorted(now)
        assert "branch" in groups[-1]
        if limit > 1:
            assert not set(steady) & set(groups[-1])
    assert plan_groups(model, ["branch"], ["branch"], 3) == (("branch",),)


def test_a_package_built_from_source_is_kept_from_what_changes_often() -> None:
    now = {"compiled": locked("1.0", 100_000, from_source=True), "wheel": locked("1.0", 100_000)}
    now |= {f"busy{n}": locked("1.80.0", 100_000) for n in range(4)}
    free = ChangeModel(now, FREE_LAYERS)
    weighed = ChangeModel(now, replace(FREE_LAYERS, source_build_seconds=60.0))
    assert set(plan_groups(free, now, (), 2)[0]) >= {"compiled", "wheel"}
    assert plan_groups(weighed, now, (), 2)[0] == ("compiled",)


def test_the_past_tells_which_packages_change() -> None:
    versions = make_history({"a": 0, "b": 12, "c": 0, "d": 12})
    model = ChangeModel.learned(versions, FREE_LAYERS)
    assert plan_groups(model, versions[-1], (), 2) == (("a", "c"), ("b", "d"))
    assert model.chance(["b"]) > 3 * model.chance(["a"])


def test_packages_that_change_together_count_once() -> None:
    now = {name: locked("1.0", 1_000_000) for name in "abcdefgh"}
    versions = [now]
    for change in range(40):
        names = (("a", "b"), ("c",), ("e",), ("d",))[change % 4]
        now = {**now, **{name: locked(f"2.{change}", 1_000_000) for name in names}}
        versions.append(now)
    model = ChangeModel.learned(versions, FREE_LAYERS)
    assert model.chance(["a", "b"]) < 0.85 * model.chance(["c", "d"])


def test_a_change_of_the_lock_changes_some_layer() -> None:
    now = make_versions(1, 20, 0)[0]
    model = ChangeModel(now, FREE_LAYERS)
    assert model.chance(tuple(now)) == pytest.approx(1)
    assert all(0 < model.chance([name]) < 1 for name in now)
    assert model.chance(()) == 0


def test_release_trains() -> None:
    trains = release_trains(
        {
            "opentelemetry-api": locked("1.29.0"),
            "opentelemetry-sdk": locked("1.29.0"),
            "opentelemetry-instrumentation": locked("0.50b0"),
            "boto3": locked("1.42.6"),
            "botocore": locked("1.42.6"),
            "idna": locked("1.0.0"),
            "click": locked("1.0.0"),
            "torch": locked("2.9.1"),
            "nvidia-cublas-cu12": locked("12.8.4.1"),
        }
    )
    assert trains["opentelemetry-api"] == trains["opentelemetry-sdk"]
    assert trains["boto3"] == trains["botocore"]
    assert trains["torch"] == trains["nvidia-cublas-cu12"] == ACCELERATOR_TRAIN
    assert not trains.keys() & {"idna", "click", "opentelemetry-instrumentation"}


def test_what_a_version_tells_of_the_rate_of_change() -> None:
    def rate(version: str, size: int) -> float:
        return prior_rate(version, size, VersionRates())

    assert rate("1.94.0", 100_000) > rate("1.3.0", 100_000) > rate("0.3.0", 100_000)
    assert rate("2025.11.12", 100_000) > rate("1.0", 100_000)
    assert rate("1.3.0", 1_000_000) > rate("1.3.0", 10_000)
    for odd in ("", "nightly", "1!2.3", "v4", "1" * 5000, "0.0.0.0.0.0", "9999999999.9999999999"):
        assert 0 < rate(odd, 0) < 100


def test_what_a_layer_costs_comes_from_the_measured_figures() -> None:
    parameters = PlannerParameters()
    per_byte = parameters.build_seconds_per_byte + (
        parameters.transfers_per_change / parameters.network_bytes_per_second
    )
    first = parameters.builds_from_nothing * parameters.seconds_per_layer_from_nothing
    seconds = parameters.builds_per_change * (parameters.seconds_per_layer + first)
    assert math.isclose(parameters.layer_bytes * per_byte, seconds)
    assert FREE_LAYERS.layer_bytes == 0
    assert parameters.measured(20.0).layer_bytes == pytest.approx(parameters.layer_bytes * 2)
    assert parameters.measured(None) == parameters
    assert FREE_LAYERS.measured(20.0) == FREE_LAYERS
