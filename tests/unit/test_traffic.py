"""What a build moved, added up from what is known of it, and left unknown where a part is not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from dockyard.known_project import LockedPackage
from dockyard.record_parts import TrafficRecord
from dockyard.registry_spans import RegistryRequest
from dockyard.steps import StepKind, parse_step_name
from dockyard.trace import BlobTransfer, BuildTrace, Step
from dockyard.traffic import FAILED, add_up
from dockyard.traffic_display import bytes_down, bytes_up, traffic_rows
from dockyard.traffic_parts import BuildRun, LocalCacheFacts, RegistryFacts

BASE, APP = "registry.example/base/python", "registry.example/acme/app"
ONE, TWO, THREE = (f"sha256:{digit * 64}" for digit in "123")
CONFIGURATION = "application/vnd.oci.image.config.v1+json"
REPORT = {
    "layer": "dependencies-1",
    "kind": "default",
    "index": "https://pypi.org/simple",
    "served": ["one", "two"],
    "downloaded": ["one"],
    "cached": ["two"],
    "rejected": [],
    "reason": "",
    "seconds": 1,
}
LOCKED = (
    LockedPackage("one", "1.0", "x", None, 100, wheel=True),
    LockedPackage("two", "2.0", "x", None, 20, wheel=True),
    LockedPackage("three", "3.0", "x", None, 3, wheel=False),
    LockedPackage("four", "4.0", "x", "https://git.example/four@abc", None, wheel=False),
)
INSTALL = "[dependencies-1 1/1] RUN install-layer dependencies-1 && finish-layer dependencies-1"


def step(
    name: str, *blobs: BlobTransfer, log: tuple[str, ...] = (), done: int = 0, **more: Any
) -> Step:
    parsed = parse_step_name(name)
    values: dict[str, Any] = {
        "digest": name,
        "kind": parsed.kind,
        "instruction": parsed.instruction,
        "stage": parsed.stage,
        "started": "now",
        "cached": False,
        "error": None,
        "bytes_done": done,
        "log": log,
        "blobs": blobs,
    }
    left = ("platform", "number", "total", "completed", "seconds", "bytes_total")
    return Step(**{**dict.fromkeys(left), "inputs": (), **values, **more})


def trace(*steps: Step) -> BuildTrace:
    return BuildTrace(steps, (), ())


def pulled(*blobs: BlobTransfer) -> Step:
    return step(f"[dependency-builder 1/4] FROM {BASE}:3.13@{ONE}", *blobs)


def installed(*reports: dict[str, Any], **more: Any) -> Step:
    return step(INSTALL, log=tuple("dockyard: " + json.dumps(one) for one in reports), **more)


def get(repository: str, digest: str, **more: Any) -> RegistryRequest:
    return RegistryRequest("GET", repository, digest, **{"status": 200, **more})


def put(digest: str | None, sent: int | None, **more: Any) -> RegistryRequest:
    return RegistryRequest("PUT", APP, digest, **{"status": 201, "sent": sent, **more})


def added(*runs: BuildRun, **more: Any) -> TrafficRecord:
    values: dict[str, Any] = {
        "succeeded": True,
        "bases": frozenset({BASE}),
        "registry": RegistryFacts(),
        "local": LocalCacheFacts(),
        "locked": LOCKED,
    }
    return add_up(runs or (BuildRun(trace()),), **{**values, **more})


def why(traffic: TrafficRecord, field: str) -> str:
    """The reason for what is unknown, which must then be None."""
    assert getattr(traffic, field) is None
    return (traffic.unknown or {})[field]


def test_a_build_that_moves_nothing_moves_zero_and_not_the_unknown() -> None:
    context = step("[internal] load build context", done=41)
    assert added(BuildRun(trace(context))) == TrafficRecord(41, 0, 0, 0, 0, 0, 0, 0)
    assert "context_sent" in (added(BuildRun(trace())).unknown or {})


# base images, by the progress alone


def test_a_base_image_is_counted_once_however_many_steps_load_it() -> None:
    layer = BlobTransfer(ONE, 500, 500)
    run = BuildRun(trace(pulled(layer), pulled(layer, BlobTransfer(TWO, 10, 20))))
    assert added(run).base_read == 520


def test_a_build_that_broke_off_knows_whole_layers_only() -> None:
    whole, half = BlobTransfer(ONE, 500, 500), BlobTransfer(TWO, 10, 20)
    assert added(BuildRun(trace(pulled(whole))), succeeded=False).base_read == 500
    found = added(BuildRun(trace(pulled(whole, half))), succeeded=False)
    assert why(found, "base_read") == FAILED
    unsized = BuildRun(trace(pulled(BlobTransfer(ONE, 5, 0))))
    assert why(added(unsized), "base_read") == FAILED


def test_what_a_local_cache_gives_is_not_the_base_images() -> None:
    copied = step("[app-builder 2/3] COPY --link src /app/src", BlobTransfer(ONE, 5, 5))
    local = LocalCacheFacts(frozenset({ONE}), read=7, written=9)
    found = added(BuildRun(trace(copied, pulled(BlobTransfer(TWO, 4, 4)))), local=local)
    assert (found.base_read, found.cache_read, found.cache_written) == (4, 7, 9)
    lost = replace(local, read=None, reason="no access times")
    assert why(added(local=lost), "cache_read") == "no access times"


# registries, by the requests


IMAGE = {ONE: 500, TWO: 30, THREE: 2}


def pushing(*requests: RegistryRequest, steps: tuple[Step, ...] = (), **more: Any) -> BuildRun:
    return BuildRun(trace(*steps), pushes=True, requests=requests, **more)


def test_a_push_is_what_was_sent_and_what_the_registry_had() -> None:
    found = added(
        pushing(
            RegistryRequest("HEAD", APP, ONE, 200),
            RegistryRequest("HEAD", APP, TWO, 404),
            put(TWO, 30),
            put("sha256:" + "9" * 64, 4),
        ),
        registry=RegistryFacts(IMAGE),
    )
    assert (found.layers_pushed, found.layers_skipped, found.cache_written) == (30, 502, 4)


def test_what_is_uploaded_twice_counts_twice_and_a_mounted_blob_is_skipped() -> None:
    mounted = RegistryRequest("POST", APP, ONE, 201)
    found = added(pushing(put(TWO, 30), put(TWO, 30), mounted), registry=RegistryFacts(IMAGE))
    assert (found.layers_pushed, found.layers_skipped) == (60, 502)


def test_without_the_images_manifest_only_the_skipped_is_unknown() -> None:
    found = added(pushing(put(TWO, 30)), registry=RegistryFacts(reason="no login"))
    assert (found.layers_pushed, found.cache_written) == (30, 0)
    assert why(found, "layers_skipped") == "no login"


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (put(TWO, 30, status=500), "refused"),
        (put(TWO, 30, status=None), "refused"),
        (put(TWO, 30, broken=True), "cut off"),
        (put(TWO, None), "size"),
        (RegistryRequest("PATCH", APP, None, 202, sent=5), "pieces"),
    ],
)
def test_an_upload_that_is_not_known_whole_leaves_the_sum_unknown(
    request_: RegistryRequest, reason: str
) -> None:
    found = added(pushing(put(ONE, 500), request_), registry=RegistryFacts(IMAGE))
    assert reason in why(found, "layers_pushed")


def caching(*requests: RegistryRequest, **more: Any) -> BuildRun:
    values = {"imports": frozenset({APP}), "imported": (f"{APP}:cache",), **more}
    return BuildRun(trace(pulled(BlobTransfer(ONE, 500, 500))), requests=requests, **values)


def test_reads_are_the_base_images_or_the_caches_by_their_repository() -> None:
    facts = RegistryFacts(
        configurations={f"{APP}:cache": (TWO, 30)}, sizes={TWO: 30, THREE: 2}, reason="?"
    )
    config = get(BASE, THREE, accept=CONFIGURATION)
    found = added(
        caching(config, get(BASE, ONE), get(APP, THREE), get(APP, "x", status=404)),
        registry=facts,
    )
    # The cache's configuration is read without a request that the trace has.
    assert (found.base_read, found.cache_read) == (500, 32)
    seen = added(caching(get(APP, TWO)), registry=facts)
    assert seen.cache_read == 30
    twice = added(caching(), caching(exports=True), registry=facts)
    assert twice.cache_read == 60


def test_a_mirror_and_another_image_are_base_images() -> None:
    found = added(caching(get("mirror.example/other", ONE), imported=()))
    assert (found.base_read, found.cache_read) == (500, 0)


def test_a_part_of_a_blob_counts_as_much_as_was_asked_for() -> None:
    def read(text: str | None) -> TrafficRecord:
        return added(caching(get(BASE, ONE, status=206, range=text), imported=()))

    assert read("bytes=100-199").base_read == 100
    assert read("bytes=100-").base_read == 400
    assert read("bytes=400-9999").base_read == 100
    assert "which" in why(read(None), "base_read")
    assert "which" in why(read("bytes=-5"), "base_read")


def test_a_download_that_was_cut_off_and_tried_again_is_unknown() -> None:
    found = added(caching(get(BASE, ONE, broken=True), get(BASE, ONE), imported=()))
    assert "cut off" in why(found, "base_read")
    assert found.cache_read == 0


def test_a_download_that_was_resumed_is_known() -> None:
    """As BuildKit does it: from where it broke, twice here."""
    parts = (
        get(BASE, ONE, broken=True),
        get(BASE, ONE, broken=True, status=206, range="bytes=100-"),
        get(BASE, ONE, status=206, range="bytes=300-"),
    )
    assert added(caching(*parts, imported=())).base_read == 500
    again = (get(BASE, ONE, broken=True), get(BASE, ONE))
    assert "cut off" in why(added(caching(*parts[:2], *again, imported=())), "base_read")


def test_a_cache_whose_configuration_nobody_knows_is_unknown() -> None:
    found = added(caching(), registry=RegistryFacts(reason="it did not answer"))
    assert why(found, "cache_read") == "it did not answer"
    assert found.base_read == 0


def test_the_run_that_exports_writes_caches_alone() -> None:
    export = BuildRun(trace(), exports=True, requests=(put(ONE, 7),))
    found = added(pushing(put(ONE, 500)), export, registry=RegistryFacts(IMAGE))
    assert (found.layers_pushed, found.cache_written, found.layers_skipped) == (500, 7, 32)


def test_a_history_that_cannot_be_read_makes_unknown_what_it_would_have_told() -> None:
    push = BuildRun(trace(pulled(BlobTransfer(ONE, 5, 5))), pushes=True, reason="no such command")
    found = added(push, registry=RegistryFacts(IMAGE))
    for field in ("base_read", "layers_pushed", "layers_skipped"):
        assert why(found, field) == "no such command"
    assert (found.cache_read, found.cache_written) == (0, 0)
    cache = added(BuildRun(trace(), imports=frozenset({APP}), exports=True, reason="it is gone"))
    for field in ("base_read", "cache_read", "cache_written"):
        assert why(cache, field) == "it is gone"
    assert cache.layers_pushed == 0
    assert cache.packages_downloaded == 0


def test_caches_that_nothing_tells_of_and_builds_made_twice_are_unknown() -> None:
    found = added(unmeasured_imports=["gha"], unmeasured_exports=["s3"])
    assert "gha" in why(found, "cache_read")
    assert "s3" in why(found, "cache_written")
    again = added(repeated="it was started again")
    assert why(again, "base_read") == why(again, "layers_pushed") == "it was started again"


# packages


def test_packages_are_those_of_the_steps_that_ran() -> None:
    cached = installed(REPORT, cached=True)
    found = added(BuildRun(trace(installed(REPORT), cached)))
    assert (found.packages_downloaded, found.packages_cached) == (100, 20)
    assert (found.downloaded, found.cached) == (("one",), ("two",))


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        ({**REPORT, "downloaded": ["three"], "served": ["three"], "cached": []}, "from source"),
        ({**REPORT, "downloaded": ["four"], "served": ["four"], "cached": []}, "size of four"),
        ({**REPORT, "downloaded": ["five"], "served": ["five"], "cached": []}, "size of five"),
        ({**REPORT, "served": ["one", "two", "six"]}, "six"),
        ({k: v for k, v in REPORT.items() if k not in ("downloaded", "cached")}, "older"),
        ({**REPORT, "rejected": ["six"], "reason": "hash mismatch"}, "failed"),
        ({"layer": "project", "downloaded to build": ["hatchling==1.0"]}, "hatchling==1.0"),
    ],
)
def test_what_the_lock_or_uv_does_not_tell_is_unknown(report: dict[str, Any], reason: str) -> None:
    found = added(BuildRun(trace(installed(REPORT), installed(report))))
    assert reason in why(found, "packages_downloaded")


def test_a_package_that_a_mirror_has_not_costs_nothing_there() -> None:
    mirror = {**REPORT, "served": [], "downloaded": [], "cached": [], "rejected": ["one"]}
    mirror["reason"] = "one was not found in the package registry"
    found = added(BuildRun(trace(installed(mirror, REPORT))))
    assert found.packages_downloaded == 100


def test_a_wheel_built_before_comes_from_uvs_cache() -> None:
    report = {**REPORT, "served": ["three"], "downloaded": [], "cached": ["three"]}
    found = added(BuildRun(trace(installed(report, {"layer": "x", "downloaded to build": []}))))
    assert (found.packages_downloaded, found.packages_cached) == (0, 3)


def test_steps_that_fail_or_do_not_tell_are_unknown() -> None:
    failed = added(BuildRun(trace(installed(REPORT, error="exit code: 1"))))
    assert "failed" in why(failed, "packages_downloaded")
    own = step("[build 2/3] RUN uv sync --frozen")
    assert "build" in why(added(BuildRun(trace(own))), "packages_cached")
    assert added(BuildRun(trace(step("[build 3/3] RUN make")))).packages_downloaded == 0


# shown


def test_rows_say_what_moved() -> None:
    traffic = TrafficRecord(0, 44_100_000, 0, 1_200_000, 140_000_000, 35_000, 2_000_000, 30_000_000)
    assert traffic_rows(traffic) == (
        ("down", "base 44.1 MB, packages 2.0 MB (30.0 MB from uv's cache)"),
        ("up", "layers 1.2 MB (140 MB were there already), cache 35.0 kB"),
    )
    assert (bytes_down(traffic), bytes_up(traffic)) == (46_100_000, 1_235_000)
    assert traffic_rows(None) == traffic_rows(TrafficRecord(5, 0, 0, 0, 0, 0, 0, 0)) == ()


def test_rows_say_what_is_unknown_and_why_once() -> None:
    unknown = dict.fromkeys(("base_read", "cache_read"), "no\x1b[31m history")
    traffic = TrafficRecord(packages_downloaded=5, layers_pushed=0, cache_written=0)
    traffic = replace(traffic, unknown=unknown)
    assert traffic_rows(traffic) == (
        ("down", "base unknown, cache unknown, packages 5 B – no history"),
    )
    assert bytes_down(traffic) is None
    assert bytes_down(None) is None
    assert bytes_up(None) is None


def test_the_kinds_that_count_are_those_of_the_names_used_here() -> None:
    kinds = [pulled().kind, installed().kind, step("[internal] load build context").kind]
    assert kinds == [StepKind.IMAGE, StepKind.RUN, StepKind.CONTEXT]
