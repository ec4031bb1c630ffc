"""Test the data and the classifier."""

from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import pytest

from mushroom.dataset import LABEL_COLUMN, LABEL_NOISE, label_specimens, make_dataset
from mushroom.model import FEATURE_COLUMNS, ModelError, MushroomModel
from mushroom.training import main


def test_dataset_depends_on_the_seed_alone() -> None:
    """Make equal tables from equal seeds."""
    pd.testing.assert_frame_equal(make_dataset(200, seed=3), make_dataset(200, seed=3))
    assert not make_dataset(200, seed=3).equals(make_dataset(200, seed=4))


def test_dataset_labels_follow_the_rule_but_for_noise() -> None:
    """Flip about as many labels as documented and keep both classes common."""
    dataset = make_dataset(20_000, seed=5)
    flipped = (dataset[LABEL_COLUMN] != label_specimens(dataset)).mean()
    assert flipped == pytest.approx(LABEL_NOISE, abs=0.005)
    assert 0.3 < dataset[LABEL_COLUMN].mean() < 0.7


def test_training_is_deterministic(edible: dict[str, Any]) -> None:
    """Get the same classifier from the same seed."""
    first = MushroomModel.train(rows=800, seed=7)
    second = MushroomModel.train(rows=800, seed=7)
    assert first.accuracy == second.accuracy
    table = make_dataset(100, seed=8)[FEATURE_COLUMNS]
    assert (first.pipeline.predict_proba(table) == second.pipeline.predict_proba(table)).all()
    assert first.poisonous_probability(edible) == second.poisonous_probability(edible)


def test_saved_model_gives_the_same_answers(tmp_path: Path, poisonous: dict[str, Any]) -> None:
    """Write a model and read it back."""
    path = tmp_path / "deeper" / "mushroom.joblib"
    model = MushroomModel.train(rows=500, seed=9)
    model.save(path)
    loaded = MushroomModel.load(path)
    assert loaded.accuracy == model.accuracy
    assert loaded.poisonous_probability(poisonous) == model.poisonous_probability(poisonous)


def test_load_refuses_other_features(tmp_path: Path) -> None:
    """Refuse a file written for other columns."""
    path = tmp_path / "other.joblib"
    joblib.dump({"columns": ["age"]}, path)
    with pytest.raises(ModelError, match=r"other\.joblib"):
        MushroomModel.load(path)


def test_training_command_writes_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Write the file and print the accuracy."""
    path = tmp_path / "mushroom.joblib"
    main(["--rows", "500", "--seed", "1", "--output", str(path)])
    assert path.is_file()
    assert capsys.readouterr().out.startswith("accuracy 0.")
