"""The kept plan, brought along with the lock: when it changes, and what is said of it."""

from __future__ import annotations

import pytest

from dockyard.layer_keeping import KeptPlan, in_order, keep, new_plan, remembered_packages
from dockyard.layers import Layer, LayerPlan
from dockyard.lock import Package, PackageSource
from dockyard.lock_versions import History, locked_packages

MEGABYTE = 1_000_000


def package(name: str, version: str = "1.0", size: int = 30 * MEGABYTE) -> Package:
    source = PackageSource("registry", "https://pypi.org/simple")
    return Package(name, version, source, size, f"{name} {version}", has_wheel=True, hashed=True)


OLD = (package("click", size=20_000), package("numpy"), package("scipy"), package("six", size=9000))
PLAN = LayerPlan((Layer(("scipy",)), Layer(("numpy",)), Layer(("click", "six"))))


def kept(
    *packages: Package, remembered: tuple[Package, ...] | None = OLD, limit: int = 8
) -> KeptPlan:
    before = None if remembered is None else remembered_packages(remembered)
    return keep(PLAN, before, packages, lambda: None, limit)


def layer_of(plan: LayerPlan, name: str) -> int:
    (number,) = (i for i, one in enumerate(plan.layers, start=1) if name in one.packages)
    return number


@pytest.mark.parametrize("remembered", [OLD, None], ids=["remembered", "fresh clone"])
def test_nothing_changed_is_the_same_plan(remembered: tuple[Package, ...] | None) -> None:
    def no_history() -> History:
        raise AssertionError("the history is not needed")

    before = remembered_packages(remembered) if remembered else None
    found = keep(PLAN, before, OLD, no_history, 8)
    assert found == KeptPlan(PLAN, False, "")
    assert found.plan is PLAN


def test_what_is_remembered_survives_json() -> None:
    import json

    before = json.loads(json.dumps(remembered_packages(OLD)))
    assert keep(PLAN, before, OLD, lambda: None, 8) == KeptPlan(PLAN)


def test_new_versions_alone_are_no_reason_to_write() -> None:
    found = kept(OLD[0], package("numpy", "2.0"), *OLD[2:])
    assert found == KeptPlan(PLAN)


def test_a_fresh_clone_does_not_know_of_versions() -> None:
    found = kept(*(package(one.name, "9.0") for one in OLD), remembered=None)
    assert found == KeptPlan(PLAN)


@pytest.mark.parametrize("remembered", [OLD, None], ids=["remembered", "fresh clone"])
def test_an_added_package_gets_a_place(remembered: tuple[Package, ...] | None) -> None:
    found = kept(*OLD, package("torch", "2.9", 800 * MEGABYTE), remembered=remembered)
    assert found.changed
    number = layer_of(found.plan, "torch")
    assert f"new: torch 2.9 → layer {number}" in found.note
    for layer in PLAN.layers:
        assert layer in found.plan.layers, "layers in which nothing changes keep their packages"


@pytest.mark.parametrize("remembered", [OLD, None], ids=["remembered", "fresh clone"])
def test_a_package_that_is_gone_is_named_no_more(remembered: tuple[Package, ...] | None) -> None:
    found = kept(*OLD[:3], remembered=remembered)
    assert found.changed
    assert "gone: six" in found.note
    assert all("six" not in layer.packages for layer in found.plan.layers)


def test_a_changed_package_is_named_with_its_version_and_layer() -> None:
    found = kept(*OLD[:2], package("scipy", "1.17"), OLD[3], package("foo", size=5000))
    assert found.changed
    assert found.note.startswith("layer assignment updated with the lock: scipy 1.17 → layer ")
    assert "new: foo 1.0 → layer " in found.note


def test_a_lower_limit_joins_layers() -> None:
    found = kept(*OLD, limit=2)
    assert found.changed
    assert len(found.plan.layers) == 2
    assert "2 layers instead of 3" in found.note
    assert {name for one in found.plan.layers for name in one.packages} == {p.name for p in OLD}


def test_the_note_stays_short() -> None:
    many = [package(f"new-{number:02}", size=1000) for number in range(40)]
    found = kept(*OLD, *many)
    assert found.note.count("new:") == 8
    assert "32 more" in found.note


def test_the_history_is_asked_for_when_the_lock_changed() -> None:
    asked = []

    def history() -> History:
        asked.append(True)
        return History((locked_packages(OLD),))

    keep(PLAN, remembered_packages(OLD), (*OLD, package("foo")), history, 8)
    assert asked == [True]


def test_two_versions_of_one_package_are_both_remembered() -> None:
    forked = (*OLD, package("six", "2.0", 9000))
    assert kept(*forked, remembered=forked) == KeptPlan(PLAN)
    assert not kept(*OLD, remembered=forked).changed


def test_names_are_sorted_within_layers() -> None:
    plan = LayerPlan((Layer(("b", "a")), Layer(("d", "c"))))
    assert in_order(plan) == LayerPlan((Layer(("a", "b")), Layer(("c", "d"))))
    first = new_plan(OLD, None, 8)
    assert all(list(one.packages) == sorted(one.packages) for one in first.layers)


def test_a_project_without_packages_has_one_layer() -> None:
    empty = new_plan((), None, 8)
    assert empty == LayerPlan((Layer(()),))
    assert keep(empty, None, (), lambda: None, 8) == KeptPlan(empty)
    grown = keep(empty, None, OLD, lambda: None, 8)
    assert grown.changed
    assert {name for one in grown.plan.layers for name in one.packages} == {p.name for p in OLD}
