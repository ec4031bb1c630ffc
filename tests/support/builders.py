"""Throw-away buildx builders."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from support.base import buildkit_image
from support.engine import LABEL, DockerError, NotBootstrappedError, docker, random_name, remove

__all__ = ["Driver", "available_drivers", "throwaway_builder"]

Driver = Literal["docker-container", "remote"]

START_TIMEOUT_S = 60.0


def available_drivers() -> tuple[str, ...]:
    """Return the buildx drivers that work here: ``docker`` always, the others with BuildKit."""
    docker("buildx", "version")
    try:
        buildkit_image()
    except NotBootstrappedError:
        return ("docker",)
    return ("docker", "docker-container", "remote")


@contextmanager
def throwaway_builder(
    driver: Driver = "docker-container",
    *,
    image: str | None = None,
    config: Path | None = None,
    options: Mapping[str, str] | None = None,
    network: str = "host",
    name: str | None = None,
) -> Iterator[str]:
    """Create a builder with an empty cache, yield its name, and remove it with its cache.

    ``image`` is BuildKit's, ``config`` a ``buildkitd.toml`` and ``options`` are further
    ``--driver-opt`` pairs. On the ``host`` network the builder reaches servers on this machine's
    loopback. ``remote`` is a BuildKit in a container of its own that buildx did not start.
    """
    image = image or buildkit_image()
    name = name or random_name()
    create = ["buildx", "create", "--name", name, "--driver", driver, "--bootstrap"]
    pairs = dict(options or {})
    try:
        if driver == "remote":
            _start_buildkit(name, image, config, network)
            endpoint = [f"docker-container://{name}"]
        else:
            pairs = {"image": image, "network": network, **pairs}
            create += ["--config", str(config)] if config else []
            endpoint = []
        for key, value in pairs.items():
            create += ["--driver-opt", f"{key}={value}"]
        docker(*create, *endpoint)
        yield name
    finally:
        _remove(name, driver)


def _start_buildkit(name: str, image: str, config: Path | None, network: str) -> None:
    run = ["run", "--detach", "--privileged", "--name", name, "--network", network]
    run += ["--label", f"{LABEL}={name}", "--volume", f"{name}:/var/lib/buildkit"]
    mounted = "/etc/buildkit/buildkitd.toml"
    run += ["--volume", f"{config.absolute()}:{mounted}:ro"] if config else []
    docker(*run, image)
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            docker("exec", name, "buildctl", "debug", "workers", timeout_s=START_TIMEOUT_S)
            return
        except DockerError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _remove(name: str, driver: Driver) -> None:
    # buildx removes the container and volume of a builder that it knows, not of a half-made one.
    container = name if driver == "remote" else f"buildx_buildkit_{name}0"
    volume = name if driver == "remote" else f"{container}_state"
    try:
        remove("builder", name)
    finally:
        remove("container", container)
        remove("volume", volume)
