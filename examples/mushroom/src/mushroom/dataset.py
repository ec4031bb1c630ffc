"""Make synthetic mushrooms with known labels."""

from enum import StrEnum

import numpy as np
import numpy.typing as npt
import pandas as pd

LABEL_COLUMN = "poisonous"
LABEL_NOISE = 0.03


class Odour(StrEnum):
    """List the odours a specimen can have."""

    NONE = "none"
    ALMOND = "almond"
    ANISE = "anise"
    FISHY = "fishy"
    FOUL = "foul"
    MUSTY = "musty"


class SporePrintColour(StrEnum):
    """List the colours a spore print can have."""

    BLACK = "black"
    BROWN = "brown"
    GREEN = "green"
    WHITE = "white"


class Habitat(StrEnum):
    """List the places a specimen can grow in."""

    GRASS = "grass"
    LEAVES = "leaves"
    WOODS = "woods"


BAD_ODOURS = (Odour.FISHY, Odour.FOUL, Odour.MUSTY)

ODOUR_SHARES = {
    Odour.NONE: 0.46,
    Odour.ALMOND: 0.14,
    Odour.ANISE: 0.14,
    Odour.FISHY: 0.08,
    Odour.FOUL: 0.13,
    Odour.MUSTY: 0.05,
}
SPORE_PRINT_COLOUR_SHARES = {
    SporePrintColour.BLACK: 0.28,
    SporePrintColour.BROWN: 0.34,
    SporePrintColour.GREEN: 0.06,
    SporePrintColour.WHITE: 0.32,
}
HABITAT_SHARES = {Habitat.GRASS: 0.35, Habitat.LEAVES: 0.20, Habitat.WOODS: 0.45}


def make_dataset(rows: int, seed: int) -> pd.DataFrame:
    """Make a labelled table that depends on nothing but its arguments."""
    generator = np.random.default_rng(seed)
    specimens = pd.DataFrame(
        {
            "cap_diameter_cm": _positive_measurements(generator, rows, mean=7.0, spread=3.0),
            "stem_height_cm": _positive_measurements(generator, rows, mean=7.5, spread=2.5),
            "stem_width_mm": _positive_measurements(generator, rows, mean=12.0, spread=5.0),
            "bruises": generator.random(rows) < 0.4,
            "odour": _choices(generator, rows, ODOUR_SHARES),
            "spore_print_colour": _choices(generator, rows, SPORE_PRINT_COLOUR_SHARES),
            "habitat": _choices(generator, rows, HABITAT_SHARES),
        }
    )
    mislabelled = generator.random(rows) < LABEL_NOISE
    specimens[LABEL_COLUMN] = label_specimens(specimens) ^ mislabelled
    return specimens


def label_specimens(specimens: pd.DataFrame) -> pd.Series:
    """Tell which specimens are poisonous.

    A specimen is poisonous when any of these holds:

    * it smells fishy, foul or musty;
    * its spore print is green;
    * its spore print is white, it does not bruise and it grows in woods or leaves;
    * its stem is thinner than 8 mm and taller than its cap is wide.
    """
    bad_odour = specimens["odour"].isin([odour.value for odour in BAD_ODOURS])
    green_print = specimens["spore_print_colour"] == SporePrintColour.GREEN.value
    pale_woodland = (
        (specimens["spore_print_colour"] == SporePrintColour.WHITE.value)
        & ~specimens["bruises"]
        & (specimens["habitat"] != Habitat.GRASS.value)
    )
    spindly = (specimens["stem_width_mm"] < 8.0) & (
        specimens["stem_height_cm"] > specimens["cap_diameter_cm"]
    )
    return bad_odour | green_print | pale_woodland | spindly


def _positive_measurements(
    generator: np.random.Generator, rows: int, *, mean: float, spread: float
) -> npt.NDArray[np.float64]:
    """Draw rounded measurements from a gamma distribution."""
    shape = (mean / spread) ** 2
    values = generator.gamma(shape, mean / shape, rows)
    return np.maximum(values.round(1), 0.1)


def _choices[Choice: StrEnum](
    generator: np.random.Generator, rows: int, shares: dict[Choice, float]
) -> npt.NDArray[np.str_]:
    """Draw values according to their shares."""
    values = [choice.value for choice in shares]
    return generator.choice(values, size=rows, p=list(shares.values()))
