"""Why a build failed, in the user's terms: a trace in, the error to show out. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dockyard.dockerfile import is_dependency_stage
from dockyard.engine import diagnose_disk, diagnose_engine
from dockyard.errors import (
    BuilderError,
    BuildFailedError,
    DockerfileError,
    DockyardError,
    ImageUnavailableError,
    NetworkError,
    ProjectError,
)

if TYPE_CHECKING:
    from dockyard.trace import BuildTrace, Step

__all__ = ["diagnose"]

SHOWN_LINES = 20

_MISSING_PATH = re.compile(
    r'failed to (?:calculate checksum of|compute cache key:.*?) .*?"(/[^"]*)": not found'
)
_NETWORK = re.compile(
    r"failed to fetch|error sending request|connection (?:refused|reset)|dns error|timed? ?out"
    r"|could not connect|temporary failure in name resolution|invalid peer certificate",
    re.IGNORECASE,
)


def _excerpt(lines: Sequence[str]) -> str:
    """Indent the last lines of a log; uv's own report starts at its ``error:`` or ``×``."""
    start = next(
        (
            position
            for position, line in enumerate(lines)
            if re.match(r"\s*(?:error:|ERROR:|×|E: )", line)
        ),
        0,
    )
    shown = list(lines[start:])
    if len(shown) > SHOWN_LINES:
        shown = shown[-SHOWN_LINES:]
    return "\n".join(f"    {line}" for line in shown if line.strip())


def _step_failed(step: Step, dockerfile: str) -> DockyardError:
    log = "\n".join(step.log)
    excerpt = _excerpt(step.log) or f"    {step.error}"
    stage = step.stage or step.instruction
    if step.kind == "image":
        return ImageUnavailableError(
            f"the base image cannot be loaded: {step.instruction}\n    {step.error}",
            where=dockerfile,
            hint="check its name, or set DOCKYARD_IMAGE_MIRRORS to a registry that answers",
        )
    missing = _MISSING_PATH.search(step.error or "")
    if missing:
        path = missing[1].lstrip("/")
        return ProjectError(
            f"{path} is not in the build context: it does not exist, or .dockerignore keeps it out",
            where=dockerfile,
            hint="`invoke context` lists what the context holds",
        )
    if is_dependency_stage(stage) and step.kind == "run":
        if "hash mismatch" in log.lower():
            return BuildFailedError(
                f"{stage}: the index served a file that is not the one in uv.lock\n{excerpt}",
                hint="try another index or mirror; if the file was replaced upstream on purpose, "
                "`uv lock --upgrade-package NAME`",
            )
        if _NETWORK.search(log):
            return NetworkError(
                f"{stage}: the package index cannot be reached\n{excerpt}",
                hint="check UV_DEFAULT_INDEX, DOCKYARD_CA_FILE for a private CA, and "
                "DOCKYARD_NETWORK=host for an index on this machine",
            )
        what = "the lock cannot be exported" if stage == "plan" else "a package cannot be installed"
        return BuildFailedError(
            f"{stage}: {what}\n{excerpt}",
            where=dockerfile,
            hint="a package without a wheel for this platform may need DOCKYARD_BUILD_PACKAGES "
            "(compilers, headers) to build"
            if stage != "plan"
            else "check pyproject.toml and uv.lock with `uv lock --check`",
        )
    return BuildFailedError(
        f"{stage}: {step.instruction}\n{excerpt}",
        where=dockerfile,
        hint="the lines above are the step's own last output",
    )


def diagnose(trace: BuildTrace, status: int, dockerfile: str) -> DockyardError:
    """Name the cause of a failed build: the engine, the disk, a base image, uv, or a step.

    ``status`` is buildx's exit status; ``dockerfile`` the path to name.
    """
    noise = "\n".join(line for line in trace.noise if line.strip())
    step = trace.failed_step
    everything = "\n".join([noise, step.error or "", *step.log] if step else [noise])
    known = diagnose_engine(noise) or diagnose_disk(everything)
    if known:
        return known
    if step:
        return _step_failed(step, dockerfile)
    message = next(
        (
            line.removeprefix("ERROR: ")
            for line in reversed(trace.noise)
            if line.startswith("ERROR:")
        ),
        noise or f"docker buildx ended with status {status}",
    )
    builder = re.search(
        r'no builder "([^"]+)" found|builder "?([^" ]+)"? (?:not found|is inactive)', message
    )
    if builder:
        return BuilderError(
            f"there is no builder {builder[1] or builder[2]}",
            where="DOCKYARD_BUILDER",
            hint="`docker buildx ls` lists those there are; unset it to let Dockyard choose",
        )
    if "dockerfile parse error" in message or "unknown instruction" in message:
        return DockerfileError(message, where=dockerfile, hint="mend the line named above")
    if "network.host" in message or "entitlement" in message:
        return BuilderError(
            message,
            hint="this builder does not allow host networking: create it with "
            "`--allow-insecure-entitlement network.host`, or unset DOCKYARD_NETWORK",
        )
    return BuildFailedError(message, where=dockerfile, hint="`docker buildx ls` and `docker info`")
