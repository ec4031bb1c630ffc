"""Errors that nobody foresaw are searched for the secrets that a command has met."""

from __future__ import annotations

from pathlib import Path

import pytest
from invoke.exceptions import Exit

from dockyard import known_secrets
from dockyard.boundary import report_interruption, reported
from dockyard.errors import DockyardError, Problem
from dockyard.settings import load_settings
from dockyard.stored_logins import with_stored_logins

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
    assert (
        "`invoke bench --history https://***@git.example/a.git` again" in capsys.readouterr().err
    )
