"""Every operation while the machine lets it down: kills, engine, builder, disk, clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from faults.interruptions import (
    BUILDER_CASES,
    CLOCK_CASES,
    DISK_CASES,
    ENGINE_CASES,
    KILL_CASES,
)
from faults.interruptions_engine import OwnEngine, own_engine
from faults.interruptions_machine import (
    attempt_builder,
    attempt_clock,
    attempt_disk,
    attempt_engine,
)
from faults.interruptions_site import Site, make_site
from faults.interruptions_try import attempt_kill
from faults.model import Case, Outcome
from support.engine import random_name

Keep = Callable[[Outcome], None]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with make_site(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.fixture(scope="module")
def second_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnEngine]:
    with own_engine(tmp_path_factory.mktemp("engine") / "own") as made:
        yield made


@pytest.fixture(scope="module")
def engine_site(
    second_engine: OwnEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    with make_site(tmp_path_factory.mktemp("site"), host=second_engine.host) as made:
        yield made


@pytest.fixture(scope="module")
def builder_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, str]]:
    name = random_name()
    with make_site(tmp_path_factory.mktemp("site"), builder=name) as made:
        yield made, name


def judge(outcome: Outcome, keep: Keep) -> None:
    keep(outcome)
    assert outcome.survived, "\n".join((str(outcome.case), *outcome.problems))


@pytest.mark.parametrize("case", KILL_CASES, ids=str)
def test_kill(case: Case, site: Site, keep_outcome: Keep) -> None:
    judge(attempt_kill(site, case), keep_outcome)


@pytest.mark.parametrize("case", CLOCK_CASES, ids=str)
def test_clock(case: Case, site: Site, keep_outcome: Keep) -> None:
    judge(attempt_clock(site, case), keep_outcome)


@pytest.mark.parametrize("case", DISK_CASES, ids=str)
def test_disk(case: Case, site: Site, keep_outcome: Keep) -> None:
    judge(attempt_disk(site, case), keep_outcome)


@pytest.mark.parametrize("case", BUILDER_CASES, ids=str)
def test_builder(case: Case, builder_site: tuple[Site, str], keep_outcome: Keep) -> None:
    judge(attempt_builder(*builder_site, case), keep_outcome)


@pytest.mark.parametrize("case", ENGINE_CASES, ids=str)
def test_engine(
    case: Case, engine_site: Site, second_engine: OwnEngine, keep_outcome: Keep
) -> None:
    judge(attempt_engine(engine_site, second_engine, case), keep_outcome)
