"""Git repositories of tests: commands in one, and a bare one that can be served."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["commit_all", "git", "publish"]

IDENTITY = ("-c", "user.name=Test", "-c", "user.email=test@example.com")


def git(folder: Path, *arguments: str) -> None:
    """Run git in a folder, as somebody; it must succeed."""
    subprocess.run(["git", *IDENTITY, *arguments], cwd=folder, check=True, capture_output=True)


def commit_all(folder: Path, message: str = "Change") -> None:
    """Commit everything, even where nothing changed."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message)


def publish(work: Path, bare: Path) -> None:
    """Make a folder a repository, and a bare clone of it that plain HTTP can serve."""
    git(work, "init", "--quiet", "--initial-branch=main")
    commit_all(work, "First")
    git(work, "clone", "--quiet", "--bare", str(work), str(bare))
    git(bare, "update-server-info")
