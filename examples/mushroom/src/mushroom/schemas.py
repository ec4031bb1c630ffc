"""Describe the bodies of requests and responses."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mushroom.dataset import Habitat, Odour, SporePrintColour


class Specimen(BaseModel):
    """Describe one mushroom."""

    model_config = ConfigDict(extra="forbid")

    cap_diameter_cm: float = Field(gt=0, le=100)
    stem_height_cm: float = Field(gt=0, le=100)
    stem_width_mm: float = Field(gt=0, le=500)
    bruises: bool
    odour: Odour
    spore_print_colour: SporePrintColour
    habitat: Habitat


class PredictionResponse(BaseModel):
    """Describe a stored prediction."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    created_at: datetime
    specimen: Specimen
    verdict: Literal["edible", "poisonous"]
    poisonous_probability: float


class HealthResponse(BaseModel):
    """Describe the state of the service."""

    status: Literal["ok", "degraded"]
    version: str
    database: Literal["ok", "unreachable"]
    model_source: Literal["file", "startup"]
    model_accuracy: float
    execution_providers: list[str] | None
