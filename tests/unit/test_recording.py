"""A prepared build and its trace into the record."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dockyard import __version__
from dockyard.base_images import BaseImage, ImageOrigin
from dockyard.builders import BuilderChoice
from dockyard.definition import BuildDefinition
from dockyard.engine import EngineFacts, ImageFacts, ImageLayer
from dockyard.errors import BuildFailedError
from dockyard.preparation import KnownProject, Prepared
from dockyard.recording import copied_layers, name_caches, record_build, what_layer_holds
from dockyard.records import BuildRecord, CacheRecord, read_record
from dockyard.revision import Revision
from dockyard.trace import BuildTrace, CacheTransfer
from dockyard.traffic_parts import ImageBlob, PushedImage
from support.settings import make_settings
from support.transcripts import log, read, trace_of, vertex

STARTED = datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC)
DIGEST = "sha256:" + "ab" * 32


def prepared(root: Path = Path("/repository"), **changes: Any) -> Prepared:
    settings = make_settings(root, **changes.pop("settings", {}))
    definition = BuildDefinition(
        context=".",
        dockerfile="docker/Dockerfile",
        tags=("service:latest", "service:1.0"),
        output="type=image",
        **changes.pop("definition", {}),
    )
    values: dict[str, Any] = {
        "settings": settings,
        "project": KnownProject("service", "1.0", ("numpy", "six")),
        "revision": Revision("0123456789abcdef", "main", True, None, None),
        "engine": EngineFacts("28.5.2", "0.29.1", "default", True, "amd64", "x"),
        "builder": BuilderChoice("default", "docker", "loads straight into the engine"),
        "base_images": (
            BaseImage("PYTHON_IMAGE", "python:3.13", "local/python:3.13", ImageOrigin.STAND_IN),
        ),
        "layer_packages": (("numpy",), ("six",)),
        "definition": definition,
        "notes": ("a note",),
    }
    return Prepared(**{**values, **changes})


def record(trace: BuildTrace, before: Prepared | None = None, **changes: Any) -> BuildRecord:
    values: dict[str, Any] = {
        "outcome": "succeeded",
        "started": STARTED,
        "seconds": 1.23456,
        "metadata": {"containerimage.digest": DIGEST},
        "image": None,
        "error": None,
    }
    return record_build(before or prepared(), trace, **{**values, **changes})


def test_a_build_on_record() -> None:
    found = record(read("code-change"))
    assert found.id.startswith("20260102T030405.678Z-")
    assert (found.outcome, found.started) == ("succeeded", "2026-01-02T03:04:05.678Z")
    assert (found.seconds, found.dockyard) == (1.235, __version__)
    assert found.project == {"name": "service", "version": "1.0"}
    assert found.revision == {"commit": "0123456789abcdef", "branch": "main", "dirty": True}
    assert found.engine["platform"] == "linux/amd64"
    assert found.builder["driver"] == "docker"
    assert found.base_images[0]["origin"] == "stand-in"
    assert found.image["tags"] == ["service:latest", "service:1.0"]
    assert found.image["digest"] == DIGEST
    assert found.image["content_bytes"] is None
    assert found.hit_rates["dependency"] == 1.0
    assert found.hit_rates["application"] == 0.5
    assert found.context_bytes == 222
    assert found.notes == ("a note",)
    assert found.error is None
    assert found.settings["image"]["source"]
    assert read_record(found.as_json()) == found


def test_steps_on_record() -> None:
    trace = read("container-load")
    found = record(trace)
    assert len(found.steps) == len(trace.steps)
    base = next(one for one in found.steps if one.stage == "uv-tool")
    step = next(one for one in trace.steps if one.stage == "uv-tool")
    assert (base.kind, base.ran, base.cached) == ("image", True, False)
    assert base.bytes == step.bytes_done
    assert base.seconds == round(step.seconds, 3)
    assert step.started is not None
    assert base.started == step.started.isoformat(timespec="milliseconds")[:23] + "Z"
    copy = next(one for one in found.steps if one.instruction == "COPY --link src /app/src")
    assert (copy.stage, copy.kind, copy.bytes) == ("app-builder", "copy", None)


def test_a_failure_on_record() -> None:
    error = BuildFailedError("it broke", where="docker/Dockerfile", hint="mend it")
    found = record(read("failed-install"), outcome="failed", metadata={}, error=error)
    assert found.error == str(error)
    assert found.image["digest"] is None
    broken = [step for step in found.steps if step.error]
    assert [step.stage for step in broken] == ["dependencies-1"]
    assert found.hit_rates["application"] is None


def test_without_engine_and_context_it_says_so() -> None:
    found = record(read("no-engine"), prepared(engine=None), outcome="failed")
    assert set(found.engine.values()) == {None}
    assert found.context_bytes is None
    assert found.steps == ()


def test_layers_are_named_by_what_they_hold() -> None:
    layers = (
        ImageLayer(100, "/bin/sh -c #(nop) ADD file:1234 in /"),
        ImageLayer(8, "WORKDIR /app"),
        ImageLayer(9, "COPY /environment/ / # buildkit"),
        ImageLayer(60, "COPY /dependencies-1/ / # buildkit"),
        ImageLayer(7, "COPY /dependencies-2/ / # buildkit"),
        ImageLayer(5, "COPY /dependencies-3/ / # buildkit"),
        ImageLayer(3, "COPY src /app/src # buildkit"),
    )
    found = record(read("all-cached"), image=ImageFacts(DIGEST, 50, 192, layers))
    assert [(one.holds, one.size, one.packages) for one in found.layers] == [
        ("base", 100, ()),
        ("WORKDIR /app", 8, ()),
        ("environment", 9, ()),
        ("dependencies-1", 60, ("numpy",)),
        ("dependencies-2", 7, ("six",)),
        # A Dockerfile that the user edited may have more layers than the plan.
        ("dependencies-3", 5, ()),
        ("src", 3, ()),
    ]
    assert (found.image["content_bytes"], found.image["unpacked_bytes"]) == (50, 192)


@pytest.mark.parametrize(
    ("created_by", "expected"),
    [
        ("COPY /environment/ / # buildkit", "environment"),
        ("COPY /dependencies-12/ / # buildkit", "dependencies-12"),
        ("COPY /dependencies-x/ / # buildkit", "COPY /dependencies-x/ /"),
        ("COPY /rootfs/ / # buildkit", "COPY /rootfs/ /"),
        ("COPY src /app/src # buildkit", "src"),
        ("COPY models/a b /app/models # buildkit", "models/a b"),
        ("RUN /bin/sh -c make # buildkit", "RUN /bin/sh -c make"),
        ("RUN " + "x" * 300, "RUN " + "x" * 96),
        ("debian.sh --arch amd64", "base"),
        ("", "base"),
    ],
)
def test_what_a_layer_holds(created_by: str, expected: str) -> None:
    assert what_layer_holds(created_by) == expected


def test_secrets_are_nowhere_in_a_record() -> None:
    settings = {
        "index_credentials": {
            "UV_INDEX_COMPANY_USERNAME": "reader",
            "UV_INDEX_COMPANY_PASSWORD": "planted-secret",
        }
    }
    name = "[2/2] RUN curl https://reader:planted-secret@example.test"
    trace = trace_of(
        vertex(name, 0, 1, error="planted-secret refused"),
        vertex("importing cache manifest from planted-secret", 0, 1, error="planted-secret"),
        log(name, "planted-secret\n"),
    )
    error = BuildFailedError("planted-secret")
    found = record(trace, prepared(settings=settings), outcome="failed", error=error)
    assert "planted-secret" not in found.as_json()
    assert len(found.steps) == 2


def test_a_pushed_images_layers_have_their_blobs() -> None:
    blobs = tuple(ImageBlob(f"sha256:{number}", number) for number in range(1, 6))
    instructions = [
        "WORKDIR /app",
        "COPY --link --from=environment /environment/ /",
        "COPY --link --from=dependencies-1 /dependencies-1/ /",
        "COPY --link src /app/src",
    ]
    steps = [
        vertex(f"[app-builder {number}/5] {text}", number, number + 1)
        for number, text in enumerate(instructions, 2)
    ]
    image = ImageFacts(
        DIGEST,
        100,
        300,
        (
            ImageLayer(200, "/bin/sh -c #(nop) ADD file:x in / "),
            ImageLayer(10, "COPY /environment/ / # buildkit"),
            ImageLayer(50, "COPY /dependencies-1/ / # buildkit"),
            ImageLayer(40, "COPY src /app/src # buildkit"),
        ),
    )
    found = record(trace_of(*reversed(steps)), image=image, pushed=PushedImage(blobs, 15))
    assert [(one.holds, one.digest, one.compressed) for one in found.layers] == [
        ("base", None, None),
        ("environment", "sha256:3", 3),
        ("dependencies-1", "sha256:4", 4),
        ("src", "sha256:5", 5),
    ]
    assert copied_layers(trace_of(*steps), "app-builder", blobs[:3]) == {}
    assert copied_layers(trace_of(*steps), "other", blobs) == {}
    after = vertex("[app-builder 6/6] RUN true", 7, 8)
    assert copied_layers(trace_of(*steps, after), "app-builder", blobs) == {}
    only = record(trace_of(*steps), pushed=PushedImage(blobs, 15))
    assert (only.layers, only.image["content_bytes"]) == ((), 15)


def test_caches_on_record() -> None:
    ref = "127.0.0.1:5000/service:cache"
    before = prepared(
        definition={
            "cache_from": (f"type=registry,ref={ref}",),
            "cache_to": (f"type=registry,ref={ref},mode=max",),
        }
    )
    found = record(read("registry-cache"), before).caches
    assert [(one.direction, one.type, one.reference, one.bytes, one.error) for one in found] == [
        ("import", "registry", ref, None, None),
        ("export", "registry", ref, None, None),
    ]
    trace = read("registry-cache")
    assert [one.seconds for one in found] == [round(one.seconds, 3) for one in trace.caches]
    assert found[1].seconds > 0


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (("type=local,dest=/cache,mode=max",), "/cache"),
        (('type=local,"dest=/a,b"',), "/a,b"),
        (("type=local,dest=/a", "type=local,dest=/b"), None),
        (("type=gha,scope=x",), None),
        ((), None),
    ],
    ids=["named", "quoted", "ambiguous", "of another type", "none"],
)
def test_an_export_is_named_where_there_is_no_doubt(
    asked: tuple[str, ...], expected: str | None
) -> None:
    transfer = CacheTransfer("export", "local", None, 0.1234, 5, None)
    assert name_caches([transfer], ("type=local,src=/other",), asked) == (
        CacheRecord("export", "local", expected, 0.123, 5, None),
    )


def test_a_bare_reference_is_of_a_registry() -> None:
    transfer = CacheTransfer("import", "registry", None, 0.0, None, "x")
    (found,) = name_caches([transfer], ("user/app:cache",), ())
    assert found.reference == "user/app:cache"
