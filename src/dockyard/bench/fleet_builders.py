"""A fleet's builders: BuildKits in containers of their own, for buildx's driver ``remote``."""

from __future__ import annotations

import time
from typing import Self

from dockyard import process
from dockyard.bench.images import COMMAND_SECONDS, docker
from dockyard.errors import BuilderError

__all__ = ["FleetBuilders"]

START_SECONDS = 60.0
# Where BuildKit's images keep the state: on overlayfs it could not make overlays of its own.
STATE = "/var/lib/buildkit"


class FleetBuilders:
    """So many BuildKits, each with its own state; a context manager that removes all of them.

    They are on the host's network, so that they reach a registry on loopback. buildx talks to each
    through ``docker exec``, so no port is opened to whoever is on this machine. Builders are
    numbered from 1; ``run`` begins their names.
    """

    def __init__(self, count: int, *, run: str, image: str) -> None:
        self._image, self._run = image, run
        self.names = tuple(f"{run}-fleet-{number}" for number in range(1, count + 1))

    def __enter__(self) -> Self:
        try:
            for name in self.names:
                self._start(name)
                endpoint = f"docker-container://{name}"
                create = ("buildx", "create", "--name", name, "--driver", "remote", endpoint)
                docker(*create, error=BuilderError)
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()

    def name(self, number: int) -> str:
        """Return what buildx calls a builder."""
        return self.names[number - 1]

    def empty(self, number: int) -> None:
        """Put a BuildKit without any state in a builder's place."""
        name = self.name(number)
        docker("rm", "--force", "--volumes", name, error=BuilderError)
        self._start(name)

    def _start(self, name: str) -> None:
        """Start a BuildKit and wait until it answers. Raises BuilderError where it does not."""
        options = ("--privileged", "--network", "host", "--volume", STATE)
        allowed = ("--allow-insecure-entitlement", "network.host")
        docker(
            "run", "--detach", "--name", name, *options, self._image, *allowed, error=BuilderError
        )
        deadline = time.monotonic() + START_SECONDS
        asked = ["docker", "exec", name, "buildctl", "debug", "workers"]
        while not (answer := process.run(asked, timeout=START_SECONDS)).succeeded:
            if time.monotonic() > deadline:
                raise BuilderError(
                    f"BuildKit does not answer in {name}: {answer.stderr.strip()}",
                    hint=f"`docker run --rm --privileged {self._image}` shows what it says",
                )
            time.sleep(0.1)

    def _remove(self) -> None:
        """Remove all of them, those that were never started too: docker removes several at once."""
        for command in (("rm", "--force", "--volumes"), ("buildx", "rm", "--force")):
            process.run(["docker", *command, *self.names], timeout=COMMAND_SECONDS)
