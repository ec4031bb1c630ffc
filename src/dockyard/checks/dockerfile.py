"""Checks that read the Dockerfile, and its linters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dockyard.checks.lint import buildkit_findings, hadolint_findings
from dockyard.checks.verdicts import Finding, Verdict, judge
from dockyard.display.format import format_count
from dockyard.dockerfile_syntax import Instruction, Stage, executed_after_linked_copy
from dockyard.errors import CheckUnavailableError

if TYPE_CHECKING:
    from dockyard.checks.workbench import Workbench

__all__ = [
    "check_base_pinned",
    "check_linked_copies",
    "check_lint",
    "check_timestamps",
    "final_base",
    "unpinned_bases",
    "what_varies",
]

_PINNED = re.compile(r"@sha256:[0-9a-f]{64}\Z")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::-([^}]*))?\}|(\w+))")
# A command at the start of one: “date” among the arguments of another is only a word.
_VARYING = re.compile(
    r"(?:^|[;&|(`\n]|\b(?:do|then|exec)\s|\$\()\s*(date|uuidgen)\b"
    r"|(\$\{?RANDOM\b|/dev/u?random\b|/proc/sys/kernel/random)",
)


def check_linked_copies(workbench: Workbench) -> Verdict:
    """Find what executes after the first linked COPY of the final stage."""
    final = workbench.stages[-1]
    late = executed_after_linked_copy(final)
    linked = sum(one.linked for one in final.instructions)
    findings = [
        Finding(
            f"{one.keyword} executes after a linked COPY: a builder without these layers fetches "
            "all of them to run it",
            one.line,
            workbench.settings.dockerfile,
        )
        for one in late
    ]
    return judge(
        "linked-copies",
        findings,
        f"{format_count(linked, 'linked copy', 'linked copies')}, "
        f"{format_count(len(late), 'step')} after one",
        "move these instructions above the first COPY --link, or link the copies",
    )


def what_varies(instruction: Instruction) -> str | None:
    """Name what makes a RUN give something else each time it runs; None if nothing is known to."""
    text = "\n".join((re.sub(r"^(?:--\S+\s+)*", "", instruction.text), *instruction.heredocs))
    if instruction.keyword != "RUN" or "SOURCE_DATE_EPOCH" in text:
        return None
    # An explicit time is the same each time.
    text = re.sub(r"\bdate\s+(?:-u\s+)?(?:-d|--date|-r)[ =]?\s*\S+", "", text)
    match = _VARYING.search(text)
    return (match[1] or match[2]) if match else None


def check_timestamps(workbench: Workbench) -> Verdict:
    """Find the steps that write the time or a random value."""
    runs = [one for stage in workbench.stages for one in stage.instructions if one.keyword == "RUN"]
    findings = [
        Finding(
            f"RUN uses {what}: each time it runs it makes another layer, and all that builds on "
            "that runs again",
            one.line,
            workbench.settings.dockerfile,
        )
        for one in runs
        if (what := what_varies(one))
    ]
    return judge(
        "timestamps",
        findings,
        format_count(len(runs), "RUN step"),
        "take the time from SOURCE_DATE_EPOCH, or put it into a LABEL",
    )


def _expanded(reference: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(
        lambda match: values.get(match[1] or match[3]) or match[2] or "", reference
    )


def _global_arguments(text: str) -> dict[str, str]:
    """Read the defaults of the ARGs before the first FROM."""
    before = re.split(r"(?im)^\s*FROM\s", text, maxsplit=1)[0]
    found = re.findall(r"(?im)^\s*ARG\s+(\w+)=(\S+)", before)
    return {name: value.strip("\"'") for name, value in found}


def final_base(stages: Sequence[Stage], text: str, values: Mapping[str, str]) -> str | None:
    """Follow the final stage to the image that it is from; None for scratch.

    ``values`` are build arguments, which replace the Dockerfile's own defaults.
    """
    known = {**_global_arguments(text), **values}
    named = {stage.name.lower(): stage for stage in stages if stage.name}
    stage, seen = stages[-1], 0
    while (base := _expanded(stage.base, known)).lower() in named and seen < len(stages):
        stage, seen = named[base.lower()], seen + 1
    return None if base == "scratch" else base


def unpinned_bases(
    stages: Sequence[Stage], text: str, values: Mapping[str, str]
) -> tuple[int, list[tuple[int, str]]]:
    """Count the images that stages are from or copy from; list those without a digest by line."""
    known = {**_global_arguments(text), **values}
    names: set[str] = set()
    images: dict[str, int] = {}
    for position, stage in enumerate(stages):
        found = [(stage.line, _expanded(stage.base, known))]
        for one in stage.instructions:
            found += [
                (one.line, _expanded(match[1], known))
                for match in re.finditer(r"(?:--from=|[,=]from=)([^\s,]+)", one.text)
            ]
        for line, image in found:
            if image.lower() not in names and image != "scratch" and not image.isdigit():
                images.setdefault(image, line)
        names |= {str(position), (stage.name or "").lower()}
    return len(images), [
        (line, image) for image, line in images.items() if not _PINNED.search(image)
    ]


def check_base_pinned(workbench: Workbench) -> Verdict:
    """Find base images that a tag names, which may be another image tomorrow."""
    settings = workbench.settings
    values = {"PYTHON_IMAGE": settings.python_image, "UV_IMAGE": settings.uv_image}
    count, unpinned = unpinned_bases(workbench.stages, workbench.dockerfile, values)
    findings = [
        Finding(f"{image} has no digest", line, settings.dockerfile) for line, image in unpinned
    ]
    return judge(
        "base-pinned",
        findings,
        f"{count - len(findings)} of {format_count(count, 'image')} by digest",
        "`invoke optimize --only base --apply` pins those that settings name, and `--only pins` "
        "moves them later; write others as NAME:TAG@sha256:…",
    )


def check_lint(workbench: Workbench) -> Verdict:
    """Have BuildKit and hadolint read the Dockerfile."""
    findings: list[Finding] = []
    notes: list[str] = []
    asked: list[str] = []
    for who, ask in (("BuildKit's checks", buildkit_findings), ("hadolint", hadolint_findings)):
        try:
            findings += ask(workbench)
        except CheckUnavailableError as error:
            problem = error.problems[0]
            notes.append(f"could not check with {who}: {problem.message}: {problem.hint}")
        else:
            asked.append(who)
    if not asked:
        raise CheckUnavailableError("; ".join(notes))
    count = len(findings)
    return judge(
        "dockerfile-lint",
        findings,
        f"{format_count(count, 'warning')} of {' and '.join(asked)}",
        "each rule's page says how; a comment `# check=skip=RULE` on top of the Dockerfile, or "
        "`# hadolint ignore=RULE` above a line, lets it be",
        notes,
    )
