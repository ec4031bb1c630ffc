"""What is in the layers of base images, remembered: reading one takes seconds, and none changes.

One JSON file for each layer below ``.dockyard/base-layers``, named by the layer's digest; a file
that cannot be read is the same as none.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from dockyard.checks.contents import FileEntry, LayerContents
from dockyard.state import STATE_FOLDER, prepare_state_folder, write_atomically

__all__ = ["forget_other_listings", "remembered_listing"]

FOLDER = "base-layers"
SCHEMA = 1


def _path(root: Path, digest: str) -> Path:
    return root / STATE_FOLDER / FOLDER / f"{digest.rpartition(':')[2]}.json"


def _recall(path: Path) -> LayerContents | None:
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["schema"] == SCHEMA:
            files = {name: FileEntry(*entry) for name, entry in kept["files"].items()}
            return LayerContents("", True, files, tuple(kept["removed"]))
    return None


def remembered_listing(
    root: Path, digest: str, created_by: str, read: Callable[[], LayerContents]
) -> LayerContents:
    """Return the contents of a base image's layer, as remembered or as ``read`` has them now."""
    path = _path(root, digest)
    if known := _recall(path):
        return replace(known, created_by=created_by)
    found = read()
    files = {name: (entry.bytes, entry.executable) for name, entry in found.files.items()}
    kept = {"schema": SCHEMA, "files": files, "removed": found.removed}
    with contextlib.suppress(OSError):
        prepare_state_folder(root)
        write_atomically(path, json.dumps(kept))
    return found


def forget_other_listings(root: Path, digests: Sequence[str]) -> None:
    """Remove what is remembered of layers other than these."""
    kept = {_path(root, digest).name for digest in digests}
    with contextlib.suppress(OSError):
        for path in (root / STATE_FOLDER / FOLDER).iterdir():
            if path.name not in kept:
                path.unlink()
