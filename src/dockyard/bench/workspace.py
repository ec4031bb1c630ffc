"""The example in all its variants: copies of the project, each with one change made and locked.

Every copy is a repository as a user has it: ``tasks.py``, ``[tool.dockyard]``, the Dockerfile, and
the project in its folder, whose lock and index lead to the bench's own package index.
"""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dockyard import process
from dockyard.bench.package_index import IndexServer, local_address
from dockyard.bench.scenarios import SCENARIOS
from dockyard.errors import ProjectError, SettingsError

if TYPE_CHECKING:
    from dockyard.settings import Settings

__all__ = ["Change", "checkout", "commit", "read_changes", "repository_copy", "with_changes"]

TASKS = "from dockyard.collection import namespace\n\nns = namespace()\n"
LEFT_OUT = shutil.ignore_patterns(".git", ".dockyard", ".venv", "__pycache__", ".*_cache")
KEPT = {".git", ".dockyard"}
EPOCH = "1750000000 +0000"


@dataclass(frozen=True)
class Change:
    """What one scenario changes: ``file`` is edited, or uv runs with ``arguments``."""

    scenario: str
    text: str
    file: str | None = None
    arguments: tuple[str, ...] = ()


def read_changes(path: Path) -> dict[str, Change]:
    """Read ``changes.toml``: what each scenario changes. Raises SettingsError for what is amiss."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"there is nothing to measure: {error.strerror}",
            where=str(path),
            hint="`invoke bench` runs in Dockyard's own repository; elsewhere, "
            "`invoke bench --history .` tells what strategies would have moved",
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"it is no TOML: {error}", where=str(path)) from error
    found = {}
    for scenario in SCENARIOS:
        values = table.get(scenario, {})
        match values:
            case {"file": str(file)}:
                change = Change(scenario, f"{file} edited", file=file)
            case {"upgrade": str(what)}:
                arguments = ("lock", "--upgrade-package", what)
                change = Change(scenario, f"{what} instead of what was locked", arguments=arguments)
            case {"add": str(what)}:
                change = Change(scenario, f"{what} added", arguments=("add", "--no-sync", what))
            case dict() if not values:
                change = Change(scenario, "nothing")
            case _:
                raise SettingsError(
                    f"[{scenario}] says neither file nor upgrade nor add", where=str(path)
                )
        found[scenario] = change
    return found


def repository_copy(
    settings: Settings, target: Path, index: IndexServer, overrides: Mapping[str, Any]
) -> None:
    """Copy the project and what Dockyard needs; ``overrides`` are of ``[tool.dockyard]``."""
    import tomlkit

    project = target / settings.project
    shutil.copytree(settings.root / settings.project, project, ignore=LEFT_OUT, dirs_exist_ok=True)
    (target / "tasks.py").write_text(TASKS)
    (target / ".gitignore").write_text(".dockyard/\n__pycache__/\n")
    dockerfile = target / settings.dockerfile
    dockerfile.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(settings.root / settings.dockerfile, dockerfile)
    configuration = target / "pyproject.toml"
    whole = tomlkit.parse((settings.root / "pyproject.toml").read_text(encoding="utf-8"))
    table: Any = whole.setdefault("tool", {}).setdefault("dockyard", {})
    table.update(overrides)
    if not configuration.exists():
        # The repository's own file is about the repository: of it, only our table counts here.
        whole = tomlkit.document()
        whole["tool"] = {"dockyard": table}
    configuration.write_text(tomlkit.dumps(whole))
    _lead_to(index, project / "pyproject.toml", project / "uv.lock")


def _lead_to(index: IndexServer, configuration: Path, lock: Path) -> None:
    """Let a project's lock, and uv in its folder, use the bench's index."""
    text = configuration.read_text(encoding="utf-8")
    if "[[tool.uv.index]]" in text:
        raise ProjectError(
            "the bench has one index, and this project names its own", where=str(configuration)
        )
    text += f'\n[[tool.uv.index]]\nname = "bench"\nurl = "{index.url}"\ndefault = true\n'
    configuration.write_text(text)
    locked = re.sub(
        r'(?<=registry = ")https?://[^"]+(?=")',
        index.url,
        lock.read_text(encoding="utf-8"),
    )
    locked = re.sub(
        r'(?<=url = ")https?://[^"]+(?=")',
        lambda match: local_address(index.base, match[0]),
        locked,
    )
    lock.write_text(locked)


def with_changes(project: Path, change: Change, uv: Callable[[Path, Sequence[str]], None]) -> None:
    """Make a scenario's change in the project's folder; ``uv`` runs uv there."""
    if change.file:
        path = project / change.file
        if not path.is_file():
            raise SettingsError(f"there is no {change.file} to edit", where=change.scenario)
        with path.open("a") as file:
            file.write("\n# One line more, as an edit of the code leaves it.\n")
    elif change.arguments:
        before = (project / "uv.lock").read_bytes()
        uv(project, change.arguments)
        if (project / "uv.lock").read_bytes() == before:
            raise SettingsError(
                f"`uv {' '.join(change.arguments)}` changes nothing",
                where=change.scenario,
                hint="name another version in changes.toml",
            )


def checkout(source: Path, tree: Path, keep: tuple[str, ...] = ()) -> None:
    """Make ``tree`` the same as ``source``, as git does: files that are equal are not touched.

    What Dockyard and git keep there stays, and so does ``keep`` (paths in the tree).
    """
    tree.mkdir(parents=True, exist_ok=True)
    wanted = {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
    for path in sorted(tree.rglob("*"), reverse=True):
        name = path.relative_to(tree)
        if name.parts[0] in KEPT or str(name) in keep:
            continue
        if path.is_file() and name not in wanted:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    for name in wanted:
        if name.parts[0] in KEPT or (str(name) in keep and (tree / name).exists()):
            continue
        target = tree / name
        content = (source / name).read_bytes()
        if not target.exists() or target.read_bytes() != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


def commit(tree: Path, environment: Mapping[str, str]) -> None:
    """Make the tree a git repository with one commit of everything, the same each time."""
    identity = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "Bench"), ("EMAIL", "bench@example.com"), ("DATE", EPOCH))
    }
    for arguments in (
        ("init", "--quiet", "--initial-branch=main"),
        ("add", "--all"),
        ("commit", "--quiet", "--allow-empty", "--message", "The project"),
    ):
        done = process.run(
            ["git", *arguments], directory=tree, environment={**environment, **identity}
        )
        if not done.succeeded:
            raise ProjectError(f"git {arguments[0]} failed: {done.stderr.strip()}", where=str(tree))
