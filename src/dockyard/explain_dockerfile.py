"""What changed between two Dockerfiles, and which of their instructions a step is. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from dockyard.display.format import shorten, strip_control
from dockyard.explain_steps import builds_on_base, without_digests
from dockyard.steps import short_instruction

if TYPE_CHECKING:
    from dockyard.record_parts import InstructionRecord, StepRecord

__all__ = ["DockerfileChanges", "InstructionChange", "differing", "of_plan", "quoted"]

# What changes the steps after it without being one; the other instructions only describe the image.
_SETTING_UP = ("FROM", "ARG", "ENV", "SHELL", "USER", "ONBUILD")
_MAKING = ("RUN", "COPY", "ADD", "WORKDIR")
_STEPS = {"run": ("RUN",), "copy": ("COPY",), "file": ("ADD", "WORKDIR")}
# As many characters of an instruction are shown.
SHOWN = 60
# Less alike than this, two lines are different ones.
_ALIKE = 0.6


@dataclass(frozen=True)
class InstructionChange:
    """One instruction that is new (``before`` is None), gone (``after`` is None) or another.

    ``line`` is the one in the Dockerfile where it stands, or stood; ``position`` counts the
    instructions of the stage, from 0, and is where it has its effect.
    """

    stage: str | None
    line: int
    before: str | None
    after: str | None
    position: int

    @property
    def keyword(self) -> str:
        """The instruction, in capitals."""
        return (self.after or self.before or "").partition(" ")[0].upper()


def of_plan(change: InstructionChange) -> bool:
    """Whether Dockyard writes the instruction anew with the layer plan."""
    text = change.after or change.before or ""
    return bool(
        re.match(r"dependencies-\d+$", change.stage or "")
        or re.match(r"COPY <<-?['\"]?ASSIGNMENT\b", text)
        or re.search(r"--from=dependencies-\d+\b", text)
    )


def quoted(text: str) -> str:
    """Write an instruction as it is shown: in few words, in backquotes."""
    return f"`{shorten(strip_control(short_instruction(text)), SHOWN)}`"


def differing(before: str, after: str) -> tuple[str, str]:
    """Write two instructions so that it is seen where they differ, however long they are."""
    texts = [strip_control(short_instruction(text)) for text in (before, after)]
    if shorten(texts[0], SHOWN) == shorten(texts[1], SHOWN) and texts[0] != texts[1]:
        pairs = enumerate(zip(*texts, strict=False))
        same = next((n for n, (one, other) in pairs if one != other), min(map(len, texts)))
        start = texts[0].rfind(" ", 0, max(same - SHOWN // 3, 0)) + 1
        texts = ["…" + text[start:] for text in texts]
    return quoted(texts[0]), quoted(texts[1])


def _plain(text: str) -> str:
    """Write an instruction as both the Dockerfile and BuildKit do, without here-documents."""
    text = re.sub(r"<<(-?)(['\"])(\w+)\2", r"<<\1\3", " ".join(text.split()))
    return re.sub(r"(<<-?\w+) \(.*\)$", r"\1", without_digests(text))


class DockerfileChanges:
    """Compares the instructions of an earlier build's Dockerfile with those of a later one's."""

    def __init__(
        self, before: Sequence[InstructionRecord], after: Sequence[InstructionRecord]
    ) -> None:
        self._before = _by_stage(before)
        self._after = _by_stage(after)
        self._changes = {stage: tuple(self._compare(stage)) for stage in self._after}

    def all(self) -> Iterator[InstructionChange]:
        """List every change."""
        for found in self._changes.values():
            yield from found

    def knows(self, step: StepRecord) -> bool:
        """Whether a step's instruction is found in the later Dockerfile."""
        return self.position(step) is not None

    def position(self, step: StepRecord) -> int | None:
        """Find a step's instruction: its position in its stage, from 0."""
        said = _plain(step.instruction)
        best, likeness = None, _ALIKE
        for number, one in enumerate(self._after.get(step.stage, ())):
            if one.text.partition(" ")[0].upper() not in _STEPS.get(step.kind, ()):
                continue
            text = _plain(one.text)
            if text == said or (text.endswith("…") and said.startswith(text[:-1])):
                return number
            ratio = SequenceMatcher(None, text, said).ratio()
            if ratio > likeness:
                best, likeness = number, ratio
        return best

    def own(self, step: StepRecord) -> tuple[InstructionChange, ...]:
        """List the changes that no other step stands for: its own line, and what sets it up.

        That is what stands between it and the step before: variables, user, shell, base.
        """
        position = self.position(step)
        if position is None:
            return ()
        instructions = self._after[step.stage]
        before = [
            number
            for number, one in enumerate(instructions[:position])
            if one.text.partition(" ")[0].upper() in _MAKING
        ]
        since = before[-1] if before else -1
        changes = self._changes[step.stage]
        own = [
            one
            for one in changes
            if one.position == position and one.keyword not in _SETTING_UP and one.after is not None
        ]
        concern = _set_up(step, instructions[position].text)
        own += [
            one for one in changes if since < one.position <= position and one.keyword in concern
        ]
        return tuple(own)

    def below(self, step: StepRecord) -> tuple[InstructionChange, ...]:
        """List the changes further up in its stage and in those that it starts from, nearest first.

        Those concern a step that executes on what is below it.
        """
        position = self.position(step)
        if position is None or not builds_on_base(step):
            return ()
        found: list[InstructionChange] = []
        stage, end, seen = step.stage, position, set()
        while stage in self._after and stage not in seen:
            seen.add(stage)
            found += [
                one
                for one in reversed(self._changes[stage])
                if one.position <= end
                and (one.keyword in _MAKING or one.keyword in self._concern(step, stage, one, end))
            ]
            stage, end = self._base(stage), len(self._after.get(self._base(stage), ()))
        return tuple(found)

    def arguments(self, step: StepRecord) -> frozenset[str]:
        """Name the build arguments that a step sees: declared above it or in a stage below."""
        position = self.position(step)
        if position is None:
            return frozenset()
        text = self._after[step.stage][position].text
        if step.kind != "run" and "$" not in text:
            return frozenset()
        names: set[str] = set()
        stage, end, seen = step.stage, position, set()
        while stage in self._after and stage not in seen:
            seen.add(stage)
            for one in self._after[stage][:end]:
                keyword, _, rest = one.text.partition(" ")
                if keyword.upper() == "ARG":
                    names.update(word.partition("=")[0] for word in rest.split())
            stage, end = self._base(stage), len(self._after.get(self._base(stage), ()))
        if step.kind != "run":
            names = {name for name in names if re.search(rf"\$\{{?{name}\b", text)}
        return frozenset(names)

    def _concern(
        self, step: StepRecord, stage: str | None, change: InstructionChange, end: int
    ) -> tuple[str, ...]:
        """Tell what, of what sets steps up, reaches a step through those between."""
        between = self._after[stage][change.position : end]
        if stage != step.stage or any(one.text.startswith("RUN") for one in between):
            return _SETTING_UP
        return _set_up(step, self._after[stage][end].text)

    def _base(self, stage: str | None) -> str | None:
        """Name the stage that one starts from, None where that is an image."""
        first = self._after[stage][0].text if self._after.get(stage) else ""
        words = [word for word in first.split()[1:] if not word.startswith("--")]
        base = words[0].lower() if words else None
        return base if base in self._after else None

    def _compare(self, stage: str | None) -> Iterator[InstructionChange]:
        """Compare one stage: lines that are in place of others are taken together, in order."""
        before, after = self._before.get(stage, []), self._after[stage]
        codes = SequenceMatcher(
            None, [one.digest for one in before], [one.digest for one in after], autojunk=False
        ).get_opcodes()
        for kind, old, old_end, new, new_end in codes:
            if kind == "equal":
                continue
            pairs = _pairs(before[old:old_end], after[new:new_end])
            for earlier, later, offset in pairs:
                line = later.line if later else earlier.line if earlier else 0
                yield InstructionChange(
                    stage,
                    line,
                    earlier.text if earlier else None,
                    later.text if later else None,
                    new + offset,
                )


def _set_up(step: StepRecord, text: str) -> tuple[str, ...]:
    """Name what is part of a step itself: all of it for one that executes, else its base."""
    if step.kind == "run":
        return _SETTING_UP
    base = ("FROM",) if builds_on_base(step) else ()
    return (*base, "ARG", "ENV") if "$" in text else base


def _pairs(
    before: Sequence[InstructionRecord], after: Sequence[InstructionRecord]
) -> Iterator[tuple[InstructionRecord | None, InstructionRecord | None, int]]:
    """Pair lines of the same keyword in order; the others are gone or new."""
    left = list(before)
    for offset, later in enumerate(after):
        keyword = later.text.partition(" ")[0]
        same = [one for one in left if one.text.partition(" ")[0] == keyword]
        earlier = max(
            same,
            key=lambda one: SequenceMatcher(None, one.text, later.text).ratio(),
            default=None,
        )
        if earlier and len(before) != len(after):
            alike = SequenceMatcher(None, earlier.text, later.text).ratio()
            earlier = earlier if alike > _ALIKE else None
        if earlier:
            left.remove(earlier)
        yield earlier, later, offset
    for earlier in left:
        yield earlier, None, len(after)


def _by_stage(
    instructions: Sequence[InstructionRecord],
) -> dict[str | None, list[InstructionRecord]]:
    found: dict[str | None, list[InstructionRecord]] = {}
    for one in instructions:
        found.setdefault(one.stage, []).append(one)
    return found
