"""What a trace tells of caches that could not be used. The errors are BuildKit 0.32's own."""

from __future__ import annotations

import json

import pytest

from dockyard.caches.faults import (
    builder_is_stuck,
    cache_notes,
    sources_at_fault,
)
from dockyard.trace import BuildTrace
from dockyard.trace_reader import TraceReader

DIGEST = "sha256:" + "a7" * 32
REGISTRY = "type=registry,ref=127.0.0.1:5000/acme/service:cache-linux-amd64-main"
LOCAL = f"type=local,src=/cache,digest={DIGEST}"
S3 = "type=s3,bucket=b,region=r,name=service/x"

NOT_THERE = (
    "failed to copy: httpReadSeeker: failed open: could not fetch content descriptor "
    f"{DIGEST} (application/vnd.oci.image.layer.v1.tar+zstd) from remote: not found"
)
NOT_IN_FOLDER = f"NotFound: rpc error: code = NotFound desc = content {DIGEST}: not found"
DAMAGED = (
    f'failed commit on ref "layer-{DIGEST}": unexpected commit digest sha256:{"0" * 64}, '
    f"expected {DIGEST}: failed precondition"
)
STUCK = 'lease "1e9c3lnln72v94gd8s9qhtygl": not found'


def trace(*vertices: tuple[str, str], noise: str = "") -> BuildTrace:
    """Make a trace of vertices that ended with an error (name, error)."""
    reader = TraceReader()
    for number, (name, error) in enumerate(vertices):
        vertex = {
            "digest": f"sha256:{number}",
            "name": name,
            "started": "2026-01-01T00:00:00Z",
            "completed": "2026-01-01T00:00:01Z",
            "error": error,
        }
        reader.feed(json.dumps({"vertexes": [vertex]}).encode())
    reader.feed(noise.encode())
    return reader.trace()


def importing(tag: str, error: str) -> tuple[str, str]:
    frame = "failed to configure registry cache importer: "
    return f"importing cache manifest from 127.0.0.1:5000/acme/service:{tag}", frame + error


def test_a_cache_that_is_not_there_yet_is_no_fault() -> None:
    assert cache_notes(trace(importing("x", "127.0.0.1:5000/acme/service:x: not found"))) == ()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            "unexpected status from HEAD request to http://127.0.0.1:5000/v2/acme/service/"
            "manifests/{tag}: 500 Internal Server Error",
            "500 Internal Server Error",
        ),
        (
            'failed to do request: Head "http://127.0.0.1:5000/v2/acme/service/manifests/{tag}": '
            "dial tcp 127.0.0.1:5000: connect: connection refused",
            "connection refused",
        ),
    ],
    ids=["status", "down"],
)
def test_caches_that_fail_alike_are_one_note(error: str, words: str) -> None:
    found = trace(*(importing(tag, error.format(tag=tag)) for tag in ("topic", "main", "latest")))
    notes = cache_notes(found)
    assert len(notes) == 1
    assert words in notes[0]
    assert "(and 2 more)" in notes[0]
    assert "service:topic" in notes[0]


def test_an_export_that_failed_is_a_note() -> None:
    error = "error writing layer blob: no space left on device " + "x" * 500
    notes = cache_notes(trace(("exporting cache to client directory", error)))
    assert notes[0].startswith("the cache could not be exported to client directory: ")
    assert len(notes[0]) < 320


@pytest.mark.parametrize(
    ("errors", "faulty"),
    [
        ([("exporting to image", NOT_THERE)], [REGISTRY]),
        ([("[b 1/2] RUN true", NOT_IN_FOLDER)], [LOCAL]),
        ([("[b 1/2] RUN true", DAMAGED)], [REGISTRY, LOCAL, S3]),
        ([("[b 1/2] RUN true", NOT_IN_FOLDER), ("x", NOT_THERE)], [REGISTRY, LOCAL, S3]),
        ([("[b 1/2] FROM x", STUCK)], [REGISTRY, LOCAL, S3]),
        ([("[b 1/2] RUN false", "process did not complete successfully: exit code: 1")], []),
        ([("[b 1/2] COPY x /", 'failed to compute cache key: "/x": not found')], []),
    ],
    ids=["registry", "folder", "damaged", "both", "stuck builder", "a step", "a missing file"],
)  # fmt: skip
def test_which_imports_to_do_without(errors: list[tuple[str, str]], faulty: list[str]) -> None:
    found = sources_at_fault(trace(*errors), (REGISTRY, LOCAL, S3))
    assert list(found) == faulty
    assert sources_at_fault(trace(*errors), ()) == ()


def test_the_cause_may_be_in_buildx_own_words() -> None:
    found = trace(noise=f"ERROR: failed to solve: {NOT_THERE}")
    assert sources_at_fault(found, (REGISTRY,)) == (REGISTRY,)
    assert builder_is_stuck(trace(noise=f"ERROR: {STUCK}"))
    assert builder_is_stuck(trace(("a", DAMAGED)))
    # The engine's writer puts a word before that.
    assert builder_is_stuck(trace(("a", DAMAGED.replace(": unexp", ": commit failed: unexp"))))
    assert not builder_is_stuck(found)
