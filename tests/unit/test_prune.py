"""What goes from the caches is decided from facts: nothing here removes anything."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from dockyard.caches.builder_usage import (
    UsageKind,
    UsageRecord,
    parse_age,
    parse_size,
    parse_usage,
    usage_by_kind,
)
from dockyard.caches.layout import Descriptor
from dockyard.caches.prune_plan import (
    DanglingImage,
    PruneKind,
    plan_builder,
    plan_images,
    plan_local,
    plan_mounts,
    plan_registry,
)
from dockyard.caches.registry_usage import RegistryCache, cache_created, is_of_branch
from dockyard.caches.scope import CacheScope
from dockyard.caches.sweep import USED_ANNOTATION, WRONG_CLOCK, Swept, age_limit

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = 86400


def record(
    identifier: str,
    size: int,
    unused: int | None = 0,
    kind: UsageKind = UsageKind.LAYER,
    **values: object,
) -> UsageRecord:
    return UsageRecord(
        id=identifier,
        kind=kind,
        description=f"record {identifier}",
        size=size,
        unused_seconds=unused,
        reclaimable=bool(values.get("reclaimable", True)),
        mount=str(values["mount"]) if "mount" in values else None,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0B", 0), ("8.192kB", 8192), ("28.25MB", 28_250_000), ("1.5GB", 1_500_000_000), ("?", 0)],
)
def test_sizes(text: str, expected: int) -> None:
    assert parse_size(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Less than a second ago", 0),
        ("1 second ago", 1),
        ("About a minute ago", 60),
        ("3 minutes ago", 180),
        ("About an hour ago", 3600),
        ("5 hours ago", 18000),
        ("2 weeks ago", 14 * DAY),
        ("3 months ago", 90 * DAY),
        ("", None),
        ("never", None),
    ],
)
def test_ages(text: str, expected: int | None) -> None:
    assert parse_age(text) == expected


def test_buildx_lines_become_records() -> None:
    mount = 'cached mount /var/cache/uv from exec /bin/sh -c install-layer with id "/dockyard-uv"'
    lines = [
        {
            "ID": "a",
            "Type": "regular",
            "Size": "1kB",
            "LastUsedAt": "2 days ago",
            "Reclaimable": True,
        },
        {"ID": "b", "Type": "exec.cachemount", "Size": "2MB", "Description": mount},
        {"ID": "c", "Type": "source.local", "Size": "3kB"},
        {"ID": "d", "Type": "internal", "Size": "4kB"},
        {"Type": "regular"},
        [1],
    ]
    records = parse_usage("\n".join(["noise", *map(json.dumps, lines)]))
    assert [one.id for one in records] == ["a", "b", "c", "d"]
    assert records[0].unused_seconds == 2 * DAY
    assert records[0].reclaimable
    assert records[1].mount == "dockyard-uv"
    assert records[1].own_mount
    usage = usage_by_kind(records)
    assert (usage.layers, usage.mounts, usage.sources, usage.internal) == (
        1000,
        2 * 10**6,
        3000,
        4000,
    )
    assert usage.total == 2_008_000


def test_old_layers_go_and_young_ones_stay() -> None:
    records = [record("old", 10, 20 * DAY), record("young", 10, DAY)]
    items = plan_builder(records, budget=1000, days=14)
    assert [(item.key, item.reason) for item in items] == [("old", "unused for more than 14 days")]


def test_past_the_budget_the_least_recently_used_goes_first() -> None:
    records = [record("new", 40, 10), record("older", 40, 200), record("middle", 40, 100)]
    items = plan_builder(records, budget=80, days=14)
    assert [item.key for item in items] == ["older"]
    items = plan_builder(records, budget=79, days=14)
    assert [item.key for item in items] == ["older", "middle"]


def test_what_is_in_use_and_cache_mounts_are_no_layers_to_prune() -> None:
    records = [
        record("used", 50, 90 * DAY, reclaimable=False),
        record("mount", 50, 90 * DAY, UsageKind.MOUNT, mount="dockyard-uv"),
    ]
    assert plan_builder(records, budget=1, days=14) == ()
    assert plan_builder(records, budget=1, days=14, everything=True) == ()


def test_of_a_shared_builder_only_our_mounts_go() -> None:
    records = [
        record("ours", 5, kind=UsageKind.MOUNT, mount="dockyard-uv"),
        record("theirs", 5, kind=UsageKind.MOUNT, mount="pip"),
        record("layer", 5),
    ]
    assert [item.key for item in plan_mounts(records, own_only=True, reason="")] == ["ours"]
    assert len(plan_mounts(records, own_only=False, reason="")) == 2


def cache(tag: str, digest: str, *, days: float | None = 1, **blobs: int) -> RegistryCache:
    created = NOW - timedelta(days=days) if days is not None else None
    return RegistryCache(tag, digest, tuple(blobs.items()), created)


def scope_tag(branch: str | None, *platforms: str) -> str:
    return CacheScope("app", "r", platforms or ("linux/amd64",), branch, "main").export_tag


def test_a_gone_branchs_cache_goes_with_what_only_it_needs() -> None:
    caches = [
        cache(scope_tag("main"), "m", shared=100, main=7),
        cache(scope_tag("feature/login"), "f", shared=100, feature=9),
        cache(scope_tag(None), "m", shared=100, main=7),
        cache("mounts-linux-amd64", "u", wheels=50, days=None),
    ]
    items, notes = plan_registry(caches, branches={"main"}, days=14, now=NOW)
    assert [(item.name, item.bytes, item.reason) for item in items] == [
        (scope_tag("feature/login"), 9, "its branch is gone")
    ]
    assert notes == ()


def test_without_branches_age_alone_counts() -> None:
    caches = [
        cache(scope_tag("a"), "a", days=30, a=1),
        cache(scope_tag("b"), "b", days=3, b=1),
        cache(scope_tag("c"), "c", days=None, c=1),
        cache(scope_tag(None), "l", days=300, l=1),
    ]
    items, _ = plan_registry(caches, branches=None, days=14, now=NOW)
    assert [item.key for item in items] == ["a"]


def test_a_manifest_that_a_kept_tag_shares_is_never_deleted() -> None:
    caches = [cache(scope_tag("gone"), "same", x=1), cache(scope_tag("main"), "same", x=1)]
    items, notes = plan_registry(caches, branches={"main"}, days=14, now=NOW)
    assert items == ()
    assert "stays" in notes[0]


def test_children_of_a_kept_index_are_never_deleted() -> None:
    index = RegistryCache(scope_tag("main"), "index", (("x", 1),), NOW, referrers=("child",))
    caches = [index, cache(scope_tag("gone"), "child", x=1)]
    items, _ = plan_registry(caches, branches={"main"}, days=14, now=NOW)
    assert items == ()


def test_everything_is_everything_and_counts_shared_bytes_once() -> None:
    caches = [cache(scope_tag("a"), "a", x=10, a=1), cache(scope_tag(None), "l", x=10)]
    items, _ = plan_registry(caches, branches={"a"}, days=14, now=NOW, everything=True)
    assert sum(item.bytes or 0 for item in items) == 11


@pytest.mark.parametrize(
    "branch",
    ["main", "feature/login", "a" * 200, "ends-with-latest", "linux-amd64", "x_y.z", "latest"],
)
@pytest.mark.parametrize("platforms", [("linux/amd64",), ("linux/amd64", "linux/arm/v7")])
def test_a_tag_is_known_by_its_branch(branch: str, platforms: tuple[str, ...]) -> None:
    tag = scope_tag(branch, *platforms)
    assert is_of_branch(tag, [branch])
    assert not is_of_branch(tag, ["other", "login", "a" * 199])
    assert is_of_branch(scope_tag(None, *platforms), [])
    assert is_of_branch("buildcache", []), "what is not ours is never taken for a stale one"


def test_a_cache_tells_when_it_was_made() -> None:
    config = {
        "layers": [{"annotations": {"createdAt": "2026-05-01T10:00:00Z"}}, {"parent": 0}],
        "records": [
            {"layers": [{"layer": 0, "createdAt": "2026-05-03T10:00:00.5Z"}]},
            {"layers": [{"layer": 1, "createdAt": "0001-01-01T00:00:00Z"}]},
        ],
    }
    assert cache_created(json.dumps(config).encode()) == datetime(
        2026, 5, 3, 10, 0, 0, 500_000, UTC
    )
    assert cache_created(b"{}") is None
    assert cache_created(b"[") is None


def test_local_items_name_tags_and_one_sum_of_blobs() -> None:
    items = plan_local(Swept(("cache-linux-amd64-old",), ("a", "b"), 99), "past budget or age")
    assert [(item.name, item.bytes) for item in items] == [
        ("cache-linux-amd64-old", 0),
        ("2 blobs that no cache needs then", 99),
    ]
    assert plan_local(Swept((), (), 0), "x") == ()


def test_images_are_named_by_the_project() -> None:
    (item,) = plan_images([DanglingImage("sha256:" + "ab" * 32, 5)], "app")
    assert (item.kind, item.name, item.bytes) == (PruneKind.IMAGE, "app@abababababab", 5)


def test_a_clock_that_jumped_makes_nothing_old() -> None:
    caches = [
        cache(scope_tag("a"), "a", days=3, a=1),
        cache(scope_tag("b"), "b", days=40, b=1),
    ]
    items, notes = plan_registry(caches, branches=None, days=14, now=NOW + timedelta(days=3650))
    assert (items, notes) == ((), (WRONG_CLOCK,))
    items, notes = plan_registry(caches, branches={"a"}, days=14, now=NOW + timedelta(days=3650))
    assert [item.name for item in items] == [scope_tag("b")]
    items, notes = plan_registry(caches, branches=None, days=14, now=NOW + timedelta(days=360))
    assert (len(items), notes) == (2, ())


def test_age_counts_from_a_time_that_can_be_true() -> None:
    day = 86400.0
    tags = {
        name: Descriptor("", "", 0).annotated({USED_ANNOTATION: str(used)})
        for name, used in (("old", 1000 * day), ("new", 1050 * day))
    }
    assert age_limit(tags, 1060 * day, 14) == 1046 * day
    assert age_limit(tags, 1500 * day, 14) is None
    # A clock that was set back: everything is of the future, and nothing old.
    assert age_limit(tags, 100 * day, 14) == 86 * day
    assert age_limit({}, 1060 * day, 14) == 1046 * day
    unknown = {"one": Descriptor("", "", 0)}
    assert age_limit(unknown, 1060 * day, 14) == 1046 * day
