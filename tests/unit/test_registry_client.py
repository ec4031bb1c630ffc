"""What needs no registry: logins read, challenges answered, failures put in words, progress."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import socket
import ssl
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
import requests
import urllib3

from dockyard.caches.credentials import Credential, config_path, find_credential, stored_credential
from dockyard.caches.parallel import in_parallel
from dockyard.caches.registry_client import RegistryClient, split_repository
from dockyard.caches.registry_errors import (
    HostSecurity,
    RegistryError,
    failure_of_exception,
    failure_of_response,
    is_loopback,
    retry_after_seconds,
)
from dockyard.caches.registry_tokens import Challenge, parse_challenge, token_request
from dockyard.caches.registry_upload import stored_bytes
from dockyard.display.progress import LineWriter
from dockyard.display.transfer import BarProgress, LineProgress, choose_progress
from dockyard.errors import CacheError, NetworkError

SECRET = "s3cret-pass-word"
HOST = HostSecurity("registry.example.com", insecure=False, ca_file=None)


def encoded(user: str, secret: str) -> str:
    return base64.b64encode(f"{user}:{secret}".encode()).decode()


# -------------------- logins


@pytest.mark.parametrize(
    ("key", "host"),
    [
        ("ghcr.io", "ghcr.io"),
        ("https://ghcr.io", "ghcr.io"),
        ("https://ghcr.io/v2/", "ghcr.io"),
        ("localhost:5000", "localhost:5000"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("https://index.docker.io/v1/", "registry-1.docker.io"),
    ],
)
def test_a_login_is_found_under_every_form_of_its_host(key: str, host: str) -> None:
    config = {
        "auths": {"other.io": {"auth": encoded("x", "y")}, key: {"auth": encoded("me", SECRET)}}
    }
    assert stored_credential(config, host) == Credential("me", SECRET)


def test_a_password_may_hold_colons_and_a_token_replaces_it() -> None:
    config: dict[str, Any] = {"auths": {"a.io": {"auth": encoded("me", "a:b")}, "b.io": {}}}
    assert stored_credential(config, "a.io") == Credential("me", "a:b")
    assert stored_credential(config, "b.io") is None
    config["auths"]["a.io"]["identitytoken"] = "refresh"
    assert stored_credential(config, "a.io") == Credential("<token>", "refresh", is_token=True)


def test_a_credential_never_shows_its_secret() -> None:
    credential = Credential("me", SECRET)
    assert SECRET not in repr(credential)
    assert encoded("me", SECRET) not in repr(credential)
    assert credential.basic() == f"Basic {encoded('me', SECRET)}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"auths": {"a.io": {"auth": "%%' + SECRET + '"}}}', "not base64"),
        (
            '{"auths": {"a.io": {"auth": "' + base64.b64encode(SECRET.encode()).decode() + '"}}}',
            "not user:password",
        ),
        ('{"auths": {"a.io": {"auth": "' + SECRET + '",}}', "line 1 is not JSON"),
        ("[]", "no JSON object"),
    ],
)
def test_a_damaged_configuration_is_told_without_its_content(
    tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(NetworkError, match=words) as caught:
        find_credential("a.io", {"DOCKER_CONFIG": str(tmp_path)})
    assert str(tmp_path) in str(caught.value)
    assert SECRET not in str(caught.value)
    assert base64.b64encode(SECRET.encode()).decode() not in str(caught.value)


def test_nobody_logged_in(tmp_path: Path) -> None:
    assert find_credential("a.io", {"DOCKER_CONFIG": str(tmp_path)}) is None
    assert config_path({}) == Path.home() / ".docker/config.json"


def test_the_environments_logins_come_first(tmp_path: Path) -> None:
    file = {"auths": {"a.io": {"auth": encoded("file", "b")}, "b.io": {"auth": encoded("x", "y")}}}
    (tmp_path / "config.json").write_text(json.dumps(file))
    given = json.dumps({"auths": {"a.io": {"auth": encoded("environment", SECRET)}}})
    environment = {"DOCKER_CONFIG": str(tmp_path), "DOCKER_AUTH_CONFIG": given}
    assert find_credential("a.io", environment) == Credential("environment", SECRET)
    assert find_credential("b.io", environment) == Credential("x", "y")
    with pytest.raises(NetworkError, match="DOCKER_AUTH_CONFIG") as caught:
        find_credential("a.io", {**environment, "DOCKER_AUTH_CONFIG": given + SECRET})
    assert SECRET not in str(caught.value)


# -------------------- challenges


def test_challenges() -> None:
    header = 'Bearer realm="https://auth.io/token",service="a, b",scope="repository:x:pull,push"'
    assert parse_challenge(header) == Challenge(
        "bearer", "https://auth.io/token", "a, b", "repository:x:pull,push"
    )
    assert parse_challenge('Basic realm="x"') == Challenge("basic", "x")
    for useless in ("", "Negotiate", 'Bearer realm="file:///etc"', "Bearer"):
        assert parse_challenge(useless) is None


def test_token_requests() -> None:
    challenge = Challenge("bearer", "https://a.io/token?x=1", "reg", "repository:b:pull")
    asked = token_request(challenge, "repository:a:pull,push", Credential("me", SECRET))
    assert asked.url == (
        "https://a.io/token?x=1&service=reg&scope=repository%3Aa%3Apull%2Cpush"
        "&scope=repository%3Ab%3Apull"
    )
    assert (asked.method, asked.authorization) == ("GET", f"Basic {encoded('me', SECRET)}")
    assert token_request(challenge, "s", None).authorization is None
    refreshed = token_request(challenge, "s", Credential("<token>", SECRET, is_token=True))
    assert refreshed.method == "POST"
    assert refreshed.body is not None
    assert b"grant_type=refresh_token" in refreshed.body
    assert SECRET.encode() in refreshed.body
    assert SECRET not in repr(refreshed)


# -------------------- failures


def response(status: int, content: Any = None, **headers: str) -> requests.Response:
    made = requests.Response()
    made.status_code = status
    made.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    made.raw = urllib3.HTTPResponse(io.BytesIO(body), preload_content=False)
    return made


def errors(code: str, message: str, detail: Any = None) -> dict[str, Any]:
    return {"errors": [{"code": code, "message": message, "detail": detail}]}


@pytest.mark.parametrize(
    ("answer", "words", "hint", "passing"),
    [
        (response(401), "wants a login", "docker login registry.example.com", False),
        (response(403, errors("DENIED", "no")), "DENIED no", "docker login", False),
        (response(404), "does not have it", "DOCKYARD_REGISTRY", False),
        (response(429, Retry_After="7"), "wait for 7 s", "docker login", True),
        (response(500, b"<html>"), "500 Internal Server Error", "registry's log", True),
        (response(507), "has no space", "cache.prune --registry", False),
        (
            response(500, errors("UNKNOWN", "unknown error", {"Err": "no space left on device"})),
            "has no space",
            "cache.prune --registry",
            False,
        ),
        (response(418, errors("A\x1b[31m", "b\nc")), "418 I'm a Teapot: A b c", "OCI", False),
    ],
)
def test_answers_in_words(answer: requests.Response, words: str, hint: str, passing: bool) -> None:
    failure = failure_of_response(answer, HOST)
    (problem,) = failure.problems
    assert words in problem.message
    assert hint in (problem.hint or "")
    assert failure.passing is passing


def test_a_registry_that_echoes_the_password_is_not_quoted() -> None:
    answer = response(403, errors("DENIED", f"{SECRET} is wrong"))
    assert SECRET not in str(failure_of_response(answer, HOST, SECRET))


def _caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def unknown_name() -> Exception:
    connection = urllib3.connection.HTTPConnection("h")
    return urllib3.exceptions.NameResolutionError("h", connection, socket.gaierror(-2, "unknown"))


def certificate_error() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "x")
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("error", "words", "hint", "passing"),
    [
        (
            _caused(requests.ConnectionError("u?token=x"), ConnectionRefusedError(111, "refused")),
            "refuses the connection",
            "DOCKYARD_REGISTRY",
            True,
        ),
        (
            _caused(requests.exceptions.SSLError("u"), certificate_error()),
            "not trusted: self-signed certificate",
            "DOCKYARD_CA_FILE",
            False,
        ),
        (requests.ReadTimeout("u?token=x"), "does not answer in time", "try again", True),
        (requests.exceptions.ProxyError("http://me:token=x@proxy"), "proxy", "NO_PROXY", False),
        (
            requests.ConnectionError(unknown_name()),
            "its name is unknown",
            "DOCKYARD_REGISTRY",
            False,
        ),
        (urllib3.exceptions.ProtocolError("u?token=x"), "closed in the middle", "kept", True),
        (requests.TooManyRedirects("u?token=x"), "redirects without end", "proxy", False),
    ],
)
def test_exceptions_in_words(error: Exception, words: str, hint: str, passing: bool) -> None:
    failure = failure_of_exception(error, HOST)
    assert words in str(failure)
    assert hint in str(failure)
    assert "token=x" not in str(failure)
    assert failure.passing is passing


def test_retry_after() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert retry_after_seconds("12") == 12
    assert retry_after_seconds("Thu, 01 Jan 2026 00:00:30 GMT", now) == 30
    assert retry_after_seconds("Wed, 31 Dec 2025 00:00:30 GMT", now) == 0
    assert retry_after_seconds(None) is retry_after_seconds("soon") is None


def test_hosts_and_ranges() -> None:
    loopback = ("localhost", "localhost:5000", "127.0.0.1", "127.9.9.9:1", "[::1]:5000")
    assert all(map(is_loopback, loopback))
    assert not any(map(is_loopback, ("localhost.example.com", "10.0.0.1", "127.0.0.1.io:5000")))
    assert split_repository("acme/app") == ("docker.io", "acme/app")
    assert split_repository("localhost:5000/a/b") == ("localhost:5000", "a/b")
    ranges = {"0-1023": 1024, "bytes=0-9": 10, "0-0": 0, "": 0, None: 0, "5-9": 0}
    assert {value: stored_bytes(value) for value in ranges} == ranges


# -------------------- several at once


def test_results_keep_the_order_of_the_items() -> None:
    turns = [threading.Event() for _ in range(3)]
    turns[2].set()

    def work(number: int, told: Any) -> int:
        assert turns[number].wait(10)
        told(1)
        if number:
            turns[number - 1].set()
        return number * 10

    told: list[int] = []
    assert in_parallel(work, [0, 1, 2], told.append, workers=3) == [0, 10, 20]
    assert told == [1, 1, 1]
    assert in_parallel(work, [], told.append) == []


def test_one_failure_stops_the_others() -> None:
    began = threading.Event()
    endless = threading.Event()

    def work(item: str, told: Any) -> None:
        if item == "fails":
            assert began.wait(10)
            raise RegistryError("no")
        while not endless.wait(0.001):
            began.set()
            told(1)

    with pytest.raises(RegistryError, match="no"):
        in_parallel(work, ["goes on", "fails", "never begins"], workers=2)
    endless.set()


# -------------------- progress


def test_lines_now_and_then() -> None:
    stream, now = io.StringIO(), [0.0]
    progress = LineProgress(LineWriter(stream), clock=lambda: now[0])
    progress.begin("cache-a", 2_000_000)
    progress.advance(500_000)
    now[0] = 6.0
    progress.advance(500_000)
    progress.advance(1)
    progress.end()
    progress.begin("image", None)
    assert stream.getvalue().splitlines() == [
        "cache-a: 2.0 MB to move",
        "cache-a: 1.0 MB of 2.0 MB",
        "image",
    ]


def test_a_bar_on_a_terminal_alone() -> None:
    from rich.console import Console

    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100, _environ={})
    progress = BarProgress(console)
    progress.begin("cache-[a]", 2_000_000)
    progress.advance(1_000_000)
    progress.end()
    progress.begin("second", None)
    progress.end()
    assert "cache-[a]" in stream.getvalue()
    assert isinstance(choose_progress(io.StringIO(), {}), LineProgress)
    quiet = io.StringIO()
    choose_progress(quiet, {"BUILDKIT_PROGRESS": "quiet"}).begin("x", 1)
    assert quiet.getvalue() == ""


class _Answer:
    status_code = 200

    def __init__(self, content: bytes, told: str) -> None:
        self.content = content
        self.headers = {"Docker-Content-Digest": told, "Content-Type": "application/json"}


class _Transport:
    host = "registry.example.com"

    def __init__(self, answer: _Answer) -> None:
        self._answer = answer

    def request(self, *_: object, **__: object) -> _Answer:
        return self._answer


def test_a_tags_manifest_that_changed_on_its_way_is_refused() -> None:

    content = b'{"layers": []}'
    sent = f"sha256:{hashlib.sha256(content).hexdigest()}"

    def read(arrived: bytes, told: str) -> Any:
        transport = cast("Any", _Transport(_Answer(arrived, told)))
        return RegistryClient(transport, "team/app").read_manifest("latest")

    assert read(content, sent).descriptor.digest == sent
    assert read(content, "").descriptor.digest == sent
    with pytest.raises(CacheError, match=r"registry\.example\.com serves other content"):
        read(content.replace(b"[", b"{"), sent)


class _Refusing:
    host = "registry.example.com"

    def __init__(self, said: str, *, passing: bool) -> None:
        self._said, self._passing = said, passing

    def request(self, *_: object, **__: object) -> None:
        said = f"it refuses the request ({self._said})"
        raise RegistryError(said, hint="what else", status=400, passing=self._passing)


def test_a_manifest_that_changed_on_its_way_to_the_registry_is_named() -> None:
    named, strange = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"

    def written(said: str, *, passing: bool = False) -> RegistryError:
        client = RegistryClient(cast("Any", _Refusing(said, passing=passing)), "team/app")
        with pytest.raises(RegistryError) as caught:
            client.write_manifest("latest", json.dumps({"layers": [named]}).encode(), "a/b")
        return caught.value

    assert "arrives there as another content: with sha256:2222" in str(
        written(f"MANIFEST_BLOB_UNKNOWN {strange}")
    )
    assert str(written(f"MANIFEST_BLOB_UNKNOWN {named}")).startswith("it refuses the request")
    assert str(written("MANIFEST_INVALID")).startswith("it refuses the request")
    assert str(written("DIGEST_INVALID")).startswith(
        "a manifest sent to registry.example.com arrives there as another content"
    )
    assert written(strange).status == 400
    assert written(strange, passing=True).passing
