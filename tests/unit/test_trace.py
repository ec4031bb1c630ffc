"""Progress into a trace: recorded builds by their values, and streams that are out of order."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime

import pytest

from dockyard.dockerfile import is_dependency_stage
from dockyard.steps import StepKind
from dockyard.trace import (
    BlobTransfer,
    BuildTrace,
    CacheTransfer,
    HitRates,
    Step,
    busy_seconds,
    hit_rates,
)
from dockyard.trace_reader import KEPT_CHARACTERS, TraceReader, parse_timestamp
from support.transcripts import (
    EPOCH,
    TRANSCRIPTS,
    line,
    log,
    moment,
    read,
    status,
    trace_of,
    vertex,
)

CASES = sorted(path.stem for path in TRANSCRIPTS.glob("*.jsonl"))
BUILDS = [case for case in CASES if not case.startswith("no-")]


def rates(trace: BuildTrace) -> HitRates:
    return hit_rates(trace, is_dependency_stage)


def counted(trace: BuildTrace) -> list[Step]:
    return [step for step in trace.steps if step.kind in ("run", "copy", "file")]


def find(trace: BuildTrace, stage: str | None, beginning: str) -> Step:
    (found,) = (
        step
        for step in trace.steps
        if step.stage == stage and step.instruction.startswith(beginning)
    )
    return found


def of_platform(trace: BuildTrace, platform: str) -> list[str]:
    return sorted(step.instruction for step in counted(trace) if step.platform == platform)


def lines_of(case: str) -> list[bytes]:
    return (TRANSCRIPTS / f"{case}.jsonl").read_bytes().splitlines(keepends=True)


def test_a_cold_build_ran_everything() -> None:
    trace = read("container-load")
    assert [step for step in counted(trace) if step.cached] == []
    assert all(step.ran and step.completed and not step.error for step in counted(trace))
    assert rates(trace) == HitRates(0.0, 0.0, 0.0)
    install = find(trace, "dependencies-1", "RUN")
    assert (install.kind, install.number, install.total) == (StepKind.RUN, 1, 1)
    assert "Installed 2 packages" in "\n".join(install.log)
    assert " + large-package==1.0" in install.log
    names = {step.digest: step.stage for step in trace.steps}
    assert {names[one] for one in install.inputs} == {"dependency-builder", "uv-tool", "plan"}


def test_a_cold_build_counts_each_blob_once() -> None:
    trace = read("container-load")
    pulled = {s.stage: s.bytes_done for s in trace.steps if s.kind == StepKind.IMAGE}
    blobs: dict[str, int] = {}
    for one in lines_of("container-load"):
        for entry in json.loads(one).get("statuses", []):
            if entry["id"].startswith("sha256:"):
                blobs[entry["id"]] = entry["current"]
    assert len(blobs) == 2
    assert sorted(pulled.values()) == sorted(blobs.values())
    assert min(pulled.values()) > 1_000_000
    context = find(trace, None, "load build context")
    assert (context.kind, context.bytes_done) == (StepKind.CONTEXT, 1610)


def test_times_are_those_of_buildkit() -> None:
    trace = read("container-load")
    install = find(trace, "dependencies-1", "RUN")
    raw = [
        entry
        for one in lines_of("container-load")
        for entry in json.loads(one).get("vertexes", [])
        if entry["digest"] == install.digest and entry.get("completed")
    ]
    assert len(raw) == 1
    started, completed = map(parse_timestamp, (raw[0]["started"], raw[0]["completed"]))
    assert started is not None
    assert completed is not None
    assert (install.started, install.completed) == (started, completed)
    assert install.seconds == pytest.approx((completed - started).total_seconds())
    assert trace.started == min(step.started for step in trace.steps if step.started)
    assert 0 < install.seconds < trace.seconds < 60


def test_a_base_image_is_busy_only_while_it_is_worked_on() -> None:
    """It is resolved, waits for what needs it, is pulled and unpacked: five intervals, and gaps."""
    base = find(read("cache-export-ignored"), "dependency-builder", "FROM")
    assert base.started is not None
    assert base.completed is not None
    assert base.seconds < (base.completed - base.started).total_seconds() - 0.1


def test_an_unchanged_build_is_wholly_cached() -> None:
    trace = read("all-cached")
    assert all(step.cached and not step.ran for step in counted(trace))
    assert rates(trace) == HitRates(1.0, 1.0, 1.0)
    assert find(trace, None, "load build context").bytes_done == 197


def test_a_code_change_runs_one_copy() -> None:
    trace = read("code-change")
    assert [step.instruction for step in counted(trace) if step.ran] == ["COPY --link src /app/src"]
    merges = [step for step in trace.steps if step.kind == StepKind.MERGE]
    assert [step.instruction for step in merges if step.ran] == ["LINK COPY --link src /app/src"]
    # WORKDIR is the application's other step; the merges count nowhere.
    total = len(counted(trace))
    assert rates(trace) == HitRates(1.0, 0.5, (total - 1) / total)


def test_a_package_change_runs_the_plan_and_its_layer() -> None:
    trace = read("small-package-change")
    assert sorted(step.stage or "" for step in counted(trace) if step.ran) == [
        "app-builder",
        "dependencies-1",
        "plan",
    ]
    dependency = [
        step
        for step in counted(trace)
        if step.stage != "app-builder" or "--from=" in step.instruction
    ]
    assert rates(trace).dependency == (len(dependency) - 3) / len(dependency)
    assert rates(trace).application == 1.0


def test_a_failed_installation_is_the_failure() -> None:
    trace = read("failed-install")
    failed = trace.failed_step
    assert failed is not None
    assert (failed.stage, failed.kind) == ("dependencies-1", StepKind.RUN)
    assert failed.ran
    assert failed.error is not None
    assert failed.error.startswith('process "/bin/sh -c install-layer dependencies-1')
    assert any("Hash mismatch for `large-package==2.0`" in one for one in failed.log)
    unreached = [step for step in counted(trace) if not step.reached]
    assert {step.stage for step in unreached} == {"app-builder"}
    assert not any(step.ran or step.cached for step in unreached)
    assert rates(trace).application is None
    assert trace.noise[-1].startswith("ERROR: failed to build: failed to solve: process")
    assert f">>> RUN {failed.instruction.split(' ')[1]}" in "\n".join(trace.noise)
    assert f"{trace.failed_line} | >>> RUN" in "\n".join(trace.noise)


def test_a_step_that_another_one_cancelled_is_not_the_failure() -> None:
    trace = read("failed-step")
    slow = find(trace, "slow", "RUN")
    assert slow.error is not None
    assert slow.error.endswith("context canceled")
    failed = trace.failed_step
    assert failed is not None
    assert failed.stage == "tool"
    assert failed.log[-2:] == ("service to-output", "to-errors")
    assert trace.failed_line == 2


def test_an_interrupted_build_has_no_failure_of_its_own() -> None:
    trace = read("interrupted")
    waiting = find(trace, None, "RUN")
    assert waiting.error is not None
    assert waiting.log == ("service waiting",)
    assert trace.failed_step is None
    assert trace.noise == ("ERROR: failed to build: failed to solve: Canceled: context canceled",)


def test_cancelled_in_a_steps_own_words_is_no_cancellation() -> None:
    trace = trace_of(
        vertex("[2/2] RUN x", 0, 1, error='process "echo context canceled; exit 1" failed: 1')
    )
    assert trace.failed_step is not None


def test_warnings_name_rule_and_line() -> None:
    warnings = {one.short.partition(":")[0]: one for one in read("warning").warnings}
    assert set(warnings) == {
        "StageNameCasing",
        "ConsistentInstructionCasing",
        "JSONArgsRecommended",
    }
    casing = warnings["StageNameCasing"]
    assert casing.short == "StageNameCasing: Stage name 'Base' should be lowercase (line 1)"
    assert casing.detail == ("Stage names should be lowercase",)
    assert casing.url == "https://docs.docker.com/go/dockerfile/rule/stage-name-casing/"
    assert casing.line == 1
    assert warnings["JSONArgsRecommended"].line == 3


def test_platforms_are_told_apart() -> None:
    trace = read("multi-platform")
    copies = ["COPY --from=tool /architecture /architecture", "COPY file /file"]
    assert of_platform(trace, "linux/arm64") == copies
    assert of_platform(trace, "linux/amd64")[:2] == copies
    assert of_platform(trace, "linux/amd64->arm64") == ["RUN echo service arm64 > /architecture"]
    assert rates(trace) == HitRates(None, 0.0, 0.0)


def test_what_a_terminal_would_show_of_a_log_is_kept() -> None:
    step = find(read("colours"), None, "RUN")
    assert step.log == ("service", "over", "::error::not a command", "\ufffd", "progress 5")


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (
            "registry-cache-export",
            [
                ("import", "registry", "127.0.0.1:5000/service:cache", "not found"),
                ("export", "registry", None, None),
            ],
        ),
        (
            "registry-cache",
            [
                ("import", "registry", "127.0.0.1:5000/service:cache", None),
                ("export", "registry", None, None),
            ],
        ),
        (
            "cache-import-failed",
            [
                ("import", "registry", "127.0.0.1:1/service:cache", "connection refused"),
                ("import", "registry", "127.0.0.1:5000/service:cache", None),
            ],
        ),
        ("cache-export-ignored", [("export", "registry", None, "connection refused")]),
        (
            "local-cache-export",
            [
                ("import", "local", "/tmp/transcripts/cache", "no such file or directory"),
                ("export", "local", None, None),
            ],
        ),
        ("local-cache", [("import", "local", None, None), ("export", "local", None, None)]),
        ("all-cached", []),
    ],
)
def test_caches_are_told(
    case: str, expected: list[tuple[str, str, str | None, str | None]]
) -> None:
    caches = sorted(read(case).caches, key=lambda one: (one.direction != "import", one.reference))
    assert [one[:3] for one in expected] == [
        (one.direction, one.type, one.reference) for one in caches
    ]
    for (*_, words), found in zip(expected, caches, strict=True):
        assert (words is None) == (found.error is None)
        assert (words or "") in (found.error or "")
        assert found.bytes is None
        assert found.seconds > 0 or "could not read" in (found.error or "")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("exporting cache to GitHub Actions Cache", "gha"),
        ("exporting cache to Amazon S3", "s3"),
        ("exporting cache to Azure Blob Storage", "azblob"),
        ("exporting inline cache", "inline"),
        ("exporting cache to somewhere new", "unknown"),
    ],
)
def test_types_of_cache_exports(name: str, kind: str) -> None:
    assert trace_of(vertex(name, 0, 2)).caches == (
        CacheTransfer("export", kind, None, 2.0, None, None),
    )


def test_a_failed_import_is_never_the_failure() -> None:
    trace = trace_of(
        vertex("importing cache manifest from x:y", 0, 1, error="x:y: not found"),
        vertex("[1/2] COPY a /a", 0, 1, error='"/a": not found'),
    )
    assert trace.failed_step is not None
    assert trace.failed_step.kind == StepKind.COPY
    assert read("cache-import-failed").failed_step is None


def test_a_failed_export_is_the_failure_only_where_nothing_else_is() -> None:
    alone = read("cache-export-failed").failed_step
    assert alone is not None
    assert alone.kind == StepKind.CACHE_EXPORT
    other = trace_of(
        vertex("exporting cache to registry", 0, 1, error="refused"),
        vertex("exporting to image", 0, 1, error="failed to push"),
    )
    assert other.failed_step is not None
    assert other.failed_step.kind == StepKind.EXPORT


def test_a_step_whose_cached_result_was_lost_ran() -> None:
    """BuildKit tries to load it, fails, and executes it; the error is history then."""
    name = "[a 2/2] RUN make"
    trace = trace_of(
        vertex(name, inputs=["x"]),
        vertex(name, 0, cached=True, inputs=["x"]),
        vertex(name, 0, 1, cached=True, error="blob not found", inputs=["x"]),
        # A start repeats the error of the attempt before (solver/jobs.go, notifyStarted).
        vertex(name, 2, error="blob not found", inputs=["x"]),
        vertex(name, 2, 5, inputs=["x"]),
    )
    (step,) = trace.steps
    assert step.ran
    assert not step.cached
    assert step.error is None
    assert step.seconds == 4
    assert trace.failed_step is None


def test_a_result_loaded_again_after_it_ran_is_no_hit() -> None:
    name = "[a 2/2] RUN make"
    trace = trace_of(
        vertex(name, 0, 3, inputs=["x"]), vertex(name, 4, 4.5, cached=True, inputs=["x"])
    )
    assert not trace.steps[0].cached
    assert rates(trace).overall == 0.0


def test_a_source_that_was_looked_up_and_then_found_is_cached() -> None:
    """Vertices without inputs start uncached to be resolved."""
    name = "[a 1/2] FROM python:3.13"
    trace = trace_of(vertex(name, 0, 1), vertex(name, 2, 2.5, cached=True))
    assert trace.steps[0].cached


def test_hit_rates_count_what_they_say() -> None:
    """A step for each rule of the definition; only the counted ones may change a rate."""
    trace = trace_of(
        vertex("[internal] load build context", 0, 1),
        vertex("[a 1/2] FROM python:3.13", 0, 1),
        vertex("exporting to image", 0, 1),
        vertex("[plan 2/2] RUN export", 0, 1, inputs=["x"]),
        vertex("[dependencies-1 1/1] RUN install", 0, 1, inputs=["x"], cached=True),
        vertex("[app-builder 2/5] WORKDIR /app", 0, 1, inputs=["x"], cached=True),
        vertex("[app-builder 3/5] COPY --link --from=dependencies-1 /d/ /", 0, 1, inputs=["x"]),
        vertex(
            "[app-builder 3/5] LINK COPY --link --from=dependencies-1 /d/ /", 0, 1, inputs=["x"]
        ),
        vertex(
            "[app-builder 4/5] COPY --link --from=assets /a/ /", 0, 1, inputs=["x"], cached=True
        ),
        vertex("[assets 1/1] RUN make", 0, 1, inputs=["x"]),
        vertex("[assets 2/2] RUN never-reached", inputs=["x"]),
        vertex("[app-builder 5/5] COPY src /app/src", 0, 1, inputs=["x"], cached=True),
    )
    assert rates(trace) == HitRates(1 / 3, 3 / 4, 4 / 7)


def test_steps_come_as_first_announced_and_nameless_ones_not_at_all() -> None:
    trace = trace_of(
        vertex("b", 0, 1),
        status("never-named", "transferring context:", 5),
        vertex("a", 0),
        vertex("b", 0, 2),
    )
    assert [step.instruction for step in trace.steps] == ["b", "a"]


def test_what_runs_has_no_end() -> None:
    (step,) = trace_of(vertex("a", 1, 2), vertex("a", 3)).steps
    assert step.running
    assert step.ran
    assert step.completed is None
    assert step.seconds == 1


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([], 0),
        ([(0, 2), (1, 3)], 3),
        ([(0, 1), (5, 6)], 2),
        ([(0, 9), (1, 2)], 9),
        ([(3, 1)], 0),
        ([(1, 2), (1, 2)], 1),
    ],
    ids=["none", "overlap", "gap", "inside", "backwards", "twice"],
)
def test_busy_time_is_the_union(intervals: list[tuple[int, int]], expected: int) -> None:
    moments = [(parse_timestamp(moment(a)), parse_timestamp(moment(b))) for a, b in intervals]
    assert busy_seconds((a, b) for a, b in moments if a and b) == expected


def test_a_backwards_clock_gives_no_negative_time() -> None:
    trace = trace_of(vertex("a", 10, 3))
    assert trace.seconds == 0
    assert trace.steps[0].seconds == 0


def test_counters_never_go_back_and_only_bytes_count() -> None:
    (step,) = trace_of(
        vertex("[internal] load build context", 0, digest="c"),
        status("c", "transferring context:", 10),
        status("c", "transferring context:", 700),
        status("c", "transferring context:", 300),
        status("c", "resolve python:3.13", 99, 99),
        status("c", "exporting manifest sha256:" + "ab" * 32, 99, 99),
        status("c", "sha256:" + "ab" * 32, 40, 100),
        status("c", "extracting sha256:" + "ab" * 32, 100, 100),
    ).steps
    assert (step.bytes_done, step.bytes_total) == (740, 100)


def test_logs_come_in_pieces_by_stream() -> None:
    (step,) = trace_of(
        vertex("a", 0, 1),
        log("a", "one"),
        log("a", "err", stream=2),
        log("a", " more\ntwo\r\n"),
        log("a", "or\n", stream=2),
        log("a", "10%\r50%\r100%\n"),
        log("a", "unended"),
    ).steps
    assert step.log == ("one more", "two", "error", "100%", "unended")


def test_a_character_may_be_split_between_pieces() -> None:
    (step,) = trace_of(vertex("a", 0, 1), log("a", b"gr\xc3"), log("a", b"\xbc\xc3\x9fe\n")).steps
    assert step.log == ("grüße",)


def test_only_the_last_lines_of_a_log_are_kept() -> None:
    text = "".join(f"{number}\n" for number in range(1000))
    (step,) = trace_of(vertex("a", 0, 1), log("a", text)).steps
    assert len(step.log) == 200
    assert step.log[-1] == "999"


def test_reports_of_a_layer_are_kept_whole_and_however_early() -> None:
    report = 'dockyard: {"layer": "x", "served": ["' + "y" * 3 * KEPT_CHARACTERS + '"]}'
    pieces = [log("a", report[at : at + 3000]) for at in range(0, len(report), 3000)]
    noise = "".join(f"{number}\n" for number in range(1000))
    (step,) = trace_of(vertex("a", 0, 1), *pieces, log("a", "\n" + noise)).steps
    assert step.log[0] == report
    assert step.log[1:] == tuple(str(number) for number in range(800, 1000))


def test_blobs_are_told_from_what_else_travels() -> None:
    digest = "sha256:" + "ab" * 32
    (step,) = trace_of(
        vertex("a", 0, 1),
        status("a", digest, 5, 10),
        status("a", digest, 10, 10),
        status("a", f"extracting {digest}", 10, 10),
        status("a", "transferring context:", 7),
    ).steps
    assert step.blobs == (BlobTransfer(digest, 10, 10),)
    assert step.bytes_done == 17


def test_a_line_without_end_is_bounded() -> None:
    pieces = [log("a", "x" * 3000) for _ in range(50)]
    (step,) = trace_of(vertex("a", 0, 1), *pieces, log("a", "end")).steps
    assert len(step.log) == 1
    assert len(step.log[0]) == KEPT_CHARACTERS
    assert step.log[0].endswith("xend")


def test_secrets_are_taken_out_of_everything() -> None:
    trace = trace_of(
        vertex("[a 1/2] RUN echo secret", 0, 1, digest="d", error="secret failed"),
        log("d", "a sec"),
        log("d", "ret\nand an unended secret"),
        b"ERROR: secret\n",
        line(warnings=[{"short": "c2VjcmV0", "detail": ["c2VjcmV0"]}]),
        clean=lambda text: text.replace("secret", "***"),
    )
    assert "secret" not in repr(trace)
    assert trace.steps[0].log == ("a ***", "and an unended ***")
    assert trace.warnings[0].short == "***"


def test_half_a_secret_is_not_shown_while_its_line_goes_on() -> None:
    (step,) = trace_of(vertex("a", 0), log("a", "done\nhttps://user:pass")).steps
    assert step.log == ("done",)


# Hostile streams


@pytest.mark.parametrize("case", BUILDS)
def test_lines_that_come_twice_change_nothing(case: str) -> None:
    """Except output, which has no identity: a piece that comes twice was printed twice."""
    once, twice = TraceReader(), TraceReader()
    for one in lines_of(case):
        if b'"logs"' in one or not one.startswith(b"{"):
            continue
        once.feed(one)
        twice.feed(one)
        twice.feed(one)
    assert twice.trace() == once.trace()


@pytest.mark.parametrize("case", BUILDS)
@pytest.mark.parametrize("seed", [1, 2])
def test_lines_in_any_order_give_the_same_steps(case: str, seed: int) -> None:
    progress = [one for one in lines_of(case) if one.startswith(b"{") and b'"logs"' not in one]
    expected = {step.digest: step for step in trace_of(*progress).steps}
    random.Random(seed).shuffle(progress)
    assert {step.digest: step for step in trace_of(*progress).steps} == expected


@pytest.mark.parametrize("case", BUILDS)
def test_a_stream_cut_anywhere_still_gives_a_trace(case: str) -> None:
    whole = (TRANSCRIPTS / f"{case}.jsonl").read_bytes()
    for cut in random.Random(case).sample(range(len(whole)), 40):
        trace = trace_of(*whole[:cut].splitlines(keepends=True))
        assert rates(trace).overall is None or 0 <= (rates(trace).overall or 0) <= 1
        assert trace.seconds >= 0


def test_a_child_that_dies_inside_a_line_leaves_the_rest() -> None:
    whole = b"".join(lines_of("cold"))
    cut = whole.rindex(b'"vertexes"') + 60
    trace = trace_of(*whole[:cut].splitlines(keepends=True))
    assert trace.noise[-1].startswith('{"vertexes":[{"digest":"sha256:')
    assert [step.digest for step in trace.steps] == [step.digest for step in read("cold").steps]
    assert find(trace, None, "exporting to image").running


def test_lines_glued_together_are_kept_as_text() -> None:
    trace = trace_of(vertex("a", 0).rstrip() + vertex("b", 0))
    assert trace.steps == ()
    assert len(trace.noise) == 1


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"\n",
        b"\xff\xfe\x00",
        b"{",
        b"[]",
        b"{}",
        b"null",
        b'{"vertexes": 3}',
        b'{"vertexes": null, "statuses": "x", "logs": [1, null], "warnings": {}}',
        b'{"vertexes": [{"digest": 3, "name": "x"}]}',
        b'{"vertexes": [{"digest": "", "name": "x"}]}',
        b'{"vertexes": [{"digest": "z", "name": 4, "inputs": "i", "started": 5, "cached": "yes"}]}',
        b'{"vertexes": [{"digest": "z", "started": "9999-99-99T99:99:99Z"}]}',
        b'{"vertexes": [{"digest": "z", "started": "0001-01-01T00:00:00+23:59"}]}',
        b'{"statuses": [{"vertex": [], "id": {}}]}',
        b'{"statuses": [{"vertex": "z", "id": "transferring x", "current": "many"}]}',
        b'{"statuses": [{"vertex": "z", "id": "transferring x", "current": 1e999}]}',
        b'{"statuses": [{"vertex": "z", "id": "transferring x", "current": true}]}',
        b'{"statuses": [{"vertex": "z", "id": "transferring x", "current": -5}]}',
        b'{"statuses": [{"vertex": "z", "id": "transferring x", "current": ' + b"9" * 5000 + b"}]}",
        b'{"logs": [{"vertex": "z", "data": "not base64!", "stream": "one"}]}',
        b'{"logs": [{"vertex": "z", "data": 5}]}',
        b'{"warnings": [{"short": "@", "detail": 5, "range": [[]]}]}',
        b'{"warnings": [{"short": "eA==", "range": [{"start": 3}], "detail": [4], "url": 5}]}',
        b'{"vertexes": ' + b"[" * 100_000,
        b'{"later": "a key that nobody knows yet"}',
    ],
)
def test_nothing_makes_it_raise(bad: bytes) -> None:
    good = vertex("[2/2] RUN make", 0, 1)
    trace = trace_of(bad, good, bad)
    step = trace.steps[-1]
    assert step.instruction == "RUN make"
    assert (step.seconds, step.bytes_done) == (1, 0)


def test_a_huge_count_is_bounded() -> None:
    (step,) = trace_of(vertex("a", 0), status("a", "transferring x", 10**300)).steps
    assert step.bytes_done == 2**63 - 1


def test_unknown_keys_are_ignored() -> None:
    (step,) = trace_of(vertex("a", 0, 1, progressGroup={"id": "x"}, later=[1])).steps
    assert step.seconds == 1


def test_text_between_the_lines_is_kept_in_order() -> None:
    trace = trace_of(b"WARNING: one\r\n", vertex("a", 0), b"  indented\n", b"gr\xfc\xdf\n", b"\n")
    assert trace.noise == ("WARNING: one", "  indented", "gr\ufffd\ufffd")


def test_noise_is_bounded() -> None:
    trace = trace_of(*(b"%d\n" % number for number in range(2000)), b"x" * 99_999)
    assert len(trace.noise) == 500
    assert len(trace.noise[-1]) == KEPT_CHARACTERS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02T03:04:05Z", (2026, 1, 2, 3, 4, 5, 0)),
        ("2026-01-02T03:04:05.123456789Z", (2026, 1, 2, 3, 4, 5, 123456)),
        ("2026-01-02T03:04:05.1+02:00", (2026, 1, 2, 1, 4, 5, 100000)),
        ("2026-01-02t03:04:05z", (2026, 1, 2, 3, 4, 5, 0)),
        ("2026-01-02T03:04:05", None),
        ("2026-13-02T03:04:05Z", None),
        ("yesterday", None),
        (1767323045, None),
        (None, None),
    ],
)
def test_timestamps(text: object, expected: tuple[int, ...] | None) -> None:
    assert parse_timestamp(text) == (datetime(*expected, tzinfo=UTC) if expected else None)  # type: ignore[misc,arg-type]


def test_an_unchanged_step_is_the_same_object() -> None:
    """The display looks ten times a second at hundreds of steps."""
    reader = TraceReader()
    reader.feed(vertex("a", 0))
    reader.feed(vertex("b", 0))
    before = reader.steps
    reader.feed(vertex("b", 0, 1))
    assert reader.steps[0] is before[0]
    assert reader.steps[1] is not before[1]
    assert reader.steps[1].started == EPOCH
