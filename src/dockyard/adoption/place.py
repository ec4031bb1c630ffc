"""Where the project is that ``init`` was started in; and where it is none, how it becomes one."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dockyard.errors import DockyardError, ProjectError

__all__ = ["Place", "find_place", "read_toml"]

# https://packaging.python.org/en/latest/specifications/inline-script-metadata/
_SCRIPT = re.compile(r"(?m)^# /// script$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
_SCRIPT_BYTES = 64_000


@dataclass(frozen=True)
class Place:
    """A project's root, its pyproject.toml, and whether Dockyard has its table there already.

    ``member`` is the workspace member that the command was started in, if it was one.
    """

    root: Path
    pyproject: Mapping[str, Any]
    adopted: bool
    member: str | None = None


def find_place(start: Path) -> Place:
    """Find the project that a folder is in: the nearest adopted one, else the nearest one.

    A member of a workspace stands for its workspace, whose lock it shares. Raises ProjectError
    where there is no project that uv manages, saying command by command how to make one.
    """
    start = start.resolve()
    nearest: tuple[Path, Mapping[str, Any]] | None = None
    for folder in (start, *start.parents):
        path = folder / "pyproject.toml"
        if not path.is_file():
            continue
        found = read_toml(path)
        if "dockyard" in _mapping(found.get("tool")):
            return Place(folder, found, adopted=True)
        nearest = nearest or (folder, found)
    if nearest is None:
        raise _no_project(start)
    root, pyproject = nearest
    if not (root / "uv.lock").is_file():
        for folder in root.parents:
            above = folder / "pyproject.toml"
            if above.is_file() and (folder / "uv.lock").is_file():
                table = read_toml(above)
                if "workspace" in _mapping(_mapping(table.get("tool")).get("uv")):
                    member = root.relative_to(folder).as_posix()
                    return Place(folder, table, adopted=False, member=member)
    _check(root, pyproject)
    return Place(root, pyproject, adopted=False)


def read_toml(path: Path) -> Mapping[str, Any]:
    """Read a TOML file. Raises ProjectError, with the line, where it is none."""
    try:
        return tomllib.loads(path.read_bytes().decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProjectError(
            f"it is no valid TOML: {error}", where=str(path), hint="mend that line"
        ) from error
    except OSError as error:
        raise ProjectError(
            f"it cannot be read: {error.strerror}", where=str(path), hint="check who may read it"
        ) from error


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _steps(commands: Iterable[str]) -> str:
    lines = [*commands, "dockyard init"]
    return "run these, one after the other:\n" + "\n".join(f"      {one}" for one in lines)


def _migrate(folder: Path, file: str, tool: str) -> ProjectError:
    return ProjectError(
        f"it is {tool}'s ({file}), and a build needs uv.lock",
        where=str(folder),
        hint=_steps(("uvx migrate-to-uv", "uv sync"))
        + f"\n    migrate-to-uv keeps the locked versions and removes {tool}'s files: commit first",
    )


def _check(root: Path, pyproject: Mapping[str, Any]) -> None:
    """Raise ProjectError unless the folder has a project with a lock of uv's."""
    tool = _mapping(pyproject.get("tool"))
    project = pyproject.get("project")
    locked = (root / "uv.lock").is_file()
    workspace = "workspace" in _mapping(tool.get("uv"))
    if isinstance(project, Mapping) or workspace:
        if locked:
            return
        if "poetry" in tool or (root / "poetry.lock").is_file():
            raise _migrate(root, "poetry.lock", "Poetry")
        if (root / "Pipfile.lock").is_file():
            raise _migrate(root, "Pipfile.lock", "Pipenv")
        raise ProjectError(
            "there is no uv.lock", where=str(root), hint="run `uv lock`, and commit the file"
        )
    if "poetry" in tool:
        raise _migrate(root, "[tool.poetry] in pyproject.toml", "Poetry")
    if other := _other_tool(root, bare=False):
        raise other
    raise ProjectError(
        "pyproject.toml has no [project] table, so there is nothing to build an image of",
        where=str(root / "pyproject.toml"),
        hint="write one (name, version, requires-python, dependencies), then `uv lock`",
    )


def _no_project(start: Path) -> DockyardError:
    if other := _other_tool(start, bare=True):
        return other
    return ProjectError(
        "there is no pyproject.toml here or in any folder above",
        where=str(start),
        hint="start a project with `uv init`, or change to the folder of one",
    )


def _other_tool(folder: Path, *, bare: bool) -> ProjectError | None:
    """Describe a project of another tool; ``bare``: there is no pyproject.toml."""
    for file, tool in (
        ("poetry.lock", "Poetry"),
        ("Pipfile.lock", "Pipenv"),
        ("Pipfile", "Pipenv"),
    ):
        if (folder / file).is_file():
            return _migrate(folder, file, tool)
    make = ["uv init --bare"] if bare else []
    missing = (
        "" if bare else "; pyproject.toml needs a [project] table first, with name and version"
    )
    requirements = [one.name for one in sorted(folder.glob("requirements*.txt"))]
    if "requirements.txt" in requirements or (folder / "requirements.in").is_file():
        return ProjectError(
            f"its dependencies are in requirements files, and a build needs uv.lock{missing}",
            where=str(folder),
            hint=_steps([*make, *_requirement_commands(folder, requirements)]),
        )
    if (folder / "setup.py").is_file() or (folder / "setup.cfg").is_file():
        file = "setup.py" if (folder / "setup.py").is_file() else "setup.cfg"
        commands = [
            f"uv pip compile {file} --output-file requirements.txt",
            *make,
            "uv add --requirements requirements.txt",
            "rm requirements.txt",
        ]
        return ProjectError(
            f"it is described by {file} alone, and a build needs uv.lock{missing}",
            where=str(folder),
            hint=_steps(commands),
        )
    for path in sorted(folder.glob("*.py")):
        if (metadata := _script_metadata(path)) is not None:
            return _script(path, metadata)
    return None


def _requirement_commands(folder: Path, files: list[str]) -> list[str]:
    # requirements.in says what is wanted; its .txt then says which versions that gave.
    if (folder / "requirements.in").is_file():
        pinned = " --constraints requirements.txt" if "requirements.txt" in files else ""
        commands = [f"uv add --requirements requirements.in{pinned}"]
    else:
        commands = ["uv add --requirements requirements.txt"]
    for name in files:
        group = re.fullmatch(r"requirements[-_.]([A-Za-z0-9-]+)\.txt", name)
        if group:
            option = "--dev" if group[1] == "dev" else f"--group {group[1]}"
            commands.append(f"uv add {option} --requirements {name}")
    return commands


def _script_metadata(path: Path) -> Mapping[str, Any] | None:
    """Read the metadata that a script carries in a comment (PEP 723), and nothing else of it."""
    try:
        with path.open(encoding="utf-8") as file:
            found = _SCRIPT.search(file.read(_SCRIPT_BYTES))
    except (OSError, UnicodeDecodeError):
        return None
    if not found:
        return None
    lines = found["content"].splitlines()
    try:
        return tomllib.loads("\n".join(re.sub("^# ?", "", line) for line in lines))
    except tomllib.TOMLDecodeError:
        return {}


def _script(path: Path, metadata: Mapping[str, Any]) -> ProjectError:
    dependencies = [str(one) for one in metadata.get("dependencies", [])]
    python = metadata.get("requires-python")
    version = re.search(r"3\.\d+", str(python or ""))
    commands = ["uv init --bare" + (f" --python {version[0]}" if version else "")]
    if dependencies:
        commands.append("uv add " + " ".join(map(shlex.quote, dependencies)))
    else:
        commands.append("uv lock")
    return ProjectError(
        f"{path.name} is a script with its own metadata (PEP 723), not a project",
        where=str(path.parent),
        hint=_steps(commands) + "\n    the block of comments at the script's top may then go",
    )
