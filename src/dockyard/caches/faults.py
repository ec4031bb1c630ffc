"""What went wrong with the caches of a build, read from its trace. Pure.

A cache is a convenience: what is wrong with one is a note, never the build's error, unless the
builder had already taken a step as done whose layer then turned out to be unavailable.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dockyard.trace import BuildTrace, Step

__all__ = [
    "builder_is_stuck",
    "cache_notes",
    "exports_failed",
    "references_not_imported",
    "sources_at_fault",
]

SHOWN = 240

_DIGEST = r"sha256:[0-9a-f]{64}"
# containerd, core/content/helpers.go and plugins/content/local/writer.go
_DAMAGED = re.compile(
    rf"layer-({_DIGEST})\S*: (?:commit failed: )?"
    r"(?:unexpected commit (?:digest|size)|failed size validation)"
)
# containerd, core/remotes/docker (a registry), core/content (a client's folder), and BuildKit,
# cache/remotecache/{s3,azblob,gha}: a blob that the cache names and nobody has.
_UNAVAILABLE = re.compile(
    rf"could not fetch content descriptor {_DIGEST}.* from remote|content {_DIGEST}: not found"
    rf"|failed to copy: httpReadSeeker|ref layer-{_DIGEST}.*unavailable|blob {_DIGEST}.*not found"
    r"|NoSuchKey|BlobNotFound|error loading (?:blob|cache)|unexpected EOF",
    re.IGNORECASE,
)
# Left behind where a step's layer and its base both fail to load. Like a damaged layer that was
# received in part, the builder keeps that until it is restarted (seen with BuildKit 0.32).
_STUCK = re.compile(r'lease "\w+": not found')


def _shortened(text: str) -> str:
    """Take the frame off an error of an importer or exporter, and shorten it."""
    text = re.sub(r"^failed to configure \w+ cache (?:im|ex)porter: ", "", text.strip())
    text = re.sub(r"unexpected status from \w+ request to (\S+): ", r"\1 answers ", text)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _errors(trace: BuildTrace, kind: str) -> Iterable[tuple[Step, str]]:
    for step in trace.steps:
        if str(step.kind) == kind and step.error and "context canceled" not in step.error:
            yield step, step.error


def cache_notes(trace: BuildTrace) -> tuple[str, ...]:
    """Say which caches could not be imported or exported, and why.

    That there is none yet is no fault. Several of the same host that fail alike are one note.
    """
    imports: dict[str, list[str]] = {}
    for step, error in _errors(trace, "cache-import"):
        if re.search(r": not found$|NAME_UNKNOWN|name unknown", error.strip()):
            continue
        name = step.instruction.removeprefix("importing cache manifest from ")
        reason = re.sub(r"/manifests/\S+", "", _shortened(error))
        imports.setdefault(reason, []).append(name)
    notes = []
    for reason, names in imports.items():
        more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
        notes.append(f"the cache {names[0]}{more} could not be imported: {reason}")
    exports = {_shortened(error): step for step, error in _errors(trace, "cache-export")}
    for reason, step in exports.items():
        what = step.instruction.removeprefix("exporting cache to ")
        notes.append(f"the cache could not be exported to {what}: {reason}")
    return tuple(notes)


def exports_failed(trace: BuildTrace, kind: str) -> bool:
    """Whether an export to such a place (``registry``) ended with an error."""
    return any(step.instruction.endswith(kind) for step, _ in _errors(trace, "cache-export"))


def references_not_imported(trace: BuildTrace) -> frozenset[str]:
    """Name the references of registries whose import ended with an error, “not found” included."""
    prefix = "importing cache manifest from "
    return frozenset(
        step.instruction.removeprefix(prefix)
        for step in trace.steps
        if str(step.kind) == "cache-import" and step.error
    )


def _texts(trace: BuildTrace) -> Iterable[str]:
    yield from (step.error for step in trace.steps if step.error)
    yield from trace.noise


def builder_is_stuck(trace: BuildTrace) -> bool:
    """Whether a layer was damaged, which the builder may keep on failing for until restarted."""
    return any(_STUCK.search(text) or _DAMAGED.search(text) for text in _texts(trace))


def sources_at_fault(trace: BuildTrace, cache_from: Sequence[str]) -> tuple[str, ...]:
    """Name the ``--cache-from`` values to do without in a build that failed for a cache's sake.

    Empty where the failure has another cause. All of one kind go together: which of several caches
    in a repository named a blob isn't told, and they share them.
    """
    if not cache_from:
        return ()
    texts = list(_texts(trace))
    at_fault = [text for text in texts if _DAMAGED.search(text) or _UNAVAILABLE.search(text)]
    if not at_fault and not builder_is_stuck(trace):
        return ()
    remote = [text for text in at_fault if re.search(r"from remote|httpReadSeeker", text)]
    from_client = [text for text in at_fault if re.search(rf"content {_DIGEST}: not found", text)]
    registries = tuple(one for one in cache_from if _kind(one) == "registry")
    folders = tuple(one for one in cache_from if _kind(one) == "local")
    if at_fault and len(remote) == len(at_fault) and registries:
        return registries
    if at_fault and len(from_client) == len(at_fault) and folders:
        return folders
    return tuple(cache_from)


def _kind(source: str) -> str:
    match = re.match(r'"?type=(\w+)', source)
    return match[1] if match else "registry"
