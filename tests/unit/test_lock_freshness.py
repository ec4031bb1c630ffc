"""Whether a lock is out of date, for every edit of which the engine tests ask uv the same."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from dockyard.errors import ProjectError
from dockyard.project import Target, read_project
from support.mutations import FRESHNESS, MUTATIONS, apply
from support.projects import CASES, folder_of


def complaints(folder: Path) -> list[str]:
    """Return what is said of the lock, each as ``key: what``."""
    try:
        read_project(folder, extras=[], groups=[], target=Target("3.13"))
    except ProjectError as error:
        for problem in error.problems:
            assert problem.message.startswith("uv.lock is out of date: ")
            assert problem.hint == "run `uv lock`, and commit the file"
        return [
            re.sub(rf"^{re.escape(str(folder))}/", "", problem.where or "")
            + problem.message.removeprefix("uv.lock is out of date")
            for problem in error.problems
        ]
    return []


@pytest.mark.parametrize(
    "name", [name for name, one in MUTATIONS.items() if one.stale and one.noticed]
)
def test_a_stale_lock_is_noticed(name: str, tmp_path: Path) -> None:
    apply(MUTATIONS[name], FRESHNESS, tmp_path / "project")
    assert complaints(tmp_path / "project")


@pytest.mark.parametrize(
    "name", [name for name, one in MUTATIONS.items() if not (one.stale and one.noticed)]
)
def test_a_fresh_lock_is_never_called_stale(name: str, tmp_path: Path) -> None:
    apply(MUTATIONS[name], FRESHNESS, tmp_path / "project")
    assert complaints(tmp_path / "project") == []


@pytest.mark.parametrize("shape", sorted({case.shape for case in CASES.values()}))
def test_no_stored_lock_is_stale(shape: str) -> None:
    assert complaints(folder_of(shape)) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("added", "pyproject.toml, [project] dependencies: `delta` was added"),
        ("removed", "pyproject.toml, [project] dependencies: `local` was removed"),
        (
            "specifier",
            "pyproject.toml, [project] dependencies: "
            "`alpha[fast]<2,>=1` is asked for, the lock was made for `alpha[fast]>=1,<3`",
        ),
        (
            "extra-added",
            "pyproject.toml, [project.optional-dependencies] three: `epsilon` was added",
        ),
        (
            "empty-extra-added",
            "pyproject.toml, [project.optional-dependencies]: extra three was added",
        ),
        ("empty-group-added", "pyproject.toml, [dependency-groups]: group more was added"),
        ("group-changed", "pyproject.toml, [dependency-groups] lint: `epsilon` was added"),
        ("version", "pyproject.toml, [project] version: it is 0.2.0, the lock has 0.1.0"),
        (
            "python-narrowed",
            "pyproject.toml, [project] requires-python: "
            "it was made for Python >=3.11, not for >=3.11.2,>=3.11",
        ),
        (
            "constraint-added",
            "pyproject.toml, [tool.uv] constraint-dependencies: `epsilon<9` was added",
        ),
        ("environments", "pyproject.toml, [tool.uv] environments: the lock was made for any"),
        (
            "resolution",
            "pyproject.toml, [tool.uv] resolution: "
            "lowest-direct is asked for, the lock has highest",
        ),
        ("member-added", "pyproject.toml, [tool.uv.workspace] members: member new was added"),
        (
            "member-dependency",
            "packages/member/pyproject.toml, [project] dependencies: `delta` was added",
        ),
    ],
)
def test_the_difference_is_named(name: str, expected: str, tmp_path: Path) -> None:
    apply(MUTATIONS[name], FRESHNESS, tmp_path / "project")
    assert expected in complaints(tmp_path / "project")


def test_every_difference_is_named_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    apply(MUTATIONS["added"], FRESHNESS, folder)
    for name in ("version", "constraint-changed"):
        path = folder / "pyproject.toml"
        path.write_text(path.read_text().replace(MUTATIONS[name].old, MUTATIONS[name].new))
    assert len(complaints(folder)) == 3


def test_options_of_a_uv_toml_are_not_guessed(tmp_path: Path) -> None:
    """It replaces the whole of [tool.uv] but for what belongs to the project."""
    folder = tmp_path / "project"
    apply(MUTATIONS["resolution"], FRESHNESS, folder)
    (folder / "uv.toml").write_text("")
    assert complaints(folder) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        # As uv 0.2 wrote it, and 0.3 to 0.4 for a project without [build-system].
        ("[package.metadata", "[package.other", "a uv before 0.3 made it"),
        (
            'source = { virtual = "." }',
            'source = { editable = "." }',
            "the lock was made for a project that is installed",
        ),
    ],
)
def test_a_lock_of_a_uv_that_wrote_others(
    old: str, new: str, expected: str, tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    shutil.copytree(folder_of("revision-5"), folder)
    text = (folder / "uv.lock").read_text()
    assert old in text
    (folder / "uv.lock").write_text(text.replace(old, new))
    assert any(expected in one for one in complaints(folder))


@pytest.mark.parametrize("revision", [0, 3])
def test_what_an_older_lock_leaves_out_is_no_difference(revision: int, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    apply(MUTATIONS["default-groups"], FRESHNESS, folder)
    lock = folder / "uv.lock"
    text = lock.read_text().replace("revision = 5\n", f"revision = {revision}\n")
    assert f"revision = {revision}" in text
    lock.write_text(text)
    assert complaints(folder) == []


@pytest.mark.parametrize(
    "change",
    ['dependencies = ["??"]', "dependencies = [3]", "dependencies = 3", "version = 3"],
)
def test_what_is_malformed_is_left_to_uv(change: str, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    apply(MUTATIONS["nothing"], FRESHNESS, folder)
    text = f'[project]\nname = "service"\nrequires-python = ">=3.11"\n{change}\n'
    (folder / "pyproject.toml").write_text(text)
    with pytest.raises(ProjectError, match="out of date"):  # there is no workspace any more
        read_project(folder, extras=[], groups=[], target=Target("3.13"))


def test_a_requirement_without_a_name_is_left_to_uv(tmp_path: Path) -> None:
    """Found among 20,000 examples: a damaged lock."""
    folder = tmp_path / "project"
    shutil.copytree(folder_of("constraints"), folder)
    lock = folder / "uv.lock"
    text = lock.read_text().replace('{ name = "markupsafe", specifier', '{ x = "y", specifier')
    assert text != lock.read_text()
    lock.write_text(text)
    assert complaints(folder) == []
