"""What checks share: facts, builds and the exported image, each made once, when first needed.

An error is kept as a result is: what failed for one check is not tried again for the next.
"""

from __future__ import annotations

import contextlib
import platform
import secrets
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from dockyard.errors import DockerfileError, DockyardError
from dockyard.state import State
from dockyard.stored_logins import with_stored_logins

if TYPE_CHECKING:
    from dockyard.base_images import BaseImage
    from dockyard.build import BuildResult
    from dockyard.checks.changes import ChangedLock
    from dockyard.checks.export import Export
    from dockyard.context import ContextListing
    from dockyard.dockerfile_syntax import Stage
    from dockyard.engine import EngineFacts
    from dockyard.layers import LayerPlan
    from dockyard.project import ProjectFacts
    from dockyard.settings import Settings

__all__ = ["PLANTED", "Workbench", "with_planted_secret"]

# How a planted secret begins, so that one that an earlier check left in an image is known, too.
PLANTED = "dockyard-planted-"
_PLANTED_INDEX = "UV_INDEX_DOCKYARD_PLANTED"

Kept = TypeVar("Kept")


def with_planted_secret(settings: Settings) -> Settings:
    """Add the password of an index that no package is from: secrets reach a build as it does."""
    value = PLANTED + secrets.token_hex(16)
    planted = {f"{_PLANTED_INDEX}_USERNAME": "dockyard", f"{_PLANTED_INDEX}_PASSWORD": value}
    return replace(settings, index_credentials={**settings.index_credentials, **planted})


def _one_platform(settings: Settings) -> Settings:
    """Check the image of one platform: this machine's if that is among them, else the first."""
    if len(settings.platforms) < 2:
        return settings
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "")
    own = [one for one in settings.platforms if one == f"linux/{machine}"]
    return replace(settings, platforms=tuple(own or settings.platforms)[:1])


class Workbench(contextlib.AbstractContextManager["Workbench"]):
    """The shared facts of one run of checks; ``stream`` takes a build's progress.

    ``settings`` are the user's for one platform; ``planted`` the same with a planted secret, which
    every build of the checks gets. ``before_build`` is called when the terminal is needed for the
    build's own display. Properties raise DockyardError.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        stream: TextIO,
        before_build: Callable[[], None] = lambda: None,
    ) -> None:
        # What a build gets is what is looked for in its image.
        self.settings = with_stored_logins(_one_platform(settings), environment)
        self.planted = with_planted_secret(self.settings)
        self.environment = environment
        # Never saved: the build itself remembers, and a check looks for itself.
        self.state = State(settings.root)
        self.state.forget("project", "dockerfile", "layers")
        self._stream, self._before_build = stream, before_build
        self._kept: dict[str, Any] = {}
        self._stack = contextlib.ExitStack()

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def _once(self, name: str, make: Callable[[], Kept]) -> Kept:
        if name not in self._kept:
            try:
                self._kept[name] = make()
            except DockyardError as error:
                self._kept[name] = error
        found = self._kept[name]
        if isinstance(found, DockyardError):
            raise found
        kept: Kept = found
        return kept

    def folder(self) -> Path:
        """Make a folder that goes with the workbench."""
        return Path(
            self._stack.enter_context(
                tempfile.TemporaryDirectory(prefix="dockyard-check-", ignore_cleanup_errors=True)
            )
        )

    @property
    def context(self) -> Path:
        """The folder that is the build context."""
        return self.settings.root / self.settings.project

    @property
    def dockerfile(self) -> str:
        """The Dockerfile's text."""
        return self._once("dockerfile", self._read_dockerfile)

    def _read_dockerfile(self) -> str:
        path = self.settings.root / self.settings.dockerfile
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise DockerfileError(
                "there is no Dockerfile",
                where=self.settings.dockerfile,
                hint="`invoke init` writes one",
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise DockerfileError(
                f"it cannot be read: {error}", where=self.settings.dockerfile
            ) from error

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The Dockerfile's stages; at least one."""
        from dockyard.dockerfile_syntax import parse_dockerfile

        def parse() -> tuple[Stage, ...]:
            found = parse_dockerfile(self.dockerfile)
            if not found:
                raise DockerfileError(
                    "it has no FROM", where=self.settings.dockerfile, hint="`invoke init --replace`"
                )
            return found

        return self._once("stages", parse)

    @property
    def plan(self) -> LayerPlan | None:
        """The layer plan that the Dockerfile keeps; None where it keeps none."""
        from dockyard.dockerfile import read_plan

        return read_plan(self.dockerfile, self.settings.dockerfile)

    @property
    def project(self) -> ProjectFacts:
        """The project and its lock, as a build reads them."""
        from dockyard.known_project import project_facts

        return self._once("project", lambda: project_facts(self.settings))

    @property
    def listing(self) -> ContextListing:
        """The files of the build context."""
        from dockyard.context import list_context, read_dockerignore

        path = self.settings.root / self.settings.dockerfile
        return self._once(
            "listing", lambda: list_context(self.context, read_dockerignore(self.context, path))
        )

    @property
    def engine(self) -> EngineFacts:
        """The engine and buildx."""
        from dockyard.engine import engine_facts

        return self._once("engine", lambda: engine_facts(self.state, self.environment))

    @property
    def base_images(self) -> tuple[BaseImage, ...]:
        """The base images by the references that resolve here."""
        from dockyard.base_images import resolve_base_images

        wanted = {"PYTHON_IMAGE": self.settings.python_image, "UV_IMAGE": self.settings.uv_image}
        return self._once(
            "base images",
            lambda: resolve_base_images(
                wanted,
                mirrors=self.settings.image_mirrors,
                state=self.state,
                engine=self.engine,
            ),
        )

    @property
    def built(self) -> BuildResult:
        """The image, built by the pipeline of ``invoke build`` and loaded into the engine."""
        return self._once("built", self._build)

    def _build(self) -> BuildResult:
        from dockyard.build import build
        from dockyard.preparation import BuildOptions

        options = BuildOptions(keep_dockerfile=True)
        self._before_build()
        result = build(self.planted, options, self.environment, self._stream)
        if result.interrupted:
            raise KeyboardInterrupt
        # A tree that cannot be written keeps no record, and has an image all the same.
        if result.error and result.record.outcome != "succeeded":
            raise result.error
        return result

    @property
    def image(self) -> str:
        """The reference of the built image."""
        return str(self.built.record.image["tags"][0])

    @property
    def changed_lock(self) -> ChangedLock | None:
        """A copy with one package of the lock changed, built; None where none can be."""
        from dockyard.checks.changes import build_changed_lock

        return self._once("changed lock", lambda: build_changed_lock(self))

    @property
    def exported(self) -> Export:
        """The image in a folder, made by steps that had the planted secret."""
        from dockyard.checks.export import export_image

        return self._once("exported", lambda: export_image(self))
