"""What is wrong with a project is said with the file, the key, and what to do next."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dockyard.errors import ProjectError
from dockyard.project import ProjectFacts, Target, check_copy_paths, read_project
from support.projects import folder_of


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "service"
    shutil.copytree(folder_of("revision-5"), folder)
    return folder


def read(
    folder: Path,
    *,
    extras: tuple[str, ...] = (),
    groups: tuple[str, ...] = (),
    python: str = "3.13",
    machine: str = "x86_64",
) -> ProjectFacts:
    return read_project(folder, extras=extras, groups=groups, target=Target(python, machine))


def problem(folder: Path, **options: object) -> tuple[str, str, str]:
    """Return the only problem: what, where below the folder, and the hint."""
    with pytest.raises(ProjectError) as raised:
        read(folder, **options)  # type: ignore[arg-type]
    (only,) = raised.value.problems
    where = (only.where or "").replace(str(folder), "…").removeprefix("…/")
    return only.message, where, only.hint or ""


def edit(folder: Path, old: str, new: str, name: str = "pyproject.toml") -> None:
    path = folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_project_is_sound(project: Path) -> None:
    assert read(project).name == "revisions"


def test_no_folder(project: Path) -> None:
    message, where, hint = problem(project / "nowhere")
    assert message == "there is no pyproject.toml"
    assert where == "…"
    assert "DOCKYARD_PROJECT" in hint


def test_no_pyproject(project: Path) -> None:
    (project / "pyproject.toml").unlink()
    message, where, hint = problem(project)
    assert message == "there is no pyproject.toml"
    assert where == "…"
    assert "uv init" in hint


def test_no_lock(project: Path) -> None:
    (project / "uv.lock").unlink()
    message, where, hint = problem(project)
    assert (message, where) == ("there is no uv.lock", "…")
    assert hint == "run `uv lock`, and commit the file"


def test_a_member_instead_of_its_workspace(tmp_path: Path) -> None:
    folder = tmp_path / "workspace"
    shutil.copytree(folder_of("workspace"), folder)
    message, _, hint = problem(folder / "packages" / "core")
    assert message == f"there is no uv.lock, but {folder} has one"
    assert "DOCKYARD_PROJECT" in hint


@pytest.mark.parametrize("name", ["pyproject.toml", "uv.lock"])
def test_a_folder_where_a_file_should_be(project: Path, name: str) -> None:
    (project / name).unlink()
    (project / name).mkdir()
    message, where, _ = problem(project)
    assert message == "it cannot be read: Is a directory"
    assert where == name


@pytest.mark.parametrize(
    ("name", "hint"),
    [("pyproject.toml", "mend that line"), ("uv.lock", "`uv lock` writes uv.lock anew")],
)
@pytest.mark.parametrize("content", [b"<<<<<<< HEAD\n", b'name = "\xff"\n', b"[a]\n[a]\n"])
def test_malformed_toml(project: Path, name: str, hint: str, content: bytes) -> None:
    (project / name).write_bytes(content)
    message, where, said = problem(project)
    assert message.startswith("it is no valid TOML: ")
    assert (where, said) == (name, hint)


@pytest.mark.parametrize(
    "text",
    ["", "[tool.uv]\n", '[project]\nversion = "1"\n'],
)
def test_no_project_table(project: Path, text: str) -> None:
    (project / "pyproject.toml").write_text(text)
    message, where, hint = problem(project)
    assert message == "there is no [project] table with a name (PEP 621)"
    assert where == "pyproject.toml, [project] name"
    assert "uv init" in hint


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("project = 1", "project"),
        ("[project]\nname = 1", "project.name"),
        ("[project]\nname = 'a'\noptional-dependencies = ['b']", "project.optional-dependencies"),
        ("dependency-groups = ['b']\n[project]\nname = 'a'", "dependency-groups"),
        ("tool = 1\n[project]\nname = 'a'", "tool"),
        ("tool.uv = 1\n[project]\nname = 'a'", "tool.uv"),
        ("tool.uv.sources = 1\n[project]\nname = 'a'", "tool.uv.sources"),
        ("tool.uv.workspace = ['x']\n[project]\nname = 'a'", "tool.uv.workspace"),
        ("tool.uv.conflicts = 1\n[project]\nname = 'a'", "tool.uv.conflicts"),
        ("tool.uv.conflicts = [1]\n[project]\nname = 'a'", "tool.uv.conflicts"),
        ("tool.uv.conflicts = [['x']]\n[project]\nname = 'a'", "tool.uv.conflicts"),
        ("tool.uv.conflicts = [[{extra = 1}]]\n[project]\nname = 'a'", "tool.uv.conflicts"),
    ],
)
def test_a_pyproject_of_another_shape(project: Path, text: str, key: str) -> None:
    (project / "pyproject.toml").write_text(text)
    message, where, _ = problem(project)
    assert message.startswith("it must be a ")
    assert where == f"pyproject.toml, {key}"


def test_a_lock_of_a_newer_version(project: Path) -> None:
    edit(project, "version = 1\n", "version = 2\n", "uv.lock")
    message, where, hint = problem(project)
    assert "version 2 of uv's format, newer than version 1" in message
    assert where == "uv.lock, version"
    assert "newer Dockyard" in hint


def test_a_lock_of_another_project(project: Path) -> None:
    shutil.copy(folder_of("empty") / "uv.lock", project)
    with pytest.raises(ProjectError, match="it does not hold revisions"):
        read(project)


def test_every_problem_of_a_stale_lock(project: Path) -> None:
    edit(project, 'dependencies = ["anyio==4.8.0"', 'dependencies = ["anyio==4.9.0", "httpx"')
    with pytest.raises(ProjectError) as raised:
        read(project)
    assert [one.message for one in raised.value.problems] == [
        "uv.lock is out of date: `anyio==4.9.0` is asked for, the lock was made for `anyio==4.8.0`",
        "uv.lock is out of date: `httpx` was added",
    ]
    assert {one.hint for one in raised.value.problems} == {"run `uv lock`, and commit the file"}


def test_an_unknown_extra_with_the_nearest_name(project: Path) -> None:
    assert problem(project, extras=("odl",)) == (
        "there is no extra odl; the project's extras are: new, old",
        "pyproject.toml, [project.optional-dependencies]",
        "DOCKYARD_EXTRAS: did you mean old?",
    )


def test_an_unknown_extra_that_is_near_to_none(project: Path) -> None:
    _, _, hint = problem(project, extras=("graphics",))
    assert hint == "DOCKYARD_EXTRAS: choose among: new, old"


def test_an_unknown_group(project: Path) -> None:
    assert problem(project, groups=("deb",)) == (
        "there is no group deb; the project's groups are: dev",
        "pyproject.toml, [dependency-groups]",
        "DOCKYARD_GROUPS: did you mean dev?",
    )


def test_a_project_without_extras_or_groups() -> None:
    with pytest.raises(ProjectError) as raised:
        read(folder_of("empty"), extras=("cpu",), groups=("dev",))
    assert [one.message for one in raised.value.problems] == [
        "there is no extra cpu; the project's extras are: none",
        "there is no group dev; the project's groups are: none",
    ]
    assert {one.hint for one in raised.value.problems} == {
        "DOCKYARD_EXTRAS: the project has none",
        "DOCKYARD_GROUPS: the project has none",
    }


def test_conflicting_extras(project: Path) -> None:
    assert problem(project, extras=("old", "new")) == (
        "extra new of revisions and extra old of revisions cannot be installed together",
        "pyproject.toml, [tool.uv] conflicts",
        "choose one of them",
    )


def test_conflicting_extra_and_group() -> None:
    message, _, _ = problem(folder_of("conflicts"), extras=("extra-tools",), groups=("legacy",))
    assert "extra extra-tools of conflicts and group legacy of conflicts" in message


def test_the_examples_extras_conflict() -> None:
    message, _, _ = problem(folder_of("mushroom"), extras=("cpu", "gpu"))
    assert message == "extra cpu of mushroom and extra gpu of mushroom cannot be installed together"


@pytest.mark.parametrize("python", ["3.9", "3.10", "3.10.20"])
def test_a_python_that_the_project_does_not_allow(project: Path, python: str) -> None:
    message, where, hint = problem(project, python=python)
    assert message == f"the image's Python {python} is not one that the lock is for: >=3.11"
    assert where == "pyproject.toml, [project] requires-python"
    assert "DOCKYARD_PYTHON_IMAGE" in hint


def test_a_platform_that_the_lock_does_not_cover() -> None:
    message, where, hint = problem(folder_of("extras"), machine="aarch64")
    assert message.startswith("it does not cover linux on aarch64 with Python 3.13, only: ")
    assert where == "uv.lock, supported-markers"
    assert "[tool.uv] environments" in hint


def test_a_workspace_member_that_is_missing(tmp_path: Path) -> None:
    folder = tmp_path / "workspace"
    shutil.copytree(folder_of("workspace"), folder)
    shutil.rmtree(folder / "packages" / "jobs")
    message, where, hint = problem(folder)
    assert message == "the lock names this workspace member, which is not there"
    assert where == "packages/jobs/pyproject.toml"
    assert hint == "run `uv lock`"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    for name in ("src/service", "scripts", "data sets", ".hidden"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "README.md").touch()
    return tmp_path


def test_copy_paths_that_are_there(sources: Path) -> None:
    check_copy_paths(sources, ["src", "/scripts", "src/service/", "README.md", "data sets", "*.x"])


@pytest.mark.parametrize(
    ("path", "message", "hint"),
    [
        ("scr", "scr is not there", "did you mean src?"),
        ("src/servise", "src/servise is not there", "did you mean src/service?"),
        ("readme.md", "readme.md is not there", "did you mean README.md?"),
        ("SRC", "SRC is not there", "did you mean src?"),
        (
            "models",
            "models is not there",
            "the folder has README.md, data sets, scripts, src",
        ),
        ("scripts/deep/er", "scripts/deep/er is not there", "scripts has nothing"),
        ("../secrets", "../secrets is outside", "only what is below can be copied"),
        ("src/../../x", "src/../../x is outside", "only what is below can be copied"),
    ],
)
def test_a_copy_path_that_is_not(sources: Path, path: str, message: str, hint: str) -> None:
    with pytest.raises(ProjectError) as raised:
        check_copy_paths(sources, ["src", path])
    (only,) = raised.value.problems
    assert message in only.message
    assert only.where == str(sources)
    assert only.hint == f"DOCKYARD_COPY_PATHS: {hint}"


def test_a_link_that_leads_out_of_the_context(
    sources: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "file").touch()
    (sources / "link").symlink_to(outside)
    (sources / "inside").symlink_to("src")
    check_copy_paths(sources, ["inside", "inside/service"])
    for path in ("link", "link/file"):
        with pytest.raises(ProjectError, match=f"{path} is outside the build context"):
            check_copy_paths(sources, [path])


def test_a_link_to_itself_is_not_there(sources: Path) -> None:
    (sources / "loop").symlink_to("loop")
    with pytest.raises(ProjectError, match="loop is not there"):
        check_copy_paths(sources, ["loop"])


def test_every_copy_path_at_once(sources: Path) -> None:
    with pytest.raises(ProjectError) as raised:
        check_copy_paths(sources, ["a", "b", "src"])
    assert len(raised.value.problems) == 2
