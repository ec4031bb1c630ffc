"""The Dockerfile before a build: what is written to it, what is left, and what is said."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any

import pytest

from dockyard import dockerfile_upkeep, initialization
from dockyard.dockerfile import keep_plan, read_plan, recipe
from dockyard.dockerfile_upkeep import settle_dockerfile
from dockyard.initialization import Side, apply_changes, plan_changes
from dockyard.known_project import Facts
from dockyard.layers import Layer, LayerPlan
from dockyard.lock_versions import History
from dockyard.settings import load_settings
from dockyard.state import State
from support.projects import folder_of


class Project:
    """A project with a Dockerfile; its lock has one package more than the plan in that names."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(folder_of("plain"), root)
        with (root / "pyproject.toml").open("a") as file:
            file.write('\n[tool.dockyard]\ncopy-paths = ["src"]\n')
        (root / "src").mkdir()
        apply_changes(plan_changes(load_settings(root, {}, {})))
        self.path = root / "docker/Dockerfile"
        plan = read_plan(self.text)
        assert plan
        self.names = sorted(name for layer in plan.layers for name in layer.packages)
        self.gain = self.names[0]
        number = next(i for i, one in enumerate(plan.layers, 1) if self.gain in one.packages)
        self.edit(f"{number} {self.gain}\n", "")

    @property
    def text(self) -> str:
        return self.path.read_text()

    def edit(self, old: str, new: str) -> str:
        """Replace text in the Dockerfile and return all of it."""
        assert old in self.text
        self.path.write_text(self.text.replace(old, new))
        return self.text

    def settle(
        self, environment: dict[str, str] | None = None, *, write: bool = True, **changes: str
    ) -> tuple[LayerPlan | None, str]:
        """Do what a build does; the plan, and the notes in one text."""
        given = {f"DOCKYARD_{name.upper()}": value for name, value in changes.items()}
        settings, state = load_settings(self.root, given, {}), State(self.root)
        facts = Facts(settings, state, "amd64")
        plan, notes = settle_dockerfile(settings, facts, state, environment or {}, write=write)
        if write:
            state.save()
        return plan, "\n".join(notes)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    def no_history(*_: object, **__: object) -> History:
        return History()

    monkeypatch.setattr(dockerfile_upkeep, "past_locks", no_history)
    monkeypatch.setattr(initialization, "past_locks", no_history)
    return Project(tmp_path / "project")


def test_the_plan_is_written_and_said_once(project: Project) -> None:
    plan, notes = project.settle()
    assert read_plan(project.text) == plan
    assert plan
    assert sorted(name for layer in plan.layers for name in layer.packages) == project.names
    assert f"layer assignment updated with the lock: new: {project.gain} " in notes
    before = project.text
    assert project.settle() == (plan, "")
    assert project.text == before


def test_what_is_settled_starts_no_planner(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.settle()

    def needless(*_: object) -> None:
        raise AssertionError("nothing has changed")

    monkeypatch.setattr(Facts, "full", needless)
    monkeypatch.setattr(dockerfile_upkeep, "render", needless)
    assert project.settle()[1] == ""


@pytest.mark.parametrize(
    ("environment", "write"),
    [({"CI": "true"}, True), ({"CI": "1"}, True), ({}, False)],
    ids=["CI", "CI is 1", "only shown"],
)
def test_the_file_stays_and_is_said_to_be_stale(
    project: Project, environment: dict[str, str], write: bool
) -> None:
    before = project.text
    for _ in range(2):
        plan, notes = project.settle(environment, write=write)
        assert "not up to date with the lock" in notes
        assert f"new: {project.gain} " in notes
        assert "run `invoke build`" in notes
        assert plan == read_plan(before)
        assert project.text == before


def test_ci_may_be_said_to_be_off(project: Project) -> None:
    assert "updated with the lock" in project.settle({"CI": "false"})[1]


def test_a_file_that_cannot_be_written_is_used_as_it_is(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(dockerfile_upkeep, "write_atomically", refuse)
    plan, notes = project.settle()
    assert "it cannot be written (Read-only file system)" in notes
    assert "not up to date with the lock" in notes
    assert plan == read_plan(project.text)


def test_an_edited_region_is_kept_and_named(project: Project) -> None:
    before = project.edit("COPY --link --from=dependencies-1", "COPY --from=dependencies-1")
    _, notes = project.settle()
    assert project.text == before
    assert "region “copies” is not as Dockyard renders it" in notes
    assert "`invoke init --replace`" in notes


def test_settings_and_lock_may_change_together(project: Project) -> None:
    plan, notes = project.settle(ports="9000")
    assert "was rendered again" in notes
    assert "updated with the lock" in notes
    assert "\nEXPOSE 9000\n" in project.text
    assert read_plan(project.text) == plan


def test_an_edited_file_whose_settings_changed_still_follows_the_lock(project: Project) -> None:
    project.edit("USER 10001:10001", "USER 1000:1000")
    plan, notes = project.settle(ports="9000")
    assert "updated with the lock" in notes
    assert "`invoke init --keep` takes yours" in notes
    assert "USER 1000:1000" in project.text
    assert "EXPOSE 9000" not in project.text
    assert read_plan(project.text) == plan
    _, again = project.settle(ports="9000")
    assert "`invoke init --keep` takes yours" in again, "as long as nobody has decided"
    assert "updated with the lock" not in again


def test_a_file_without_a_plan_is_left_alone(project: Project) -> None:
    project.path.write_text("FROM scratch\n")
    plan, notes = project.settle()
    assert plan is None
    assert "was edited by hand" in notes
    settings = load_settings(project.root, {}, {})
    apply_changes(plan_changes(settings, Side.EDITED))
    assert project.settle() == (None, "")


def test_replacing_keeps_the_plan(project: Project) -> None:
    """It is what the layers in registries were made by; only what is not in it is lost."""
    project.edit("USER 10001:10001", "USER 1000:1000")
    before = read_plan(project.text)
    apply_changes(plan_changes(load_settings(project.root, {}, {}), Side.RENDERED))
    assert read_plan(project.text) == before
    project.edit("COPY <<'ASSIGNMENT'", "COPY <<'ASSIGNMENT' --broken\nno line\n#")
    apply_changes(plan_changes(load_settings(project.root, {}, {}), Side.RENDERED))
    found: Any = read_plan(project.text)
    assert sorted(name for one in found.layers for name in one.packages) == project.names


def test_fewer_layers_than_the_plan_has_join_some(project: Project) -> None:
    project.settle()
    plan = read_plan(project.text)
    assert plan
    apart = LayerPlan(tuple(Layer((name,)) for name in project.names))
    settings = load_settings(project.root, {}, {})
    facts = Facts(settings, State(project.root), "amd64")
    what = recipe(settings, facts.known.name, facts.known.local)
    project.path.write_text(keep_plan(project.text, what, apart))
    found, notes = project.settle(layers="2")
    assert found
    assert len(found.layers) == 2
    assert "2 layers instead of" in notes
