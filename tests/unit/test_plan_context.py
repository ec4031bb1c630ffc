"""The plan as a build context: written once, recalled, mended, and left to the stage."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dockyard import dockerfile_upkeep, initialization, plan_context, process
from dockyard.dockerfile import read_plan
from dockyard.initialization import apply_changes, plan_changes
from dockyard.known_project import Facts
from dockyard.lock_versions import History
from dockyard.process import Completed
from dockyard.settings import load_settings
from dockyard.state import State
from support.projects import folder_of

HASH = "--hash=sha256:" + "0" * 64


class Project:
    """A project, and a uv that exports what the test says; ``asked`` counts how often it did."""

    def __init__(self, root: Path, tools: Path) -> None:
        self.root, self.tools = root, tools
        self.version, self.exported, self.asked = "0.13.9", f"idna==3.10 {HASH}\n", 0
        self.path = root / "docker/Dockerfile"
        tools.mkdir()
        (tools / "uv").write_text("")
        (tools / "uv").chmod(0o755)
        root.mkdir()
        for name in ("pyproject.toml", "uv.lock"):
            (root / name).write_bytes((folder_of("plain") / name).read_bytes())
        with (root / "pyproject.toml").open("a") as file:
            file.write('\n[tool.dockyard]\ncopy-paths = ["src"]\n')
        (root / "src").mkdir()
        apply_changes(plan_changes(load_settings(root, {}, {})))

    def run(self, arguments: Sequence[str], **_: Any) -> Completed:
        """Stand in for uv."""
        assert arguments[0] == str(self.tools / "uv")
        said = f"uv {self.version} (linux)\n"
        if arguments[1] == "export":
            self.asked += 1
            said = self.exported
        return Completed(tuple(arguments), 0, said, "")

    def context(self, *, write: bool = True, path: str | None = None) -> str | None:
        """Do what a build does."""
        settings, state = load_settings(self.root, {}, {}), State(self.root)
        facts = Facts(settings, state, "amd64")
        plan = read_plan(self.path.read_text())
        environment = {"PATH": str(self.tools) if path is None else path}
        found = plan_context.plan_context(settings, plan, facts, state, environment, write=write)
        state.save()
        return found

    def files(self) -> dict[str, str]:
        """The files of the context, by path."""
        found = self.context()
        assert found
        folder = self.root / found
        return {
            path.relative_to(folder).as_posix(): path.read_text()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    def no_history(*_: object, **__: object) -> History:
        return History()

    monkeypatch.setattr(dockerfile_upkeep, "past_locks", no_history)
    monkeypatch.setattr(initialization, "past_locks", no_history)
    made = Project(tmp_path / "project", tmp_path / "tools")
    monkeypatch.setattr(process, "run", made.run)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no/python"))
    return made


def test_it_is_written_once_and_recalled(project: Project) -> None:
    first = project.context()
    assert first
    assert first.startswith(".dockyard/plans/")
    assert project.context() == first
    assert project.asked == 1
    texts = project.files()
    assert f"idna==3.10 {HASH}\n" in texts.values()
    assert texts["plan/assignment"].endswith(" *\n")


def test_modes_are_the_stages_whatever_the_umask(project: Project) -> None:
    before = os.umask(0o077)
    try:
        found = project.context()
    finally:
        os.umask(before)
    assert found
    for path in (project.root / found / "plan").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644), path


def test_another_lock_is_exported_anew_and_named_for_what_it_says(project: Project) -> None:
    first = project.context()
    with (project.root / "uv.lock").open("a") as file:
        file.write("\n# edited\n")
    assert project.context() == first, "it says the same"
    assert project.asked == 2
    project.exported = f"idna==3.11 {HASH}\n"
    with (project.root / "uv.lock").open("a") as file:
        file.write("\n# edited again\n")
    assert project.context() not in (None, first)


@pytest.mark.parametrize("damage", ["edited", "gone", "more"])
def test_a_damaged_folder_is_written_again(project: Project, damage: str) -> None:
    before = project.files()
    found = project.context()
    assert found
    file = project.root / found / "plan/assignment"
    if damage == "edited":
        file.write_text("1 other\n")
    elif damage == "gone":
        file.unlink()
    else:
        file.with_name("more").write_text("more")
    assert project.files() == before
    assert project.asked == 2


def test_uv_of_another_version_exports_nothing(project: Project) -> None:
    project.version = "0.13.90"
    assert project.context() is None
    project.asked = 0
    assert project.context() is None
    assert project.asked == 0, "that is remembered"


def test_without_uv_the_stage_does_it(project: Project) -> None:
    assert project.context(path="") is None


def test_uv_that_fails_is_left_for_the_stage_to_tell(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(arguments: Sequence[str], **more: Any) -> Completed:
        done = project.run(arguments, **more)
        return Completed(done.arguments, int(arguments[1] == "export"), done.stdout, "no")

    monkeypatch.setattr(process, "run", fail)
    assert project.context() is None


def test_an_edited_stage_does_it_itself(project: Project) -> None:
    text = project.path.read_text()
    project.path.write_text(text.replace("--no-annotate", "--no-annotate --no-dev"))
    assert project.context() is None
    assert project.asked == 0


def test_what_is_only_shown_writes_nothing(project: Project) -> None:
    assert project.context(write=False) is None
    assert not (project.root / ".dockyard/plans").exists()
    assert project.asked == 0
    written = project.context()
    assert written
    assert project.context(write=False) == written


def test_a_tree_that_cannot_be_written_goes_without(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Path:
        raise PermissionError

    monkeypatch.setattr(plan_context, "prepare_state_folder", refuse)
    assert project.context() is None


def test_those_used_last_are_kept(project: Project) -> None:
    names = []
    for number in range(10):
        project.exported = f"idna==3.{number} {HASH}\n"
        with (project.root / "uv.lock").open("a") as file:
            file.write(f"\n# edit {number}\n")
        found = project.context()
        assert found
        names.append(found.rpartition("/")[2])
        os.utime(project.root / found, (number, number))
    kept = {path.name for path in (project.root / ".dockyard/plans").iterdir()}
    assert kept == set(names[2:])
