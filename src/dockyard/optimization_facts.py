"""Gather what the topics of `invoke optimize` need: from files here, from elsewhere by others."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dockyard.dockerfile import (
    DockerfileState,
    Recipe,
    dockerfile_state,
    read_plan,
    recipe,
    render,
)
from dockyard.dockerfile_syntax import Stage, parse_dockerfile
from dockyard.engine import EngineFacts, engine_facts
from dockyard.errors import DockerfileError
from dockyard.layers import LayerPlan, plan_by_size
from dockyard.local_packages import LocalPackages, find_local_packages
from dockyard.optimize import Proposal
from dockyard.project import image_name
from dockyard.records import BuildRecord, load_records
from dockyard.state import State

if TYPE_CHECKING:
    from dockyard.optimization_engine import Weighing
    from dockyard.project import ProjectFacts
    from dockyard.settings import Settings

__all__ = ["Facts"]

RECORDS = 50


class Facts:
    """The facts of one run: each is asked for once, when a topic first needs it.

    The methods named after topics return proposals; they raise DockyardError, OSError or
    ValueError where a topic cannot be looked at. ``note`` takes what is to be said beside them.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        *,
        asked: Sequence[str],
        note: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._environment = environment
        self._asked = asked
        self._note = note
        self._state = State(settings.root)
        self._weighing: Weighing | None = None

    def close(self) -> None:
        """Keep what need not be asked again."""
        self._state.save()

    @cached_property
    def records(self) -> Sequence[BuildRecord]:
        """The newest builds."""
        found, unreadable = load_records(self._settings.root, RECORDS)
        for one in unreadable:
            self._note(f"a record is not used: {one.path}: {one.reason}")
        return found

    @cached_property
    def newest(self) -> BuildRecord | None:
        """The newest build of the image that the settings name: others may be gone."""
        name = image_name(self._settings).rpartition("/")[2]
        for one in self.records:
            tags = (str(tag).rpartition(":")[0] for tag in one.image["tags"])
            if one.outcome == "succeeded" and any(tag.rpartition("/")[2] == name for tag in tags):
                return one
        return None

    @cached_property
    def project(self) -> ProjectFacts:
        """The project as a build reads it."""
        from dockyard.preparation import project_facts

        return project_facts(self._settings)

    @cached_property
    def _local(self) -> LocalPackages:
        return find_local_packages(
            self._settings.root / self._settings.project,
            self.project,
            install=self._settings.install,
            copy_paths=self._settings.copy_paths,
        )

    @cached_property
    def _dockerfile(self) -> str:
        path = self._settings.root / self._settings.dockerfile
        if not path.is_file():
            raise DockerfileError("there is no Dockerfile", hint="`invoke init` writes one")
        return path.read_bytes().decode(errors="replace")

    @cached_property
    def _stages(self) -> tuple[Stage, ...]:
        return parse_dockerfile(self._dockerfile)

    @cached_property
    def plan(self) -> LayerPlan | None:
        """The layer plan that the Dockerfile keeps."""
        return read_plan(self._dockerfile, self._settings.dockerfile)

    @cached_property
    def _recipe(self) -> Recipe:
        settings = self._settings
        return recipe(settings, settings.image or self.project.name, self._local)

    @cached_property
    def edited(self) -> bool:
        """Whether the Dockerfile is the user's own, which no setting changes."""
        plan = self.plan or plan_by_size(self.project.packages, self._settings.layers)
        verdict = dockerfile_state(self._dockerfile, render(self._recipe, plan))
        return verdict in (DockerfileState.EDITED, DockerfileState.DIVERGED)

    @cached_property
    def _engine(self) -> EngineFacts:
        return engine_facts(self._state, self._environment)

    # -------------------- files

    def layers(self) -> tuple[Proposal, ...]:
        """Compare the Dockerfile's layer plan with what would be planned now."""
        from dockyard.dockerfile import edited, keep_plan
        from dockyard.history import lock_history
        from dockyard.optimize_layers import propose_layers
        from dockyard.preparation import target_of

        settings = self._settings
        kept = self.plan
        if kept is None:
            self._note(f"layers: {settings.dockerfile} keeps no layer plan")
            return ()
        history = lock_history(
            settings.root / settings.project,
            extras=settings.extras,
            groups=settings.groups,
            target=target_of(settings),
            memory=settings.root,
        )
        for one in history.notes:
            self._note(f"layers: {one}")
        return propose_layers(
            settings.dockerfile,
            kept,
            self.project.packages,
            history,
            settings.layers,
            rewritten=lambda plan: keep_plan(self._dockerfile, self._recipe, plan),
            edited=edited(self._dockerfile, self._recipe, kept),
        )

    def context(self) -> tuple[Proposal, ...]:
        """Compare the context with what the settings and the Dockerfile read of it."""
        from dockyard.context import list_context, read_dockerignore, suggest
        from dockyard.dockerfile import render_dockerignore
        from dockyard.information import needed_paths
        from dockyard.optimize_files import ContextFacts, context_paths, propose_context

        settings = self._settings
        folder = settings.root / settings.project
        dockerfile = settings.root / settings.dockerfile
        own = dockerfile.with_name(f"{dockerfile.name}.dockerignore")
        ignore = own if own.is_file() else folder / ".dockerignore"
        read, sure = context_paths(self._stages)
        listing = list_context(folder, read_dockerignore(folder, dockerfile))
        if listing.unreadable:
            self._note(f"not in the context's bytes: {', '.join(listing.unreadable)}")
        needed = tuple(dict.fromkeys((*needed_paths(settings), *read)))
        return propose_context(
            ContextFacts(
                ignore_path=ignore.relative_to(settings.root).as_posix(),
                exists=ignore.is_file(),
                allowlist=""
                if ignore.is_file()
                else render_dockerignore(
                    tuple(one for one in read if one not in (".", "pyproject.toml", "uv.lock")),
                    settings.install,
                    self._local,
                ),
                suggestions=suggest(listing, needed),
                # A build backend may read any file.
                sure=sure and settings.install == "copy",
            )
        )

    def order(self) -> tuple[Proposal, ...]:
        """Look at the Dockerfile's instructions."""
        from dockyard.optimize_files import propose_order

        return propose_order(self._settings.dockerfile, self._stages, self.records)

    def install(self) -> tuple[Proposal, ...]:
        """Compare the install mode with what the container runs."""
        from dockyard.optimize_files import InstallFacts, propose_install

        settings = self._settings
        path = settings.root / settings.project / "pyproject.toml"
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        project = table.get("project", {})
        modules = _run_modules(settings.command, settings.health_check)
        return propose_install(
            InstallFacts(
                mode=settings.install,
                command=settings.command,
                health_check=settings.health_check,
                scripts=tuple(project.get("scripts", {})),
                modules={
                    name: places for name in modules if (places := self._places(name)) is not None
                },
                needs_metadata=bool(project.get("entry-points")),
                buildable="build-system" in table
                or table.get("tool", {}).get("uv", {}).get("package") is True,
            ),
            self.records,
        )

    def _places(self, module: str) -> tuple[str, ...] | None:
        """Where copy mode's Python finds a module of the project; None if it is not the project's.

        The paths are those that the rendered Dockerfile's PYTHONPATH has.
        """
        folder = self._settings.root / self._settings.project
        copied = [path.rstrip("/") for path in self._settings.copy_paths]
        src = any(path.partition("/")[0] == "src" for path in copied)
        searched = ["src" if src else ".", *self._local.python_path]
        likely = dict.fromkeys((*searched, "src", ".", "lib", "python"))
        there = [
            place
            for place in likely
            if any(
                (folder / place / name).exists()
                for name in (f"{module}/__init__.py", f"{module}.py")
            )
        ]
        if not there:
            return None
        return tuple(
            place
            for place in there
            if place in searched
            and any(
                f"{place}/{module}".removeprefix("./").startswith(path) or path == "."
                for path in (*copied, *self._local.python_path)
            )
        )

    # -------------------- settings

    def compression(self) -> tuple[Proposal, ...]:
        """Compare gzip with zstd on the recorded builds."""
        from dockyard.optimize_settings import propose_compression

        if self._settings.compression == "zstd":
            return ()
        return propose_compression(
            self._settings.compression, self.records, able=self._engine.containerd_store
        )

    def base(self) -> tuple[Proposal, ...]:
        """Ask the registries, else the engine, for the digests of base images."""
        from dockyard.optimization_network import base_proposals

        return base_proposals(self._settings, self.newest, self._note)

    def pins(self) -> tuple[Proposal, ...]:
        """Ask the registries what the tags of pinned images mean now."""
        from dockyard.optimization_pins import PINNABLE, pin_proposals

        text = self._dockerfile
        if "@sha256:" not in text + "".join(str(getattr(self._settings, one)) for one in PINNABLE):
            if "pins" in self._asked:
                self._note("pins: no image is pinned; `invoke optimize --only base` pins them")
            return ()
        return pin_proposals(self._settings, self._engine.architecture, self._note, text)

    def mirrors(self) -> tuple[Proposal, ...]:
        """Measure the mirrors; the well-known ones only where the topic was asked for."""
        from dockyard.optimization_network import image_mirror_proposals, mirror_proposals

        settings, note = self._settings, self._note
        of_images: tuple[Proposal, ...] = ()
        if len(settings.image_mirrors) > 1:
            architecture = self._engine.architecture
            of_images = image_mirror_proposals(settings, self._environment, architecture, note)
        return (
            *mirror_proposals(settings, self.project.packages, self._asked, note),
            *of_images,
        )

    def builder(self) -> tuple[Proposal, ...]:
        """Compare the builders with what the settings want and the caches need."""
        from dockyard.optimization_engine import builder_proposals

        return builder_proposals(
            self._settings, self._environment, self._engine, self.newest, self._note
        )

    # -------------------- the image

    def begin_weight(self) -> None:
        """Start listing what the image holds, while other topics are asked."""
        from dockyard.optimization_engine import Weighing

        if self.newest:
            self._weighing = Weighing(str(self.newest.image["tags"][0]), self._state)
            self._weighing.begin()

    def weight(self) -> tuple[Proposal, ...]:
        """Compare what the image holds with what ``slim`` leaves out."""
        from dockyard.optimize_weight import propose_weight

        if self.newest is None or self._weighing is None:
            raise ValueError("no build is recorded; `invoke build` makes the first")
        settings = self._settings
        built = self.newest.settings.get("slim")
        then = built.get("value", ()) if isinstance(built, dict) else ()
        if added := [one for one in settings.slim if one not in then]:
            self._note(f"weight: `invoke build` makes the image without {', '.join(added)}")
        return propose_weight(
            self._weighing.finish(),
            settings.slim,
            byte_compile=settings.byte_compile,
            settable=not self.edited,
        )


def _run_modules(*commands: Sequence[str]) -> tuple[str, ...]:
    """Name the top-level modules that commands run: ``python -m mushroom.health``."""
    found = []
    for command in commands:
        if command and re.fullmatch(r"(?:.*/)?python[\d.]*", command[0]) and "-m" in command:
            following = command[list(command).index("-m") + 1 :]
            found += [following[0].partition(".")[0]] if following else []
    return tuple(dict.fromkeys(found))
