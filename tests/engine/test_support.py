"""The support itself: its counts are the bytes that travelled, and it leaves nothing behind."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from base64 import b64encode
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import pytest

from support.base import buildkit_image, ensure_base_image, ensure_uv_image
from support.builders import Driver, available_drivers, throwaway_builder
from support.engine import (
    Cleanup,
    DockerError,
    NotBootstrappedError,
    docker,
    labelled_names,
    random_name,
)
from support.index import PackageIndex
from support.registry import Fault, Registry, Request
from support.wheels import make_project, make_sdist, make_wheel, run_uv

TESTS = Path(__file__).parents[1]
PAYLOAD = 300_000


def push_image(
    directory: Path, registry: Registry, builder: str, label: str
) -> tuple[str, dict[str, Any]]:
    """Push an image of one layer with PAYLOAD random bytes; return its reference and manifest."""
    repository = random_name()
    (directory / "payload.bin").write_bytes(os.urandom(PAYLOAD))
    (directory / "Dockerfile").write_text("FROM scratch\nCOPY payload.bin /payload.bin\n")
    reference = f"{registry.host}/{repository}:1"
    options = ["--builder", builder, "--provenance=false", "--label", label, "--tag", reference]
    docker("buildx", "build", "--push", *options, str(directory))
    return reference, registry.manifest(repository, "1")


def blob_sizes(manifest: dict[str, Any]) -> dict[str, int]:
    return {blob["digest"]: blob["size"] for blob in [*manifest["layers"], manifest["config"]]}


def request(
    host: str, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    with closing(http.client.HTTPConnection(host, timeout=10)) as connection:
        chunked = body is not None and not isinstance(body, bytes)
        connection.request(method, path, body, headers, encode_chunked=chunked)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()


def upload(registry: Registry, content: bytes) -> str:
    """Upload a blob as BuildKit does, the body in chunks; return its path."""
    repository = random_name()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    status, headers, _ = request(registry.host, "POST", f"/v2/{repository}/blobs/uploads/")
    assert status == 202
    assert headers["Location"].startswith("/v2/")
    pieces = (content[at : at + 10_000] for at in range(0, len(content), 10_000))
    status, headers, _ = request(registry.host, "PATCH", headers["Location"], pieces)
    assert status == 202
    status, _, _ = request(registry.host, "PUT", f"{headers['Location']}&digest={digest}")
    assert status == 201
    return f"/v2/{repository}/blobs/{digest}"


def test_pushed_bytes_are_the_manifests_blobs(
    tmp_path: Path, registry: Registry, cleanup: Cleanup
) -> None:
    reference, manifest = push_image(tmp_path, registry, "default", cleanup.label)
    cleanup.name("image", reference)
    sizes = blob_sizes(manifest)
    assert sum(sizes.values()) > PAYLOAD
    assert registry.blob_bytes_received() == sum(sizes.values())
    assert registry.blob_bytes_served() == 0
    completed = {each.digest for each in registry.transfers if each.method == "PUT"}
    assert sizes.keys() <= completed


def test_pulled_bytes_are_the_manifests_blobs(
    tmp_path: Path, registry: Registry, cleanup: Cleanup, builder_factory: Callable[..., str]
) -> None:
    # The other builder keeps the engine from holding the blobs that it is to pull.
    reference, manifest = push_image(tmp_path, registry, builder_factory(), cleanup.label)
    registry.reset()
    docker("pull", cleanup.name("image", reference))
    served = {
        each.digest: each.bytes_sent
        for each in registry.transfers
        if each.method == "GET" and "/blobs/" in each.path
    }
    assert served == blob_sizes(manifest)
    assert registry.blob_bytes_served() == sum(served.values())
    assert registry.blob_bytes_received() == 0


def test_uploads_in_chunks_heads_and_ranges_are_counted(registry: Registry) -> None:
    content = os.urandom(PAYLOAD)
    path = upload(registry, content)
    assert registry.blob_bytes_received() == PAYLOAD
    with closing(http.client.HTTPConnection(registry.host, timeout=10)) as kept_alive:
        kept_alive.request("HEAD", path)
        answer = kept_alive.getresponse()
        assert (answer.getheader("Content-Length"), answer.read()) == (str(PAYLOAD), b"")
        connection = kept_alive.sock
        kept_alive.request("GET", path, headers={"Range": "bytes=1000-1999"})
        answer = kept_alive.getresponse()
        assert (answer.status, answer.read()) == (206, content[1000:2000])
        assert kept_alive.sock is connection
    assert registry.blob_bytes_served() == 1000
    assert request(registry.host, "GET", path)[2] == content
    assert registry.blob_bytes_served() == 1000 + PAYLOAD
    assert registry.blob_bytes_received() == PAYLOAD


def test_faults(registry: Registry) -> None:
    path = upload(registry, bytes(PAYLOAD))
    asked: list[Request] = []

    def fault(asking: Request) -> Fault | None:
        asked.append(asking)
        return {"GET": Fault(cut_after=70_000), "HEAD": Fault(status=500)}.get(asking.method)

    registry.reset()
    registry.fault = fault
    with pytest.raises(http.client.IncompleteRead) as error:
        request(registry.host, "GET", path)
    assert len(error.value.partial) == 70_000
    assert request(registry.host, "HEAD", path)[0] == 500
    assert [each.digest for each in asked] == [path.rpartition("/")[2]] * 2
    assert registry.blob_bytes_served() == 70_000
    registry.fault = lambda asking: Fault(status=503)
    assert request(registry.host, "PATCH", path, iter([bytes(PAYLOAD)]))[0] == 503
    registry.fault = lambda asking: Fault(cut_after=20_000) if asking.method == "PATCH" else None
    with pytest.raises((http.client.HTTPException, OSError)):
        upload(registry, os.urandom(PAYLOAD))
    assert 20_000 < registry.blob_bytes_received() < PAYLOAD
    registry.reset()
    assert request(registry.host, "GET", path)[0] == 200


def test_a_hook_that_fails_is_reported(registry: Registry) -> None:
    none: dict[str, Fault] = {}
    registry.fault = lambda asking: none[asking.method]
    with pytest.raises((http.client.HTTPException, OSError)):
        request(registry.host, "GET", "/v2/")
    with pytest.raises(RuntimeError, match="KeyError"):
        _ = registry.transfers
    registry.reset()


def test_manifest_of_nothing_is_a_lookup_error(registry: Registry) -> None:
    with pytest.raises(LookupError, match="404"):
        registry.manifest(random_name(), "1")
    assert registry.transfers == ()


def test_a_registry_does_not_outlive_the_tests(tmp_path: Path) -> None:
    script = (
        "import sys, time, pathlib; from support.registry import Registry\n"
        "with Registry(pathlib.Path(sys.argv[1])) as registry:\n"
        "    print(registry.port, flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, tmp_path],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        host = f"127.0.0.1:{int(child.stdout.readline())}"
        assert request(host, "GET", "/v2/")[0] == 200
        child.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while True:
        try:
            request(host, "GET", "/v2/")
        except ConnectionRefusedError:
            break
        except ConnectionError:
            pass  # it died in the middle of an answer
        assert time.monotonic() < deadline, "the registry outlived its test"
        time.sleep(0.05)


def test_wheels_and_sdists_are_the_same_every_time(tmp_path: Path) -> None:
    makers: list[Callable[..., Path]] = [make_wheel, make_sdist]
    for make in makers:
        contents: list[bytes] = []
        for seed in (1, 1, 2):
            directory = tmp_path / f"{make.__name__}-{len(contents)}"
            directory.mkdir()
            path = make(directory, "Alpha.Beta", "1.0", size=5000, seed=seed)
            contents.append(path.read_bytes())
        assert contents[0] == contents[1] != contents[2]
        # Equal also when made at another time.
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as wheel:
                assert {entry.date_time[0] for entry in wheel.infolist()} == {1980}
        else:
            assert contents[0][4:8] == bytes(4)
            with tarfile.open(path) as archive:
                assert {entry.mtime for entry in archive} == {0}


def test_uv_installs_a_wheel_from_the_index(tmp_path: Path, package_index: PackageIndex) -> None:
    names = [random_name(), random_name()]
    inner = make_wheel(tmp_path, names[0], "1.0", size=40_000)
    outer = make_wheel(tmp_path, names[1], "2.0", size=50_000, requires=[f"{names[0]}>=1"])
    package_index.add(inner)
    package_index.add(outer)
    target = tmp_path / "target"
    install = ["pip", "install", "--no-cache", "--default-index", package_index.url]
    run_uv(*install, "--target", str(target), names[1])
    payload = target / names[0].replace("-", "_") / "payload.bin"
    assert payload.read_bytes() == random.Random(f"{names[0]} 1.0 0").randbytes(40_000)
    sizes = {path.name: path.stat().st_size for path in (inner, outer)}
    assert {name: package_index.bytes_served(name) for name in sizes} == sizes
    assert package_index.bytes_served() == sum(sizes.values())
    assert package_index.bytes_served(f"{inner.name}.metadata") > 0
    package_index.reset()
    assert (package_index.requests, package_index.bytes_served()) == ((), 0)


def test_uv_detects_altered_content(tmp_path: Path, package_index: PackageIndex) -> None:
    name = random_name()
    wheel = make_wheel(tmp_path, name, "1.0", size=40_000)
    package_index.add(wheel)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    make_wheel(tmp_path, name, "1.0", size=40_000, seed="altered")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"{name}==1.0 --hash=sha256:{digest}\n")
    install = ["pip", "install", "--no-cache", "--default-index", package_index.url]
    target = str(tmp_path / "target")
    with pytest.raises(RuntimeError, match=r"[Hh]ash mismatch"):
        run_uv(*install, "--target", target, "--require-hashes", "-r", str(requirements))
    assert package_index.bytes_served(wheel.name) == wheel.stat().st_size


def test_uv_builds_an_sdist_with_nothing_but_the_index(
    tmp_path: Path, package_index: PackageIndex
) -> None:
    name = random_name()
    sdist = make_sdist(tmp_path, name, "1.0", size=40_000)
    package_index.add(sdist)
    install = ["pip", "install", "--no-cache", "--default-index", package_index.url]
    run_uv(*install, "--target", str(tmp_path / "target"), name)
    payload = tmp_path / "target" / name.replace("-", "_") / "payload.bin"
    assert payload.stat().st_size == 40_000
    assert {each.path for each in package_index.requests} == {
        f"/simple/{name}/",
        f"/files/{sdist.name}",
    }


def test_a_project_locks_and_syncs_from_the_index(
    tmp_path: Path, package_index: PackageIndex
) -> None:
    names = [random_name() for _ in range(3)]
    wheel = make_wheel(tmp_path, names[0], "1.0", size=20_000)
    sdist = make_sdist(tmp_path, names[1], "1.0", size=20_000)
    unused = make_wheel(tmp_path, names[2], "1.0", size=20_000)
    for path in (wheel, sdist, unused):
        package_index.add(path)
    project = make_project(
        tmp_path / "project",
        name="demo-project",
        dependencies={names[0]: "==1.0", names[1]: ">=1"},
        index_url=package_index.url,
        extras={"more": {names[2]: ""}},
    )
    assert f'source = {{ registry = "{package_index.url}" }}' in (project / "uv.lock").read_text()
    package_index.reset()
    run_uv("sync", "--frozen", "--no-cache", cwd=project)
    assert package_index.bytes_served() == wheel.stat().st_size + sdist.stat().st_size
    check = f"import demo_project, {names[0].replace('-', '_')}, {names[1].replace('-', '_')}"
    subprocess.run([project / ".venv/bin/python", "-c", check], check=True)


def test_ranges_pages_and_credentials_of_the_index(tmp_path: Path) -> None:
    with PackageIndex(auth=("user", "secret")) as index:
        wheel = make_wheel(tmp_path, "alpha", "1.0", size=20_000)
        content = wheel.read_bytes()
        index.add(wheel)
        host = urlsplit(index.url).netloc
        assert request(host, "GET", "/simple/alpha/")[0] == 401
        signed = {"Authorization": f"Basic {b64encode(b'user:secret').decode()}"}
        path = f"/files/{wheel.name}"
        ranges = {"0-9": content[:10], "-7": content[-7:], f"{len(content) - 3}-": content[-3:]}
        for wanted, expected in ranges.items():
            answer = request(host, "GET", path, Range=f"bytes={wanted}", **signed)
            assert (answer[0], answer[2]) == (206, expected)
        assert index.bytes_served(wheel.name) == 20
        unsatisfiable = {"Range": f"bytes={len(content)}-", **signed}
        assert request(host, "GET", path, **unsatisfiable)[0] == 416
        page = request(host, "GET", "/simple/Alpha/", Accept="text/html", **signed)[2].decode()
        assert f"{wheel.name}#sha256={hashlib.sha256(content).hexdigest()}" in page
        kind = "application/vnd.pypi.simple.v1+json"
        entry = json.loads(request(host, "GET", "/simple/alpha/", Accept=kind, **signed)[2])
        assert entry["files"][0]["size"] == len(content)
        target = ["--target", str(tmp_path / "target"), "alpha"]
        signed_url = index.url.replace("http://", "http://user:secret@")
        run_uv("pip", "install", "--no-cache", "--default-index", signed_url, *target)


@pytest.mark.parametrize("driver", get_args(Driver))
def test_a_builder_builds_and_is_gone_afterwards(
    driver: Driver, tmp_path: Path, registry: Registry, cleanup: Cleanup
) -> None:
    config = tmp_path / "buildkitd.toml"
    config.write_text("debug = true\n")
    assert driver in available_drivers()
    with throwaway_builder(driver, config=config) as name:
        assert name in labelled_names("builder")
        _, manifest = push_image(tmp_path, registry, name, cleanup.label)
        assert registry.blob_bytes_received() == sum(blob_sizes(manifest).values())
    assert name not in labelled_names("builder")
    for kind in ("container", "volume"):
        left = docker(kind, "ls", "--all" if kind == "container" else "--quiet", "--format=json")
        assert name not in left


def test_a_builder_that_cannot_start_leaves_nothing() -> None:
    name = random_name()
    broken = throwaway_builder(network="dockyard-none", name=name)
    with pytest.raises(DockerError, match="dockyard-none not found"), broken:
        pass
    assert name not in labelled_names("builder")
    assert name not in docker("container", "ls", "--all", "--format={{.Names}}")
    assert name not in docker("volume", "ls", "--format={{.Name}}")


def test_cleanup_removes_what_is_recorded_and_what_is_labelled() -> None:
    with Cleanup() as cleanup:
        image = ensure_base_image()
        for arguments in (["--name", cleanup.name("container")], ["--label", cleanup.label]):
            docker("create", *arguments, image, "true")
        docker("volume", "create", cleanup.name("volume"))
        docker("volume", "create", "--label", cleanup.label)
        cleanup.name("image")  # recorded and never made
        assert len(labelled_names("container", cleanup.run_id)) == 1
        assert len(labelled_names("volume", cleanup.run_id)) == 1
    for kind in ("container", "volume"):
        assert cleanup.run_id not in docker(kind, "ls", "--format=json")
        assert labelled_names("container", cleanup.run_id) == ()
    assert ensure_base_image() == image


def test_bootstrapped_images_are_there() -> None:
    assert ensure_uv_image(ensure_uv_image().rpartition(":")[2]) == ensure_uv_image()
    assert buildkit_image(buildkit_image().rpartition(":")[2]) == buildkit_image()
    with pytest.raises(NotBootstrappedError, match=r"run \./bootstrap first"):
        ensure_uv_image("0.0.0")


def test_a_missing_engine_fails_and_names_the_remedy(tmp_path: Path) -> None:
    environment = {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    done = run_pytest(Path(__file__), "-k", "bootstrapped_images", env=environment)
    assert done.returncode == 1
    assert "1 error" in done.stdout
    assert "run ./bootstrap first" in done.stdout


GUARDED = """
import os, socket, subprocess, sys
import pytest

def connect(): socket.socket(socket.AF_UNIX).connect("/run/none.sock")
def swallow():
    try: subprocess.run(["true"])
    except Exception: pass

@pytest.mark.parametrize("act", [
    lambda: subprocess.run(["true"]), lambda: os.system("true"),
    lambda: os.posix_spawn("/bin/true", ["true"], {}), os.fork,
    lambda: os.execv("/bin/true", ["true"]), connect, lambda: socket.socket().bind(("", 0)),
    lambda: socket.create_connection(("127.0.0.1", 9)), swallow,
])
def test_refused(act): act()

@pytest.mark.spawns
def test_spawns(): subprocess.run([sys.executable, "-c", "pass"], check=True)

@pytest.mark.spawns
def test_connects(): connect()

def test_harmless(tmp_path): (tmp_path / "file").write_text("")
"""


def test_unit_tests_start_no_process_and_open_no_socket(tmp_path: Path) -> None:
    shutil.copy(TESTS / "conftest.py", tmp_path)
    shutil.copytree(TESTS / "unit", tmp_path / "unit", ignore=lambda *_: {"__pycache__"})
    for path in (tmp_path / "unit").glob("test_*"):
        path.unlink()
    (tmp_path / "unit" / "test_guarded.py").write_text(GUARDED)
    done = run_pytest(tmp_path, "-W", "ignore", f"--rootdir={tmp_path}", "-c", os.devnull)
    assert done.stdout.count("a unit test must not do this") >= 10
    # The swallowed attempt passes and then fails in teardown.
    assert "9 failed, 3 passed, 10 errors" in done.stdout, done.stdout


def run_pytest(path: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(path), *arguments]
    return subprocess.run(command, cwd=TESTS.parent, capture_output=True, text=True, **options)
