"""Base images whose registry fails in the middle of a build: what a trace tells of it."""

from __future__ import annotations

import pytest

from dockyard.base_images import BaseImage, ImageOrigin
from dockyard.image_faults import MirrorSilence, images_at_fault
from dockyard.trace import BuildTrace
from support.transcripts import status, trace_of, vertex

MIRROR, OTHER = "mirror.example/library/python:3.13", "other.example/astral-sh/uv:0.13"
PYTHON = BaseImage("PYTHON_IMAGE", "python:3.13", MIRROR, ImageOrigin.MIRROR)
UV = BaseImage("UV_IMAGE", "ghcr.io/astral-sh/uv:0.13", OTHER, ImageOrigin.MIRROR)
BLOB, ANOTHER = f"sha256:{'a1' * 32}", f"sha256:{'b2' * 32}"
FROM = f"[dependency-builder 1/3] FROM {MIRROR}@sha256:{'c3' * 32}"
RUN = "[dependency-builder 2/3] RUN x"
METADATA = f"[internal] load metadata for {MIRROR}"

# As BuildKit 0.32 said them, on the step that needed the blob.
LACKING = (
    f"failed to copy: httpReadSeeker: failed open: could not fetch content descriptor {BLOB} "
    "(application/vnd.oci.image.layer.v1.tar+gzip) from remote: not found"
)
WRONG = (
    f'failed commit on ref "layer-{BLOB}": unexpected commit digest {ANOTHER}, expected {BLOB}: '
    "failed precondition"
)
CUT = "short read: expected 6002093 bytes but got 2000697: unexpected EOF"
BROKEN = (
    "failed to copy: httpReadSeeker: failed open: unexpected status from GET request to "
    f"https://mirror.example/v2/library/python/blobs/{BLOB}: 503 Service Unavailable\nsorry"
)


def failed(error: str, *more: bytes) -> BuildTrace:
    return trace_of(
        vertex(FROM, 0, 0.1), status(FROM, BLOB, 10, 100), *more, vertex(RUN, 0.2, 1, error=error)
    )


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (LACKING, f"it has no blob {BLOB[:19]}…"),
        (WRONG, f"it sent other bytes than {BLOB[:19]}…"),
        (CUT, "it broke off in the middle of a blob"),
        (BROKEN, "it answers 503 Service Unavailable"),
    ],
    ids=["lacks a blob", "sends wrong bytes", "breaks off", "is broken"],
)
def test_the_step_that_needs_a_blob_tells_which_image_failed(error: str, said: str) -> None:
    assert images_at_fault(failed(error), (PYTHON, UV)) == {"PYTHON_IMAGE": said}


def test_a_mirror_that_no_longer_has_the_image_is_at_fault() -> None:
    trace = trace_of(vertex(METADATA, 0, 1, error=f"{MIRROR}: not found"))
    assert images_at_fault(trace, (PYTHON, UV)) == {"PYTHON_IMAGE": "it has no such image"}


@pytest.mark.parametrize(
    "trace",
    [
        failed("process did not complete successfully: exit code: 1"),
        failed(f"{CUT}: context canceled"),
        # All of the image is there: it is something else that broke off.
        failed(CUT, status(FROM, BLOB, 100, 100)),
        failed(LACKING.replace(BLOB, ANOTHER), status(FROM, BLOB, 100, 100)),
        trace_of(vertex(f"{METADATA}-slim", 0, 1, error="not found")),
    ],
    ids=["a step's own", "given up", "complete", "another's blob", "another image"],
)
def test_another_failure_is_nobodys_fault(trace: BuildTrace) -> None:
    assert images_at_fault(trace, (PYTHON, UV)) == {}


def test_a_mirror_is_silent_when_nothing_comes_for_so_long() -> None:
    watch = MirrorSilence((PYTHON, UV), 20)
    some = trace_of(vertex(FROM, 0, 0.1), status(FROM, BLOB, 10, 100)).steps
    more = trace_of(vertex(FROM, 0, 0.1), status(FROM, BLOB, 20, 100)).steps
    whole = trace_of(vertex(FROM, 0, 0.1), status(FROM, BLOB, 100, 100)).steps
    assert watch.silent(some, 0.0) == {}
    assert watch.silent(some, 19.0) == {}
    assert watch.silent(more, 20.0) == {}
    assert watch.silent(more, 39.0) == {}
    assert watch.silent(more, 40.0) == {"PYTHON_IMAGE": "it sent nothing for 20 s"}
    # A blob that is there is unpacked, which may take its time.
    assert watch.silent(whole, 41.0) == {}
    assert watch.silent(whole, 400.0) == {}


def test_a_silence_before_the_manifest_counts_too() -> None:
    watch = MirrorSilence((PYTHON,), 5)
    asks = trace_of(vertex(METADATA, 0)).steps
    assert watch.silent(asks, 0.0) == {}
    assert watch.silent(asks, 5.0) == {"PYTHON_IMAGE": "it sent nothing for 5 s"}


def test_a_blob_may_wait_for_others_from_the_same_mirror() -> None:
    uv = BaseImage("UV_IMAGE", "uv:1", "mirror.example/library/uv:1", ImageOrigin.MIRROR)
    watch = MirrorSilence((PYTHON, uv), 10)
    name = "[uv-tool 1/1] FROM mirror.example/library/uv:1"
    for second in range(0, 60, 5):
        lines = (vertex(FROM, 0, 0.1), status(FROM, BLOB, 0, 100), vertex(name, 0, 0.1))
        steps = trace_of(*lines, status(name, ANOTHER, second, 100)).steps
        assert watch.silent(steps, float(second)) == {}
    assert set(watch.silent(steps, 65.0)) == {"PYTHON_IMAGE", "UV_IMAGE"}


def test_what_is_no_mirror_is_not_watched() -> None:
    upstream = BaseImage("PYTHON_IMAGE", MIRROR, MIRROR, ImageOrigin.UPSTREAM)
    watch = MirrorSilence((upstream,), 1)
    steps = trace_of(vertex(METADATA, 0)).steps
    assert (watch.silent(steps, 0.0), watch.silent(steps, 100.0)) == ({}, {})
