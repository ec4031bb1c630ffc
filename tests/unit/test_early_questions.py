"""What is asked beside the reading of the project, where nothing is remembered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

from dockyard import process
from dockyard.base_images import ImageOrigin, candidates_here
from dockyard.builder_use import settle_builder
from dockyard.early_questions import EarlyQuestions
from dockyard.engine import EngineFacts
from dockyard.process import Completed
from dockyard.state import State
from support.settings import make_settings

ENGINE = EngineFacts("28.5", "0.29", "default", True, "amd64", "the engine")
WANTED = {"PYTHON_IMAGE": "registry.example/python:3.13", "UV_IMAGE": "registry.example/uv:1"}
ABSENT: set[str] = set()
INSPECT = ("docker", "buildx", "inspect", "ci")


class Started:
    """A docker command that was started, and what became of it."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.arguments = tuple(arguments)
        self.waits: list[float | None] = []

    def wait(self, timeout: float | None = None) -> Completed:
        self.waits.append(timeout)
        if self.arguments == INSPECT:
            return Completed(self.arguments, 0, "Name: ci\nDriver: remote\n", "")
        if self.arguments[1:3] != ("image", "inspect"):
            return Completed(self.arguments, 0, "{}", "")
        names = self.arguments[5:]
        said = "".join(f"Error: No such image: {name}\n" for name in names if name in ABSENT)
        held = "".join("{}\n" for name in names if name not in ABSENT)
        return Completed(self.arguments, int(bool(said)), held, said)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Started]:
    """Every command started so far."""
    commands: list[Started] = []
    ABSENT.clear()

    def start(arguments: Sequence[str]) -> Started:
        commands.append(Started(arguments))
        return commands[-1]

    monkeypatch.setattr(process, "start", start)
    return commands


def test_all_is_asked_at_once_and_nothing_twice(started: list[Started], tmp_path: Path) -> None:
    settings, state = make_settings(root=tmp_path, builder="ci"), State(tmp_path)
    with EarlyQuestions(settings, WANTED, state, {}) as asked:
        begun = [one.arguments for one in started]
        assert begun[0] == INSPECT
        assert [one[1:3] for one in begun[1:]] == [
            ("info", "--format"),
            ("image", "inspect"),
        ]
        assert begun[-1][5:] == candidates_here(WANTED)
        assert not any(one.waits for one in started)
        asked.ask_registries(ENGINE)
        assert asked.base_images is not None
        images = asked.base_images.answer()
        choice, _ = settle_builder(
            settings,
            {},
            state,
            ENGINE,
            push=True,
            load=False,
            show_only=False,
            asked=asked.builder,
        )
    assert [one.origin for one in images] == [ImageOrigin.ENGINE] * 2
    assert (choice.name, choice.driver) == ("ci", "remote")
    assert [one.arguments for one in started] == begun


def test_registries_are_asked_before_their_answer_is_needed(
    started: list[Started], tmp_path: Path
) -> None:
    ABSENT.update(candidates_here(WANTED))
    settings, state = make_settings(root=tmp_path), State(tmp_path)
    with EarlyQuestions(settings, WANTED, state, {}) as asked:
        asked.ask_registries(ENGINE)
        questions = started[2:]
        assert [one.arguments[1:3] for one in questions] == [("buildx", "imagetools")] * 2
        assert not any(one.waits for one in questions)
    # Nobody wanted the answer: a wrong Dockerfile, say.
    assert [one.waits for one in questions] == [[0]] * 2


def test_what_is_remembered_is_not_asked(started: list[Started], tmp_path: Path) -> None:
    settings, state = make_settings(root=tmp_path, builder="ci"), State(tmp_path)
    fingerprint = json.dumps([None] * 4)
    state.remember("engine", fingerprint, asdict(ENGINE))
    with EarlyQuestions(settings, WANTED, state, {}) as asked:
        assert (started, asked.builder) == ([], None)
    with EarlyQuestions(settings, WANTED, state, {}, fresh=True):
        assert started


def test_what_nobody_waited_for_is_killed(started: list[Started], tmp_path: Path) -> None:
    settings = make_settings(root=tmp_path, builder="ci")
    with (
        pytest.raises(RuntimeError, match="no engine"),
        EarlyQuestions(settings, WANTED, State(tmp_path), {}),
    ):
        raise RuntimeError("no engine")
    assert [one.waits for one in started] == [[0]] * len(started)


def test_without_a_docker_command_there_is_nothing_to_ask(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def start(arguments: Sequence[str]) -> Started:
        raise FileNotFoundError(arguments[0])

    monkeypatch.setattr(process, "start", start)
    settings = make_settings(root=tmp_path, builder="ci")
    with EarlyQuestions(settings, WANTED, State(tmp_path), {}) as asked:
        assert (asked.base_images, asked.builder) == (None, None)


def test_stand_ins_are_candidates_too() -> None:
    here = candidates_here({"PYTHON_IMAGE": "python:3.13-slim-trixie"})
    assert here[0] == "python:3.13-slim-trixie"
    assert here[1].startswith("dockyard.local/python:")
