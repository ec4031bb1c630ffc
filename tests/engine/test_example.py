"""The example service, built from a clone as a newcomer would, and asked what it is for."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.engine import Cleanup, docker, random_name
from support.service import ran_steps

ANSWER_SECONDS = 60.0


@pytest.fixture(scope="module")
def clone(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository as git has it, with what is changed and not committed yet."""
    folder = tmp_path_factory.mktemp("clone") / "repository"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=repository,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (repository / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((repository / name).read_bytes())
            target.chmod((repository / name).stat().st_mode)
    return folder


@pytest.fixture(scope="module")
def image(engine: str) -> Iterator[str]:
    with Cleanup() as made:
        yield made.repository()


@pytest.fixture(scope="module")
def first(clone: Path, image: str) -> dict[str, Any]:
    return build(clone, image)


def build(clone: Path, image: str) -> dict[str, Any]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DOCKYARD_")}
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "build", "--json"],
        cwd=clone,
        env={**kept, "DOCKYARD_IMAGE": image},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert isinstance(record, dict)
    return record


def test_the_service_answers(
    first: dict[str, Any], image: str, clone: Path, cleanup: Cleanup
) -> None:
    assert first["outcome"] == "succeeded"
    name = cleanup.name("container")
    docker("run", "--detach", "--publish", "127.0.0.1::8000", "--name", name, f"{image}:latest")
    port = docker("port", name, "8000/tcp").rpartition(":")[2]
    health = ask(f"http://127.0.0.1:{port}/healthz")
    assert health["status"] == "ok"
    for payload, verdict in (("predict", "edible"), ("predict-poisonous", "poisonous")):
        specimen = clone / "examples/mushroom/examples" / f"{payload}.json"
        answer = ask(f"http://127.0.0.1:{port}/predict", specimen.read_bytes())
        assert answer["verdict"] == verdict
    assert docker("exec", name, "id", "-u") == "10001"


def ask(url: str, body: bytes | None = None) -> dict[str, Any]:
    """Ask until the service is up, at most a minute."""
    deadline = time.monotonic() + ANSWER_SECONDS
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                answer = json.load(response)
                assert isinstance(answer, dict)
                return answer
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def test_the_second_build_is_wholly_cached(first: dict[str, Any], clone: Path, image: str) -> None:
    second = build(clone, image)
    assert ran_steps(second) == []
    assert second["hit_rates"] == {"dependency": 1.0, "application": 1.0, "overall": 1.0}
    assert second["image"]["digest"] == first["image"]["digest"]


def test_a_code_change_runs_its_copy_alone(first: dict[str, Any], clone: Path, image: str) -> None:
    source = clone / "examples/mushroom/src/mushroom/__init__.py"
    # A change that no earlier run on this engine has made: it would be cached.
    source.write_text(f"{source.read_text()}\n# Changed: {random_name()}.\n")
    assert ran_steps(build(clone, image)) == ["app-builder: COPY --link src /app/src"]


def test_the_image_holds_what_it_runs_and_no_tools(first: dict[str, Any], image: str) -> None:
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", f"{image}:latest")
    dependency_layers = re.findall(r"^COPY /dependencies-\d+/ / ", history, re.MULTILINE)
    assert len(dependency_layers) == sum(
        layer["holds"].startswith("dependencies-") for layer in first["layers"]
    )
    assert len(dependency_layers) > 1
    script = (
        "import shutil; print([n for n in ('uv', 'uvx', 'gcc', 'cc', 'pip') if shutil.which(n)])"
    )
    run = ("run", "--rm", f"{image}:latest", "python", "-c")
    assert docker(*run, script) == "[]"
    script = "import os; print(sorted(os.listdir('/app')), os.path.exists('/var/cache/uv'))"
    assert docker(*run, script) == "['examples', 'scripts', 'src'] False"
