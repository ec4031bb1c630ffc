"""What checks make of a Dockerfile's text, and of what its linters print."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from dockyard.checks import Finding, Outcome, Workbench, dockerfile, lint
from dockyard.checks.dockerfile import check_lint, final_base, unpinned_bases, what_varies
from dockyard.checks.lint import IGNORED, parse_buildkit, parse_hadolint, without_copied_texts
from dockyard.dockerfile_syntax import parse_dockerfile
from dockyard.errors import CheckUnavailableError
from support.settings import make_settings

DIGEST = "@sha256:" + "0" * 64
PATH = "docker/Dockerfile"


# -------------------- base images


def test_images_without_a_digest_are_listed_once_with_their_line() -> None:
    text = (
        "ARG BASE=python:3.13\nARG UV\nFROM ${UV} AS tool\nFROM ${BASE} AS one\n"
        "FROM one AS two\nCOPY --from=tool /uv /uv\nCOPY --from=0 /a /b\n"
        "RUN --mount=type=bind,from=busybox:1,source=/x,target=/x true\n"
        "FROM ${BASE}\nFROM scratch\n"
    )
    count, unpinned = unpinned_bases(parse_dockerfile(text), text, {"UV": f"uv:1{DIGEST}"})
    assert count == 3
    assert unpinned == [(4, "python:3.13"), (8, "busybox:1")]


def test_the_final_stage_is_followed_to_its_image() -> None:
    text = "ARG A=python:3\nFROM ${A} AS one\nFROM one AS two\nFROM two\n"
    assert final_base(parse_dockerfile(text), text, {}) == "python:3"
    assert final_base(parse_dockerfile(text), text, {"A": "mine:4"}) == "mine:4"
    assert final_base(parse_dockerfile("FROM scratch\n"), "", {}) is None
    assert final_base(parse_dockerfile("FROM ${B:-x:1}\n"), "", {}) == "x:1"


# -------------------- times and random values


@pytest.mark.parametrize(
    ("run", "what"),
    [
        ("RUN date > /stamp", "date"),
        ("RUN --mount=type=cache,target=/x date > /stamp", "date"),
        ("RUN make && date -u +%s > /stamp", "date"),
        ('RUN echo "built $(date)" > /stamp', "date"),
        ("RUN echo `date` > /stamp", "date"),
        ("RUN uuidgen > /id", "uuidgen"),
        ("RUN echo $RANDOM > /id", "$RANDOM"),
        ("RUN head -c 16 /dev/urandom > /key", "/dev/urandom"),
        ("RUN <<EOF\nset -e\ndate > /stamp\nEOF", "date"),
        ("RUN apt-get update", None),
        ("RUN date -d @$SOURCE_DATE_EPOCH > /stamp", None),
        ("RUN touch --date=@0 /x && echo a date", None),
        ("RUN date -d @0 > /stamp", None),
        ("COPY date /stamp", None),
        ("RUN pip install python-dateutil date", None),
    ],
)
def test_a_step_that_makes_something_else_each_time_is_known(run: str, what: str | None) -> None:
    (stage,) = parse_dockerfile(f"FROM x\n{run}\n")
    assert what_varies(stage.instructions[0]) == what


# -------------------- BuildKit's checks


def test_buildkits_warnings_come_with_their_lines_but_for_rules_of_other_checks() -> None:
    warning = {
        "ruleName": "StageNameCasing",
        "description": "Stage names should be lowercase",
        "detail": "Stage name 'A' should be lowercase",
        "location": {"ranges": [{"start": {"line": 3}, "end": {"line": 3}}]},
    }
    ignored = {**warning, "ruleName": "SecretsUsedInArgOrEnv"}
    nowhere = {"ruleName": "X", "description": "said"}
    answer = json.dumps({"warnings": [warning, ignored, nowhere]})
    found = parse_buildkit(answer, "", PATH)
    assert [(one.message, one.line) for one in found] == [
        ("StageNameCasing: Stage name 'A' should be lowercase", 3),
        ("X: said", None),
    ]
    assert parse_buildkit("{}", "", PATH) == ()


def test_a_dockerfile_that_cannot_be_parsed_is_a_finding() -> None:
    said = "ERROR: failed to solve: dockerfile parse error on line 12: unknown instruction: RUNN"
    (found,) = parse_buildkit("", f"#1 noise\n{said}\n", PATH)
    assert found.line == 12
    assert found.file == PATH


def test_a_buildx_that_has_no_checks_is_no_finding() -> None:
    with pytest.raises(CheckUnavailableError, match="unknown flag"):
        parse_buildkit("", "ERROR: unknown flag: --call", PATH)


# -------------------- hadolint


def test_hadolints_errors_and_warnings_count_and_ignored_rules_have_a_reason() -> None:
    answer = [
        {"code": "DL3045", "level": "warning", "line": 4, "message": "COPY to a relative path"},
        {"code": "DL3059", "level": "info", "line": 5, "message": "consecutive RUN"},
        {"code": "DL3002", "level": "warning", "line": 6, "message": "root"},
    ]
    findings = parse_hadolint(answer, PATH)
    assert [str(one) for one in findings] == [f"{PATH}, line 4: DL3045: COPY to a relative path"]
    assert all(IGNORED.values())


def test_what_hadolint_does_not_understand_is_said_and_no_finding() -> None:
    answer = [{"code": "DL1000", "level": "error", "line": 9, "message": "unexpected\n'C'"}]
    with pytest.raises(CheckUnavailableError, match=r"line 9\n.*unexpected 'C'"):
        parse_hadolint(answer, PATH)


@pytest.mark.parametrize("missing", ["buildkit_findings", "hadolint_findings"])
def test_one_linter_that_is_missing_is_said_and_fails_nothing(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(_: object) -> tuple[Finding, ...]:
        raise CheckUnavailableError("it is not installed", hint="install it")

    for name in ("buildkit_findings", "hadolint_findings"):
        monkeypatch.setattr(dockerfile, name, lambda _: ())
    monkeypatch.setattr(dockerfile, missing, unavailable)
    verdict = check_lint(Workbench(make_settings(), {}, io.StringIO()))
    assert verdict.outcome is Outcome.PASSED
    assert verdict.notes[0].startswith("could not check with ")
    assert verdict.notes[0].endswith("it is not installed: install it")
    monkeypatch.setattr(dockerfile, "buildkit_findings", unavailable)
    monkeypatch.setattr(dockerfile, "hadolint_findings", unavailable)
    with pytest.raises(CheckUnavailableError):
        check_lint(Workbench(make_settings(), {}, io.StringIO()))


def test_hadolint_is_found_beside_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert lint.find_hadolint() is None
    (tmp_path / "hadolint").write_text("")
    assert lint.find_hadolint() == str(tmp_path / "hadolint")


def test_texts_of_copied_files_are_blanked_and_no_line_moves() -> None:
    text = (
        "FROM x\nCOPY --chmod=0755 <<'ONE' /a\nRUN not an instruction\nONE\n"
        'COPY <<-"TWO" /b\n\tFROM y\n\tTWO\nRUN <<EOF\necho kept\nEOF\nCOPY a b\n'
    )
    blanked = without_copied_texts(text).split("\n")
    assert len(blanked) == len(text.split("\n"))
    assert blanked[:7] == [
        "FROM x",
        "COPY --chmod=0755 text /a",
        "#",
        "#",
        "COPY text /b",
        "#",
        "#",
    ]
    assert blanked[7:] == ["RUN <<EOF", "echo kept", "EOF", "COPY a b", ""]
    assert without_copied_texts("COPY <<ONE /a\nnever ended") == "COPY text /a\n#"
