"""Verdicts as a table, JSON, JUnit's XML, GitHub's summary and annotations."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from dockyard.checks import CHECKS, Finding, Outcome, Verdict
from dockyard.checks.reports import (
    annotation_lines,
    check_list,
    job_summary,
    junit,
    table_lines,
    verdicts_json,
)
from dockyard.checks.verdicts import judge

PASSED = Verdict("lock", Outcome.PASSED, "3 packages", notes=("a stand-in is used",), seconds=1.5)
HOSTILE = "\x1b[31mred\x00 <b>|bold|</b> & ]]>\ud800\n::error::not ours 100%"
FAILED = judge(
    "linked-copies",
    [
        Finding("RUN executes: late, 100%", 7, "docker/Dockerfile"),
        *(Finding(HOSTILE) for _ in range(11)),
    ],
    "2 linked copies",
    "move it",
)
UNKNOWN = Verdict("smoke", Outcome.UNKNOWN, "no engine answers", (Finding("no engine answers"),))
ALL = (PASSED, FAILED, UNKNOWN)


def test_the_table_says_it_all_and_the_details_what_to_do() -> None:
    lines = table_lines(ALL, None)
    assert lines[:4] == [
        "   check            time  figure",
        "✓  lock           1.50 s  3 packages",
        "✗  linked-copies  0.00 s  2 linked copies",
        "?  smoke          0.00 s  no engine answers",
    ]
    assert lines[5:10] == [
        "✓ lock",
        "  note: a stand-in is used",
        "",
        "✗ linked-copies failed",
        "  docker/Dockerfile, line 7: RUN executes: late, 100%",
    ]
    assert "  and 2 more" in lines
    assert "  → move it" in lines
    assert lines[-1] == "1 passed, 1 failed, 1 could not check"
    assert not any("\x1b" in line or "\x00" in line for line in lines)


def test_a_narrow_terminal_shortens_figures_alone() -> None:
    long = Verdict("lock", Outcome.PASSED, "x" * 200)
    assert max(map(len, table_lines([long], 60))) <= 60
    assert "x" * 200 in table_lines([long], None)[1]


def test_json_tells_whether_all_passed() -> None:
    values = json.loads(json.dumps(verdicts_json([PASSED])))
    assert values["passed"] is True
    assert values["checks"][0]["outcome"] == "passed"
    values = verdicts_json(ALL)
    assert values["passed"] is False
    assert values["checks"][1]["findings"][0] == {
        "message": "RUN executes: late, 100%",
        "line": 7,
        "file": "docker/Dockerfile",
    }
    assert values["checks"][2]["outcome"] == "could not check"


def test_junit_counts_and_holds_nothing_that_xml_cannot() -> None:
    text = junit(ALL, "2026-01-02T03:04:05", "host\x07name")
    root = ElementTree.fromstring(text.encode())
    suite = root[0]
    assert root.attrib == {}, "Ant's schema allows none"
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "time")} == {
        "tests": "3",
        "failures": "1",
        "errors": "1",
        "time": "1.500",
    }
    assert {"id", "package", "name"} <= {*suite.keys()}
    assert suite.get("timestamp") == "2026-01-02T03:04:05"
    assert suite.get("hostname") == "hostname"
    # The order is the schema's, which is a sequence.
    names = ["properties", "testcase", "testcase", "testcase", "system-out", "system-err"]
    assert [element.tag for element in suite] == names
    passed, failed, unknown = suite.findall("testcase")
    assert len(passed) == 0
    assert failed[0].tag == "failure"
    assert failed[0].get("message") == "docker/Dockerfile, line 7: RUN executes: late, 100%"
    assert "<b>|bold|</b> & ]]>" in (failed[0].text or "")
    assert unknown[0].tag == "error"
    assert not any(ord(sign) < 32 and sign not in "\n\t" for sign in text)
    assert "\ud800" not in text


def test_annotations_stand_on_the_line_and_cannot_be_broken_out_of() -> None:
    lines = annotation_lines(ALL)
    assert lines[0] == (
        "::error file=docker/Dockerfile,line=7,title=dockyard check%3A linked-copies"
        "::RUN executes: late, 100%25"
    )
    assert all(line.startswith(("::error ", "::warning ")) for line in lines)
    assert not any("\n" in line or "\x1b" in line for line in lines)
    assert lines[1].endswith("%0A::error::not ours 100%25")
    assert lines[-1] == "::warning title=dockyard check%3A smoke::no engine answers"
    odd = judge("x", [Finding("m", 1, "a,b:c%\n.file")], "", "")
    assert annotation_lines([odd])[0].startswith("::error file=a%2Cb%3Ac%25%0A.file,line=1,")


def test_the_job_summary_is_a_table_whatever_the_texts_hold() -> None:
    text = job_summary(ALL)
    assert text.startswith("### Image checks: 1 of 3 passed\n")
    assert "| ✗ | linked-copies | 2 linked copies |" in text
    assert "- docker/Dockerfile, line 7: RUN executes: late, 100%" in text
    assert r"\<b\>\|bold\|\</b\>" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("name", CHECKS)
def test_every_check_is_listed_with_what_it_asserts(name: str) -> None:
    line = next(line for line in check_list(CHECKS) if line.split()[0] == name)
    assert CHECKS[name].asserts in line
    assert ("--also" in line) == CHECKS[name].optional
