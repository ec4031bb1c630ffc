"""What the engine and buildx answer, and the errors that their answers become."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dockyard.base_images import mirror_references, normalise
from dockyard.engine import (
    EngineFacts,
    diagnose_disk,
    diagnose_engine,
    parse_engine_facts,
    parse_image_facts,
    version_numbers,
)
from dockyard.errors import BuilderError, EngineError

INFO: dict[str, Any] = {
    "ServerVersion": "28.5.2+dfsg4",
    "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
    "Architecture": "aarch64",
    "ID": "one",
}


def test_facts() -> None:
    assert parse_engine_facts(INFO, "0.29.1", "default") == EngineFacts(
        "28.5.2+dfsg4", "0.29.1", "default", True, "arm64", "one"
    )


def test_the_old_image_store_is_told_apart() -> None:
    facts = parse_engine_facts({**INFO, "DriverStatus": [["Backing Filesystem", "extfs"]]}, "1", "")
    assert not facts.containerd_store
    assert facts.context == "default"


@pytest.mark.parametrize(
    ("info", "buildx", "error", "message"),
    [
        ({**INFO, "ServerVersion": "20.10.24"}, "0.29", EngineError, "23.0 or newer"),
        (INFO, "0.14.1", BuilderError, "0.15 or newer"),
        (
            {
                "ServerErrors": [
                    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. "
                    "Is the docker daemon running?"
                ]
            },
            "0.29",
            EngineError,
            "no Docker Engine",
        ),
        (
            {
                "ServerErrors": [
                    "permission denied while trying to connect to the Docker daemon socket"
                ]
            },
            "0.29",
            EngineError,
            "may not talk",
        ),
        ({}, "0.29", EngineError, "gave no version"),
    ],
    ids=["old engine", "old buildx", "no daemon", "no permission", "no answer"],
)
def test_unusable_engines(info: Any, buildx: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as raised:
        parse_engine_facts(info, buildx, "default")
    assert raised.value.problems[0].hint  # type: ignore[attr-defined]


def test_other_text_is_no_engine_error() -> None:
    assert diagnose_engine("failed to solve: process did not complete") is None
    assert diagnose_engine("") is None


def test_full_disk() -> None:
    error = diagnose_disk("x\n#5 write /var/lib: no space left on device\ny")
    assert error
    assert "write /var/lib" in str(error)
    assert diagnose_disk("all is well") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [("28.5.2+dfsg4", (28, 5, 2)), ("v0.29.1", (0, 29, 1)), ("0.29.1-4", (0, 29, 1)), ("", ())],
)
def test_versions(text: str, expected: tuple[int, ...]) -> None:
    assert version_numbers(text) == expected


def test_image_facts_leave_out_what_holds_no_files() -> None:
    history = "\n".join(
        json.dumps({"Size": size, "CreatedBy": text})
        for size, text in [("0", "LABEL a"), ("61440", "COPY src /app/src"), ("178", "")]
    )
    facts = parse_image_facts({"Id": "sha256:1", "Size": 99}, history)
    assert [(layer.size, layer.created_by) for layer in facts.layers] == [
        (178, ""),
        (61440, "COPY src /app/src"),
    ]
    assert (facts.digest, facts.content_bytes, facts.unpacked_bytes) == ("sha256:1", 99, 61618)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("python", "docker.io/library/python"),
        ("python:3.13", "docker.io/library/python:3.13"),
        ("moby/buildkit:v1", "docker.io/moby/buildkit:v1"),
        ("docker.io/python", "docker.io/library/python"),
        ("index.docker.io/a/b", "docker.io/a/b"),
        ("localhost/a", "localhost/a"),
        ("127.0.0.1:5000/a:1", "127.0.0.1:5000/a:1"),
        ("ghcr.io/astral-sh/uv:1", "ghcr.io/astral-sh/uv:1"),
    ],
)
def test_references_in_full(reference: str, expected: str) -> None:
    assert normalise(reference) == expected


def test_mirrors_stand_for_their_registry() -> None:
    mirrors = ("mirror.example", "ghcr.io=mirror.example/ghcr/")
    assert mirror_references("python:3.13", mirrors) == ("mirror.example/library/python:3.13",)
    assert mirror_references("ghcr.io/astral-sh/uv:1", mirrors) == (
        "mirror.example/ghcr/astral-sh/uv:1",
    )
    assert mirror_references("quay.io/a/b", mirrors) == ()
