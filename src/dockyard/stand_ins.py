"""Which local image stands in for a published one where no registry answers. Pure."""

from __future__ import annotations

import re

__all__ = ["LOCAL_REGISTRY", "stand_in_for"]

# A registry name that nobody can resolve: such an image is here or nowhere.
LOCAL_REGISTRY = "dockyard.local"


def stand_in_for(reference: str) -> str | None:
    """Name the image that can be made here instead: Python, uv or BuildKit; None for any other.

    Python keeps its minor version (``dockyard.local/python:3.13``), which is what Debian has; uv
    and BuildKit keep their whole one.
    """
    repository, _, tag = reference.partition("@")[0].rpartition(":")
    name = repository.rpartition("/")[2]
    if "/" in tag or not name:
        return None
    patterns = {"python": r"(\d+\.\d+)", "uv": r"(\d+\.\d+\.\d+)", "buildkit": r"(v\d+\.\d+\.\d+)"}
    match = re.match(patterns[name], tag) if name in patterns else None
    return f"{LOCAL_REGISTRY}/{name}:{match[1]}" if match else None
