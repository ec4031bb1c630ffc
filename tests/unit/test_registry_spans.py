"""A build's trace, as BuildKit's history hands it out, read as requests for blobs."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from dockyard.registry_spans import RegistryRequest, read_bundle, read_spans
from support.history import BLOB, bundle, span, text

DATA = Path(__file__).parents[1] / "data/history"
OTHER = "sha256:" + "cd" * 32


def test_requests_for_blobs_are_read() -> None:
    upload = "https://registry.example/v2/acme/app/blobs/uploads/1f1f?_state=secret"
    digest = OTHER.replace(":", "%3A")
    found = read_spans(
        text(
            span("HEAD", status=404),
            span("PUT", f"{upload}&digest={digest}", 201, length="120"),
            span("PATCH", upload, 202, length="70"),
            span("POST", f"{upload}&mount={digest}&from=acme%2Fbase", 201),
            span(range="bytes=10-19", status=206, accept="a/config, */*"),
        )
    )
    place = "registry.example/acme/app"
    assert found == (
        RegistryRequest("HEAD", place, BLOB, 404),
        RegistryRequest("PUT", place, OTHER, 201, sent=120),
        RegistryRequest("PATCH", place, None, 202, sent=70),
        RegistryRequest("POST", place, OTHER, 201),
        RegistryRequest("GET", place, BLOB, 206, range="bytes=10-19", accept="a/config"),
    )
    assert "secret" not in repr(found)


def test_older_names_of_attributes_are_read() -> None:
    url = f"https://registry.example/v2/app/blobs/uploads/1?digest={BLOB}"
    (found,) = read_spans(text(span("PUT", url, 201, old=True, length="5")))
    assert found == RegistryRequest("PUT", "registry.example/app", BLOB, 201, sent=5)


@pytest.mark.parametrize(
    "other",
    [
        span(name="remotes.docker.resolver.HTTPRequest"),
        span(url="https://registry.example/v2/acme/app/manifests/latest"),
        span(url="https://registry.example/token?scope=repository"),
        span(url="https://registry.example/v2/acme/app/blobs/uploads/", method="POST"),
        span(url="http://[broken"),
        span(method="DELETE"),
        {"Name": "HTTP GET", "Attributes": [None, {"Key": 1}, {"Key": "url.full", "Value": 3}]},
        {"Name": None, "Parent": 1, "Status": "x", "Attributes": {}},
        [],
    ],
)
def test_other_spans_are_passed_over(other: object) -> None:
    assert read_spans(text(other, span())) == (
        RegistryRequest("GET", "registry.example/acme/app", BLOB, 200),
    )


def test_a_redirected_request_is_one_and_has_the_last_answer() -> None:
    storage = "https://storage.example/bucket/data?X-Signature=secret"
    found = read_spans(
        text(span(status=307, start="1"), span(url=storage, start="2"), span("HEAD", parent="p2"))
    )
    assert [(one.method, one.status, one.broken) for one in found] == [
        ("GET", 200, False),
        ("HEAD", 200, False),
    ]
    assert "storage" not in repr(found)
    (failed,) = read_spans(text(span(status=307), span(url=storage, status=403, start="2", code=1)))
    assert (failed.status, failed.broken) == (403, True)
    (lost,) = read_spans(text(span(status=307)))
    assert (lost.status, lost.broken) == (None, True)


@pytest.mark.parametrize("code", [1, "Error"])
def test_an_answer_that_was_cut_off_is_broken(code: object) -> None:
    (found,) = read_spans(text(span(code=code)))
    assert found.broken


def test_a_mirror_answers_for_the_registry_that_it_names_and_no_login_is_kept() -> None:
    url = f"https://user:secret@mirror.example/v2/library/python/blobs/{BLOB}"
    found = read_spans(text(span(url=f"{url}?ns=docker.io"), span(url=url)))
    assert [one.repository for one in found] == [
        "docker.io/library/python",
        "mirror.example/library/python",
    ]


@pytest.mark.parametrize("compress", [False, True])
def test_a_bundle_is_read(compress: bool) -> None:
    data = bundle(text(span(), span("HEAD")))
    assert len(read_bundle(gzip.compress(data) if compress else data)) == 2


def test_a_cut_bundle_is_an_error_wherever_it_is_cut() -> None:
    whole = gzip.compress(bundle(text(span())))
    for length in (0, 1, 20, len(whole) // 4, len(whole) // 2):
        with pytest.raises(ValueError, match=r"history|Expecting|delimiter|char"):
            read_bundle(whole[:length])


@pytest.mark.parametrize(
    "data",
    [
        bundle(text(span())[:-5]),
        bundle(text(span()), "application/json"),
        bundle(b"\xff\x00"),
    ],
)
def test_a_bundle_without_a_whole_trace_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"trace|Expecting"):
        read_bundle(data)


def test_a_recorded_trace() -> None:
    """Of BuildKit 0.32: a push by a fresh builder that found a cache; the registry counted this."""
    found = read_spans((DATA / "push-with-cache.json").read_bytes())
    sent = [one for one in found if one.method == "PUT"]
    assert {one.status for one in sent} == {201}
    assert sum(one.sent or 0 for one in sent) == 4016
    assert {one.repository.partition("/")[2] for one in sent} == {"img"}
    read = [one for one in found if one.method == "GET"]
    assert [one.repository.partition("/")[2] for one in read] == ["python", "img", "img"]
    assert [one.accept.rpartition(".")[2] for one in read] == ["v1+json", "tar+gzip", "tar+gzip"]
