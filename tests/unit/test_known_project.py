"""What is remembered of a project, and what makes it be read again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dockyard import known_project
from dockyard.errors import ProjectError
from dockyard.known_project import Facts, KnownProject
from dockyard.settings import load_settings
from dockyard.state import State
from support.projects import folder_of


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A project with workspace members."""
    root = tmp_path / "workspace"
    shutil.copytree(folder_of("workspace"), root)
    with (root / "pyproject.toml").open("a") as file:
        file.write('\n[tool.dockyard]\ncopy-paths = ["packages"]\n')
    return root


def known(root: Path) -> KnownProject:
    """Do what a build does: recall or read, and remember."""
    state = State(root)
    found = Facts(load_settings(root, {}, {}), state, "amd64").known
    state.save()
    return found


def test_an_unchanged_project_is_not_read_again(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = known(workspace)

    def read(*_: object) -> None:
        raise AssertionError("it was remembered")

    monkeypatch.setattr(known_project, "project_facts", read)
    assert known(workspace) == first


def test_a_member_that_the_lock_does_not_know_of_is_noticed(workspace: Path) -> None:
    known(workspace)
    member = next(path for path in workspace.rglob("pyproject.toml") if path.parent != workspace)
    text = member.read_text()
    added = text.replace("dependencies = [", 'dependencies = ["left-out", ', 1)
    assert added != text
    member.write_text(added)
    with pytest.raises(ProjectError, match="left-out"):
        known(workspace)
    member.write_text(text)
    known(workspace)


def test_a_new_member_is_noticed(workspace: Path) -> None:
    """The workspace takes every folder that its glob matches."""
    known(workspace)
    added = workspace / "packages/new/pyproject.toml"
    added.parent.mkdir()
    added.write_text('[project]\nname = "new"\nversion = "1.0"\n')
    with pytest.raises(ProjectError, match="new"):
        known(workspace)
