"""Caches in a registry and in S3: what a fresh builder reads and writes, and what may go wrong."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from support.builders import throwaway_builder
from support.engine import random_name
from support.index import PackageIndex
from support.registry import Fault, Registry, Request
from support.service import Service, ran_steps
from support.wheels import make_wheel

SIZES = {"large": 2_000_000, "small": 400_000}


class Pushed:
    """A service that is pushed to the test's registry, each time by a builder that starts empty."""

    def __init__(self, service: Service, packages: dict[str, str], registry: Registry) -> None:
        self.service = service
        self.packages = packages
        self.registry = registry
        self.repository = f"acme/{service.name}"
        self.small = "1.0"

    def edit(self) -> None:
        """Change one source file."""
        self.service.module.write_text(f"VALUE = {random_name()!r}\n")

    def change_small_package(self) -> None:
        """Lock the small package's other version."""
        self.small = "2.0" if self.small == "1.0" else "1.0"
        versions = {self.packages["large"]: "==1.0", self.packages["small"]: f"=={self.small}"}
        self.service.lock(versions)

    def build(self, *arguments: str, **changes: str) -> dict[str, Any]:
        with throwaway_builder() as builder:
            return self.service.build(*arguments, DOCKYARD_BUILDER=builder, **changes)

    def push(self, fault: Callable[[Request], Fault | None] | None = None) -> dict[str, Any]:
        """Push; the registry has then counted this build alone."""
        self.registry.reset()
        self.registry.fault = fault
        try:
            return self.build("--push")
        finally:
            self.registry.fault = None

    def manifest(self, tag: str) -> dict[str, Any]:
        return self.registry.manifest(self.repository, tag)

    def layer_sizes(self, tag: str) -> dict[str, int]:
        return {layer["digest"]: layer["size"] for layer in self.manifest(tag)["layers"]}

    def missing_layers(self, tag: str) -> list[str]:
        """Ask the registry for each layer of a manifest."""
        missing = []
        with closing(self.registry.connect()) as connection:
            for digest in self.layer_sizes(tag):
                connection.request("HEAD", f"/v2/{self.repository}/blobs/{digest}")
                answer = connection.getresponse()
                answer.read()
                missing += [digest] if answer.status != 200 else []
        return missing


@pytest.fixture(scope="module")
def pushed(
    tmp_path_factory: pytest.TempPathFactory,
    package_index_server: PackageIndex,
    registry_server: Registry,
    images_in_registry: Any,
) -> Pushed:
    """A service whose image and cache are in the registry."""
    folder = tmp_path_factory.mktemp("pushed")
    packages = {role: random_name() for role in SIZES}
    for role, name in packages.items():
        for version in ("1.0", "2.0"):
            wheel = make_wheel(folder, name, version, size=SIZES[role], seed=version)
            package_index_server.add(wheel)
    service = Service(
        folder / "service",
        random_name(),
        dict.fromkeys(packages.values(), "==1.0"),
        index_url=package_index_server.url,
        python_image=images_in_registry.python,
        uv_image=images_in_registry.uv,
    )
    service.environment |= {
        "DOCKYARD_DRIVER": "docker-container",
        "DOCKYARD_REGISTRY": f"{registry_server.host}/acme",
    }
    made = Pushed(service, packages, registry_server)
    made.push()
    return made


def other_than_sources(record: dict[str, Any]) -> list[str]:
    """The steps that ran although only sources had changed."""
    return [step for step in ran_steps(record) if "/src" not in step]


def test_a_fresh_builder_reads_kilobytes_for_a_code_change(pushed: Pushed) -> None:
    pushed.edit()
    record = pushed.push()
    assert other_than_sources(record) == []
    assert 0 < pushed.registry.blob_bytes_served() < 64 * 1024
    assert pushed.registry.blob_bytes_received() < 64 * 1024
    assert record["notes"] == []
    assert pushed.manifest("cache-linux-amd64-main") == pushed.manifest("cache-linux-amd64-latest")


def test_a_small_package_pushes_its_own_layer_once(pushed: Pushed) -> None:
    before = pushed.layer_sizes("latest")
    pushed.change_small_package()
    record = pushed.push()
    installed = [step for step in ran_steps(record) if step.startswith("dependencies-")]
    assert len(installed) == 1
    new = [size for digest, size in pushed.layer_sizes("latest").items() if digest not in before]
    layer = max(new)
    assert layer >= SIZES["small"]
    assert pushed.registry.blob_bytes_received() <= 2 * layer
    # What a builder imports after that must still know the layer that was installed anew.
    pushed.edit()
    record = pushed.push()
    assert other_than_sources(record) == []
    assert pushed.registry.blob_bytes_served() < 64 * 1024


def test_a_new_branch_starts_from_the_default_branch_and_leaves_its_cache_alone(
    pushed: Pushed,
) -> None:
    before = pushed.manifest("cache-linux-amd64-main")
    pushed.service.commit()
    pushed.service.git("checkout", "--quiet", "-b", "topic")
    try:
        pushed.edit()
        assert other_than_sources(pushed.push()) == []
        assert pushed.manifest("cache-linux-amd64-topic") != before
        assert pushed.manifest("cache-linux-amd64-main") == before
        assert pushed.manifest("cache-linux-amd64-latest") == before
        # A commit alone, as CI services check it out; they name the branch by a variable.
        pushed.service.commit()
        pushed.service.git("checkout", "--quiet", "--detach")
        pushed.edit()
        record = pushed.build("--push", GITHUB_HEAD_REF="topic", GITHUB_REF_NAME="7/merge")
        assert record["revision"]["branch"] == "topic"
        assert other_than_sources(record) == []
    finally:
        pushed.service.git("checkout", "--quiet", "--force", "main")


def refuse(status: int) -> Callable[[Pushed], Callable[[Request], Fault | None]]:
    def decide(request: Request) -> Fault | None:
        return Fault(status=status) if "/manifests/cache-" in request.path else None

    return lambda pushed: decide


def refuse_to_write(pushed: Pushed) -> Callable[[Request], Fault | None]:
    def decide(request: Request) -> Fault | None:
        writing = request.method == "PUT" and "/manifests/cache-" in request.path
        return Fault(status=507) if writing else None

    return decide


def lose_layers(pushed: Pushed) -> Callable[[Request], Fault | None]:
    layers = pushed.layer_sizes("cache-linux-amd64-main")

    def decide(request: Request) -> Fault | None:
        reading = request.method in ("GET", "HEAD") and pushed.repository in request.path
        return Fault(status=404) if reading and request.digest in layers else None

    return decide


def cut_blobs_short(pushed: Pushed) -> Callable[[Request], Fault | None]:
    answered: set[str] = set()

    def decide(request: Request) -> Fault | None:
        if request.method != "GET" or "/blobs/" not in request.path or request.path in answered:
            return None
        answered.add(request.path)
        return Fault(cut_after=100)

    return decide


@pytest.mark.parametrize(
    ("fault", "words", "imported"),
    [
        (refuse(500), ["could not be imported", "could not be exported", "500"], False),
        (refuse(401), ["could not be imported", "could not be exported", "401"], False),
        (refuse_to_write, ["could not be exported"], True),
        (lose_layers, ["built again without"], False),
        (cut_blobs_short, [], True),
    ],
    ids=["answers 500", "refuses auth", "is full", "lost a layer", "breaks off"],
)
def test_a_build_never_fails_for_what_a_registry_does_to_its_cache(
    pushed: Pushed,
    fault: Callable[[Pushed], Callable[[Request], Fault | None]],
    words: list[str],
    imported: bool,
) -> None:
    before = pushed.manifest("cache-linux-amd64-main")
    pushed.edit()
    record = pushed.push(fault(pushed))
    assert record["outcome"] == "succeeded"
    notes = " ".join(record["notes"])
    assert [word for word in words if word not in notes] == []
    assert bool(words) == bool(notes)
    assert (other_than_sources(record) == []) is imported
    # The cache that is there now, old or new, is whole.
    assert pushed.missing_layers("cache-linux-amd64-main") == []
    if "could not be exported" in notes:
        assert pushed.manifest("cache-linux-amd64-main") == before


def test_a_registry_that_is_down_costs_only_time(pushed: Pushed) -> None:
    pushed.edit()
    backend = "registry:ref=127.0.0.1:1/acme/cache"
    record = pushed.build("--no-load", DOCKYARD_CACHE_BACKENDS=backend)
    assert record["outcome"] == "succeeded"
    assert [note.partition(":")[0] for note in record["notes"]] == [
        "the cache 127.0.0.1",
        "the cache could not be exported to registry",
    ]
    assert all("connection refused" in note for note in record["notes"])


@pytest.fixture
def bucket() -> Iterator[tuple[str, str]]:
    """An S3 server's URL and the name of a bucket there."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        urllib.request.urlopen(urllib.request.Request(f"{url}/builds", method="PUT")).close()
        yield url, "builds"
    finally:
        server.stop()


def test_the_cache_in_s3(pushed: Pushed, bucket: tuple[str, str]) -> None:
    url, name = bucket
    secret = random_name()
    options = (
        f"s3:bucket={name},region=us-east-1,endpoint_url={url},use_path_style=true,"
        f"access_key_id=AKIATEST,secret_access_key={secret}"
    )
    pushed.edit()
    pushed.build("--no-load", DOCKYARD_CACHE_BACKENDS=options)
    with urllib.request.urlopen(f"{url}/{name}?list-type=2&prefix=manifests/") as answer:
        listed = answer.read().decode()
    for tag in ("main", "latest"):
        assert f"manifests/{pushed.service.name}/cache-linux-amd64-{tag}" in listed
    pushed.edit()
    record = pushed.build("--no-load", DOCKYARD_CACHE_BACKENDS=options)
    assert record["notes"] == []
    assert other_than_sources(record) == []
    printed = pushed.service.invoke("build", "--print", DOCKYARD_CACHE_BACKENDS=options)
    assert "type=s3" in printed.stdout
    assert secret not in json.dumps(record) + printed.stdout + printed.stderr
