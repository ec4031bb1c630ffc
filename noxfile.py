"""What is checked, and how: `./bootstrap nox` runs all of it, `nox -s tests` a part.

There is one environment, which `./bootstrap` makes from uv.lock: the sessions run in it and make
none of their own, so the lock is the only source of versions, for people and for CI alike. What
follows `--` goes to the session's tool: `nox -s tests -- -k settings`.
"""

import nox

nox.options.default_venv_backend = "none"
nox.options.error_on_external_run = True
nox.options.error_on_missing_interpreters = True
nox.options.sessions = ["lint", "typing", "tests", "build-check", "engine-tests"]


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff's rules and format; of the Dockerfile, build-check takes care."""
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check")


@nox.session
def typing(session: nox.Session) -> None:
    """Types, by mypy's strict rules."""
    session.run("mypy", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Tests that start no process and open no socket."""
    session.run("pytest", "tests/unit", "tests/properties", "-n", "auto", *session.posargs)


@nox.session
def properties(session: nox.Session) -> None:
    """The properties of `tests`, over 20,000 examples each: takes an hour or more."""
    session.run(
        "pytest", "tests/properties", "--hypothesis-profile=long", "--timeout=0", *session.posargs
    )


@nox.session(name="build-check")
def build_check(session: nox.Session) -> None:
    """The Dockerfile's cache behaviour and the image: what `invoke check` asserts."""
    session.run("invoke", "check", *session.posargs)


@nox.session(name="engine-tests")
def engine_tests(session: nox.Session) -> None:
    """Tests with a real engine, registry and package index: two files at a time, some alone."""
    # A selection may leave nothing of one of the two parts: pytest's status is 5 then.
    accepted = [0, 5] if session.posargs else [0]
    # They wait more than they compute.
    parallel = ("-m", "not alone", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")
    for part in (parallel, ("-m", "alone")):
        command = ("pytest", "tests/engine", *part, "--durations=15", *session.posargs)
        session.run(*command, success_codes=accepted)


@nox.session
def faults(session: nox.Session) -> None:
    """The fault campaign: breaks what every operation depends on. Writes .dockyard/faults.json.

    What follows `--` chooses cases (`-k "cache.pull and stall"`); results of the others are kept.
    """
    session.run("pytest", "tests/faults", "-n", "2", *session.posargs)
    # Its status is 1 where not every case was tried: with a selection pytest's says enough.
    accepted = [0, 1] if session.posargs else [0]
    session.run(
        "python", "-m", "faults.result", env={"PYTHONPATH": "tests"}, success_codes=accepted
    )
