"""Everything that is settled before buildx starts: facts, plan, images, builder, definition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dockyard.attestations import Attestations, attestations_for, refuse_secret_arguments
from dockyard.base_images import BaseImage, ImageOrigin, normalise
from dockyard.builder_use import settle_builder
from dockyard.builders import BuilderChoice, output_for
from dockyard.definition import BuildDefinition, define, image_epoch
from dockyard.dockerfile import PLAN_STAGE, load_templates
from dockyard.dockerfile_upkeep import settle_dockerfile
from dockyard.early_questions import EarlyQuestions
from dockyard.engine import EngineFacts, engine_facts
from dockyard.errors import DockyardError, EngineError, SettingsError
from dockyard.known_project import (
    Facts,
    KnownProject,
    own_architecture,
    project_facts,
    target_of,
)
from dockyard.plan_context import plan_context
from dockyard.project import check_copy_paths
from dockyard.revision import Revision, begin_revision
from dockyard.settings import Settings
from dockyard.state import State
from dockyard.stored_logins import with_stored_logins

if TYPE_CHECKING:
    from dockyard.caches.use import CacheUse
    from dockyard.layers import LayerPlan

__all__ = [
    "BuildOptions",
    "KnownProject",
    "Prepared",
    "prepare",
    "project_facts",
    "target_of",
]


@dataclass(frozen=True)
class BuildOptions:
    """What one ``invoke build`` was asked for, beside the settings.

    ``keep_dockerfile``: it is built as it is, and not brought up to date first.
    """

    push: bool = False
    load: bool = True
    no_cache: bool = False
    keep_dockerfile: bool = False


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


def _authority_digest(settings: Settings) -> str:
    """Digest the private authority that goes into the image, if one does."""
    if not settings.ca_in_image or not settings.ca_file:
        return ""
    import hashlib

    try:
        return hashlib.sha256(settings.ca_file.read_bytes()).hexdigest()
    except OSError as error:
        raise SettingsError(
            f"the certificate file cannot be read: {error.strerror}",
            where=f"DOCKYARD_CA_FILE, {settings.ca_file}",
            hint="check the path; it is a PEM file",
        ) from error


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
    settings = with_stored_logins(settings, environment)
    caching = _uses_caches(settings, options)
    revision = begin_revision(settings.root, environment, default_branch=caching)
    if options.push and not settings.registry:
        raise SettingsError(
            "--push needs to know where to",
            where="DOCKYARD_REGISTRY",
            hint="set it to a registry and prefix, such as ghcr.io/acme",
        )
    wanted = {"PYTHON_IMAGE": settings.python_image, "UV_IMAGE": settings.uv_image}
    with EarlyQuestions(settings, wanted, state, environment, fresh=fresh) as asked:
        return _prepare(
            settings,
            options,
            environment,
            state,
            revision=revision,
            wanted=wanted,
            asked=asked,
            fresh=fresh,
            show_only=show_only,
        )


def _prepare(
    settings: Settings,
    options: BuildOptions,
    environment: Mapping[str, str],
    state: State,
    *,
    revision: Callable[[], Revision],
    wanted: Mapping[str, str],
    asked: EarlyQuestions,
    fresh: bool,
    show_only: bool,
) -> Prepared:
    engine: EngineFacts | None = None
    # Read while the engine is being asked, which is on this machine nearly always.
    architecture = own_architecture()
    facts = Facts(settings, state, architecture)
    if asked.engine:
        # Nothing is remembered, so the Dockerfile is rendered below, whatever the engine says.
        load_templates()
    try:
        engine = engine_facts(state, environment, fresh=fresh, asked=asked.engine)
        engine_note = _store_note(engine)
        asked.ask_registries(engine)
    except EngineError as error:
        if not show_only:
            raise
        engine_note = (f"shown without an engine: {error.problems[0].message}",)
    if engine and engine.architecture != architecture:
        facts = Facts(settings, state, engine.architecture)
    check_copy_paths(settings.root / settings.project, settings.copy_paths)
    write = not (show_only or options.keep_dockerfile)
    plan, notes = settle_dockerfile(settings, facts, state, environment, write=write)
    context = plan_context(settings, plan, facts, state, environment, write=not show_only)
    base_images = _base_images(wanted, asked, lenient=show_only)
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
        asked=asked.builder,
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
        if _uses_caches(settings, options)
        else None
    )
    attested, attestation_notes = attestations_for(
        settings, assumed, choice, push=options.push, load=options.load
    )
    definition = define(
        settings,
        image=image,
        version=facts.known.version,
        revision=answer,
        authority_digest=_authority_digest(settings),
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
        attestations=attested,
        build_contexts=((PLAN_STAGE, context),) if context else (),
    )
    _refuse_secrets(settings, attested, definition, environment)
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
            *attestation_notes,
            *notes,
            *(caches.notes if caches else ()),
        ),
        caches=caches,
    )


def _refuse_secrets(
    settings: Settings,
    attested: Attestations,
    definition: BuildDefinition,
    environment: Mapping[str, str],
) -> None:
    """Refuse what would tell a secret to everybody who may pull the image."""
    if not attested:
        return
    from dockyard.caches.credentials import read_configuration

    refuse_secret_arguments(
        attested,
        definition.build_arguments,
        read_configuration(environment),
        settings.secret_values(),
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
    wanted: Mapping[str, str], asked: EarlyQuestions, *, lenient: bool
) -> tuple[BaseImage, ...]:
    as_asked = tuple(
        BaseImage(argument, reference, normalise(reference), ImageOrigin.UPSTREAM)
        for argument, reference in wanted.items()
    )
    if asked.base_images is None:
        return as_asked
    try:
        return asked.base_images.answer()
    except DockyardError:
        if lenient:
            return as_asked
        raise
