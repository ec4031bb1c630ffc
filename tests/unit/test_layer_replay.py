from __future__ import annotations

import json
from pathlib import Path

import pytest

from dockyard.layer_parameters import PlannerParameters
from dockyard.layer_replay import (
    STRATEGIES,
    Score,
    read_history,
    replay,
    score,
    summarize,
    total_score,
)
from dockyard.lock_versions import History
from support.locks import locked, make_versions


def test_what_each_way_would_have_moved() -> None:
    first = {"big": locked("1", 9_000_000), "mid": locked("1", 2_000_000), "low": locked("1", 10)}
    second = {**first, "low": locked("2", 20)}
    third = {name: one for name, one in second.items() if name != "low"}
    fourth = {**third, "big": locked("2", 8_000_000)}
    history = History(versions=(first, second, third, fourth))
    moved = {one: [change.moved for change in replay(history, one, 3)] for one in STRATEGIES}
    assert moved["one layer"] == [11_000_020, 11_000_000, 10_000_000]
    assert moved["by size"] == [20, 0, 8_000_000]
    assert moved["lower bound"] == [20, 0, 8_000_000]
    assert moved["this plan"] == [20, 0, 8_000_000]
    two = [change.moved for change in replay(history, "by size", 2)]
    assert two == [2_000_020, 2_000_000, 8_000_000]


def test_the_plan_is_between_the_bound_and_the_others() -> None:
    for seed in range(3):
        history = History(versions=tuple(make_versions(seed, 60, 80)))
        shares = {one: score(history, one, 8).mean_share for one in STRATEGIES}
        assert shares["lower bound"] < shares["this plan"] < 0.8 * shares["by size"]
        assert shares["by size"] < shares["one layer"] == 1


def test_more_layers_move_less() -> None:
    history = History(versions=tuple(make_versions(3, 60, 80)))
    shares = [score(history, "this plan", limit).mean_share for limit in (1, 2, 4, 8, 60)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == 1


def test_only_the_last_changes_are_replayed_and_the_plan_knows_those_before() -> None:
    history = History(versions=tuple(make_versions(3, 60, 40)))
    assert len(replay(history, "this plan", 8)) == 40
    last = replay(history, "one layer", 8, last=5)
    assert last == replay(history, "one layer", 8)[-5:]
    assert len(replay(history, "this plan", 8, last=5)) == 5
    assert len(replay(history, "this plan", 8, last=500)) == 40
    assert replay(history, "this plan", 8, last=0) == ()


def test_the_last_seventy_percent_are_scored() -> None:
    history = History(versions=tuple(make_versions(3, 20, 41)))
    assert score(history, "one layer", 8).changes == 29
    assert score(History(versions=history.versions[:1]), "this plan", 8) == Score(0, 0.0, 0, 0)
    assert total_score(()).mean_share == 0


def test_the_prediction_agrees_with_what_moves() -> None:
    predicted, moved = 0.0, 0
    for seed in range(6):
        history = History(versions=tuple(make_versions(seed, 60, 120)))
        for change in replay(history, "this plan", 8)[40:]:
            assert change.predicted is not None
            predicted += change.predicted
            moved += change.moved
    assert 0.7 < predicted / moved < 1.3


def test_layers_that_cost_something_are_fewer() -> None:
    history = History(versions=tuple(make_versions(3, 60, 10)))
    free = replay(history, "this plan", 20)
    dear = replay(history, "this plan", 20, PlannerParameters(builds_per_change=30.0))
    assert free[-1].layers > dear[-1].layers >= 1


def test_scores_of_several_histories() -> None:
    scores = [Score(1, 0.1, 10, 100), Score(1, 0.2, 20, 100), Score(1, 0.6, 600, 1000)]
    summary = summarize(scores)
    assert summary.median == 0.2
    assert summary.mean == pytest.approx(0.3)
    assert summary.byte_weighted == pytest.approx(630 / 1200)
    with pytest.raises(ValueError, match="no history"):
        summarize([])


def test_a_history_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "owner+name.json"
    entries = [
        {"set": {"a": ["1", 10], "b": ["1", None]}, "del": []},
        {"set": {"a": ["1", 10]}, "del": []},
        {"set": {"a": ["2", 12]}, "del": ["b"]},
    ]
    path.write_text(json.dumps(entries))
    versions = read_history(path).versions
    assert [{n: (p.version, p.size) for n, p in one.items()} for one in versions] == [
        {"a": ("1", 10), "b": ("1", 0)},
        {"a": ("2", 12)},
    ]
