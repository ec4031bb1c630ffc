"""A record as the few lines after a build, and as a GitHub job's summary."""

from __future__ import annotations

import pytest

from dockyard.records import CacheRecord, LayerRecord, StepRecord, TrafficRecord
from dockyard.summary import format_rate, job_summary, layer_totals, summary_lines
from support.records import make_record


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (None, "–"),
        (0.0, "0%"),
        (0, "0%"),
        (1.0, "100%"),
        (0.999, "99%"),
        (0.001, "1%"),
        (0.5, "50%"),
    ],
)
def test_rates(rate: float | None, text: str) -> None:
    assert format_rate(rate) == text


def run(instruction: str, stage: str | None = "plan", *, cached: bool = False) -> StepRecord:
    return StepRecord(
        stage, instruction.split(" ")[0].lower(), instruction, None, 1, cached, not cached
    )


def test_the_summary_of_a_success() -> None:
    assert summary_lines(make_record(), ".dockyard/builds/x.json") == [
        "✓ service:latest (abababababab) in 1.25 s",
        "  also tagged   service:1.2.0",
        "  image         169 MB compressed, 550 MB unpacked",
        "  layers        base 178 MB in 1, dependencies 116 MB in 1, sources 61.4 kB in 1",
        "  steps         1 cached, 1 run (app-builder: COPY src /app/src)",
        "  cache hits    dependencies 100%, application 75%, overall 90%",
        "  context sent  41.2 kB",
        "  record        .dockyard/builds/x.json",
    ]


def test_the_summary_says_what_moved() -> None:
    record = make_record(traffic=TrafficRecord(1, 44_000_000, 0, 1_000, 0, 0, 0, 0))
    lines = summary_lines(record, None)
    assert lines[-2:] == ["  down          base 44.0 MB", "  up            layers 1.0 kB"]
    text = job_summary(record)
    assert "| down | base 44.0 MB |" in text
    assert "| up | layers 1.0 kB |" in text


def test_the_summary_of_a_failure_claims_no_image() -> None:
    lines = summary_lines(make_record(outcome="failed", context_bytes=None), None)
    assert lines[0] == "✗ service:latest failed after 1.25 s"
    text = "\n".join(lines)
    for word in ("compressed", "layers", "also tagged", "context", "record"):
        assert word not in text


def test_steps_are_named_shortly_and_only_when_few() -> None:
    steps = (
        run(
            "RUN --mount=type=bind,from=uv-tool,source=/uv,target=/uv install-layer dependencies-4"
        ),
        run("COPY --link src /app/src", None),
        run("COPY a /a", cached=True),
        StepRecord(None, "export", "exporting to image", None, 1, False, True),
        StepRecord("app-builder", "merge", "LINK COPY src /app/src", None, 1, False, True),
    )
    lines = summary_lines(make_record(steps=steps), None)
    expected = "1 cached, 2 run (plan: RUN install-layer dependencies-4; COPY src /app/src)"
    assert f"  steps         {expected}" in lines
    many = make_record(steps=tuple(run(f"RUN {number}") for number in range(4)))
    assert "  steps         0 cached, 4 run" in summary_lines(many, None)


def test_warnings_and_notes_have_their_lines() -> None:
    lines = summary_lines(make_record(warnings=("W: \x1b[31mone",), notes=("two",)), None)
    assert "  warning       W: one" in lines
    assert "  note          two" in lines


def test_caches_that_were_used_have_a_line() -> None:
    caches = (
        CacheRecord("import", "registry", "example.test/a:cache", 0.02),
        CacheRecord("import", "registry", "example.test/a:other", 0.01, None, "not found"),
        CacheRecord("export", "gha", None, 12.34),
    )
    lines = summary_lines(make_record(caches=caches), None)
    assert "  build cache   from example.test/a:cache (0.02 s), to gha (12.3 s)" in lines
    assert not any("other" in line for line in lines)
    failed = summary_lines(make_record(caches=caches[1:2]), None)
    assert not any("build cache" in line for line in failed)


def test_layers_are_summed_by_what_they_hold() -> None:
    layers = (
        LayerRecord("base", 100),
        LayerRecord("COPY docker-entrypoint.sh /usr/local/bin/", 1),
        LayerRecord("RUN /bin/sh -c apt-get", 20),
        LayerRecord("WORKDIR /app", 3),
        LayerRecord("environment", 5),
        LayerRecord("dependencies-1", 50),
        LayerRecord("src", 7),
        LayerRecord("COPY models /models", 8),
    )
    assert layer_totals(layers) == (("base", 4, 124), ("dependencies", 2, 55), ("sources", 2, 15))


def test_layers_of_a_dockerfile_of_another_shape() -> None:
    layers = (LayerRecord("base", 100), LayerRecord("RUN x", 20), LayerRecord("src", 7))
    assert layer_totals(layers) == (("base", 2, 120), ("sources", 1, 7))
    assert layer_totals(()) == ()


def test_the_job_summary_is_markdown() -> None:
    text = job_summary(make_record(warnings=("W: a",), notes=("one\ntwo",)))
    assert text.startswith("### Image build succeeded\n\n| | |\n|---|---|\n")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert "| image | `service:latest`, `service:1.2.0` |" in rows
    assert "| cache hits, dependencies | 100% |" in rows
    assert "| image, compressed | 169 MB |" in rows
    assert "> warning: W: a\n" in text
    assert "> one two\n" in text
    assert "```" not in text
    assert "| why |" not in text


def test_the_job_summary_says_why_something_large_ran_again() -> None:
    text = job_summary(make_record(), "scipy 1.15.1 → 1.15.2 | 2 more (`invoke explain` says more)")
    row = "| why | scipy 1.15.1 → 1.15.2 \\| 2 more (`invoke explain` says more) |"
    assert row in text.splitlines()


def test_the_job_summary_cannot_be_broken_out_of() -> None:
    steps = (run("RUN a | b"),)
    text = job_summary(
        make_record(outcome="failed", steps=steps, error="first\n````\n\x1b[31mred\n````\n| x |")
    )
    assert "1 run (plan: RUN a \\| b)" in text
    assert "`````text\nfirst\n````\nred\n````\n| x |\n`````\n" in text
