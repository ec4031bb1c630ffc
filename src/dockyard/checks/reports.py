"""Verdicts as a table, JSON, JUnit's XML, GitHub's job summary and annotations. Pure.

JUnit's form is what two schemas have in common: that of Jenkins (xunit plugin, ``junit-10.xsd``)
and the older one of Ant (github.com/windyroad/JUnit-Schema), which is the stricter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from dockyard.checks.catalogue import Check
from dockyard.checks.progress import SIGNS
from dockyard.checks.verdicts import Finding, Outcome, Verdict
from dockyard.display.format import format_seconds, shorten, strip_control
from dockyard.display.github import escape_data, escape_property
from dockyard.display.tables import columns

__all__ = [
    "annotation_lines",
    "check_list",
    "job_summary",
    "junit",
    "table_lines",
    "verdicts_json",
]

SCHEMA = 1
SHOWN_FINDINGS = 10
NARROWEST = 20
SUITE = "dockyard check"
# What XML 1.0 cannot hold (section 2.2), and the controls that it may but should not.
_NOT_XML = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def table_lines(verdicts: Sequence[Verdict], width: int | None) -> list[str]:
    """Lay the verdicts out as a table, then say what is wrong, and what to do about each."""
    headings = ("", "check", "time", "figure")
    longest = max((len(one.name) for one in verdicts), default=0)
    room = None if width is None else max(width - longest - 18, NARROWEST)
    rows = [
        (
            SIGNS[one.outcome],
            one.name,
            format_seconds(one.seconds),
            _clean(one.figure) if room is None else shorten(_clean(one.figure), room),
        )
        for one in verdicts
    ]
    lines = columns(headings, rows, right=(2,))
    for one in verdicts:
        lines += _details(one)
    counted = {outcome: sum(one.outcome is outcome for one in verdicts) for outcome in Outcome}
    lines += ["", ", ".join(f"{count} {outcome}" for outcome, count in counted.items() if count)]
    return lines


def _details(verdict: Verdict) -> Iterator[str]:
    if not verdict.findings and not verdict.notes:
        return
    yield ""
    outcome = "" if verdict.outcome is Outcome.PASSED else f" {verdict.outcome}"
    yield f"{SIGNS[verdict.outcome]} {verdict.name}{outcome}"
    for finding in verdict.findings[:SHOWN_FINDINGS]:
        first, *rest = _clean(str(finding)).split("\n")
        yield f"  {first}"
        yield from (f"    {line}" for line in rest)
    if len(verdict.findings) > SHOWN_FINDINGS:
        yield f"  and {len(verdict.findings) - SHOWN_FINDINGS} more"
    for note in verdict.notes:
        yield f"  note: {_clean(note)}"
    if verdict.fix:
        yield f"  → {_clean(verdict.fix)}"


def _clean(text: str) -> str:
    return "\n".join(strip_control(line) for line in text.split("\n"))


def verdicts_json(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Return the verdicts as JSON values; ``passed`` is whether all of them did."""
    return {
        "schema": SCHEMA,
        "passed": all(one.outcome is Outcome.PASSED for one in verdicts),
        "checks": [one.as_json() for one in verdicts],
    }


def check_list(checks: Mapping[str, Check]) -> list[str]:
    """List the checks with what they assert."""
    rows = [
        (one.name, one.asserts + (" (optional: --also)" if one.optional else ""))
        for one in checks.values()
    ]
    return columns(("check", "asserts that"), rows)


def _xml(text: str) -> str:
    return _NOT_XML.sub("", _clean(text))


def _report(verdict: Verdict) -> str:
    lines = [verdict.figure, *map(str, verdict.findings), *verdict.notes]
    if verdict.fix:
        lines.append(f"→ {verdict.fix}")
    return "\n".join(lines)


def junit(verdicts: Sequence[Verdict], started: str, host: str) -> str:
    """Render JUnit's XML. ``started`` is ISO 8601 without a zone, as the schema wants it (UTC).

    A check that failed is a failure, one that could not be made an error.
    """
    failed, unknown = (
        sum(one.outcome is outcome for one in verdicts)
        for outcome in (Outcome.FAILED, Outcome.UNKNOWN)
    )
    counts = {
        "tests": str(len(verdicts)),
        "failures": str(failed),
        "errors": str(unknown),
        "time": f"{sum(one.seconds for one in verdicts):.3f}",
    }
    root = ElementTree.Element("testsuites")
    more = {
        "id": "0",
        "package": "dockyard",
        "timestamp": started,
        "hostname": _xml(host) or "localhost",
    }
    suite = ElementTree.SubElement(root, "testsuite", {"name": SUITE, **counts, **more})
    ElementTree.SubElement(suite, "properties")
    for one in verdicts:
        attributes = {
            "name": one.name,
            "classname": "dockyard.check",
            "time": f"{one.seconds:.3f}",
        }
        case = ElementTree.SubElement(suite, "testcase", attributes)
        if one.outcome is Outcome.PASSED:
            continue
        kind = "failure" if one.outcome is Outcome.FAILED else "error"
        told = {"message": _xml(_headline(one)), "type": str(one.outcome)}
        ElementTree.SubElement(case, kind, told).text = _xml(_report(one))
    ElementTree.SubElement(suite, "system-out").text = _xml(
        "\n".join(f"{SIGNS[one.outcome]} {one.name}: {one.figure}" for one in verdicts)
    )
    ElementTree.SubElement(suite, "system-err")
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _headline(verdict: Verdict) -> str:
    first = str(verdict.findings[0]) if verdict.findings else verdict.figure
    return first.partition("\n")[0]


def job_summary(verdicts: Sequence[Verdict]) -> str:
    """Render the verdicts as Markdown for a GitHub Actions job."""
    passed = sum(one.outcome is Outcome.PASSED for one in verdicts)
    lines = [
        f"### Image checks: {passed} of {len(verdicts)} passed",
        "",
        "| | check | figure |",
        "|---|---|---|",
        *(
            f"| {SIGNS[one.outcome]} | {_markdown(one.name)} | {_markdown(one.figure)} |"
            for one in verdicts
        ),
    ]
    for one in verdicts:
        if not one.findings and not one.notes:
            continue
        lines += ["", f"**{_markdown(one.name)}** {one.outcome}", ""]
        lines += [f"- {_markdown(str(finding))}" for finding in one.findings[:SHOWN_FINDINGS]]
        if len(one.findings) > SHOWN_FINDINGS:
            lines.append(f"- and {len(one.findings) - SHOWN_FINDINGS} more")
        lines += [f"- {_markdown(note)}" for note in one.notes]
        if one.fix:
            lines.append(f"- → {_markdown(one.fix)}")
    return "\n".join(lines) + "\n"


def _markdown(text: str) -> str:
    """Write a text in one line in which nothing is Markdown's or HTML's but code between ticks."""
    plain = " ".join(_clean(text.replace("\n", " ")).split())
    return re.sub(r"([\\|<>\[\]*_#])", r"\\\1", plain)


def annotation_lines(verdicts: Sequence[Verdict]) -> list[str]:
    """Render workflow commands that show findings on the lines that they are about."""
    lines = []
    for one in verdicts:
        if one.outcome is Outcome.FAILED:
            lines += [_annotation("error", one.name, finding) for finding in one.findings]
        elif one.outcome is Outcome.UNKNOWN:
            lines.append(_annotation("warning", one.name, Finding(one.figure)))
    return lines


def _annotation(command: str, name: str, finding: Finding) -> str:
    properties = [f"title={escape_property(f'dockyard check: {name}')}"]
    if finding.file:
        properties.insert(0, f"file={escape_property(finding.file)}")
        if finding.line:
            properties.insert(1, f"line={finding.line}")
    return f"::{command} {','.join(properties)}::{escape_data(_clean(finding.message))}"
