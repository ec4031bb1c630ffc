"""Base images from the next place: who is asked, what is remembered, which try follows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dockyard import base_images, build_retry, process
from dockyard.base_images import (
    BaseImage,
    ImageOrigin,
    PassedOver,
    passed_over_notes,
    resolve_base_images,
    resolve_elsewhere,
)
from dockyard.builders import BuilderChoice
from dockyard.definition import BuildDefinition
from dockyard.engine import EngineFacts
from dockyard.image_watch import ElsewhereError, ImageWatch
from dockyard.known_project import KnownProject
from dockyard.preparation import Prepared
from dockyard.process import Completed
from dockyard.retries import FORGETTING_RETRIES, Retries
from dockyard.revision import Revision
from dockyard.state import State
from dockyard.trace import BuildTrace
from dockyard.trace_reader import TraceReader
from support.settings import make_settings
from support.transcripts import status, trace_of, vertex

ENGINE = EngineFacts("28.5", "0.29", "default", True, "amd64", "the engine")
WANTED = {"PYTHON_IMAGE": "python:3.13"}
MIRRORS = ("one.example", "two.example/hub")
ONE, TWO = "one.example/library/python:3.13", "two.example/hub/library/python:3.13"
UPSTREAM = "python:3.13"
BLOB = f"sha256:{'a1' * 32}"
FROM = f"[x 1/2] FROM {ONE}@sha256:{'c3' * 32}"
DAMAGED = f'failed commit on ref "layer-{BLOB}": unexpected commit digest sha256:{"b2" * 32}'


@dataclass
class Asked:
    """A registry that was asked for a manifest, and answers after so many seconds."""

    answer: Completed
    seconds: float
    killed: bool = False
    ends: float = 0.0

    def __post_init__(self) -> None:
        self.ends = time.monotonic() + self.seconds

    def ends_within(self, seconds: float) -> bool:
        time.sleep(max(min(seconds, self.ends - time.monotonic()), 0))
        return time.monotonic() >= self.ends

    def wait(self, timeout: float | None = None) -> Completed:
        if timeout is not None and not self.ends_within(timeout):
            return replace(self.answer, status=-9, stderr="")
        return self.answer


Answers = dict[str, tuple[str, float]]


@pytest.fixture
def registries(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """What each reference answers ("" is a manifest), after how many seconds; others fail."""
    answers: Answers = {}

    def start(arguments: Sequence[str]) -> Asked:
        said, seconds = answers.get(arguments[-1], ("ERROR: no such host", 0.0))
        return Asked(Completed(tuple(arguments), 1 if said else 0, "", said), seconds)

    monkeypatch.setattr(process, "start", start)
    monkeypatch.setattr(base_images, "inspect_images", lambda names: {})
    monkeypatch.setattr(base_images, "MIRROR_SECONDS", 0.1)
    monkeypatch.setattr(base_images, "UPSTREAM_SECONDS", 0.4)
    return answers


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path)


def resolve(state: State) -> BaseImage:
    (found,) = resolve_base_images(WANTED, mirrors=MIRRORS, state=state, engine=ENGINE)
    return found


def elsewhere(state: State, image: BaseImage, why: str = "it is full") -> BaseImage | None:
    found = resolve_elsewhere(
        (image,), {"PYTHON_IMAGE": why}, mirrors=MIRRORS, state=state, engine=ENGINE
    )
    return found[0] if found else None


def test_mirrors_are_taken_in_their_order(registries: Answers, state: State) -> None:
    registries.update({ONE: ("", 0.03), TWO: ("", 0.0), UPSTREAM: ("", 0.0)})
    assert resolve(state) == BaseImage("PYTHON_IMAGE", UPSTREAM, ONE, ImageOrigin.MIRROR)


def test_a_mirror_that_lacks_the_image_or_is_silent_is_passed_over(
    registries: Answers, state: State
) -> None:
    registries.update({ONE: ("ERROR: not found", 0.0), TWO: ("", 60.0), UPSTREAM: ("", 0.0)})
    started = time.monotonic()
    image = resolve(state)
    assert time.monotonic() - started < 0.4
    assert (image.resolved, image.origin) == (UPSTREAM, ImageOrigin.UPSTREAM)
    assert image.passed_over == (
        PassedOver(ONE, "not found"),
        PassedOver(TWO, "no answer in time"),
    )
    assert passed_over_notes((image,)) == (
        f"the image mirror did not give {ONE}: not found; {UPSTREAM} was taken",
        f"the image mirror did not give {TWO}: no answer in time; {UPSTREAM} was taken",
    )
    # The next build knows where to go, and has nothing to say of it.
    assert resolve(state) == replace(image, passed_over=())


def test_one_that_is_slow_is_waited_for_where_nobody_else_answers(
    registries: Answers, state: State
) -> None:
    registries.update({TWO: ("", 0.25)})
    assert resolve(state).resolved == TWO


def test_the_next_place_is_asked_and_remembered(registries: Answers, state: State) -> None:
    registries.update({ONE: ("", 0.0), TWO: ("", 0.0), UPSTREAM: ("", 0.0)})
    second = elsewhere(state, resolve(state))
    assert second is not None
    assert (second.resolved, second.origin) == (TWO, ImageOrigin.MIRROR)
    assert second.passed_over == (PassedOver(ONE, "it is full"),)
    assert resolve(state) == replace(second, passed_over=())
    third = elsewhere(state, second, "it burns")
    assert third is not None
    assert (third.resolved, third.origin) == (UPSTREAM, ImageOrigin.UPSTREAM)
    assert [one.reason for one in third.passed_over] == ["it is full", "it burns"]
    assert elsewhere(state, third) is None


def test_where_no_other_place_answers_there_is_none(registries: Answers, state: State) -> None:
    registries.update({ONE: ("", 0.0)})
    image = resolve(state)
    assert elsewhere(state, image) is None
    assert resolve(state) == image


# -------------------- the tries of a build


def prepared(root: Path, image: BaseImage, driver: str = "docker") -> Prepared:
    settings = make_settings(root, image_mirrors=MIRRORS, image_mirror_timeout=20)
    arguments = (("PYTHON_IMAGE", image.resolved), ("EXTRAS", ""))
    definition = BuildDefinition(".", "Dockerfile", ("a:1",), "", build_arguments=arguments)
    return Prepared(
        settings=settings,
        project=KnownProject("a", "1", ()),
        revision=Revision(None, None, False, None, None),
        engine=ENGINE,
        builder=BuilderChoice("dockyard", driver, ""),
        base_images=(image,),
        layer_packages=(),
        definition=definition,
        notes=(),
    )


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that were run."""
    commands: list[list[str]] = []

    def run(arguments: list[str], **_: object) -> Completed:
        commands.append(arguments)
        return Completed(tuple(arguments), 0, "", "")

    monkeypatch.setattr(process, "run", run)
    return commands


def broken(error: str, *before: bytes) -> BuildTrace:
    return trace_of(*before, vertex("[x 2/2] RUN x", 0.2, 1, error=error))


@pytest.fixture
def first(registries: Answers, state: State) -> BaseImage:
    registries.update({ONE: ("", 0.0), TWO: ("", 0.0), UPSTREAM: ("", 0.0)})
    return resolve(state)


def test_the_next_try_reads_from_the_next_place(
    tmp_path: Path, state: State, first: BaseImage, ran: list[list[str]]
) -> None:
    retries, build = Retries(state), prepared(tmp_path, first)
    trace = broken(DAMAGED, vertex(FROM, 0, 0.1), status(FROM, BLOB, 100, 100))
    found = retries.next(build, trace)
    assert found is not None
    again, reason = found
    assert again.base_images[0].resolved == TWO
    assert again.definition.build_arguments == (("PYTHON_IMAGE", TWO), ("EXTRAS", ""))
    assert "another place" in reason
    # The engine had kept what the first one sent: it is tried again, with the same place.
    for _ in range(FORGETTING_RETRIES):
        found = retries.next(again, broken(DAMAGED))
        assert found is not None
        assert found[0] is again
    assert retries.next(again, broken(DAMAGED)) is None
    assert [command[2] for command in ran] == ["prune"] * (1 + FORGETTING_RETRIES)


@pytest.mark.parametrize("driver", ["docker", "docker-container", "remote"])
def test_a_builder_is_told_to_forget_what_was_damaged(
    tmp_path: Path, state: State, first: BaseImage, ran: list[list[str]], driver: str
) -> None:
    trace = broken(DAMAGED, vertex(FROM, 0, 0.1), status(FROM, BLOB, 100, 100))
    found = Retries(state).next(prepared(tmp_path, first, driver), trace)
    assert found is not None
    assert ran[0][:5] == ["docker", "buildx", "prune", "--builder", "dockyard"]
    assert ran[0][-2:] == ["--filter", f"id={build_retry.NOTHING}"]
    assert bool(found[0].notes) is (driver == "remote")


def test_a_build_that_failed_by_itself_is_not_tried_again(
    tmp_path: Path, state: State, first: BaseImage
) -> None:
    assert Retries(state).next(prepared(tmp_path, first), broken("exit code: 1")) is None


def fed(*lines: bytes) -> TraceReader:
    reader = TraceReader()
    for one in lines:
        reader.feed(one)
    return reader


@pytest.fixture
def watched(tmp_path: Path, state: State, first: BaseImage) -> Callable[[float], None]:
    """Look at a build that waits for a blob."""
    watch = ImageWatch(prepared(tmp_path, first), state)
    reader = fed(vertex(FROM, 0, 0.1), status(FROM, BLOB, 10, 100))
    return lambda now: watch.look(reader, now)


def test_a_silent_mirror_stops_the_build_where_another_place_has_the_image(
    watched: Callable[[float], None],
) -> None:
    watched(0.0)
    watched(19.0)
    with pytest.raises(ElsewhereError) as stopped:
        watched(20.0)
    (image,) = stopped.value.images
    assert image.resolved == TWO
    assert image.passed_over == (PassedOver(ONE, "it sent nothing for 20 s"),)


def test_a_silent_mirror_is_waited_for_where_there_is_no_other_place(
    watched: Callable[[float], None], registries: Answers
) -> None:
    registries.clear()
    for now in (0.0, 20.0, 500.0):
        watched(now)
