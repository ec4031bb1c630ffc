"""What the build context holds once ``.dockerignore`` has been applied.

The syntax and its quirks are those of the code that buildx and BuildKit run: ``ignorefile.ReadAll``
and ``PatternMatcher`` of https://github.com/moby/patternmatcher, and ``filter.go`` of
https://github.com/tonistiigi/fsutil. Sizes are bytes as ``stat`` gives them.
"""

from __future__ import annotations

import os
import posixpath
import re
import stat
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dockyard.errors import ProjectError

__all__ = [
    "ContextEntry",
    "ContextListing",
    "Suggestion",
    "list_context",
    "read_dockerignore",
    "suggest",
]

_SECRETS = "**/.env"
# What is never needed at run time wherever it is, and why.
_JUNK = {
    _SECRETS: "it usually holds secrets, which would become part of the image",
    "**/.git": "the repository's history",
    "**/.venv": "a virtual environment of this machine",
    "**/node_modules": "packages that npm installs",
    "**/__pycache__": "bytecode that Python makes again",
    "**/*.py[co]": "bytecode that Python makes again",
    "**/.pytest_cache": "pytest's cache",
    "**/.mypy_cache": "mypy's cache",
    "**/.ruff_cache": "ruff's cache",
    "**/*.egg-info": "metadata that setuptools makes again",
    "**/.ipynb_checkpoints": "Jupyter's backup copies",
    "**/.DS_Store": "a file of macOS's Finder",
}

_CHARACTER = r"(?:\\.|[^\\\]-])"
# The syntax of Go's filepath.Match, which refuses what regular expressions would accept.
_VALID = re.compile(
    rf"(?:[^\[\\]|\\.|\[\^?(?:{_CHARACTER}(?:-{_CHARACTER})?)+\])*", re.DOTALL | re.ASCII
)

_WILDCARDS = re.compile(r"[*?\[\]\\]")
_PARTS = re.compile(r"\*\*/?|\\.|.", re.DOTALL)


@dataclass(frozen=True)
class ContextEntry:
    """A file of the context: its path below the context, with ``/``; a symlink has 0 bytes."""

    path: str
    bytes: int


@dataclass(frozen=True)
class ContextListing:
    """The files of the context by path, and how much ``.dockerignore`` leaves out.

    ``unreadable``: directories below the context that could not be listed.
    """

    entries: tuple[ContextEntry, ...]
    excluded_bytes: int
    excluded_files: int
    unreadable: tuple[str, ...]


@dataclass(frozen=True)
class Suggestion:
    """A line for ``.dockerignore``, and the files and bytes that it alone would leave out."""

    pattern: str
    bytes: int
    files: int
    reason: str


@dataclass(frozen=True)
class _Pattern:
    """One line: ``matches`` takes a whole path, ``includes`` is that of a line with ``!``."""

    text: str
    includes: bool
    matches: Callable[[str], bool]

    def reaches_below(self, folder: str) -> bool:
        """Tell whether it could match something below a folder that it does not match itself."""
        literal = re.split(r"[*?\[\\]", self.text, maxsplit=1)[0]
        below = folder + "/"
        return literal.startswith(below) or (literal != self.text and below.startswith(literal))


def read_dockerignore(context: Path, dockerfile: Path) -> str:
    """Return the text that BuildKit uses: ``<Dockerfile>.dockerignore``, else the context's own.

    Without either it is empty. Raises ProjectError if the file cannot be read.
    """
    for path in (
        dockerfile.with_name(f"{dockerfile.name}.dockerignore"),
        context / ".dockerignore",
    ):
        try:
            return path.read_bytes().decode(errors="surrogateescape")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise ProjectError(f"it cannot be read: {error.strerror}", where=str(path)) from error
    return ""


def list_context(directory: Path, dockerignore: str) -> ContextListing:
    """List the files below a directory that ``dockerignore``, the text, leaves in the context.

    Symbolic links are not followed. Raises ProjectError if the directory
    cannot be listed or a pattern is malformed.
    """
    patterns = _parse(dockerignore)
    rescuers = [pattern for pattern in patterns if pattern.includes]
    entries: list[ContextEntry] = []
    unreadable: list[str] = []
    left_out: list[int] = []
    # None instead of what matched the parent: everything below is left out.
    queue: list[tuple[str, list[bool] | None]] = [("", [False] * len(patterns))]
    for folder, above in queue:  # grows while it is read
        try:
            with os.scandir(directory / folder) as found:
                children = list(found)
        except OSError as error:
            if not folder:
                raise ProjectError(
                    f"it cannot be listed: {error.strerror}", where=str(directory)
                ) from error
            unreadable.append(folder)
            continue
        for child in children:
            path = f"{folder}/{child.name}" if folder else child.name
            excluded, matched = (True, None) if above is None else _decide(patterns, path, above)
            if child.is_dir(follow_symlinks=False):
                lost = excluded and not any(one.reaches_below(path) for one in rescuers)
                queue.append((path, None if lost else matched))
                continue
            size = _size(child)
            if size is None:
                continue
            if excluded:
                left_out.append(size)
            else:
                entries.append(ContextEntry(path, size))
    entries.sort(key=lambda entry: entry.path)
    return ContextListing(tuple(entries), sum(left_out), len(left_out), tuple(sorted(unreadable)))


def suggest(listing: ContextListing, needed: Sequence[str]) -> tuple[Suggestion, ...]:
    """Return the patterns that would make the context smaller, the largest first.

    ``needed``: paths below the context, with wildcards as in ``COPY``. What is outside of them is
    merged into the topmost folder that holds nothing needed; within them only well-known junk is
    named. A file with secrets is named as such wherever it is. Each file counts once.
    """
    wanted = [_compile(path) for path in map(_clean, needed)]
    everything = any(pattern.text == "." for pattern in wanted)
    junk = [_compile(text) for text in _JUNK]
    inside = {
        entry.path
        for entry in listing.entries
        if everything or _first_match(wanted, entry.path) is not None
    }
    kept = {folder for path in inside for folder in _lineage(path)[:-1]}
    kept |= {folder for pattern in wanted for folder in _lineage(pattern.text)[:-1]}
    sizes: dict[tuple[str, str], list[int]] = {}
    for entry in listing.entries:
        known = _first_match(junk, entry.path)
        pattern = known.text if known else None
        if entry.path not in inside and pattern != _SECRETS:
            parts = _lineage(entry.path)
            top = next((part for part in parts if part not in kept), entry.path)
            pattern, reason = _escape(top), "it is not among the paths that the image needs"
        elif pattern:
            reason = _JUNK[pattern]
        else:
            continue
        sizes.setdefault((pattern, reason), []).append(entry.bytes)
    found = [
        Suggestion(pattern, sum(each), len(each), reason)
        for (pattern, reason), each in sizes.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.bytes, one.pattern)))


def _size(entry: os.DirEntry[str]) -> int | None:
    """Return a file's bytes, 0 for what is none; None if it is gone meanwhile."""
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _decide(
    patterns: Sequence[_Pattern], path: str, above: Sequence[bool]
) -> tuple[bool, list[bool]]:
    """Tell whether a path is left out and which patterns matched it or a folder above it.

    A pattern that could not change the outcome is not tried and counts as not matching, also for
    what is below: ``MatchesUsingParentResults`` of moby/patternmatcher does so, and it shows.
    """
    excluded = False
    matched = list(above)
    for number, pattern in enumerate(patterns):
        if not matched[number] and pattern.includes == excluded:
            matched[number] = pattern.matches(path)
        if matched[number]:
            excluded = not pattern.includes
    return excluded, matched


def _parse(text: str) -> list[_Pattern]:
    """Read the lines as ``ignorefile.ReadAll`` does, then as ``patternmatcher.New`` does."""
    patterns = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        pattern = line.strip()
        if line.startswith("#") or not pattern:
            continue
        sign, pattern = ("!", pattern[1:].strip()) if pattern[0] == "!" else ("", pattern)
        if pattern:
            pattern = _clean(pattern)
        # The sign is looked for a second time: BuildKit takes `/!name` for `!name`.
        pattern = _normalize((sign + pattern).strip())
        try:
            patterns.append(_compile(pattern.removeprefix("!"), pattern.startswith("!")))
        except (ValueError, re.error):
            raise ProjectError(
                f"BuildKit does not understand the pattern {line.strip()}",
                where=f".dockerignore, line {number}",
                hint="a lone `!`, an open `[` or a `\\` at the end is an error",
            ) from None
    return patterns


def _clean(path: str) -> str:
    """Return a path relative to the context, without ``.``, ``//`` and a slash at either end."""
    path = _normalize(path)
    return path[1:] if len(path) > 1 and path[0] == "/" else path


def _normalize(path: str) -> str:
    """Return what Go's ``filepath.Clean`` does; it keeps no second slash at the start."""
    return re.sub(r"^//+", "/", posixpath.normpath(path))


def _compile(text: str, includes: bool = False) -> _Pattern:
    """Compile a pattern as ``Pattern.compile`` does; ValueError or re.error if it is malformed."""
    if not text or not _VALID.fullmatch(text):
        raise ValueError(text)
    if not _WILDCARDS.search(text):
        return _Pattern(text, includes, text.__eq__)
    if text.startswith("**") and not _WILDCARDS.search(text, 2):
        suffix = text[2:]
        whole = suffix.removeprefix("/")  # "**/name" is also at the top
        return _Pattern(text, includes, lambda path: path.endswith(suffix) or path == whole)
    if text.endswith("**") and not _WILDCARDS.search(text[:-2]):
        prefix = text[:-2]
        return _Pattern(text, includes, lambda path: path.startswith(prefix))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # "[[" means in Go what it means here
        parts = _PARTS.findall(text)
        last = ".*" if parts[-1] == "**" else _translate(parts[-1])
        expression = re.compile("".join(map(_translate, parts[:-1])) + last, re.ASCII)
    return _Pattern(text, includes, lambda path: expression.fullmatch(path) is not None)


def _translate(part: str) -> str:
    """Return the regular expression of a part; what has a meaning in both stays as it is."""
    if part.startswith("**"):
        return "(?:.*/)?"
    if part in ".+()|{}$":
        return "\\" + part
    return {"*": "[^/]*", "?": "[^/]"}.get(part, part)


def _lineage(path: str) -> list[str]:
    """Return the folders that lead to a path, from the top, and the path itself."""
    parts = path.split("/")
    return ["/".join(parts[: number + 1]) for number in range(len(parts))]


def _first_match(patterns: Sequence[_Pattern], path: str) -> _Pattern | None:
    """Return the pattern that matches the path or the topmost folder above it."""
    return next(
        (one for part in _lineage(path) for one in patterns if one.matches(part)),
        None,
    )


def _escape(path: str) -> str:
    """Write a path as a pattern that matches it alone, or as good as."""
    pattern = re.sub(r"[*?\[\]\\^]|^[!#]", r"\\\g<0>", path)
    # Blanks at either end are cut off, and a name cannot be continued on another line.
    return re.sub(r"^\s|\s\Z|\n", "?", pattern)
