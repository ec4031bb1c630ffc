"""Ten projects of strangers: init, build and build-check, with nothing but the built wheel."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from support.engine import Cleanup, docker, random_name
from support.frameworks import make_frameworks, make_with_origin
from support.index import PackageIndex
from support.installed import Installed, run
from support.mixed import git_server, write_package
from support.repositories import publish
from support.shapes import PROJECTS, Stranger

USER, PASSWORD = "builder", "tOp-s3cret-of-the-company"
ANSWER_SECONDS = 60.0
LISTENS = ("--host", "0.0.0.0", "--port", "8000")
# Debian's and Ubuntu's: behind a company's proxy, its authority is among them.
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True)
class Expected:
    """What ``init`` must propose, and how the container tells that it works.

    ``port``: of a service, whose answer to ``GET /`` names the shape; else the container prints
    ``output`` and ends. ``skipped``: checks that are left out, to save time.
    """

    settings: Mapping[str, Any]
    port: int | None = None
    output: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()


def connects(port: int) -> list[str]:
    code = f"import socket; socket.create_connection(('127.0.0.1', {port}), 3).close()"
    return ["python", "-c", code]


SHAPES = {
    "fastapi": Expected(
        {
            "command": ["uvicorn", "fastapi_service.main:app", *LISTENS],
            "ports": [8000],
            "health-check": connects(8000),
        },
        port=8000,
    ),
    "django-src": Expected(
        {
            "command": ["gunicorn", "bookshop.wsgi:application", "--bind", "0.0.0.0:8000"],
            "ports": [8000],
            "health-check": connects(8000),
        },
        port=8000,
    ),
    "flask-flat": Expected(
        {
            "copy-paths": ["app.py", "pages", "templates"],
            "command": ["gunicorn", "app:app", "--bind", "0.0.0.0:8000"],
            "ports": [8000],
            "health-check": connects(8000),
        },
        port=8000,
        # The one that fetches from PyPI: the build trusts whom this machine trusts.
        environment={"DOCKYARD_CA_FILE": str(AUTHORITIES)} if AUTHORITIES.exists() else {},
    ),
    "workspace": Expected(
        {
            "copy-paths": ["packages/api/src", "packages/core/src"],
            "command": ["uvicorn", "orders_api.main:app", *LISTENS],
            "ports": [8000],
            "health-check": connects(8000),
        },
        port=8000,
    ),
    "script": Expected(
        {"copy-paths": ["job.py"], "command": ["python", "-m", "job"]},
        output="script 3.10 14.0",
    ),
    "data-extras": Expected(
        {"extras": ["cpu"], "command": ["python", "-m", "forecast"]},
        output="data-extras 2.0 2.0 2.0+cpu",
    ),
    "c-extension": Expected(
        {
            "install": "wheel",
            "build-packages": ["gcc", "libc6-dev", "python3-dev"],
            "command": ["add"],
        },
        output="c-extension 5",
        # It runs every step that mounts a secret again: here, the installation of a compiler.
        skipped=("secrets",),
    ),
    "git-dependency": Expected(
        {"copy-paths": ["main.py"], "command": ["python", "-m", "main"]},
        output="git-dependency house-style 3.10",
    ),
    "second-index": Expected(
        {"command": ["python", "-m", "trainer"]},
        output="second-index the second index 3.10",
    ),
    "private-index": Expected(
        {"command": ["celery", "-A", "ledger", "worker", "--loglevel=INFO"]},
        output="private-index the company",
        environment={"UV_INDEX_COMPANY_USERNAME": USER, "UV_INDEX_COMPANY_PASSWORD": PASSWORD},
    ),
}


@dataclass(frozen=True)
class Site:
    """The servers that the projects' locks lead to, and nox in an environment of its own."""

    index: str
    addresses: Mapping[str, str]
    nox: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "bin").mkdir()
    (folder / "bin/nox").symlink_to(Path(sys.executable).with_name("nox"))
    repositories = folder / "repositories"
    repositories.mkdir()
    write_package(folder / "house-style", "house-style")
    publish(folder / "house-style", repositories / "house-style.git")
    with (
        PackageIndex() as index,
        PackageIndex() as second,
        PackageIndex(auth=(USER, PASSWORD)) as private,
        git_server(repositories) as git_url,
    ):
        for path in make_frameworks(folder / "packages"):
            index.add(path)
        second.add(make_with_origin(folder / "second", "torch", "the second index"))
        private.add(make_with_origin(folder / "private", "company_secrets", "the company"))
        addresses = {"SECOND": second.url, "PRIVATE": private.url, "GIT": git_url}
        yield Site(index.url, addresses, str(folder / "bin/nox"))


@pytest.fixture
def project(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    installed: Installed,
    site: Site,
    base_images: Any,
    cleanup: Cleanup,
) -> Stranger:
    """A shape's copy, before anybody thought of Dockyard."""
    shape = request.param
    name = cleanup.repository(random_name())
    return Stranger(
        tmp_path / shape,
        shape,
        installed=installed,
        index_url=None if shape == "flask-flat" else site.index,
        addresses=site.addresses,
        environment={
            "DOCKYARD_BUILDER": "default",
            "DOCKYARD_IMAGE": name,
            "DOCKYARD_NETWORK": "host",
            "DOCKYARD_PYTHON_IMAGE": base_images.python,
            "DOCKYARD_UV_IMAGE": base_images.uv,
            "IMAGE": name,
            **SHAPES[shape].environment,
        },
    )


def test_every_shape_is_tried() -> None:
    assert set(SHAPES) == {path.name for path in PROJECTS.iterdir() if path.is_dir()}


@pytest.mark.parametrize("project", SHAPES, indirect=True)
def test_a_strangers_project(project: Stranger, site: Site, cleanup: Cleanup) -> None:
    shape = project.root.name
    expected = SHAPES[shape]
    if shape == "script":
        convert(project, site)
    before = project.files()
    if shape == "fastapi":
        # As somebody who has nothing but uv: the wheel's name would be “dockyard”.
        wheel = str(project.installed.wheel)
        project.must("uv", "tool", "run", "--from", wheel, "dockyard", "init", "--yes")
    else:
        project.dockyard("init", "--yes")
    assert project.table == expected.settings
    after = project.files()
    kept = {path: text for path, text in before.items() if path != "pyproject.toml"}
    assert {path: after[path] for path in kept} == kept
    assert after["pyproject.toml"].startswith(before["pyproject.toml"].rstrip())
    again = project.dockyard("init", "--yes")
    assert again.stdout.splitlines()[-1] == "nothing to do"
    assert project.files() == after
    project.commit()

    assert project.build()["outcome"] == "succeeded"
    image = f"{project.environment['IMAGE']}:latest"
    if expected.port:
        assert ask(image, expected.port, cleanup)["shape"] == shape
    else:
        assert docker("run", "--rm", image) == expected.output

    left_out = [word for name in expected.skipped for word in ("--skip", name)]
    checked = project.run(site.nox, "-s", "build-check", "--", *left_out)
    assert checked.status == 0, checked.stdout + checked.stderr
    told = checked.stdout + checked.stderr
    assert PASSWORD not in told + (project.root / "docker/Dockerfile").read_text()


WAYS = {
    "requirements": {"requirements.txt": "idna==3.7\n", "requirements-dev.txt": "iniconfig\n"},
    "pip-tools": {"requirements.in": "idna\n", "requirements.txt": "idna==3.7\n"},
    "setup.py": {
        "setup.py": "from setuptools import setup\n\n"
        "setup(name='old', version='1', py_modules=[], install_requires=['idna==3.7'])\n"
    },
}


@pytest.mark.parametrize("files", WAYS.values(), ids=WAYS)
def test_the_way_to_uv_leads_there(
    tmp_path: Path, installed: Installed, files: Mapping[str, str]
) -> None:
    """The commands that a refusal names, as it names them; the packages are PyPI's own."""
    for name, text in {**files, "main.py": ""}.items():
        (tmp_path / name).write_text(text)
    refused = run(installed.command, "init", cwd=tmp_path)
    assert refused.status == 4
    for command in commands_in(refused.stderr):
        if command != "dockyard init":
            ran = run(*shlex.split(command), cwd=tmp_path)
            assert ran.status == 0, ran.stderr
    assert run(installed.command, "init", "--yes", cwd=tmp_path).status == 0
    assert 'name = "idna"\nversion = "3.7"' in (tmp_path / "uv.lock").read_text()


def commands_in(message: str) -> list[str]:
    return re.findall(r"^      (.+)$", message, re.MULTILINE)


def convert(project: Stranger, site: Site) -> None:
    """Make the script a project, by the very commands that ``init`` names."""
    refused = project.run(project.installed.command, "init", "--yes")
    assert refused.status == 4
    assert "PEP 723" in refused.stderr
    commands = commands_in(refused.stderr)
    assert commands[-1] == "dockyard init"
    assert project.files().keys() == {"job.py", ".gitignore"}
    for number, command in enumerate(commands[:-1]):
        project.must(*shlex.split(command))
        if number == 0:
            with (project.root / "pyproject.toml").open("a") as file:
                file.write(f'\n[[tool.uv.index]]\nurl = "{site.index}"\ndefault = true\n')
    shutil.rmtree(project.root / ".venv")


def ask(image: str, port: int, cleanup: Cleanup) -> dict[str, Any]:
    """Start the service and ask it; it must also find itself healthy."""
    name = cleanup.name("container")
    docker("run", "--detach", "--publish", f"127.0.0.1::{port}", "--name", name, image)
    published = docker("port", name, f"{port}/tcp").rpartition(":")[2]
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{published}/", timeout=10) as response:
                answer = json.load(response)
        except OSError:
            assert time.monotonic() < deadline, docker("logs", name)
            time.sleep(0.1)
        else:
            break
    check = json.loads(docker("inspect", "--format", "{{json .Config.Healthcheck.Test}}", name))
    assert check[0] == "CMD"
    docker("exec", name, *check[1:])
    assert isinstance(answer, dict)
    return answer
