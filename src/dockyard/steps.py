"""What a BuildKit vertex is, told from its name.

The Dockerfile frontend names vertices ``[platform stage n/m] INSTRUCTION`` (BuildKit,
``frontend/dockerfile/dockerfile2llb/convert.go``, ``prefixCommand``); the exporters, importers and
buildx itself have names of their own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["StepKind", "StepName", "parse_step_name"]


class StepKind(StrEnum):
    """What a vertex does.

    ``merge`` is the second vertex of each linked copy, which lays the copied layer over the base
    and moves nothing; ``file`` is any other file operation (WORKDIR, ADD, MKDIR).
    """

    INTERNAL = "internal"
    CONTEXT = "context"
    IMAGE = "image"
    COPY = "copy"
    RUN = "run"
    FILE = "file"
    MERGE = "merge"
    EXPORT = "export"
    CACHE_IMPORT = "cache-import"
    CACHE_EXPORT = "cache-export"
    AUTH = "auth"
    OTHER = "other"


@dataclass(frozen=True)
class StepName:
    """A vertex's name taken apart; ``number`` of ``total`` within the stage, from 1."""

    kind: StepKind
    instruction: str
    stage: str | None = None
    platform: str | None = None
    number: int | None = None
    total: int | None = None


_STAGED = re.compile(
    r"\[(?:(?P<platform>[a-z0-9]+/[a-z0-9_/.]+)(?:->[a-z0-9_/.]+)? +)?"
    r"(?:(?P<stage>[^\s\]]+) +)?(?P<number>\d+)/(?P<total>\d+)\] +(?P<instruction>.*)",
    re.DOTALL,
)
_BRACKETED = re.compile(
    r"\[(?P<what>internal|auth|context [^\]]+|stage-\d+|[^\]]+)\] *(?P<rest>.*)", re.DOTALL
)
_KEYWORDS = {
    "FROM": StepKind.IMAGE,
    "COPY": StepKind.COPY,
    "RUN": StepKind.RUN,
    "LINK": StepKind.MERGE,
    "ADD": StepKind.FILE,
    "WORKDIR": StepKind.FILE,
}


def parse_step_name(name: str) -> StepName:
    """Take a vertex's name apart; a name of no known form is of kind ``other``, whole."""
    staged = _STAGED.fullmatch(name)
    if staged:
        instruction = re.sub(r"\s+", " ", staged["instruction"]).strip()
        keyword = instruction.partition(" ")[0].upper()
        return StepName(
            kind=_KEYWORDS.get(keyword, StepKind.OTHER),
            instruction=instruction,
            stage=staged["stage"],
            platform=staged["platform"],
            number=int(staged["number"]),
            total=int(staged["total"]),
        )
    bracketed = _BRACKETED.fullmatch(name)
    if bracketed:
        what, rest = bracketed["what"], bracketed["rest"]
        if what == "internal":
            kind = StepKind.CONTEXT if "load build context" in rest else StepKind.INTERNAL
            return StepName(kind, rest)
        if what == "auth":
            return StepName(StepKind.AUTH, rest)
        if what.startswith("context "):
            return StepName(StepKind.CONTEXT, f"{what} {rest}".strip())
    lowered = name.lower()
    if lowered.startswith("importing cache"):
        return StepName(StepKind.CACHE_IMPORT, name)
    if lowered.startswith(("exporting cache", "preparing build cache", "writing cache")):
        return StepName(StepKind.CACHE_EXPORT, name)
    if lowered.startswith(("exporting", "pushing", "importing to docker", "resolving provenance")):
        return StepName(StepKind.EXPORT, name)
    return StepName(StepKind.OTHER, name)
