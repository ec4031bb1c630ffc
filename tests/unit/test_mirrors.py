"""Mirrors: names, places, and their order by what was measured."""

from __future__ import annotations

import pytest

from dockyard.mirrors import PRESETS, Measurement, Mirror, expand, order, parse_mirror
from support.settings import make_settings


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("tuna", Mirror(PRESETS["tuna"])),
        ("https://a.example/simple/", Mirror("https://a.example/simple")),
        ("second=https://a.example/x", Mirror("https://a.example/x", "second")),
        (
            "https://b.example/simple/=https://a.example/x",
            Mirror("https://a.example/x", "https://b.example/simple"),
        ),
        ("https://a.example/?key=1", Mirror("https://a.example/?key=1")),
    ],
)
def test_an_entry_is_a_short_name_a_url_or_an_index_and_a_url(entry: str, expected: Mirror) -> None:
    assert parse_mirror(entry) == expected


def test_what_is_no_mirror_is_refused() -> None:
    with pytest.raises(ValueError, match="tuna"):
        parse_mirror("nowhere")


def test_short_names_reach_the_build_as_urls() -> None:
    environment = make_settings(uv_mirrors=("aliyun", "x=https://a/b")).package_environment()
    assert environment["DOCKYARD_UV_MIRRORS"] == f"{PRESETS['aliyun']} x=https://a/b"
    assert all(url.startswith("https://") and url == expand(name) for name, url in PRESETS.items())


def test_fast_comes_before_slow_before_dead_in_the_order_given() -> None:
    measured = [
        Measurement("dead"),
        Measurement("no files", latency=0.01),
        Measurement("far", latency=1.0, throughput=5e6),
        Measurement("slow", latency=0.05, throughput=1e5),
        Measurement("fast", latency=0.05, throughput=5e6),
    ]
    assert [one.url for one in order(measured)] == ["fast", "far", "slow", "dead", "no files"]
    many_small = order(measured, size=0, requests=100)
    assert [one.url for one in many_small][:2] == ["slow", "fast"]
