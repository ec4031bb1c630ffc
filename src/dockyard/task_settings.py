"""The settings as a task gets them: from the folder and environment that it was started in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dockyard.settings import Settings

__all__ = ["task_settings"]


def task_settings(**flags: Any) -> Settings:
    """Load the settings; a flag that was not given (None or empty) counts for nothing.

    Raises SettingsError naming everything that is wrong.
    """
    from dockyard.settings import load_settings

    given = {name: value for name, value in flags.items() if value not in (None, [], "")}
    return load_settings(Path.cwd(), os.environ, given)
