"""Settings: what is read from where, what is refused in which words, what is never shown."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from dockyard.errors import Problem, ProjectError, SettingsError
from dockyard.settings import (
    Origin,
    Settings,
    Source,
    load_settings,
    mask_credentials,
    masked,
    redact,
    redactor,
    resolve,
)
from dockyard.settings_fields import CREDENTIALS, FIELDS

ROOT = Path("/repository")


def resolved(
    environment: Mapping[str, str] | None = None,
    dotenv: Mapping[str, tuple[str, int]] | None = None,
    pyproject: Mapping[str, object] | None = None,
    flags: Mapping[str, object] | None = None,
    existing: tuple[str, ...] = (),
    interpolated: tuple[str, ...] = (),
) -> Settings:
    return resolve(
        root=ROOT,
        environment=environment or {},
        dotenv=dotenv or {},
        pyproject=pyproject or {},
        flags=flags or {},
        exists=lambda path: str(path) in existing,
        interpolated=interpolated,
    )


def problems(**given: Any) -> tuple[Problem, ...]:
    with pytest.raises(SettingsError) as caught:
        resolved(**given)
    return caught.value.problems


def problem(**given: Any) -> Problem:
    (only,) = problems(**given)
    return only


def write(folder: Path, **files: str) -> Path:
    names = {"pyproject": "pyproject.toml", "dotenv": ".env"}
    for name, text in files.items():
        (folder / names[name]).write_text(text, encoding="utf-8", newline="")
    return folder


# -------------------- the table


def test_every_field_has_an_attribute_and_every_attribute_a_field() -> None:
    attributes = {field.name for field in fields(Settings)} - {"root", "sources", "notes"}
    assert attributes == {
        field.attribute for field in (*FIELDS, CREDENTIALS) if not field.stands_in_for
    }


def test_names_are_unique() -> None:
    for names in (
        [field.attribute for field in FIELDS],
        [field.environment for field in FIELDS],
        [field.key for field in FIELDS if field.key],
        [field.flag for field in FIELDS],
    ):
        assert len(names) == len(set(names))


def test_every_default_is_what_its_own_text_reads_as() -> None:
    settings = resolved()
    for field in FIELDS:
        if field.example is None:
            read = resolved(environment={field.environment: field.sample})
            assert getattr(read, field.attribute) == getattr(settings, field.attribute), field


def test_defaults() -> None:
    settings = resolved()
    assert settings.project == "."
    assert settings.dockerfile == "docker/Dockerfile"
    assert settings.copy_paths == ("src",)
    assert settings.user == "10001:10001"
    assert settings.cache_dir == ROOT / ".dockyard/cache"
    assert settings.cache_budget == 20_000_000_000
    assert settings.image is None
    assert settings.command == ()
    assert settings.notes == ()
    assert set(settings.sources.values()) == {Source(Origin.DEFAULT, "default")}


# -------------------- precedence

LAYERS: dict[str, tuple[str, Any, Source]] = {
    "flags": ("flag", {"image": "from-flag"}, Source(Origin.FLAG, "--image")),
    "environment": (
        "environment",
        {"DOCKYARD_IMAGE": "from-environment"},
        Source(Origin.ENVIRONMENT, "environment DOCKYARD_IMAGE"),
    ),
    "dotenv": (
        "dotenv",
        {"DOCKYARD_IMAGE": ("from-dotenv", 3)},
        Source(Origin.DOTENV, ".env, line 3"),
    ),
    "pyproject": (
        "pyproject",
        {"image": "from-pyproject"},
        Source(Origin.PYPROJECT, "pyproject.toml [tool.dockyard] image"),
    ),
}


@pytest.mark.parametrize("first", range(len(LAYERS)), ids=list(LAYERS))
def test_the_first_layer_that_has_a_value_wins(first: int) -> None:
    names = list(LAYERS)[first:]
    settings = resolved(**{name: LAYERS[name][1] for name in names})
    assert settings.image == f"from-{LAYERS[names[0]][0]}"
    assert settings.sources["image"] == LAYERS[names[0]][2]


@pytest.mark.parametrize("empty", ["", "  "], ids=["empty", "blank"])
def test_an_empty_text_is_unset(empty: str) -> None:
    settings = resolved(
        environment={"DOCKYARD_IMAGE": empty, "DOCKYARD_COMMAND": empty},
        dotenv={"DOCKYARD_IMAGE": (empty, 1)},
        pyproject={"image": "mushroom", "command": ["serve"]},
    )
    assert settings.image == "mushroom"
    assert settings.command == ("serve",)
    assert settings.sources["image"].origin is Origin.PYPROJECT


@pytest.mark.parametrize("layer", ["environment", "dotenv"])
def test_an_empty_list_is_an_empty_list(layer: str) -> None:
    given: Any = {
        "environment": {"DOCKYARD_COPY_PATHS": ""},
        "dotenv": {"DOCKYARD_COPY_PATHS": ("", 1)},
    }
    settings = resolved(**{layer: given[layer]}, pyproject={"copy-paths": ["scripts"]})
    assert settings.copy_paths == ()


@pytest.mark.parametrize("absent", [None, [], ()], ids=repr)
def test_flags_that_were_not_given_change_nothing(absent: object) -> None:
    settings = resolved(
        environment={"DOCKYARD_PLATFORMS": "linux/arm64"}, flags={"platforms": absent}
    )
    assert settings.platforms == ("linux/arm64",)


def test_a_repeated_flag_takes_commas_as_well() -> None:
    settings = resolved(flags={"platforms": ["linux/amd64,linux/arm64", "linux/arm/v7"]})
    assert settings.platforms == ("linux/amd64", "linux/arm64", "linux/arm/v7")
    assert settings.sources["platforms"] == Source(Origin.FLAG, "--platform")


def test_a_flag_that_no_setting_has_is_our_own_mistake() -> None:
    with pytest.raises(TypeError, match="colour"):
        resolved(flags={"colour": "red"})


# -------------------- what each kind reads

READ: list[tuple[str, str, object]] = [
    *(("DOCKYARD_BYTE_COMPILE", text, True) for text in ("1", "true", "YES", "On")),
    *(("DOCKYARD_BYTE_COMPILE", text, False) for text in ("0", "False", "no", "OFF")),
    ("DOCKYARD_LAYERS", " 12 ", 12),
    ("DOCKYARD_CACHE_BUDGET", "10GB", 10 * 10**9),
    ("DOCKYARD_CACHE_BUDGET", "512mb", 512 * 10**6),
    ("DOCKYARD_CACHE_BUDGET", "2GiB", 2 * 2**30),
    ("DOCKYARD_CACHE_BUDGET", "1.5 kB", 1500),
    ("DOCKYARD_CACHE_BUDGET", "4096", 4096),
    ("DOCKYARD_EXTRAS", "cpu, postgres,\n,cpu", ("cpu", "postgres")),
    ("DOCKYARD_PORTS", "8000,8001", (8000, 8001)),
    ("DOCKYARD_COMMAND", "python -c 'print(1)'", ("python", "-c", "print(1)")),
    ("DOCKYARD_COMMAND", '["a b", ""]', ("a b", "")),
    ("DOCKYARD_COMMAND", "[]", ()),
    ("DOCKYARD_COMMAND", "printf ' '", ("printf", " ")),
    ("DOCKYARD_COPY_PATHS", "./src/,a b", ("src", "a b")),
    ("DOCKYARD_COPY_PATHS", "模型", ("模型",)),
    ("DOCKYARD_PROJECT", "./", "."),
    ("DOCKYARD_COMPRESSION", "GZIP", "gzip"),
    ("DOCKYARD_USER", "65534", "65534"),
    ("DOCKYARD_USER", "10001:0", "10001:0"),
    ("DOCKYARD_IMAGE", "ghcr.io/acme/my__app-1.x", "ghcr.io/acme/my__app-1.x"),
    ("DOCKYARD_REGISTRY", "localhost:5000", "localhost:5000"),
    ("DOCKYARD_REGISTRY", "[::1]:5000/team", "[::1]:5000/team"),
    ("DOCKYARD_PYTHON_IMAGE", f"python:3.13@sha256:{'0' * 64}", f"python:3.13@sha256:{'0' * 64}"),
    (
        "DOCKYARD_CACHE_BACKENDS",
        "local  gha:scope=main\ns3:bucket=b,region=eu-west-1",
        ("local", "gha:scope=main", "s3:bucket=b,region=eu-west-1"),
    ),
    ("DOCKYARD_DRIVER_OPTIONS", "replicas=2,env.A=b=c", {"replicas": "2", "env.A": "b=c"}),
    (
        "DOCKYARD_IMAGE_MIRRORS",
        "m.example/p,ghcr.io=g.example",
        ("m.example/p", "ghcr.io=g.example"),
    ),
    ("DOCKYARD_CACHE_DIR", "/var/cache", Path("/var/cache")),
    ("DOCKYARD_CACHE_DIR", "build/cache", ROOT / "build/cache"),
    ("UV_CACHE_DIR", "~/.cache/uv", Path("/home/me/.cache/uv")),
    (
        "UV_INDEX",
        "https://a.example/simple b=https://b.example",
        ("https://a.example/simple", "b=https://b.example"),
    ),
    ("UV_HTTP_TIMEOUT", "120", 120),
    ("SOURCE_DATE_EPOCH", "0", 0),
    ("DOCKER_HOST", "ssh://me@box", "ssh://me@box"),
    ("DOCKER_BUILDKIT", "1", True),
    ("COMPOSE_DOCKER_CLI_BUILD", "0", False),
]


@pytest.mark.parametrize(("name", "text", "value"), READ, ids=[f"{n}={t!r}" for n, t, _ in READ])
def test_a_text_is_read_as(name: str, text: str, value: object) -> None:
    attribute = {field.environment: field.attribute for field in FIELDS}[name]
    settings = resolved(environment={name: text, "HOME": "/home/me"})
    assert getattr(settings, attribute) == value


@pytest.mark.parametrize(
    ("key", "value", "read"),
    [
        ("byte-compile", True, True),
        ("layers", 12, 12),
        ("cache-budget", 5_000, 5000),
        ("cache-budget", "5kB", 5000),
        ("extras", ["cpu"], ("cpu",)),
        ("extras", "cpu,gpu", ("cpu", "gpu")),
        ("copy-paths", ["a,b"], ("a,b",)),
        ("ports", [80, 443], (80, 443)),
        ("ports", 80, (80,)),
        ("command", ["python", "-m", "app"], ("python", "-m", "app")),
        ("driver-options", {"replicas": "2"}, {"replicas": "2"}),
        ("driver-options", ["replicas=2"], {"replicas": "2"}),
    ],
    ids=str,
)
def test_a_toml_value_is_read_as(key: str, value: object, read: object) -> None:
    assert getattr(resolved(pyproject={key: value}), key.replace("-", "_")) == read


# -------------------- what each kind refuses

# Each with a part of the message; the place is always the variable.
REFUSED: list[tuple[str, str, str]] = [
    ("DOCKYARD_BYTE_COMPILE", "maybe", "“maybe” is not true or false"),
    ("DOCKYARD_BYTE_COMPILE", "2", "“2” is not true or false"),
    ("DOCKYARD_LAYERS", "many", "“many” is not a whole number from 1 to 60"),
    ("DOCKYARD_LAYERS", "0", "“0” is not a whole number from 1 to 60"),
    ("DOCKYARD_LAYERS", "61", "from 1 to 60"),
    ("DOCKYARD_LAYERS", "-1", "from 1 to 60"),
    ("DOCKYARD_LAYERS", "8.5", "from 1 to 60"),
    ("DOCKYARD_LAYERS", "٨", "from 1 to 60"),
    ("DOCKYARD_LAYERS", "9" * 5000, "from 1 to 60"),
    ("DOCKYARD_RECORDS", "0", "a whole number of at least 1"),
    ("DOCKYARD_CACHE_BUDGET", "10 parsecs", "is not a size"),
    ("DOCKYARD_CACHE_BUDGET", "0", "is not a size"),
    ("DOCKYARD_CACHE_BUDGET", "1.5", "is not a size"),
    ("DOCKYARD_PORTS", "80,http", "“http” is not a whole number from 1 to 65535"),
    ("DOCKYARD_PORTS", "65536", "from 1 to 65535"),
    ("DOCKYARD_COMMAND", "echo 'a", "No closing quotation"),
    ("DOCKYARD_COMMAND", '["a", 1]', "“1” is not a string"),
    ("DOCKYARD_COMMAND", '["a"', "is not a command"),
    ("DOCKYARD_COMMAND", "''", "is not a command"),
    ("DOCKYARD_COMMAND", "'a\nUSER 0'", "control or undecodable character (U+000A)"),
    ("DOCKYARD_COMMAND", "'a\n'", "(U+000A)"),
    ("DOCKYARD_COMMAND", "[" * 99999, "is not a command"),
    ("DOCKYARD_HEALTH_CHECK", '["a", "\\u0000"]', "(U+0000)"),
    ("DOCKYARD_COMPRESSION", "xz", "“xz” is not one of zstd, gzip, estargz, uncompressed"),
    ("DOCKYARD_INSTALL", "editable", "“editable” is not one of copy, wheel"),
    ("DOCKYARD_PROJECT", "/srv/app", "is not a path below the repository root"),
    ("DOCKYARD_PROJECT", "..", "is not a path below"),
    ("DOCKYARD_COPY_PATHS", "src,../secrets", "“../secrets” is not a path below"),
    ("DOCKYARD_COPY_PATHS", "a/../../b", "is not a path below"),
    ("DOCKYARD_COPY_PATHS", "--from=x", "is not a path below"),
    ("DOCKYARD_COPY_PATHS", "src/*", "is not a path below"),
    ("DOCKYARD_COPY_PATHS", "C:/src", "is not a path below"),
    ("DOCKYARD_COPY_PATHS", "a\rb", "(U+000D)"),
    ("DOCKYARD_COPY_PATHS", "a\udcffb", "(U+DCFF)"),
    ("DOCKYARD_IMAGE", "Mushroom", "is not an image name"),
    ("DOCKYARD_IMAGE", "mushroom:latest", "is not an image name"),
    ("DOCKYARD_IMAGE", "a//b", "is not an image name"),
    ("DOCKYARD_IMAGE", "a" * 256, "is not an image name"),
    ("DOCKYARD_IMAGE", "a\nRUN x", "(U+000A)"),
    ("DOCKYARD_PYTHON_IMAGE", "python:3.13 AS x", "is not an image reference"),
    ("DOCKYARD_PYTHON_IMAGE", "python@sha256:0", "is not an image reference"),
    ("DOCKYARD_REGISTRY", "https://ghcr.io", "is not a registry"),
    ("DOCKYARD_REGISTRY", "ghcr.io/", "is not a registry"),
    ("DOCKYARD_INSECURE_REGISTRIES", "localhost:5000/x", "is not a registry's host"),
    ("DOCKYARD_TAGS", "ok,-no", "“-no” is not a tag"),
    ("DOCKYARD_TAGS", "a" * 129, "is not a tag"),
    ("DOCKYARD_EXTRAS", "cpu_", "is not the name of an extra"),
    ("DOCKYARD_BUILD_PACKAGES", "libpq5;reboot", "is not a Debian package name"),
    ("DOCKYARD_RUNTIME_PACKAGES", "LibPQ", "is not a Debian package name"),
    ("DOCKYARD_RUNTIME_PACKAGES", "a", "is not a Debian package name"),
    ("DOCKYARD_USER", "0", "that is not root"),
    ("DOCKYARD_USER", "0:10001", "that is not root"),
    ("DOCKYARD_USER", "00", "that is not root"),
    ("DOCKYARD_USER", "app", "is not a numeric user"),
    ("DOCKYARD_PLATFORMS", "linux/adm64", "is not a platform"),
    ("DOCKYARD_PLATFORMS", "amd64", "is not a platform"),
    ("DOCKYARD_CACHE_BACKENDS", "local,registry", "is not a cache backend"),
    ("DOCKYARD_CACHE_BACKENDS", "s3:bucket", "is not a cache backend"),
    ("DOCKYARD_DRIVER", "podman", "is not one of auto, docker"),
    ("DOCKYARD_DRIVER_OPTIONS", "replicas", "is not an option (key=value)"),
    ("DOCKYARD_BUILDER", "my builder", "is not the name of a builder"),
    ("DOCKYARD_UV_MIRRORS", "pypi.org/simple", "is not an http or https URL"),
    ("DOCKYARD_UV_MIRRORS", "ftp://pypi.org", "is not an http or https URL"),
    ("UV_DEFAULT_INDEX", "https://", "is not an index"),
    ("UV_HTTP_TIMEOUT", "30s", "a whole number of at least 1"),
    ("UV_CONCURRENT_DOWNLOADS", "0", "a whole number of at least 1"),
    ("SOURCE_DATE_EPOCH", "yesterday", "a whole number from 0"),
    ("SOURCE_DATE_EPOCH", "253402300800", "a whole number from 0"),
    ("DOCKER_BUILDKIT", "0", "turns BuildKit off"),
    ("DOCKER_BUILDKIT", "enabled", "“enabled” is not true or false"),
    ("BUILDKIT_PROGRESS", "loud", "is not one of auto, plain"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "message"), REFUSED, ids=[f"{n}={t[:20]!r}" for n, t, _ in REFUSED]
)
def test_a_text_is_refused(name: str, text: str, message: str) -> None:
    found = problem(environment={name: text})
    assert message in found.message
    assert found.where == f"environment {name}"
    assert found.hint is not None
    assert name in found.hint
    assert found.message.isprintable()
    assert len(found.message) < 250


@pytest.mark.parametrize(
    ("key", "value", "message", "hint"),
    [
        ("byte-compile", 1, "“1” is not true or false", "byte-compile = false"),
        ("layers", True, "“true” is not a whole number", "layers = 24"),
        ("layers", 8.5, "“8.5” is not", "layers = 24"),
        ("image", ["a"], "an array is not an image name", 'image = "mushroom"'),
        ("image", "", "“” is not an image name", 'image = "mushroom"'),
        ("extras", [1], "“1” is not the name", 'extras = ["cpu", "postgres"]'),
        ("extras", 1, "“1” is not a list", 'extras = ["cpu", "postgres"]'),
        ("ports", ["x"], "“x” is not a whole number", "ports = [8000]"),
        ("command", {"a": 1}, "a table is not a command", 'command = ["python", "-m", "mushroom"]'),
        (
            "cache-backends",
            ["ftp"],
            "“ftp” is not a cache backend",
            'cache-backends = ["local", "s3:',
        ),
    ],
    ids=str,
)
def test_a_toml_value_is_refused(key: str, value: object, message: str, hint: str) -> None:
    found = problem(pyproject={key: value})
    assert message in found.message
    assert found.where == f"pyproject.toml [tool.dockyard] {key}"
    assert hint in str(found.hint)


def test_a_bad_flag_is_named_as_a_flag() -> None:
    found = problem(flags={"platforms": ["linux/vax"]})
    assert found.where == "--platform"
    assert found.hint == "for example --platform linux/amd64,linux/arm64"


def test_all_problems_come_at_once_each_with_its_place() -> None:
    found = problems(
        flags={"platforms": ["vax"]},
        environment={"DOCKYARD_LAYERS": "0", "DOCKYARD_TGAS": "x", "DOCKER_BUILDKIT": "off"},
        dotenv={"DOCKYARD_USER": ("root", 7), "DOCKYARD_CA_FILE": ("missing.pem", 9)},
        pyproject={"image": "A", "copy_paths": ["src"]},
    )
    assert sorted(str(one.where) for one in found) == [
        "--platform",
        ".env, line 7, DOCKYARD_USER",
        ".env, line 9, DOCKYARD_CA_FILE",
        "environment",
        "environment DOCKER_BUILDKIT",
        "environment DOCKYARD_LAYERS",
        "pyproject.toml [tool.dockyard]",
        "pyproject.toml [tool.dockyard] image",
    ]
    assert all(one.hint for one in found)


def test_a_bad_value_that_another_layer_hides_is_no_problem() -> None:
    assert resolved(environment={"DOCKYARD_LAYERS": "4"}, pyproject={"layers": "x"}).layers == 4


# -------------------- unknown names


@pytest.mark.parametrize(
    ("given", "where", "hint"),
    [
        (
            {"environment": {"DOCKYARD_IMGE": "x"}},
            "environment",
            "did you mean DOCKYARD_IMAGE?",
        ),
        ({"environment": {"DOCKYARD_image": "x"}}, "environment", "did you mean DOCKYARD_IMAGE?"),
        (
            {"dotenv": {"DOCKYARD_PLATFORM": ("x", 12)}},
            ".env, line 12",
            "did you mean DOCKYARD_PLATFORMS?",
        ),
        (
            {"pyproject": {"copy_paths": ["src"]}},
            "pyproject.toml [tool.dockyard]",
            "did you mean copy-paths?",
        ),
        (
            {"pyproject": {"uv-default-index": "x"}},
            "pyproject.toml [tool.dockyard]",
            "did you mean UV_DEFAULT_INDEX (environment or .env)?",
        ),
        (
            {"pyproject": {"zzz": 1}},
            "pyproject.toml [tool.dockyard]",
            ".env.example lists every setting",
        ),
    ],
    ids=["environment", "lower-case", "dotenv", "snake-case", "shared", "nothing-near"],
)
def test_an_unknown_name_brings_the_nearest(given: Any, where: str, hint: str) -> None:
    found = problem(**given)
    assert found.message.endswith("is not a setting")
    assert (found.where, found.hint) == (where, hint)


def test_names_of_others_are_left_alone() -> None:
    resolved(environment={"IMAGE": "X", "UV_OFFLINE": "1"}, dotenv={"DATABASE_URL": ("x", 1)})


# -------------------- contradictions


@pytest.mark.parametrize("compression", ["gzip", "estargz"])
def test_a_level_that_the_compression_does_not_have(compression: str) -> None:
    given = {"DOCKYARD_COMPRESSION": compression, "DOCKYARD_COMPRESSION_LEVEL": "19"}
    assert "level 19 is not one of" in problem(environment=given).message
    assert resolved(environment={**given, "DOCKYARD_COMPRESSION": "zstd"}).compression_level == 19


@pytest.mark.parametrize(
    ("more", "allowed"),
    [
        ({}, False),
        ({"DOCKYARD_REGISTRY": "ghcr.io/acme"}, True),
        ({"DOCKYARD_IMAGE": "acme/mushroom"}, True),
        ({"DOCKYARD_CACHE_BACKENDS": "registry:ref=ghcr.io/a/b:cache"}, True),
    ],
    ids=["nowhere", "registry", "prefixed-image", "own-reference"],
)
def test_a_registry_cache_needs_a_registry(more: dict[str, str], allowed: bool) -> None:
    given = {"DOCKYARD_CACHE_BACKENDS": "registry", **more}
    if allowed:
        resolved(environment=given)
    else:
        assert "needs a registry" in problem(environment=given).message


# -------------------- stand-ins: deprecated names, and OpenSSL's


@pytest.mark.parametrize(
    ("old", "new", "attribute", "value"),
    [
        ("UV_INDEX_URL", "UV_DEFAULT_INDEX", "uv_default_index", "https://a.example/simple"),
        ("UV_EXTRA_INDEX_URL", "UV_INDEX", "uv_index", ("https://a.example/simple",)),
    ],
    ids=["default", "further"],
)
def test_a_deprecated_name_is_translated(old: str, new: str, attribute: str, value: object) -> None:
    settings = resolved(environment={old: "https://a.example/simple"})
    assert getattr(settings, attribute) == value
    assert settings.package_environment() == {new: "https://a.example/simple"}
    assert settings.sources[attribute] == Source(Origin.ENVIRONMENT, f"environment {old}")
    assert settings.notes == (f"environment {old}: {old} is deprecated; write {new}",)


def test_a_deprecated_name_yields_to_its_successor() -> None:
    settings = resolved(
        environment={"UV_INDEX_URL": "https://old.example"},
        dotenv={"UV_DEFAULT_INDEX": ("https://new.example", 1)},
    )
    assert settings.uv_default_index == "https://new.example"
    assert settings.notes[0].endswith("write UV_DEFAULT_INDEX, which is set and used instead")


def test_a_certificate_file_must_exist() -> None:
    found = problem(environment={"DOCKYARD_CA_FILE": "certificates/ca.pem"})
    assert found.message == "there is no file “/repository/certificates/ca.pem”"
    settings = resolved(
        pyproject={"ca-file": "ca.pem"},
        environment={"SSL_CERT_FILE": "/etc/ssl/other.pem"},
        existing=("/repository/ca.pem", "/etc/ssl/other.pem"),
    )
    assert settings.ca_file == ROOT / "ca.pem"


def test_openssls_name_is_second_best_and_may_dangle() -> None:
    environment = {"SSL_CERT_FILE": "/etc/ssl/ca.pem"}
    used = resolved(environment=environment, existing=("/etc/ssl/ca.pem",))
    assert used.ca_file == Path("/etc/ssl/ca.pem")
    assert used.sources["ca_file"].where == "environment SSL_CERT_FILE"
    assert used.notes == ()
    dangling = resolved(environment=environment)
    assert dangling.ca_file is None
    assert dangling.sources["ca_file"].origin is Origin.DEFAULT
    assert dangling.notes == (
        "environment SSL_CERT_FILE: there is no file “/etc/ssl/ca.pem”; it is not used",
    )


# -------------------- secrets

SECRET = "hunter2/@ä"
ENCODED = "hunter2%2F%40%C3%A4"
MIRROR = f"https://me:{ENCODED}@mirror.example/simple"


def with_secrets() -> Settings:
    return resolved(
        environment={
            "DOCKYARD_UV_MIRRORS": MIRROR,
            "DOCKYARD_CACHE_BACKENDS": "s3:bucket=b,access_key_id=AKIA1,secret_access_key=s3cret",
            "DOCKYARD_DRIVER_OPTIONS": "env.HTTPS_PROXY=http://proxy:pr/xy@proxy.example",
            "UV_DEFAULT_INDEX": "https://tok-12345@index.example/simple",
            "UV_INDEX_INTERNAL_USERNAME": "builder",
            "UV_INDEX_INTERNAL_PASSWORD": "pass word",
        },
        dotenv={
            "UV_INDEX_GEM_USERNAME": ("gem-token", 4),
            "UV_INDEX_INTERNAL_PASSWORD": ("hidden by the environment", 5),
            "UV_INDEX_EMPTY_PASSWORD": ("", 6),
        },
    )


RAW = (SECRET, ENCODED, "AKIA1", "s3cret", "pr/xy", "tok-12345", "pass word", "gem-token")


def test_credentials_are_collected_and_go_to_the_installer() -> None:
    settings = with_secrets()
    credentials = {
        "UV_INDEX_GEM_USERNAME": "gem-token",
        "UV_INDEX_INTERNAL_PASSWORD": "pass word",
        "UV_INDEX_INTERNAL_USERNAME": "builder",
    }
    assert settings.index_credentials == credentials
    assert settings.sources["index_credentials"].origin is Origin.ENVIRONMENT
    assert ".env, line 4" in settings.sources["index_credentials"].where
    assert settings.package_environment() == {
        "DOCKYARD_UV_MIRRORS": MIRROR,
        "DOCKYARD_UV_MIRROR_TIMEOUT": "10",
        "UV_DEFAULT_INDEX": "https://tok-12345@index.example/simple",
        **credentials,
    }


def test_the_installers_environment_holds_only_what_is_set() -> None:
    assert resolved().package_environment() == {}
    settings = resolved(
        environment={
            "UV_INDEX": "https://a.example https://b.example",
            "UV_HTTP_TIMEOUT": "60",
            "UV_CONCURRENT_DOWNLOADS": "4",
            "UV_CACHE_DIR": "/cache",
        }
    )
    assert settings.package_environment() == {
        "UV_INDEX": "https://a.example https://b.example",
        "UV_HTTP_TIMEOUT": "60",
        "UV_CONCURRENT_DOWNLOADS": "4",
    }


def test_secret_values_are_all_there_and_nothing_else_is() -> None:
    values = with_secrets().secret_values()
    assert set(RAW) <= set(values)
    assert {"me", "builder", "proxy", "b", "", "https"}.isdisjoint(values)
    assert list(values) == sorted(values, key=len, reverse=True)
    assert resolved(environment={"DOCKER_HOST": "ssh://me@box"}).secret_values() == ()


@pytest.mark.parametrize("password", ["x", "x-oauth-basic"])
def test_beside_a_filler_password_the_user_is_the_secret(password: str) -> None:
    settings = resolved(environment={"UV_DEFAULT_INDEX": f"https://ghp_abc:{password}@h.example"})
    assert "ghp_abc" in settings.secret_values()
    assert (
        redactor(settings)("exit: ghp_abc x y")
        == f"exit: *** {'***' if password == 'x' else 'x'} y"
    )


def test_masked_is_json_without_secrets() -> None:
    settings = with_secrets()
    shown = masked(settings)
    text = json.dumps(shown, ensure_ascii=False)
    for secret in RAW:
        assert secret not in text
        assert secret not in repr(settings)
    assert shown["uv_mirrors"] == {
        "value": ["https://***@mirror.example/simple"],
        "source": "environment DOCKYARD_UV_MIRRORS",
        "origin": "environment",
    }
    assert shown["index_credentials"]["value"] == {
        "UV_INDEX_GEM_USERNAME": "***",
        "UV_INDEX_INTERNAL_PASSWORD": "***",
        "UV_INDEX_INTERNAL_USERNAME": "***",
    }
    assert shown["driver_options"]["value"] == {"env.HTTPS_PROXY": "http://***@proxy.example"}
    assert shown["cache_backends"]["value"] == [
        "s3:bucket=b,access_key_id=***,secret_access_key=***"
    ]
    assert shown["cache_dir"]["value"] == "/repository/.dockyard/cache"
    assert shown["ports"]["value"] == []


def test_redact() -> None:
    settings = with_secrets()
    quoted = json.dumps({"p": SECRET})
    text = f"GET {MIRROR} {SECRET} {quoted} pass%20word gem-token builder"
    clean = redactor(settings)(text)
    assert clean == 'GET https://me:***@mirror.example/simple *** {"p": "***"} *** *** builder'


@pytest.mark.parametrize(
    ("text", "secrets", "clean"),
    [
        ("nothing", (), "nothing"),
        ("nothing", ("",), "nothing"),
        ("abcdef abcd", ("abcd", "abcdef"), "*** ***"),
        ("a.c abc", ("a.c.",), "a.c abc"),
        ("ab cabin ab", ("ab",), "*** cabin ***"),
    ],
    ids=["none", "empty", "longest-first", "literal", "short-whole-word"],
)
def test_redact_in_any_text(text: str, secrets: tuple[str, ...], clean: str) -> None:
    assert redact(text, secrets) == clean


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("https://u:p@h/x", "https://***@h/x"),
        ("https://token@h/x", "https://***@h/x"),
        ("name=https://u:p@ss@h/x", "name=https://***@h/x"),
        ("https://h/x", "https://h/x"),
        ("python@sha256:00", "python@sha256:00"),
        ("--api-token=abc --tokenizer=bert", "--api-token=*** --tokenizer=bert"),
    ],
    ids=str,
)
def test_mask_credentials(text: str, clean: str) -> None:
    assert mask_credentials(text) == clean


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("UV_DEFAULT_INDEX", "https://me:hunter2 tail@h.example"),
        ("UV_DEFAULT_INDEX", "https://me:hunter2/tail@h.example"),
        ("UV_DEFAULT_INDEX", "me:hunter2@h.example/simple"),
        ("UV_INDEX", "https://me:hunter2 @h.example"),
        ("DOCKYARD_UV_MIRRORS", "https://me:hunter2,tail@h.example"),
        ("DOCKYARD_REGISTRY", "https://me:hunter2@ghcr.io"),
        ("DOCKYARD_CACHE_BACKENDS", "s4:secret_access_key=hunter2"),
        ("DOCKYARD_DRIVER_OPTIONS", "=http://me:hunter2@h"),
        ("UV_INDEX_INTERNAL_PASSWORD", "hunter2\n"),
    ],
    ids=str,
)
def test_no_message_repeats_a_secret(name: str, text: str) -> None:
    for found in problems(environment={name: text}):
        assert "hunter2" not in str(found)
        assert "tail" not in str(found)
        assert "the value" in found.message


def test_settings_stay_frozen_and_can_be_replaced() -> None:
    settings = resolved(environment={"UV_DEFAULT_INDEX": "https://me:first-one@h.example"})
    assert settings.secret_values() == ("first-one",)
    other = replace(settings, uv_default_index=None)
    assert other.secret_values() == ()
    with pytest.raises(AttributeError):
        settings.image = "other"  # type: ignore[misc]


# -------------------- the files

TABLE = "[tool.dockyard]\nimage = 'mushroom'\n"


def test_files_are_found_and_read(tmp_path: Path) -> None:
    write(tmp_path, pyproject=TABLE, dotenv="DOCKYARD_TAGS=stable\n")
    settings = load_settings(tmp_path, {"DOCKYARD_LAYERS": "3"}, {"progress": "plain"})
    assert (settings.root, settings.image, settings.tags) == (tmp_path, "mushroom", ("stable",))
    assert (settings.layers, settings.progress) == (3, "plain")


@pytest.mark.parametrize(
    ("outer", "inner", "root"),
    [
        (TABLE, "[project]\nname = 'a'\n", "."),
        (TABLE, TABLE, "inner"),
        (TABLE, None, "."),
        ("[project]\nname = 'a'\n", "[tool.ruff]\n", "inner"),
        ("[project]\nname = 'a'\n", None, "."),
        (None, "tool = 1\n", "inner"),
    ],
    ids=["table-above", "nearest-table", "only-above", "no-table", "no-table-above", "odd-tool"],
)
def test_the_root(tmp_path: Path, outer: str | None, inner: str | None, root: str) -> None:
    start = tmp_path / "inner" / "deep"
    start.mkdir(parents=True)
    if outer is not None:
        write(tmp_path, pyproject=outer)
    if inner is not None:
        write(tmp_path / "inner", pyproject=inner)
    assert load_settings(start, {}, {}).root == (tmp_path / root).resolve()


def test_no_project_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.is_file
    inside = tmp_path.resolve()
    # A pyproject.toml above the temporary folder must not decide this test.
    monkeypatch.setattr(Path, "is_file", lambda path: path.is_relative_to(inside) and real(path))
    with pytest.raises(ProjectError) as caught:
        load_settings(tmp_path, {}, {})
    assert caught.value.problems[0].where == str(inside)
    assert "uv init" in str(caught.value.problems[0].hint)


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"[project]\nname =\n", 2, "not valid TOML"),
        (b"[project]\nname = 'a'\nname = 'b'\n", 3, "not valid TOML"),
        (b"a = [\n1,\n", 2, "not valid TOML"),
        (b"[project]\nname = '\xff'\n", 2, "not UTF-8"),
    ],
    ids=["no-value", "twice", "unfinished", "latin-1"],
)
def test_a_malformed_pyproject(tmp_path: Path, content: bytes, line: int, message: str) -> None:
    path = tmp_path.resolve() / "pyproject.toml"
    path.write_bytes(content)
    with pytest.raises(ProjectError) as caught:
        load_settings(tmp_path, {}, {})
    assert caught.value.problems[0].where == f"{path}:{line}"
    assert message in caught.value.problems[0].message
    assert caught.value.problems[0].hint


def test_a_dockyard_key_that_is_no_table(tmp_path: Path) -> None:
    write(tmp_path, pyproject="[tool]\ndockyard = true\n")
    with pytest.raises(SettingsError, match="is not a table"):
        load_settings(tmp_path, {}, {})


# -------------------- .env

DOTENV = """\
# a comment

export DOCKYARD_IMAGE='mushroom'
DOCKYARD_EXTRAS="
cpu
gpu
"


  DOCKYARD_TAGS=stable # not this
UNRELATED
DOCKYARD_LAYERS="4"
DOCKYARD_LAYERS=5
DOCKYARD_BYTE_COMPILE=
"""


@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "byte-order-mark"])
def test_dotenv_values_and_lines(tmp_path: Path, newline: str, mark: str) -> None:
    write(tmp_path, pyproject=TABLE, dotenv=mark + DOTENV.replace("\n", newline))
    settings = load_settings(tmp_path, {}, {})
    assert settings.image == "mushroom"
    assert settings.extras == ("cpu", "gpu")
    assert settings.tags == ("stable",)
    assert settings.layers == 5
    assert {
        name: settings.sources[name].where for name in ("image", "extras", "tags", "layers")
    } == {
        "image": ".env, line 3",
        "extras": ".env, line 4",
        "tags": ".env, line 10",
        "layers": ".env, line 13",
    }


@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_every_bad_line_of_dotenv_is_named(tmp_path: Path, newline: str) -> None:
    text = "\nSECRET='hunter2\n\nDOCKYARD_LAYERS=0\nDOCKYARD_IMAGE\nDOCKYARD_TGAS=x\n= hunter2\n"
    write(tmp_path, pyproject=TABLE + "layers = 0\n", dotenv=text.replace("\n", newline))
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path, {}, {})
    assert [one.where for one in caught.value.problems] == [
        ".env, line 2",
        ".env, line 5",
        ".env, line 7",
        ".env, line 4, DOCKYARD_LAYERS",
        ".env, line 6",
    ]
    assert "hunter2" not in str(caught.value)


def test_dotenv_problems_alone_are_reported(tmp_path: Path) -> None:
    write(tmp_path, pyproject=TABLE, dotenv="'")
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path, {}, {})
    assert [one.where for one in caught.value.problems] == [".env, line 1"]


def test_an_undecodable_dotenv(tmp_path: Path) -> None:
    write(tmp_path, pyproject=TABLE)
    (tmp_path / ".env").write_bytes(b"A=1\nDOCKYARD_IMAGE=caf\xe9\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path, {}, {})
    assert caught.value.problems == (
        Problem("is not UTF-8", ".env, line 2", "save the file as UTF-8"),
    )


def test_a_folder_called_dotenv_is_none(tmp_path: Path) -> None:
    write(tmp_path, pyproject=TABLE)
    (tmp_path / ".env").mkdir()
    assert load_settings(tmp_path, {}, {}).image == "mushroom"


def test_interpolation(tmp_path: Path) -> None:
    text = (
        "BASE=file\nDOCKYARD_IMAGE=${TEAM}/${BASE}\n"
        "DOCKYARD_TAGS=${NONE:-stable},${TEAM:-x}\nBASE=later\n"
    )
    write(tmp_path, pyproject=TABLE, dotenv=text)
    settings = load_settings(tmp_path, {"TEAM": "acme"}, {})
    assert settings.image == "acme/file"
    assert settings.tags == ("stable", "acme")
    # As everywhere else, the environment counts before the file.
    assert load_settings(tmp_path, {"TEAM": "acme", "BASE": "mine"}, {}).image == "acme/mine"


def test_no_message_repeats_an_interpolated_value(tmp_path: Path) -> None:
    text = "PASSED=${SECRET}\nDOCKYARD_IMAGE=${PASSED}\nDOCKYARD_TAGS=ok,${SECRET}\n"
    text += "DOCKYARD_CA_FILE=${SECRET}\n"
    write(tmp_path, pyproject=TABLE, dotenv=text)
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path, {"SECRET": "Hunter2,-tail"}, {})
    assert len(caught.value.problems) == 3
    assert "unter2" not in str(caught.value)
    assert "tail" not in str(caught.value)


def test_python_dotenv_is_imported_for_a_file_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, pyproject=TABLE)
    for name in ("dotenv", "dotenv.parser", "dotenv.variables"):
        monkeypatch.setitem(sys.modules, name, None)
    assert load_settings(tmp_path, {}, {}).image == "mushroom"
    write(tmp_path, dotenv="A=1")
    with pytest.raises(ImportError):
        load_settings(tmp_path, {}, {})
