"""Builds that only checks make: nothing of them is loaded, pushed or recorded."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard import process
from dockyard.checks.verdicts import Finding
from dockyard.definition import UV_ENVIRONMENT_VARIABLE, build_environment
from dockyard.dockerfile_syntax import Instruction, Stage
from dockyard.errors import DockyardError
from dockyard.preparation import BuildOptions, prepare
from dockyard.settings import redactor
from dockyard.steps import short_instruction
from dockyard.trace import COUNTED_KINDS

if TYPE_CHECKING:
    from dockyard.checks.workbench import Workbench
    from dockyard.settings import Settings
    from dockyard.trace import BuildTrace, Step

__all__ = ["build_variant", "exporting", "instruction_of", "ran", "step_finding", "try_offline"]

# The instructions that are numbered in the names of steps (BuildKit, dockerfile2llb/convert.go).
_NUMBERED = ("ADD", "COPY", "RUN", "WORKDIR")


def build_variant(
    workbench: Workbench,
    *,
    context: Path | None = None,
    output: str = "type=cacheonly",
    options: Sequence[str] = (),
    offline: bool = False,
    another_lock: bool = False,
) -> BuildTrace:
    """Build with the pipeline's definition, and return the trace.

    ``context`` takes the place of the project's folder; ``options`` are further ones of buildx's;
    ``offline`` has uv do with what its cache holds. ``another_lock``: the context's is not the
    project's, whose plan it is not given; its stage makes it. Raises what the build failed with.
    """
    settings = workbench.planted
    chosen = BuildOptions(load=False, keep_dockerfile=True)
    prepared = prepare(settings, chosen, workbench.environment, workbench.state)
    from dockyard.diagnose import diagnose
    from dockyard.trace_reader import TraceReader

    definition = replace(
        prepared.definition,
        context=str(context or prepared.definition.context),
        output=output,
        tags=(),
        cache_to=(),
    )
    if another_lock:
        definition = replace(definition, build_contexts=())
    *arguments, place = definition.arguments()
    environment = build_environment(settings, workbench.environment)
    if offline:
        environment[UV_ENVIRONMENT_VARIABLE] += "UV_OFFLINE=1\n"
    reader = TraceReader(clean=redactor(settings))
    with (
        prepared.caches or contextlib.nullcontext(),
        process.follow(
            [*arguments, *options, place], environment=environment, directory=settings.root
        ) as child,
    ):
        for line in child.lines():
            reader.feed(line)
        status = child.wait()
    trace = reader.trace()
    if status:
        raise diagnose(trace, status, settings.dockerfile)
    return trace


def exporting(settings: Settings, folder: Path) -> tuple[str, tuple[str, ...]]:
    """Return the output and options that export an image with all that attestations can hold.

    The folder becomes an OCI layout.
    """
    output = f"type=oci,tar=false,dest={folder},oci-mediatypes=true"
    output += f",compression={settings.compression}"
    if settings.compression != "uncompressed":
        output += f",compression-level={settings.compression_level}"
    # The definition has this option, too: of two the last counts.
    return output, ("--provenance=mode=max",)


def try_offline(build: Callable[[bool], BuildTrace]) -> tuple[BuildTrace, bool]:
    """Build, and where that fails once more offline: no index may answer where checks run.

    Returns the trace, and whether it was offline. Raises what the first try failed with.
    """
    try:
        return build(False), False
    except DockyardError as error:
        try:
            return build(True), True
        except DockyardError:
            raise error from None


def ran(trace: BuildTrace) -> tuple[Step, ...]:
    """List the Dockerfile's own steps that were not found in the cache."""
    return tuple(step for step in trace.steps if step.kind in COUNTED_KINDS and step.ran)


def instruction_of(stages: Sequence[Stage], step: Step) -> Instruction | None:
    """Find the instruction that a step carries out; None where it cannot be told.

    Steps are numbered within their stage, a FROM of another image counts as the first.
    """
    for position, stage in enumerate(stages):
        name = (stage.name or f"stage-{position}").lower()
        if step.stage is None or step.stage.lower() != name or not (step.number and step.total):
            continue
        numbered = [one for one in stage.instructions if one.keyword in _NUMBERED]
        index = step.number - 1 - (step.total - len(numbered))
        if 0 <= index < len(numbered) and 0 <= step.total - len(numbered) <= 1:
            return numbered[index]
    return None


def step_finding(workbench: Workbench, step: Step, why: str) -> Finding:
    """Name a step that ran where it should not have, and its line."""
    found = instruction_of(workbench.stages, step)
    said = short_instruction(step.instruction)
    short = said if len(said) <= 80 else said[:79] + "…"
    stage = f"{step.stage}: " if step.stage else ""
    return Finding(
        f"{stage}{short} {why}", found.line if found else None, workbench.settings.dockerfile
    )
