"""Make, repair or leave alone the dedicated builder: facts, then the plan, then buildx's commands.

Nothing is remembered about the builder: what is in force is read back from buildx and from its
container each time, so that a change by somebody else is seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from dockyard.builder_description import CONFIG_FILE, WantedBuilder, wanted_builder
from dockyard.builder_facts import (
    ACT_SECONDS,
    LOCAL_IMAGE_HINT,
    authority_of,
    buildkit_image,
    container_of,
    disk_bytes,
    docker_for,
    inspect_builder,
    pull,
    require_builder,
    run,
    said,
)
from dockyard.builder_plan import Action, BuilderChange, BuilderPlan, plan_builder
from dockyard.engine import diagnose_disk, diagnose_engine
from dockyard.errors import BuilderError, ImageUnavailableError, NetworkError
from dockyard.scratch import ScratchFolder

if TYPE_CHECKING:
    from dockyard import process
    from dockyard.engine import EngineFacts
    from dockyard.settings import Settings

__all__ = ["ensure_builder", "inspect_builder", "require_builder"]


def _plan(
    settings: Settings, environment: Mapping[str, str], engine: EngineFacts, dry_run: bool
) -> BuilderPlan:
    """Find out what there is and what is wanted, and decide."""
    from dockyard.buildkitd_config import buildkit_config

    name = settings.builder_name
    existing = inspect_builder(name)
    node = existing.nodes[0] if existing and existing.nodes else None
    if settings.driver == "remote":
        return plan_builder(wanted_builder(settings, environment), existing)
    if settings.driver == "kubernetes":
        config = buildkit_config(settings, disk=None)
        wanted = wanted_builder(
            settings,
            environment,
            image=settings.buildkit_image,
            config=config,
            authority=authority_of(settings),
        )
        return plan_builder(wanted, existing)
    docker = docker_for(settings)
    container = None
    if existing is None or existing.driver == "docker-container":
        container = container_of(docker, f"buildx_buildkit_{node.name if node else name + '0'}")
    image, good = buildkit_image(settings, engine, node.options.get("image") if node else None)
    if not dry_run:
        pull(docker, image)
    wanted = wanted_builder(
        settings,
        environment,
        image=image,
        images=good,
        config=buildkit_config(settings, disk=disk_bytes(docker, container, image)),
        authority=authority_of(settings),
    )
    return plan_builder(wanted, existing, container)


def _act(plan: BuilderPlan, docker: tuple[str, ...]) -> None:
    """Run the plan's commands; raises what went wrong in the user's terms."""
    wanted = plan.wanted
    with ScratchFolder() as folder:
        path = folder / CONFIG_FILE
        path.write_text(wanted.config.render() if wanted.config else "", encoding="utf-8")
        for command in plan.commands(str(path)):
            done = run(command, ACT_SECONDS)
            # buildx cannot stop what does not run; what counts is that it can be removed.
            if done.succeeded or command[2] == "stop":
                continue
            error = _diagnose(done, wanted, docker)
            if command[2] == "inspect" and plan.action is not Action.START:
                # A record without a BuildKit would be taken for a builder by the next build.
                run(("docker", "buildx", "rm", "--keep-state", "--force", wanted.name))
            raise error


class _TakenError(Exception):
    """Somebody made a builder of that name in the meantime."""


def _diagnose(done: process.Completed, wanted: WantedBuilder, docker: tuple[str, ...]) -> Exception:
    text, message = done.stderr, said(done)
    if "existing instance for" in text:
        return _TakenError()
    known = diagnose_engine(text) or diagnose_disk(text)
    if known:
        return known
    if "driver option" in text:
        return BuilderError(
            message,
            where="DOCKYARD_DRIVER_OPTIONS",
            hint="see https://docs.docker.com/build/builders/drivers/ for those of each driver",
        )
    if wanted.driver == "kubernetes":
        return BuilderError(
            f"buildx cannot set up the builder {wanted.name} in the cluster: {message}",
            where="DOCKYARD_DRIVER",
            hint="check KUBECONFIG, the current context (`kubectl config current-context`) and "
            "the namespace in DOCKYARD_DRIVER_OPTIONS",
        )
    if wanted.driver == "remote":
        return NetworkError(
            f"buildx does not reach {wanted.endpoint}: {message}",
            where="DOCKYARD_BUILDER_ENDPOINT",
            hint="check that a buildkitd listens there",
        )
    if re.search(r"failed to resolve reference|pull access denied|manifest unknown", text):
        return ImageUnavailableError(
            f"BuildKit's image cannot be pulled: {message}",
            where="DOCKYARD_BUILDKIT_IMAGE",
            hint=LOCAL_IMAGE_HINT,
        )
    log = run((*docker, "logs", "--tail", "5", f"buildx_buildkit_{wanted.name}0"))
    lines = "".join(f"\n    {line}" for line in (log.stdout + log.stderr).splitlines())
    return BuilderError(
        f"the builder {wanted.name} does not start: {message}{lines if log.succeeded else ''}",
        hint="the lines above are BuildKit's own; `invoke cache.init` tries again",
    )


def ensure_builder(
    settings: Settings,
    environment: Mapping[str, str],
    engine: EngineFacts,
    *,
    dry_run: bool = False,
    only_missing: bool = False,
) -> BuilderChange:
    """Bring the dedicated builder into the state that the settings describe; say what changed.

    ``dry_run`` changes nothing and says what would be. ``only_missing`` is for a build: a builder
    that is there is left as it is, and a remote one is asked whether it answers.

    Raises BuilderError, ImageUnavailableError, NetworkError, EngineError, DiskFullError. A failed
    creation leaves no half-made builder; its cache volume is never removed.
    """
    if settings.builder != "auto":
        existing = require_builder(settings.builder)
        reason = f"DOCKYARD_BUILDER names {settings.builder}, which is its owner's to set up"
        return BuilderChange(existing.name, existing.driver, Action.NONE, (reason,))
    if settings.driver == "docker":
        reason = "DOCKYARD_DRIVER is docker, the engine's own"
        return BuilderChange(engine.context, "docker", Action.NONE, (reason,))
    if settings.driver == "remote":
        from dockyard.builder_endpoint import check_endpoint

        check_endpoint(settings)
    if only_missing and (there := inspect_builder(settings.builder_name)):
        return BuilderChange(there.name, there.driver, Action.LEAVE, ("it is there",))
    plan = _plan(settings, environment, engine, dry_run)
    change = _change(plan, dry_run)
    if dry_run or plan.action is Action.LEAVE:
        return change
    try:
        _act(plan, docker_for(settings))
    except _TakenError:
        plan = _plan(settings, environment, engine, dry_run)
        change = _change(plan, dry_run)
        _act(plan, docker_for(settings))
    left = _plan(settings, environment, engine, dry_run)
    if left.action is not Action.LEAVE:
        raise BuilderError(
            f"the builder {left.wanted.name} is still not as wanted: {'; '.join(left.reasons)}",
            hint=f"`docker buildx inspect {settings.builder_name}` shows it; if you know why, "
            f"remove it with `docker buildx rm --keep-state {settings.builder_name}`",
        )
    return change


def _change(plan: BuilderPlan, dry_run: bool) -> BuilderChange:
    wanted = plan.wanted
    return BuilderChange(
        name=wanted.name,
        driver=wanted.driver,
        action=plan.action,
        reasons=plan.reasons,
        notes=wanted.notes,
        commands=plan.commands(CONFIG_FILE),
        config=wanted.config.render() if wanted.config else None,
        dry_run=dry_run,
    )
