"""Everything that can go wrong, as one tree with distinct exit codes.

::

    DockyardError
    ├── SettingsError           3   a setting is unknown, malformed or contradicts another
    ├── ProjectError            4   pyproject.toml or uv.lock is missing, stale or does not fit
    ├── EngineError             5   no Docker Engine answers, or it is too old
    ├── BuilderError            6   buildx or the chosen builder is missing, too old or broken
    ├── DockerfileError         7   docker/Dockerfile is missing or contradicts the settings
    ├── ImageUnavailableError   8   a base image is in no engine, mirror or registry
    ├── BuildFailedError        9   a step of the build failed
    ├── NetworkError           10   a registry or package index cannot be reached or refuses
    ├── DiskFullError          11   the engine or this machine has no space left
    ├── RecordError            12   build records cannot be read or written
    ├── CacheError             13   the build cache cannot be read or written
    ├── CheckFailedError       14   a check was made and found something
    └── CheckUnavailableError  15   no check found anything, but one could not be made

Exit code 16 is `invoke doctor`'s, where it found problems: that is its answer, not an error. 70
(``EX_SOFTWARE`` of sysexits.h) is kept for Dockyard's own bugs and 130 for an interrupted command.
Invoke itself uses 1 for a command line that it does not understand.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import ClassVar

__all__ = [
    "EXIT_BUG",
    "EXIT_INTERRUPTED",
    "EXIT_PROBLEMS",
    "BuildFailedError",
    "BuilderError",
    "CacheError",
    "CheckFailedError",
    "CheckUnavailableError",
    "DiskFullError",
    "DockerfileError",
    "DockyardError",
    "EngineError",
    "ImageUnavailableError",
    "NetworkError",
    "Problem",
    "ProjectError",
    "RecordError",
    "SettingsError",
    "unwritable",
]

EXIT_PROBLEMS = 16
EXIT_BUG = 70
EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: what happened, where, and what to do next."""

    message: str
    where: str | None = None
    hint: str | None = None

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f"\n  → {self.hint}" if self.hint else ""
        return f"{place}{self.message}{advice}"


class DockyardError(Exception):
    """A mistake or fault that the user can act on; shown without a traceback.

    ``problems`` holds one or more :class:`Problem`; ``exit_code`` is the process's exit status.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        message: str | Problem,
        *more: Problem,
        where: str | None = None,
        hint: str | None = None,
    ) -> None:
        first = message if isinstance(message, Problem) else Problem(message, where, hint)
        self.problems: tuple[Problem, ...] = (first, *more)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class SettingsError(DockyardError):
    """A setting is unknown, malformed or contradicts another."""

    exit_code = 3


class ProjectError(DockyardError):
    """pyproject.toml or uv.lock is missing, stale or does not fit the settings."""

    exit_code = 4


class EngineError(DockyardError):
    """No Docker Engine answers, or the one that does is too old."""

    exit_code = 5


class BuilderError(DockyardError):
    """buildx or the chosen builder is missing, too old or broken."""

    exit_code = 6


class DockerfileError(DockyardError):
    """docker/Dockerfile is missing or contradicts the settings."""

    exit_code = 7


class ImageUnavailableError(DockyardError):
    """A base image is in no engine, mirror or registry."""

    exit_code = 8


class BuildFailedError(DockyardError):
    """A step of the build failed; the message is the tool's own."""

    exit_code = 9


class NetworkError(DockyardError):
    """A registry or package index cannot be reached, or refuses."""

    exit_code = 10


class DiskFullError(DockyardError):
    """The engine or this machine has no space left."""

    exit_code = 11


class RecordError(DockyardError):
    """Build records cannot be read or written."""

    exit_code = 12


class CacheError(DockyardError):
    """The build cache cannot be read or written."""

    exit_code = 13


class CheckFailedError(DockyardError):
    """A check was made and found something; one that could not be made raises another error."""

    exit_code = 14


class CheckUnavailableError(DockyardError):
    """A check could not be made, and none of those that were made found anything."""

    exit_code = 15


def unwritable(error: OSError, where: str, consequence: str) -> DockyardError:
    """Describe a file that cannot be written; DiskFullError where no space is left for it.

    ``consequence`` says how things are now.
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(
            f"no space left to write it; {consequence}",
            where=where,
            hint="free some space (`df` shows where there is none), and start again",
        )
    return DockyardError(
        f"it cannot be written: {error.strerror}; {consequence}",
        where=where,
        hint="make the folder writable, and start again",
    )
