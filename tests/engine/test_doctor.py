"""`invoke doctor` on a machine that is in order, and on some that are not."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dockyard.errors import EXIT_PROBLEMS
from support.base import buildkit_image
from support.engine import Cleanup, docker, random_name
from support.index import PackageIndex
from support.registry import Login, Registry
from support.service import Service
from support.wheels import make_wheel

Findings = dict[str, list[dict[str, Any]]]


@pytest.fixture
def service(tmp_path: Path, package_index: PackageIndex, base_images: Any) -> Service:
    name = random_name()
    package_index.add(make_wheel(tmp_path, name, "1.0", size=300_000))
    made = Service(
        tmp_path / "service",
        random_name(),
        {name: "==1.0"},
        index_url=package_index.url,
        python_image=base_images.python,
        uv_image=base_images.uv,
    )
    made.environment["DOCKER_CONFIG"] = str(tmp_path / "docker")
    # A builder of the developer's is none of the test's.
    made.environment["DOCKYARD_BUILDER_NAME"] = random_name()
    package_index.reset()
    return made


def examined(service: Service, *arguments: str, status: int = 0, **changes: str) -> Findings:
    done = service.invoke("doctor", "--json", *arguments, **changes)
    assert done.status == status, done.stdout + done.stderr
    found: Findings = {}
    for one in json.loads(done.stdout)["findings"]:
        found.setdefault(one["topic"], []).append(one)
    return found


def verdicts(found: Findings, topic: str) -> list[str]:
    return [one["verdict"] for one in found[topic]]


def only(*topics: str) -> list[str]:
    return [word for topic in topics for word in ("--only", topic)]


def test_a_machine_in_order(service: Service, registry: Registry, tmp_path: Path) -> None:
    registry.login = Login("me", "hush-and-never-tell")
    before = {path: path.stat().st_mtime_ns for path in service.root.rglob("*")}
    found = examined(service)
    bad = [one for listed in found.values() for one in listed if one["verdict"] != "ok"]
    assert bad == []
    assert len(found) == 19
    assert before == {path: path.stat().st_mtime_ns for path in service.root.rglob("*")}
    # With a login at a registry, whose password nobody sees.
    topics = only("registries", "credentials", "clock")
    changes: dict[str, Any] = {"DOCKYARD_REGISTRY": f"{registry.host}/team"}
    without = examined(service, *topics, status=EXIT_PROBLEMS, **changes)
    assert f"docker login {registry.host}" in without["credentials"][0]["fix"]
    command = ["docker", "login", registry.host, "--username", "me", "--password-stdin"]
    environment = {**os.environ, "DOCKER_CONFIG": str(tmp_path / "docker")}
    secret = b"hush-and-never-tell"
    subprocess.run(command, input=secret, env=environment, check=True, capture_output=True)
    done = service.invoke("doctor", *topics, **changes)
    assert done.status == 0, done.stdout
    assert "present (from" in done.stdout
    assert "hush" not in done.stdout + done.stderr


def test_no_engine(service: Service) -> None:
    found = examined(service, status=EXIT_PROBLEMS, DOCKER_HOST="tcp://127.0.0.1:9")
    (engine,) = found["engine"]
    assert "no Docker Engine answers" in engine["summary"]
    assert "DOCKER_HOST=tcp://127.0.0.1:9" in engine["evidence"]
    assert "systemctl start docker" in engine["fix"]
    for topic in ("image-store", "builder", "buildkit", "gc"):
        assert verdicts(found, topic) == ["unknown"]
    for topic in ("buildx", "settings", "lock", "dockerfile", "context", "mirrors"):
        assert verdicts(found, topic) == ["ok"]


def test_no_docker_and_no_project(tmp_path: Path) -> None:
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from dockyard.program import main; main()",
            "doctor",
            "--only",
            "engine",
            "--only",
            "settings",
            "--only",
            "lock",
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == EXIT_PROBLEMS, done.stdout + done.stderr
    assert "the docker command is not installed" in done.stdout
    assert "there is no pyproject.toml here" in done.stdout
    assert "? lock" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("2 problems, 1 unknown (")


def test_what_is_broken_is_named(service: Service) -> None:
    (service.root / "file").write_text("")
    with service.dockerfile.open("a") as file:
        file.write("\n# mine\n")
    (service.root / ".env").write_text("DOCKYARD_PORTS=8000\nUV_INDEX_URL=http://127.0.0.1:9/s\n")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{listening.getsockname()[1]}/simple"
        found = examined(
            service,
            *only("cache-directory", "dockerfile", "settings", "mirrors", "certificates"),
            status=EXIT_PROBLEMS,
            DOCKYARD_CACHE_DIR="file/cache",
            DOCKYARD_UV_MIRRORS=dead,
            SSL_CERT_FILE="/gone.pem",
        )
    (cache,) = found["cache-directory"]
    assert cache["verdict"] == "problem"
    assert cache["evidence"] == str(service.root / "file")
    (dockerfile,) = found["dockerfile"]
    assert "edited by hand, and its settings have changed" in dockerfile["summary"]
    assert "invoke init --replace" in dockerfile["fix"]
    settings = {one["evidence"]: one for one in found["settings"]}
    assert "UV_DEFAULT_INDEX" in settings[".env, line 2, UV_INDEX_URL"]["fix"]
    mirrors = {one["verdict"]: one for one in found["mirrors"]}
    assert dead in mirrors["problem"]["summary"]
    assert "refused" in mirrors["problem"]["evidence"]
    assert mirrors["ok"]["summary"] == f"the index {service.index_url} answers"
    assert "no such file" in found["certificates"][0]["summary"]


def test_fix_mends_what_is_safe_and_says_so(service: Service) -> None:
    stale = service.root / ".dockyard/cache/snapshots/1-dead"
    stale.mkdir(parents=True)
    builds = service.root / ".dockyard/builds"
    builds.mkdir()
    (builds / "20260101T000000.000Z-1.json").write_text("{")
    # Nobody edited the Dockerfile, and a setting changes.
    changes: dict[str, Any] = {"DOCKYARD_PORTS": "8000"}
    topics = only("dockerfile", "state")
    before = service.dockerfile.read_text()
    found = examined(service, *topics, **changes)
    assert verdicts(found, "dockerfile") == ["note"]
    assert verdicts(found, "state") == ["note", "note"]

    dry = service.invoke("doctor", "--fix", "--dry-run", *topics, **changes)
    assert dry.status == 0, dry.stderr
    assert f"would do leftovers: remove {stale}" in dry.stdout
    assert f"would do records: set aside {builds}/20260101T000000.000Z-1.json" in dry.stdout
    assert "would do dockerfile: render again docker/Dockerfile" in dry.stdout
    assert stale.is_dir()
    assert service.dockerfile.read_text() == before

    fixed = service.invoke("doctor", "--fix", *topics, **changes)
    assert fixed.status == 0, fixed.stderr
    assert f"did leftovers: removed {stale}" in fixed.stdout
    assert not stale.exists()
    assert [one.name for one in builds.iterdir()] == ["unreadable"]
    assert "EXPOSE 8000" in service.dockerfile.read_text()
    assert fixed.stdout.splitlines()[-1].startswith("2 in order (")
    again = service.invoke("doctor", "--fix", *topics, **changes)
    assert "nothing that can be repaired without you" in again.stdout


def test_fix_makes_the_builder_and_brings_it_back(service: Service, cleanup: Cleanup) -> None:
    name = cleanup.name("builder", service.environment["DOCKYARD_BUILDER_NAME"])
    cleanup.name("volume", f"buildx_buildkit_{name}0_state")
    changes: dict[str, Any] = {
        "DOCKYARD_DRIVER": "docker-container",
        "DOCKYARD_BUILDKIT_IMAGE": buildkit_image(),
        "DOCKER_CONFIG": os.environ.get("DOCKER_CONFIG", str(Path.home() / ".docker")),
    }
    topics = only("builder", "buildkit", "gc")
    made = examined(service, *topics, "--fix", **changes)
    assert [verdicts(made, topic) for topic in ("builder", "buildkit", "gc")] == [["ok"]] * 3
    assert name in docker("buildx", "ls", "--format", "{{.Name}}").splitlines()
    # Another budget: what is in force is not what the settings want.
    changes["DOCKYARD_CACHE_BUDGET"] = "1GB"
    (other,) = examined(service, *only("builder"), status=EXIT_PROBLEMS, **changes)["builder"]
    assert "garbage collection" in other["evidence"]
    assert other["repair"] == "builder"
    again = examined(service, *topics, "--fix", **changes)
    assert verdicts(again, "builder") == ["ok"]
    assert "at most 1.0 GB" in again["gc"][0]["evidence"]
