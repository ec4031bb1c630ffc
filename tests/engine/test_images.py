"""`push` and `pull` of the image through the engine: bytes, logins, and errors in its events."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockyard.errors import ImageUnavailableError, NetworkError, SettingsError
from support.engine import Cleanup, docker, random_name
from support.index import PackageIndex
from support.layouts import random_bytes
from support.registry import Fault, Login, Registry, Request
from support.service import Service

LARGE, SMALL = 2_500_000, 500
PASSWORD = "s3cret-pass-word"


@pytest.fixture
def service(
    tmp_path: Path,
    registry: Registry,
    package_index: PackageIndex,
    base_images: Any,
    cleanup: Cleanup,
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
    made.environment["DOCKER_CONFIG"] = str(tmp_path / "docker")
    for tag in ("latest", "1.0"):
        cleanup.name("image", f"{registry.host}/team/{made.name}:{tag}")
    return made


def make_image(service: Service, registry: Registry, large: str, small: str) -> None:
    """Make the service's image of a large and a small layer, without a base, under two tags."""
    folder = service.root / "made"
    folder.mkdir(exist_ok=True)
    (folder / "large").write_bytes(random_bytes(LARGE, large))
    (folder / "small").write_bytes(random_bytes(SMALL, small))
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY large /\nCOPY small /\n")
    names = [f"--tag={registry.host}/team/{service.name}:{tag}" for tag in ("latest", "1.0")]
    docker("buildx", "build", "--quiet", "--provenance=false", *names, str(folder))


def result(service: Service, *arguments: str) -> dict[str, Any]:
    done = service.invoke(*arguments, "--json")
    assert done.status == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_bytes_moved_and_skipped_are_the_registrys(service: Service, registry: Registry) -> None:
    make_image(service, registry, service.name, "first")
    registry.reset()
    pushed = result(service, "push")
    # The configuration is no layer: its few hundred bytes move as well.
    assert 0 < registry.blob_bytes_received() - pushed["bytes_moved"] < 1_000
    assert pushed["bytes_moved"] > LARGE
    assert (pushed["layers_moved"], pushed["layers_skipped"]) == (2, 0)
    repository = f"{registry.host}/team/{service.name}"
    assert pushed["references"] == [f"{repository}:1.0", f"{repository}:latest"]

    registry.reset()
    again = service.invoke("push")
    assert registry.blob_bytes_received() == 0
    assert again.stdout.splitlines()[-1].startswith(
        "pushed 0 B in 0 layers, skipped 2.5 MB in 2 layers"
    )

    make_image(service, registry, service.name, "second")
    registry.reset()
    changed = result(service, "push", "--tag", "latest")
    assert changed["layers_moved"] == 1
    assert changed["bytes_skipped"] > LARGE
    assert changed["bytes_moved"] < registry.blob_bytes_received() < 2_000

    # 1.0 still is the first image; what it shares with the second need not move.
    registry.reset()
    pulled = result(service, "pull", "--tag", "1.0")
    assert pulled["digest"] == pushed["digest"]
    assert pulled["bytes_moved"] + pulled["bytes_skipped"] == pushed["bytes_moved"]
    assert registry.blob_bytes_served() <= pulled["bytes_moved"] + 1_000


def test_what_the_engine_lacks_is_counted(
    service: Service, registry: Registry, tmp_path: Path
) -> None:
    from dockyard.caches.layout import MANIFEST_TYPE
    from dockyard.caches.registry_client import open_repository
    from support.layouts import descriptor_of, tar_of
    from support.settings import make_settings

    repository = f"{registry.host}/team/{service.name}"
    layers = [tar_of("a", random_bytes(LARGE, service.name)), tar_of("b", b"small")]
    described = [descriptor_of(one, "application/vnd.oci.image.layer.v1.tar") for one in layers]
    files = {"type": "layers", "diff_ids": [one.digest for one in described]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": files}).encode()
    held = descriptor_of(config, "application/vnd.oci.image.config.v1+json")
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": held.as_json(),
        "layers": [one.as_json() for one in described],
    }
    with open_repository(make_settings(), repository, {"DOCKER_CONFIG": "/none"}) as client:
        for descriptor, content in zip([*described, held], [*layers, config], strict=True):
            path = tmp_path / "blob"
            path.write_bytes(content)
            client.upload_blob(descriptor, path, lambda moved: None)
        client.write_manifest("latest", json.dumps(manifest).encode(), MANIFEST_TYPE)
    registry.reset()
    pulled = result(service, "pull")
    assert pulled["bytes_moved"] == sum(map(len, layers))
    assert (pulled["layers_moved"], pulled["layers_skipped"]) == (2, 0)
    assert registry.blob_bytes_served() == pulled["bytes_moved"] + len(config)
    again = result(service, "pull")
    assert (again["bytes_moved"], again["bytes_skipped"]) == (0, pulled["bytes_moved"])


FAULTS: dict[str, tuple[Callable[[Request], Fault | None], str]] = {
    "401": (lambda request: Fault(status=401), "does not accept the login"),
    "429": (lambda request: Fault(status=429), "too many requests"),
    "500 for a blob": (
        lambda request: Fault(status=500) if "/blobs/" in request.path else None,
        "fails: ",
    ),
}


def test_errors_in_the_events_are_errors(
    service: Service, registry: Registry, tmp_path: Path
) -> None:
    missing = service.invoke("push")
    assert missing.status == ImageUnavailableError.exit_code
    assert "`invoke build` makes it" in missing.stderr
    unknown = service.invoke("pull")
    assert unknown.status == ImageUnavailableError.exit_code, unknown.stderr
    nowhere = service.invoke("push", DOCKYARD_REGISTRY="")
    assert nowhere.status == SettingsError.exit_code

    make_image(service, registry, service.name, "faults")
    for fault, words in FAULTS.values():
        registry.fault = fault
        failed = service.invoke("push")
        assert failed.status == NetworkError.exit_code, failed.stderr
        assert words in failed.stderr
        assert failed.stderr.count("error: ") == 1
        assert "Traceback" not in failed.stderr
    registry.fault = None

    folder = tmp_path / "docker"
    folder.mkdir()
    pair = base64.b64encode(f"somebody:{PASSWORD}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": pair}}}))
    registry.login = Login("somebody", "another", tokens=True)
    refused = service.invoke("push")
    assert refused.status == NetworkError.exit_code
    assert "docker login" in refused.stderr
    registry.login = Login("somebody", PASSWORD, tokens=True)
    accepted = service.invoke("push")
    assert accepted.status == 0, accepted.stderr
    for one in (refused, accepted):
        assert PASSWORD not in one.stdout + one.stderr
        assert pair not in one.stdout + one.stderr
