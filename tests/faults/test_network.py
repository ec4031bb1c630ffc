"""Every operation while the network breaks: `nox -s faults`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from faults.model import Case, Outcome
from faults.network_cases import CASES
from faults.network_try import attempt
from faults.world import World


@pytest.mark.parametrize("case", CASES, ids=str)
def test_network(case: Case, world: World, keep_outcome: Callable[[Outcome], None]) -> None:
    outcome = attempt(world, case)
    keep_outcome(outcome)
    assert outcome.survived, "\n".join((f"{case} ({outcome.seconds:.1f} s)", *outcome.problems))
