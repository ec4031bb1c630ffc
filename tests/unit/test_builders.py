"""Which builder makes the image, why, and where its output goes."""

from __future__ import annotations

from typing import Any

import pytest

from dockyard.base_images import BaseImage, ImageOrigin
from dockyard.builder_use import check_reachable_images
from dockyard.builders import (
    BuilderChoice,
    choose_builder,
    is_in_engine,
    load_seconds,
    output_for,
    past_load,
)
from dockyard.engine import EngineFacts
from dockyard.errors import ImageUnavailableError
from dockyard.records import BuildRecord, StepRecord
from support.records import make_record
from support.settings import make_settings

ENGINE = EngineFacts("28.5", "0.29", "desktop", True, "amd64", "one")
OLD_STORE = EngineFacts("28.5", "0.29", "desktop", False, "amd64", "one")


def loaded(driver: str, *spans: tuple[str, float], name: str = "exporting to image") -> BuildRecord:
    """A record of a build whose export steps began at and took these seconds."""
    steps = tuple(
        StepRecord(None, "export", name, f"2026-01-01T00:00:{start}Z", seconds, False, True)
        for start, seconds in spans
    )
    return make_record(steps=steps, builder={"name": "any", "driver": driver, "reason": ""})


def test_loading_uses_the_engines_own_builder() -> None:
    choice = choose_builder(make_settings(), ENGINE)
    assert (choice.name, choice.driver, choice.dedicated) == ("desktop", "docker", False)
    assert choice.reason == "loads straight into the engine"


@pytest.mark.parametrize(
    ("engine", "push", "changes", "reason"),
    [
        (ENGINE, True, {}, "pushes"),
        (OLD_STORE, False, {}, "image store"),
        (ENGINE, False, {"platforms": ("linux/amd64", "linux/arm64")}, "2 platforms"),
        (ENGINE, False, {"cache_backends": ("local", "s3:bucket=b")}, "s3"),
    ],
    ids=["push", "no containerd store", "several platforms", "a cache that the engine can't fill"],
)
def test_what_the_engine_cannot_do_goes_to_the_dedicated_builder(
    engine: EngineFacts, push: bool, changes: dict[str, Any], reason: str
) -> None:
    choice = choose_builder(make_settings(builder_name="own", **changes), engine, push=push)
    assert (choice.name, choice.driver, choice.dedicated) == ("own", "docker-container", True)
    assert reason in choice.reason


@pytest.mark.parametrize(
    "changes",
    [
        {"platforms": ("linux/arm64",)},
        {"cache_backends": ("none",)},
        {"cache_backends": ("auto",)},
        {"cache_backends": ("local", "registry:ref=a/b", "inline", "gha")},
    ],
)
def test_what_the_engine_can_do_stays_there(changes: dict[str, Any]) -> None:
    assert choose_builder(make_settings(**changes), ENGINE).driver == "docker"


def test_a_named_builder_has_the_driver_that_buildx_says() -> None:
    settings = make_settings(builder="mine")
    choice = choose_builder(settings, ENGINE, push=True, named_driver="remote")
    assert choice == BuilderChoice("mine", "remote", "named by DOCKYARD_BUILDER")


@pytest.mark.parametrize("driver", ["docker-container", "remote", "kubernetes"])
def test_a_driver_that_is_asked_for(driver: str) -> None:
    choice = choose_builder(make_settings(driver=driver, builder_name="own"), ENGINE)
    assert (choice.name, choice.driver, choice.dedicated) == ("own", driver, True)


def test_the_docker_driver_that_is_asked_for_pushes_too() -> None:
    choice = choose_builder(make_settings(driver="docker"), ENGINE, push=True)
    assert (choice.name, choice.driver, choice.dedicated) == ("desktop", "docker", False)


# -------------------- reasons from records


def test_load_seconds_span_overlapping_exports() -> None:
    assert load_seconds(loaded("docker", ("01.0", 0.5), ("01.2", 0.9))) == pytest.approx(1.1)


def test_a_push_or_failure_is_no_load() -> None:
    assert load_seconds(loaded("docker", ("01.0", 0.5), name="pushing layers")) is None
    failed = loaded("docker", ("01.0", 0.5))
    assert load_seconds(make_record(steps=failed.steps, outcome="failed")) is None
    assert load_seconds(make_record()) is None


def test_the_reason_is_the_measured_ratio() -> None:
    records = [
        loaded("docker", ("01.0", 0.3)),
        loaded("docker-container", ("01.0", 2.0)),
        loaded("docker", ("01.0", 0.4)),
        loaded("docker", ("01.0", 9.0)),
    ]
    choice = choose_builder(make_settings(), ENGINE, past=tuple(map(past_load, records)))
    assert choice.reason == "loads 5.0 × faster than dedicated"


def test_a_slower_engine_is_said_as_it_is() -> None:
    records = [loaded("docker", ("01.0", 2.0)), loaded("docker-container", ("01.0", 1.0))]
    choice = choose_builder(make_settings(), ENGINE, past=tuple(map(past_load, records)))
    assert choice.reason == "loads straight into the engine (in 2.0 s, dedicated in 1.0 s)"


def test_without_both_measured_the_reason_is_the_bytes_to_send() -> None:
    records = [make_record(image={"content_bytes": None}), loaded("docker", ("01.0", 0.3))]
    choice = choose_builder(make_settings(), ENGINE, past=tuple(map(past_load, records)))
    assert choice.reason.endswith("dedicated would send 169 MB each time")


# -------------------- output

STORE = "type=image,compression=zstd,compression-level=3,oci-mediatypes=true"


@pytest.mark.parametrize(
    ("driver", "engine", "push", "load", "expected"),
    [
        ("docker", ENGINE, False, True, f"{STORE},source-date-epoch=17,unpack=true"),
        ("docker", ENGINE, True, True, f"{STORE},source-date-epoch=17,unpack=true,push=true"),
        ("docker", ENGINE, False, False, "type=cacheonly"),
        # The engine's old exporter knows no date.
        ("docker", OLD_STORE, False, True, "type=docker"),
        ("docker-container", ENGINE, False, True, "type=docker,source-date-epoch=17"),
        ("docker-container", ENGINE, True, True, f"{STORE},source-date-epoch=17,push=true"),
        ("docker-container", ENGINE, False, False, "type=cacheonly"),
    ],
)
def test_outputs(driver: str, engine: EngineFacts, push: bool, load: bool, expected: str) -> None:
    choice = BuilderChoice("any", driver, "")
    assert output_for(make_settings(), engine, choice, push=push, load=load, epoch=17) == expected
    # What was only pushed, or only cached, is not there to be described.
    assert is_in_engine(choice, expected) is (load and (driver == "docker" or not push))


def test_images_of_the_engine_alone_are_beyond_another_builder() -> None:
    here = BaseImage("PYTHON_IMAGE", "python:3", "dockyard.local/python:3.13", ImageOrigin.STAND_IN)
    dedicated = BuilderChoice("own", "docker-container", "")
    check_reachable_images(BuilderChoice("default", "docker", ""), [here])
    check_reachable_images(dedicated, [])
    with pytest.raises(ImageUnavailableError, match=r"DOCKYARD_PYTHON_IMAGE.*cannot see it"):
        check_reachable_images(dedicated, [here])


def test_images_of_the_engine_alone_keep_the_build_there() -> None:
    settings = make_settings()
    choice = choose_builder(settings, ENGINE, push=True, local_images=True)
    assert (choice.driver, choice.dedicated) == ("docker", False)
    assert "engine alone" in choice.reason
    asked = make_settings(driver="docker-container")
    assert choose_builder(asked, ENGINE, push=True, local_images=True).dedicated
