"""The pages' own commands, executed in order in a project like the one that they speak of."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.documents import Document, documents
from support.engine import Cleanup, random_name
from support.frameworks import make_frameworks
from support.index import PackageIndex
from support.installed import Installed, run
from support.wheels import make_wheel

PYPROJECT = """\
[project]
name = "shop"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["fastapi", "uvicorn", "redis"]

[[tool.uv.index]]
url = "{index}"
default = true
"""
MAIN = """\
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def name() -> dict[str, str]:
    return {"shop": "open"}
"""


@dataclass(frozen=True)
class Shop:
    """The pages' project, before anybody thought of Dockyard, and what its commands find."""

    root: Path
    environment: dict[str, str]


@pytest.fixture
def shop(
    tmp_path: Path,
    installed: Installed,
    package_index: PackageIndex,
    base_images: Any,
    cleanup: Cleanup,
) -> Shop:
    for wheel in make_frameworks(tmp_path / "packages"):
        package_index.add(wheel)
    package_index.add(make_wheel(tmp_path, "redis", "5.0", size=100_000))
    root = tmp_path / "shop"
    (root / "src/shop").mkdir(parents=True)
    (root / "pyproject.toml").write_text(PYPROJECT.format(index=package_index.url))
    (root / "src/shop/__init__.py").touch()
    # What no earlier run has built: the pages speak of a change that is one.
    (root / "src/shop/main.py").write_text(f"{MAIN}\n# {random_name()}\n")
    tools = tmp_path / "bin"
    tools.mkdir()
    # nox is of the tests' own environment, whose `dockyard` and `invoke` must not be found.
    (tools / "nox").symlink_to(Path(sys.executable).with_name("nox"))
    # As `uvx dockyard` finds a published Dockyard, so here the wheel that was just built.
    (tools / "uvx").write_text('#!/bin/sh\nexec "$@"\n')
    (tools / "uvx").chmod(0o755)
    path = f"{tools}:{Path(installed.command).parent}:/usr/local/bin:/usr/bin:/bin"
    uv = re.search(r"\S+", run("sh", "-c", "command -v uv", cwd=root).stdout)
    assert uv
    environment = {
        "PATH": f"{path}:{Path(uv[0]).parent}",
        "UV_FIND_LINKS": str(installed.wheel.parent),
        "DOCKYARD_BUILDER": "default",
        "DOCKYARD_IMAGE": cleanup.repository(random_name()),
        "DOCKYARD_NETWORK": "host",
        "DOCKYARD_PYTHON_IMAGE": base_images.python,
        "DOCKYARD_UV_IMAGE": base_images.uv,
    }
    for command in (
        "uv lock --quiet --no-cache",
        "git init --quiet --initial-branch=main",
        "git config user.name Test",
        "git config user.email test@example.com",
        "git add --all",
        "git commit --quiet --message First",
    ):
        ran = run(*shlex.split(command), cwd=root, environment=environment)
        assert ran.status == 0, ran.stderr
    package_index.add(make_wheel(tmp_path, "redis", "6.0", size=100_000))
    return Shop(root, environment)


def test_the_pages_commands_do_what_the_pages_say(shop: Shop, repository: Path) -> None:
    """Each block ends with exit status 0, where nobody is asked anything."""
    pages = sorted(documents(repository), key=lambda page: page.name != "README.md")
    told = []
    for page in pages:
        if page.name == "README.zh-CN.md":
            continue  # a unit test says that its blocks are those of the English one
        for block in (one for one in Document(page).blocks if one.runs):
            script = f"set -euo pipefail\n{block.text}"
            ran = run("bash", "-c", script, cwd=shop.root, environment=shop.environment)
            where = f"{page.name}, line {block.line}\n{block.text}"
            assert ran.status == 0, f"{where}\n{ran.stdout}\n{ran.stderr}"
            told.append(ran.stdout + ran.stderr)
    everything = "\n".join(told)
    assert "src/shop/main.py changed" in everything
    assert "redis 5.0 → 6.0" in everything
    assert re.search(r"^\d+ passed$", everything, re.M)  # no check failed
    assert (shop.root / ".github/workflows/image.yml").is_file()
    assert (shop.root / ".dockyard/report.html").is_file()
