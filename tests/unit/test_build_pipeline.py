"""The whole pipeline over real pipes, with a docker that replays recorded builds."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dockyard import process
from dockyard.build import BuildOptions, BuildResult, build, present
from dockyard.errors import BuildFailedError, EngineError
from dockyard.initialization import Side, apply_changes, plan_changes
from dockyard.records import read_record
from dockyard.settings import load_settings
from support.fake_docker import DIGEST, FakeDocker
from support.transcripts import TRANSCRIPTS, read

pytestmark = pytest.mark.spawns

LOCK = """\
version = 1
revision = 3
requires-python = ">=3.11"

[[package]]
name = "service"
version = "1.0"
source = { virtual = "." }
"""
PROJECT = """\
[project]
name = "service"
version = "1.0"
requires-python = ">=3.11"
dependencies = []

[tool.dockyard]
copy-paths = ["src"]
cache-backends = []
"""
DEADLINE_SECONDS = 30.0


class Repository:
    """A project to build, and the fake docker that builds it."""

    def __init__(self, folder: Path, docker: FakeDocker) -> None:
        self.root = folder
        self.docker = docker
        self.environment = {
            **{name: value for name, value in os.environ.items() if _is_kept(name)},
            "PATH": docker.path,
        }
        (folder / "src").mkdir(parents=True)
        (folder / "src/service.py").write_text("")
        (folder / "pyproject.toml").write_text(PROJECT)
        (folder / "uv.lock").write_text(LOCK)
        (folder / "tasks.py").write_text(
            "from dockyard.collection import namespace\n\nns = namespace()\n"
        )
        apply_changes(plan_changes(load_settings(folder, self.environment, {}), Side.NEITHER))

    def build(self, **environment: str) -> tuple[BuildResult, str]:
        """Build in this process; the result and what was shown."""
        given = {**self.environment, **environment}
        stream = io.StringIO()
        result = build(load_settings(self.root, given, {}), BuildOptions(), given, stream)
        return result, stream.getvalue()

    def invoke(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the command in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "invoke", *arguments],
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def records(self) -> list[Path]:
        """Whatever lies where the records are, temporary files too."""
        folder = self.root / ".dockyard/builds"
        return sorted(folder.iterdir()) if folder.is_dir() else []


def _is_kept(name: str) -> bool:
    foreign = ("BUILDKIT_", "DOCKER_", "DOCKYARD_", "GITHUB_", "SOURCE_DATE_", "SSL_", "UV_")
    return not name.startswith(foreign)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    docker = FakeDocker(tmp_path / "bin")
    monkeypatch.setenv("PATH", docker.path)
    return Repository(tmp_path / "repository", docker)


def transcript(case: str) -> Path:
    return TRANSCRIPTS / f"{case}.jsonl"


def wait_until(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not ready():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)


def test_a_build_from_pipe_to_record(repository: Repository) -> None:
    repository.docker.plan(transcript("code-change"))
    result, shown = repository.build()
    assert result.error is None
    assert result.path is not None
    record = read_record(result.path.read_text())
    assert record == result.record
    assert record.outcome == "succeeded"
    assert record.image["digest"] == DIGEST
    assert record.image["content_bytes"] == 1000
    assert [layer.holds for layer in record.layers] == ["base", "src"]
    assert record.context_bytes == 222
    assert [step.instruction for step in record.steps] == [
        step.instruction for step in read("code-change").steps
    ]
    assert "dependencies-1: cached\n" in shown
    (arguments,) = repository.docker.builds()
    assert "--progress=rawjson" in arguments
    # Nothing was asked for the record that costs the build time.
    assert not [call for call in repository.docker.calls() if call[:2] == ["buildx", "history"]]
    traffic, inputs = record.traffic, record.inputs
    assert traffic is not None
    assert (traffic.context_sent, traffic.base_read, traffic.layers_pushed) == (222, 0, 0)
    assert inputs is not None
    assert {one.path for one in inputs.files} >= {"pyproject.toml", "uv.lock", "src/service.py"}
    assert {one.stage for one in inputs.dockerfile} >= {"plan", "dependencies-1", "app-builder"}
    assert inputs.builder_id == "fake"
    assert [path.suffix for path in repository.records()] == [".json"]


@pytest.mark.parametrize(
    ("chunk", "delay"), [(1000, 0.001), (37, 0.0)], ids=["thousands", "dozens"]
)
def test_lines_split_anywhere_are_put_together(
    repository: Repository, chunk: int, delay: float
) -> None:
    repository.docker.plan(transcript("all-cached"), chunk=chunk, delay=delay)
    result, _ = repository.build()
    assert [step.instruction for step in result.record.steps] == [
        step.instruction for step in read("all-cached").steps
    ]
    assert result.record.hit_rates["overall"] == 1.0


def test_noise_is_no_obstacle(repository: Repository) -> None:
    noise = b'WARNING: \xff\xfe\n{"half": \n[]\n\x00\n{"vertexes": 7}\n'
    repository.docker.plan(transcript("all-cached"), noise=noise)
    result, _ = repository.build()
    assert result.error is None
    assert result.record.hit_rates["overall"] == 1.0


def test_a_failure_is_diagnosed_and_recorded(repository: Repository) -> None:
    repository.docker.plan(transcript("failed-install"), status=1)
    result, shown = repository.build()
    assert isinstance(result.error, BuildFailedError)
    assert "Hash mismatch for `large-package==2.0`" in str(result.error)
    assert "the last lines of dependencies-1: RUN" in shown
    assert result.path is not None
    record = read_record(result.path.read_text())
    assert (record.outcome, record.error) == ("failed", str(result.error))
    assert record.image["digest"] is None


def test_an_engine_that_is_gone_is_named(repository: Repository) -> None:
    repository.docker.plan(transcript("no-engine"), status=1)
    result, _ = repository.build()
    assert isinstance(result.error, EngineError)


@pytest.mark.parametrize("length", [0, 1, 5000, 20_001], ids=lambda count: f"after {count}")
def test_a_child_that_dies_leaves_a_whole_record(repository: Repository, length: int) -> None:
    repository.docker.plan(transcript("cold"), length=length, then="die")
    result, _ = repository.build()
    assert isinstance(result.error, BuildFailedError)
    (path,) = repository.records()
    assert read_record(path.read_text()).outcome == "failed"


def test_a_full_disk_for_the_record_is_an_error_of_its_own(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    repository.docker.plan(transcript("all-cached"))
    monkeypatch.setattr(os, "fsync", fail)
    result, _ = repository.build()
    assert result.path is None
    assert result.record.outcome == "succeeded"
    assert "No space left" in str(result.error)
    assert repository.records() == []


def test_the_job_summary_is_written_where_github_asks(
    repository: Repository, tmp_path: Path
) -> None:
    summary = tmp_path / "summary.md"
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    repository.docker.plan(transcript("failed-step"), status=1)
    result, shown = repository.build(**environment)
    stream = io.StringIO()
    present(
        result,
        load_settings(repository.root, repository.environment, {}),
        {**repository.environment, **environment},
        stream,
    )
    assert "::group::tool" in shown
    assert "::error file=docker/Dockerfile,line=2::tool: RUN echo service" in shown
    assert "### Image build failed" in summary.read_text()
    assert stream.getvalue().startswith("✗ service:latest failed after ")


# Interruptions


@pytest.mark.parametrize(
    ("case", "on_interrupt", "expected"),
    [
        ("cold", "cancel", ["SIGINT"]),
        ("cold", "ignore", ["SIGINT", "SIGTERM"]),
    ],
    ids=["it cancels", "it ignores signals"],
)
def test_ctrl_c_stops_the_child_and_is_recorded(
    repository: Repository,
    monkeypatch: pytest.MonkeyPatch,
    case: str,
    on_interrupt: str,
    expected: list[str],
) -> None:
    monkeypatch.setattr(process, "INTERRUPT_SECONDS", 0.4)
    monkeypatch.setattr(process, "TERMINATE_SECONDS", 0.4)
    repository.docker.plan(transcript(case), length=20_001, then="hang", on_interrupt=on_interrupt)

    def press() -> None:
        wait_until(lambda: repository.docker.hanging)
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    try:
        result, shown = repository.build()
    finally:
        presser.join()
    assert result.interrupted
    assert result.error is None
    (path,) = repository.records()
    record = read_record(path.read_text())
    assert (record.outcome, record.error) == ("interrupted", None)
    assert record.steps
    assert repository.docker.signals() == expected
    assert "✓" not in shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_command_ends_with_130(repository: Repository, number: signal.Signals) -> None:
    repository.docker.plan(transcript("cold"), length=20_001, then="hang")
    command = repository.invoke("build")
    try:
        wait_until(lambda: repository.docker.hanging or command.poll() is not None)
        command.send_signal(number)
        shown, errors = command.communicate(timeout=DEADLINE_SECONDS)
    finally:
        command.kill()
    assert command.returncode == 130, errors
    assert errors.endswith("interrupted\n  → `invoke build` again takes up what was done\n")
    assert "Traceback" not in errors
    assert shown.startswith("✗ service:latest interrupted after ")
    assert repository.docker.signals() == ["SIGINT"]
    (path,) = repository.records()
    assert read_record(path.read_text()).outcome == "interrupted"


def test_the_next_build_is_not_disturbed(repository: Repository) -> None:
    repository.docker.plan(transcript("cold"), length=20_001, then="die")
    repository.build()
    repository.docker.plan(transcript("all-cached"))
    result, _ = repository.build()
    assert result.record.outcome == "succeeded"
    assert len(repository.records()) == 2


def test_the_command_prints_the_record_and_nothing_else(repository: Repository) -> None:
    repository.docker.plan(transcript("all-cached"))
    command = repository.invoke("build", "--json")
    shown, errors = command.communicate(timeout=DEADLINE_SECONDS)
    assert command.returncode == 0, errors
    (path,) = repository.records()
    assert json.loads(shown) == json.loads(path.read_text())
    assert "✓ service:latest" in errors


def test_the_command_fails_with_the_errors_own_status(repository: Repository) -> None:
    repository.docker.plan(transcript("failed-install"), status=1)
    command = repository.invoke("build")
    _, errors = command.communicate(timeout=DEADLINE_SECONDS)
    assert command.returncode == BuildFailedError.exit_code
    index = "http://127.0.0.1:8080/simple"
    assert f"error: dependencies-1: the package index {index} served a file" in errors
