"""Facts that the doctor's findings rest on, made up."""

from __future__ import annotations

from typing import Any

from dockyard.builder_plan import Action, BuilderChange
from dockyard.buildkitd_config import GarbageRule
from dockyard.caches.builder_usage import UsageKind, UsageRecord
from dockyard.doctor.builder_findings import BuilderAnswer

__all__ = ["BUDGET", "EARLY", "GB", "LAST", "builder", "change", "usage"]

GB = 10**9
BUDGET = 20 * GB
# As an engine's own builder has them: mounts first, after two days; then all, by size.
EARLY = GarbageRule(GB // 2, ("type==source.local", "type==exec.cachemount"), age=48 * 3600)
LAST = GarbageRule(10 * GB, all=True)


def change(action: Action, *reasons: str) -> BuilderChange:
    """Make what is to be done about the dedicated builder."""
    return BuilderChange("dockyard", "docker-container", action, reasons, dry_run=True)


def builder(**changes: Any) -> BuilderAnswer:
    """Make what a dedicated builder says that is as the settings want it, but for ``changes``."""
    values: dict[str, Any] = {
        "name": "dockyard",
        "driver": "docker-container",
        "reason": "pushes the image",
        "dedicated": True,
        "status": "running",
        "version": "v0.32.2",
        "usage": (),
        "rules": (GarbageRule(BUDGET, all=True),),
        "change": change(Action.LEAVE),
    }
    return BuilderAnswer(**{**values, **changes})


def usage(**sizes: int) -> tuple[UsageRecord, ...]:
    """Make a builder's usage; ``layers`` and ``mounts`` in bytes."""
    kinds = {"layers": UsageKind.LAYER, "mounts": UsageKind.MOUNT}
    return tuple(
        UsageRecord("1", kinds[name], "", size, None, True) for name, size in sizes.items()
    )
