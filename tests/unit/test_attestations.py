"""What a build attests, where an image can hold it, and that no secret gets into it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dockyard.attestations import (
    Attestations,
    attestations_for,
    refuse_secret_arguments,
    secret_proxies,
)
from dockyard.builders import BuilderChoice
from dockyard.definition import BuildDefinition
from dockyard.diagnose import diagnose
from dockyard.engine import EngineFacts
from dockyard.errors import BuilderError, ImageUnavailableError, SettingsError
from dockyard.trace import BuildTrace
from support.settings import make_settings

STORE = EngineFacts("28.5", "0.29", "default", True, "amd64", "")
CLASSIC = replace(STORE, containerd_store=False)
OWN = BuilderChoice("default", "docker", "")
DEDICATED = BuilderChoice("dockyard", "docker-container", "")
GENERATOR = make_settings().sbom_generator


def definition(attestations: Attestations) -> BuildDefinition:
    return BuildDefinition(".", "Dockerfile", ("a:b",), "type=image", attestations=attestations)


@pytest.mark.parametrize(
    ("attestations", "options", "bake"),
    [
        (
            Attestations(),
            ["--provenance=false"],
            [{"type": "provenance", "disabled": "true"}],
        ),
        (
            Attestations(provenance="max"),
            ["--provenance=mode=max"],
            [{"type": "provenance", "mode": "max"}],
        ),
        (
            Attestations("scanner:1", "min"),
            ["--provenance=mode=min", "--sbom=generator=scanner:1"],
            [{"type": "provenance", "mode": "min"}, {"type": "sbom", "generator": "scanner:1"}],
        ),
        (
            Attestations("scanner:1"),
            ["--provenance=false", "--sbom=generator=scanner:1"],
            [
                {"type": "provenance", "disabled": "true"},
                {"type": "sbom", "generator": "scanner:1"},
            ],
        ),
    ],
    ids=["off", "provenance", "both", "sbom"],
)
def test_options_and_bake_file_say_the_same(
    attestations: Attestations, options: list[str], bake: list[dict[str, str]]
) -> None:
    one = definition(attestations)
    found = [word for word in one.arguments() if word.startswith(("--provenance", "--sbom"))]
    assert found == options
    target: Any = one.bake()["target"]
    assert target["image"]["attest"] == bake


def test_a_run_that_exports_caches_attests_nothing() -> None:
    exporting = definition(Attestations("scanner:1", "max")).exporting_caches((), ())
    assert not exporting.attestations


@pytest.mark.parametrize(
    ("engine", "choice", "push", "load", "attested"),
    [
        (STORE, OWN, False, True, True),
        (STORE, DEDICATED, False, True, True),
        (STORE, OWN, True, True, True),
        (CLASSIC, DEDICATED, True, True, True),
        (CLASSIC, DEDICATED, False, True, False),
        (CLASSIC, OWN, False, True, False),
        (STORE, DEDICATED, False, False, False),
    ],
    ids=[
        "store-load",
        "store-dedicated-load",
        "store-push",
        "classic-dedicated-push",
        "classic-dedicated-load",
        "classic-load",
        "nothing-exported",
    ],
)
def test_what_can_hold_an_attestation(
    engine: EngineFacts, choice: BuilderChoice, push: bool, load: bool, attested: bool
) -> None:
    settings = make_settings(sbom=True, provenance="max")
    found, notes = attestations_for(settings, engine, choice, push=push, load=load)
    assert found == (Attestations(GENERATOR, "max") if attested else Attestations())
    left_out = load and not attested
    assert [("DOCKYARD_SBOM, DOCKYARD_PROVENANCE" in note) for note in notes] == [True] * left_out


def test_nothing_is_pushed_without_what_was_asked_for() -> None:
    with pytest.raises(BuilderError, match="containerd image store") as caught:
        attestations_for(make_settings(sbom=True), CLASSIC, OWN, push=True, load=True)
    assert caught.value.problems[0].where == "DOCKYARD_SBOM"


def test_nothing_is_attested_unless_asked_for() -> None:
    found = attestations_for(make_settings(), CLASSIC, OWN, push=True, load=True)
    assert found == (Attestations(), ())


PROXIES = {
    "proxies": {
        "default": {"httpProxy": "http://me:hidden@proxy:3128", "httpsProxy": "http://proxy:3128"},
        "tcp://builder:1": {"allProxy": "socks5://you@proxy", "noProxy": "me@here"},
    }
}


def test_proxies_with_a_user_are_named_and_not_told() -> None:
    assert secret_proxies(PROXIES) == ("default.httpProxy", "tcp://builder:1.allProxy")
    assert secret_proxies({"proxies": "none"}) == ()
    assert secret_proxies({}) == ()


def test_the_most_detailed_provenance_publishes_no_secret() -> None:
    arguments = (("IMAGE_SOURCE", "https://me:planted@example.com/x"), ("EXTRAS", "cpu"))
    with pytest.raises(SettingsError) as caught:
        refuse_secret_arguments(Attestations(provenance="max"), arguments, PROXIES, ("planted",))
    text = str(caught.value)
    assert len(caught.value.problems) == 3
    assert "IMAGE_SOURCE" in text
    assert "default.httpProxy" in text
    assert "planted" not in text
    assert "hidden" not in text


@pytest.mark.parametrize("provenance", ["off", "min"])
def test_less_provenance_has_no_arguments_in_it(provenance: str) -> None:
    wanted = Attestations("scanner:1", provenance)
    refuse_secret_arguments(wanted, (("A", "planted"),), PROXIES, ("planted",))


REFUSED = (
    "ERROR: failed to build: failed to solve: failed to resolve source metadata for "
    'docker.io/docker/buildkit-syft-scanner:stable-1: failed to do request: Head "https://'
    'registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io: no such host'
)


def test_a_generator_that_cannot_be_had_is_named_with_its_setting() -> None:
    error = diagnose(BuildTrace((), (), (REFUSED,)), 1, "docker/Dockerfile", GENERATOR)
    assert isinstance(error, ImageUnavailableError)
    assert error.problems[0].where == "DOCKYARD_SBOM_GENERATOR"
    assert "no such host" in error.problems[0].message
    assert "DOCKYARD_SBOM=false" in (error.problems[0].hint or "")


def test_other_failures_are_not_the_generators() -> None:
    trace = BuildTrace((), (), ("ERROR: failed to solve: python:3.13: not found",))
    error = diagnose(trace, 1, "docker/Dockerfile", GENERATOR)
    assert error.problems[0].where != "DOCKYARD_SBOM_GENERATOR"
    unasked = diagnose(BuildTrace((), (), (REFUSED,)), 1, "docker/Dockerfile")
    assert unasked.problems[0].where != "DOCKYARD_SBOM_GENERATOR"
