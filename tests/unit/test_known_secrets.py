"""Errors that nobody foresaw are searched for the secrets that a command has met."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from invoke.exceptions import Exit

from dockyard import known_secrets, process
from dockyard.boundary import report_interruption, reported
from dockyard.caches import information
from dockyard.caches.prune import existing_branches
from dockyard.doctor.engine_findings import EngineAnswer, engine_findings
from dockyard.errors import DockyardError, Problem, SettingsError
from dockyard.settings import load_settings
from dockyard.stored_logins import with_stored_logins
from support.settings import make_settings

PLANTED = "planted/with+signs"
ENVIRONMENT = {"UV_INDEX_IN_USERNAME": "me", "UV_INDEX_IN_PASSWORD": PLANTED}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1"\n')
    monkeypatch.chdir(tmp_path)
    # It asks uname.
    monkeypatch.setattr("platform.platform", lambda: "Linux")
    return tmp_path


def outputs(project: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What was said, and written into the log of a crash."""
    said = capsys.readouterr()
    logs = [one.read_text() for one in (project / ".dockyard").glob("crash-*.log")]
    return "\n".join([said.out, said.err, *logs])


def test_a_bug_does_not_tell_the_secrets_of_the_settings(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @reported
    def task() -> None:
        settings = load_settings(project, ENVIRONMENT, {})
        raise KeyError(f"{settings.package_environment()} planted%2Fwith%2Bsigns")

    with pytest.raises(Exit) as ended:
        task()
    text = outputs(project, capsys)
    assert ended.value.code == 70
    assert "KeyError" in text
    assert "UV_INDEX_IN_PASSWORD': '***'" in text
    assert "planted" not in text


def test_a_bug_does_not_tell_a_login_in_a_url_that_nobody_had_met(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @reported
    def task() -> None:
        raise ValueError("https://me:planted@host/simple is odd")

    with pytest.raises(Exit):
        task()
    text = outputs(project, capsys)
    assert "https://***@host/simple is odd" in text
    assert text.count("planted") == text.count('raise ValueError("https://me:planted@')


def test_an_error_does_not_tell_a_login_that_this_machine_keeps(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    netrc = project / "netrc"
    netrc.write_text(f"machine in.example login me password {PLANTED}\n")

    @reported
    def task() -> None:
        index = {"UV_INDEX": "in=https://in.example/simple", "NETRC": str(netrc)}
        with_stored_logins(load_settings(project, index, {}), index)
        raise DockyardError(Problem(f"the server said: no {PLANTED}", hint=f"not {PLANTED}"))

    with pytest.raises(Exit):
        task()
    assert "error: the server said: no ***\n  → not ***" in outputs(project, capsys)


def test_a_command_does_not_know_what_the_one_before_had_met() -> None:
    known_secrets.forget()
    known_secrets.meet(lambda: ("first",))
    assert known_secrets.clean("first and second") == "*** and second"
    known_secrets.forget()
    assert known_secrets.clean("first and second") == "first and second"


def test_an_interrupted_command_does_not_repeat_a_login_that_was_typed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["invoke", "bench", "--history", "https://me:planted@git.example/a.git"]
    monkeypatch.setattr("sys.argv", words)
    report_interruption()
    assert "`invoke bench --history https://***@git.example/a.git` again" in capsys.readouterr().err


def test_a_piece_of_a_password_that_a_url_was_broken_by_is_not_told(project: Path) -> None:
    """Whoever reads the URL takes what comes before the “/” for a port, and says so."""
    host = {"DOCKER_HOST": "tcp://me:planted-piece/rest-of-it@engine:2375"}
    load_settings(project, host, {})
    assert known_secrets.clean('invalid port ":planted-piece"') == 'invalid port ":***"'


@pytest.mark.parametrize("name", ["DOCKYARD_IMAGE_MIRRORS", "DOCKYARD_REGISTRY", "DOCKYARD_IMAGE"])
def test_what_may_be_a_login_in_a_malformed_value_is_not_told(project: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="the value is not") as caught:
        load_settings(project, {name: "me:planted/+@mirror.example"}, {})
    assert "planted" not in str(caught.value)


def test_doctor_does_not_tell_a_login_in_the_engines_address() -> None:
    address = "tcp://me:planted1/one@engine:2375"
    said = f'parse "{address}": invalid port ":planted1" after host'
    [found] = engine_findings(EngineAnswer({}, said, address=address))
    assert "planted" not in str(found)


def test_git_gets_the_login_of_origin_by_its_environment(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """git hands a URL on to its helper as an argument, login and all."""
    ran: list[tuple[tuple[str, ...], dict[str, str]]] = []

    def run(arguments: Sequence[str], **options: Any) -> process.Completed:
        ran.append((tuple(arguments), dict(options.get("environment") or {})))
        if "--get-url" in arguments:
            said = "https://me:planted@git.example/a.git\n"
            return process.Completed(tuple(arguments), 0, said, "")
        if len(ran) == 2:
            return process.Completed(tuple(arguments), 0, "0123\trefs/heads/main\n", "")
        return process.Completed(tuple(arguments), 128, "", "fatal: no https://me:planted@git\n")

    monkeypatch.setattr(process, "run", run)
    settings = make_settings(project)
    assert existing_branches(settings) == (frozenset({"main"}), None)
    assert ran[1][0] == ("git", "ls-remote", "--heads", "https://git.example/a.git")
    assert "Authorization: Basic bWU6cGxhbnRlZA==" in ran[1][1].values()
    assert existing_branches(settings) == (None, "fatal: no https://git")


def test_the_options_of_a_cache_are_shown_without_secrets(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(information, "builder_usage", lambda name: None)
    monkeypatch.setattr(information, "dedicated_builder", lambda settings: None)
    backend = "s3:bucket=builds,secret_access_key=planted/+"
    found = information.gather_caches(make_settings(project, cache_backends=(backend,)), "x", {})
    shown = json.dumps(found.as_json())
    assert "bucket=builds,secret_access_key=***" in shown
    assert "planted" not in shown
