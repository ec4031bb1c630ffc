"""The steps of a record: how they build on each other, and what they take. Pure.

An instruction is as BuildKit names the step: its words on one line, variables expanded.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from dockyard.dockerfile import PLAN_STAGE, is_dependency_stage
from dockyard.steps import StepKind
from dockyard.trace import COUNTED_KINDS

if TYPE_CHECKING:
    from dockyard.record_parts import StepRecord
    from dockyard.records import BuildRecord

__all__ = [
    "ENVIRONMENT_STAGE",
    "builds_on_base",
    "context_patterns",
    "counted",
    "given_plan",
    "is_done",
    "matches",
    "parents",
    "same_step",
    "stages_taken",
    "target_platform",
    "without_digests",
]

# The stage that those of the plan and of the dependency layers start from.
ENVIRONMENT_STAGE = "dependency-builder"
_COUNTED = frozenset(map(str, COUNTED_KINDS))


def counted(step: StepRecord) -> bool:
    """Whether a step is an instruction of the Dockerfile that runs, copies or makes files."""
    return step.kind in _COUNTED


def given_plan(record: BuildRecord) -> bool:
    """Whether a build was given the layer plan as a build context, instead of its stage's."""
    return any(
        step.kind == StepKind.CONTEXT and step.instruction.startswith(f"context {PLAN_STAGE} ")
        for step in record.steps
    )


def is_done(step: StepRecord) -> bool:
    """Whether a step's result was there at the end of a build that did not succeed."""
    return step.cached or (step.ran and step.error is None and step.seconds > 0)


def _words(instruction: str) -> tuple[list[str], list[str]]:
    """Divide what follows the keyword into flags and arguments."""
    _, _, rest = instruction.partition(" ")
    words = rest.split()
    count = next((n for n, word in enumerate(words) if not word.startswith("--")), len(words))
    arguments = words[count:]
    if arguments and arguments[0].startswith("["):
        try:
            loaded = json.loads(" ".join(arguments))
        except ValueError:
            loaded = None
        if isinstance(loaded, list):
            arguments = [str(one) for one in loaded]
    return words[:count], arguments


def _mounts(flags: Sequence[str]) -> Iterator[dict[str, str]]:
    for flag in flags:
        name, _, value = flag.partition("=")
        if name == "--mount":
            parts = next(csv.reader([value]), [])
            yield {key: text for key, _, text in (part.partition("=") for part in parts)}


def context_patterns(step: StepRecord) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the patterns of what a step takes of the build context, and of what it leaves out."""
    flags, arguments = _words(step.instruction)
    if step.kind == "run":
        found = tuple(
            mount.get("source") or mount.get("src") or "."
            for mount in _mounts(flags)
            if mount.get("type", "bind") == "bind" and "from" not in mount
        )
        return found, ()
    if step.instruction.partition(" ")[0].upper() not in ("COPY", "ADD"):
        return (), ()
    if any(flag.startswith("--from=") for flag in flags):
        return (), ()
    taken = tuple(
        word
        for word in arguments[:-1]
        if not word.startswith("<<") and not re.match(r"\w+://|git@", word)
    )
    excluded = tuple(flag.partition("=")[2] for flag in flags if flag.startswith("--exclude="))
    return taken, excluded


def matches(path: str, pattern: str) -> bool:
    """Whether a file of the context is what a pattern names, or below it (Go, ``path.Match``)."""
    wanted = [part for part in pattern.split("/") if part not in ("", ".")]
    parts = path.split("/")
    if len(wanted) > len(parts):
        return False
    return all(
        fnmatchcase(part, want) if re.search(r"[*?\[]", want) else part == want
        for part, want in zip(parts, wanted, strict=False)
    )


def stages_taken(step: StepRecord) -> frozenset[str]:
    """Name the stages and images whose files a step copies or mounts: it is keyed by their content.

    What it builds on itself is none of them.
    """
    flags, _ = _words(step.instruction)
    copied = (flag.partition("=")[2] for flag in flags if flag.startswith("--from="))
    mounted = (mount["from"] for mount in _mounts(flags) if "from" in mount)
    return frozenset(one.lower() for one in (*copied, *mounted))


def builds_on_base(step: StepRecord) -> bool:
    """Whether a step executes on the layers below it, which a linked copy does not."""
    flags, _ = _words(step.instruction)
    linked = any(flag in ("--link", "--link=true") for flag in flags)
    return not linked or any(flag.startswith("--chmod") for flag in flags)


def target_platform(step: StepRecord) -> str | None:
    """Name the platform that a step builds for: what follows the arrow, if there is one."""
    if not step.platform:
        return None
    before, arrow, after = step.platform.partition("->")
    if not arrow:
        return before
    return after if "/" in after and not re.match(r"\w+/v\d", after) else f"linux/{after}"


def same_step(one: StepRecord, other: StepRecord) -> bool:
    """Whether two steps, of two records, are one and the same instruction of the Dockerfile."""
    platforms = (target_platform(one), target_platform(other))
    return (
        one.stage == other.stage
        and one.kind == other.kind
        and without_digests(one.instruction) == without_digests(other.instruction)
        and (None in platforms or platforms[0] == platforms[1])
    )


def without_digests(instruction: str) -> str:
    """Take the digests of images out of an instruction."""
    return re.sub(r"@sha256:[0-9a-f]{64}", "", instruction)


def parents(record: BuildRecord) -> tuple[tuple[int, ...], ...]:
    """List for each step the counted ones that it builds on, merges and the like passed through.

    Records of schema 1 do not tell. There it is what started before in the same stage, and what is
    in the stages that are copied from or mounted.
    """
    steps = record.steps
    if any(step.inputs for step in steps):
        return tuple(_reached(steps, number) for number in range(len(steps)))
    return tuple(_guessed(steps, number) for number in range(len(steps)))


def _reached(steps: Sequence[StepRecord], position: int) -> tuple[int, ...]:
    found, seen, left = set(), {position}, list(steps[position].inputs)
    while left:
        one = left.pop()
        if one in seen or not 0 <= one < len(steps):
            continue
        seen.add(one)
        if counted(steps[one]):
            found.add(one)
        else:
            left += steps[one].inputs
    return tuple(sorted(found))


def _guessed(steps: Sequence[StepRecord], position: int) -> tuple[int, ...]:
    step = steps[position]
    taken = stages_taken(step)
    below = {step.stage} if builds_on_base(step) else set()
    if step.stage and step.stage != ENVIRONMENT_STAGE and is_dependency_stage(step.stage):
        below.add(ENVIRONMENT_STAGE)
    return tuple(
        number
        for number, other in enumerate(steps)
        if number != position
        and counted(other)
        and other.stage
        and (
            other.stage in taken
            or (
                other.stage in below
                and (other.stage != step.stage or (other.started or "") < (step.started or ""))
            )
        )
    )
