"""What changed about each step of a build since an earlier one, as reasons to run. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from dockyard.dockerfile import PLAN_STAGE
from dockyard.explain_caches import effective_platforms
from dockyard.explain_dockerfile import (
    DockerfileChanges,
    InstructionChange,
    differing,
    of_plan,
    quoted,
)
from dockyard.explain_files import compare_contexts, takes_context
from dockyard.explain_images import ImageChanges
from dockyard.explain_model import CauseKind, Detail, Reason
from dockyard.explain_packages import compare_packages, layer_number
from dockyard.explain_settings import (
    argument_reason,
    changed_arguments,
    setting_behind,
    setting_changes,
    setting_reason,
)
from dockyard.explain_steps import (
    builds_on_base,
    context_patterns,
    given_plan,
    same_step,
    stages_taken,
    target_platform,
)
from dockyard.plan_files import exact_version

if TYPE_CHECKING:
    from dockyard.record_parts import StepRecord
    from dockyard.records import BuildRecord

__all__ = ["Changes"]

# The files that say which packages there are.
_LOCK_FILES = ("pyproject.toml", "uv.lock")
_PLAN_SETTINGS = ("layers",)
_PACKAGE_SETTINGS = ("extras", "groups")


class Changes:
    """Compares an earlier build with a later one; its methods speak of the later one's steps."""

    def __init__(self, record: BuildRecord, before: BuildRecord) -> None:
        self.record = record
        self.before = before
        self.settings = setting_changes(before, record)
        self.arguments = changed_arguments(before, record)
        self.files = compare_contexts(before, record)
        self.packages = compare_packages(before, record)
        self._given_plan = given_plan(record), given_plan(before)
        self.images = ImageChanges(before, record, self.settings)
        earlier_lines = before.inputs.dockerfile if before.inputs else ()
        later_lines = record.inputs.dockerfile if record.inputs else ()
        self.dockerfile_known = bool(earlier_lines and later_lines)
        # Where one is not known, nothing is said to have changed in it.
        self.dockerfile = DockerfileChanges(
            earlier_lines if self.dockerfile_known else later_lines, later_lines
        )
        earlier = effective_platforms(before)
        later = effective_platforms(record)
        self.platforms = tuple(one for one in later if earlier and one not in earlier)
        self.later_platforms = later

    def direct(self, number: int) -> Iterator[Reason]:
        """Blame what changed about a step itself; the first reason is the broadest."""
        step = self.record.steps[number]
        if self.platforms and (
            target_platform(step) in self.platforms
            or (step.platform is None and len(self.later_platforms) == 1)
        ):
            yield self._platform()
            return
        own = [one for one in self.dockerfile.own(step) if self._counts(one)]
        if self.dockerfile_known:
            yield from (self._of_line(one, step) for one in own if not of_plan(one))
        else:
            yield from self._of_text(step)
        if not any(one.keyword == "FROM" for one in own):
            yield from self.images.of(number)
        yield from self._of_plan_stage(step)
        reasons = (*self._of_packages(step), *self._of_files(step))
        yield from reasons or self._of_given_plan(step)
        for name in sorted(self.dockerfile.arguments(step) & self.arguments.keys()):
            yield argument_reason(name, self.arguments[name], self.settings)
        if step.kind == "run" and "network" in self.settings:
            yield setting_reason(self.settings["network"])

    def _platform(self) -> Reason:
        names = ", ".join(self.platforms)
        source = ""
        if setting := self.settings.get("platforms"):
            source = f" ({setting.source_after})"
        earlier = ", ".join(effective_platforms(self.before))
        text = f"the platform {names} was not built before{source}, only {earlier}"
        return Reason(CauseKind.PLATFORM, names, (Detail(text),))

    def _counts(self, change: InstructionChange) -> bool:
        """Leave out an ARG's default where the build gives a value."""
        if change.keyword != "ARG" or not self.record.inputs:
            return True
        names = {
            word.partition("=")[0] for word in (change.after or change.before or "").split()[1:]
        }
        return bool(names - (self.record.inputs.arguments or {}).keys())

    def _of_line(self, change: InstructionChange, step: StepRecord) -> Reason:
        change = self._in_full(change, step)
        setting = setting_behind(change, self.settings.values())
        if setting:
            return setting_reason(setting)
        place = f"{self._dockerfile_name()} line {change.line}"
        if change.stage:
            place += f" (stage {change.stage})"
        before, after = differing(change.before or "", change.after or "")
        if change.before is None:
            text = f"{place}: {after} is new"
        elif change.after is None:
            text = f"{place}: {before} is gone"
        elif before == after:
            text = f"{place}: the text of {after} changed"
        else:
            text = f"{place}: {before} → {after}"
        return Reason(CauseKind.DOCKERFILE, f"{change.stage} {change.line}", (Detail(text),))

    def _in_full(self, change: InstructionChange, step: StepRecord) -> InstructionChange:
        """Take a long line, which a record has shortened, from the steps that it became."""
        if not (change.after or "").endswith("…") or change.stage != step.stage:
            return change
        if not step.instruction.startswith((change.after or "")[:-1]):
            return change
        earlier = [
            one.instruction
            for one in self.before.steps
            if one.stage == step.stage and one.instruction.startswith((change.before or " ")[:-1])
        ]
        before = earlier[0] if len(earlier) == 1 else change.before
        return replace(change, before=before, after=step.instruction)

    def _dockerfile_name(self) -> str:
        setting = self.record.settings.get("dockerfile")
        value = setting.get("value") if isinstance(setting, dict) else None
        return str(value or "the Dockerfile")

    def _of_text(self, step: StepRecord) -> Iterator[Reason]:
        """Compare with the steps of the earlier build, where its Dockerfile is not recorded."""
        alike = [
            one for one in self.before.steps if one.stage == step.stage and one.kind == step.kind
        ]
        if any(same_step(one, step) for one in self.before.steps):
            return
        change = InstructionChange(step.stage, 0, None, step.instruction, 0)
        if of_plan(change) or self.before.outcome != "succeeded":
            return
        setting = setting_behind(change, self.settings.values())
        if setting:
            yield setting_reason(setting)
            return
        place = f"{self._dockerfile_name()}, stage {step.stage or '(unnamed)'}"
        text = f"{place}: {quoted(step.instruction)} is new or another"
        if len(alike) == 1:
            text = f"{place}: {' → '.join(differing(alike[0].instruction, step.instruction))}"
        yield Reason(CauseKind.DOCKERFILE, f"{step.stage} {step.instruction}", (Detail(text),))

    def _of_packages(self, step: StepRecord) -> Iterator[Reason]:
        layer = layer_number(step.stage)
        if layer is None or self.packages is None:
            return
        if changed := self.packages.changed.get(layer):
            yield self._packages(changed)
        elif moved := self.packages.moved.get(layer):
            yield self._plan(moved)

    def _of_plan_stage(self, step: StepRecord) -> Iterator[Reason]:
        given, given_before = self._given_plan
        if step.stage != PLAN_STAGE or given or not given_before:
            return
        version = exact_version(str(self.record.settings.get("uv_image", {}).get("value", "")))
        text = (
            "the layer plan was made by its stage, and before by uv of the machine"
            f"{f': no uv {version} was found' if version else ''}, or the stage was edited"
        )
        yield Reason(CauseKind.PLAN_STAGE, "", (Detail(text),))

    def _of_given_plan(self, step: StepRecord) -> Iterator[Reason]:
        """Blame the lock for what no package shows: a marker, or the name of an index."""
        if self._given_plan[0] and PLAN_STAGE in stages_taken(step):
            found = self.files.matching(_LOCK_FILES)
            if found:
                yield Reason(CauseKind.FILES, "", tuple(found.values()))

    def _packages(self, changed: tuple[Detail, ...]) -> Reason:
        """Blame the lock; or extras and groups, where the lock is the same."""
        setting = next(
            (self.settings[one] for one in _PACKAGE_SETTINGS if one in self.settings), None
        )
        if setting and self._lock_is_same():
            return Reason(
                CauseKind.SETTING, setting.attribute, (*setting_reason(setting).details, *changed)
            )
        return Reason(CauseKind.PACKAGES, "", changed)

    def _lock_is_same(self) -> bool:
        def digests(record: BuildRecord) -> set[str]:
            files = record.inputs.files if record.inputs else ()
            return {one.digest for one in files if one.path.endswith("uv.lock")}

        earlier, later = digests(self.before), digests(self.record)
        return bool(earlier) and earlier == later

    def _plan(self, moved: tuple[Detail, ...]) -> Reason:
        setting = next((self.settings[one] for one in _PLAN_SETTINGS if one in self.settings), None)
        if setting:
            details = (*setting_reason(setting).details, *moved)
            return Reason(CauseKind.SETTING, setting.attribute, details)
        return Reason(CauseKind.PLAN, "", moved)

    def _of_files(self, step: StepRecord) -> Iterator[Reason]:
        found = self.files.of(step)
        if not found:
            return
        if self.packages and all(path.endswith(_LOCK_FILES) for path in found):
            lock = any(path.endswith("uv.lock") for path in found)
            if changed := self.packages.all_changed():
                yield self._packages(changed)
                return
            if lock and self.packages.exact:
                found = {
                    path: Detail(f"{one.text}, no package of the image did", one.bytes)
                    if path.endswith("uv.lock")
                    else one
                    for path, one in found.items()
                }
        yield Reason(CauseKind.FILES, "", tuple(found.values()))

    def below(self, number: int) -> Reason | None:
        """Blame lines that Dockyard writes with the plan, and lines further up."""
        step = self.record.steps[number]
        own = [one for one in self.dockerfile.own(step) if of_plan(one)]
        lines = [*own, *(one for one in self.dockerfile.below(step) if self._counts(one))]
        for change in lines:
            whole = self._in_full(change, step)
            if setting := setting_behind(whole, self.settings.values()):
                return setting_reason(setting)
            if not of_plan(change):
                return self._of_line(change, step)
            if self.packages and (moved := self.packages.all_moved()):
                return self._plan(moved)
            if self.packages and (changed := self.packages.all_changed()):
                return self._packages(changed)
            return self._of_line(change, step)
        return None

    def writes_the_same(self, stage: str | None, step: StepRecord) -> bool:
        """Whether a stage, run again, has written for a step exactly what it wrote before.

        That is known of the plan's requirements for a layer whose packages are the same.
        """
        layer = layer_number(step.stage)
        if stage != PLAN_STAGE or layer is None or self.packages is None:
            return False
        return self.packages.untouched(layer) and not any(
            change.stage == PLAN_STAGE and not of_plan(change) and change.keyword in ("COPY", "RUN")
            for change in self.dockerfile.all()
        )

    def _without_inputs(self, what: str) -> str:
        one = self.record if self.record.inputs is None else self.before
        return f"the record of {one.id} holds no {what} (an older schema)"

    def _without_lines(self) -> str:
        for one in (self.record, self.before):
            reason = (one.inputs.unknown or {}).get("dockerfile") if one.inputs else None
            if reason:
                return f"those of {one.id} were not recorded: {reason}"
        return self._without_inputs("lines of it")

    def missing(self, step: StepRecord) -> str:
        """Say what would have to be known to rule out that something about a step changed."""
        layer = layer_number(step.stage)
        if layer is not None and (self.packages is None or not self.packages.exact):
            return f"which packages changed version: {self._without_inputs('versions')}"
        if takes_context(step) and self.files.missing:
            named = ", ".join(one for one in context_patterns(step)[0])
            return f"what changed in {named}: {self.files.missing}"
        if not self.dockerfile_known:
            return f"what changed in the Dockerfile or the build arguments: {self._without_lines()}"
        if not self.dockerfile.knows(step):
            return f"which line of the Dockerfile {quoted(step.instruction)} is"
        if builds_on_base(step) and step.stage is None and not step.inputs:
            return "what the step builds on"
        return ""
