"""`invoke cache.init` on a real engine: the builder is made, changed, repaired, or left alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from support.base import buildkit_image
from support.daemons import Daemon, free_port, make_certificates, start_daemon
from support.engine import Cleanup, DockerError, docker, random_name
from support.index import PackageIndex
from support.registry import Registry
from support.service import TASKS, Ran, Service
from support.wheels import make_wheel

# What of the environment would change the builder.
OWN = re.compile(r"DOCKYARD_|UV_|SSL_CERT_FILE|(?:https?|no)_proxy", re.IGNORECASE)


class Repository:
    """A repository with settings of its own, in which tasks run as a user would run them."""

    def __init__(self, root: Path, **environment: str) -> None:
        self.root = root
        self.name = random_name()
        self.environment = {"DOCKYARD_BUILDER_NAME": self.name, **environment}
        root.mkdir()
        (root / "tasks.py").write_text(TASKS)
        (root / "pyproject.toml").write_text('[project]\nname = "any"\n[tool.dockyard]\n')
        (root / "file").write_text("content\n" * 100)
        (root / "Dockerfile").write_text("FROM scratch\nCOPY file /\n")

    @property
    def container(self) -> str:
        """The container of the dedicated builder."""
        return f"buildx_buildkit_{self.name}0"

    def init(self, *flags: str, **changes: str) -> Ran:
        """Run `cache.init`."""
        kept = {name: value for name, value in os.environ.items() if not OWN.match(name)}
        done = subprocess.run(
            [sys.executable, "-m", "invoke", "cache.init", *flags],
            cwd=self.root,
            env={**kept, **self.environment, **changes},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def change(self, *flags: str, **changes: str) -> dict[str, Any]:
        """Run `cache.init`, which must succeed, and return what it did with the builder."""
        done = self.init("--json", *flags, **changes)
        assert done.status == 0, done.stderr
        builder = json.loads(done.stdout)["builder"]
        assert isinstance(builder, dict)
        return builder

    def copy_is_cached(self) -> bool:
        """Build on the dedicated builder; whether it found the COPY in its cache."""
        done = subprocess.run(
            [
                *("docker", "buildx", "build", "--builder", self.name, "--progress=rawjson"),
                *("--output", "type=cacheonly", str(self.root)),
            ],
            check=True,
            capture_output=True,
            text=True,
        )
        vertices = [
            vertex
            for line in done.stderr.splitlines()
            if line.startswith("{")
            for vertex in json.loads(line).get("vertexes") or ()
            if "COPY file" in vertex["name"] and vertex.get("completed")
        ]
        assert vertices, done.stderr
        return bool(vertices[-1].get("cached"))

    def caps(self) -> set[int]:
        """The caps that BuildKit itself says it keeps, in bytes."""
        for line in docker("buildx", "ls", "--format", "{{json .}}").splitlines():
            builder = json.loads(line)
            if builder["Name"] == self.name:
                rules = builder["Nodes"][0]["GCPolicy"]
                assert rules[-1]["all"]
                assert rules[-1]["keepDuration"] == 0
                return {rule["maxUsedSpace"] for rule in rules}
        return set()

    def inspect(self, template: str) -> str:
        """What the engine says about the container."""
        return docker("container", "inspect", "--format", template, self.container)

    def config(self) -> dict[str, Any]:
        """The configuration in the container."""
        return tomllib.loads(docker("exec", self.container, "cat", "/etc/buildkit/buildkitd.toml"))


@pytest.fixture
def repository(tmp_path: Path, cleanup: Cleanup) -> Repository:
    made = Repository(tmp_path / "repository")
    cleanup.name("builder", made.name)
    cleanup.name("container", made.container)
    cleanup.name("volume", f"{made.container}_state")
    return made


def test_created_once_then_left_alone(repository: Repository) -> None:
    dry = repository.change("--dry-run")
    assert (dry["action"], dry["dry_run"]) == ("create", True)
    assert not (repository.root / ".dockyard/cache").exists()
    with pytest.raises(DockerError):
        docker("container", "inspect", repository.container)

    assert repository.change()["action"] == "create"
    assert (repository.root / ".dockyard/cache").is_dir()
    assert repository.caps() == {512_000_000, 20 * 10**9}
    inspected = docker(
        "container", "inspect", "--format", "{{.Config.Image}}", repository.container
    )
    assert inspected == buildkit_image("v0.32.2")

    started = docker(
        "container", "inspect", "--format", "{{.State.StartedAt}}", repository.container
    )
    assert repository.change()["action"] == "leave"
    again = docker("container", "inspect", "--format", "{{.State.StartedAt}}", repository.container)
    assert again == started


def test_changed_settings_are_applied_and_the_cache_is_kept(repository: Repository) -> None:
    repository.change()
    assert not repository.copy_is_cached()
    changes = {
        "DOCKYARD_CACHE_BUDGET": "5GB",
        "DOCKYARD_MAX_PARALLELISM": "3",
        "DOCKYARD_IMAGE_MIRRORS": "mirror.example/hub",
        "DOCKYARD_NETWORK": "host",
    }
    change = repository.change(**changes)
    assert change["action"] == "replace"
    assert change["reasons"] == [
        "other driver options (network)",
        "other registries",
        "other garbage collection",
        "other parallelism",
        "its cache is kept",
    ]
    assert repository.caps() == {512_000_000, 5 * 10**9}
    config = repository.config()
    assert config["worker"]["oci"]["max-parallelism"] == 3
    assert config["registry"]["docker.io"]["mirrors"] == ["mirror.example/hub"]
    assert repository.inspect("{{.HostConfig.NetworkMode}}") == "host"
    assert repository.copy_is_cached()
    assert repository.change(**changes)["action"] == "leave"


def test_a_container_removed_behind_buildx_is_repaired(repository: Repository) -> None:
    repository.change()
    repository.copy_is_cached()
    docker("container", "rm", "--force", repository.container)
    change = repository.change()
    assert change["action"] == "start"
    assert "behind buildx's back" in change["reasons"][0]
    assert repository.copy_is_cached()
    docker("container", "stop", repository.container)
    assert repository.change()["action"] == "start"
    assert repository.change()["action"] == "leave"


def test_a_builder_that_somebody_else_changed_is_set_right(repository: Repository) -> None:
    repository.change()
    repository.copy_is_cached()
    # Another configuration under the same name, whose container and volume stay.
    docker("buildx", "rm", "--keep-state", "--keep-daemon", repository.name)
    assert repository.change(DOCKYARD_CACHE_BUDGET="5GB")["action"] == "create"
    assert repository.caps() == {512_000_000, 5 * 10**9}
    docker("buildx", "rm", "--keep-state", repository.name)
    image = f"image={buildkit_image()}"
    create = ("buildx", "create", "--name", repository.name, "--driver", "docker-container")
    docker(*create, "--driver-opt", image, "--bootstrap")
    change = repository.change(DOCKYARD_CACHE_BUDGET="5GB")
    assert (change["action"], change["reasons"][0]) == ("replace", "other garbage collection")
    assert repository.copy_is_cached()


def test_an_image_that_is_nowhere_leaves_nothing_behind(repository: Repository) -> None:
    done = repository.init(DOCKYARD_BUILDKIT_IMAGE="127.0.0.1:1/moby/buildkit:v0.0.1")
    assert done.status == 8
    assert "DOCKYARD_BUILDKIT_IMAGE: the image 127.0.0.1:1/moby/buildkit:v0.0.1" in done.stderr
    assert "local_images --ensure --only buildkit" in done.stderr
    assert repository.name not in docker("buildx", "ls")


# -------------------- a BuildKit elsewhere


@pytest.fixture
def remote(tmp_path: Path, cleanup: Cleanup) -> Daemon:
    """A buildkitd on loopback that wants TLS of both sides."""
    folder = tmp_path / "tls"
    folder.mkdir()
    make_certificates(folder)
    return start_daemon(folder, cleanup)


def test_remote_over_tls(repository: Repository, remote: Daemon) -> None:
    folder, given = remote.folder, remote.settings()
    stranger = {
        key: value for key, value in remote.settings("stranger").items() if given[key] != value
    }
    port = free_port()
    faults: list[tuple[dict[str, str], int, str]] = [
        ({"DOCKYARD_BUILDER_ENDPOINT": f"tcp://127.0.0.1:{port}"}, 10, "Connection refused"),
        ({"DOCKYARD_BUILDER_CA_FILE": str(folder / "stranger.pem")}, 6, "is not trusted"),
        ({"DOCKYARD_BUILDER_SERVER_NAME": "other.test"}, 6, "Hostname mismatch"),
        (stranger, 6, "refuses the TLS connection"),
        ({"DOCKYARD_BUILDER_KEY_FILE": str(folder / "none.key")}, 6, "cannot be read"),
    ]
    for change, status, message in faults:
        done = repository.init(**{**given, **change})
        assert (done.status, message in done.stderr) == (status, True), done.stderr
    assert repository.name not in docker("buildx", "ls")

    assert repository.change(**given)["action"] == "create"
    assert not repository.copy_is_cached()
    assert repository.copy_is_cached()
    assert repository.change(**given)["action"] == "leave"


# -------------------- builds


@pytest.fixture
def service(
    tmp_path: Path,
    package_index: PackageIndex,
    registry: Registry,
    base_images: Any,
    repository: Repository,
    cleanup: Cleanup,
) -> Service:
    """A service whose base images the dedicated builder finds in a registry."""
    references = []
    for image in (base_images.python, base_images.uv):
        reference = cleanup.name("image", f"{registry.host}/{image.partition('/')[2]}")
        docker("tag", image, reference)
        docker("push", "--quiet", reference)
        references.append(reference)
    wheel_name, name = random_name(), random_name()
    (tmp_path / "wheels").mkdir()
    package_index.add(make_wheel(tmp_path / "wheels", wheel_name, "1.0", size=5_000, seed=1))
    made = Service(
        tmp_path / "service",
        name,
        {wheel_name: "==1.0"},
        index_url=package_index.url,
        python_image=references[0],
        uv_image=references[1],
    )
    made.environment |= repository.environment
    cleanup.name("image", f"{name}:latest")
    return made


def test_a_build_that_needs_the_dedicated_builder_makes_it(
    service: Service, repository: Repository, registry: Registry
) -> None:
    service.environment["DOCKYARD_CACHE_BACKENDS"] = "none"
    pushed = service.build("--push", DOCKYARD_REGISTRY=registry.host)
    assert pushed["builder"]["name"] == repository.name
    assert pushed["builder"]["driver"] == "docker-container"
    assert any("was created" in note for note in pushed["notes"])

    named = service.build(DOCKYARD_BUILDER=repository.name)
    assert named["builder"]["driver"] == "docker-container"
    assert not any("was created" in note for note in named["notes"])

    assert service.build()["builder"]["driver"] == "docker"
    measured = service.build()
    assert measured["builder"]["driver"] == "docker"
    assert " × faster than dedicated" in measured["builder"]["reason"]

    missing = service.invoke("build", DOCKYARD_BUILDER=random_name())
    assert missing.status == 6
    assert "there is no builder" in missing.stderr
