"""Checks of what runs again: for nothing, for one source file, for one package of the lock."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard.checks.builds import (
    build_variant,
    exporting,
    instruction_of,
    ran,
    step_finding,
    try_offline,
)
from dockyard.checks.copies import another_hash, copy_context, file_to_touch, touch
from dockyard.checks.verdicts import Finding, Verdict, judge
from dockyard.display.format import format_count
from dockyard.dockerfile import DEPENDENCY_STAGE_PREFIX, PLAN_STAGE
from dockyard.dockerfile_syntax import Stage
from dockyard.errors import CheckUnavailableError
from dockyard.optimize_files import context_paths
from dockyard.trace import COUNTED_KINDS

if TYPE_CHECKING:
    from dockyard.checks.workbench import Workbench
    from dockyard.lock import Package
    from dockyard.trace import BuildTrace, Step

__all__ = [
    "ChangedLock",
    "build_changed_lock",
    "check_code_change",
    "check_dependency_change",
    "check_rebuild",
    "package_to_change",
    "unwanted_after_code_change",
    "unwanted_after_dependency_change",
]

# What the sources make beside their own COPY, where the project is installed as a wheel.
PROJECT_STAGE = "project"


def measured(
    workbench: Workbench, measure: Callable[[], tuple[str, list[Finding]]]
) -> tuple[str, list[Finding]]:
    """Return a figure and findings; what was found counts where it is found a second time.

    A builder may drop a result at any time to make room, and then a step runs for no other reason.
    Before the second time the project is built as it is, so that all of it is cached again.
    """
    figure, findings = measure()
    if findings:
        build_variant(workbench)
        figure, findings = measure()
    return figure, findings


def check_rebuild(workbench: Workbench) -> Verdict:
    """Build what was just built once more."""
    workbench.built  # noqa: B018 - this rests on it
    trace = build_variant(workbench)
    if ran(trace) and not any(reads_context(workbench.stages, step) for step in ran(trace)):
        # Another build of the same builder may have run what the two share, or a prune taken it.
        # What this build does to its own cache it does each time; what it does to the context, no.
        trace = build_variant(workbench)
    steps = ran(trace)
    cached = sum(step.cached for step in trace.steps if step.kind in COUNTED_KINDS)
    return judge(
        "rebuild",
        [step_finding(workbench, step, "ran, and nothing had changed") for step in steps],
        f"{format_count(cached, 'step')} cached, {len(steps)} run",
        "find what changes between two builds: a file that the build itself writes into the "
        "context, or an argument with the time in it",
    )


def copied_paths(stages: Sequence[Stage], step: Step) -> tuple[str, ...]:
    """List the paths of the context that the instruction of a step copies."""
    found = instruction_of(stages, step)
    if found is None or found.keyword not in ("ADD", "COPY"):
        return ()
    return context_paths((Stage(None, "", 0, (found,)),))[0]


def reads_context(stages: Sequence[Stage], step: Step) -> bool:
    """Whether a step reads the build context: copies of it, or mounts it."""
    found = instruction_of(stages, step)
    mounts = found and re.search(r"--mount=type=bind(?!\S*\bfrom=)", found.text)
    return bool(mounts or copied_paths(stages, step))


def _covers(copied: Sequence[str], path: str) -> bool:
    return any(one in (".", path) or path.startswith(f"{one}/") or "*" in one for one in copied)


def unwanted_after_code_change(
    stages: Sequence[Stage], steps: Sequence[Step], path: str
) -> list[Step]:
    """Pick the steps that a change of one source file should not have run.

    It should have run the COPY of the file; in wheel mode the stage that builds the project, and
    the COPY of that.
    """
    return [
        step
        for step in steps
        if not _covers(copied_paths(stages, step), path)
        and step.stage != PROJECT_STAGE
        and f"--from={PROJECT_STAGE} " not in step.instruction
    ]


def check_code_change(workbench: Workbench) -> Verdict:
    """Touch one source file of a copy, and build that."""
    settings = workbench.settings
    workbench.built  # noqa: B018 - what is in the cache is what this compares with
    copied = settings.copy_paths
    path = file_to_touch([entry.path for entry in workbench.listing.entries], copied)
    if path is None:
        raise CheckUnavailableError(
            f"the context has no file below {', '.join(copied) or 'a path that is copied'}",
            hint="DOCKYARD_COPY_PATHS names what the image gets, .dockerignore has to let it in",
        )
    context = workbench.folder()
    copy_context(workbench.context, workbench.listing, context)

    def measure() -> tuple[str, list[Finding]]:
        touch(context / path)
        steps = ran(build_variant(workbench, context=context))
        unwanted = unwanted_after_code_change(workbench.stages, steps, path)
        why = f"ran because {path} changed"
        findings = [step_finding(workbench, step, why) for step in unwanted]
        if not steps:
            findings.append(Finding(f"{path} changed, and nothing of it got into the image"))
        return f"{path} touched: {format_count(len(steps), 'step')} run", findings

    figure, findings = measured(workbench, measure)
    return judge(
        "code-change",
        findings,
        figure,
        "copy sources last and with --link, each path by itself; an installation mounts or copies "
        "the lock alone",
    )


def package_to_change(
    packages: Sequence[Package], layers: Sequence[Sequence[str]]
) -> tuple[int, Package] | None:
    """Choose the smallest package of the smallest layer, and that layer's number, from 1.

    ``layers`` name the packages of each; what none names is in the last. Only a package
    from an index will do. None where there is none.
    """
    place = {name: number for number, names in enumerate(layers, 1) for name in names}
    sizes: dict[int, int] = dict.fromkeys(range(1, len(layers) + 1), 0)
    able: dict[int, list[Package]] = {}
    for one in packages:
        number = place.get(one.name, len(layers))
        sizes[number] = sizes.get(number, 0) + (one.size or 0)
        if one.source.kind == "registry" and one.hashed:
            able.setdefault(number, []).append(one)
    if not able:
        return None
    number = min(able, key=lambda one: (sizes[one], -one))
    return number, min(able[number], key=lambda one: (one.size or 0, one.name))


@dataclass(frozen=True)
class ChangedLock:
    """A build of a copy in whose lock one package changed, with a planted secret.

    ``number``: of the package's layer, from 1. ``context`` is the copy, ``image`` the folder that
    the image was exported to. ``offline``: no index answered.
    """

    number: int
    package: Package
    context: Path
    image: Path
    trace: BuildTrace
    offline: bool

    @property
    def stage(self) -> str:
        """The stage of the package's layer."""
        return f"{DEPENDENCY_STAGE_PREFIX}{self.number}"


def build_changed_lock(workbench: Workbench) -> ChangedLock | None:
    """Change the cheapest package of the lock in a copy, build that, and export the image.

    None where the Dockerfile keeps no plan, or no package is from an index. Raises what the build
    fails with.
    """
    plan = workbench.plan
    layers = [layer.packages for layer in plan.layers] if plan else []
    chosen = package_to_change(workbench.project.packages, layers) if layers else None
    if chosen is None:
        return None
    workbench.built  # noqa: B018 - what is in the cache is what this compares with
    number, package = chosen
    context, image = workbench.folder(), workbench.folder() / "image"
    copy_context(workbench.context, workbench.listing, context)
    _change_lock(context / "uv.lock", package)
    output, options = exporting(workbench.settings, image)
    trace, offline = try_offline(
        lambda offline: build_variant(
            workbench,
            context=context,
            output=output,
            options=options,
            offline=offline,
            another_lock=True,
        )
    )
    return ChangedLock(number, package, context, image, trace, offline)


def unwanted_after_dependency_change(
    stages: Sequence[Stage], steps: Sequence[Step], number: int
) -> list[Step]:
    """Pick the steps that a change of one package in layer ``number`` should not have run.

    It should have run the plan's, the layer's, and the COPY of the layer. A wheel of the project
    is built again, as the lock is among its sources; what copies the lock copies another.
    """
    layer = f"{DEPENDENCY_STAGE_PREFIX}{number}"
    return [
        step
        for step in steps
        if step.stage not in (PLAN_STAGE, layer, PROJECT_STAGE)
        and not any(f"--from={name} " in step.instruction for name in (layer, PROJECT_STAGE))
        and not _covers(copied_paths(stages, step), "uv.lock")
    ]


def check_dependency_change(workbench: Workbench) -> Verdict:
    """Change one package in the lock of a copy, and build that."""
    packages, plan = workbench.project.packages, workbench.plan
    fix = "each layer mounts its own requirements and nothing else; `invoke init --diff` compares"
    if not packages:
        return judge("dependency-change", (), "no package to change", fix)
    if plan is None:
        finding = Finding(
            "it keeps no layer plan: any change installs "
            f"{format_count(len(packages), 'package')} again",
            file=workbench.settings.dockerfile,
        )
        fix = "`invoke init --replace` renders one with layers; yours becomes a .backup"
        return judge("dependency-change", [finding], "1 layer", fix)
    changed = workbench.changed_lock
    if changed is None:
        raise CheckUnavailableError("the lock has no package from an index to change the hash of")
    traces = chain([changed.trace], _built_again(workbench, changed))

    def measure() -> tuple[str, list[Finding]]:
        return "", _after_dependency_change(workbench, next(traces), changed)

    _, findings = measured(workbench, measure)
    how = ", installed from uv's cache: no index answered" if changed.offline else ""
    return judge(
        "dependency-change",
        findings,
        f"another hash for {changed.package.name}: layer {changed.number} of {len(plan.layers)} "
        f"run{how}",
        fix,
    )


def _built_again(workbench: Workbench, changed: ChangedLock) -> Iterator[BuildTrace]:
    while True:
        _change_lock(changed.context / "uv.lock", changed.package)
        yield build_variant(
            workbench, context=changed.context, offline=changed.offline, another_lock=True
        )


def _change_lock(path: Path, package: Package) -> None:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CheckUnavailableError(
            ".dockerignore leaves uv.lock out of the context", hint="add the line !uv.lock"
        ) from None
    mode = path.stat().st_mode
    path.write_text(another_hash(text, package.name, package.version or ""), encoding="utf-8")
    path.chmod(mode)


def _after_dependency_change(
    workbench: Workbench, trace: BuildTrace, changed: ChangedLock
) -> list[Finding]:
    steps, name, number = ran(trace), changed.package.name, changed.number
    why = f"ran because the hashes of {name} changed, which is in layer {number}"
    findings = [
        step_finding(workbench, step, why)
        for step in unwanted_after_dependency_change(workbench.stages, steps, number)
    ]
    if not any(step.stage == changed.stage for step in steps):
        findings.append(Finding(f"{name} changed in the lock, and layer {number} did not run"))
    return findings
