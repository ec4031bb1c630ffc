from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dockyard.layer_replay import STRATEGIES
from dockyard.layers import Layer, LayerPlan
from dockyard.layers_report import gather, report_layers, report_lines
from dockyard.lock_versions import History, locked_packages
from dockyard.settings import load_settings
from support.locks import locked, make_package

PACKAGES = (
    make_package("big", 90_000_000, "2.0"),
    make_package("low", 20_000, "1.9"),
    make_package("mid", 4_000_000, "1.1"),
)


def some_history(changes: int = 9) -> History:
    now = locked_packages(PACKAGES)
    versions = [{**now, "low": locked(f"1.{change}", 20_000)} for change in range(changes)]
    return History(
        versions=(*versions, now),
        commits=tuple(f"{n}" * 40 for n in range(changes + 1)),
        builds_per_change=4.0,
        notes=("shallow clone: few",),
    )


def test_the_report_of_a_kept_plan() -> None:
    kept = LayerPlan((Layer(("big",)), Layer(())))
    report = report_layers(PACKAGES, some_history(), kept, 3, 5)
    assert report.kept
    assert [set(layer.packages) for layer in report.layers] == [{"big"}, {"low", "mid"}]
    assert [layer.bytes for layer in report.layers] == [90_000_000, 4_020_000]
    assert len(report.changes) == 5
    last = report.changes[-1]
    assert last.commit == "9" * 40
    assert last.changed == ("low 1.8 → 1.9",)
    assert last.total == 94_020_000
    assert last.moved["one layer"] == 94_020_000
    assert last.moved["lower bound"] == last.moved["this plan"] == 20_000
    expected = report.expected
    assert expected["this plan"].layers == 2
    assert (
        expected["planned anew"].bytes <= expected["this plan"].bytes < expected["one layer"].bytes
    )
    assert report.notes == ("shallow clone: few",)


def test_a_change_that_is_not_committed_is_the_last_one() -> None:
    changed = (*PACKAGES[:2], make_package("mid", 5_000_000, "1.2"), make_package("new", 10))
    report = report_layers(changed, some_history(), None, 3, 50)
    assert not report.kept
    assert len(report.changes) == 10
    assert report.changes[-1].commit is None
    assert report.changes[-1].changed == ("mid 1.1 → 1.2", "new 1.0 added")
    assert report.changes[0].commit == "1" * 40


def test_nothing_is_known_of_a_new_project() -> None:
    report = report_layers(PACKAGES, History(notes=("no git",)), None, 3, 5)
    assert report.changes == ()
    assert report.notes[0] == "no git"
    assert "no change of the lock is known yet" in report.notes[1]
    empty = report_layers((), History(), None, 3, 5)
    assert "note: " in report_lines(empty, None)[-1]


def test_the_report_as_text_and_json() -> None:
    report = report_layers(PACKAGES, some_history(), None, 3, 2)
    lines = report_lines(report, 60)
    text = "\n".join(lines)
    for expected in ("94.0 MB", "90.0 MB", "20.0 kB", "low 1.8 → 1.9", "9" * 12, *STRATEGIES):
        assert expected in text
    assert lines[-1] == "note: shallow clone: few"
    values = json.loads(json.dumps(report.as_json()))
    assert values["layers"][0]["expected_bytes"] > 0
    assert values["expected"]["one layer"]["bytes"] > values["expected"]["planned anew"]["bytes"]
    assert values["changes"][0]["moved"]["lower bound"] == 20_000


@pytest.mark.spawns
def test_a_project_outside_of_git_has_a_plan(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    root = tmp_path / "project"
    root.mkdir()
    for name in ("pyproject.toml", "uv.lock"):
        shutil.copy(repository / "examples" / "mushroom" / name, root)
    report = gather(load_settings(root, {}, {"extras": ["cpu"], "layers": 4}), 5)
    assert not report.kept
    assert 1 < len(report.layers) <= 4
    assert sum(layer.bytes for layer in report.layers) > 50_000_000
    assert "no history of uv.lock" in report.notes[0]
