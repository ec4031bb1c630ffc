"""What `info` and `context` show, gathered as values; :mod:`dockyard.presentation` draws them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dockyard.engine import ImageFacts, image_facts
from dockyard.errors import EngineError, ProjectError
from dockyard.records import BuildRecord, UnreadableRecord, load_records
from dockyard.state import State

if TYPE_CHECKING:
    from dockyard.context import ContextListing, Suggestion
    from dockyard.settings import Settings

__all__ = [
    "ContextInformation",
    "Information",
    "context_json",
    "gather",
    "gather_context",
    "needed_paths",
]


@dataclass(frozen=True)
class Information:
    """The last builds, newest first, and the image as the engine holds it now."""

    builds: tuple[BuildRecord, ...]
    unreadable: tuple[UnreadableRecord, ...]
    image: ImageFacts | None
    image_note: str | None

    def as_json(self) -> dict[str, Any]:
        """Return the same as JSON values; each build without its steps and settings."""
        left_out = ("steps", "settings")
        return {
            "builds": [
                {name: value for name, value in asdict(one).items() if name not in left_out}
                for one in self.builds
            ],
            "unreadable": [
                {"path": str(one.path), "reason": one.reason} for one in self.unreadable
            ],
            "image": asdict(self.image) if self.image else None,
            "image_note": self.image_note,
        }


def gather(settings: Settings, last: int) -> Information:
    """Read the last builds' records and ask the engine for the image that the newest made."""
    builds, unreadable = load_records(settings.root, max(last, 1), set_aside=True)
    newest = next((one for one in builds if one.outcome == "succeeded"), None)
    image, note = None, None
    if newest:
        tag = newest.image["tags"][0]
        try:
            image = image_facts(State(settings.root), tag, None)
        except (EngineError, OSError) as error:
            note = f"the engine was not asked: {error}"
        if image is None:
            note = note or f"{tag} is not in the engine"
        elif newest.image["digest"] and image.digest != newest.image["digest"]:
            note = f"{tag} in the engine is not what the last build made"
    return Information(tuple(builds), tuple(unreadable), image, note)


@dataclass(frozen=True)
class ContextInformation:
    """The build context's listing, and the patterns that would make it smaller."""

    folder: str
    listing: ContextListing
    suggestions: tuple[Suggestion, ...]


def gather_context(settings: Settings) -> ContextInformation:
    """List the context as .dockerignore leaves it, and compare it with what the image needs.

    Raises ProjectError if the folder cannot be listed or a pattern is malformed.
    """
    from dockyard.context import list_context, read_dockerignore, suggest

    folder = settings.root / settings.project
    text = read_dockerignore(folder, settings.root / settings.dockerfile)
    listing = list_context(folder, text)
    suggestions = suggest(listing, needed_paths(settings))
    return ContextInformation(settings.project, listing, tuple(suggestions))


def needed_paths(settings: Settings) -> tuple[str, ...]:
    """Return what a build reads of the context, as patterns: the lock, sources, local packages."""
    from dockyard.local_packages import find_local_packages
    from dockyard.preparation import project_facts

    needed = ("pyproject.toml", "uv.lock", *settings.copy_paths)
    if settings.install == "wheel":
        # Build backends read these beside the sources.
        needed += ("src", "README*", "LICEN[CS]E*")
    try:
        local = find_local_packages(
            settings.root / settings.project,
            project_facts(settings),
            install=settings.install,
            copy_paths=settings.copy_paths,
        )
    except ProjectError:
        return needed  # what is wrong with the project, a build says
    members = (one for one in local.members if one != ".")
    return (*needed, *local.packages, *members)


def context_json(found: ContextInformation) -> dict[str, Any]:
    """Return the listing and the suggestions as JSON values; sizes in bytes."""
    return {
        "folder": found.folder,
        **asdict(found.listing),
        "suggestions": [asdict(one) for one in found.suggestions],
    }
