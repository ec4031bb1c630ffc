"""Two BuildKits elsewhere, with nothing in common but a registry's cache."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from support.daemons import Daemon, make_certificates, start_daemon
from support.engine import Cleanup, docker, random_name
from support.images import put_layered_image
from support.index import PackageIndex
from support.registry import Registry
from support.service import Service, ran_steps
from support.wheels import make_wheel

SIZE = 1_000_000
# An arm64 program that a processor of another kind cannot run: the header of one (elf(5)).
FOREIGN = bytes.fromhex("7f454c460201010000000000000000000200b70001000000") + bytes(64)


class Machines(NamedTuple):
    """A service, and two daemons that build it."""

    service: Service
    first: Daemon
    second: Daemon
    python: str

    def settings(self, daemon: Daemon, client: str = "client") -> dict[str, str]:
        """Settings of a machine that builds on a daemon."""
        name = f"{self.service.name}-{'first' if daemon is self.first else 'second'}"
        return {"DOCKYARD_BUILDER_NAME": name, **daemon.settings(client)}


@pytest.fixture(scope="module")
def machines(
    tmp_path_factory: pytest.TempPathFactory, images_in_registry: Any, registry_server: Registry
) -> Iterator[Machines]:
    folder = tmp_path_factory.mktemp("machines")
    certificates = folder / "tls"
    certificates.mkdir()
    make_certificates(certificates)
    wheel_name, name = random_name(), random_name()
    wheel = make_wheel(folder, wheel_name, "1.0", size=SIZE)
    with Cleanup() as cleanup, PackageIndex() as index:
        index.add(wheel)
        service = Service(
            folder / "service",
            name,
            {wheel_name: "==1.0"},
            index_url=index.url,
            python_image=images_in_registry.python,
            uv_image=images_in_registry.uv,
        )
        service.environment["DOCKYARD_REGISTRY"] = registry_server.host
        for which in ("first", "second"):
            cleanup.name("builder", f"{name}-{which}")
        first, second = (start_daemon(certificates, cleanup) for _ in range(2))
        yield Machines(service, first, second, images_in_registry.python.partition("/")[2])


def change_code(service: Service) -> None:
    with service.module.open("a") as file:
        file.write(f"CHANGE = {secrets.token_hex(4)!r}\n")
    service.commit()


def test_a_code_change_on_another_machine_runs_its_copy_alone(
    machines: Machines, registry: Registry
) -> None:
    service = machines.service
    first = service.build("--push", **machines.settings(machines.first))
    assert first["builder"]["driver"] == "remote"
    assert any(step.startswith("dependencies-1: RUN") for step in ran_steps(first))
    change_code(service)
    registry.reset()
    second = service.build("--push", **machines.settings(machines.second))
    assert second["builder"]["name"] != first["builder"]["name"]
    assert ran_steps(second) == ["app-builder: COPY --link src /app/src"]
    # Neither the base image nor the dependencies travelled: manifests, keys, the sources' layer.
    assert registry.blob_bytes_served() < SIZE / 4
    assert registry.blob_bytes_received() < SIZE / 4


def test_a_client_that_the_daemon_does_not_know_is_refused(machines: Machines) -> None:
    settings = machines.settings(machines.second, client="stranger")
    refused = machines.service.invoke("build", "--push", **settings)
    assert refused.status == 6, refused.stderr
    assert f"{machines.second.endpoint} refuses the TLS connection" in refused.stderr
    assert "DOCKYARD_BUILDER_CERT_FILE" in refused.stderr
    assert "from the authority that its buildkitd trusts" in refused.stderr


def test_another_platform_needs_its_processor_for_steps_that_run_and_for_no_copy(
    machines: Machines, registry: Registry, cleanup: Cleanup
) -> None:
    """The base is one of arm64 by name, whose shell is what another processor cannot run."""
    repository = "arm64/python"

    def base(seed: str, **more: Any) -> str:
        put_layered_image(
            registry,
            machines.python,
            (repository,),
            size=1000,
            seed=seed,
            architecture="arm64",
            **more,
        )
        return f"{registry.host}/{repository}:{seed}"

    service = machines.service
    arm64 = {"DOCKYARD_PLATFORMS": "linux/arm64", "DOCKYARD_IMAGE": random_name()}
    able = {**arm64, "DOCKYARD_PYTHON_IMAGE": base("able")}
    service.build("--push", **able, **machines.settings(machines.first))
    change_code(service)
    registry.reset()
    record = service.build("--push", **able, **machines.settings(machines.second))
    assert record["inputs"]["platforms"] == ["linux/arm64"]
    assert ran_steps(record) == ["app-builder: COPY --link src /app/src"]
    assert registry.blob_bytes_served() < SIZE / 4

    unable = {**arm64, "DOCKYARD_PYTHON_IMAGE": base("unable", files={"usr/bin/sh": FOREIGN})}
    failed = service.invoke(
        "build", "--push", "--json", **unable, **machines.settings(machines.first)
    )
    assert failed.status == 6, failed.stderr
    assert "this builder cannot run programs of linux/arm64" in failed.stderr
    assert "tonistiigi/binfmt --install arm64" in failed.stderr
    assert json.loads(service.records()[-1].read_text())["seconds"] < 30


def test_a_daemon_that_is_gone_is_named_with_what_to_do(machines: Machines) -> None:
    docker("stop", "--time", "5", machines.first.container)
    failed = machines.service.invoke("build", "--push", **machines.settings(machines.first))
    assert failed.status == 10, failed.stderr
    assert f"nothing answers at {machines.first.endpoint}" in failed.stderr
    assert "start buildkitd there" in failed.stderr
    change_code(machines.service)
    other = machines.service.build("--push", **machines.settings(machines.second))
    assert ran_steps(other) == ["app-builder: COPY --link src /app/src"]
