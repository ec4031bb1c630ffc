"""Checks: what they say of a tree that is well, of one that is not, and how they end."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dockyard.checks import Verdict, check_layers, raise_failures, run_checks, verdict_lines
from dockyard.errors import CheckFailedError, SettingsError
from dockyard.settings import load_settings
from support.settings import make_settings

PASSED = Verdict("layers", True, "3 packages in 2 layers")
FAILED = Verdict("files", False, "12 disputed files", tuple("abcdefghijkl"), "install one only")


@pytest.fixture
def tree(tmp_path: Path, repository: Path) -> Path:
    """This repository's project and Dockerfile, in a folder of their own."""
    for name in ("pyproject.toml", "docker/Dockerfile"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(repository / name, tmp_path / name)
    ignored = shutil.ignore_patterns("__pycache__", "models")
    shutil.copytree(repository / "examples", tmp_path / "examples", ignore=ignored)
    return tmp_path


@pytest.mark.spawns
def test_a_plan_that_is_the_locks_passes(tree: Path) -> None:
    verdict = check_layers(load_settings(tree, {}, {}), {})
    assert verdict.passed, verdict.problems
    assert verdict.problems == ()


@pytest.mark.spawns
def test_a_plan_that_knows_a_package_less_is_stale_and_the_file_stays(tree: Path) -> None:
    path = tree / "docker/Dockerfile"
    lines = path.read_text().splitlines(keepends=True)
    number = next(n for n, line in enumerate(lines) if line.endswith(" starlette\n"))
    text = "".join(lines[:number] + lines[number + 1 :])
    path.write_text(text)
    verdict = check_layers(load_settings(tree, {}, {}), {"CI": "true"})
    assert not verdict.passed
    assert verdict.problems
    assert path.read_text() == text


def test_an_unknown_check_is_named_with_those_there_are() -> None:
    with pytest.raises(SettingsError, match=r"no check layer(.|\n)*layers, files, reproducible"):
        run_checks(make_settings(), {}, ["layer"])


def test_what_failed_is_raised_together_and_with_its_fix() -> None:
    raise_failures([PASSED])
    with pytest.raises(CheckFailedError, match=r"“files” failed(.|\n)*install one only") as caught:
        raise_failures([PASSED, FAILED, FAILED])
    assert len(caught.value.problems) == 2
    assert caught.value.exit_code == 14


def test_lines_show_the_first_problems() -> None:
    lines = verdict_lines([PASSED, FAILED])
    assert lines[0] == "✓ layers        3 packages in 2 layers"
    assert lines[1].startswith("✗ files")
    assert lines[-2:] == ["    j", "    and 2 more"]
