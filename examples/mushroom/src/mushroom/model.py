"""Train, save and load the classifier."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import joblib
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from mushroom.dataset import LABEL_COLUMN, Habitat, Odour, SporePrintColour, make_dataset

NUMERIC_COLUMNS = ["cap_diameter_cm", "stem_height_cm", "stem_width_mm", "bruises"]
CATEGORIES = {
    "odour": [odour.value for odour in Odour],
    "spore_print_colour": [colour.value for colour in SporePrintColour],
    "habitat": [habitat.value for habitat in Habitat],
}
FEATURE_COLUMNS = [*NUMERIC_COLUMNS, *CATEGORIES]


class ModelError(Exception):
    """Report a model file that this version cannot use."""


@dataclass(frozen=True)
class MushroomModel:
    """Pair a fitted pipeline with what is known about it."""

    pipeline: Pipeline
    accuracy: float
    training_rows: int

    @classmethod
    def train(cls, *, rows: int, seed: int) -> Self:
        """Fit a classifier on synthetic data and measure it on held-out rows."""
        dataset = make_dataset(rows, seed)
        training, held_out = train_test_split(
            dataset, test_size=0.2, random_state=seed, stratify=dataset[LABEL_COLUMN]
        )
        pipeline = build_pipeline(seed)
        pipeline.fit(training[FEATURE_COLUMNS], training[LABEL_COLUMN])
        accuracy = pipeline.score(held_out[FEATURE_COLUMNS], held_out[LABEL_COLUMN])
        return cls(pipeline=pipeline, accuracy=float(accuracy), training_rows=len(training))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a model from a file."""
        contents = joblib.load(path)
        if not isinstance(contents, dict) or contents.get("columns") != FEATURE_COLUMNS:
            raise ModelError(f"{path} was not written for the features of this version")
        return cls(
            pipeline=contents["pipeline"],
            accuracy=contents["accuracy"],
            training_rows=contents["training_rows"],
        )

    def save(self, path: Path) -> None:
        """Write the model to a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        contents = {
            "columns": FEATURE_COLUMNS,
            "pipeline": self.pipeline,
            "accuracy": self.accuracy,
            "training_rows": self.training_rows,
        }
        joblib.dump(contents, path, compress=3)

    def poisonous_probability(self, specimen: Mapping[str, Any]) -> float:
        """Return the estimated probability that a specimen is poisonous."""
        table = pd.DataFrame([specimen], columns=FEATURE_COLUMNS)
        poisonous_index = list(self.pipeline.classes_).index(True)
        return float(self.pipeline.predict_proba(table)[0, poisonous_index])


def build_pipeline(seed: int) -> Pipeline:
    """Build the unfitted pipeline."""
    features = ColumnTransformer(
        [
            ("numeric", "passthrough", NUMERIC_COLUMNS),
            ("categorical", OneHotEncoder(categories=list(CATEGORIES.values())), list(CATEGORIES)),
        ]
    )
    classifier = RandomForestClassifier(n_estimators=80, min_samples_leaf=3, random_state=seed)
    return Pipeline([("features", features), ("classifier", classifier)])
