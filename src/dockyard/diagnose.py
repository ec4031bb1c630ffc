"""Why a build failed, in the user's terms: a trace in, the error to show out. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dockyard.diagnose_index import index_error
from dockyard.display.format import strip_control
from dockyard.dockerfile import is_dependency_stage
from dockyard.engine import diagnose_disk, diagnose_engine
from dockyard.errors import (
    BuilderError,
    BuildFailedError,
    CacheError,
    DockerfileError,
    DockyardError,
    EngineError,
    ImageUnavailableError,
    NetworkError,
    ProjectError,
)
from dockyard.layer_reports import parse_report
from dockyard.steps import StepKind, short_instruction

if TYPE_CHECKING:
    from dockyard.builders import BuilderChoice
    from dockyard.trace import BuildTrace, Step

__all__ = ["diagnose"]

SHOWN_LINES = 20
SHOWN_CHARACTERS = 300

_MISSING_PATH = re.compile(
    r'failed to (?:calculate checksum of|compute cache key:.*?) .*?"(/[^"]*)": not found'
)
_PREFIX = re.compile(r"ERROR: |failed to (?:build|solve): ")
_IMAGE = re.compile(
    r"(?:load metadata for|resolve image config for|FROM) (?:docker-image://)?(\S+)"
)
# “  12 | >>> RUN …”: buildx, util/errdefs and solver/errdefs/source.go.
_EXCERPT = re.compile(r"\s*\d+ \| ")
# How a registry's client says that an image is not to be had (containerd, remotes/docker).
_UNAVAILABLE = re.compile(
    r"failed to (?:resolve|do request|authorize|fetch)|not found|no such host|refused|denied"
    r"|unauthorized|forbidden|timed? ?out",
    re.IGNORECASE,
)
# The kernel's word, and qemu's, for a program of another processor.
_FOREIGN = re.compile(r"exec format error|Invalid ELF image for this architecture", re.IGNORECASE)


# buildx's words where BuildKit, or the engine that it is part of, ends or is killed meanwhile.
_WENT_AWAY = re.compile(
    r"code = Unavailable|error reading from server: (?:EOF|.*connection reset)"
    r"|transport is closing|closing transport|failed to receive status: .*EOF",
    re.IGNORECASE,
)


def _excerpt(lines: Sequence[str]) -> str:
    """Indent the last lines of a log; uv's own report starts at its ``error:`` or ``×``."""
    lines = [line for line in lines if not parse_report(line)]
    start = next(
        (
            position
            for position, line in enumerate(lines)
            if re.match(r"\s*(?:error:|ERROR:|×|E: )", line)
        ),
        0,
    )
    shown = lines[start:]
    if len(shown) > SHOWN_LINES:
        shown = shown[-SHOWN_LINES:]
    return "\n".join(f"    {strip_control(line)}" for line in shown if line.strip())


def _without_prefixes(message: str) -> str:
    """Drop what buildx and BuildKit put before every message."""
    while match := _PREFIX.match(message):
        message = message[match.end() :]
    return message


def _missing_path(step: Step, path: str, where: str) -> DockyardError:
    source = re.search(r"--from=(\S+)", step.instruction)
    if step.kind == StepKind.COPY and source:
        return BuildFailedError(
            f"{path} is not in {source[1]}, which it is to be copied from",
            where=where,
            hint="check the path, and that the stage or image it comes from makes it",
        )
    return ProjectError(
        f"{path.lstrip('/')} is not in the build context: it does not exist, or .dockerignore "
        "keeps it out",
        where=where,
        hint="`invoke context` lists what the context holds",
    )


def _installation_failed(step: Step, stage: str, where: str) -> DockyardError:
    excerpt = _excerpt(step.log) or f"    {step.error}"
    if error := index_error(stage, step.log, excerpt):
        return error
    what = "the lock cannot be exported" if stage == "plan" else "a package cannot be installed"
    return BuildFailedError(
        f"{stage}: {what}\n{excerpt}",
        where=where,
        hint="a package without a wheel for this platform may need DOCKYARD_BUILD_PACKAGES "
        "(compilers, headers) to build"
        if stage != "plan"
        else "check pyproject.toml and uv.lock with `uv lock --check`",
    )


def _foreign_platform(step: Step, where: str) -> DockyardError:
    place = f"{step.stage}: " if step.stage else ""
    platform = step.platform or "the image's platform"
    architecture = step.platform.split("/")[1] if step.platform else "all"
    return BuilderError(
        f"{place}this builder cannot run programs of {platform}\n"
        f"{_excerpt(step.log) or f'    {step.error}'}",
        where=where,
        hint="take a builder of that platform (DOCKYARD_DRIVER=remote), or let this machine "
        f"emulate it: `docker run --privileged --rm tonistiigi/binfmt --install {architecture}`",
    )


def _step_failed(step: Step, where: str) -> DockyardError:
    image = _IMAGE.match(step.instruction)
    if image and step.kind in (StepKind.IMAGE, StepKind.INTERNAL):
        return ImageUnavailableError(
            f"the base image {image[1]} cannot be loaded\n    {step.error}",
            where=where,
            hint="check its name, or set DOCKYARD_IMAGE_MIRRORS to a registry that answers",
        )
    if step.kind == StepKind.CACHE_EXPORT:
        return CacheError(
            f"{step.instruction} failed\n    {step.error}",
            hint="the image itself may be done; with `ignore-error=true` such a failure is a note",
        )
    if step.kind == StepKind.EXPORT and "push" in (step.error or ""):
        return NetworkError(
            f"the image is built and cannot be pushed\n    {step.error}",
            where="DOCKYARD_REGISTRY",
            hint="`docker login` where the registry asks for it; the next build pushes again and "
            "runs no step",
        )
    if step.kind == StepKind.RUN and _FOREIGN.search("\n".join((step.error or "", *step.log))):
        return _foreign_platform(step, where)
    missing = _MISSING_PATH.search(step.error or "")
    if missing:
        return _missing_path(step, missing[1], where)
    stage = step.stage or ""
    if is_dependency_stage(stage) and step.kind == StepKind.RUN:
        return _installation_failed(step, stage, where)
    excerpt = _excerpt(step.log) or f"    {step.error}"
    place = f"{stage}: " if stage else ""
    return BuildFailedError(
        f"{place}{short_instruction(step.instruction)}\n{excerpt}",
        where=where,
        hint="the lines above are the step's own last output"
        if step.log
        else "the line above is BuildKit's own word",
    )


def _generator_failed(generator: str, said: str) -> DockyardError | None:
    """Say that the image which lists the packages could not be had; None if that is not it."""
    name = generator.partition("@")[0].removeprefix("docker.io/")
    lines = [line for line in said.splitlines() if name in line]
    if not lines or not _UNAVAILABLE.search(said):
        return None
    return ImageUnavailableError(
        f"the image that makes the SBOM cannot be loaded: {generator}\n    "
        f"{_without_prefixes(lines[-1].strip())}",
        where="DOCKYARD_SBOM_GENERATOR",
        hint="name it in a registry that this builder reaches, or build with DOCKYARD_SBOM=false",
    )


def _went_away(said: str, builder: BuilderChoice | None) -> DockyardError | None:
    """Say that the builder ended during the build; None where it did not."""
    line = next((one for one in reversed(said.splitlines()) if _WENT_AWAY.search(one)), None)
    if line is None or builder is None:
        return None
    reason = _without_prefixes(line.strip())[-SHOWN_CHARACTERS:]
    if builder.driver == "docker":
        return EngineError(
            f"the Docker Engine went away during the build: {reason}",
            hint="`docker version` shows whether it runs again; `invoke build` then goes on from "
            "what its cache has",
        )
    return BuilderError(
        f"the builder {builder.name} ({builder.driver}) went away during the build: {reason}",
        where="DOCKYARD_BUILDER" if not builder.dedicated else "DOCKYARD_BUILDER_NAME",
        hint=f"`docker buildx inspect {builder.name}` shows how it is"
        + ("; `invoke cache.init` repairs it" if builder.dedicated else ""),
    )


def diagnose(
    trace: BuildTrace,
    status: int,
    dockerfile: str,
    generator: str | None = None,
    builder: BuilderChoice | None = None,
    platforms: Sequence[str] = (),
) -> DockyardError:
    """Name the cause of a failed build: the engine, the disk, a base image, uv, or a step.

    ``status`` is buildx's exit status; ``dockerfile`` the path to name; ``generator`` the image
    that makes the SBOM, if one does; ``builder`` the one that was used; ``platforms`` those that
    were asked for: BuildKit names a step's only where there are several.
    """
    # Without buildx's excerpt of the Dockerfile, whose scripts name the very errors that are looked
    # for here.
    said = (line for line in trace.noise if not _EXCERPT.match(line))
    noise = "\n".join(line for line in said if line.strip())
    step = trace.failed_step
    if step and not step.platform and len(platforms) == 1:
        step = replace(step, platform=platforms[0])
    everything = "\n".join([noise, step.error or "", *step.log] if step else [noise])
    known = diagnose_engine(noise) or diagnose_disk(everything) or _went_away(noise, builder)
    if known:
        return known
    if generator:
        begun = f"{step.instruction}\n{everything}" if step else everything
        if unavailable := _generator_failed(generator, begun):
            return unavailable
    line = trace.failed_line
    where = f"{dockerfile}, line {line}" if line else dockerfile
    if step:
        return _step_failed(step, where)
    message = next(
        (_without_prefixes(line) for line in reversed(trace.noise) if line.startswith("ERROR:")),
        noise or f"docker buildx ended with status {status}",
    )
    missing = re.search(
        r'no builder "([^"]+)" found|builder "?([^" ]+)"? (?:not found|is inactive)', message
    )
    if missing:
        return BuilderError(
            f"there is no builder {missing[1] or missing[2]}",
            where="DOCKYARD_BUILDER",
            hint="`docker buildx ls` lists those there are; unset it to let Dockyard choose",
        )
    if "dockerfile parse error" in message or "unknown instruction" in message:
        return DockerfileError(message, where=where, hint="mend the line named above")
    entitlement = re.search(r"granting entitlement (\S+) is not allowed", message)
    if entitlement:
        advice = (
            f"create it with `--buildkitd-flags '--allow-insecure-entitlement {entitlement[1]}'`"
        )
        if entitlement[1] == "network.host":
            advice += ", or unset DOCKYARD_NETWORK"
        return BuilderError(message, hint=f"this builder does not allow it: {advice}")
    return BuildFailedError(message, where=where, hint="`docker buildx ls` and `docker info`")
