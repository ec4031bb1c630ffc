"""What a bench that was killed left on the engine and in its folder, found by name and removed."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from dockyard import process

__all__ = ["PREFIX", "abandoned", "remove_leftovers"]

# Everything that a bench makes is called so, followed by its process.
PREFIX = "dockyard-bench-"
COMMAND_SECONDS = 120.0
_NAME = re.compile(rf"(?:{PREFIX}|run-)(\d+)\b.*")


def _runs(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def abandoned(names: Iterable[str], runs: Callable[[int], bool] = _runs) -> tuple[str, ...]:
    """Pick the names of a bench whose process runs no more."""
    found = []
    for name in names:
        match = _NAME.fullmatch(name)
        if match and not runs(int(match[1])):
            found.append(name)
    return tuple(dict.fromkeys(found))


def _listed(*arguments: str) -> list[str]:
    return process.run(["docker", *arguments], timeout=COMMAND_SECONDS).stdout.split()


def remove_leftovers(folder: Path) -> tuple[str, ...]:
    """Remove builders, containers, images and folders of benches that were killed; their names."""
    listings: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
        (("buildx", "ls", "--format", "{{.Name}}"), ("buildx", "rm", "--force")),
        (("ps", "--all", "--format", "{{.Names}}"), ("rm", "--force", "--volumes")),
        (("image", "ls", "--format", "{{.Repository}}:{{.Tag}}"), ("image", "rm", "--force")),
    )
    removed: list[str] = []
    for listing, removal in listings:
        for name in abandoned(_listed(*listing)):
            process.run(["docker", *removal, name], timeout=COMMAND_SECONDS)
            removed.append(name)
    if folder.is_dir():
        for name in abandoned(path.name for path in folder.iterdir()):
            shutil.rmtree(folder / name, ignore_errors=True)
            removed.append(name)
    return tuple(removed)
