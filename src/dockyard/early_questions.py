"""Questions of a build, asked beside each other and beside the reading of the project.

A CI job starts without ``.dockyard``: nothing is remembered of the engine, its images and the
builder, and each answer takes longer than reading the project does.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from dockyard.base_images import BaseImageQuestions, candidates_here
from dockyard.engine import EngineFacts, EngineQuestions, ImageInspection, recalled_engine
from dockyard.process import Running
from dockyard.settings import Settings
from dockyard.state import State

__all__ = ["EarlyQuestions"]


class EarlyQuestions:
    """What is being asked: the engine about itself and base images, buildx about the builder.

    ``wanted``: base images, the reference by the build argument. ``fresh``: what is remembered
    does not count. A context manager, at whose end whatever still runs is killed. Where there is
    no docker command nothing is asked; who needs the engine's facts says so.
    """

    engine: EngineQuestions | None = None
    base_images: BaseImageQuestions | None = None
    builder: Running | None = None

    def __init__(
        self,
        settings: Settings,
        wanted: Mapping[str, str],
        state: State,
        environment: Mapping[str, str],
        *,
        fresh: bool = False,
    ) -> None:
        self._settings, self._wanted, self._state, self._fresh = settings, wanted, state, fresh
        self._inspection: ImageInspection | None = None
        if not fresh and recalled_engine(state, environment):
            return
        with suppress(FileNotFoundError):
            if settings.builder != "auto":
                from dockyard.builder_facts import ask_builder

                # First, for it takes longest: buildx asks the builder's BuildKit.
                self.builder = ask_builder(settings.builder)
            self.engine = EngineQuestions()
            self._inspection = ImageInspection(candidates_here(wanted))

    def ask_registries(self, engine: EngineFacts) -> None:
        """Ask registries for the base images that the engine does not hold.

        Raises EngineError where no engine answers.
        """
        self.base_images = BaseImageQuestions(
            self._wanted,
            mirrors=self._settings.image_mirrors,
            state=self._state,
            engine=engine,
            fresh=self._fresh,
            inspection=self._inspection,
        )

    def __enter__(self) -> EarlyQuestions:
        return self

    def __exit__(self, *_: object) -> None:
        if self.base_images:
            self.base_images.drop()
        for asked in (self.engine, self._inspection):
            if asked:
                asked.drop()
        if self.builder:
            self.builder.wait(timeout=0)
