"""What a BuildKit vertex is, told from its name.

The Dockerfile frontend names vertices ``[platform stage n/m] INSTRUCTION`` (BuildKit,
``frontend/dockerfile/dockerfile2llb/convert.go``, ``prefixCommand``); the exporters, importers and
buildx itself have names of their own.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["StepKind", "StepName", "parse_step_name", "short_instruction"]


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
    """A vertex's name taken apart; ``number`` of ``total`` within the stage, from 1.

    ``platform`` is as BuildKit writes it: the one that the step runs on, and after an arrow the one
    that it builds for where that differs (``linux/amd64->arm64``).
    """

    kind: StepKind
    instruction: str
    stage: str | None = None
    platform: str | None = None
    number: int | None = None
    total: int | None = None


_STAGED = re.compile(
    r"\[(?:(?P<platform>[a-z0-9]+/[a-z0-9_/.]+(?:->[a-z0-9_/.]+)?) +)?"
    r"(?:(?P<stage>[^\s\]]+) +)?(?P<number>\d+)/(?P<total>\d+)\] +(?P<instruction>.*)",
    re.DOTALL,
)
_BRACKETED = re.compile(
    r"\[(?:(?P<platform>[a-z0-9]+/[a-z0-9_/.]+) +)?(?P<what>internal|auth|context [^\]]+)\]"
    r" *(?P<rest>.*)",
    re.DOTALL,
)
# Vertices of BuildKit and buildx themselves, by the beginning of their names in lower case. The
# frontend that a “# syntax” line names is resolved and loaded under the last two.
_PREFIXES = (
    ("importing cache", StepKind.CACHE_IMPORT),
    ("exporting cache", StepKind.CACHE_EXPORT),
    ("exporting inline cache", StepKind.CACHE_EXPORT),
    ("preparing layers for inline cache", StepKind.CACHE_EXPORT),
    ("preparing build cache", StepKind.CACHE_EXPORT),
    ("writing cache", StepKind.CACHE_EXPORT),
    ("exporting", StepKind.EXPORT),
    ("pushing", StepKind.EXPORT),
    ("importing to docker", StepKind.EXPORT),
    ("merging manifest list", StepKind.EXPORT),
    ("resolving provenance", StepKind.EXPORT),
    ("resolve image config for", StepKind.INTERNAL),
    ("docker-image://", StepKind.IMAGE),
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
        what, rest, platform = bracketed["what"], bracketed["rest"], bracketed["platform"]
        if what == "internal":
            kind = StepKind.CONTEXT if "load build context" in rest else StepKind.INTERNAL
            return StepName(kind, rest, platform=platform)
        if what == "auth":
            return StepName(StepKind.AUTH, rest)
        kind = StepKind.INTERNAL if rest == "load .dockerignore" else StepKind.CONTEXT
        return StepName(kind, f"{what} {rest}".strip(), platform=platform)
    lowered = name.lower()
    kind = next((kind for prefix, kind in _PREFIXES if lowered.startswith(prefix)), StepKind.OTHER)
    return StepName(kind, name)


# The flags that say how an instruction works, not what it does (Dockerfile reference).
_HOW = re.compile(
    r"--(?:mount|network|security|link|chmod|chown|parents|exclude|checksum|keep-git-dir)(?:=.*)?"
)


def short_instruction(instruction: str) -> str:
    """Say an instruction in few words: without the flags that only say how, and without digests.

    ``--from`` stays, as it is part of what is copied.
    """
    keyword, *words = instruction.split(" ")
    flags = list(itertools.takewhile(lambda word: word.startswith("--"), words))
    said = [flag for flag in flags if not _HOW.fullmatch(flag)]
    return re.sub(r"@sha256:[0-9a-f]{64}", "", " ".join([keyword, *said, *words[len(flags) :]]))
