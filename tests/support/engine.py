"""The Docker Engine through its command line, and leaving it as it was found."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Literal, Self

__all__ = [
    "LABEL",
    "NAME_PREFIX",
    "Cleanup",
    "DockerError",
    "Kind",
    "NotBootstrappedError",
    "docker",
    "labelled_names",
    "random_name",
    "remove",
    "require_engine",
]

LABEL = "dev.dockyard.test"
NAME_PREFIX = "dockyard-test-"

Kind = Literal["image", "container", "volume", "builder"]

_LISTINGS: dict[Kind, tuple[str, ...]] = {
    "container": ("container", "ls", "--all", "--format", "{{.Names}}"),
    "image": ("image", "ls", "--no-trunc", "--format", "{{.ID}}"),
    "volume": ("volume", "ls", "--format", "{{.Name}}"),
}
_REMOVALS: dict[Kind, tuple[str, ...]] = {
    "builder": ("buildx", "rm", "--force"),
    "container": ("container", "rm", "--force", "--volumes"),
    "image": ("image", "rm", "--force"),
    "volume": ("volume", "rm", "--force"),
}
_ABSENT = ("no such", "no builder", "not found")


class DockerError(RuntimeError):
    """A docker command failed; ``stderr`` is what it said."""

    def __init__(self, arguments: tuple[str, ...], status: int, stderr: str) -> None:
        super().__init__(f"docker {' '.join(arguments)}: exit {status}\n{stderr}")
        self.status = status
        self.stderr = stderr


class NotBootstrappedError(AssertionError):
    """What the engine's tests need is missing: they fail, they do not skip."""

    def __init__(self, missing: str) -> None:
        super().__init__(f"{missing}: run ./bootstrap first")


def docker(*arguments: str, cwd: Path | None = None, timeout_s: float = 300) -> str:
    """Run the docker command line; return its standard output without the last line's end."""
    program = shutil.which("docker")
    if program is None:
        raise NotBootstrappedError("the docker command is not installed")
    done = subprocess.run(
        [program, *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout_s,
    )
    if done.returncode:
        raise DockerError(arguments, done.returncode, done.stderr)
    return done.stdout.removesuffix("\n")


def require_engine() -> str:
    """Return the engine's version, or fail naming ``./bootstrap``."""
    try:
        return docker("version", "--format", "{{.Server.Version}}", timeout_s=30)
    except (DockerError, subprocess.TimeoutExpired) as error:
        raise NotBootstrappedError(f"no Docker Engine answers ({error})") from error


def random_name() -> str:
    """Return a name that nothing else on the engine has."""
    return NAME_PREFIX + secrets.token_hex(6)


def labelled_names(kind: Kind, run_id: str | None = None) -> tuple[str, ...]:
    """Names (of images: identifiers) of what tests left, of one run or of all.

    Builders carry no label: theirs are found by ``dockyard-test-`` and the run's id.
    """
    if kind == "builder":
        prefix = NAME_PREFIX + (run_id or "")
        lines = docker("buildx", "ls", "--format", "{{json .}}").splitlines()
        names = (str(json.loads(line)["Name"]) for line in lines)
        return tuple(sorted({name for name in names if name.startswith(prefix)}))
    label = f"label={LABEL}={run_id}" if run_id else f"label={LABEL}"
    return tuple(sorted(set(docker(*_LISTINGS[kind], "--filter", label).splitlines())))


class Cleanup:
    """Removes at its end what was recorded by name, and whatever carries the run's label.

    Recording comes before creating, so that a creation that fails half-way is undone too. The
    ``docker`` driver's build cache has no label and stays.
    """

    def __init__(self, run_id: str | None = None) -> None:
        self.run_id = run_id or secrets.token_hex(6)
        self._names: list[tuple[Kind, str]] = []
        self._repositories: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.run()

    @property
    def label(self) -> str:
        """The argument of ``--label``."""
        return f"{LABEL}={self.run_id}"

    def name(self, kind: Kind, name: str | None = None) -> str:
        """Record ``name``, or a new one, for removal; return it."""
        chosen = name or f"{NAME_PREFIX}{self.run_id}-{secrets.token_hex(3)}"
        self._names.append((kind, chosen))
        return chosen

    def repository(self, name: str | None = None) -> str:
        """Record an image name, whatever tags it gets, for removal; return it."""
        chosen = name or f"{NAME_PREFIX}{self.run_id}-{secrets.token_hex(3)}"
        self._repositories.append(chosen)
        return chosen

    def run(self) -> None:
        """Remove everything; what cannot be removed is raised together at the end."""
        failures: list[Exception] = []
        for repository in self._repositories:
            tags = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", repository)
            self._names += [("image", tag) for tag in tags.splitlines()]
        kinds: tuple[Kind, ...] = ("builder", "container", "image", "volume")
        for kind in kinds:
            names = [name for recorded, name in self._names if recorded == kind]
            try:
                names += labelled_names(kind, self.run_id)
            except (DockerError, subprocess.TimeoutExpired) as error:
                failures.append(error)
            for name in dict.fromkeys(names):
                try:
                    remove(kind, name)
                except (DockerError, subprocess.TimeoutExpired) as error:
                    failures.append(error)
        self._names.clear()
        self._repositories.clear()
        if failures:
            raise ExceptionGroup("the engine could not be left as it was found", failures)


def remove(kind: Kind, name: str) -> None:
    """Remove one thing; it is no error when it is gone already."""
    try:
        docker(*_REMOVALS[kind], name)
    except DockerError as error:
        if not any(words in error.stderr.lower() for words in _ABSENT):
            raise
