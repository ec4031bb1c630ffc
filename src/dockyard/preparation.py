"""Everything that is settled before buildx starts: facts, plan, images, builder, definition."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard.base_images import BaseImage, ImageOrigin, normalise, resolve_base_images
from dockyard.builder_use import settle_builder
from dockyard.builders import BuilderChoice, output_for
from dockyard.definition import BuildDefinition, define, image_epoch
from dockyard.dockerfile import (
    DockerfileState,
    dockerfile_state,
    read_plan,
    recipe,
    render,
    template_digest,
)
from dockyard.engine import EngineFacts, engine_facts
from dockyard.errors import DockerfileError, DockyardError, EngineError, SettingsError
from dockyard.layers import LayerPlan, plan_by_size
from dockyard.local_packages import NO_LOCAL_PACKAGES, LocalPackages, find_local_packages
from dockyard.project import Package, ProjectFacts, Target, check_copy_paths, read_project
from dockyard.revision import Revision, begin_revision
from dockyard.settings import Settings
from dockyard.state import State, write_atomically

if TYPE_CHECKING:
    from dockyard.caches.use import CacheUse

__all__ = ["BuildOptions", "Prepared", "prepare", "project_facts", "target_of"]


@dataclass(frozen=True)
class BuildOptions:
    """What one ``invoke build`` was asked for, beside the settings."""

    push: bool = False
    load: bool = True
    no_cache: bool = False


@dataclass(frozen=True)
class KnownProject:
    """What a build needs of the project: name, version, and the packages of the image."""

    name: str
    version: str
    packages: tuple[str, ...]
    local: LocalPackages = NO_LOCAL_PACKAGES


@dataclass(frozen=True)
class Prepared:
    """One build, ready to run; ``layer_packages`` has the packages of each layer of the plan."""

    settings: Settings
    project: KnownProject
    revision: Revision
    engine: EngineFacts | None
    builder: BuilderChoice
    base_images: tuple[BaseImage, ...]
    layer_packages: tuple[tuple[str, ...], ...]
    definition: BuildDefinition
    notes: tuple[str, ...]
    caches: CacheUse | None = None


def target_of(settings: Settings, architecture: str = "amd64") -> Target:
    """Read the target's Python from the base image's tag and its machine from the platform."""
    import re

    match = re.search(r":(\d+\.\d+)", settings.python_image.rpartition("/")[2])
    platform = settings.platforms[0] if settings.platforms else f"linux/{architecture}"
    machines = {"amd64": "x86_64", "arm64": "aarch64"}
    machine = platform.split("/")[1]
    return Target(
        python=match[1] if match else "3.13",
        platform_machine=machines.get(machine, machine),
        sys_platform="linux",
    )


def project_facts(settings: Settings, architecture: str = "amd64") -> ProjectFacts:
    """Read pyproject.toml and uv.lock for the extras, groups and platform in force."""
    return read_project(
        settings.root / settings.project,
        extras=settings.extras,
        groups=settings.groups,
        target=target_of(settings, architecture),
    )


def _fingerprint(*parts: object) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else json.dumps(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


class _Facts:
    """The project's facts, read only where what is remembered does not do."""

    def __init__(self, settings: Settings, state: State, architecture: str) -> None:
        self._settings = settings
        self._architecture = architecture
        self._facts: ProjectFacts | None = None
        folder = settings.root / settings.project
        fingerprint = _fingerprint(
            _read_bytes(folder / "pyproject.toml"),
            _read_bytes(folder / "uv.lock"),
            [settings.project, settings.extras, settings.groups],
            [settings.python_image, settings.platforms, architecture],
            [settings.install, settings.copy_paths],
        )
        remembered = state.recall("project", fingerprint)
        if isinstance(remembered, dict):
            local = remembered["local"]
            self.known = KnownProject(
                remembered["name"],
                remembered["version"],
                tuple(remembered["packages"]),
                LocalPackages(
                    members=tuple(local["members"]),
                    packages=tuple(local["packages"]),
                    python_path=tuple(local["python_path"]),
                    git=bool(local["git"]),
                ),
            )
        else:
            names = tuple(dict.fromkeys(package.name for package in self.full().packages))
            local_packages = find_local_packages(
                folder, self.full(), install=settings.install, copy_paths=settings.copy_paths
            )
            self.known = KnownProject(self.full().name, self.full().version, names, local_packages)
            state.remember("project", fingerprint, asdict(self.known))

    def full(self) -> ProjectFacts:
        if self._facts is None:
            self._facts = project_facts(self._settings, self._architecture)
        return self._facts

    @property
    def packages(self) -> tuple[Package, ...]:
        return self.full().packages


def _settle_dockerfile(
    settings: Settings, facts: _Facts, state: State, *, write: bool
) -> tuple[LayerPlan | None, tuple[str, ...]]:
    """Bring an untouched Dockerfile up to date, leave an edited one alone; the plan it keeps."""
    path = settings.root / settings.dockerfile
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DockerfileError(
            "there is no Dockerfile", where=str(path), hint="`invoke init` writes one"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DockerfileError(f"it cannot be read: {error}", where=str(path)) from error
    what = recipe(settings, settings.image or facts.known.name, facts.known.local)
    plan = read_plan(text, settings.dockerfile)
    fingerprint = _fingerprint(text, repr(what), template_digest())
    if state.recall("dockerfile", fingerprint) == "settled":
        return plan, ()
    rendered = render(what, plan or plan_by_size(facts.packages, settings.layers))
    verdict = dockerfile_state(text, rendered)
    if verdict is DockerfileState.DIVERGED:
        return plan, (
            f"{settings.dockerfile} was edited by hand, and the settings that it was rendered from "
            "have changed since: it is used as it is. `invoke init --diff` shows the difference, "
            "`invoke init --replace` takes the rendered one (yours becomes a .backup), "
            "`invoke init --keep` takes yours",
        )
    if verdict is DockerfileState.OUTDATED:
        if not write:
            return plan, (f"{settings.dockerfile} would be rendered again from changed settings",)
        try:
            write_atomically(path, rendered)
        except OSError as error:
            return plan, (
                f"{settings.dockerfile} is not up to date with the settings and cannot be "
                f"written ({error.strerror}): it is used as it is",
            )
        state.remember(
            "dockerfile", _fingerprint(rendered, repr(what), template_digest()), "settled"
        )
        return read_plan(rendered), (
            f"{settings.dockerfile} was rendered again: its settings changed, nobody had edited it",
        )
    state.remember("dockerfile", fingerprint, "settled")
    return plan, ()


def _packages_by_layer(
    plan: LayerPlan | None, packages: tuple[str, ...]
) -> tuple[tuple[str, ...], ...]:
    if plan is None:
        return ()
    named = {name for layer in plan.layers[:-1] for name in layer.packages}
    rest = tuple(name for name in packages if name not in named)
    present = set(packages)
    return (
        *(tuple(n for n in layer.packages if n in present) for layer in plan.layers[:-1]),
        rest,
    )


def _store_note(engine: EngineFacts) -> tuple[str, ...]:
    if engine.containerd_store:
        return ()
    return (
        "the engine does not use the containerd image store: no cache export, no zstd layers, no "
        "several platforms at once with its own builder. "
        'Add {"features": {"containerd-snapshotter": true}} to /etc/docker/daemon.json',
    )


def prepare(
    settings: Settings,
    options: BuildOptions,
    environment: Mapping[str, str],
    state: State,
    *,
    fresh: bool = False,
    show_only: bool = False,
) -> Prepared:
    """Settle everything about one build.

    ``fresh`` asks the engine and registries again instead of recalling; ``show_only`` writes
    nothing and makes do without an engine. Raises what is wrong with settings, project,
    Dockerfile, engine or base images.
    """
    caching = _uses_caches(settings, options)
    revision = begin_revision(settings.root, environment, default_branch=caching)
    if options.push and not settings.registry:
        raise SettingsError(
            "--push needs to know where to",
            where="DOCKYARD_REGISTRY",
            hint="set it to a registry and prefix, such as ghcr.io/acme",
        )
    engine: EngineFacts | None = None
    try:
        engine = engine_facts(state, environment, fresh=fresh)
        engine_note = _store_note(engine)
    except EngineError as error:
        if not show_only:
            raise
        engine_note = (f"shown without an engine: {error.problems[0].message}",)
    facts = _Facts(settings, state, engine.architecture if engine else "amd64")
    check_copy_paths(settings.root / settings.project, settings.copy_paths)
    plan, notes = _settle_dockerfile(settings, facts, state, write=not show_only)
    wanted = {"PYTHON_IMAGE": settings.python_image, "UV_IMAGE": settings.uv_image}
    base_images = _base_images(wanted, settings, state, engine, fresh=fresh, lenient=show_only)
    assumed = engine or EngineFacts("", "", "default", True, "amd64", "")
    choice, builder_notes = settle_builder(
        settings,
        environment,
        state,
        assumed,
        push=options.push,
        load=options.load,
        show_only=show_only or engine is None,
        base_images=base_images,
    )
    standing_in = tuple(
        f"NOT the published image: {image.resolved} stands in for {image.requested} "
        "(made on this machine, no registry answered)"
        for image in base_images
        if image.origin is ImageOrigin.STAND_IN
    )
    answer = revision()
    image = settings.image or facts.known.name
    caches = (
        _open_caches(settings, options, environment, answer, image, assumed, choice, show_only)
        if caching
        else None
    )
    definition = define(
        settings,
        image=image,
        version=facts.known.version,
        revision=answer,
        base_images={image.argument: image.resolved for image in base_images},
        builder=choice.name,
        output=output_for(
            settings,
            assumed,
            choice,
            push=options.push,
            load=options.load,
            epoch=image_epoch(settings, answer),
        ),
        no_cache=options.no_cache,
        cache_from=caches.arguments.cache_from if caches else (),
        cache_to=caches.arguments.cache_to if caches else (),
    )
    return Prepared(
        settings=settings,
        project=facts.known,
        revision=answer,
        engine=engine,
        builder=choice,
        base_images=base_images,
        layer_packages=_packages_by_layer(plan, facts.known.packages),
        definition=definition,
        notes=(
            *settings.notes,
            *standing_in,
            *engine_note,
            *builder_notes,
            *notes,
            *(caches.notes if caches else ()),
        ),
        caches=caches,
    )


def _uses_caches(settings: Settings, options: BuildOptions) -> bool:
    """Whether a build uses caches beside the builder's own, by what was asked for alone."""
    kinds = set(settings.cache_backends) - {"none"}
    return bool(kinds - {"auto"}) or ("auto" in kinds and options.push)


def _open_caches(
    settings: Settings,
    options: BuildOptions,
    environment: Mapping[str, str],
    revision: Revision,
    image: str,
    engine: EngineFacts,
    choice: BuilderChoice,
    show_only: bool,
) -> CacheUse:
    from dockyard.caches.use import cache_scope, open_caches

    platform = f"linux/{engine.architecture}"
    return open_caches(
        settings,
        cache_scope(settings, image=image, platform=platform, revision=revision),
        push=options.push,
        environment=environment,
        imports=not options.no_cache,
        exports=choice.driver != "docker" or engine.containerd_store,
        show_only=show_only,
    )


def _base_images(
    wanted: Mapping[str, str],
    settings: Settings,
    state: State,
    engine: EngineFacts | None,
    *,
    fresh: bool,
    lenient: bool,
) -> tuple[BaseImage, ...]:
    as_asked = tuple(
        BaseImage(argument, reference, normalise(reference), ImageOrigin.UPSTREAM)
        for argument, reference in wanted.items()
    )
    if engine is None:
        return as_asked
    try:
        return resolve_base_images(
            wanted, mirrors=settings.image_mirrors, state=state, engine=engine, fresh=fresh
        )
    except DockyardError:
        if lenient:
            return as_asked
        raise
