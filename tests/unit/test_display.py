"""What a person sees of a build: live, plain, in GitHub's log; with a clock of the test's own."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.console import Console

from dockyard.display import Display, choose_display, display_kind, write_job_summary
from dockyard.display.format import (
    format_bytes,
    format_count,
    format_seconds,
    shorten,
    strip_control,
)
from dockyard.display.github import GithubDisplay, escape_data, escape_property
from dockyard.display.live import LiveDisplay
from dockyard.display.plain import PlainDisplay
from dockyard.display.stages import gather_stages, step_label
from dockyard.trace_reader import TraceReader
from support.transcripts import TRANSCRIPTS, line, log, read, status, trace_of, vertex

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


def play(display: Display, case: str, *, failed: bool = False, every: int = 1) -> None:
    """Show a recorded build at once; a display looks after each of its lines."""
    reader = TraceReader()
    display.begin("service:latest from .")
    lines = (TRANSCRIPTS / f"{case}.jsonl").read_bytes().splitlines(keepends=True)
    for number, one in enumerate(lines):
        reader.feed(one)
        if number % every == 0:
            display.update(reader, number / 1000)
    display.end(reader.trace(), failed=failed)


def plain(case: str, *, failed: bool = False) -> list[str]:
    stream = io.StringIO()
    play(PlainDisplay(stream), case, failed=failed)
    return stream.getvalue().splitlines()


def duration_free(lines: list[str]) -> list[str]:
    return [re.sub(r"[\d.]+ s\b", "N s", one) for one in lines]


# The choice


@pytest.mark.parametrize(
    ("environment", "terminal", "progress", "expected"),
    [
        ({}, True, "auto", "live"),
        ({}, False, "auto", "plain"),
        ({"TERM": "dumb"}, True, "auto", "plain"),
        ({"GITHUB_ACTIONS": "true"}, True, "auto", "github"),
        ({"GITHUB_ACTIONS": "true"}, False, "plain", "plain"),
        ({"BUILDKIT_PROGRESS": "plain"}, True, "auto", "plain"),
        ({"BUILDKIT_PROGRESS": "quiet"}, True, "auto", "quiet"),
        ({"BUILDKIT_PROGRESS": "tty"}, False, "auto", "live"),
        ({"BUILDKIT_PROGRESS": "plain"}, True, "live", "live"),
        ({"BUILDKIT_PROGRESS": "rawjson"}, True, "auto", "live"),
    ],
)
def test_which_display(
    environment: Mapping[str, str], terminal: bool, progress: str, expected: str
) -> None:
    assert display_kind(environment, terminal=terminal, progress=progress) == expected


@pytest.mark.parametrize(
    ("progress", "kind"),
    [
        ("live", LiveDisplay),
        ("plain", PlainDisplay),
        ("quiet", PlainDisplay),
        ("github", GithubDisplay),
    ],
)
def test_the_chosen_display_is_made(progress: str, kind: type) -> None:
    assert type(choose_display(io.StringIO(), {}, progress=progress)) is kind


# Stages


def test_stages_hide_what_is_internal() -> None:
    stages = gather_stages(read("all-cached").steps)
    assert {stage.name for stage in stages} == {
        "load build context",
        "uv-tool",
        "dependency-builder",
        "plan",
        "dependencies-1",
        "app-builder",
        "exporting to image",
    }
    kinds = {step.kind.value for stage in stages for step in stage.steps}
    assert kinds == {"context", "image", "copy", "run", "file", "export"}


def test_stages_of_several_platforms_are_apart() -> None:
    names = {stage.name for stage in gather_stages(read("multi-platform").steps)}
    assert {"linux/arm64 stage-1", "linux/amd64 stage-1", "linux/amd64->arm64 tool"} <= names


def test_labels_say_what_a_step_does() -> None:
    (step,) = trace_of(
        vertex("[dependencies-4 1/1] RUN --mount=type=bind,from=a,target=/b install-layer x", 0)
    ).steps
    assert step_label(step) == "dependencies-4: RUN install-layer x"
    assert step_label(step, 20) == "dependencies-4: RUN…"
    (unnamed,) = trace_of(vertex("[2/2] RUN make", 0)).steps
    assert step_label(unnamed) == "image: RUN make"
    (own,) = trace_of(vertex("exporting to image", 0)).steps
    assert step_label(own) == "exporting to image"


def test_time_of_steps_at_once_counts_once() -> None:
    (stage,) = gather_stages(
        trace_of(vertex("[a 1/2] COPY x /x", 0, 2), vertex("[a 2/2] COPY y /y", 1, 3)).steps
    )
    assert stage.seconds == 3
    assert stage.line() == "a: 2 steps done in 3.00 s"


# Plain


def test_an_unchanged_build_is_one_line_for_each_stage() -> None:
    lines = duration_free(plain("all-cached"))
    assert lines[0] == "building service:latest from ."
    assert sorted(lines[1:]) == [
        "app-builder: cached (4 steps)",
        "dependencies-1: cached",
        "dependency-builder: cached (3 steps)",
        "exporting to image: done in N s",
        "load build context: done in N s, 197 B",
        "plan: cached (3 steps)",
    ]


def test_a_code_change_names_the_one_step() -> None:
    lines = duration_free(plain("code-change"))
    assert "app-builder: COPY src /app/src done in N s, 3 cached" in lines
    assert "dependencies-1: cached" in lines
    assert len(lines) == 7


def test_a_first_build_tells_what_was_downloaded() -> None:
    lines = duration_free(plain("container-load"))
    pulled = [one for one in lines if one.startswith("uv-tool: FROM")]
    assert len(pulled) == 1
    assert re.fullmatch(
        r"uv-tool: FROM 127\.0\.0\.1:5000/uv:0\.13 done in N s, \d+\.\d MB", pulled[0]
    )
    assert all(len(one) < 150 for one in lines)
    assert not any("--mount" in one or "sha256" in one for one in lines)


def test_each_stage_is_told_once() -> None:
    for case in ("container-load", "code-change", "failed-install", "multi-platform"):
        names = [one.partition(":")[0] for one in plain(case)[1:]]
        stages = {stage.name for stage in gather_stages(read(case).steps)}
        for stage in stages:
            assert names.count(stage) <= 1, (case, stage)


def test_an_image_that_is_worked_on_in_spells_is_told_once() -> None:
    """It is resolved first, and pulled only when a step needs it."""
    stream, reader = io.StringIO(), TraceReader()
    display = PlainDisplay(stream)
    name = "[uv-tool 1/1] FROM uv:1"
    reader.feed(vertex(name, 0, 1))
    display.update(reader, 1.0)
    reader.feed(vertex(name, 1.2))
    reader.feed(status(name, "sha256:" + "ab" * 32, 5000, 5000))
    display.update(reader, 1.2)
    reader.feed(vertex(name, 1.2, 3))
    display.update(reader, 3.0)
    assert stream.getvalue() == ""
    display.update(reader, 3.5)
    display.end(reader.trace(), failed=False)
    assert stream.getvalue() == "uv-tool: FROM uv:1 done in 2.80 s, 5.0 kB\n"


def test_a_long_step_is_announced_and_its_end_told() -> None:
    stream, reader = io.StringIO(), TraceReader()
    display = PlainDisplay(stream)
    reader.feed(vertex("[a 1/2] RUN long", 0))
    reader.feed(vertex("[a 2/2] RUN short"))
    display.update(reader, 100.0)
    assert stream.getvalue() == ""
    display.update(reader, 100.9)
    assert stream.getvalue() == ""
    display.update(reader, 101.0)
    display.update(reader, 102.0)
    assert stream.getvalue() == "a: RUN long …\n"
    reader.feed(vertex("[a 1/2] RUN long", 0, 3))
    display.update(reader, 103.0)
    display.update(reader, 103.1)
    reader.feed(vertex("[a 2/2] RUN short", 3, 3.5))
    display.update(reader, 103.5)
    display.end(reader.trace(), failed=False)
    assert stream.getvalue().splitlines() == [
        "a: RUN long …",
        "a: RUN long done in 3.00 s",
        "a: 2 steps done in 3.50 s",
    ]


def test_what_a_killed_build_left_is_not_called_done() -> None:
    stream = io.StringIO()
    display = PlainDisplay(stream)
    trace = trace_of(vertex("[a 1/2] COPY x /x", 0, 1), vertex("[a 2/2] RUN make", 1))
    display.end(trace, failed=True)
    assert stream.getvalue() == "a: RUN make not finished\n"


def test_a_failure_shows_the_log_once_and_fit_for_a_terminal() -> None:
    lines = plain("failed-install", failed=True)
    assert any(
        re.match(r"dependencies-1: RUN install-layer dependencies-1.* failed$", one)
        for one in lines
    )
    start = next(
        number for number, one in enumerate(lines) if one.startswith("the last lines of dependen")
    )
    assert any("Hash mismatch for `large-package==2.0`" in one for one in lines[start:])
    assert not any('"layer"' in one for one in lines)
    assert not any("Hash mismatch" in one for one in plain("failed-install"))


def test_a_failed_import_says_why() -> None:
    (told,) = (one for one in plain("cache-import-failed") if "127.0.0.1:1/" in one)
    assert told.startswith("importing cache manifest from 127.0.0.1:1/service:cache: failed: ")
    assert "connection refused" in told


def test_quiet_shows_a_failure_only() -> None:
    stream = io.StringIO()
    play(PlainDisplay(stream, quiet=True), "all-cached")
    assert stream.getvalue() == ""
    play(PlainDisplay(stream, quiet=True), "failed-step", failed=True)
    assert stream.getvalue().splitlines() == [
        "the last lines of tool: RUN echo service to-output; echo to-errors >&2; exit 7:",
        "    service to-output",
        "    to-errors",
    ]


def test_plain_output_has_no_control_characters() -> None:
    stream, hostile = io.StringIO(), "[a 1/1] RUN \x1b[2Jecho\x07"
    trace = trace_of(
        vertex(hostile, 0, 1, error="\x1b[31mno"), log(hostile, "\x1b]0;title\x07x\x9b31m\n")
    )
    PlainDisplay(stream).end(trace, failed=True)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", stream.getvalue())


# Live


def live(
    *, width: int = 80, height: int = 24, terminal: bool = True, **environment: str
) -> tuple[LiveDisplay, io.StringIO]:
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=width,
        height=height,
        force_terminal=terminal,
        color_system="standard" if terminal and "NO_COLOR" not in environment else None,
        highlight=False,
        legacy_windows=False,
        _environ=environment,
    )
    return LiveDisplay(console), stream


def screen(stream: io.StringIO) -> list[str]:
    """Return the lines that stand on a terminal after what was written to it."""
    lines, row, column = [""], 0, 0
    for token in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", stream.getvalue()):
        if token == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif token == "\r":
            column = 0
        elif move := re.fullmatch(r"\x1b\[(\d*)A", token):
            row -= int(move[1] or 1)
        elif token == "\x1b[2K":
            lines[row] = ""
        elif not token.startswith("\x1b"):
            lines[row] = (
                lines[row][:column].ljust(column) + token + lines[row][column + len(token) :]
            )
            column += len(token)
    return [one.rstrip() for one in lines if one.strip()]


def screen_at(
    display: LiveDisplay, stream: io.StringIO, reader: TraceReader, now: float
) -> list[str]:
    """Update, and return what stands below the first line."""
    display.update(reader, now)
    return screen(stream)[1:]


def test_running_stages_have_a_line_each_and_finished_ones_fold() -> None:
    display, stream = live()
    reader = TraceReader()
    display.begin("service")
    pull, install = "[base 1/2] FROM python:3.13", "[dependencies-1 1/1] RUN --network=none uv pip"
    reader.feed(vertex(pull, 0))
    reader.feed(status(pull, "sha256:" + "ab" * 32, 41_200, 100_000))
    reader.feed(vertex(install, 0, inputs=["x"]))
    reader.feed(vertex("[plan 1/1] COPY a /a", 0, 0, cached=True, inputs=["x"]))
    assert screen_at(display, stream, reader, 50.0) == [
        "▸ base           1/2 FROM python:3.13                   41.2 kB of 100 kB 0.00 s",
        "▸ dependencies-1 1/1 RUN uv pip                                           0.00 s",
        "● 1 cached",
    ]
    reader.feed(log(install, "Resolved 3 packages\nDownloading numpy\n"))
    reader.feed(vertex(pull, 0, 2))
    # An image may be worked on again: it is not called finished at once.
    assert screen_at(display, stream, reader, 62.0)[0].startswith("▸ dependencies-1")
    assert screen_at(display, stream, reader, 62.5) == [
        "✓ base                     2.00 s, 41.2 kB",
        "▸ dependencies-1 1/1 Downloading numpy                                    12.5 s",
        "● 1 cached",
    ]
    reader.feed(vertex(install, 0, 13, inputs=["x"]))
    assert screen_at(display, stream, reader, 63.0) == [
        "✓ base                     2.00 s, 41.2 kB",
        "✓ dependencies-1           13.0 s",
        "● 1 cached",
    ]
    display.end(reader.trace(), failed=False)
    assert screen(stream)[-1] == "● 1 step cached"


def test_a_stage_between_two_steps_is_not_finished() -> None:
    display, stream = live()
    reader = TraceReader()
    display.begin("service")
    reader.feed(vertex("[a 1/2] RUN one", 0, 1, inputs=["x"]))
    reader.feed(vertex("[a 2/2] RUN two", inputs=["x"]))
    assert screen_at(display, stream, reader, 1.0) == []
    reader.feed(vertex("[a 2/2] RUN two", 5, inputs=["x"]))
    assert screen_at(display, stream, reader, 5.0) == [
        "▸ a 2/2 RUN two                                                           0.00 s"
    ]
    reader.feed(vertex("[a 2/2] RUN two", 5, 8, inputs=["x"]))
    assert screen_at(display, stream, reader, 8.0) == ["✓ a                        4.00 s"]
    display.end(reader.trace(), failed=False)


def test_no_more_lines_than_the_terminal_has() -> None:
    display, stream = live(height=8)
    reader = TraceReader()
    display.begin("service")
    for number in range(20):
        reader.feed(vertex(f"[stage{number} 1/1] RUN x", 0))
    assert len(screen_at(display, stream, reader, 0.0)) == 5
    display.end(reader.trace(), failed=False)


@pytest.mark.parametrize("width", [20, 40, 200])
def test_lines_fit_the_terminal(width: int) -> None:
    display, stream = live(width=width)
    reader = TraceReader()
    display.begin("x")
    reader.feed(vertex("[dependencies-1 1/1] RUN " + "long " * 100, 0))
    reader.feed(status("[dependencies-1 1/1] RUN " + "long " * 100, "sha256:" + "ab" * 32, 5, 10))
    (only,) = screen_at(display, stream, reader, 0.0)
    assert len(only) <= width
    display.end(reader.trace(), failed=False)


def test_the_terminal_is_given_back() -> None:
    display, stream = live()
    play(display, "failed-install", failed=True)
    text = stream.getvalue()
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor shows again"
    shown = ESCAPE.sub("", text)
    assert "Hash mismatch for `large-package==2.0`" in shown
    assert re.search(r"✗ dependencies-1: RUN install-layer dependencies-1", shown)
    assert '"layer"' not in shown


def test_an_interrupted_build_is_not_called_done() -> None:
    display, stream = live()
    reader = TraceReader()
    display.begin("x")
    reader.feed(vertex("[a 1/1] RUN make", 0))
    display.update(reader, 0.0)
    display.end(reader.trace(), failed=True)
    shown = ESCAPE.sub("", stream.getvalue())
    assert "▸ a                        not finished" in shown
    assert "✓" not in shown


def test_ending_before_it_began_is_harmless() -> None:
    display, stream = live()
    display.end(trace_of(), failed=True)
    assert stream.getvalue() == ""


def test_text_of_a_build_is_no_markup() -> None:
    display, stream = live()
    display.begin("[red]service[/red]:warning:")
    name = "[a 1/1] RUN x"
    trace = trace_of(vertex(name, 0, 1, error="x"), log(name, "[bold]:bug: [/] \x1b[2Jend\n"))
    display.end(trace, failed=True)
    shown = ESCAPE.sub("", stream.getvalue())
    assert "building [red]service[/red]:warning:" in shown
    assert "    [bold]:bug: [/] end" in shown


def test_long_lines_of_a_log_are_left_to_the_terminal_to_wrap() -> None:
    display, stream = live(width=40)
    name = "[a 1/1] RUN x"
    url = "https://example.test/" + "x" * 100
    display.end(trace_of(vertex(name, 0, 1, error="x"), log(name, url + "\n")), failed=True)
    assert f"    {url}\n" in ESCAPE.sub("", stream.getvalue())


def test_no_color_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def colours() -> list[str]:
        stream = io.StringIO()
        play(LiveDisplay.on(stream), "failed-step", failed=True)
        return re.findall(r"\x1b\[(?:\d+;)*3\d", stream.getvalue())

    for name in ("NO_COLOR", "COLORTERM", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert colours()
    monkeypatch.setenv("NO_COLOR", "1")
    assert colours() == []


def test_live_without_a_terminal_writes_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    stream = io.StringIO()
    play(LiveDisplay.on(stream), "code-change")
    assert "\x1b" not in stream.getvalue()
    assert "✓ app-builder" in stream.getvalue()


@pytest.mark.parametrize("case", sorted(path.stem for path in TRANSCRIPTS.glob("*.jsonl")))
def test_every_recorded_build_can_be_shown(case: str) -> None:
    failed = read(case).failed_step is not None
    moving, stream = live()
    for display in (moving, PlainDisplay(io.StringIO()), GithubDisplay(io.StringIO())):
        play(display, case, failed=failed, every=3)
    assert "building service:latest" in stream.getvalue()


# GitHub


def github(case: str, *, failed: bool = False) -> list[str]:
    stream = io.StringIO()
    play(GithubDisplay(stream, "docker/Dockerfile"), case, failed=failed)
    return stream.getvalue().splitlines()


def test_groups_are_closed_and_not_nested() -> None:
    for case in ("container-load", "failed-install", "code-change", "multi-platform"):
        depth = 0
        for one in github(case):
            depth += one.startswith("::group::") - one.startswith("::endgroup::")
            assert depth in (0, 1), case
        assert depth == 0


def test_stages_that_ran_are_groups_and_cached_ones_lines() -> None:
    lines = duration_free(github("code-change"))
    groups = [one.removeprefix("::group::") for one in lines if one.startswith("::group::")]
    assert groups == ["app-builder"]
    assert "dependencies-1: cached" in lines
    start = lines.index("::group::app-builder")
    assert "COPY src /app/src: done in N s" in lines[start : lines.index("::endgroup::")]


def test_a_group_holds_the_log() -> None:
    lines = github("container-load")
    start = lines.index("::group::dependencies-1")
    group = lines[start : lines.index("::endgroup::", start)]
    assert "     + large-package==1.0" in group
    assert not any('"layer"' in one for one in group)


def test_workflow_commands_of_a_build_are_stopped() -> None:
    lines = github("colours")
    planted = next(number for number, one in enumerate(lines) if "::error::not a command" in one)
    stopped = max(
        number for number in range(planted) if lines[number].startswith("::stop-commands::")
    )
    token = lines[stopped].removeprefix("::stop-commands::")
    assert len(token) >= 32
    assert f"::{token}::" in lines[planted:]
    assert not any(one.startswith("::error") for one in lines)
    again = [one for one in github("colours") if one.startswith("::stop-commands::")]
    assert again != [lines[stopped]], "a token that could be guessed would stop nothing"


def test_warnings_are_annotations_at_their_line() -> None:
    warnings = [one for one in github("warning") if one.startswith("::warning")]
    assert (
        "::warning file=docker/Dockerfile,line=1::StageNameCasing: Stage name 'Base' should be "
        "lowercase (line 1)"
    ) in warnings
    assert len(warnings) == 3


def test_the_failure_is_an_annotation_outside_of_groups() -> None:
    lines = github("failed-step", failed=True)
    assert lines[-1] == (
        "::error file=docker/Dockerfile,line=2::tool: RUN echo service to-output; echo to-errors "
        ">&2; exit 7%0Aservice to-output%0Ato-errors"
    )
    assert not any(one.startswith("::error") for one in github("failed-step"))


def test_annotations_are_escaped() -> None:
    stream = io.StringIO()
    name = "[a 1/1] RUN printf 100%"
    trace = trace_of(
        vertex(name, 0, 1, error="x"),
        log(name, "\x1b[31m50%\n"),
        line(warnings=[{"short": "YSUKYg==", "range": [{"start": {"line": 7}}]}]),
    )
    GithubDisplay(stream, "a,b:c").end(trace, failed=True)
    lines = stream.getvalue().splitlines()
    assert "::warning file=a%2Cb%3Ac,line=7::a%25%0Ab" in lines
    assert lines[-1] == "::error file=a%2Cb%3Ac::a: RUN printf 100%25%0A50%25"


@pytest.mark.parametrize(
    ("text", "data", "prop"),
    [
        ("a%b", "a%25b", "a%25b"),
        ("a\r\nb", "a%0D%0Ab", "a%0D%0Ab"),
        ("a:b,c", "a:b,c", "a%3Ab%2Cc"),
    ],
)
def test_escaping(text: str, data: str, prop: str) -> None:
    assert escape_data(text) == data
    assert escape_property(text) == prop


def test_the_job_summary_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    path.write_text("before\n")
    write_job_summary(path, "### äfter")
    assert path.read_text(encoding="utf-8") == "before\n### äfter\n"


# Numbers and text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (41_234, "41.2 kB"),
        (99_960, "100 kB"),
        (999_600, "1.0 MB"),
        (147_000_000, "147 MB"),
        (2**63 - 1, "9223372.0 TB"),
    ],
)
def test_bytes(count: int, text: str) -> None:
    assert format_bytes(count) == text


def test_counts() -> None:
    assert format_count(0, "step") == "0 steps"
    assert format_count(1, "step") == "1 step"
    assert format_count(1_204, "file") == "1,204 files"
    assert format_count(1, "linked copy", "linked copies") == "1 linked copy"
    assert format_count(2, "linked copy", "linked copies") == "2 linked copies"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.00 s"),
        (9.994, "9.99 s"),
        (9.996, "10.0 s"),
        (12.34, "12.3 s"),
        (187, "3 min 07 s"),
        (59.99, "1 min 00 s"),
    ],
)
def test_seconds(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_shortening() -> None:
    assert shorten("a  b\nc", 10) == "a b c"
    assert shorten("abcdef", 4) == "abc…"
    assert shorten("abc", 0) == "…"


def test_control_characters_go() -> None:
    assert strip_control("\x1b[1;31ma\x1b[0m\tb\x1b]0;x\x07c\rd\x00\x9b") == "a\tbcd"
