"""``.env.example`` is what the table renders, and says nothing that the settings would refuse."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dockyard.env_example import WIDTH, render_env_example
from dockyard.settings import Origin, Settings, load_settings, resolve
from dockyard.settings_fields import CREDENTIALS, FIELDS, Field

REPOSITORY = Path(__file__).parents[2]
ENTRY = re.compile(r"^# (?=[A-Z][A-Z0-9_]*=)", re.MULTILINE)
ENTRIES = [line for line in render_env_example().splitlines() if ENTRY.match(line)]


def test_the_checked_in_file_is_current() -> None:
    # To regenerate it:
    # python -c 'from dockyard.env_example import *; print(render_env_example(), end="")'
    assert (REPOSITORY / ".env.example").read_text(encoding="utf-8") == render_env_example()


def test_every_setting_is_there_once() -> None:
    names = [line[2:].partition("=")[0] for line in ENTRIES]
    credentials = ["UV_INDEX_INTERNAL_USERNAME", "UV_INDEX_INTERNAL_PASSWORD"]
    assert sorted(names) == sorted([field.environment for field in FIELDS] + credentials)


def test_everything_is_commented_out_and_help_is_wrapped() -> None:
    lines = render_env_example().splitlines()
    assert all(not line or line.startswith("#") for line in lines)
    assert [line for line in lines if len(line) > WIDTH and line not in ENTRIES] == []
    assert not any(line.endswith(" ") for line in lines)


def test_as_it_stands_it_sets_nothing(tmp_path: Path) -> None:
    assert set(loaded(tmp_path, render_env_example()).sources.values()) == set(
        loaded(tmp_path, "").sources.values()
    )


def loaded(folder: Path, dotenv: str) -> Settings:
    (folder / "pyproject.toml").write_text("[tool.dockyard]\n", encoding="utf-8")
    (folder / ".env").write_text(dotenv, encoding="utf-8")
    for name in ("certificates/company.pem", "ca.pem"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    return load_settings(folder, {}, {})


def test_uncommented_as_a_whole_it_is_valid(tmp_path: Path) -> None:
    settings = loaded(tmp_path, ENTRY.sub("", render_env_example()))
    assert {
        name for name, source in settings.sources.items() if source.origin is not Origin.DOTENV
    } == set()
    assert settings.uv_mirrors == (
        "tuna",
        "aliyun",
        "internal=https://mirror.example.com/internal/simple",
    )
    assert settings.cache_backends == ("local", "s3:bucket=builds,region=eu-west-1")


@pytest.mark.parametrize("line", ENTRIES, ids=lambda line: line[2:].partition("=")[0])
def test_each_entry_uncommented_is_valid(line: str, tmp_path: Path) -> None:
    settings = loaded(tmp_path, line[2:])
    name = line[2:].partition("=")[0]
    attributes = {field.environment: field.stands_in_for or field.attribute for field in FIELDS}
    attribute = attributes.get(name, CREDENTIALS.attribute)
    if name != "SSL_CERT_FILE":  # its example need not exist on this machine
        assert settings.sources[attribute].where == ".env, line 1"


@pytest.mark.parametrize("field", [field for field in FIELDS if field.key], ids=lambda f: f.key)
def test_each_sample_is_valid_in_the_environment(field: Field) -> None:
    # Error messages offer the samples too.
    resolve(
        root=Path("/repository"),
        environment={field.environment: field.sample, "DOCKYARD_REGISTRY": "ghcr.io/acme"},
        dotenv={},
        pyproject={},
        flags={},
        exists=lambda path: True,
    )
