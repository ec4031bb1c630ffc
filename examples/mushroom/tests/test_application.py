"""Test the HTTP interface."""

from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from mushroom import __version__
from mushroom.application import create_application
from mushroom.model import MushroomModel
from mushroom.settings import Settings


def test_health_reports_the_startup_model(client: TestClient) -> None:
    """Train at startup when there is no model file."""
    response = client.get("/healthz")
    assert response.status_code == 200
    health = response.json()
    assert health["status"] == "ok"
    assert health["version"] == __version__
    assert health["model_source"] == "startup"
    assert health["model_accuracy"] > 0.85


def test_health_reports_a_model_file(settings: Settings) -> None:
    """Prefer a model file where there is one."""
    MushroomModel.train(rows=500, seed=1).save(settings.model_path)
    with TestClient(create_application(settings)) as client:
        assert client.get("/healthz").json()["model_source"] == "file"


def test_predict_tells_the_examples_apart(
    client: TestClient, edible: dict[str, Any], poisonous: dict[str, Any]
) -> None:
    """Give each example payload its verdict."""
    assert client.post("/predict", json=edible).json()["verdict"] == "edible"
    assert client.post("/predict", json=poisonous).json()["verdict"] == "poisonous"


@pytest.mark.parametrize(
    "change",
    [{"odour": "petrol"}, {"cap_diameter_cm": 0}, {"bruises": None}, {"ring_count": 2}],
)
def test_predict_refuses_bad_specimens(
    client: TestClient, edible: dict[str, Any], change: dict[str, Any]
) -> None:
    """Refuse unknown, missing and impossible values and store nothing."""
    assert client.post("/predict", json=edible | change).status_code == 422
    assert client.get("/predictions").json() == []


def test_predictions_are_listed_newest_first(
    client: TestClient, edible: dict[str, Any], poisonous: dict[str, Any]
) -> None:
    """List what was stored, up to the limit."""
    client.post("/predict", json=edible)
    second = client.post("/predict", json=edible).json()
    third = client.post("/predict", json=poisonous).json()
    assert client.get("/predictions", params={"limit": 2}).json() == [third, second]
    assert third["specimen"] == poisonous
    age = datetime.now(UTC) - datetime.fromisoformat(third["created_at"])
    assert 0 <= age.total_seconds() < 60


def test_predictions_survive_a_restart(settings: Settings, edible: dict[str, Any]) -> None:
    """Keep predictions in the database between runs."""
    with TestClient(create_application(settings)) as client:
        stored = client.post("/predict", json=edible).json()
    with TestClient(create_application(settings)) as client:
        assert client.get("/predictions").json() == [stored]
