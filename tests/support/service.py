"""A small service of its own: a git repository, a locked project, and Dockyard's commands in it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dockyard.dockerfile_regions import rewrite_regions
from dockyard.layers import Layer, LayerPlan
from support.repositories import commit_all, git
from support.wheels import make_project

__all__ = ["Ran", "Service", "counted", "ran_steps"]

INVOKE_SECONDS = 300
TASKS = "from dockyard.collection import namespace\n\nns = namespace()\n"


@dataclass(frozen=True)
class Ran:
    """How a command ended: exit status, standard output and standard error."""

    status: int
    stdout: str
    stderr: str


class Service:
    """A project in a repository at ``root``; every command runs as a user would run it there."""

    def __init__(
        self,
        root: Path,
        name: str,
        dependencies: Mapping[str, str],
        *,
        index_url: str,
        python_image: str,
        uv_image: str,
        extras: Mapping[str, Mapping[str, str]] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.root = root
        self.name = name
        self.index_url = index_url
        self.extras = extras
        self.environment = {
            "UV_DEFAULT_INDEX": index_url,
            "DOCKYARD_NETWORK": "host",
            "DOCKYARD_PYTHON_IMAGE": python_image,
            "DOCKYARD_UV_IMAGE": uv_image,
        }
        root.mkdir(parents=True, exist_ok=True)
        (root / "tasks.py").write_text(TASKS)
        (root / ".gitignore").write_text("__pycache__/\n")
        self.lock(dependencies)
        lines = "".join(f"{key} = {value}\n" for key, value in (settings or {}).items())
        with (root / "pyproject.toml").open("a") as file:
            file.write(f'\n[tool.dockyard]\nimage = "{name}"\ncopy-paths = ["src"]\n{lines}')
        self._date(root / "pyproject.toml", *(root / "src").rglob("*.py"))
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit()
        initialized = self.invoke("init")
        assert initialized.status == 0, initialized.stderr
        self.commit()

    @property
    def module(self) -> Path:
        """The service's own source file."""
        return self.root / "src" / self.name.replace("-", "_") / "__init__.py"

    def lock(self, dependencies: Mapping[str, str]) -> None:
        """Write the project for these dependencies and lock it; other tables are kept."""
        path = self.root / "pyproject.toml"
        own = path.read_text().partition("\n[tool.dockyard]") if path.exists() else ("", "", "")
        make_project(
            self.root,
            name=self.name,
            dependencies=dependencies,
            index_url=self.index_url,
            extras=self.extras,
        )
        with path.open("a") as file:
            file.write(own[1] + own[2])
        self._date(path, self.root / "uv.lock")

    def _date(self, *paths: Path) -> None:
        """Give files a time that no other service's have, which the clock's ticks do not.

        buildx tells contexts apart by their folder's name; in two of the same name, files of one
        size and time count as one file (docker/buildx#3232).
        """
        for path in paths:
            when = path.stat().st_mtime_ns - secrets.randbelow(10**9)
            os.utime(path, ns=(when, when))

    @property
    def dockerfile(self) -> Path:
        """The Dockerfile that ``invoke init`` wrote."""
        return self.root / "docker/Dockerfile"

    def assign(self, *layers: Sequence[str]) -> None:
        """Have the Dockerfile keep this plan, whatever the planner would make of the packages."""
        plan = LayerPlan(tuple(Layer(tuple(names)) for names in layers))
        text = self.dockerfile.read_text()
        _, _, slim = text.partition("&& finish-layer dependencies-1")
        self.dockerfile.write_text(rewrite_regions(text, plan, slim.partition("\n")[0]))
        self.commit()

    def git(self, *arguments: str) -> None:
        """Run git in the repository."""
        git(self.root, *arguments)

    def commit(self) -> None:
        """Commit everything."""
        commit_all(self.root)

    def _start(
        self, arguments: tuple[str, ...], changes: Mapping[str, str]
    ) -> subprocess.Popen[str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CI", "DOCKYARD_", "UV_"))}
        return subprocess.Popen(
            [sys.executable, "-m", "invoke", *arguments],
            cwd=self.root,
            env={**kept, **self.environment, **changes},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )

    def invoke(self, *arguments: str, **changes: str) -> Ran:
        """Run an Invoke task; keyword arguments change the environment."""
        process = self._start(arguments, changes)
        try:
            stdout, stderr = process.communicate(timeout=INVOKE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return Ran(process.returncode, stdout, stderr)

    def interrupt_when(
        self, ready: Callable[[], bool], number: signal.Signals, *arguments: str, **changes: str
    ) -> Ran:
        """Run a task and send it a signal once ``ready`` says so (at most 60 s later)."""
        process = self._start(arguments, changes)
        deadline = time.monotonic() + 60
        while not ready() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
        return Ran(process.returncode, stdout, stderr)

    def build(self, *arguments: str, **changes: str) -> dict[str, Any]:
        """Build, which must succeed, and return the record."""
        done = self.invoke("build", "--json", *arguments, **changes)
        assert done.status == 0, done.stderr
        record = json.loads(done.stdout)
        assert isinstance(record, dict)
        return record

    def records(self) -> list[Path]:
        """The files below ``.dockyard/builds``, hidden ones too, oldest first."""
        folder = self.root / ".dockyard/builds"
        return sorted(folder.iterdir()) if folder.is_dir() else []


def counted(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The steps that are a Dockerfile's own instructions."""
    return [step for step in record["steps"] if step["kind"] in ("run", "copy", "file")]


def ran_steps(record: dict[str, Any]) -> list[str]:
    """Name the steps that ran: ``stage: instruction`` up to the first mount."""
    return sorted(
        f"{step['stage']}: {step['instruction'].partition(' --mount')[0]}"
        for step in counted(record)
        if step["ran"]
    )
