"""A Dockerfile's text as stages and instructions, as far as Dockyard has to understand one.

Follows https://docs.docker.com/reference/dockerfile/ : comments, the ``escape`` directive, line
continuation and here-documents. Nothing is expanded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "Instruction",
    "Stage",
    "executed_after_linked_copy",
    "parse_dockerfile",
    "parse_instructions",
]

# A whole word that is one (BuildKit, ``frontend/dockerfile/parser/parser.go``, ``reHeredoc``).
_HEREDOC = re.compile(r"\d*<<(-?)\s*([^<]*)", re.DOTALL)
# What a word is made of (BuildKit, ``frontend/dockerfile/shell/lex.go``): quoted, escaped, a
# variable in braces, "<<" with the blanks after it, or one more character.
_PIECE = re.compile(
    r"""'[^']*'|"(?:[^"\\]|\\.)*"|\\.|\$\{[^}]*\}|<<\s*|\\\Z|(?!['"]|\$\{)\S""", re.DOTALL
)
_TAKES_HEREDOC = ("ADD", "COPY", "RUN")
# What runs a process, or reads the files below it, and so needs every layer under it.
_EXECUTING = ("ADD", "COPY", "RUN", "WORKDIR", "ONBUILD")


@dataclass(frozen=True)
class Instruction:
    """One instruction: its upper-case keyword, the text after it, its first line (from 1)."""

    keyword: str
    text: str
    line: int
    heredocs: tuple[str, ...] = ()

    @property
    def flags(self) -> tuple[str, ...]:
        """The ``--flag`` words before the first argument."""
        words = self.text.split()
        count = next((n for n, word in enumerate(words) if not word.startswith("--")), len(words))
        return tuple(words[:count])

    @property
    def linked(self) -> bool:
        """Whether this is a ``COPY --link`` (or ``ADD --link``) that BuildKit really links.

        ``--chmod`` silently undoes linking (BuildKit, ``dockerfile2llb/convert_copy.go``).
        """
        link = any(flag in ("--link", "--link=true") for flag in self.flags)
        return link and not any(flag.startswith("--chmod") for flag in self.flags)


@dataclass(frozen=True)
class Stage:
    """One ``FROM`` and what follows it; ``name`` is None for an unnamed stage."""

    name: str | None
    base: str
    line: int
    instructions: tuple[Instruction, ...]


def _heredocs(text: str) -> list[tuple[str, bool]]:
    """Name the here-documents of a line, and tell whether leading tabs are left out (``<<-``).

    A line with a quote that is not closed has none.
    """
    words: list[list[str]] = [[]]
    position = 0
    while position < len(text):
        if text[position].isspace():
            words.append([])
            position += 1
            continue
        piece = _PIECE.match(text, position)
        if piece is None:
            return []
        words[-1].append(piece[0])
        position = piece.end()
    found = []
    for word in words:
        match = _HEREDOC.fullmatch("".join(word))
        if match and (name := _without_quotes(match[2])):
            found.append((name, match[1] == "-"))
    return found


def _without_quotes(word: str) -> str:
    pieces = []
    for piece in _PIECE.findall(word):
        quoted = piece[0] in "'\""
        pieces.append(piece[1:-1] if quoted else piece.removeprefix("\\"))
    return "".join(pieces)


def parse_instructions(text: str) -> list[Instruction]:
    """List all instructions in order, those before the first ``FROM`` too."""
    escape = "\\"
    directive = re.match(r"\s*#\s*escape\s*=\s*(`|\\)\s*$", text.split("\n", 1)[0], re.IGNORECASE)
    if directive:
        escape = directive[1]
    lines = text.replace("\r\n", "\n").split("\n")
    found: list[Instruction] = []
    position = 0
    while position < len(lines):
        start = position
        parts: list[str] = []
        while position < len(lines):
            line = lines[position].strip()
            position += 1
            if line.startswith("#") or (not line and parts):
                continue
            parts.append(line.removesuffix(escape).rstrip())
            if not line.endswith(escape):
                break
        keyword, _, rest = " ".join(filter(None, parts)).strip().partition(" ")
        if not keyword:
            continue
        heredocs = []
        first, _, after = rest.strip().partition(" ")
        what, words = (first, after) if keyword.upper() == "ONBUILD" else (keyword, rest)
        if what.upper() in _TAKES_HEREDOC:
            for name, without_tabs in _heredocs(words):
                content = []
                while position < len(lines):
                    line = lines[position]
                    position += 1
                    if (line.lstrip("\t") if without_tabs else line) == name:
                        break
                    content.append(line)
                heredocs.append("\n".join(content) + "\n")
        while start < position and (
            not lines[start].strip() or lines[start].strip().startswith("#")
        ):
            start += 1
        found.append(Instruction(keyword.upper(), rest.strip(), start + 1, tuple(heredocs)))
    return found


def parse_dockerfile(text: str) -> tuple[Stage, ...]:
    """Split a Dockerfile into its stages; instructions before the first ``FROM`` are left out."""
    stages: list[Stage] = []
    for instruction in parse_instructions(text):
        if instruction.keyword == "FROM":
            words = instruction.text.split()[len(instruction.flags) :]
            named = len(words) >= 3 and words[1].upper() == "AS"
            base = words[0] if words else ""
            stages.append(Stage(words[2] if named else None, base, instruction.line, ()))
        elif stages:
            stage = stages[-1]
            stages[-1] = Stage(
                stage.name, stage.base, stage.line, (*stage.instructions, instruction)
            )
    return tuple(stages)


def executed_after_linked_copy(stage: Stage) -> Sequence[Instruction]:
    """Return the instructions of a stage that execute on top of its first linked COPY.

    Each of them makes every build fetch the layers below it, cached or not: BuildKit can merge
    linked layers into an image unseen, but must have the files to run something on them.
    """
    linked = False
    offending = []
    for instruction in stage.instructions:
        if instruction.linked:
            linked = True
        elif linked and instruction.keyword in _EXECUTING:
            offending.append(instruction)
    return offending
