"""The images that ``./bootstrap`` leaves on the engine, so that no test needs another host."""

from __future__ import annotations

import re

from support.engine import DockerError, NotBootstrappedError, docker

__all__ = ["buildkit_image", "ensure_base_image", "ensure_uv_image"]

PYTHON_IMAGE = "dockyard.local/python:3.13"
UV_REPOSITORY = "dockyard.local/uv"
BUILDKIT_REPOSITORY = "dockyard.local/buildkit"


def ensure_base_image() -> str:
    """Return the reference of a local Python image without uv."""
    return _present(PYTHON_IMAGE)


def ensure_uv_image(version: str | None = None) -> str:
    """Return the reference of a local image with ``/uv``: of ``version``, or the newest."""
    return _tagged(UV_REPOSITORY, version)


def buildkit_image(version: str | None = None) -> str:
    """Return the reference of a local BuildKit image: of ``version`` (``v0.32.2``), or the newest.

    It runs ``buildkitd`` and also holds ``buildctl``.
    """
    return _tagged(BUILDKIT_REPOSITORY, version)


def _tagged(repository: str, version: str | None) -> str:
    if version:
        return _present(f"{repository}:{version}")
    tags = docker("image", "ls", "--format", "{{.Tag}}", repository).split()
    numbered = [tag for tag in tags if re.fullmatch(r"v?\d+(\.\d+)*", tag)]
    if not numbered:
        raise NotBootstrappedError(f"the engine has no {repository} image")
    newest = max(numbered, key=lambda tag: [int(part) for part in tag.lstrip("v").split(".")])
    return f"{repository}:{newest}"


def _present(reference: str) -> str:
    try:
        docker("image", "inspect", "--format", "{{.Id}}", reference)
    except DockerError as error:
        raise NotBootstrappedError(f"the engine has no image {reference}") from error
    return reference
