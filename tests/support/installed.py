"""Dockyard as others get it: built into a wheel and an sdist, installed away from its sources."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from support.service import Ran

__all__ = ["Installed", "clean_environment", "install", "run", "version_of"]


@dataclass(frozen=True)
class Installed:
    """A clean virtual environment with Dockyard's wheel in it, and the files that were built."""

    wheel: Path
    sdist: Path
    environment: Path

    @property
    def command(self) -> str:
        """The installed ``dockyard``."""
        return str(self.environment / "bin/dockyard")


def clean_environment() -> dict[str, str]:
    """The environment without what would set Dockyard, uv or nox up, or look like CI.

    The tests' own virtual environment is not on the path: its ``dockyard`` is of the sources.
    """
    foreign = ("CI", "DOCKYARD_", "GITHUB_", "PYTHON", "UV_", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    own = Path(sys.executable).parent
    places = [one for one in kept["PATH"].split(os.pathsep) if Path(one) != own]
    uv = shutil.which("uv")
    if uv:
        places.append(str(Path(uv).parent))
    return {**kept, "PATH": os.pathsep.join(places)}


def run(
    *command: str, cwd: Path, environment: Mapping[str, str] | None = None, timeout_s: float = 300
) -> Ran:
    """Run a command where nobody answers; the environment is added to a clean one."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**clean_environment(), **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout_s,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def _must(ran: Ran) -> str:
    assert ran.status == 0, ran.stderr
    return ran.stdout


def install(repository: Path, folder: Path) -> Installed:
    """Build both distributions, the wheel from the sdist, and install it with locked versions."""
    # uv knows a wheel by its path, even when another file is there: no path may come again.
    dist = Path(tempfile.mkdtemp(prefix="dist-", dir=folder))
    environment = folder / "environment"
    _must(run("uv", "build", "--quiet", "--out-dir", str(dist), str(repository), cwd=folder))
    [wheel], [sdist] = dist.glob("*.whl"), dist.glob("*.tar.gz")
    _must(run("uv", "venv", "--quiet", "--python", sys.executable, str(environment), cwd=folder))
    exported = _must(
        run(
            *("uv", "export", "--quiet", "--frozen", "--no-dev", "--no-emit-project"),
            *("--no-hashes", "--no-header", "--directory", str(repository)),
            cwd=folder,
        )
    )
    # Versions are the lock's, so that what is published tomorrow cannot break a test.
    constraints = folder / "constraints.txt"
    constraints.write_text(exported)
    target = ("--python", str(environment), "--constraints", str(constraints))
    _must(run("uv", "pip", "install", "--quiet", *target, str(wheel), cwd=folder))
    return Installed(wheel, sdist, environment)


def version_of(wheel: Path) -> str:
    """The version in a wheel's name."""
    match = re.match(r"[^-]+-([^-]+)-", wheel.name)
    assert match
    return match[1]
