"""Where the sources stand in git: commit, branch, uncommitted changes, time, origin."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dockyard import process

__all__ = [
    "Revision",
    "begin_revision",
    "branch_of_ci",
    "parse_status",
    "without_credentials",
]

_SHORT = 12


@dataclass(frozen=True)
class Revision:
    """The state of the working tree; all None and not dirty outside of a git repository.

    ``commit`` is the full object name, ``time`` the commit's in seconds since 1970 UTC, ``dirty``
    tells of changed or untracked files, ``source`` is the origin's URL without credentials,
    ``default_branch`` what the origin calls its own (None where it was never asked).
    """

    commit: str | None = None
    branch: str | None = None
    dirty: bool = False
    time: int | None = None
    source: str | None = None
    default_branch: str | None = None

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


def branch_of_ci(environment: Mapping[str, str]) -> str | None:
    """Name the branch that a CI service builds, whose checkout is of a commit alone.

    None on a tag. Of a pull or merge request it is the source branch; of one from a fork
    ``project:branch``, which no branch of git can be called (git-check-ref-format(1)): who may
    open a request must not write the cache of a branch here that has the same name.
    https://docs.github.com/actions/reference/workflows-and-actions/variables,
    https://docs.gitlab.com/ci/variables/predefined_variables/
    """
    if environment.get("GITHUB_REF_TYPE") == "tag" or environment.get("CI_COMMIT_TAG"):
        return None
    names = (
        "GITHUB_HEAD_REF",
        "GITHUB_REF_NAME",
        "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME",
        "CI_COMMIT_REF_NAME",
    )
    branch = next((environment[name] for name in names if environment.get(name)), None)
    fork = _fork_on_github(environment) or _fork_on_gitlab(environment)
    return f"{fork}:{branch}" if branch and fork else branch


def _fork_on_github(environment: Mapping[str, str]) -> str | None:
    """Name the repository that a pull request is from, where it is another one.

    ``pull_request`` of the payload: https://docs.github.com/webhooks/webhook-events-and-payloads
    """
    path = environment.get("GITHUB_EVENT_PATH")
    if not path or not environment.get("GITHUB_HEAD_REF"):
        return None
    import json

    try:
        request = json.loads(Path(path).read_text(encoding="utf-8"))["pull_request"]
        # A fork that was deleted meanwhile is null.
        head = (request["head"]["repo"] or {}).get("full_name") or "unknown"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "unknown"
    return None if head == environment.get("GITHUB_REPOSITORY") else str(head)


def _fork_on_gitlab(environment: Mapping[str, str]) -> str | None:
    source = environment.get("CI_MERGE_REQUEST_SOURCE_PROJECT_PATH")
    target = environment.get("CI_MERGE_REQUEST_PROJECT_PATH")
    return source if source and source != target else None


def begin_revision(
    directory: Path, environment: Mapping[str, str], *, default_branch: bool = False
) -> Callable[[], Revision]:
    """Ask git about ``directory`` in the background; call the result to wait for the answer.

    ``environment`` names the branch where git does not; ``default_branch`` asks for that as well.
    No git, or no repository, gives an empty Revision.
    """
    commands: list[tuple[str, ...]] = [
        ("status", "--porcelain=v2", "--branch"),
        ("log", "-1", "--format=%ct"),
        ("config", "--get", "remote.origin.url"),
    ]
    if default_branch:
        commands.append(("symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD"))
    try:
        running = [process.start(["git", *command], directory=directory) for command in commands]
    except OSError:
        return Revision

    def answer() -> Revision:
        status, log, origin, *asked = (one.wait(timeout=30) for one in running)
        if not status.succeeded:
            return Revision()
        commit, branch, dirty = parse_status(status.stdout)
        seconds = log.stdout.strip()
        return Revision(
            commit=commit,
            branch=branch or branch_of_ci(environment),
            dirty=dirty,
            time=int(seconds) if seconds.isdigit() else None,
            source=without_credentials(origin.stdout) or None,
            default_branch=next(
                (one.stdout.strip().removeprefix("origin/") or None for one in asked), None
            ),
        )

    return answer
