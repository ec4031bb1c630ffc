"""Which builders' cache mounts are saved and restored; what goes wrong there is a note.

The layer cache is what a build cannot do without; without the mount it only builds a wheel again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dockyard.base_images import resolve_base_images
from dockyard.builder_facts import inspect_builder
from dockyard.builder_use import check_reachable_images, settle_builder
from dockyard.builders import BuilderChoice
from dockyard.caches.mounts import MountSteps, mount_record, restore_mount, save_mount
from dockyard.engine import engine_facts
from dockyard.errors import DockyardError
from dockyard.stand_ins import LOCAL_REGISTRY

if TYPE_CHECKING:
    from dockyard.caches.directory import CacheDirectory
    from dockyard.settings import Settings
    from dockyard.state import State

__all__ = ["restore_from", "save_into"]


class _Builders:
    """The builders that builds of these settings use, and the base images of the steps there."""

    def __init__(
        self, settings: Settings, environment: Mapping[str, str], state: State, *, make: bool
    ) -> None:
        engine = engine_facts(state, environment)
        self._settings = settings
        self._images = resolve_base_images(
            {"PYTHON_IMAGE": settings.python_image, "UV_IMAGE": settings.uv_image},
            mirrors=settings.image_mirrors,
            state=state,
            engine=engine,
        )
        found: dict[str, BuilderChoice] = {}
        for push in (False, True):
            # A build that is not pushed is the common one: its builder is made where it is missing.
            show_only = push or not make
            choice, _ = settle_builder(
                settings,
                environment,
                state,
                engine,
                push=push,
                load=True,
                show_only=show_only,
                base_images=self._images,
            )
            if choice.driver == "docker" or not show_only or inspect_builder(choice.name):
                found.setdefault(choice.name, choice)
        self.choices = tuple(found.values())

    def steps(self, choice: BuilderChoice) -> MountSteps:
        """Describe the steps there. Raises ImageUnavailableError where it lacks the images."""
        here = [one for one in self._images if one.resolved.startswith(f"{LOCAL_REGISTRY}/")]
        check_reachable_images(choice, here)
        resolved = {one.argument: one.resolved for one in self._images}
        return MountSteps(
            choice.name,
            resolved["PYTHON_IMAGE"],
            resolved["UV_IMAGE"],
            compression=self._settings.compression,
        )


def _locked_packages(settings: Settings) -> frozenset[str]:
    """Name every package of the lock, those of other platforms and groups included."""
    import tomllib

    from dockyard.lock_file import parse_lock

    path = settings.root / settings.project / "uv.lock"
    try:
        return frozenset(parse_lock(tomllib.loads(path.read_text(encoding="utf-8"))).packages)
    except (OSError, ValueError):
        return frozenset()


def save_into(
    directory: CacheDirectory,
    tag: str,
    settings: Settings,
    environment: Mapping[str, str],
    state: State,
) -> list[str]:
    """Save the mount of the builder that has one into the local cache under ``tag``; notes."""
    try:
        builders = _Builders(settings, environment, state, make=False)
        choice = next((one for one in builders.choices if mount_record(one.name)), None)
        if choice is None:
            return []
        with directory.open((tag,)) as snapshot:
            saved = save_mount(
                builders.steps(choice),
                snapshot.layout,
                tag,
                kind=settings.cache_mounts,
                packages=_locked_packages(settings),
                before=snapshot.imports.get(tag),
                state=state,
                environment=environment,
            )
            if saved.ran and saved.descriptor:
                return list(snapshot.commit().notes)
    except DockyardError as error:
        return [_note(error)]
    return []


def restore_from(
    directory: CacheDirectory,
    tag: str,
    settings: Settings,
    environment: Mapping[str, str],
    state: State,
) -> tuple[list[str], list[str]]:
    """Add the local cache's mount ``tag`` to the builders; the builders' names, and notes."""
    restored, notes = [], []
    try:
        builders = _Builders(settings, environment, state, make=True)
        with directory.open((tag,)) as snapshot:
            descriptor = snapshot.imports.get(tag)
            if descriptor is None:
                return [], list(snapshot.notes)
            for choice in builders.choices:
                try:
                    steps = builders.steps(choice)
                    if restore_mount(
                        steps, snapshot.layout, descriptor, state=state, environment=environment
                    ):
                        restored.append(choice.name)
                except DockyardError as error:
                    notes.append(_note(error))
    except DockyardError as error:
        notes.append(_note(error))
    return restored, notes


def _note(error: DockyardError) -> str:
    problem = error.problems[0]
    return problem.message + (f" ({problem.hint})" if problem.hint else "")
