"""Which files of the build context differ between two builds, and which of them a step takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dockyard.display.format import format_bytes, format_count
from dockyard.explain_model import Detail
from dockyard.explain_steps import context_patterns, matches

if TYPE_CHECKING:
    from dockyard.record_parts import FileRecord, StepRecord
    from dockyard.records import BuildRecord

__all__ = ["ContextChanges", "compare_contexts", "takes_context"]


def takes_context(step: StepRecord) -> bool:
    """Whether a step takes files of the build context."""
    return bool(context_patterns(step)[0])


class ContextChanges:
    """The files that changed, were added or removed, by path; ``missing`` says what is not known.

    ``missing`` is empty where both records list every file.
    """

    def __init__(self, changes: dict[str, Detail], missing: str = "") -> None:
        self._changes = changes
        self.missing = missing

    def of(self, step: StepRecord) -> dict[str, Detail]:
        """Return the changes of files that a step takes, by path, the largest first."""
        taken, excluded = context_patterns(step)
        return {
            path: detail
            for path, detail in self.matching(taken).items()
            if not any(matches(path, one) for one in excluded)
        }

    def matching(self, patterns: Iterable[str]) -> dict[str, Detail]:
        """Return the changes of files that any of the patterns names, the largest first."""
        return {
            path: detail
            for path, detail in self._changes.items()
            if any(matches(path, one) for one in patterns)
        }


def _files(record: BuildRecord) -> tuple[dict[str, FileRecord], str]:
    if record.inputs is None:
        return {}, f"the record of {record.id} holds no digests of files (an older schema)"
    reason = (record.inputs.unknown or {}).get("files")
    if reason:
        return {}, f"the files of {record.id} were not recorded: {reason}"
    left_out = record.inputs.files_left_out
    files_are = format_count(left_out, "file is", "files are")
    missing = f"{files_are} not in the record of {record.id}" if left_out else ""
    return {one.path: one for one in record.inputs.files}, missing


def compare_contexts(before: BuildRecord, after: BuildRecord) -> ContextChanges:
    """Compare the build contexts file by file."""
    earlier, missing_before = _files(before)
    later, missing_after = _files(after)
    missing = missing_before or missing_after
    if missing and not (earlier and later):
        return ContextChanges({}, missing)
    found = {}
    for path in earlier.keys() | later.keys():
        old, new = earlier.get(path), later.get(path)
        if old and new:
            if old.digest == new.digest:
                continue
            text, size = f"{path} changed", new.bytes
            if old.bytes != new.bytes:
                text += f" ({format_bytes(old.bytes)} → {format_bytes(new.bytes)})"
        elif missing:
            # The file may be among those that the other record left out.
            continue
        else:
            one = new or old
            text, size = f"{path} {'added' if new else 'removed'}", one.bytes if one else 0
        found[path] = Detail(text, size)
    ordered = sorted(found.items(), key=lambda item: (-(item[1].bytes or 0), item[0]))
    return ContextChanges(dict(ordered), missing)
