"""Where the sources stand in git: commit, branch, uncommitted changes, time, origin."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dockyard import process

__all__ = ["Revision", "begin_revision", "parse_status", "without_credentials"]

_SHORT = 12


@dataclass(frozen=True)
class Revision:
    """The state of the working tree; all None and not dirty outside of a git repository.

    ``commit`` is the full object name, ``time`` the commit's in seconds since 1970 UTC, ``dirty``
    tells of changed or untracked files, ``source`` is the origin's URL without credentials.
    """

    commit: str | None = None
    branch: str | None = None
    dirty: bool = False
    time: int | None = None
    source: str | None = None

    @property
    def short(self) -> str | None:
        """The first twelve digits of the commit, with ``-dirty`` where the tree is."""
        if self.commit is None:
            return None
        return self.commit[:_SHORT] + ("-dirty" if self.dirty else "")


def parse_status(text: str) -> tuple[str | None, str | None, bool]:
    """Read ``git status --porcelain=v2 --branch``: commit, branch, dirty (git-status(1))."""
    commit = branch = None
    dirty = False
    for line in text.splitlines():
        if line.startswith("# branch.oid "):
            value = line.removeprefix("# branch.oid ")
            commit = None if value == "(initial)" else value
        elif line.startswith("# branch.head "):
            value = line.removeprefix("# branch.head ")
            branch = None if value == "(detached)" else value
        elif line and not line.startswith("#"):
            dirty = True
    return commit, branch, dirty


def without_credentials(url: str) -> str:
    """Take user and password out of a URL; ``git@host:path`` stays, its user is no secret."""
    return re.sub(r"(?<=://)[^/@]*@", "", url.strip())


def begin_revision(directory: Path) -> Callable[[], Revision]:
    """Ask git about ``directory`` in the background; call the result to wait for the answer.

    No git, or no repository, gives an empty Revision.
    """
    commands = (
        ("status", "--porcelain=v2", "--branch"),
        ("log", "-1", "--format=%ct"),
        ("config", "--get", "remote.origin.url"),
    )
    try:
        running = [process.start(["git", *command], directory=directory) for command in commands]
    except OSError:
        return Revision

    def answer() -> Revision:
        status, log, origin = (one.wait(timeout=30) for one in running)
        if not status.succeeded:
            return Revision()
        commit, branch, dirty = parse_status(status.stdout)
        seconds = log.stdout.strip()
        return Revision(
            commit=commit,
            branch=branch,
            dirty=dirty,
            time=int(seconds) if seconds.isdigit() else None,
            source=without_credentials(origin.stdout) or None,
        )

    return answer
