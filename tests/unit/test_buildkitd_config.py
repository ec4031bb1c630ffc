"""The dedicated builder's buildkitd.toml: parsed back, never compared as text."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from dockyard.buildkitd_config import (
    BuildkitConfig,
    GarbageRule,
    buildkit_config,
    garbage_rules,
)
from support.settings import make_settings

GB = 10**9


def rendered(disk: int | None = 1000 * GB, **changes: Any) -> dict[str, Any]:
    """The configuration for these settings, as BuildKit reads it."""
    return tomllib.loads(buildkit_config(make_settings(**changes), disk=disk).render())


def test_the_cap_is_the_budget_and_the_last_rule_has_neither_age_nor_filter() -> None:
    rules = rendered(cache_budget=50 * GB)["worker"]["oci"]["gcpolicy"]
    last = rules[-1]
    assert last == {
        "all": True,
        "maxUsedSpace": 50 * GB,
        "reservedSpace": 25 * GB,
        "minFreeSpace": 20 * GB,
    }
    assert all(rule["maxUsedSpace"] <= 50 * GB for rule in rules)
    assert [rule.get("all", False) for rule in rules] == [False, False, False, True]


def test_no_rule_removes_cache_mounts_within_the_budget() -> None:
    # A rule acts once the whole cache exceeds its maxUsedSpace: those that act below the budget
    # must name what they remove.
    budget = 50 * GB
    for rule in garbage_rules(budget, 1000 * GB):
        if rule.max_used < budget:
            assert rule.filters == ("type==source.local", "type==source.git.checkout")
    spares_mounts, takes_all = garbage_rules(budget, 1000 * GB)[1:3]
    assert spares_mounts.filters == ("type!=exec.cachemount",)
    assert spares_mounts.age > 0
    assert (takes_all.filters, takes_all.age) == ((), 0)


@pytest.mark.parametrize(
    ("budget", "disk", "cap", "free"),
    [
        (20 * GB, 1000 * GB, 20 * GB, 20 * GB),
        (20 * GB, 100 * GB, 20 * GB, 10 * GB),
        (20 * GB, 20 * GB, 16 * GB, 2 * GB),
        (20 * GB, None, 20 * GB, 0),
        (100 * 10**6, 1000 * GB, 100 * 10**6, 20 * GB),
    ],
    ids=["large disk", "middle disk", "small disk", "unknown disk", "tiny budget"],
)
def test_rules_fit_the_disk(budget: int, disk: int | None, cap: int, free: int) -> None:
    rules = garbage_rules(budget, disk)
    assert {rule.max_used for rule in rules[1:]} == {cap}
    assert {rule.min_free for rule in rules[1:]} == {free}
    assert rules[0].max_used <= cap
    assert all(rule.reserved <= rule.max_used for rule in rules)


def test_a_budget_beyond_the_disk_is_said() -> None:
    config = buildkit_config(make_settings(cache_budget=20 * GB), disk=20 * GB)
    assert "16.0 GB" in config.notes[0]
    assert buildkit_config(make_settings(cache_budget=20 * GB), disk=25 * GB).notes == ()


def test_a_rule_without_minimum_or_age_leaves_the_key_out() -> None:
    config = BuildkitConfig(garbage=(GarbageRule(5),))
    (rule,) = tomllib.loads(config.render())["worker"]["oci"]["gcpolicy"]
    assert rule == {"maxUsedSpace": 5}


def test_nothing_about_registries_or_parallelism_unless_set() -> None:
    config = rendered()
    assert "registry" not in config
    assert "max-parallelism" not in config["worker"]["oci"]
    assert rendered(max_parallelism=4)["worker"]["oci"]["max-parallelism"] == 4


def test_mirrors_of_each_registry_in_order() -> None:
    mirrors = ("one.example", "ghcr.io=two.example/ghcr/", "three.example/hub")
    registry = rendered(image_mirrors=mirrors)["registry"]
    assert registry["docker.io"]["mirrors"] == ["one.example", "three.example/hub"]
    assert registry["ghcr.io"]["mirrors"] == ["two.example/ghcr"]


def test_an_insecure_registry_may_speak_http_or_have_any_certificate() -> None:
    mirrors = ("localhost:5000/hub",)
    registry = rendered(insecure_registries=("localhost:5000",), image_mirrors=mirrors)["registry"]
    assert registry["localhost:5000"] == {"http": True, "insecure": True}
    assert "insecure" not in registry["docker.io"]


def test_a_private_authority_is_trusted_by_every_registry_in_use() -> None:
    registry = rendered(
        ca_file=Path("/certificates/company.pem"),
        registry="registry.example/team",
        python_image="python:3.13",
        uv_image="ghcr.io/astral-sh/uv:1",
        image_mirrors=("mirror.example/hub",),
        cache_backends=("registry:ref=cache.example:5000/a:b,mode=max", "local"),
    )["registry"]
    assert set(registry) == {
        "docker.io",
        "ghcr.io",
        "mirror.example",
        "registry.example",
        "cache.example:5000",
    }
    assert {tuple(one["ca"]) for one in registry.values()} == {("/certificates/company.pem",)}
