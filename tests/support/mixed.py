"""A project with one of everything: two indexes, git, source packages, folders, a workspace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

from dockyard.bench.loopback import LoopbackServer
from support.engine import random_name
from support.index import PackageIndex
from support.repositories import publish
from support.service import Service
from support.wheels import make_sdist, make_wheel, run_uv

__all__ = ["MixedProject", "git_server", "write_package"]

# uv builds these itself, without fetching the backend.
PYPROJECT = """\
[project]
name = "{name}"
version = "1.0"
requires-python = ">=3.11"
dependencies = [{dependencies}]
{more}
[build-system]
requires = ["uv_build"]
build-backend = "uv_build"
"""


def write_package(
    directory: Path, name: str, *dependencies: str, more: str = "", code: str = ""
) -> Path:
    """Write a package that uv builds: its module tells its name; return the module's file."""
    module = directory / "src" / name.replace("-", "_") / "__init__.py"
    module.parent.mkdir(parents=True, exist_ok=True)
    module.write_text(code or f'NAME = "{name}"\n')
    quoted = ", ".join(f'"{one}"' for one in dependencies)
    text = PYPROJECT.format(name=name, dependencies=quoted, more=more)
    (directory / "pyproject.toml").write_text(text)
    return module


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@contextmanager
def git_server(folder: Path) -> Iterator[str]:
    """Serve the bare repositories in a folder over git's plain HTTP protocol; yield the URL."""
    server = LoopbackServer(partial(_Quiet, directory=str(folder)))  # type: ignore[arg-type]
    server.start()
    try:
        yield f"http://{server.host}"
    finally:
        server.stop()


class MixedProject(Service):
    """A workspace of two members whose lock has a package of every kind.

    ``names``: role → package: ``wheel`` and ``source`` (from ``index``), ``pinned`` (from the
    ``second`` index, which ``index`` has under the same name and version with other content),
    ``git``, ``folder`` (a path source) and ``member``.
    """

    def __init__(
        self,
        root: Path,
        *,
        index: PackageIndex,
        second: PackageIndex,
        git_url: str,
        repositories: Path,
        python_image: str,
        uv_image: str,
        settings: Mapping[str, str],
    ) -> None:
        roles = ("wheel", "source", "pinned", "git", "folder", "member")
        self.names = {role: random_name() for role in roles}
        self.index, self.second, self.git_url = index, second, git_url
        made = repositories.parent / "made"
        for place in ("index", "second"):
            (made / place).mkdir(parents=True)
        names = self.names
        index.add(make_wheel(made / "index", names["wheel"], "1.0", size=50_000))
        index.add(make_sdist(made / "index", names["source"], "1.0", size=5_000))
        index.add(make_wheel(made / "index", names["pinned"], "1.0", size=3_000, seed=1))
        second.add(make_wheel(made / "second", names["pinned"], "1.0", size=30_000, seed=2))
        work = repositories.parent / "work"
        write_package(work, names["git"])
        publish(work, repositories / f"{names['git']}.git")
        super().__init__(
            root,
            random_name(),
            {},
            index_url=index.url,
            python_image=python_image,
            uv_image=uv_image,
            settings=settings,
        )

    def lock(self, dependencies: Mapping[str, str]) -> None:
        """Write the project and lock it."""
        names = self.names
        imported = ", ".join(name.replace("-", "_") for name in names.values())
        write_package(self.root / "packages/member", names["member"])
        write_package(self.root / "vendor/folder", names["folder"])
        more = f"""
[project.scripts]
greet = "{self.name.replace("-", "_")}:main"

[tool.uv.workspace]
members = ["packages/*"]

[[tool.uv.index]]
name = "second"
url = "{self.second.url}"
explicit = true

[tool.uv.sources]
{names["pinned"]} = {{ index = "second" }}
{names["git"]} = {{ git = "{self.git_url}/{names["git"]}.git" }}
{names["folder"]} = {{ path = "vendor/folder" }}
{names["member"]} = {{ workspace = true }}
"""
        write_package(
            self.root,
            self.name,
            *names.values(),
            more=more,
            code=f'import {imported}\n\n\ndef main():\n    print("hello")\n',
        )
        run_uv("lock", "--no-cache", "--default-index", self.index.url, cwd=self.root)
