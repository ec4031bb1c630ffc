"""Train a classifier from the command line."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mushroom.model import MushroomModel
from mushroom.settings import Settings


def main(arguments: Sequence[str] | None = None) -> None:
    """Train a model, write it to a file and print its accuracy."""
    settings = Settings()
    parser = argparse.ArgumentParser(description="Train the mushroom classifier.")
    parser.add_argument("--rows", type=int, default=20_000, help="specimens to make (%(default)s)")
    parser.add_argument(
        "--seed", type=int, default=settings.random_seed, help="random seed (%(default)s)"
    )
    parser.add_argument(
        "--output", type=Path, default=settings.model_path, help="file to write (%(default)s)"
    )
    options = parser.parse_args(arguments)

    model = MushroomModel.train(rows=options.rows, seed=options.seed)
    model.save(options.output)
    print(f"accuracy {model.accuracy:.4f}, trained on {model.training_rows} specimens")
    print(f"wrote {options.output}")
