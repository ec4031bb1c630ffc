"""`invoke optimize` on a service with a fat context, and with tests among its packages."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from support.engine import Cleanup, random_name
from support.index import PackageIndex
from support.service import Service
from support.wheels import write_wheel

TESTS_BYTES = 200_000
DATA_BYTES = 300_000


@pytest.fixture
def service(
    tmp_path: Path, package_index: PackageIndex, base_images: Any, cleanup: Cleanup
) -> Service:
    """One dependency with tests that nothing refers to, and tests that something does."""
    package, name = random_name(), random_name()
    module = package.replace("-", "_")
    files = {
        f"{module}/__init__.py": b"from . import used\n",
        f"{module}/tests/__init__.py": b"",
        f"{module}/tests/data.bin": bytes(range(250)) * (TESTS_BYTES // 250),
        f"{module}/used/__init__.py": b"from .tests import helper\n",
        f"{module}/used/tests/__init__.py": b"",
        f"{module}/used/tests/helper.py": b"TEXT = 'x'\n" * 10_000,
    }
    package_index.add(write_wheel(tmp_path, package, "1.0", files, ()))
    made = Service(
        tmp_path / "service",
        name,
        {package: "==1.0"},
        index_url=package_index.url,
        python_image=base_images.python,
        uv_image=base_images.uv,
    )
    cleanup.repository(name)
    return made


def proposed(service: Service, *arguments: str) -> dict[str, Any]:
    done = service.invoke("optimize", "--json", *arguments)
    assert done.status == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_proposals_are_measured_applied_and_then_gone(service: Service) -> None:
    ignore = service.root / ".dockerignore"
    # Copy mode does not build the project, so its build backend is no part of the image's needs.
    lines = [line for line in ignore.read_text().splitlines() if line != "!build_backend"]
    ignore.write_text("\n".join([*lines, "!data.bin", ""]))
    (service.root / "data.bin").write_bytes(b"x" * DATA_BYTES)
    pyproject = service.root / "pyproject.toml"
    # Dockyard's own settings are what decides, as in a real repository.
    before = pyproject.read_text().replace("[tool.dockyard]", "[tool.dockyard]  # ours")
    pyproject.write_text(before)
    service.build()

    found = proposed(service)
    gains = {(one["topic"], one["change"]["kind"]): one for one in found["proposals"]}
    assert gains["context", "AddLines"]["change"]["lines"] == ["data.bin"]
    assert gains["context", "AddLines"]["gain_bytes"] == DATA_BYTES
    assert gains["weight", "SetSetting"]["change"]["value"] == "tests"
    assert gains["weight", "SetSetting"]["gain_bytes"] == TESTS_BYTES
    assert all(one["applies"] for one in gains.values())
    assert "+data.bin" in found["diff"]
    assert pyproject.read_text() == before, "nothing is written without --apply"

    applied = proposed(service, "--apply")
    assert {one["topic"] for one in applied["applied"]} == {"context", "weight"}
    assert applied["proposals"] == []
    assert ignore.read_text().endswith("!data.bin\ndata.bin\n")
    assert pyproject.read_text() == before.rstrip("\n") + '\nslim = ["bytecode", "tests"]\n'
    kept = {path: (service.root / path).read_text() for path in applied["backups"]}
    assert before in kept.values()

    assert proposed(service)["proposals"] == []
    record = service.build()
    holds = sum(one["size"] for one in record["layers"] if one["holds"].startswith("dependencies"))
    assert holds < TESTS_BYTES, "what was proposed is what the next build leaves out"
    assert proposed(service)["proposals"] == []


def test_an_edited_dockerfile_is_named_line_by_line_and_left_alone(service: Service) -> None:
    dockerfile = service.root / "docker/Dockerfile"
    edited = dockerfile.read_text() + "RUN true\n"
    dockerfile.write_text(edited)
    line = len(edited.splitlines())

    done = service.invoke("optimize", "--apply", "--only", "order", "--only", "weight")
    assert done.status == 0, done.stderr
    assert f"docker/Dockerfile, line {line}: RUN executes after a linked COPY" in done.stdout
    assert "not looked at: weight: no build is recorded" in done.stdout
    assert dockerfile.read_text() == edited

    done = service.invoke("optimize", "--only", "wait")
    assert done.status == 3
    assert "the topics are layers, context" in done.stderr


def test_mirrors_are_probed_and_put_in_order(service: Service, package_index: PackageIndex) -> None:
    with socket.socket() as bound:
        # Bound and not listening: nobody answers there, and nobody else can get the port.
        bound.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{bound.getsockname()[1]}/simple"
        alive = package_index.url.rstrip("/")
        pyproject = service.root / "pyproject.toml"
        pyproject.write_text(pyproject.read_text() + f'uv-mirrors = ["{dead}", "{alive}"]\n')
        applied = proposed(service, "--apply", "--only", "mirrors")
        assert f'uv-mirrors = ["{alive}", "{dead}"]' in pyproject.read_text()
        assert applied["proposals"] == []
        assert any(dead in note for note in applied["notes"])
        assert proposed(service, "--only", "mirrors")["proposals"] == []
