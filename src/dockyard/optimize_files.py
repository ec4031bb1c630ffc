"""Proposals about files: the build context, the Dockerfile's order, the install mode. Pure."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from dockyard.context import Suggestion
from dockyard.display.format import format_count
from dockyard.dockerfile_syntax import Instruction, Stage, executed_after_linked_copy
from dockyard.optimize import AddLines, ByHand, Proposal, Safety, SetSetting, WriteFile
from dockyard.records import BuildRecord

__all__ = [
    "SMALL_BYTES",
    "ContextFacts",
    "InstallFacts",
    "context_paths",
    "propose_context",
    "propose_install",
    "propose_order",
]

# Fewer bytes than this are not worth a line of their own in a report.
SMALL_BYTES = 10_000
BUILD_STEPS = re.compile(
    r"\b(?:uv (?:sync|pip)|(?:pip3?|poetry|apt-get|apt|conda|mamba|npm) (?:-\S+ )*install"
    r"|(?:pdm|pipenv) (?:sync|install)|npm ci)\b"
)


@dataclass(frozen=True)
class ContextFacts:
    """What the context holds in vain.

    ``ignore_path`` is the file that BuildKit reads, below the root, ``allowlist`` the text that
    would be written where there is none. ``sure`` is False where something may read the context
    that nobody can list: a build backend, a path with a variable in it.
    """

    ignore_path: str
    exists: bool
    allowlist: str
    suggestions: tuple[Suggestion, ...]
    sure: bool = True


def propose_context(facts: ContextFacts) -> tuple[Proposal, ...]:
    """Propose lines for .dockerignore, with the bytes that each alone leaves out."""
    source = "the files that .dockerignore lets in, now; each time that the context is sent whole"
    if not facts.exists and facts.suggestions:
        files = sum(one.files for one in facts.suggestions)
        return (
            Proposal(
                "context",
                f"write {facts.ignore_path}, which lets in only what the image needs",
                f"{format_count(files, 'file is', 'files are')} in the context "
                "that the image does not need",
                sum(one.bytes for one in facts.suggestions),
                None,
                source,
                Safety.SAFE if facts.sure else Safety.ASKED,
                WriteFile(facts.ignore_path, facts.allowlist),
            ),
        )
    large = [one for one in facts.suggestions if one.bytes >= SMALL_BYTES or "secret" in one.reason]
    small = [one for one in facts.suggestions if one not in large]
    found = [
        Proposal(
            "context",
            f"leave {one.pattern} out ({format_count(one.files, 'file')})",
            one.reason,
            one.bytes,
            None,
            source,
            _context_safety(one, facts.sure),
            AddLines(facts.ignore_path, (one.pattern,)),
        )
        for one in large
    ]
    for safety in (Safety.SAFE, Safety.ASKED):
        group = [one for one in small if _context_safety(one, facts.sure) is safety]
        if group:
            patterns = tuple(one.pattern for one in group)
            counted = format_count(sum(one.files for one in group), "file")
            found.append(
                Proposal(
                    "context",
                    f"leave {_some(patterns)} out ({counted})",
                    "; ".join(dict.fromkeys(one.reason for one in group)),
                    sum(one.bytes for one in group),
                    None,
                    source,
                    safety,
                    AddLines(facts.ignore_path, patterns),
                )
            )
    return tuple(found)


def _context_safety(suggestion: Suggestion, sure: bool) -> Safety:
    # node_modules below a path that is copied may be a front end's, which the image serves.
    if suggestion.pattern == "**/node_modules":
        return Safety.ASKED
    known = "not among" not in suggestion.reason
    return Safety.SAFE if sure or known else Safety.ASKED


def _some(names: Sequence[str], limit: int = 3) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def context_paths(stages: Iterable[Stage]) -> tuple[tuple[str, ...], bool]:
    """List what a Dockerfile reads of the context, and whether that is all.

    COPY and ADD without ``--from``, and bind mounts without ``from``; it is not all where a path
    has a variable in it.
    """
    paths: list[str] = []
    for stage in stages:
        for one in stage.instructions:
            if one.keyword in ("COPY", "ADD") and not _flag(one, "--from"):
                words = _arguments(one)
                paths += [
                    word for word in words[:-1] if not word.startswith("<<") and "://" not in word
                ]
            for mount in re.findall(r"--mount=(\S+)", one.text) if one.keyword == "RUN" else ():
                options = dict(part.partition("=")[::2] for part in mount.split(","))
                kind = options.get("type", "bind")
                if kind == "bind" and "from" not in options:
                    paths.append(options.get("source") or options.get("src") or ".")
    cleaned = [path.removeprefix("./").rstrip("/") or "." for path in paths]
    sure = not any("$" in path for path in cleaned)
    return tuple(dict.fromkeys(path for path in cleaned if "$" not in path)), sure


def _flag(instruction: Instruction, name: str) -> bool:
    return any(flag.partition("=")[0] == name for flag in instruction.flags)


def _arguments(instruction: Instruction) -> list[str]:
    words = instruction.text.split()[len(instruction.flags) :]
    if words and words[0].startswith("["):
        return re.findall(r'"((?:[^"\\]|\\.)*)"', " ".join(words))
    return words


def _copies_everything(instruction: Instruction) -> bool:
    if instruction.keyword not in ("COPY", "ADD") or _flag(instruction, "--from"):
        return False
    return any(word in (".", "./", "/", "*") for word in _arguments(instruction)[:-1])


def _seconds_of(instruction: Instruction, records: Iterable[BuildRecord]) -> float | None:
    """Return the median of how long an instruction took where it ran; None if it never did."""
    wanted = " ".join(f"{instruction.keyword} {instruction.text}".split())
    seconds = [
        step.seconds
        for record in records
        for step in record.steps
        if step.ran and " ".join(step.instruction.split()) == wanted
    ]
    return statistics.median(seconds) if seconds else None


def propose_order(
    path: str, stages: Sequence[Stage], records: Sequence[BuildRecord] = ()
) -> tuple[Proposal, ...]:
    """Name what in a Dockerfile makes builds slow by where it stands. Only a person can move it.

    ``path``: of the Dockerfile; ``records``: of past builds, newest first.
    """
    found: list[Proposal] = []
    image = next((one.image.get("content_bytes") for one in records if one.layers), None)

    def add(one: Instruction, what: str, why: str, advice: str, gain: _Gain) -> None:
        place = f"{path}, line {one.line}"
        change = ByHand(place, advice)
        found.append(
            Proposal("order", f"{place}: {what}", why, *gain.values(), Safety.BY_HAND, change)
        )

    for stage in stages:
        copied: Instruction | None = None
        for one in stage.instructions:
            if copied is None and _copies_everything(one):
                copied = one
            elif copied and one.keyword == "RUN" and BUILD_STEPS.search(_whole(one)):
                add(
                    copied,
                    f"copies everything before the installation in line {one.line}",
                    "any change of any file installs everything again",
                    "copy the lock alone, or mount it, and the rest after the installation",
                    _Gain(None, _seconds_of(one, records), "that step in past builds; per change"),
                )
                break
    if not stages:
        return tuple(found)
    final = stages[-1]
    late = executed_after_linked_copy(final)
    for one in late:
        add(
            one,
            f"{one.keyword} executes after a linked COPY",
            "a builder without these layers fetches all of them to run it, cached or not",
            "move it above the first COPY --link"
            + (", or link it" if one.keyword in ("COPY", "ADD") else ""),
            _Gain(image, None, "the image's compressed bytes; per build on a fresh builder"),
        )
    for one in final.instructions:
        if one.keyword in ("COPY", "ADD") and not one.linked and one not in late:
            undone = _flag(one, "--link") and _flag(one, "--chmod")
            add(
                one,
                f"{one.keyword} is not linked" + (": --chmod undoes --link" if undone else ""),
                "it is made anew, and shipped, whenever a layer below it changes",
                "set the mode in a stage before, without --chmod" if undone else "add --link",
                _Gain(None, None, "not measured"),
            )
    return tuple(found)


@dataclass(frozen=True)
class _Gain:
    bytes: int | None
    seconds: float | None
    source: str

    def values(self) -> tuple[int | None, float | None, str]:
        return self.bytes, self.seconds, self.source


def _whole(instruction: Instruction) -> str:
    return "\n".join((instruction.text, *instruction.heredocs))


@dataclass(frozen=True)
class InstallFacts:
    """How the project gets in, and how it is used.

    ``scripts``: of ``[project.scripts]``. ``modules``: the top-level module that the command
    runs with ``-m``, with the places below the project that the image's Python would find it at,
    none if it would not. ``needs_metadata``: it has entry points that others look up.
    """

    mode: str
    command: tuple[str, ...]
    health_check: tuple[str, ...]
    scripts: tuple[str, ...]
    modules: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    needs_metadata: bool = False
    buildable: bool = True


def propose_install(
    facts: InstallFacts, records: Sequence[BuildRecord] = ()
) -> tuple[Proposal, ...]:
    """Propose the install mode that fits how the project is used."""
    used = [
        command[0]
        for command in (facts.command, facts.health_check)
        if command and command[0] in facts.scripts
    ]
    lost = [name for name, places in facts.modules.items() if not places]
    if facts.mode == "copy" and facts.buildable and (used or lost):
        why = (
            f"the container runs {used[0]}, a command that only an installed project has"
            if used
            else f"no path that is copied has the module {lost[0]}, which the container runs"
        )
        return (
            Proposal(
                "install",
                "install the project as a wheel",
                why,
                None,
                None,
                "read in pyproject.toml and the settings",
                Safety.ASKED,
                SetSetting("install", "wheel"),
            ),
        )
    if facts.mode == "wheel" and not (used or lost or facts.needs_metadata) and facts.modules:
        seconds = [
            sum(step.seconds for step in record.steps if step.stage == "project" and step.ran)
            for record in records
        ]
        built = [one for one in seconds if one]
        return (
            Proposal(
                "install",
                "copy the project's sources instead of building a wheel",
                "the container runs none of its commands, and Python finds its sources as they are",
                None,
                statistics.median(built) if built else None,
                "the stage that builds the wheel, in past builds; per change of the sources"
                if built
                else "not measured: no past build made the wheel",
                Safety.ASKED,
                SetSetting("install", "copy"),
            ),
        )
    return ()
