"""What `invoke doctor` prints: a line for each finding, and below it evidence and fix. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from dockyard.display.format import format_seconds, strip_control
from dockyard.doctor.findings import Finding, Verdict

if TYPE_CHECKING:
    from dockyard.doctor.examination import Examination
    from dockyard.doctor.repairs import Repaired

__all__ = ["finding_lines", "in_colour", "repair_lines", "summary_line"]

SYMBOLS = {Verdict.OK: "✓", Verdict.NOTE: "!", Verdict.UNKNOWN: "?", Verdict.PROBLEM: "✗"}
STYLES = {"✓": "green", "!": "yellow", "?": "blue", "✗": "bold red"}
WORDS = {
    Verdict.PROBLEM: ("problem", "problems"),
    Verdict.NOTE: ("note", "notes"),
    Verdict.UNKNOWN: ("unknown", "unknown"),
    Verdict.OK: ("in order", "in order"),
}
INDENT = " " * 4


def finding_lines(findings: Sequence[Finding]) -> list[str]:
    """Describe each finding; what is in order takes one line."""
    width = max((len(one.topic) for one in findings), default=0)
    lines = []
    for one in findings:
        head = f"{SYMBOLS[one.verdict]} {one.topic:{width}}  {_flat(one.summary)}"
        evidence = _flat(one.evidence)
        if one.verdict is Verdict.OK:
            lines.append(f"{head} ({evidence})" if evidence else head)
            continue
        lines.append(head)
        lines += [f"{INDENT}{evidence}"] if evidence else []
        lines += [f"{INDENT}→ {_flat(one.fix)}"] if one.fix else []
    return lines


def _flat(text: str) -> str:
    return strip_control(" ".join(text.split()))


def summary_line(found: Examination) -> str:
    """Count the verdicts, the worst first."""
    counts = Counter(one.verdict for one in found.findings)
    parts = [
        f"{counts[verdict]} {words[counts[verdict] != 1]}"
        for verdict, words in WORDS.items()
        if counts[verdict]
    ]
    return f"{', '.join(parts)} ({format_seconds(found.seconds)})"


def repair_lines(done: Sequence[Repaired], *, dry_run: bool) -> list[str]:
    """Say what each repair did, or would do."""
    verb = "would do" if dry_run else "did"
    lines = []
    for one in done:
        lines += [f"{verb} {one.repair}: {text}" for text in one.done]
        if one.error:
            lines.append(f"✗ {one.repair} was not repaired: {_flat(one.error)}")
        elif not one.done:
            lines.append(f"{verb} nothing for {one.repair}: it is in order by now")
    return lines or ["nothing that can be repaired without you"]


def in_colour(lines: Sequence[str], stream: TextIO) -> str:
    """Colour each line's symbol where the stream is a terminal; rich itself respects NO_COLOR."""
    if not stream.isatty():
        return "\n".join(lines)
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream, highlight=False)
    with console.capture() as captured:
        for line in lines:
            text = Text(line)
            text.stylize(STYLES.get(line[:1], ""), 0, 1)
            console.print(text, soft_wrap=True)
    return captured.get()
