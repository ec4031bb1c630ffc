"""A build that failed for the sake of a cache: what the next try does without."""

from __future__ import annotations

import pytest

from dockyard import process
from dockyard.build_retry import without_faulty_caches
from dockyard.builders import BuilderChoice
from dockyard.caches.backends import CacheArguments
from dockyard.caches.scope import CacheScope
from dockyard.caches.use import CacheUse
from dockyard.definition import BuildDefinition
from dockyard.known_project import KnownProject
from dockyard.preparation import Prepared
from dockyard.process import Completed
from dockyard.revision import Revision
from dockyard.trace import BuildTrace
from support.settings import make_settings
from support.transcripts import trace_of, vertex

REGISTRY = "type=registry,ref=registry.example/acme/app:cache"
LOCAL, TO_LOCAL = "type=local,src=/cache", "type=local,dest=/cache"
NOT_THERE = f"content sha256:{'a7' * 32}: not found"
STUCK = 'lease "1e9c3lnln72v94gd8s9qhtygl": not found'


def failed(error: str) -> BuildTrace:
    return trace_of(vertex("[plan 1/1] RUN x", 0, 1, digest="step", error=error))


def prepared(builder: str = "dockyard") -> tuple[Prepared, CacheUse]:
    settings = make_settings()
    arguments = CacheArguments((REGISTRY, LOCAL), (TO_LOCAL,))
    scope = CacheScope("app", None, ("linux/amd64",), "main", "main")
    caches = CacheUse(settings, scope, arguments)
    definition = BuildDefinition(
        ".",
        "docker/Dockerfile",
        ("app:latest",),
        "type=docker",
        cache_from=arguments.cache_from,
        cache_to=arguments.cache_to,
    )
    return Prepared(
        settings=settings,
        project=KnownProject("app", "1.0", ()),
        revision=Revision(None, None, False, None, None),
        engine=None,
        builder=BuilderChoice(builder, "docker-container", "pushes"),
        base_images=(),
        layer_packages=(),
        definition=definition,
        notes=("said before",),
        caches=caches,
    ), caches


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that were run."""
    commands: list[list[str]] = []

    def run(arguments: list[str], **_: object) -> Completed:
        commands.append(arguments)
        return Completed(tuple(arguments), 0, "", "")

    monkeypatch.setattr(process, "run", run)
    return commands


def collected(builder: str) -> list[str]:
    """The command that lets a builder collect garbage, and removes nothing of its cache."""
    prune = ["docker", "buildx", "prune", "--builder", builder, "--force"]
    return [*prune, "--filter", "id=dockyard-removes-nothing"]


def test_a_failure_of_another_cause_is_no_reason_to_try_again(ran: list[list[str]]) -> None:
    assert without_faulty_caches(*prepared(), failed("exit code: 1")) is None
    assert ran == []


def test_the_next_try_does_without_the_cache_at_fault(ran: list[list[str]]) -> None:
    again = without_faulty_caches(*prepared(), failed(NOT_THERE))
    assert again is not None
    assert again.definition.cache_from == (REGISTRY,)
    assert again.definition.cache_to == ()
    assert again.caches is not None
    assert again.caches.tried_without
    assert again.notes == (
        "said before",
        "built again without 1 cache, whose layers could not be loaded",
    )
    assert ran == []


def test_a_stuck_builder_of_ours_is_stopped(ran: list[list[str]]) -> None:
    again = without_faulty_caches(*prepared(), failed(STUCK))
    assert again is not None
    assert again.definition.cache_from == ()
    assert "without 2 caches" in again.notes[1]
    assert ran == [collected("dockyard"), ["docker", "buildx", "stop", "dockyard"]]


def test_a_stuck_builder_of_others_is_named_only(ran: list[list[str]]) -> None:
    again = without_faulty_caches(*prepared("team"), failed(STUCK))
    assert again is not None
    assert "docker buildx stop team" in again.notes[-1]
    assert ran == [collected("team")]


def test_another_failure_without_the_cache_is_tried_again_where_the_builder_is_stuck() -> None:
    before, caches = prepared()
    tried = caches.without((LOCAL,))
    assert without_faulty_caches(before, tried, failed(STUCK)) is before
    assert without_faulty_caches(before, tried, failed(NOT_THERE)) is None
