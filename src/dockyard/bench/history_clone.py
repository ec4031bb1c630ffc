"""A repository's commits without its files, fetched into a temporary folder.

Credentials of a URL are handed to git by its environment (``GIT_CONFIG_COUNT``, git-config(1)): a
process's arguments are for everybody to see. The clone's configuration is not to hold them either.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from dockyard import process
from dockyard.bench.history_git import choose_lock
from dockyard.errors import NetworkError
from dockyard.git_remote import Remote
from dockyard.history import log_arguments, parse_log

__all__ = ["cloned", "is_url"]

_SCP = re.compile(r"[\w.-]+@[\w.-]+:(?!//).+")
_REPORT = re.compile(r"(?:remote: )?([A-Z][\w ]+):\s+(\d+)%")
BLOBS_AT_ONCE = 500
FETCH_SECONDS = 600.0


def is_url(reference: str) -> bool:
    """Tell a URL, or ssh's ``user@host:path``, from a path."""
    return "://" in reference or bool(_SCP.fullmatch(reference))


@contextlib.contextmanager
def cloned(
    remote: Remote,
    lock: str | None,
    environment: Mapping[str, str],
    say: Callable[[str], None],
) -> Iterator[tuple[Path, dict[str, str]]]:
    """Clone a repository, bare, with its commits and the lock's versions; removed afterwards.

    Yields its folder and git's environment. ``say`` is told how far it is. A server that cannot
    leave files out sends all of them. Raises NetworkError if there is no such repository or no
    answer, ProjectError as :func:`choose_lock`.
    """
    with tempfile.TemporaryDirectory(prefix="dockyard-history-") as folder:
        settings = remote.environment(environment)
        _clone(remote, Path(folder), settings, say)
        choice = choose_lock(Path(folder), lock)
        _fetch_versions(Path(folder), choice.path, settings, say)
        yield Path(folder), settings


def _clone(
    remote: Remote, folder: Path, environment: Mapping[str, str], say: Callable[[str], None]
) -> None:
    arguments = ["git", "clone", "--bare", "--filter=blob:none", "--single-branch", "--no-tags"]
    said: list[str] = []
    shown = ""
    try:
        with process.follow(
            [*arguments, "--progress", "--", remote.url, str(folder)], environment=environment
        ) as child:
            for line in child.lines():
                for part in line.decode(errors="replace").split("\r"):
                    report = _REPORT.match(part)
                    if report and report[0] != shown:
                        shown = report[0]
                        say(f"{remote.url}: {report[1].lower()} {report[2]} %")
                    elif part.strip():
                        said.append(remote.clean(part.strip()))
            status = child.wait()
    except FileNotFoundError as error:
        raise NetworkError("there is no git, which clones", hint="install git") from error
    if status:
        reason = next((one for one in said if one.startswith(("fatal:", "ERROR"))), "git failed")
        raise NetworkError(
            f"the repository cannot be cloned: {reason.removeprefix('fatal: ')}",
            where=remote.url,
            hint="is the URL right, and may you read it? `git ls-remote URL` asks the same; a "
            "folder of your own clone does as well",
        )


def _fetch_versions(
    folder: Path, lock: str, environment: Mapping[str, str], say: Callable[[str], None]
) -> None:
    """Get all versions of the lock at once: git alone would ask for one after the other."""
    log = process.run(
        ["git", *log_arguments(lock)],
        directory=folder,
        environment=environment,
        timeout=FETCH_SECONDS,
    )
    blobs = list(dict.fromkeys(blob for _, blob in parse_log(log.stdout)))
    fetch = ["git", "-c", "fetch.negotiationAlgorithm=noop", "fetch", "--quiet", "--no-tags"]
    for start in range(0, len(blobs), BLOBS_AT_ONCE):
        say(f"fetching versions of {lock}: {start} of {len(blobs)}")
        wanted = "".join(f"{blob}\n" for blob in blobs[start : start + BLOBS_AT_ONCE])
        # What this misses git fetches when it reads it.
        process.run(
            [*fetch, "--no-write-fetch-head", "--filter=blob:none", "--stdin", "origin"],
            directory=folder,
            environment=environment,
            input=wanted.encode(),
            timeout=FETCH_SECONDS,
        )
