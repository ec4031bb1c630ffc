"""One world for each worker, and a place for outcomes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dockyard.state import write_atomically
from faults.model import Outcome, outcome_as_json
from faults.world import World
from support.base import ensure_base_image, ensure_uv_image
from support.engine import require_engine

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.engine)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    require_engine()
    with World(
        tmp_path_factory.mktemp("world"),
        python_image=ensure_base_image(),
        uv_image=ensure_uv_image(),
    ) as made:
        yield made


@pytest.fixture(scope="session")
def keep_outcome(repository: Path) -> Callable[[Outcome], None]:
    """Write an outcome below ``.dockyard/faults``, for the campaign's result."""
    folder = repository / ".dockyard/faults"

    def keep(outcome: Outcome) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(outcome_as_json(outcome), indent=1, ensure_ascii=False)
        write_atomically(folder / f"{outcome.case}.json", text)

    return keep
