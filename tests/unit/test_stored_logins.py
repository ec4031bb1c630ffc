"""Logins that a machine keeps reach a build as its secret, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dockyard import process
from dockyard.definition import UV_ENVIRONMENT_VARIABLE, define, secret_environment
from dockyard.errors import SettingsError
from dockyard.revision import Revision
from dockyard.settings import Settings, masked, redactor
from dockyard.stored_logins import netrc_path, with_stored_logins
from support.settings import make_settings

NETRC = """
machine in.example.com login robot password planted-netrc
machine main.example.com
  login robot
  password p@ss/w:rd
default login nobody password planted-default
"""
INTERNAL = "https://in.example.com/simple"
MAIN = "https://main.example.com/simple"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".netrc").write_text(NETRC)
    return tmp_path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """A keyring with one password, kept for the host; returns the commands that it was asked by."""
    commands: list[tuple[str, ...]] = []

    def run(arguments: Sequence[str], **options: Any) -> process.Completed:
        commands.append(tuple(arguments))
        answers = {
            ("keyring", "get", "in.example.com", "robot"): "planted-keyring\n",
            ("keyring", "--mode", "creds", "get", "in.example.com"): "kept\nplanted-creds\n",
            ("uv", "auth", "token", INTERNAL): "planted-token\n",
        }
        told = answers.get(tuple(arguments))
        return process.Completed(tuple(arguments), 0 if told else 1, told or "", "")

    monkeypatch.setattr(process, "run", run)
    return commands


def stored(root: Path, environment: dict[str, str], **changes: Any) -> Settings:
    return with_stored_logins(make_settings(root, **changes), environment)


def test_netrc_gives_a_named_index_its_variables(home: Path) -> None:
    settings = stored(home, {"HOME": str(home)}, uv_index=(f"in-house={INTERNAL}",))
    assert settings.index_credentials == {
        "UV_INDEX_IN_HOUSE_USERNAME": "robot",
        "UV_INDEX_IN_HOUSE_PASSWORD": "planted-netrc",
    }
    assert settings.notes == ("the login of in-house is the one that netrc keeps",)


def test_netrc_gives_an_index_without_a_name_its_url(home: Path) -> None:
    environment = {"NETRC": str(home / ".netrc")}
    settings = stored(home, environment, uv_default_index=MAIN, uv_mirrors=(f"{MAIN}={INTERNAL}",))
    assert settings.uv_default_index == "https://robot:p%40ss%2Fw%3Ard@main.example.com/simple"
    assert settings.uv_mirrors == (f"{MAIN}=https://robot:planted-netrc@in.example.com/simple",)


def test_what_is_set_wins_over_what_is_kept(home: Path) -> None:
    set_already = {"UV_INDEX_IN_USERNAME": "robot", "UV_INDEX_IN_PASSWORD": "own"}
    settings = stored(
        home,
        {"HOME": str(home)},
        uv_default_index="https://robot:own@main.example.com/simple",
        uv_index=(f"in={INTERNAL}",),
        index_credentials=set_already,
    )
    assert settings.index_credentials == set_already
    assert settings.uv_default_index == "https://robot:own@main.example.com/simple"
    assert settings.notes == ()


def test_another_users_login_is_not_taken(home: Path) -> None:
    named = {"UV_INDEX_IN_USERNAME": "somebody-else"}
    settings = stored(
        home, {"HOME": str(home)}, uv_index=(f"in={INTERNAL}",), index_credentials=named
    )
    assert settings.index_credentials == named


def test_the_default_entry_is_for_no_index(home: Path) -> None:
    settings = stored(home, {"HOME": str(home)}, uv_index=("x=https://x.example.com/simple",))
    assert settings.index_credentials == {}


def test_without_a_place_to_look_nothing_is_read(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, uv_index=(f"in={INTERNAL}",))
    assert with_stored_logins(settings, {"HOME": str(tmp_path)}) is settings
    assert netrc_path({}) is None


def test_a_keyring_is_asked_for_the_url_and_then_the_host(
    tmp_path: Path, asked: list[tuple[str, ...]]
) -> None:
    settings = stored(
        tmp_path,
        {},
        uv_keyring_provider="subprocess",
        uv_index=("in=https://robot@in.example.com/simple",),
    )
    assert asked == [
        ("keyring", "get", INTERNAL, "robot"),
        ("keyring", "get", "in.example.com", "robot"),
    ]
    assert settings.index_credentials["UV_INDEX_IN_PASSWORD"] == "planted-keyring"


def test_without_a_user_a_keyring_is_asked_where_the_project_says_so(
    tmp_path: Path, asked: list[tuple[str, ...]]
) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.uv]\nkeyring-provider = "subprocess"\n'
        f'[[tool.uv.index]]\nname = "in"\nurl = "{INTERNAL}"\nauthenticate = "always"\n'
        f'[[tool.uv.index]]\nname = "other"\nurl = "{MAIN}"\n'
    )
    settings = stored(tmp_path, {})
    assert settings.index_credentials == {
        "UV_INDEX_IN_USERNAME": "kept",
        "UV_INDEX_IN_PASSWORD": "planted-creds",
    }
    assert not any("main.example.com" in word for command in asked for word in command)


def test_uvs_own_store(tmp_path: Path, asked: list[tuple[str, ...]]) -> None:
    (tmp_path / "pyproject.toml").write_text(
        f'[[tool.uv.index]]\nname = "in"\nurl = "{INTERNAL}"\nauthenticate = "always"\n'
    )
    settings = stored(tmp_path, {}, uv_keyring_provider="native")
    assert settings.index_credentials == {
        "UV_INDEX_IN_USERNAME": "__token__",
        "UV_INDEX_IN_PASSWORD": "planted-token",
    }


def test_a_keyring_that_is_not_there_is_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(arguments: Sequence[str], **options: Any) -> process.Completed:
        raise FileNotFoundError(2, "none", arguments[0])

    monkeypatch.setattr(process, "run", run)
    indexes = tuple(f"{name}=https://robot@{name}.example.com/simple" for name in ("a", "b"))
    settings = stored(tmp_path, {}, uv_keyring_provider="subprocess", uv_index=indexes)
    assert settings.index_credentials == {}
    assert settings.notes == ("UV_KEYRING_PROVIDER is subprocess, and there is no program keyring",)


def test_a_netrc_that_cannot_be_read_is_not_repeated(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine in.example.com\nsecret-word\n")
    with pytest.raises(SettingsError) as caught:
        stored(tmp_path, {"HOME": str(tmp_path)}, uv_index=(f"in={INTERNAL}",))
    assert ".netrc, line " in str(caught.value)
    assert "secret-word" not in str(caught.value)


def test_it_reaches_buildx_as_a_secret_alone(home: Path) -> None:
    settings = stored(
        home, {"HOME": str(home)}, uv_default_index=MAIN, uv_index=(f"in={INTERNAL}",)
    )
    definition = define(
        settings,
        image="a",
        version="1",
        revision=Revision(),
        base_images={},
        builder=None,
        output="type=image",
    )
    passwords = ("planted-netrc", "p%40ss%2Fw%3Ard", "p@ss/w:rd")
    handed_on = secret_environment(settings)[UV_ENVIRONMENT_VARIABLE]
    assert "planted-netrc" in handed_on
    assert "p%40ss%2Fw%3Ard" in handed_on
    shown = "\n".join(
        [
            *definition.arguments(),
            json.dumps(definition.bake()),
            json.dumps(masked(settings)),
            repr(settings),
            *settings.notes,
            redactor(settings)(" ".join(passwords)),
        ]
    )
    assert [one for one in passwords if one in shown] == []


PROJECT_INDEXES = """
[[tool.uv.index]]
name = "in-house"
url = "https://robot:planted%2Fone@in.example.com/simple"

[[tool.uv.index]]
name = "token"
url = "https://planted-two@token.example.com/simple"

[[tool.uv.index]]
url = "https://robot:planted-three@nameless.example.com/simple"

[[tool.uv.index]]
url = "https://robot:planted-four@main.example.com/simple"
default = true
"""


def test_logins_in_the_projects_own_urls_reach_the_build_as_its_secret(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(PROJECT_INDEXES)
    settings = stored(tmp_path, {})
    assert settings.index_credentials == {
        "UV_INDEX_IN_HOUSE_USERNAME": "robot",
        "UV_INDEX_IN_HOUSE_PASSWORD": "planted/one",
        "UV_INDEX_TOKEN_USERNAME": "planted-two",
    }
    assert settings.uv_index == ("https://robot:planted-three@nameless.example.com/simple",)
    assert settings.uv_default_index == "https://robot:planted-four@main.example.com/simple"
    clean = redactor(settings)
    for secret in ("planted/one", "planted%2Fone", "planted-two", "planted-three", "planted-four"):
        assert clean(f"no {secret}") == "no ***"


def test_what_is_set_wins_over_the_projects_own_urls(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(PROJECT_INDEXES)
    own = {"UV_INDEX_IN_HOUSE_USERNAME": "me", "UV_INDEX_IN_HOUSE_PASSWORD": "mine"}
    settings = stored(tmp_path, {}, index_credentials=own, uv_default_index=MAIN)
    assert own.items() <= settings.index_credentials.items()
    assert settings.uv_default_index == MAIN


@pytest.mark.parametrize(
    ("user", "asks"),
    [
        ("oauth2accesstoken", True),
        ("VssSessionToken", True),
        ("first.last2@company.example", True),
        ("glpat-planted0123456789", False),
        ("dckr_pat_planted/with+signs", False),
    ],
)
def test_no_keyring_is_asked_about_a_token_in_a_users_place(
    tmp_path: Path, asked: list[tuple[str, ...]], user: str, asks: bool
) -> None:
    """It would be an argument, which every user of the machine can read."""
    index = f"in=https://{user.replace('@', '%40').replace('/', '%2F')}@in.example.com/simple"
    stored(tmp_path, {}, uv_keyring_provider="subprocess", uv_index=(index,))
    assert bool(asked) is asks
    assert not any("planted" in word for command in asked for word in command)
