"""A handful of the fault campaign's cases (`nox -s faults`), so that its harness stays sound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from faults.model import Case
from faults.network_cases import CASES, REPRESENTATIVE
from faults.network_try import attempt
from faults.world import World

CHOSEN = [case for case in CASES if str(case) in REPRESENTATIVE]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, base_images: Any) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    with World(folder, python_image=base_images.python, uv_image=base_images.uv) as made:
        yield made


@pytest.mark.parametrize("case", CHOSEN, ids=str)
def test_survived(case: Case, world: World) -> None:
    outcome = attempt(world, case)
    assert outcome.survived, "\n".join((f"{case} ({outcome.seconds:.1f} s)", *outcome.problems))


def test_a_fault_that_a_command_does_not_survive_is_found(world: World) -> None:
    """The judge is no rubber stamp: what a command left behind, and a lost image, are problems."""
    from faults.survival import Belongings
    from support.engine import docker

    before = Belongings.of(world)
    assert before.lost(world, (), succeeded=False) == []
    (world.root / ".dockyard/half.tmp").write_text("half")
    docker("image", "rm", "--force", f"{world.image}:latest")
    problems = before.lost(world, (), succeeded=False)
    (world.root / ".dockyard/half.tmp").unlink()
    world.make_image()
    assert any("left behind: .dockyard/half.tmp" in one for one in problems)
    assert any("the earlier image" in one for one in problems)
