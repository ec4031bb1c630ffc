"""The engine's events of pushes and pulls, as Docker Engine 28.5 sent them."""

from __future__ import annotations

import io
from typing import Any

import pytest
from urllib3.exceptions import ProtocolError

from dockyard import images
from dockyard.errors import (
    DiskFullError,
    EngineError,
    ImageUnavailableError,
    NetworkError,
)
from dockyard.image_events import ImageEvents, Moved, count_layers, image_error
from dockyard.images import news
from support.settings import make_settings

LARGE, SMALL = "d98189f5c1a1" + "0" * 52, "faa1480e4772" + "0" * 52
LAYERS = {f"sha256:{LARGE}": 19_369_935, f"sha256:{SMALL}": 120}
DIGEST = "sha256:" + "e0cd" * 16


def event(status: str, layer: str = "", **progress: int) -> dict[str, Any]:
    return {"status": status, "id": layer[:12], "progressDetail": progress}


def followed(*events: dict[str, Any]) -> tuple[ImageEvents, int]:
    one = ImageEvents()
    return one, sum(map(one.feed, events))


def test_a_push_with_containerds_store() -> None:
    first, told = followed(
        {"status": "The push refers to repository [r/app]"},
        event("Waiting", LARGE),
        event("Pushing", LARGE, current=6_291_456, total=19_369_935),
        event("Pushing", LARGE, current=6_291_456, total=19_369_935),
        event("Pushed", LARGE),
        event("Layer already exists", SMALL),
        {"status": f"latest: digest: {DIGEST} size: 406"},
    )
    assert first.digest == DIGEST
    assert told == 6_291_456
    assert count_layers([first], LAYERS) == Moved(19_369_935, 120, 1, 1)
    # The next tag finds what the first one moved.
    second, _ = followed(event("Layer already exists", LARGE), event("Layer already exists", SMALL))
    assert count_layers([first, second], LAYERS) == Moved(19_369_935, 120, 1, 1)
    assert count_layers([second], LAYERS) == Moved(0, 19_370_055, 0, 2)


def test_a_pull_with_containerds_store() -> None:
    some, _ = followed(
        event("Pulling fs layer", LARGE),
        event("Pulling fs layer", SMALL),
        event("Already exists", SMALL),
        event("Pull complete", SMALL),
        event("Downloading", LARGE, current=1_048_576, total=19_369_935),
        event("Download complete", LARGE),
        event("Pull complete", LARGE),
        {"status": f"Digest: {DIGEST}"},
    )
    assert some.digest == DIGEST
    assert count_layers([some], LAYERS) == Moved(19_369_935, 120, 1, 1)
    # What is unpacked already is not spoken of at all.
    none, _ = followed({"status": f"Digest: {DIGEST}"})
    assert count_layers([none], LAYERS) == Moved(0, 19_370_055, 0, 2)


def test_an_engine_that_names_layers_otherwise() -> None:
    other, _ = followed(
        event("Pushing", "aaaaaaaaaaaa", current=10, total=1_000),
        event("Pushed", "aaaaaaaaaaaa"),
        event("Mounted from team/base", "bbbbbbbbbbbb"),
    )
    assert count_layers([other], LAYERS) == Moved(1_000, 0, 1, 1)


def test_an_error_in_the_events() -> None:
    one, _ = followed({"errorDetail": {"message": "denied: no"}, "error": "denied"})
    assert one.error == "denied: no"
    one, _ = followed({"error": "alone"})
    assert one.error == "alone"


@pytest.mark.parametrize(
    ("text", "push", "kind", "hint"),
    [
        (
            "unknown: unexpected status from HEAD request to http://h/v2/a: 401 Unauthorized",
            True,
            NetworkError,
            "docker login r.io",
        ),
        ("no basic auth credentials", True, NetworkError, "docker login r.io"),
        ("toomanyrequests: You have reached your limit", False, NetworkError, "wait"),
        (
            'failed to do request: Head "https://r.io/v2/": dial tcp 127.0.0.1:9: connect: '
            "connection refused",
            False,
            NetworkError,
            "DOCKYARD_REGISTRY",
        ),
        (
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            True,
            NetworkError,
            "/etc/docker/certs.d/r.io/ca.crt",
        ),
        ("tag does not exist: r.io/app:x", True, ImageUnavailableError, "invoke build"),
        (
            "failed to resolve reference: r.io/app:x: not found",
            False,
            ImageUnavailableError,
            "build --push",
        ),
        ("write /var/lib/x: no space left on device", False, DiskFullError, "docker system df"),
        (
            "unexpected status from POST request to http://h/v2/a: 500 Internal Server Error",
            True,
            NetworkError,
            "try again",
        ),
        ("something else", True, EngineError, "log"),
    ],
)
def test_what_each_message_means(text: str, push: bool, kind: type[Exception], hint: str) -> None:
    error = image_error(text, "r.io/app:x", push=push)
    assert type(error) is kind
    assert hint in (error.problems[0].hint or "")


def test_events_that_repeat_themselves_are_silence() -> None:
    times = iter([0.0, 1.0, 2.0, 11.0, 99.0])
    same = event("Downloading", LARGE, current=5, total=10)
    told = news([same, event("Waiting", SMALL), same, same, same], 10, lambda: next(times))
    assert [next(told) for _ in range(3)] == [same, event("Waiting", SMALL), same]
    with pytest.raises(TimeoutError):
        next(told)

    times = iter([0.0, 1.0, 20.0, 40.0])
    unpacked = event("Extracting", LARGE, current=1)
    assert len(list(news([unpacked] * 3, 10, lambda: next(times)))) == 3


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (f"failed commit on ref: unexpected commit digest {DIGEST}, expected x", "another content"),
        (f"failed commit on ref: got digest {DIGEST}, expected {DIGEST}", "another content"),
        ("error from registry: a word of its own", "registry.example.com refuses"),
        ("error from registry: too many requests", "had too many requests"),
        ("failed to do request: stopped after 10 redirects", "redirects without end"),
    ],
)
def test_what_a_broken_way_makes_of_a_layer(said: str, words: str) -> None:
    for push in (True, False):
        error = image_error(said, "registry.example.com/app:1", push=push)
        assert isinstance(error, NetworkError)
        assert words in str(error)
        assert "registry.example.com" in str(error)


def test_an_engine_that_is_shut_down() -> None:
    said = "Canceled: grpc: the client connection is closing: context canceled"
    error = image_error(said, "r.io/app:x", push=True)
    assert isinstance(error, EngineError)
    assert str(error).startswith("the Docker Engine ended before r.io/app:x was pushed: Canceled")


def test_an_engine_that_ends_while_its_events_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("docker.APIClient", lambda **options: io.BytesIO())
    environment = {"DOCKER_HOST": "tcp://127.0.0.1:1"}
    with (
        pytest.raises(EngineError, match="Connection broken"),
        images._engine(make_settings(), "r.io/app", environment),
    ):
        raise ProtocolError("Connection broken: IncompleteRead(0 bytes read)")
