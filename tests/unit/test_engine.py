"""What the engine and buildx answer, and the errors that their answers become."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dockyard import process
from dockyard.base_images import mirror_references, normalise
from dockyard.engine import (
    EngineFacts,
    diagnose_disk,
    diagnose_engine,
    engine_facts,
    inspect_images,
    parse_engine_facts,
    parse_image_facts,
    version_numbers,
)
from dockyard.errors import BuilderError, EngineError
from dockyard.process import Completed
from dockyard.state import State

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


CLIENT = {
    "Context": "far",
    "Plugins": [{"Name": "compose", "Version": "v2.1"}, {"Name": "buildx", "Version": "v0.29.1"}],
}


@pytest.mark.parametrize(
    ("client", "commands"),
    [
        (CLIENT, ["info"]),
        ({**CLIENT, "Plugins": [{"Name": "buildx", "Err": "no such file"}]}, ["info", "buildx"]),
        ({**CLIENT, "Plugins": None, "Context": ""}, ["info", "buildx", "context"]),
        (None, ["info", "buildx", "context"]),
    ],
)
def test_docker_is_asked_for_what_its_info_lacks(
    client: object, commands: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answers = {
        "info": json.dumps({**INFO, "ClientInfo": client}),
        "buildx": "github.com/docker/buildx v0.29.1 abc",
        "context": "far\n",
    }
    asked = []

    def start(arguments: Sequence[str]) -> Asked:
        asked.append(arguments[1])
        return Asked(Completed(tuple(arguments), 0, answers[arguments[1]], ""))

    monkeypatch.setattr(process, "start", start)
    state = State(tmp_path)
    expected = EngineFacts("28.5.2+dfsg4", "0.29.1", "far", True, "arm64", "one")
    assert engine_facts(state, {}) == engine_facts(state, {}) == expected
    assert asked == commands


def test_without_buildx_there_is_nothing_to_build_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def start(arguments: Sequence[str]) -> Asked:
        said = json.dumps(INFO) if arguments[1] == "info" else ""
        return Asked(Completed(tuple(arguments), int(not said), said, "unknown command: buildx"))

    monkeypatch.setattr(process, "start", start)
    with pytest.raises(BuilderError, match="no buildx plugin"):
        engine_facts(State(tmp_path), {})


@dataclass
class Asked:
    """What docker is told to answer to one ``image inspect``."""

    done: Completed

    def wait(self, timeout: float | None = None) -> Completed:
        return self.done


def inspection(
    monkeypatch: pytest.MonkeyPatch, engine: dict[str, str], *, named: bool = True
) -> list[tuple[str, ...]]:
    """Let the engine hold these images, with their ids; return the commands to come."""
    commands: list[tuple[str, ...]] = []

    def start(arguments: Sequence[str]) -> Asked:
        names = tuple(arguments)[5:]
        commands.append(names)
        lines = [json.dumps({"Id": engine[name]}) for name in names if name in engine]
        short = (name.removeprefix("docker.io/library/") for name in names if name not in engine)
        said = [f"Error response from daemon: No such image: {name}" for name in short]
        if not named:
            said = ["something is wrong" for _ in said]
        return Asked(Completed(tuple(arguments), bool(said), "\n".join(lines), "\n".join(said)))

    monkeypatch.setattr(process, "start", start)
    return commands


HELD = {"a:1": "one", "c/d:2": "two"}
ASKED_FOR = ["a:1", "docker.io/library/b:1", "c/d:2", "127.0.0.1:5/e:1", "a:1"]


def test_images_are_asked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = inspection(monkeypatch, HELD)
    assert inspect_images(ASKED_FOR) == {"a:1": {"Id": "one"}, "c/d:2": {"Id": "two"}}
    assert commands == [tuple(ASKED_FOR[:4])]
    assert inspect_images([]) == {}
    assert len(commands) == 1


def test_what_cannot_be_told_apart_is_asked_for_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commands = inspection(monkeypatch, HELD, named=False)
    assert inspect_images(ASKED_FOR) == {"a:1": {"Id": "one"}, "c/d:2": {"Id": "two"}}
    assert len(commands) == 5


def test_no_engine_is_an_error_for_images_too(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?"
    monkeypatch.setattr(process, "start", lambda _: Asked(Completed((), 1, "", text)))
    with pytest.raises(EngineError, match="no Docker Engine"):
        inspect_images(["a:1"])


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
