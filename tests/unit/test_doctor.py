"""How the doctor examines: what it reads on this machine, in which time, and what it repairs."""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockyard.caches.directory import CacheDirectory
from dockyard.doctor import examination
from dockyard.doctor.ask_engine import engine_skew
from dockyard.doctor.ask_network import find_credentials, image_needs, indexes_of, push_host
from dockyard.doctor.display import finding_lines, repair_lines, summary_line
from dockyard.doctor.engine_findings import EngineAnswer
from dockyard.doctor.examination import TOPICS, Examination, Subject, examine, load_subject
from dockyard.doctor.findings import Finding, Repair, Verdict, note, ok, problem
from dockyard.doctor.network_findings import HostAnswer
from dockyard.doctor.read_environment import loopback_hosts, read_authorities, read_proxies
from dockyard.doctor.read_files import read_cache_folder, read_leftovers
from dockyard.doctor.repairs import repair
from dockyard.errors import EngineError, SettingsError
from dockyard.settings import Settings
from support.layouts import fill_layout, random_bytes
from support.settings import make_settings

NOBODY = EngineAnswer({})
# Larger than the largest process number of Linux, 2 to the power of 22.
GONE = 2**22 + 1


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path, cache_dir=tmp_path / ".dockyard/cache")


# -------------------- examining

Topics = dict[str, Callable[[Subject], tuple[Finding, ...]]]


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch) -> Topics:
    made: Topics = {}
    monkeypatch.setattr(examination, "TOPICS", made)
    return made


def test_topics_are_examined_at_the_same_time_and_none_is_waited_for(
    topics: Topics, settings: Settings
) -> None:
    meeting, never = threading.Barrier(2, timeout=5), threading.Event()

    def meet(subject: Subject) -> tuple[Finding, ...]:
        meeting.wait()
        return (ok("meets", "met"),)

    def hang(subject: Subject) -> tuple[Finding, ...]:
        never.wait()
        return ()

    topics |= {"one": meet, "hangs": hang, "other": meet}
    started = time.monotonic()
    found = examine(Subject(settings, {}), seconds=0.5)
    assert time.monotonic() - started < 4
    never.set()
    assert [(one.topic, one.verdict) for one in found.findings] == [
        ("meets", Verdict.OK),
        ("hangs", Verdict.UNKNOWN),
        ("meets", Verdict.OK),
    ]


def test_a_topic_that_fails_takes_no_other_along(topics: Topics, settings: Settings) -> None:
    def raises(subject: Subject) -> tuple[Finding, ...]:
        raise EngineError("it is down", hint="start it")

    def is_wrong(subject: Subject) -> tuple[Finding, ...]:
        raise KeyError("x")

    topics |= {"a": raises, "b": is_wrong, "c": lambda subject: (ok("c", "well"),)}
    first, second, third = examine(Subject(settings, {})).findings
    assert (first.topic, first.summary, first.fix) == ("a", "it is down", "start it")
    assert second.verdict is Verdict.PROBLEM
    assert "KeyError" in second.evidence
    assert third.verdict is Verdict.OK


def test_no_secret_is_shown(topics: Topics, settings: Settings) -> None:
    secret = "hush-and-never-tell"
    with_secret = make_settings(settings.root, index_credentials={"UV_INDEX_A_PASSWORD": secret})
    topics["a"] = lambda subject: (problem("a", secret, f"x {secret}", f"say {secret}"),)
    found = examine(Subject(with_secret, {}))
    assert secret not in json.dumps([one.as_json() for one in found.findings])


def test_only_what_is_asked_for(settings: Settings) -> None:
    assert {one.topic for one in examine(Subject(settings, {}), ["settings"]).findings} == {
        "settings"
    }
    with pytest.raises(SettingsError, match="no topic weather"):
        examine(Subject(settings, {}), ["weather"])


def test_a_fact_is_found_out_once(settings: Settings) -> None:
    subject, calls = Subject(settings, {}), []

    def find() -> int:
        calls.append(1)
        time.sleep(0.05)
        return 7

    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda: answers.append(subject.once("x", find))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [7] * 4
    assert calls == [1]


def test_every_topic_is_in_the_help() -> None:
    from dockyard.doctor_task import doctor

    said = doctor.help["only"].partition(": ")[2].split(", ")
    assert said == list(TOPICS)


# -------------------- outside of a project, and with bad settings


def test_outside_of_a_project(tmp_path: Path) -> None:
    subject = load_subject(tmp_path, {"DOCKER_HOST": "tcp://h:1"})
    assert subject.outside
    found = examine(subject, ["settings", "lock", "dockerfile", "context", "state"])
    verdicts = {one.topic: one.verdict for one in found.findings}
    assert verdicts.pop("settings") is Verdict.PROBLEM
    assert set(verdicts.values()) == {Verdict.UNKNOWN}


def test_bad_settings_are_findings_and_the_others_are_in_force(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.dockyard]\nbuilder-name = "team"\n')
    environment = {"DOCKYARD_LAYERS": "many", "DOCKYARD_NO_SUCH": "1", "DOCKYARD_IMAGE": "shop"}
    subject = load_subject(tmp_path, environment)
    found = examine(subject, ["settings"]).findings
    assert [one.verdict for one in found] == [Verdict.PROBLEM] * 2
    assert {one.evidence for one in found} == {"environment DOCKYARD_LAYERS", "environment"}
    assert (subject.settings.image, subject.settings.builder_name) == ("shop", "team")
    (tmp_path / "pyproject.toml").write_text("[tool.dockyard]\nlayers = 0\n")
    subject = load_subject(tmp_path, {})
    assert not subject.outside
    assert subject.settings.layers > 0
    assert subject.settings.root == tmp_path


# -------------------- what is read


def test_cache_folder(settings: Settings) -> None:
    assert not read_cache_folder(settings).exists
    fill_layout(settings.cache_dir, "cache-x", [random_bytes(10_000, "a")])
    found = read_cache_folder(settings)
    assert found.exists
    assert found.refused == ()
    assert found.bytes
    assert found.bytes > 10_000
    (settings.cache_dir / "index.json").write_text("{")
    assert read_cache_folder(settings).damaged


def test_a_cache_folder_below_a_file(settings: Settings) -> None:
    (settings.root / "file").write_text("")
    found = read_cache_folder(make_settings(settings.root, cache_dir=settings.root / "file/cache"))
    assert found.refused == (str(settings.root / "file"),)
    assert not found.ours


def test_a_closed_cache_folder_is_found_and_opened(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_layout(settings.cache_dir, "cache-x", [b"a"])
    blobs = settings.cache_dir / "blobs/sha256"
    blobs.chmod(0o555)

    def access(path: Path, mode: int) -> bool:
        # Root may do everything: only the mode tells.
        return not mode & os.W_OK or bool(path.stat().st_mode & stat.S_IWUSR)

    monkeypatch.setattr(os, "access", access)
    found = read_cache_folder(settings)
    assert found.refused == (str(blobs),)
    assert found.ours
    finding = Finding("", "", verdict=Verdict.PROBLEM, repair=Repair.CACHE_PERMISSIONS)
    (would,) = repair([finding], settings, {}, dry_run=True)
    assert would.done == (f"chmod 0555 → 0755 {blobs}",)
    assert stat.S_IMODE(blobs.stat().st_mode) == 0o555
    (done,) = repair([finding], settings, {}, dry_run=False)
    assert done.done == would.done
    assert read_cache_folder(settings).refused == ()


def stale(settings: Settings) -> list[Path]:
    """Leave what a killed build and a killed command leave."""
    snapshot = settings.cache_dir / "snapshots/4711-abcd"
    snapshot.mkdir(parents=True)
    (snapshot / "lock").write_text("4711")
    temporary = settings.root / f".dockyard/.state.json.{GONE}"
    temporary.write_text("{")
    return [snapshot, temporary]


def test_leftovers_are_found_and_removed_and_nothing_else(settings: Settings) -> None:
    left = stale(settings)
    directory = CacheDirectory(settings.cache_dir, settings.cache_budget)
    mine = settings.root / f".dockyard/.state.json.{os.getpid()}"
    mine.write_text("{")
    with directory.open(()) as running:
        # Opening removes stale snapshots by itself: leave one again.
        assert not left[0].exists()
        left[0].mkdir()
        found = read_leftovers(settings)
        assert found.snapshots == (str(left[0]),)
        assert found.temporary == (str(left[1]),)
        assert found.held_by is None
        finding = Finding("", "", verdict=Verdict.NOTE, repair=Repair.LEFTOVERS)
        (would,) = repair([finding], settings, {}, dry_run=True)
        assert would.done == tuple(f"remove {path}" for path in left)
        assert all(path.exists() for path in left)
        (done,) = repair([finding], settings, {}, dry_run=False)
        assert done.done == tuple(f"removed {path}" for path in left)
        assert not any(path.exists() for path in left)
        assert running.root.is_dir()
        assert mine.exists()


def test_a_lock_that_is_held_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from dockyard.doctor import read_files

    monkeypatch.setattr(read_files, "LOCK_SECONDS", 0.1)
    directory = CacheDirectory(settings.cache_dir, settings.cache_budget)
    with directory.locked():
        found = read_leftovers(settings)
    assert found.held_by == str(os.getpid())
    assert found.held_seconds > 0.1
    assert read_leftovers(settings).held_by is None


def test_unreadable_records_are_set_aside(settings: Settings) -> None:
    folder = settings.root / ".dockyard/builds"
    folder.mkdir(parents=True)
    broken = folder / "20260101T000000.000Z-1.json"
    broken.write_text("{")
    newer = folder / "20260101T000000.000Z-2.json"
    newer.write_text('{"schema": 99}')
    found = read_leftovers(settings)
    assert [path for path, _ in found.unreadable] == [str(broken)]
    finding = Finding("", "", verdict=Verdict.NOTE, repair=Repair.RECORDS)
    (would,) = repair([finding], settings, {}, dry_run=True)
    assert would.done == (f"set aside {broken}",)
    assert broken.exists()
    (done,) = repair([finding], settings, {}, dry_run=False)
    assert done.done == (f"moved to {folder / 'unreadable' / broken.name}",)
    assert [one.name for one in folder.glob("*.json")] == [newer.name]
    assert read_leftovers(settings).unreadable == ()


def test_a_repair_that_fails_is_told_and_hinders_no_other(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dockyard.doctor import repairs

    def fails(*_: object) -> list[str]:
        raise EngineError("it is down")

    monkeypatch.setattr(
        repairs, "REPAIRS", {Repair.BUILDER: fails, Repair.RECORDS: lambda *_: ["renamed it"]}
    )
    wanted = [note("", "", repair=Repair.RECORDS), problem("", "", repair=Repair.BUILDER)]
    done = repair([*wanted, *wanted], settings, {}, dry_run=False)
    assert [(one.repair, one.done, one.error) for one in done] == [
        (Repair.BUILDER, (), "it is down"),
        (Repair.RECORDS, ("renamed it",), None),
    ]
    lines = repair_lines(done, dry_run=False)
    assert lines == ["✗ builder was not repaired: it is down", "did records: renamed it"]


def test_the_engine_s_clock() -> None:
    answer = EngineAnswer({"SystemTime": "2026-01-01T00:00:10.123456789Z"}, asked=1767225600.0)
    skew = engine_skew(answer)
    assert skew == pytest.approx(-10.123456)
    assert engine_skew(NOBODY) is None


def test_image_needs_and_push_host(tmp_path: Path) -> None:
    settings = make_settings(
        tmp_path,
        python_image="dockyard.local/python:3.13",
        uv_image="docker.io/team/uv:1",
        image_mirrors=("mirror:5000",),
        registry="docker.io/team",
    )
    local, mirrored = image_needs(settings)
    assert local.hosts == ()
    assert mirrored.hosts == ("mirror:5000", "registry-1.docker.io")
    assert push_host(settings) == "registry-1.docker.io"


def test_indexes(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[[tool.uv.index]]\nname = "internal"\nurl = "https://me:hush@in.example.com/simple"\n'
        '[[tool.uv.index]]\nname = "main"\nurl = "https://main.example.com/simple/"\n'
        "default = true\n"
    )
    settings = make_settings(tmp_path, uv_index=("extra=https://x.example.com/simple?a=b",))
    found = indexes_of(settings)
    assert [(one.name, one.bare) for one in found] == [
        ("main", "https://main.example.com/simple"),
        ("extra", "https://x.example.com/simple?a=b"),
        ("internal", "https://in.example.com/simple"),
    ]
    own = make_settings(tmp_path, uv_default_index="https://mine.example.com/simple")
    assert indexes_of(own)[0].bare == "https://mine.example.com/simple"


def test_credentials_say_where_and_never_which(tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.mkdir()
    secret = "bWU6aHVzaC1hbmQtbmV2ZXItdGVsbA=="
    auths = {"auths": {"registry.example.com": {"auth": secret}}}
    (docker / "config.json").write_text(json.dumps(auths))
    environment = {"DOCKER_CONFIG": str(docker)}
    settings = make_settings(
        tmp_path,
        registry="registry.example.com/team",
        uv_index=("in=https://in.example.com/simple", "open=https://open.example.com/simple"),
        index_credentials={"UV_INDEX_IN_PASSWORD": "hush-and-never-tell"},
    )
    answers = {
        "in": HostAnswer("in.example.com", "index", 401),
        "open": HostAnswer("open.example.com", "index", 200),
        "": HostAnswer("pypi.org", "index", 401),
    }
    listed = tuple((one, answers[one.name]) for one in indexes_of(settings))
    registry = {"registry.example.com": HostAnswer("registry.example.com", "registry", 401)}
    found = find_credentials(settings, environment, registry, listed)
    assert [(one.what, one.place is not None, one.needed) for one in found] == [
        ("registry registry.example.com", True, True),
        ("index https://pypi.org/simple", False, True),
        ("index in", True, True),
    ]
    assert "hush" not in repr(found)
    assert secret not in repr(found)
    (docker / "config.json").write_text("{")
    broken = find_credentials(settings, environment, registry, ())
    assert "line 1 is not JSON" in broken[0].error


def test_a_login_that_netrc_keeps_is_one(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, uv_index=("in=https://in.example.com/simple",))
    listed = tuple(
        (one, HostAnswer("in.example.com", "index", 401))
        for one in indexes_of(settings)
        if one.name
    )
    environment = {"NETRC": str(tmp_path / "netrc")}
    [missing] = find_credentials(settings, environment, {}, listed)
    assert (missing.place, missing.error) == (None, "")
    (tmp_path / "netrc").write_text("machine in.example.com login me password hush-and-never-tell")
    [found] = find_credentials(settings, environment, {}, listed)
    assert found.place == "netrc"
    (tmp_path / "netrc").write_text("machine in.example.com hush-and-never-tell")
    [broken] = find_credentials(settings, environment, {}, listed)
    assert "cannot be read as netrc" in broken.error
    assert "hush" not in repr((found, broken))


def test_proxies_of_all_places(tmp_path: Path) -> None:
    proxies = {"proxies": {"default": {"httpsProxy": "http://p:1"}}}
    (tmp_path / "config.json").write_text(json.dumps(proxies))
    environment = {
        "DOCKER_CONFIG": str(tmp_path),
        "https_proxy": "http://p:1",
        "HTTP_PROXY": "http://p:1",
        "http_proxy": "http://q:1",
    }
    engine = EngineAnswer({"ServerVersion": "28", "HttpsProxy": "http://p:1"})
    found = read_proxies(environment, engine, None)
    assert found.client == {"HTTP_PROXY": "http://p:1", "HTTPS_PROXY": "http://p:1"}
    assert found.engine == found.steps == {"HTTPS_PROXY": "http://p:1"}
    assert found.disagree == ("HTTP_PROXY",)
    assert found.builder is None
    nobody = read_proxies({"DOCKER_CONFIG": str(tmp_path / "none")}, NOBODY, None)
    assert (nobody.engine, nobody.steps) == (None, {})


def test_loopback_hosts(tmp_path: Path) -> None:
    settings = make_settings(
        tmp_path, registry="127.0.0.1:5000/team", image_mirrors=("ghcr.io=localhost:5001/x",)
    )
    found = loopback_hosts(settings, ["http://127.0.0.2:8/simple", "https://pypi.org/simple"])
    assert found == ("127.0.0.2", "127.0.0.1", "localhost")


def test_files_of_certificates(tmp_path: Path) -> None:
    import certifi

    bundle = certifi.where()
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("no certificate")
    environment = {
        "SSL_CERT_FILE": str(tmp_path / "gone.pem"),
        "REQUESTS_CA_BUNDLE": str(garbage),
        "CURL_CA_BUNDLE": str(tmp_path),
    }
    settings = make_settings(tmp_path, ca_file=Path(bundle))
    found = {one.variable: one for one in read_authorities(settings, environment, None)}
    own = found["DOCKYARD_CA_FILE"]
    assert own.error is None
    assert own.certificates
    assert len(own.expires) <= own.certificates
    assert found["SSL_CERT_FILE"].error == "there is no such file"
    assert found["REQUESTS_CA_BUNDLE"].error == "it holds no PEM certificate"
    assert found["CURL_CA_BUNDLE"].error == "it is a folder, not a file"


# -------------------- what is shown


def test_lines() -> None:
    findings = (
        ok("disk", "room", "5 GB"),
        problem("engine", "it is\n\x1b[31mdown", "said", "start it"),
    )
    assert finding_lines(findings) == [
        "✓ disk    room (5 GB)",
        "✗ engine  it is down",
        "    said",
        "    → start it",
    ]
    assert summary_line(Examination(findings, 1.5)) == "1 problem, 1 in order (1.50 s)"
    assert repair_lines((), dry_run=False) == ["nothing that can be repaired without you"]


def test_json_has_what_the_lines_have() -> None:
    values: dict[str, Any] = problem("a", "b", "c", "d", Repair.BUILDER).as_json()
    assert json.loads(json.dumps(values)) == {
        "topic": "a",
        "verdict": "problem",
        "summary": "b",
        "evidence": "c",
        "fix": "d",
        "repair": "builder",
    }
