"""`cache.push` and `cache.pull` as a user runs them, without a build."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockyard.bench.loopback import LoopbackServer
from dockyard.caches.layout import Layout
from dockyard.errors import CacheError, NetworkError, SettingsError
from support.engine import random_name
from support.index import PackageIndex
from support.layouts import descriptor_of, fill_layout, random_bytes
from support.registry import Fault, Login, Registry, Request
from support.service import Ran, Service

SIZE = 3_000_000
MAIN = "cache-linux-amd64-main"
SHARED = "cache-linux-amd64-latest"
MOUNTS = "mounts-linux-amd64"
PASSWORD = "s3cret-pass-word"


@pytest.fixture
def service(
    tmp_path: Path, registry: Registry, package_index: PackageIndex, base_images: Any
) -> Service:
    made = Service(
        tmp_path / "service",
        random_name(),
        {},
        index_url=package_index.url,
        python_image=base_images.python,
        uv_image=base_images.uv,
    )
    made.environment["DOCKYARD_REGISTRY"] = f"{registry.host}/team"
    made.environment["DOCKYARD_CACHE_MOUNTS"] = "none"
    made.environment["DOCKER_CONFIG"] = str(tmp_path / "docker")
    return made


def local(service: Service) -> Layout:
    return Layout(service.root / ".dockyard/cache")


def content(service: Service, what: str = "large", size: int = SIZE) -> bytes:
    return random_bytes(size, f"{service.name} {what}")


def push_made(service: Service, *contents: bytes) -> dict[str, Any]:
    """Put a cache of the branch main into the local directory, and push it."""
    fill_layout(local(service).root, MAIN, contents or [content(service)])
    return result(service, "cache.push")


def result(service: Service, *arguments: str, **changes: str) -> dict[str, Any]:
    done = service.invoke(*arguments, "--json", **changes)
    assert done.status == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def forget_local(service: Service) -> None:
    import shutil

    shutil.rmtree(service.root / ".dockyard")


def verify_all(layout: Layout) -> None:
    for descriptor in layout.index().values():
        for one in layout.reachable(descriptor):
            layout.verify(one)


def test_push_pull_and_what_they_say(service: Service, registry: Registry) -> None:
    missing = service.invoke("cache.push")
    assert missing.status == CacheError.exit_code
    assert "DOCKYARD_CACHE_BACKENDS=local invoke build" in missing.stderr
    empty = service.invoke("cache.pull")
    assert empty.status == 0, empty.stderr
    assert "has no cache yet" in empty.stdout

    registry.reset()
    fill_layout(local(service).root, MAIN, [content(service)])
    dry = result(service, "cache.push", "--dry-run")
    assert dry["bytes_moved"] >= SIZE
    assert registry.blob_bytes_received() == 0
    pushed = service.invoke("cache.push")
    assert pushed.status == 0, pushed.stderr
    assert registry.blob_bytes_received() == dry["bytes_moved"]
    # Branch main moves the shared tag along.
    assert f"{MAIN}, {SHARED}  sha256:" in pushed.stdout
    assert pushed.stdout.splitlines()[-1].startswith(
        "pushed 3.0 MB in 2 blobs, skipped 0 B in 0 blobs"
    )
    assert f"{MAIN}: 3.0 MB to move" in pushed.stderr
    again = service.invoke("cache.push").stdout.splitlines()[-1]
    assert again.startswith("pushed 0 B in 0 blobs, skipped 3.0 MB in 2 blobs")

    forget_local(service)
    pulled = service.invoke("cache.pull")
    assert pulled.stdout.splitlines()[-1].startswith("pulled 3.0 MB in 2 blobs, skipped 0 B")
    assert set(local(service).index()) == {MAIN}
    verify_all(local(service))
    assert service.invoke("cache.pull").stdout.splitlines()[-1].startswith("pulled 0 B in 0 blobs")


def test_the_mount_alone(service: Service, registry: Registry) -> None:
    kept = {"DOCKYARD_CACHE_MOUNTS": "built"}
    nothing = result(service, "cache.push", "--mounts", **kept)
    assert (nothing["layers"], nothing["mounts"]) == (None, None)
    fill_layout(local(service).root, MAIN, [content(service)])
    fill_layout(local(service).root, MOUNTS, [content(service, "mount", 10_000)])
    registry.reset()
    pushed = result(service, "cache.push", "--mounts", **kept)
    assert pushed["mounts"]["tags"] == [MOUNTS]
    assert pushed["layers"] is None
    assert 10_000 < registry.blob_bytes_received() < SIZE
    with pytest.raises(LookupError):
        registry.manifest(f"team/{service.name}", MAIN)

    result(service, "cache.push")
    forget_local(service)
    would = result(service, "cache.pull", "--mounts", "--dry-run", **kept)
    assert would["mounts"]["tags"] == [MOUNTS]
    assert would["layers"] is None
    assert 10_000 < would["bytes_moved"] < SIZE
    off = result(service, "cache.pull", "--mounts")
    assert off["notes"] == ["DOCKYARD_CACHE_MOUNTS is none: there is nothing to pull"]


def test_the_best_cache_is_pulled(service: Service) -> None:
    push_made(service)
    service.git("checkout", "--quiet", "-b", "feature")
    forget_local(service)
    found = result(service, "cache.pull")
    assert found["layers"]["tags"] == [MAIN]
    own = "cache-linux-amd64-feature"
    fill_layout(local(service).root, own, [content(service, "own", 10_000)])
    assert result(service, "cache.push")["layers"]["tags"] == [own]
    forget_local(service)
    assert result(service, "cache.pull")["layers"]["tags"] == [own]
    forget_local(service)
    other = result(service, "cache.pull", DOCKYARD_DEFAULT_BRANCH="trunk", GITHUB_REF="")
    assert other["layers"]["tags"] == [own]
    service.git("checkout", "--quiet", "-b", "another")
    shared = result(service, "cache.pull", DOCKYARD_DEFAULT_BRANCH="trunk")
    assert shared["layers"]["tags"] == [SHARED]


def test_a_killed_pull_leaves_the_cache_and_the_next_goes_on(
    service: Service, registry: Registry
) -> None:
    large = content(service)
    push_made(service, large, content(service, "small", 1_000))
    forget_local(service)
    fill_layout(local(service).root, MAIN, [content(service, "previous", 5_000)])
    previous = local(service).index()
    digest = descriptor_of(large).digest
    asked: list[bool] = []
    killed = threading.Event()

    def hold(request: Request) -> Fault | None:
        if request.method != "GET" or request.digest != digest:
            return None
        asked.append(True)
        if len(asked) == 1:
            return Fault(cut_after=2_000_000)
        killed.wait(30)
        return None

    registry.reset()
    registry.fault = hold
    ended = service.interrupt_when(lambda: len(asked) == 2, signal.SIGKILL, "cache.pull")
    killed.set()
    assert ended.status == -signal.SIGKILL
    assert local(service).index() == previous
    verify_all(local(service))
    (partial,) = (local(service).root / "ingest").glob(f"{digest.removeprefix('sha256:')}*")
    arrived = partial.stat().st_size
    assert arrived > 1_000_000

    registry.reset()
    pulled = result(service, "cache.pull")
    assert pulled["bytes_moved"] == registry.blob_bytes_served() <= SIZE - arrived + 2_000
    verify_all(local(service))
    assert local(service).index()[MAIN].digest == pulled["layers"]["digest"]
    assert not list((local(service).root / "ingest").glob("*.partial"))
    assert not list((local(service).root / "snapshots").iterdir())


def clear_error(done: Ran, status: int, words: str) -> None:
    assert done.status == status, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert words in errors[0]
    assert "  → " in done.stderr
    assert "Traceback" not in done.stderr


FAULTS: dict[str, tuple[Callable[[Request], Fault | None], int, str]] = {
    "401": (lambda request: Fault(status=401), NetworkError.exit_code, "wants a login"),
    "500 in the middle": (
        lambda request: Fault(status=500) if "/blobs/sha256:" in request.path else None,
        NetworkError.exit_code,
        "500 Internal Server Error",
    ),
    "a blob is missing": (
        lambda request: Fault(status=404) if "/blobs/sha256:" in request.path else None,
        CacheError.exit_code,
        "and not the blob sha256:",
    ),
}


def test_faults_are_one_clear_error_and_leave_the_cache(
    service: Service, registry: Registry
) -> None:
    push_made(service)
    forget_local(service)
    fill_layout(local(service).root, MAIN, [content(service, "previous", 5_000)])
    previous = local(service).index()
    for fault, status, words in FAULTS.values():
        registry.fault = fault
        clear_error(service.invoke("cache.pull"), status, words)
        assert local(service).index() == previous
    registry.fault = None
    server = LoopbackServer(type("Handler", (), {}))
    nobody = server.host
    server.server_close()
    refused = service.invoke("cache.pull", DOCKYARD_REGISTRY=f"{nobody}/team")
    clear_error(refused, NetworkError.exit_code, "refuses the connection")
    unset = service.invoke("cache.pull", DOCKYARD_REGISTRY="")
    clear_error(unset, SettingsError.exit_code, "no registry to keep the cache in")
    verify_all(local(service))
    result(service, "cache.pull")
    verify_all(local(service))


def test_a_login_from_dockers_configuration_is_never_shown(
    service: Service, registry: Registry, tmp_path: Path
) -> None:
    import base64

    folder = tmp_path / "docker"
    folder.mkdir()
    pair = base64.b64encode(f"somebody:{PASSWORD}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": pair}}}))
    registry.login = Login("somebody", PASSWORD, tokens=True)
    fill_layout(local(service).root, MAIN, [content(service)])
    shown = [service.invoke("cache.push"), service.invoke("cache.pull", "--json")]
    assert [one.status for one in shown] == [0, 0], shown
    registry.login = Login("somebody", "another", tokens=True)
    refused = service.invoke("cache.pull")
    clear_error(refused, NetworkError.exit_code, "wants a login")
    for one in (*shown, refused):
        assert not {PASSWORD, pair} & set((one.stdout + one.stderr).split())
        assert PASSWORD not in one.stdout + one.stderr
