"""A cache moved to a registry and back: what moves, what resumes, and what each fault says."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from dockyard.bench.loopback import LoopbackServer
from dockyard.caches.layout import Layout
from dockyard.caches.registry_client import RegistryClient, open_repository
from dockyard.caches.registry_errors import RegistryError
from dockyard.caches.registry_transport import RegistryTransport
from dockyard.caches.transfer import Transferred, plan_pull, plan_push, pull, push
from dockyard.errors import CacheError, NetworkError
from support.engine import random_name
from support.layouts import descriptor_of, fill_layout, random_bytes
from support.registry import Fault, Login, Registry, Request
from support.settings import make_settings

SIZES = (6_000_000, 2_000_000, 300, 40_000)
TAG = "cache-linux-amd64-main"
PASSWORD = "s3cret-pass-word"


@pytest.fixture
def repository(registry: Registry) -> str:
    return f"{registry.host}/team/{random_name()}"


@pytest.fixture
def source(tmp_path: Path, repository: str) -> Layout:
    """A layout with one cache; its content is of this test alone."""
    contents = [random_bytes(size, repository) for size in SIZES]
    return fill_layout(tmp_path / "source", TAG, contents)


def client_of(repository: str, environment: Mapping[str, str] | None = None) -> RegistryClient:
    client = open_repository(make_settings(), repository, environment or {"DOCKER_CONFIG": "/none"})
    client._transport._pause = lambda seconds: None
    return client


def push_all(source: Layout, repository: str, **options: Any) -> Transferred:
    with client_of(repository, **options) as client:
        return push(source, plan_push(source, source.index()[TAG], client), client, [TAG])


def pull_all(target: Layout, repository: str, tmp_path: Path, **options: Any) -> Transferred:
    with client_of(repository, **options) as client:
        manifest = client.read_manifest(TAG)
        assert manifest is not None
        ingest = tmp_path / "ingest"
        return pull(target, plan_pull(manifest, client, target, ingest), client, TAG, ingest)


def blob_bytes(layout: Layout) -> int:
    return sum(one.size for one in layout.reachable(layout.index()[TAG]) if not one.is_manifest)


def verify_all(layout: Layout) -> None:
    for one in layout.reachable(layout.index()[TAG]):
        layout.verify(one)


def empty_layout(root: Path) -> Layout:
    layout = Layout(root)
    layout.create()
    return layout


def test_only_what_the_other_side_lacks_moves(
    tmp_path: Path, registry: Registry, repository: str, source: Layout
) -> None:
    first = push_all(source, repository)
    whole = blob_bytes(source)
    assert first.bytes_moved == whole == registry.blob_bytes_received()
    assert (first.blobs_moved, first.blobs_skipped, first.bytes_skipped) == (len(SIZES) + 1, 0, 0)

    registry.reset()
    again = push_all(source, repository)
    assert (again.bytes_moved, again.bytes_skipped) == (0, whole)
    assert registry.blob_bytes_received() == 0

    target = empty_layout(tmp_path / "target")
    registry.reset()
    pulled = pull_all(target, repository, tmp_path)
    assert pulled.bytes_moved == whole == registry.blob_bytes_served()
    assert pulled.digest == source.index()[TAG].digest == target.index()[TAG].digest
    verify_all(target)
    assert [path.name for path in (tmp_path / "ingest").iterdir()] == ["lock"]

    registry.reset()
    assert pull_all(target, repository, tmp_path).bytes_skipped == whole
    assert registry.blob_bytes_served() == 0

    added = random_bytes(70_000, "added")
    contents = [random_bytes(size, repository) for size in SIZES]
    fill_layout(source.root, TAG, [*contents, added])
    registry.reset()
    grown = push_all(source, repository)
    assert grown.bytes_moved == registry.blob_bytes_received() < 70_000 + 1_000
    assert grown.bytes_skipped == sum(SIZES)


def test_a_download_goes_on_where_the_connection_broke(
    tmp_path: Path, registry: Registry, repository: str, source: Layout
) -> None:
    push_all(source, repository)
    large = descriptor_of(random_bytes(SIZES[0], repository)).digest
    cuts = iter([4_000_000, 1_000_000])

    def cut(request: Request) -> Fault | None:
        if request.method == "GET" and request.digest == large:
            after = next(cuts, None)
            return Fault(cut_after=after) if after else None
        return None

    registry.reset()
    registry.fault = cut
    target = empty_layout(tmp_path / "target")
    pulled = pull_all(target, repository, tmp_path)
    verify_all(target)
    # What arrived before each cut is not asked for again, a piece in flight apart.
    assert pulled.bytes_moved == blob_bytes(source)
    served = [one.bytes_sent for one in registry.transfers if one.digest == large]
    assert len(served) == 3
    assert sum(served) - SIZES[0] < 600_000


def test_the_next_pull_goes_on_where_a_killed_one_was(
    tmp_path: Path, registry: Registry, repository: str, source: Layout
) -> None:
    push_all(source, repository)
    store = fill_layout(tmp_path / "target", TAG, [random_bytes(5_000, "previous")])
    previous = store.index()[TAG]
    large = descriptor_of(random_bytes(SIZES[0], repository)).digest
    registry.reset()

    asked: list[bool] = []
    killed_already = threading.Event()

    def hold(request: Request) -> Fault | None:
        # The last bytes of the large blob never come while the first pull lives.
        if request.method == "GET" and request.digest == large:
            asked.append(True)
            if len(asked) == 1:
                return Fault(cut_after=4_500_000)
            killed_already.wait(30)
        return None

    registry.fault = hold
    program = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[4])\n"
        "import engine.test_cache_transfer as t\n"
        "t.pull_all(t.Layout(Path(sys.argv[1])), sys.argv[2], Path(sys.argv[3]))\n"
    )
    tests = str(Path(__file__).parents[1])
    killed = subprocess.Popen(
        [sys.executable, "-c", program, str(store.root), repository, str(tmp_path), tests]
    )
    partial = tmp_path / "ingest" / f"{large.removeprefix('sha256:')}.partial"
    deadline = time.monotonic() + 30
    while len(asked) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    killed_already.set()
    arrived = partial.stat().st_size
    assert 4_000_000 < arrived < SIZES[0]
    assert store.index() == {TAG: previous}
    verify_all(store)

    registry.reset()
    pulled = pull_all(store, repository, tmp_path)
    verify_all(store)
    assert store.index()[TAG].digest == source.index()[TAG].digest
    assert pulled.bytes_moved <= blob_bytes(source) - arrived
    ranged = [one for one in registry.transfers if one.digest == large and one.method == "GET"]
    assert min(one.bytes_sent for one in ranged) == SIZES[0] - arrived


def test_a_partial_file_of_other_content_is_fetched_again(
    tmp_path: Path, repository: str, source: Layout
) -> None:
    push_all(source, repository)
    large = descriptor_of(random_bytes(SIZES[0], repository)).digest
    (tmp_path / "ingest").mkdir()
    partial = tmp_path / "ingest" / f"{large.removeprefix('sha256:')}.partial"
    partial.write_bytes(b"x" * 1_000_000)
    target = empty_layout(tmp_path / "target")
    pull_all(target, repository, tmp_path)
    verify_all(target)


FAULTS: dict[str, tuple[Callable[[Request], Fault | None], str]] = {
    "401": (lambda request: Fault(status=401), "docker login"),
    "403": (lambda request: Fault(status=403), "docker login"),
    "429": (lambda request: Fault(status=429), "too many requests"),
    "500 for a blob": (
        lambda request: Fault(status=500) if "/blobs/" in request.path else None,
        "500 Internal Server Error",
    ),
    "always cut": (
        lambda request: Fault(cut_after=0) if "/blobs/sha256:" in request.path else None,
        "try again: what arrived is kept",
    ),
    "507": (
        lambda request: Fault(status=507) if "/blobs/" in request.path else None,
        "has no space for it",
    ),
    "a blob is missing": (
        lambda request: Fault(status=404) if "/blobs/sha256:" in request.path else None,
        "and not the blob sha256:",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_clear_error_and_leaves_the_cache(
    tmp_path: Path, registry: Registry, repository: str, source: Layout, fault: str
) -> None:
    push_all(source, repository)
    store = fill_layout(tmp_path / "target", TAG, [random_bytes(5_000, "previous")])
    previous = store.index()
    registry.fault, words = FAULTS[fault]
    with pytest.raises((NetworkError, CacheError), match=words) as caught:
        pull_all(store, repository, tmp_path)
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].hint
    registry.fault = None
    assert store.index() == previous
    verify_all(store)
    pull_all(store, repository, tmp_path)
    verify_all(store)


@pytest.mark.parametrize("fault", ["403", "429", "500 for a blob", "507"])
def test_a_push_that_fails_leaves_the_tag(
    registry: Registry, repository: str, source: Layout, fault: str
) -> None:
    push_all(source, repository)
    pushed = source.index()[TAG].digest
    fill_layout(source.root, TAG, [random_bytes(5_000, f"changed {repository}")])
    registry.fault, words = FAULTS[fault]
    with pytest.raises(RegistryError, match=words):
        push_all(source, repository)
    registry.fault = None
    with client_of(repository) as client:
        assert client.manifest_digest(TAG) == pushed


def test_nobody_listens(tmp_path: Path, source: Layout) -> None:
    server = LoopbackServer(BaseHTTPRequestHandler)
    free = server.host
    server.server_close()
    with pytest.raises(NetworkError, match="refuses the connection") as caught:
        push_all(source, f"{free}/team/app")
    assert "DOCKYARD_REGISTRY" in str(caught.value)


def test_a_passing_failure_passes_unnoticed(
    registry: Registry, repository: str, source: Layout
) -> None:
    failed: set[tuple[str, str]] = set()

    def once(request: Request) -> Fault | None:
        what = (request.method, request.path.partition("uploads")[0])
        if what in failed:
            return None
        failed.add(what)
        return Fault(status=503)

    registry.fault = once
    push_all(source, repository)
    registry.fault = None
    with client_of(repository) as client:
        assert client.manifest_digest(TAG) == source.index()[TAG].digest


# -------------------- logins


def docker_config(folder: Path, values: Mapping[str, object]) -> dict[str, str]:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(values))
    return {"DOCKER_CONFIG": str(folder), "PATH": os.environ["PATH"]}


def helper(folder: Path, name: str, script: str) -> str:
    """Write a credential helper; returns a PATH that finds it."""
    program = folder / f"docker-credential-{name}"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.mark.parametrize("tokens", [False, True])
def test_logins_of_dockers_configuration(
    tmp_path: Path, registry: Registry, repository: str, source: Layout, tokens: bool
) -> None:
    registry.login = Login("somebody", PASSWORD, tokens=tokens)
    with pytest.raises(NetworkError, match="wants a login"):
        push_all(source, repository)
    import base64

    encoded = base64.b64encode(f"somebody:{PASSWORD}".encode()).decode()
    environment = docker_config(tmp_path, {"auths": {registry.host: {"auth": encoded}}})
    assert push_all(source, repository, environment=environment).bytes_moved == blob_bytes(source)
    target = empty_layout(tmp_path / "target")
    pull_all(target, repository, tmp_path, environment=environment)
    verify_all(target)


def test_logins_of_a_credential_helper(
    tmp_path: Path, registry: Registry, repository: str, source: Layout
) -> None:
    registry.login = Login("somebody", PASSWORD, tokens=True)
    environment = docker_config(tmp_path, {"credHelpers": {registry.host: "fake"}})
    answer = json.dumps({"ServerURL": "", "Username": "somebody", "Secret": PASSWORD})
    script = f'read -r host; [ "$host" = "{registry.host}" ] && echo \'{answer}\''
    environment["PATH"] = helper(tmp_path, "fake", script)
    push_all(source, repository, environment=environment)

    # A helper may hold a refresh token instead.
    registry.login = Login("somebody", "another", tokens=True, identity_token="refresh-me")
    answer = json.dumps({"ServerURL": "", "Username": "<token>", "Secret": "refresh-me"})
    environment["PATH"] = helper(tmp_path, "fake", f"echo '{answer}'")
    with client_of(repository, environment) as client:
        assert TAG in client.list_tags()


def test_no_secret_in_what_goes_wrong(
    tmp_path: Path, registry: Registry, repository: str, source: Layout
) -> None:
    registry.login = Login("somebody", "another", tokens=True)
    environment = docker_config(tmp_path, {"credsStore": "fake"})
    answer = json.dumps({"ServerURL": "", "Username": "somebody", "Secret": PASSWORD})
    failures = {
        f"echo '{answer}'": "wants a login",
        f"echo 'the password is {PASSWORD}'; exit 3": "fails with status 3",
        f"echo '{PASSWORD}'": "answers with what is no login",
        "echo 'credentials not found in native keychain'; exit 1": "wants a login",
    }
    for script, words in failures.items():
        environment["PATH"] = helper(tmp_path, "fake", script)
        with pytest.raises(NetworkError, match=words) as caught:
            push_all(source, repository, environment=environment)
        chain: BaseException | None = caught.value
        while chain:
            assert PASSWORD not in f"{chain} {chain!r}"
            chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)


# -------------------- uploads that resume


class _Sessions(BaseHTTPRequestHandler):
    """A registry of one blob that keeps what it got of a broken upload, as distribution 3 does."""

    protocol_version = "HTTP/1.1"
    server: LoopbackServer
    stored = bytearray()
    ranges: tuple[str | None, ...] = ()
    cut_after = 0

    def do_POST(self) -> None:
        self._answer(202, Location="/upload/1?state=a")

    def do_PATCH(self) -> None:
        with self.server.request_in_flight():
            kind = type(self)
            kind.ranges += (self.headers.get("Content-Range"),)
            size = int(self.headers["Content-Length"])
            if kind.cut_after:
                kind.stored += self.rfile.read(kind.cut_after)
                kind.cut_after = 0
                self.close_connection = True
                self.connection.close()
                return
            kind.stored += self.rfile.read(size)
            self._answer(202, Location="/upload/1?state=b")

    def do_GET(self) -> None:
        self._answer(204, Location="/upload/1?state=c", Range=f"0-{len(self.stored) - 1}")

    def do_PUT(self) -> None:
        digest = f"sha256:{hashlib.sha256(self.stored).hexdigest()}"
        self._answer(201 if self.path.endswith(f"digest={digest}") else 400)

    def _answer(self, status: int, **headers: str) -> None:
        self.send_response_only(status)
        for name, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing is printed."""


@pytest.fixture
def sessions() -> Iterator[tuple[type[_Sessions], str]]:
    kind = type("Handler", (_Sessions,), {"stored": bytearray()})
    server = LoopbackServer(kind)
    server.start()
    yield kind, server.host
    server.stop()


def test_an_upload_goes_on_where_the_registry_lost_it(
    tmp_path: Path, sessions: tuple[type[_Sessions], str]
) -> None:
    kind, host = sessions
    content = random_bytes(8_000_000, "upload")
    kind.cut_after = 3_000_000
    path = tmp_path / "blob"
    path.write_bytes(content)
    told: list[int] = []
    with client_of(f"{host}/team/app") as client:
        sent = client.upload_blob(descriptor_of(content), path, told.append)
    assert bytes(kind.stored) == content
    assert kind.ranges == (None, "3000000-7999999")
    assert sum(told) == sent
    # The first request was handed to the machine whole, or in part; the second had what was left.
    assert len(content) <= sent <= len(content) + 5_000_000


# -------------------- certificates


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server with the certificate of a private authority: its host, and the authority's file."""
    key, authority = tmp_path / "key.pem", tmp_path / "authority.pem"
    names = ("-subj", "/CN=registry", "-addext", "subjectAltName=IP:127.0.0.1")
    made = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    files = ("-keyout", str(key), "-out", str(authority))
    subprocess.run(
        ["openssl", "req", "-x509", *made, *names, *files], check=True, capture_output=True
    )
    server = LoopbackServer(type("Handler", (_Sessions,), {}))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.start()
    yield server.host, authority
    server.stop()


def test_certificates(tls_server: tuple[str, Path]) -> None:
    host, authority = tls_server

    def ask(insecure: bool, ca_file: Path | None) -> int:
        transport = RegistryTransport(
            host, credential=lambda: None, insecure=insecure, ca_file=ca_file
        )
        try:
            return transport.request("GET", "/upload/1", scope="", expected=(204,)).status_code
        finally:
            transport.close()

    assert ask(insecure=False, ca_file=authority) == 204
    assert ask(insecure=True, ca_file=authority) == 204
    # As the engine does with loopback and insecure registries.
    assert ask(insecure=True, ca_file=None) == 204
    with pytest.raises(RegistryError, match="is not trusted: self-signed") as caught:
        ask(insecure=False, ca_file=None)
    assert "DOCKYARD_CA_FILE" in str(caught.value)
