"""What is asked for a build's traffic, what is not, and what becomes of answers that fail."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dockyard import process
from dockyard.base_images import BaseImage, ImageOrigin
from dockyard.builders import BuilderChoice
from dockyard.caches import registry_client
from dockyard.caches.layout import Descriptor
from dockyard.caches.registry_client import Manifest
from dockyard.definition import BuildDefinition
from dockyard.errors import CacheError
from dockyard.known_project import KnownProject
from dockyard.preparation import Prepared
from dockyard.process import Completed
from dockyard.revision import Revision
from dockyard.trace import BuildTrace
from dockyard.traffic_parts import ImageBlob
from dockyard.traffic_reading import TrafficReader, repository_of
from support.history import bundle, span, text
from support.settings import make_settings
from support.transcripts import trace_of, vertex

IMAGE, CACHE = "registry.example/acme/app", "type=registry,ref=registry.example/acme/app:cache"
LAYER, CONFIG, OTHER = (f"sha256:{digit * 64}" for digit in "123")
METADATA = {"buildx.build.ref": "b/b0/abc", "containerimage.digest": "sha256:" + "4" * 64}
NOTHING = BuildTrace((), (), ())
IMPORTED = trace_of(vertex("importing cache manifest from registry.example/acme/app:cache", 0, 1))


def prepared(**changes: Any) -> Prepared:
    values = {"output": "type=image,push=true", "builder": "mine", **changes}
    python = BaseImage("PYTHON_IMAGE", "python", "base.example/python:3.13", ImageOrigin.UPSTREAM)
    return Prepared(
        settings=make_settings(),
        project=KnownProject("app", "1.0", ()),
        revision=Revision(None, None, False, None, None),
        engine=None,
        builder=BuilderChoice("mine", "docker-container", "pushes"),
        base_images=(python,),
        layer_packages=(),
        definition=BuildDefinition(".", "docker/Dockerfile", (f"{IMAGE}:latest",), **values),
        notes=(),
    )


class History:
    """buildx's history: what it was asked, and the bundle that it writes."""

    def __init__(self, data: bytes | None) -> None:
        self.asked: list[list[str]] = []
        self._data = data
        self.process = self

    def start(self, arguments: Sequence[str], **_: object) -> History:
        self.asked.append(list(arguments))
        if self._data is not None:
            Path(arguments[arguments.index("--output") + 1]).write_bytes(self._data)
        return self

    def wait(self, timeout: float | None = None) -> Completed:
        if self._data is None:
            return Completed((), 1, "", "noise\nERROR: no such build\n")
        return Completed((), 0, "", "")

    def kill(self) -> None:
        pass


class Client:
    """A registry with these manifests, by tag or digest."""

    def __init__(self, manifests: Mapping[str, object]) -> None:
        self._manifests = manifests

    def read_manifest(self, reference: str) -> Manifest | None:
        found = self._manifests.get(reference)
        if isinstance(found, Exception):
            raise found
        content = json.dumps(found).encode()
        return Manifest(Descriptor("x", reference, len(content)), content) if found else None


@pytest.fixture
def history(monkeypatch: pytest.MonkeyPatch) -> History:
    put = f"https://registry.example/v2/acme/app/blobs/uploads/1?digest={LAYER}"
    made = History(bundle(text(span("PUT", put, 201, length="70"))))
    monkeypatch.setattr(process, "start", made.start)
    return made


def registry(monkeypatch: pytest.MonkeyPatch, manifests: Mapping[str, object]) -> list[str]:
    """Have these manifests answered; the list names the repositories that are asked."""
    asked: list[str] = []

    @contextmanager
    def opened(settings: object, repository: str, environment: object) -> Iterator[Client]:
        asked.append(repository)
        yield Client(manifests)

    monkeypatch.setattr(registry_client, "open_repository", opened)
    return asked


MANIFEST = {
    "layers": [{"digest": LAYER, "size": 70}, {"digest": OTHER, "size": 5}],
    "config": {"digest": CONFIG, "size": 3},
}


def test_repositories_of_references() -> None:
    assert repository_of("python:3.13") == "docker.io/library/python"
    assert repository_of(f"127.0.0.1:5000/a/b:1@{LAYER}") == "127.0.0.1:5000/a/b"
    assert repository_of("localhost/a") == "localhost/a"


@pytest.mark.parametrize("output", ["type=image,unpack=true", "type=docker", "type=cacheonly"])
def test_a_build_without_registry_caches_that_pushes_nothing_asks_nobody(
    history: History, output: str
) -> None:
    reader = TrafficReader(prepared(output=output), {})
    reader.built(prepared(output=output), NOTHING, METADATA)
    found = reader.result(succeeded=True)
    reader.close()
    assert history.asked == []
    assert (found.base_read, found.layers_pushed, found.cache_read) == (0, 0, 0)


def test_a_push_asks_the_history_and_the_registry(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = registry(monkeypatch, {METADATA["containerimage.digest"]: MANIFEST})
    reader = TrafficReader(prepared(), {})
    reader.built(prepared(), NOTHING, METADATA)
    found = reader.result(succeeded=True)
    reader.close()
    assert asked == [IMAGE]
    (command,) = history.asked
    assert command[command.index("--builder") + 1] == "mine"
    assert command[-1] == "abc"
    assert (found.layers_pushed, found.layers_skipped) == (70, 8)
    pushed = reader.pushed
    assert pushed is not None
    assert pushed.layers == (ImageBlob(LAYER, 70), ImageBlob(OTHER, 5))
    assert pushed.bytes == 78
    assert not Path(command[command.index("--output") + 1]).exists()


def test_several_platforms_are_one_push(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    other = {"layers": [{"digest": OTHER, "size": 5}], "config": {"digest": "c2", "size": 4}}
    index = {"manifests": [{"digest": "one"}, {"digest": "two"}]}
    manifests = {METADATA["containerimage.digest"]: index, "one": MANIFEST, "two": other}
    registry(monkeypatch, manifests)
    reader = TrafficReader(prepared(), {})
    reader.built(prepared(), NOTHING, METADATA)
    found = reader.result(succeeded=True)
    reader.close()
    assert (found.layers_pushed, found.layers_skipped) == (70, 12)
    assert reader.pushed is None


def test_attestations_are_pushed_and_no_layers(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    attestation = {"layers": [{"digest": OTHER, "size": 5}], "config": {"digest": "c2", "size": 4}}
    kind = {"vnd.docker.reference.type": "attestation-manifest"}
    index = {"manifests": [{"digest": "one"}, {"digest": "two", "annotations": kind}]}
    image = {"layers": [{"digest": LAYER, "size": 70}], "config": {"digest": CONFIG, "size": 3}}
    manifests = {METADATA["containerimage.digest"]: index, "one": image, "two": attestation}
    registry(monkeypatch, manifests)
    reader = TrafficReader(prepared(), {})
    reader.built(prepared(), NOTHING, METADATA)
    found = reader.result(succeeded=True)
    reader.close()
    assert (found.layers_pushed, found.layers_skipped) == (70, 12)
    assert reader.pushed is not None
    assert reader.pushed.layers == (ImageBlob(LAYER, 70),)


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        (CacheError("it wants a login"), "it wants a login"),
        (None, "no manifest"),
        ([1], "no manifest"),
        ({"layers": [{"size": 1}]}, "another form"),
        ({"layers": 5}, "another form"),
    ],
)
def test_a_registry_that_does_not_answer_leaves_the_skipped_unknown(
    history: History, monkeypatch: pytest.MonkeyPatch, manifest: object, reason: str
) -> None:
    registry(monkeypatch, {METADATA["containerimage.digest"]: manifest})
    reader = TrafficReader(prepared(), {})
    reader.built(prepared(), NOTHING, METADATA)
    found = reader.result(succeeded=True)
    reader.close()
    assert found.layers_pushed == 70
    assert found.layers_skipped is None
    assert reason in (found.unknown or {})["layers_skipped"]


@pytest.mark.parametrize(
    ("data", "metadata", "reason"),
    [
        (None, METADATA, "no such build"),
        (b"", METADATA, "history"),
        (bundle(b"{"), METADATA, "Expecting"),
        (b"", {"containerimage.digest": LAYER}, "no reference"),
        (b"", {}, ""),
    ],
)
def test_a_history_that_cannot_be_read_is_a_reason(
    monkeypatch: pytest.MonkeyPatch,
    data: bytes | None,
    metadata: dict[str, str],
    reason: str,
) -> None:
    monkeypatch.setattr(process, "start", History(data).start)
    registry(monkeypatch, {METADATA["containerimage.digest"]: MANIFEST})
    before = prepared(cache_from=(CACHE,))
    reader = TrafficReader(before, {})
    reader.begin()
    reader.built(before, NOTHING, metadata)
    found = reader.result(succeeded=bool(metadata))
    reader.close()
    assert found.cache_read is None
    assert reason in (found.unknown or {})["cache_read"]


@pytest.mark.parametrize(
    "manifest",
    [
        {"layers": [], "config": {"digest": CONFIG, "size": 9}},
        {
            "manifests": [
                {"digest": LAYER, "size": 70, "mediaType": "application/vnd.oci.layer"},
                {
                    "digest": CONFIG,
                    "size": 9,
                    "mediaType": "application/vnd.buildkit.cacheconfig.v0",
                },
            ]
        },
    ],
    ids=["image manifest", "index"],
)
def test_a_cache_that_was_read_counts_with_its_configuration(
    history: History, monkeypatch: pytest.MonkeyPatch, manifest: object
) -> None:
    registry(monkeypatch, {"cache": manifest})
    before = prepared(output="type=cacheonly", cache_from=(CACHE,), cache_to=(CACHE,))
    reader = TrafficReader(before, {})
    reader.begin()
    reader.built(before, IMPORTED, METADATA)
    reader.exported(IMPORTED, (CACHE,), (CACHE,), METADATA)
    found = reader.result(succeeded=True)
    reader.close()
    assert len(history.asked) == 2
    assert found.unknown == {"context_sent": "the build sent no context"}
    assert (found.cache_read, found.cache_written) == (18, 140)


def test_caches_of_which_nothing_tells(history: History) -> None:
    before = prepared(output="type=cacheonly", cache_to=("type=gha,scope=a",))
    trace = trace_of(vertex("importing cache manifest from s3:123", 0, 1))
    reader = TrafficReader(before, {})
    reader.begin()
    reader.built(before, trace, METADATA)
    found = reader.result(succeeded=True)
    reader.close()
    assert set(found.unknown or {}) == {"cache_read", "cache_written", "context_sent"}


def test_a_build_that_fails_has_pushed_nothing_unless_it_had_begun_to(history: History) -> None:
    def failed(*names: str) -> int | None:
        reader = TrafficReader(prepared(), {})
        reader.built(prepared(), trace_of(*(vertex(name, 0, 1) for name in names)), {})
        found = reader.result(succeeded=False)
        reader.close()
        return found.layers_pushed

    assert failed("[a 1/1] RUN false") == 0
    assert failed("[a 1/1] RUN true", "exporting to image") is None
    assert history.asked == []


def test_an_abandoned_build_leaves_no_file(history: History) -> None:
    reader = TrafficReader(prepared(), {})
    reader.built(prepared(), NOTHING, {"buildx.build.ref": "b/b0/abc"})
    reader.close()
    (command,) = history.asked
    assert not Path(command[command.index("--output") + 1]).parent.exists()
