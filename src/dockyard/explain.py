"""Why each step of a build ran: two records in, an explanation out. Pure.

The rules are BuildKit's. A step that executes is keyed by itself and by all that is below it; what
it copies or mounts, by content (``solver/llbsolver/ops/{exec,file}.go``); secrets not at all. So a
stage that ran again and wrote the same makes nothing after it run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockyard.explain_caches import (
    builder_differs,
    cache_faults,
    cache_reason,
    imported,
)
from dockyard.explain_causes import gather_causes
from dockyard.explain_changes import Changes
from dockyard.explain_model import (
    CauseKind,
    Comparison,
    Detail,
    Explanation,
    Reason,
    Relation,
)
from dockyard.explain_steps import (
    counted,
    is_done,
    parents,
    same_step,
    stages_taken,
)

if TYPE_CHECKING:
    from dockyard.records import BuildRecord

__all__ = ["explain"]

Blame = tuple[tuple[Reason, ...], Relation]


def explain(record: BuildRecord, before: BuildRecord | None, why: str = "") -> Explanation:
    """Explain a build by comparing it with an earlier one, None where there is none.

    ``why`` says why it is compared with that one.
    """
    ran = [number for number, step in enumerate(record.steps) if counted(step) and step.ran]
    ran.sort(key=lambda number: (record.steps[number].started or "", number))
    blamed: dict[int, Blame] = {}
    notes: tuple[str, ...] = ()
    if record.inputs and record.inputs.no_cache:
        reason = Reason(CauseKind.NO_CACHE, "", (Detail("--no-cache: every step was to run"),))
        blamed = dict.fromkeys(ran, ((reason,), Relation.DIRECT))
    elif before is None:
        name = str(record.image["tags"][0]).rpartition(":")[0] if record.image.get("tags") else ""
        text = f"the first build of {name or 'this image'} that is recorded here"
        reason = Reason(CauseKind.FIRST_BUILD, "", (Detail(text),))
        blamed = dict.fromkeys(ran, ((reason,), Relation.DIRECT))
        notes = cache_faults(record)
    elif ran:
        blamed = _Blaming(record, before).blame(ran)
    causes, steps = gather_causes(record, blamed)
    return Explanation(
        build=record.id,
        started=record.started,
        outcome=record.outcome,
        seconds=record.seconds,
        compared=Comparison(before.id, before.started, before.outcome, why) if before else None,
        causes=causes,
        steps=steps,
        cached=sum(counted(step) and step.cached for step in record.steps),
        notes=notes if ran else (),
    )


class _Blaming:
    """Finds for each step that ran its reasons, and how it hangs together with them."""

    def __init__(self, record: BuildRecord, before: BuildRecord) -> None:
        self.record = record
        self.before = before
        self.parents = parents(record)
        self.changes = Changes(record, before)
        self.found: dict[int, Blame] = {}
        # On a builder that had nothing, all ran for that alone.
        self.from_nothing = bool(builder_differs(before, record)) and not imported(record)

    def blame(self, ran: list[int]) -> dict[int, Blame]:
        """Go through the steps in the order in which they started, what they build on first."""
        for number in ran:
            if reasons := tuple(dict.fromkeys(self.changes.direct(number))):
                self.found[number] = (reasons, Relation.DIRECT)
        for number in ran:
            if number in self.found:
                continue
            if reason := self._of_parents(number):
                self.found[number] = ((reason,), Relation.AFTER)
            elif reason := self.changes.below(number):
                self.found[number] = ((reason,), Relation.DIRECT)
        left = [number for number in ran if number not in self.found]
        needed = self._needed(left)
        unchanged: dict[int, Blame] = {}
        for number in left:
            unchanged[number] = self._unchanged(number, needed.get(number), unchanged)
        return {**self.found, **unchanged}

    def _of_parents(self, number: int) -> Reason | None:
        """Blame what a step that it builds on ran for; before others, one that it executes on."""
        step = self.record.steps[number]
        taken = stages_taken(step)
        candidates = []
        for one in self.parents[number]:
            stage = self.record.steps[one].stage
            by_content = stage in taken and stage != step.stage
            if one not in self.found or (by_content and self.changes.writes_the_same(stage, step)):
                continue
            candidates.append((by_content, -one, self.found[one][0][0]))
        return min(candidates)[-1] if candidates else None

    def _needed(self, left: list[int]) -> dict[int, int]:
        """Map steps to those, with a change, that could not run without them."""
        found: dict[int, int] = {}
        for one in () if self.from_nothing else sorted(self.found):
            todo = list(self.parents[one])
            while todo:
                parent = todo.pop()
                if parent in left and parent not in found:
                    found[parent] = one
                    todo += self.parents[parent]
        return found

    def _unchanged(self, number: int, needed_by: int | None, unchanged: dict[int, Blame]) -> Blame:
        """Say why a step ran about which nothing has changed, as far as is known."""
        for one in self.parents[number]:
            if one in unchanged and unchanged[one][0][0].kind is CauseKind.UNKNOWN:
                return unchanged[one][0], Relation.AFTER
        step = self.record.steps[number]
        if self.before.outcome != "succeeded" and not any(
            same_step(one, step) and is_done(one) for one in self.before.steps
        ):
            return (self._unfinished(),), Relation.DIRECT
        if needed_by is not None:
            return (self.found[needed_by][0][0],), Relation.NEEDED
        if not self.from_nothing and (missing := self.changes.missing(step)):
            reason = Reason(CauseKind.UNKNOWN, missing, (Detail(f"not known: {missing}"),))
            return (reason,), Relation.DIRECT
        reason = cache_reason(self.before, self.record, self.changes.settings)
        return (reason,), Relation.DIRECT

    def _unfinished(self) -> Reason:
        error = (self.before.error or "").strip().partition("\n")[0]
        how = "was interrupted" if self.before.outcome == "interrupted" else "failed"
        text = f"the build before ({self.before.id}) {how} before this was done"
        return Reason(CauseKind.UNFINISHED, "", (Detail(text + (f": {error}" if error else "")),))
