"""A repository's commits without its files, fetched into a temporary folder.

Credentials of a URL are handed to git by its environment (``GIT_CONFIG_COUNT``, git-config(1)): a
process's arguments are for everybody to see. The clone's configuration is not to hold them either.
"""

from __future__ import annotations

import base64
import contextlib
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from dockyard import process
from dockyard.bench.history_git import choose_lock
from dockyard.errors import NetworkError
from dockyard.history import log_arguments, parse_log

__all__ = ["Remote", "cloned", "is_url", "parse_remote"]

_SCP = re.compile(r"[\w.-]+@[\w.-]+:(?!//).+")
_REPORT = re.compile(r"(?:remote: )?([A-Z][\w ]+):\s+(\d+)%")
BLOBS_AT_ONCE = 500
FETCH_SECONDS = 600.0


@dataclass(frozen=True)
class Remote:
    """Where a repository is: the URL without credentials, and the setting that holds these."""

    url: str
    authorization: str | None = None

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return git's environment: no questions asked, credentials as a header."""
        found = {**base, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        found.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
        if self.authorization:
            parts = urlsplit(self.url)
            number = int(base.get("GIT_CONFIG_COUNT", "0") or 0)
            found |= {
                "GIT_CONFIG_COUNT": str(number + 1),
                f"GIT_CONFIG_KEY_{number}": f"http.{parts.scheme}://{parts.netloc}/.extraHeader",
                f"GIT_CONFIG_VALUE_{number}": f"Authorization: Basic {self.authorization}",
            }
        return found

    def clean(self, text: str) -> str:
        """Take credentials out of what git said."""
        if self.authorization:
            text = text.replace(self.authorization, "***")
        return re.sub(r"//[^/@\s]+@", "//", text)


def is_url(reference: str) -> bool:
    """Tell a URL, or ssh's ``user@host:path``, from a path."""
    return "://" in reference or bool(_SCP.fullmatch(reference))


def parse_remote(reference: str) -> Remote:
    """Take the credentials out of a URL; a user's name for ssh is none."""
    parts = urlsplit(reference)
    if parts.scheme not in ("http", "https") or "@" not in parts.netloc:
        return Remote(reference)
    user, _, host = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    pair = f"{unquote(name)}:{unquote(password)}"
    return Remote(urlunsplit(parts._replace(netloc=host)), base64.b64encode(pair.encode()).decode())


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
