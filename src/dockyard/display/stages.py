"""A build's steps gathered by stage, and each stage in a few words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dockyard.display.format import format_bytes, format_seconds, shorten, strip_control
from dockyard.layer_reports import parse_report
from dockyard.steps import StepKind, short_instruction
from dockyard.trace import COUNTED_KINDS, busy_seconds

if TYPE_CHECKING:
    from dockyard.trace import Step

__all__ = [
    "FinishedStages",
    "Stage",
    "gather_stages",
    "instruction_of",
    "log_lines",
    "step_label",
    "step_outcome",
]

WIDTH = 100
# A pause between two spells of work on an image or context is shorter than this.
SPELL_SECONDS = 0.5
_HIDDEN = frozenset({StepKind.INTERNAL, StepKind.MERGE, StepKind.AUTH})


@dataclass(frozen=True)
class Stage:
    """A stage and those of its steps that are worth showing; what has no stage stands alone."""

    name: str
    steps: tuple[Step, ...]

    @property
    def of_dockerfile(self) -> bool:
        """Whether it is a stage, rather than a step of BuildKit's own such as the export."""
        return any(step.number for step in self.steps)

    @property
    def ended(self) -> bool:
        """Whether all of its steps have completed. Some may never: BuildKit does without them."""
        return all(step.completed for step in self.steps)

    @property
    def may_resume(self) -> bool:
        """Whether it may go on after it has ended: images, contexts and exports work in spells."""
        return not any(step.inputs for step in self.steps)

    @property
    def running(self) -> Step | None:
        """The first step that is running."""
        return next((step for step in self.steps if step.running), None)

    @property
    def cached(self) -> int:
        """How many of its instructions were cached."""
        return sum(step.cached for step in self.steps if step.kind in COUNTED_KINDS)

    @property
    def ran(self) -> tuple[Step, ...]:
        """The steps that did work and ended; a base image that was only looked up did none."""
        return tuple(
            step
            for step in self.steps
            if step.ran and step.completed and (step.kind != StepKind.IMAGE or step.bytes_done)
        )

    @property
    def seconds(self) -> float:
        """How long its steps worked, those at the same time counted once."""
        return busy_seconds(
            (step.started, step.completed)
            for step in self.ran
            if step.started is not None and step.completed is not None
        )

    def outcome(self) -> str | None:
        """Say how it ended and what it moved; None where there is nothing to tell."""
        failed = next((step for step in self.steps if step.error), None)
        if failed:
            return self._named(failed, step_outcome(failed))
        if self.running:
            return self._named(self.running, "not finished")
        ran = self.ran
        if not ran:
            if not self.cached:
                return None
            return "cached" if self.cached == 1 else f"cached ({self.cached} steps)"
        cached = f", {self.cached} cached" if self.cached else ""
        if len(ran) == 1:
            return self._named(ran[0], step_outcome(ran[0])) + cached
        moved = sum(step.bytes_done for step in ran)
        size = f", {format_bytes(moved)}" if moved else ""
        return f"{len(ran)} steps done in {format_seconds(self.seconds)}{size}{cached}"

    def line(self) -> str | None:
        """Say the same with the stage's name before it, in one line."""
        outcome = self.outcome()
        return f"{self.name}: {outcome}" if outcome else None

    def _named(self, step: Step, text: str) -> str:
        return f"{instruction_of(step)} {text}" if self.of_dockerfile else text


class FinishedStages:
    """Tells of each stage once that it has ended for good."""

    def __init__(self) -> None:
        self._ended_since: dict[str, float] = {}
        self._told: set[str] = set()

    def newly(self, stages: Sequence[Stage], now: float) -> list[Stage]:
        """Return the stages that ended since the last call, by a monotonic clock."""
        found = []
        for stage in stages:
            if not stage.ended:
                self._ended_since.pop(stage.name, None)
            elif stage.name not in self._told:
                since = self._ended_since.setdefault(stage.name, now)
                if not stage.may_resume or now - since >= SPELL_SECONDS:
                    found.append(stage)
        self._told.update(stage.name for stage in found)
        return found

    def rest(self, stages: Sequence[Stage]) -> list[Stage]:
        """Return those that were not told of, ended or not."""
        return [stage for stage in stages if stage.name not in self._told]


def gather_stages(steps: Sequence[Step]) -> tuple[Stage, ...]:
    """Gather the steps by stage and platform, in the order in which the stages first appeared.

    Internal and merge vertices are left out unless they failed.
    """
    found: dict[str, list[Step]] = {}
    for step in steps:
        if step.kind not in _HIDDEN or step.error:
            found.setdefault(_stage_name(step), []).append(step)
    return tuple(Stage(name, tuple(members)) for name, members in found.items())


def _stage_name(step: Step) -> str:
    # BuildKit gives the stage of a Dockerfile that has but one, without a name, none either.
    stage = step.stage or ("image" if step.number else None)
    if not stage:
        return instruction_of(step)
    return strip_control(f"{step.platform} {stage}" if step.platform else stage)


def instruction_of(step: Step, width: int = WIDTH) -> str:
    """Say what a step does in at most ``width`` characters, fit for a terminal."""
    return shorten(strip_control(short_instruction(step.instruction)), width)


def step_label(step: Step, width: int = WIDTH) -> str:
    """Name a step by stage and instruction, in one line of at most ``width``."""
    stage = f"{_stage_name(step)}: " if step.number else ""
    return shorten(stage + instruction_of(step, width), width)


def step_outcome(step: Step) -> str:
    """Say in a word or two how a step ended, and what it moved."""
    if step.error:
        if step.number:
            return "failed"
        return f"failed: {shorten(strip_control(step.error), 2 * WIDTH)}"
    if step.cached:
        return "cached"
    if not step.completed:
        return "not finished" if step.started else "not needed"
    moved = f", {format_bytes(step.bytes_done)}" if step.bytes_done else ""
    return f"done in {format_seconds(step.seconds)}{moved}"


def log_lines(step: Step) -> list[str]:
    """Return a step's log, fit for a terminal, without what our own scripts tell the record."""
    return [strip_control(line) for line in step.log if not parse_report(line)]
