"""Properties of the pure middle, over examples that hypothesis makes up.

CI's profile is the same 500 examples each time; ``nox -s properties`` takes 20,000 new ones.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from unit.conftest import no_processes_no_sockets

__all__ = ["no_processes_no_sockets"]

QUIET = (
    HealthCheck.data_too_large,
    HealthCheck.filter_too_much,
    HealthCheck.function_scoped_fixture,
    HealthCheck.too_slow,
)
settings.register_profile(
    "ci",
    max_examples=500,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=QUIET,
)
settings.register_profile(
    "long",
    max_examples=20_000,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=QUIET,
)
if not any(argument.startswith("--hypothesis-profile") for argument in sys.argv):
    settings.load_profile("ci")


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for all examples of a module: each one cleans it first."""
    return tmp_path_factory.mktemp("scratch")
