"""The projects below tests/projects: copied, their addresses filled in, locked, and worked in."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support.installed import Installed, run
from support.repositories import commit_all, git
from support.service import Ran

__all__ = ["PROJECTS", "Stranger"]

PROJECTS = Path(__file__).parents[1] / "projects"


class Stranger:
    """Somebody's project in a git repository, without anything of Dockyard's, and its commands."""

    def __init__(
        self,
        root: Path,
        shape: str,
        *,
        installed: Installed,
        index_url: str | None,
        addresses: Mapping[str, str],
        environment: Mapping[str, str],
    ) -> None:
        self.root = root
        self.installed = installed
        # uv finds the wheel there and what it needs on PyPI, as if it had been published.
        found = {"UV_FIND_LINKS": str(installed.wheel.parent)}
        self.environment = {**environment, **found}
        shutil.copytree(PROJECTS / shape, root)
        pyproject = root / "pyproject.toml"
        if pyproject.exists():
            text = pyproject.read_text()
            for name, address in addresses.items():
                text = text.replace(f"@{name}@", address)
            if index_url:
                text += f'\n[[tool.uv.index]]\nurl = "{index_url}"\ndefault = true\n'
            pyproject.write_text(text)
            if not (root / "uv.lock").exists():
                self.must("uv", "lock", "--no-cache")
        self.git("init", "--quiet", "--initial-branch=main")
        (root / ".gitignore").write_text("__pycache__/\n.venv/\n*.backup\n")
        self.commit()

    def git(self, *arguments: str) -> None:
        """Run git in the repository."""
        git(self.root, *arguments)

    def commit(self) -> None:
        """Commit everything."""
        commit_all(self.root)

    def run(self, *command: str, timeout_s: float = 300) -> Ran:
        """Run a command as somebody who has Dockyard, uv and nox installed."""
        return run(*command, cwd=self.root, environment=self.environment, timeout_s=timeout_s)

    def must(self, *command: str) -> Ran:
        """Run a command that must succeed."""
        ran = self.run(*command)
        assert ran.status == 0, f"{' '.join(command)}\n{ran.stdout}\n{ran.stderr}"
        return ran

    def dockyard(self, *arguments: str) -> Ran:
        """Run the installed command, which must succeed."""
        return self.must(self.installed.command, *arguments)

    @property
    def table(self) -> dict[str, Any]:
        """``[tool.dockyard]`` as it is now."""
        table = tomllib.loads((self.root / "pyproject.toml").read_text())["tool"]["dockyard"]
        assert isinstance(table, dict)
        return table

    def files(self) -> dict[str, bytes]:
        """Every file but git's and Dockyard's state, by its path."""
        left_out = {".git", ".dockyard", ".nox", ".venv", "__pycache__"}
        return {
            inner.as_posix(): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file() and left_out.isdisjoint((inner := path.relative_to(self.root)).parts)
        }

    def build(self) -> dict[str, Any]:
        """Build, and return the record."""
        record = json.loads(self.dockyard("build", "--json").stdout)
        assert isinstance(record, dict)
        return record
