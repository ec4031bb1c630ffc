"""``./bootstrap`` in a copy of the repository: what it does once, and what it says without root."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

LEFT_OUT = (".git", ".venv", ".dockyard", ".nox", ".env", "*_cache", "__pycache__")
TOOLS = ("bash", "cat", "dirname", "env", "flock", "mkdir", "rm", "sed", "sha256sum", "timeout")
BOOTSTRAP = Path(__file__).parents[2] / "bootstrap"
(UV_VERSION,) = re.findall(r"^UV_VERSION=(\S+)$", BOOTSTRAP.read_text(), re.MULTILINE)
SYNCHRONISES = "bootstrap: synchronises"


@pytest.fixture(scope="module")
def copy(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy that has been bootstrapped once."""
    folder = tmp_path_factory.mktemp("bootstrap") / "repository"
    shutil.copytree(repository, folder, ignore=shutil.ignore_patterns(*LEFT_OUT))
    done = bootstrap(folder, "true")
    assert done.returncode == 0, done.stderr
    assert SYNCHRONISES in done.stderr
    return folder


def bootstrap(
    folder: Path, *command: str, path: str | None = None
) -> subprocess.CompletedProcess[str]:
    dropped = ["UV_PROJECT_ENVIRONMENT", "VIRTUAL_ENV"]
    if path:
        dropped.append("DOCKER_HOST")  # an engine elsewhere would be asked for by name
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    return subprocess.run(
        [folder / "bootstrap", *command],
        cwd=folder,
        env={**environment, **({"PATH": path} if path else {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


def tools_without_docker(folder: Path, user: int) -> str:
    """Make a PATH without docker, on which ``id -u`` names ``user``."""
    folder.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found, tool
        (folder / tool).symlink_to(found)
    identity = folder / "id"
    identity.write_text(f"#!{shutil.which('sh')}\necho {user}\n")
    identity.chmod(0o755)
    # The right one is there, and not needed.
    (folder / "uv").write_text(f"#!{shutil.which('sh')}\necho uv {UV_VERSION}\n")
    (folder / "uv").chmod(0o755)
    return str(folder)


def test_the_second_time_nothing_is_left_to_do(copy: Path) -> None:
    done = bootstrap(copy, "true")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_changed_lock_is_noticed(copy: Path) -> None:
    lock = copy / "uv.lock"
    text = lock.read_text(encoding="utf-8")
    lock.write_text(text + "# changed\n", encoding="utf-8")
    try:
        assert SYNCHRONISES in bootstrap(copy, "true").stderr
        assert SYNCHRONISES not in bootstrap(copy, "true").stderr
    finally:
        lock.write_text(text, encoding="utf-8")


def test_the_command_runs_in_the_environment_and_its_status_counts(copy: Path) -> None:
    script = 'command -v python; printf "%s\\n" "$VIRTUAL_ENV" "$@"; exit 7'
    done = bootstrap(copy, "bash", "-c", script, "bash", "a b", "")
    assert done.returncode == 7
    venv = copy / ".venv"
    assert done.stdout.splitlines() == [str(venv / "bin" / "python"), str(venv), "a b", ""]


def test_without_a_command_it_says_how_to_use_it(copy: Path) -> None:
    done = bootstrap(copy)
    assert done.returncode == 2
    assert "./bootstrap invoke build" in done.stderr


def test_without_an_engine_and_root_it_gives_one_line_of_advice(copy: Path, tmp_path: Path) -> None:
    path = tools_without_docker(tmp_path / "tools", user=1000)
    bootstrap(copy, "true")
    done = bootstrap(copy, "true", path=path)
    assert done.returncode == 5
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("bootstrap: no Docker Engine answers: ")
    assert "https://docs.docker.com/engine/install/" in line
    assert "sudo ./bootstrap" in line
