"""Test the package as a whole."""

import sys
import tomllib
from pathlib import Path

import pytest

from mushroom import __version__
from mushroom.accelerator import execution_providers
from mushroom.settings import Settings

PROJECT = Path(__file__).resolve().parent.parent


def test_version_matches_the_project_file() -> None:
    """Keep both spellings of the version equal."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == __version__


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read prefixed variables."""
    monkeypatch.setenv("MUSHROOM_PORT", "9000")
    monkeypatch.setenv("MUSHROOM_MODEL_PATH", "/srv/model.joblib")
    settings = Settings()
    assert settings.port == 9000
    assert settings.model_path == Path("/srv/model.joblib")


def test_execution_providers_are_absent_without_the_extras(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Report nothing when ONNX Runtime cannot be imported."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert execution_providers() is None
