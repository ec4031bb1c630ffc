"""A build's definition, as buildx's arguments and as a bake file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dockyard.definition import (
    BuildDefinition,
    build_environment,
    build_tags,
    created,
    define,
    image_epoch,
    secret_environment,
)
from dockyard.revision import Revision
from support.settings import make_settings

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def defined(**values: Any) -> BuildDefinition:
    return define(
        make_settings(**values),
        image="service",
        version="1.2.0",
        revision=Revision(COMMIT, "main", False, 1_700_000_000, "https://example.com/service"),
        base_images={"PYTHON_IMAGE": "python:3.13", "UV_IMAGE": "uv:1"},
        builder="default",
        output="type=image,compression=zstd",
    )


def option(arguments: list[str], name: str) -> list[str]:
    return [arguments[n + 1] for n, word in enumerate(arguments) if word == name]


def test_arguments_hold_everything_once() -> None:
    arguments = defined(project="service", extras=("cpu",)).arguments("/tmp/metadata.json")
    assert arguments[:4] == ["docker", "buildx", "build", "--progress=rawjson"]
    assert arguments[-1] == "service"
    assert option(arguments, "--builder") == ["default"]
    assert option(arguments, "--file") == ["docker/Dockerfile"]
    assert option(arguments, "--metadata-file") == ["/tmp/metadata.json"]
    assert option(arguments, "--tag") == ["service:latest", "service:1.2.0-0123456789ab"]
    assert option(arguments, "--build-arg") == [
        "PYTHON_IMAGE=python:3.13",
        "UV_IMAGE=uv:1",
        "EXTRAS=cpu",
        "DEPENDENCY_GROUPS=",
        "IMAGE_CREATED=2023-11-14T22:13:20Z",
        f"IMAGE_REVISION={COMMIT}",
        "IMAGE_SOURCE=https://example.com/service",
        "IMAGE_VERSION=1.2.0",
    ]
    assert "--provenance=false" in arguments
    assert "--no-cache" not in arguments


def test_host_network_is_allowed_where_it_is_asked_for() -> None:
    arguments = defined(network="host").arguments()
    assert option(arguments, "--network") == ["host"]
    assert option(arguments, "--allow") == ["network.host"]
    assert "--network" not in defined().arguments()


def test_the_setting_beats_the_commits_time() -> None:
    definition = defined(source_date_epoch=0)
    assert ("IMAGE_CREATED", "1970-01-01T00:00:00Z") in definition.build_arguments
    assert image_epoch(make_settings(source_date_epoch=0), Revision(time=5)) == 0
    assert image_epoch(make_settings(), Revision(time=5)) == 5
    assert image_epoch(make_settings(), Revision()) is None


def test_buildx_never_sees_the_epoch_variable() -> None:
    environment = build_environment(make_settings(), {"SOURCE_DATE_EPOCH": "1", "HOME": "/root"})
    assert environment == {
        "HOME": "/root",
        "BUILDX_METADATA_PROVENANCE": "disabled",
        "BUILDX_GIT_INFO": "false",
    }


def test_buildx_asks_git_for_a_provenance_alone() -> None:
    assert build_environment(make_settings(provenance="off"), {})["BUILDX_GIT_INFO"] == "false"
    assert "BUILDX_GIT_INFO" not in build_environment(make_settings(provenance="min"), {})


def test_secrets_are_named_and_never_held() -> None:
    settings = make_settings(
        uv_default_index="https://user:hunter2@index.example/simple",
        index_credentials={"UV_INDEX_OURS_PASSWORD": "p'w \"d$"},
    )
    definition = define(
        settings,
        image="service",
        version="1",
        revision=Revision(),
        base_images={},
        builder=None,
        output="type=docker",
    )
    arguments = definition.arguments()
    assert option(arguments, "--secret") == ["id=uv-environment,env=BUILD_SECRET_UV_ENVIRONMENT"]
    assert "hunter2" not in repr(definition)
    assert "hunter2" not in " ".join(arguments)
    assert "hunter2" not in str(definition.bake())
    (value,) = secret_environment(settings).values()
    assert "UV_DEFAULT_INDEX=https://user:hunter2@index.example/simple\n" in value
    assert "UV_INDEX_OURS_PASSWORD='p'\"'\"'w \"d$'\n" in value


def test_without_package_settings_there_is_no_secret() -> None:
    assert secret_environment(make_settings()) == {}
    assert "--secret" not in defined().arguments()


def test_bake_file_is_the_same_build() -> None:
    target = defined(project="service", network="host").bake()["target"]
    assert isinstance(target, dict)
    image = target["image"]
    assert image["context"] == "service"
    assert image["dockerfile"] == "../docker/Dockerfile"
    assert image["tags"] == ["service:latest", "service:1.2.0-0123456789ab"]
    assert image["args"]["IMAGE_VERSION"] == "1.2.0"
    assert image["output"] == ["type=image,compression=zstd"]
    assert image["network"] == "host"
    assert image["entitlements"] == ["network.host"]
    assert image["attest"] == [{"type": "provenance", "disabled": "true"}]


@pytest.mark.parametrize(
    ("registry", "version", "revision", "extra", "expected"),
    [
        (None, "1.0", Revision(), (), ("service:latest", "service:1.0")),
        (
            None,
            "1.0",
            Revision(COMMIT, dirty=True),
            (),
            ("service:latest", "service:1.0-0123456789ab-dirty"),
        ),
        (
            "ghcr.io/acme",
            "1.0+local.1",
            Revision(),
            ("edge", "latest"),
            (
                "ghcr.io/acme/service:latest",
                "ghcr.io/acme/service:1.0-local.1",
                "ghcr.io/acme/service:edge",
            ),
        ),
        (None, "", Revision(), (), ("service:latest",)),
    ],
    ids=["no git", "dirty", "registry and extra tags", "no version"],
)
def test_tags(
    registry: str | None,
    version: str,
    revision: Revision,
    extra: tuple[str, ...],
    expected: tuple[str, ...],
) -> None:
    settings = make_settings(registry=registry, tags=extra)
    assert build_tags(settings, "service", version, revision) == expected


def test_no_time_is_no_label() -> None:
    assert created(None) == ""


def test_caches_are_exported_by_a_run_of_their_own() -> None:
    definition = replace(
        defined(),
        cache_from=("type=registry,ref=a",),
        cache_to=("type=local,dest=b",),
        no_cache=True,
    )
    arguments = definition.exporting_caches(
        ("type=registry,ref=c",), ("type=registry,ref=d",)
    ).arguments()
    assert option(arguments, "--cache-from") == ["type=registry,ref=d"]
    assert option(arguments, "--cache-to") == ["type=registry,ref=c"]
    assert option(arguments, "--output") == ["type=cacheonly"]
    assert "--no-cache" not in arguments
