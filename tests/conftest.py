"""Markers of both suites."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    # What a shell starts in the background ignores Ctrl-C, and so would all that tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for line in (
        "alone: changes what other tests rely on, and runs when no other does",
        "engine: needs a Docker Engine; every test below tests/engine has it",
        "spawns: a unit test that may start child processes of its own, such as a fake docker",
    ):
        config.addinivalue_line("markers", line)


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the repository's root."""
    return Path(__file__).resolve().parents[1]
