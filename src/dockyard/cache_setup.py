"""What ``invoke cache.init`` does: the local cache directory, then the dedicated builder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dockyard.builder_plan import BuilderChange
from dockyard.builder_setup import ensure_builder
from dockyard.engine import engine_facts
from dockyard.errors import CacheError
from dockyard.state import STATE_FOLDER, State, prepare_state_folder

if TYPE_CHECKING:
    from dockyard.settings import Settings

__all__ = ["CacheSetup", "initialize"]


@dataclass(frozen=True)
class CacheSetup:
    """What was done, or would be: ``created`` tells whether the directory was missing."""

    directory: Path
    created: bool
    builder: BuilderChange

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        directory = {"path": str(self.directory), "created": self.created}
        return {"directory": directory, "builder": self.builder.as_json()}

    def lines(self) -> list[str]:
        """Say it in a few lines; a dry run shows commands and configuration as well."""
        dry = self.builder.dry_run
        verb = ("would be created" if dry else "created") if self.created else "is there"
        lines = [f"directory {self.directory} {verb}", *self.builder.lines()]
        if dry and self.builder.commands:
            import shlex

            lines += ["", *(shlex.join(command) for command in self.builder.commands)]
            if self.builder.config:
                lines += ["", "# buildkitd.toml", self.builder.config.rstrip()]
        return lines


def make_cache_directory(settings: Settings, *, dry_run: bool) -> bool:
    """Make DOCKYARD_CACHE_DIR; whether it was missing. Raises CacheError where it cannot be."""
    folder = settings.cache_dir
    missing = not folder.is_dir()
    if missing and not dry_run:
        try:
            if folder.is_relative_to(settings.root / STATE_FOLDER):
                prepare_state_folder(settings.root)
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CacheError(
                f"the cache directory cannot be made: {error.strerror}",
                where=str(folder),
                hint="make its parent writable, or set DOCKYARD_CACHE_DIR to another folder",
            ) from error
    return missing


def initialize(
    settings: Settings, environment: Mapping[str, str], *, dry_run: bool = False
) -> CacheSetup:
    """Make the cache directory and the dedicated builder; ``dry_run`` only says what would be."""
    state = State(settings.root)
    engine = engine_facts(state, environment, fresh=True)
    created = make_cache_directory(settings, dry_run=dry_run)
    change = ensure_builder(settings, environment, engine, dry_run=dry_run)
    return CacheSetup(settings.cache_dir, created, change)
