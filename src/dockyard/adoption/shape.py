"""What a project looks like from outside: its metadata, its lock, and the names of its files.

No file of the project's code is opened or imported: what can be told from names is told from them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from dockyard.lock import normalize

__all__ = ["ProjectShape", "look_at", "requirement_names"]

# Folders at the top that hold no part of the running application.
ASIDE = frozenset(
    [
        "bench",
        "benchmarks",
        "build",
        "dist",
        "doc",
        "docker",
        "docs",
        "env",
        "examples",
        "htmlcov",
        "node_modules",
        "notebooks",
        "site",
        "test",
        "tests",
        "tools",
        "venv",
    ]
)
# Modules at the top that are for those who work on the project.
TOOLS = frozenset(["conftest.py", "noxfile.py", "setup.py", "tasks.py", "fabfile.py", "dodo.py"])
DEPTH = 5
MOST_FILES = 20_000


@dataclass(frozen=True)
class ProjectShape:
    """A project as it stands, before anything is proposed for it.

    ``files`` are POSIX paths below its folder, hidden ones left out;
    ``extras`` and ``groups`` map a name to the packages that it asks for; ``conflicts`` are sets
    of extras that exclude each other; ``members`` are the source folders of workspace members.
    ``entrypoint`` is what ``[tool.fastapi]`` names, ``protected`` the indexes that may want a
    password.
    """

    name: str
    files: frozenset[str]
    requires_python: str = ""
    python_version: str | None = None
    builds: bool = False
    backend: str = ""
    entry_points: bool = False
    scripts: Mapping[str, str] = field(default_factory=dict)
    direct: frozenset[str] = frozenset()
    extras: Mapping[str, frozenset[str]] = field(default_factory=dict)
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    conflicts: tuple[frozenset[str], ...] = ()
    members: tuple[str, ...] = ()
    entrypoint: str | None = None
    protected: tuple[str, ...] = ()
    native: bool = False

    @property
    def module(self) -> str:
        """The project's name as Python would import it."""
        return self.name.replace("-", "_")

    @cached_property
    def roots(self) -> tuple[str, ...]:
        """The folders from which Python imports, ``.`` being the project's own."""
        own = "src" if any(_is_source(one, "src") for one in self.files) else "."
        return tuple(dict.fromkeys((own, *self.members)))

    @cached_property
    def modules(self) -> Mapping[str, str]:
        """Every module by its dotted name, with its path; those of the project's package first."""
        found: dict[str, str] = {}
        for root in self.roots:
            for path in sorted(self.files):
                inner = PurePosixPath(path)
                if not path.endswith(".py") or not inner.is_relative_to(root):
                    continue
                parts = inner.relative_to(root).with_suffix("").parts
                top = f"{parts[0]}.py" if len(parts) == 1 else parts[0]
                if root == "." and top in ASIDE | TOOLS:
                    continue
                found.setdefault(".".join(parts), path)
        first = (self.module, f"{self.module}.")
        return dict(sorted(found.items(), key=lambda one: not f"{one[0]}.".startswith(first)))

    @cached_property
    def packages(self) -> tuple[str, ...]:
        """The packages at the top, the project's own first."""
        names = (name.split(".")[0] for name in self.modules if "." in name)
        return tuple(dict.fromkeys(names))

    def find(self, *names: str) -> str | None:
        """Find the first module of one of these last names, in a package or at the top."""
        for name in names:
            for package in self.packages:
                if f"{package}.{name}" in self.modules:
                    return f"{package}.{name}"
            if name in self.modules:
                return name
        return None


def _is_source(path: str, folder: str) -> bool:
    return path.startswith(f"{folder}/") and path.endswith(".py")


def look_at(
    directory: Path, pyproject: Mapping[str, Any], members: tuple[str, ...] = ()
) -> ProjectShape:
    """Describe the project in ``directory``; ``members`` are its members' source folders."""
    project = _table(pyproject, "project")
    tool = _table(pyproject, "tool")
    build = _table(pyproject, "build-system")
    files = frozenset(_listed(directory))
    backend = str(build.get("build-backend", "setuptools.build_meta" if build else ""))
    uv = _table(tool, "uv")
    name = normalize(str(project.get("name") or directory.resolve().name))
    entrypoint = _table(tool, "fastapi").get("entrypoint")
    return ProjectShape(
        name=name,
        files=files,
        requires_python=str(project.get("requires-python", "")),
        python_version=_pinned_python(directory),
        builds=bool(build) and uv.get("package") is not False,
        backend=backend,
        entry_points=bool(_table(project, "entry-points")),
        scripts={key: str(value) for key, value in _table(project, "scripts").items()},
        direct=frozenset(requirement_names(project.get("dependencies"))),
        extras={
            normalize(key): frozenset(requirement_names(value))
            for key, value in _table(project, "optional-dependencies").items()
        },
        groups={
            normalize(key): frozenset(requirement_names(value))
            for key, value in _table(pyproject, "dependency-groups").items()
        },
        conflicts=tuple(_conflicts(uv.get("conflicts"))),
        members=members,
        entrypoint=entrypoint if isinstance(entrypoint, str) else None,
        protected=tuple(_protected(uv.get("index"))),
        native=_is_native(backend, files, _table(_table(tool, "setuptools"), "ext-modules")),
    )


def _table(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, Mapping) else {}


def requirement_names(entries: object) -> Iterator[str]:
    """Name the packages of requirements (PEP 508), normalised; what is none is left out."""
    from packaging.requirements import InvalidRequirement, Requirement

    for entry in entries if isinstance(entries, list) else ():
        try:
            yield normalize(Requirement(entry).name)
        except (InvalidRequirement, TypeError):
            continue


def _conflicts(entries: object) -> Iterator[frozenset[str]]:
    for group in entries if isinstance(entries, list) else ():
        names = (one.get("extra") for one in group if isinstance(one, dict))
        if found := frozenset(normalize(name) for name in names if name):
            yield found


def _protected(indexes: object) -> Iterator[str]:
    """Name the indexes other than PyPI and PyTorch's, which everybody may read."""
    public = ("https://pypi.org/", "https://test.pypi.org/", "https://download.pytorch.org/")
    for one in indexes if isinstance(indexes, list) else ():
        if isinstance(one, dict) and not str(one.get("url", "")).startswith(public):
            yield str(one.get("name") or "")


def _is_native(backend: str, files: frozenset[str], ext_modules: object) -> bool:
    """Whether a wheel of the project holds something compiled."""
    if backend.startswith(("maturin", "mesonpy", "scikit_build_core", "setuptools_rust")):
        return True
    sources = any(one.endswith((".c", ".cc", ".cpp", ".pyx", ".rs", ".f90")) for one in files)
    return bool(ext_modules) or (backend.startswith("setuptools") and sources)


def _pinned_python(directory: Path) -> str | None:
    """Read ``.python-version``, as uv and pyenv keep it; None for what is no plain version."""
    import re

    try:
        text = (directory / ".python-version").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    match = re.match(r"(?:cpython-|cpython@|python)?(3\.\d+)(?:\.\d+)?\s*$", text.strip() or "-")
    return match[1] if match else None


def _listed(directory: Path) -> Iterator[str]:
    """List files a few folders deep: names only, and no link to a folder is followed."""
    count = 0
    for place, folders, names in os.walk(directory):
        inner = Path(place).relative_to(directory)
        deep = len(inner.parts) >= DEPTH
        folders[:] = sorted(
            one
            for one in folders
            if not deep
            and not one.startswith(".")
            and one not in ("node_modules", "__pycache__", "site-packages", "venv")
        )
        for name in sorted(names):
            if not name.startswith("."):
                count += 1
                yield (inner / name).as_posix()
        if count > MOST_FILES:
            return
