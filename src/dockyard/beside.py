"""What is found out for a build's record beside the build, at no cost of its time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dockyard.build_inputs import InputsReader
    from dockyard.caches.access import LocalCacheAccess
    from dockyard.preparation import Prepared
    from dockyard.traffic_reading import TrafficReader

__all__ = ["Beside", "read_metadata"]


class Beside:
    """Reads inputs and traffic; a context manager that leaves no file behind.

    Begun once buildx runs, so that imports cost nothing; only a local cache is looked at before.
    """

    inputs: InputsReader
    traffic: TrafficReader

    def __init__(self, prepared: Prepared, environment: Mapping[str, str]) -> None:
        self._prepared, self._environment = prepared, environment
        self._local: LocalCacheAccess | None = None
        if prepared.caches and prepared.caches.snapshot:
            from dockyard.caches.access import LocalCacheAccess

            self._local = LocalCacheAccess(prepared.caches.snapshot.layout)
        self._begun = False

    def __enter__(self) -> Beside:
        return self

    def __exit__(self, *_: object) -> None:
        if self._begun:
            self.traffic.close()

    def begin(self) -> None:
        """Start; further calls change nothing."""
        if self._begun:
            return
        from dockyard.build_inputs import InputsReader
        from dockyard.traffic_reading import TrafficReader

        self.inputs = InputsReader(self._prepared)
        self.traffic = TrafficReader(self._prepared, self._environment, self._local)
        self._begun = True
        self.inputs.begin()
        self.traffic.begin()


def read_metadata(path: Path) -> dict[str, Any]:
    """Read what buildx wrote about a build; nothing where it wrote none, or half of it."""
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}
