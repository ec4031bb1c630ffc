"""The driver ``kubernetes``, as far as it goes without a cluster: what buildx asks the API for.

buildx reads the options, and writes the objects, itself. An API server of ours takes them and then
has no pod to offer. They come as Kubernetes' protobuf (``k8s.io/api``, ``generated.proto``: that is
where the numbers of fields are from).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from dockyard.bench.loopback import LoopbackHandler, LoopbackServer
from support.engine import Cleanup
from support.service import TASKS

PROTOBUF = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"
CONFIG = """\
apiVersion: v1
kind: Config
clusters: [{{name: test, cluster: {{server: "http://{host}"}}}}]
contexts: [{{name: test, context: {{cluster: test, user: test}}}}]
current-context: test
users: [{{name: test, user: {{}}}}]
"""
PYPROJECT = """\
[project]
name = "any"
[tool.dockyard]
driver = "kubernetes"
"""


def fields(raw: bytes) -> list[tuple[int, int | bytes]]:
    """Take a message of protobuf apart, in its order: each field's number, and its value."""
    found: list[tuple[int, int | bytes]] = []
    position = 0

    def number() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = raw[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(raw):
        key = number()
        value = number()
        if key & 7 == 2:
            found.append((key >> 3, raw[position : position + value]))
            position += value
        else:
            found.append((key >> 3, value))
    return found


def inside(raw: bytes, *numbers: int) -> list[bytes]:
    """List what a message has at a path of fields that are of bytes themselves."""
    messages = [raw]
    for wanted in numbers:
        messages = [
            value
            for message in messages
            for number, value in fields(message)
            if number == wanted and isinstance(value, bytes)
        ]
    return messages


def mapping(raw: bytes, *numbers: int) -> dict[str, bytes]:
    """Read a map whose keys are texts."""
    return {
        inside(entry, 1)[0].decode(): value
        for entry in inside(raw, *numbers)
        for value in inside(entry, 2)
    }


class Api:
    """Takes the objects that are made, by kind, and knows of none; a context manager."""

    def __init__(self) -> None:
        self.made: dict[str, list[bytes]] = {}
        self.paths: list[str] = []
        self.server = LoopbackServer(type("Handler", (_Handler,), {"api": self}))

    def __enter__(self) -> Api:
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()


class _Handler(LoopbackHandler):
    api: Api

    def do_POST(self) -> None:  # noqa: N802
        content = self._body()
        self.api.paths.append(self.path)
        assert self.headers["Content-Type"] == PROTOBUF
        envelope = content.removeprefix(MAGIC)
        [kind], made = inside(envelope, 1, 2), inside(envelope, 2)
        self.api.made.setdefault(kind.decode(), []).extend(made)
        self._say(HTTPStatus.CREATED, content, PROTOBUF)

    def do_GET(self) -> None:  # noqa: N802
        self._body()
        if "/pods" in self.path:
            self._refuse(HTTPStatus.FORBIDDEN, "Forbidden", "pods are out of bounds here")
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "NotFound", "there is none")

    do_DELETE = do_PUT = do_PATCH = do_GET  # noqa: N815

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _refuse(self, status: HTTPStatus, reason: str, message: str) -> None:
        values = {"status": "Failure", "reason": reason, "message": message, "code": status}
        content = {"kind": "Status", "apiVersion": "v1", **values}
        self._say(status, json.dumps(content).encode(), "application/json")

    def _say(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def api() -> Iterator[Api]:
    with Api() as made:
        yield made


def init(root: Path, api: Api, name: str, options: str) -> subprocess.CompletedProcess[str]:
    """Run ``invoke cache.init`` against the API."""
    (root / "tasks.py").write_text(TASKS)
    (root / "pyproject.toml").write_text(f"{PYPROJECT}driver-options = {{ {options} }}\n")
    (root / "kubeconfig").write_text(CONFIG.format(host=api.server.host))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DOCKYARD_", "UV_"))}
    own = {"DOCKYARD_BUILDER_NAME": name, "KUBECONFIG": str(root / "kubeconfig")}
    return subprocess.run(
        [sys.executable, "-m", "invoke", "cache.init"],
        cwd=root,
        env={**kept, **own, "DOCKYARD_MAX_PARALLELISM": "3"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_buildx_asks_the_api_for_what_the_settings_say(
    tmp_path: Path, api: Api, cleanup: Cleanup
) -> None:
    name = cleanup.name("builder")
    options = {
        "namespace": "ci",
        "replicas": "3",
        "loadbalance": "sticky",
        "requests.cpu": "2",
        "requests.memory": "4Gi",
        "limits.memory": "4Gi",
        "nodeselector": "kubernetes.io/arch=amd64",
        "serviceaccount": "builder",
        "timeout": "2s",
    }
    pairs = ", ".join(f'"{key}" = "{value}"' for key, value in options.items())
    done = init(tmp_path, api, name, pairs)
    # There is no pod: the message says where it stopped, and what to look at.
    assert done.returncode == 6, done.stderr
    assert f"cannot set up the builder {name} in the cluster" in done.stderr
    assert "kubectl config current-context" in done.stderr

    assert set(api.made) == {"ConfigMap", "Deployment"}
    assert all("/namespaces/ci/" in path for path in api.paths)
    [deployment] = api.made["Deployment"]
    [spec], [pod] = inside(deployment, 2), inside(deployment, 2, 3, 2)
    assert (1, 3) in fields(spec)
    assert mapping(pod, 7) == {"kubernetes.io/arch": b"amd64"}
    assert inside(pod, 8) == [b"builder"]
    [container] = inside(pod, 2)
    assert inside(container, 2) == [b"docker.io/moby/buildkit:v0.32.2"]
    limits, requests = mapping(container, 8, 1), mapping(container, 8, 2)
    assert {key: inside(value, 1) for key, value in limits.items()} == {"memory": [b"4Gi"]}
    assert {key: inside(value, 1) for key, value in requests.items()} == {
        "cpu": [b"2"],
        "memory": [b"4Gi"],
    }
    # One for each folder of files; a certificate's is another.
    files = {key: value for one in api.made["ConfigMap"] for key, value in mapping(one, 2).items()}
    config = tomllib.loads(files["buildkitd.toml"].decode())
    assert config["worker"]["oci"]["max-parallelism"] == 3
    assert config["worker"]["oci"]["gcpolicy"][-1]["all"] is True


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ('replica = "3"', "invalid driver option replica"),
        ('loadbalance = "fair"', 'invalid loadbalance "fair"'),
    ],
)
def test_an_option_that_there_is_not_is_named(
    tmp_path: Path, api: Api, cleanup: Cleanup, options: str, said: str
) -> None:
    done = init(tmp_path, api, cleanup.name("builder"), options)
    assert done.returncode == 6, done.stderr
    assert said in done.stderr
    assert api.made == {}
