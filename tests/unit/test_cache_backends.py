"""Backends as buildx's arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dockyard.caches.backends import (
    CacheArguments,
    LocalCache,
    backends_in_force,
    cache_arguments,
)
from dockyard.caches.scope import CacheScope
from dockyard.errors import SettingsError
from support.settings import make_settings

BLOBS = "image-manifest=true,oci-mediatypes=true,compression=zstd,compression-level=3"
MIN = "mode=min,ignore-error=true"
CACHE = "registry.example.com/acme/service:cache-linux-amd64"
LOCAL = LocalCache(Path("/cache/snapshots/1"), (("cache-linux-amd64-main", "sha256:abc"),))
GITHUB = {"ACTIONS_RUNTIME_TOKEN": "token", "ACTIONS_RESULTS_URL": "https://results.example.com"}


def arguments(
    *entries: str,
    branch: str | None = "topic",
    registry: str | None = "registry.example.com/acme",
    push: bool = False,
    environment: dict[str, str] | None = None,
    local: LocalCache | None = LOCAL,
    exports: bool = True,
    **settings: Any,
) -> CacheArguments:
    made = make_settings(registry=registry, cache_backends=entries, **settings)
    scope = CacheScope("service", registry, ("linux/amd64",), branch, "main")
    backends = backends_in_force(entries, registry=registry, push=push)
    return cache_arguments(
        backends,
        made,
        scope,
        environment=environment or {},
        local=local,
        push=push,
        exports=exports,
    )


@pytest.mark.parametrize(
    ("entries", "changes", "sources", "targets"),
    [
        (["auto"], {}, [], []),
        (["auto"], {"push": True, "registry": None}, [], []),
        (
            ["auto"],
            {"push": True},
            [f"type=registry,ref={CACHE}-{name}" for name in ("topic", "main", "latest")],
            ["type=inline"],
        ),
        (
            ["registry"],
            {"branch": "main"},
            [f"type=registry,ref={CACHE}-{name}" for name in ("main", "latest")],
            [f"type=registry,{MIN},ref={CACHE}-main,{BLOBS}"],
        ),
        (
            ["registry:ref=other.example.com/cache,mode=max"],
            {"branch": None},
            [f"type=registry,ref=other.example.com/cache:cache-linux-amd64-{name}"
             for name in ("latest", "main")],
            ["type=registry,mode=max,ignore-error=true,ref=other.example.com/cache:"
             f"cache-linux-amd64-latest,{BLOBS}"],
        ),
        (
            ["registry:ref=other.example.com:5000/cache:mine"],
            {"registry": None},
            ["type=registry,ref=other.example.com:5000/cache:mine"],
            [f"type=registry,{MIN},ref=other.example.com:5000/cache:mine,{BLOBS}"],
        ),
        (
            ["local"],
            {},
            ["type=local,src=/cache/snapshots/1,digest=sha256:abc"],
            [f"type=local,{MIN},{BLOBS},dest=/cache/snapshots/1,tag=cache-linux-amd64-topic"],
        ),
        (
            ["local"],
            {"local": LocalCache(Path('/a,b"c'), (), True), "compression": "uncompressed"},
            [],
            [f'type=local,{MIN},image-manifest=true,oci-mediatypes=true,compression=uncompressed,'
             '"dest=/a,b""c",tag=cache-linux-amd64-topic'],
        ),
        (
            ["local"],
            {"local": LocalCache(Path("/tmp/x"), (("a", "sha256:abc"),), False)},
            ["type=local,src=/tmp/x,digest=sha256:abc"],
            [],
        ),
        (["local"], {"local": None}, [], []),
        (
            ["inline"],
            {},
            ["type=registry,ref=registry.example.com/acme/service:latest"],
            ["type=inline"],
        ),
        (
            ["gha"],
            {"environment": GITHUB},
            ["type=gha,scope=service/linux-amd64"],
            [f"type=gha,{MIN},scope=service/linux-amd64"],
        ),
        (
            ["s3:bucket=builds,region=eu-west-1,upload_parallelism=8"],
            {"branch": "main"},
            [f"type=s3,bucket=builds,region=eu-west-1,name=service/cache-linux-amd64-{name}"
             for name in ("main", "latest")],
            [f"type=s3,{MIN},bucket=builds,region=eu-west-1,upload_parallelism=8,"
             "name=service/cache-linux-amd64-main;service/cache-linux-amd64-latest"],
        ),
        (
            ["azblob:account_url=https://acme.blob.core.windows.net,name=mine"],
            {},
            ["type=azblob,account_url=https://acme.blob.core.windows.net,name=mine"],
            [f"type=azblob,{MIN},account_url=https://acme.blob.core.windows.net,name=mine"],
        ),
        (
            ["local", "inline", "none", "local"],
            {"registry": None},
            ["type=local,src=/cache/snapshots/1,digest=sha256:abc"],
            [f"type=local,{MIN},{BLOBS},dest=/cache/snapshots/1,tag=cache-linux-amd64-topic",
             "type=inline"],
        ),
        (["none"], {"push": True}, [], []),
        ([], {"push": True}, [], []),
    ],
    ids=[
        "auto without push", "auto without registry", "auto with push", "default branch",
        "a repository of its own, no branch", "a reference of its own", "local",
        "a folder that CSV quotes", "a folder that is only read", "no folder", "inline", "gha",
        "s3", "azblob", "several at once", "none", "none of them",
    ],
)  # fmt: skip
def test_arguments(
    entries: list[str], changes: dict[str, Any], sources: list[str], targets: list[str]
) -> None:
    made = arguments(*entries, **changes)
    assert list(made.cache_from) == sources
    assert list(made.cache_to) == targets
    assert made.environment == ()


def test_with_a_push_the_image_is_the_registrys_cache() -> None:
    made = arguments("registry", "local", push=True)
    assert made.after_push == ()
    assert [one.partition(",")[0] for one in made.cache_to] == ["type=inline", "type=local"]
    assert made.image_tags == (f"{CACHE}-topic",)
    assert arguments("registry", branch="main", push=True).image_tags == (
        f"{CACHE}-main",
        f"{CACHE}-latest",
    )
    assert arguments("registry", "local").image_tags == ()


@pytest.mark.parametrize("entry", ["registry:mode=max", "registry:ref=x.example.com/c"])
def test_a_cache_that_the_image_is_not_waits_for_it(entry: str) -> None:
    made = arguments(entry, push=True)
    assert [one.partition(",")[0] for one in made.after_push] == ["type=registry"]
    assert (made.cache_to, made.image_tags) == ((), ())
    assert arguments(entry).after_push == ()
    assert arguments(entry, push=True, exports=False).after_push == ()


def test_the_shared_cache_follows_the_default_branch() -> None:
    assert arguments("registry", branch="main").copies == ((f"{CACHE}-main", f"{CACHE}-latest"),)
    assert arguments("registry", branch="topic").copies == ()
    assert arguments("registry", branch=None).copies == ()
    assert arguments("registry", branch="main", exports=False).copies == ()
    assert arguments("registry:ref=x.example.com/c:mine", branch="main").copies == ()


def test_two_images_and_two_platforms_have_nothing_in_common() -> None:
    names: list[str] = []
    entries = ("registry", "local", "s3:bucket=b,region=r", "gha")
    for image in ("one", "other"):
        for platform in ("linux/amd64", "linux/arm64"):
            scope = CacheScope(image, "r.example.com", (platform,), "main", "main")
            made = cache_arguments(
                backends_in_force(entries, registry=scope.registry, push=True),
                make_settings(),
                scope,
                environment=GITHUB,
                # The folder is a project's own: platforms share it, images do not.
                local=LocalCache(Path("/cache") / image, ()),
            )
            names += made.cache_to
    assert len(set(names)) == len(names)


def test_secrets_go_to_buildx_in_its_environment() -> None:
    made = arguments(
        "s3:bucket=b,region=r,access_key_id=AKIA,secret_access_key=hush,session_token=more",
        "gha:token=quiet,url_v2=https://x.example.com",
    )
    assert dict(made.environment) == {
        "AWS_ACCESS_KEY_ID": "AKIA",
        "AWS_SECRET_ACCESS_KEY": "hush",
        "AWS_SESSION_TOKEN": "more",
        "ACTIONS_RUNTIME_TOKEN": "quiet",
    }
    shown = " ".join((*made.cache_from, *made.cache_to, repr(made)))
    assert not [one for one in ("AKIA", "hush", "more", "quiet") if one in shown]
    assert any(one.startswith("type=gha") for one in made.cache_to)


def test_a_key_that_only_an_argument_could_carry_is_refused() -> None:
    with pytest.raises(SettingsError, match="every user of this machine") as caught:
        arguments("azblob:account_url=https://a.example.com,secret_access_key=hush")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("option", ["src=/x", "dest=/x", "tag=x", "digest=sha256:x"])
def test_the_folder_is_set_in_one_place(option: str) -> None:
    with pytest.raises(SettingsError, match="DOCKYARD_CACHE_DIR"):
        arguments(f"local:{option}")


def test_a_registry_has_to_be_named() -> None:
    with pytest.raises(SettingsError, match="none is set"):
        arguments("registry", registry=None)


def test_what_is_left_out_is_said() -> None:
    made = arguments("gha")
    assert made.cache_to == ()
    assert "ACTIONS_RUNTIME_TOKEN" in made.notes[0]
    made = arguments("inline", registry=None)
    assert made.cache_to == ("type=inline",)
    assert "DOCKYARD_REGISTRY" in made.notes[0]
    made = arguments("registry", "inline", exports=False)
    assert made.cache_to == ("type=inline",)
    assert len(made.cache_from) == 4
    assert "cannot export" in made.notes[0]
