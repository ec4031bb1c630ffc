"""Tie the classifier and the database together."""

import logging
import time
from typing import Literal, Self

from sqlalchemy.exc import SQLAlchemyError

from mushroom import __version__
from mushroom.accelerator import execution_providers
from mushroom.database import Database, Prediction
from mushroom.model import MushroomModel
from mushroom.schemas import HealthResponse, PredictionResponse, Specimen
from mushroom.settings import Settings

# Eating a poisonous mushroom costs more than leaving an edible one, hence below one half.
POISONOUS_THRESHOLD = 0.3

type ModelSource = Literal["file", "startup"]

logger = logging.getLogger(__name__)


class MushroomService:
    """Answer the requests of the HTTP layer."""

    def __init__(self, model: MushroomModel, model_source: ModelSource, database: Database) -> None:
        """Keep what the requests need."""
        self._model = model
        self._model_source: ModelSource = model_source
        self._database = database
        self._execution_providers = execution_providers()

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Prepare the model and the database that the settings name."""
        model, source = prepare_model(settings)
        return cls(model, source, Database(settings.database_url))

    def predict(self, specimen: Specimen) -> PredictionResponse:
        """Classify a specimen and store the result."""
        features = specimen.model_dump(mode="json")
        probability = self._model.poisonous_probability(features)
        prediction = Prediction(
            specimen=features,
            verdict="poisonous" if probability >= POISONOUS_THRESHOLD else "edible",
            poisonous_probability=round(probability, 4),
        )
        self._database.add(prediction)
        return PredictionResponse.model_validate(prediction)

    def recent(self, limit: int) -> list[PredictionResponse]:
        """Return the latest predictions, newest first."""
        return [PredictionResponse.model_validate(row) for row in self._database.recent(limit)]

    def health(self) -> HealthResponse:
        """Describe the state of the service."""
        try:
            self._database.check()
            reachable = True
        except SQLAlchemyError:
            logger.exception("the database does not answer")
            reachable = False
        return HealthResponse(
            status="ok" if reachable else "degraded",
            version=__version__,
            database="ok" if reachable else "unreachable",
            model_source=self._model_source,
            model_accuracy=round(self._model.accuracy, 4),
            execution_providers=self._execution_providers,
        )

    def close(self) -> None:
        """Release the database."""
        self._database.close()


def prepare_model(settings: Settings) -> tuple[MushroomModel, ModelSource]:
    """Load the model file, or train a small model where there is none."""
    if settings.model_path.is_file():
        logger.info("loading the model from %s", settings.model_path)
        return MushroomModel.load(settings.model_path), "file"
    started = time.perf_counter()
    model = MushroomModel.train(rows=settings.startup_training_rows, seed=settings.random_seed)
    elapsed = time.perf_counter() - started
    logger.info("no model at %s, trained one in %.2f s", settings.model_path, elapsed)
    return model, "startup"
