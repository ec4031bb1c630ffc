"""The repository's Markdown, read as GitHub reads it: headings, links, code, commands."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

__all__ = ["Block", "Document", "commands_of", "documents"]

# The info string's first word is what GitHub highlights by; the rest it does not show.
RUN = "run"
SHELLS = ("bash", "console", "sh")
PROGRAMS = ("invoke", "dockyard")
# What stands before a program of ours without being a part of its command line.
BEFORE = (("$",), ("./bootstrap",), ("uvx",), ("uv", "run"))


@dataclass(frozen=True)
class Block:
    """A fenced block: its info string, its text, and its first line in the file."""

    info: str
    text: str
    line: int

    @property
    def language(self) -> str:
        """The word that it is highlighted by."""
        return self.info.partition(" ")[0]

    @property
    def runs(self) -> bool:
        """Whether a test executes it."""
        return RUN in self.info.split()[1:]


class Document:
    """One file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text(encoding="utf-8")

    @cached_property
    def tokens(self) -> list[Token]:
        """Its blocks, in order."""
        return MarkdownIt("commonmark").enable("table").parse(self.text)

    @cached_property
    def inlines(self) -> list[Token]:
        """What is inside of paragraphs, headings, cells and items."""
        return [
            child for token in self.tokens if token.children is not None for child in token.children
        ]

    @property
    def blocks(self) -> list[Block]:
        """Its fenced blocks."""
        return [
            Block(token.info.strip(), token.content, token.map[0] + 1 if token.map else 0)
            for token in self.tokens
            if token.type == "fence"
        ]

    @property
    def code(self) -> list[str]:
        """Its code within lines."""
        return [token.content for token in self.inlines if token.type == "code_inline"]

    @property
    def headings(self) -> list[tuple[int, str]]:
        """Level and text of each heading."""
        return [
            (
                int(opened.tag[1:]),
                "".join(child.content for child in inline.children or () if child.content),
            )
            for opened, inline in zip(self.tokens, self.tokens[1:], strict=False)
            if opened.type == "heading_open"
        ]

    @property
    def anchors(self) -> set[str]:
        """The anchors that GitHub gives its headings."""
        found: dict[str, int] = {}
        for _, text in self.headings:
            slug = _slug(text)
            found[slug] = found.get(slug, -1) + 1
        return {
            f"{slug}-{number}" if number else slug
            for slug, count in found.items()
            for number in range(count + 1)
        }

    @property
    def targets(self) -> list[str]:
        """Where its links and pictures lead, HTML's included."""
        found = [
            str(token.attrGet(name))
            for token in self.inlines
            for kind, name in (("link_open", "href"), ("image", "src"))
            if token.type == kind
        ]
        html = [token.content for token in self.tokens if token.type == "html_block"]
        html += [token.content for token in self.inlines if token.type == "html_inline"]
        found += re.findall(r'\b(?:href|src|srcset)="([^"]+)"', "\n".join(html))
        return [unquote(one) for one in found]

    @property
    def tables(self) -> list[tuple[int, int]]:
        """Rows and columns of each table, its head counted."""
        found: list[tuple[int, int]] = []
        for token in self.tokens:
            if token.type == "table_open":
                found.append((0, 0))
            elif token.type == "tr_open":
                found[-1] = (found[-1][0] + 1, 0)
            elif token.type in ("td_open", "th_open"):
                found[-1] = (found[-1][0], found[-1][1] + 1)
        return found

    @property
    def commands(self) -> list[list[str]]:
        """Each command line of ours in it, without what stands before the program."""
        lines = list(self.code)
        for block in self.blocks:
            if block.language in SHELLS:
                lines += re.sub(r"\\\n\s*", " ", block.text).splitlines()
            # Advice names commands in backquotes; a workflow has them behind keys and dashes.
            lines += re.findall(r"`([^`\n]+)`", block.text)
            lines += re.findall(r"^\s*(?:- |run: )+(.+)$", block.text, re.MULTILINE)
        return [command for line in lines for command in commands_of(line)]


def commands_of(line: str) -> Iterator[list[str]]:
    """List the command lines of ours in a shell line."""
    for part in re.split(r"&&|\|\||[;|]", line):
        try:
            words = shlex.split(part, comments=True)
        except ValueError:
            continue
        while words and re.fullmatch(r"[A-Z][A-Z0-9_]*=.*", words[0]):
            words = words[1:]
        for before in BEFORE:
            if tuple(words[: len(before)]) == before:
                words = words[len(before) :]
        if words and words[0] in PROGRAMS and _is_command(words):
            yield words


def _is_command(words: Sequence[str]) -> bool:
    """Whether it is more than the program's name, or a line with words left out."""
    return len(words) > 1 and "…" not in words


def _slug(text: str) -> str:
    """Return a heading's anchor: letters, digits, “-” and “_” in lower case, “-” for a space."""
    kept = (
        one
        for one in text.strip().lower()
        if one in "-_ " or unicodedata.category(one)[0] in ("L", "N", "M")
    )
    return "".join(kept).replace(" ", "-")


def documents(repository: Path) -> list[Path]:
    """List the pages that people read: the READMEs and what is below ``docs``."""
    return [*sorted(repository.glob("README*.md")), *sorted(repository.glob("docs/**/*.md"))]
