"""Settings to vary."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from dockyard.settings import Settings, resolve

__all__ = ["make_settings"]


def make_settings(root: Path = Path("/repository"), **changes: Any) -> Settings:
    """Return the default settings with the given attributes changed."""
    settings = resolve(
        root=root, environment={}, dotenv={}, pyproject={}, flags={}, exists=lambda path: True
    )
    return replace(settings, **changes)
