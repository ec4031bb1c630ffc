"""Share fixtures between the tests."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from mushroom.application import create_application
from mushroom.settings import Settings

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings that keep every file in a temporary directory."""
    return Settings(
        model_path=tmp_path / "mushroom.joblib",
        database_url=f"sqlite:///{tmp_path / 'mushroom.sqlite3'}",
        startup_training_rows=1_000,
    )


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    """Return a client of a started application."""
    with TestClient(create_application(settings)) as test_client:
        yield test_client


@pytest.fixture
def edible() -> dict[str, Any]:
    """Return the edible example payload."""
    return _read_payload("predict.json")


@pytest.fixture
def poisonous() -> dict[str, Any]:
    """Return the poisonous example payload."""
    return _read_payload("predict-poisonous.json")


def _read_payload(name: str) -> dict[str, Any]:
    """Read an example payload."""
    payload: dict[str, Any] = json.loads((PROJECT / "examples" / name).read_text(encoding="utf-8"))
    return payload
