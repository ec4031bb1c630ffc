"""Project facts of real locks of every shape, against what `uv export` installs."""

from __future__ import annotations

import hashlib

import pytest

from dockyard.errors import ProjectError
from dockyard.project import PackageSource, ProjectFacts, Target, read_project
from support.projects import CASES, PROJECTS, Case, exported, facts_of, folder_of, requirements_of

PYTHONS = ("3.10", "3.11", "3.12", "3.12.0", "3.13", "3.14")
MACHINES = ("x86_64", "aarch64")


def targets(case: Case) -> list[Target]:
    """Return the targets that the lock is for."""
    found = []
    for python in PYTHONS:
        for machine in MACHINES:
            target = Target(python, machine)
            try:
                facts_of(case, target)
            except ProjectError as error:
                if not any(text in str(error) for text in ("the image's Python", "does not cover")):
                    raise
            else:
                found.append(target)
    return found


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_packages_are_those_that_uv_exports(case: Case) -> None:
    fitting = targets(case)
    assert Target("3.13") in fitting
    for target in fitting:
        packages = facts_of(case, target).packages
        assert requirements_of(packages) == exported(case.expected, target), target
        assert [one.name for one in packages] == sorted(one.name for one in packages)


def test_every_project_of_the_folder_is_a_case() -> None:
    shapes = {path.parent.name for path in PROJECTS.glob("*/expected-*.txt")}
    assert {case.shape for case in CASES.values()} == shapes
    stored = {f"{path.parent.name}-{path.stem[9:]}" for path in PROJECTS.glob("*/expected-*.txt")}
    assert set(CASES) == stored


def facts(
    shape: str, *, extras: tuple[str, ...] = (), groups: tuple[str, ...] = ()
) -> ProjectFacts:
    return read_project(folder_of(shape), extras=extras, groups=groups, target=Target("3.13"))


def test_the_project_itself() -> None:
    found = facts("plain", extras=("Tracing", "tracing"), groups=("TEST",))
    assert found.name == "plain-service"
    assert found.version == "1.2.0"
    assert found.description == "A small web service"
    assert found.requires_python == ">=3.11"
    assert found.extras == ("tracing",)
    assert found.groups == ("test",)
    lock = folder_of("plain") / "uv.lock"
    assert found.lock_digest == hashlib.sha256(lock.read_bytes()).hexdigest()
    assert found.files == (folder_of("plain") / "pyproject.toml", lock)


def test_a_dynamic_version_is_the_locks() -> None:
    assert facts("dynamic").version == "0.1.0"


def test_a_workspace_without_a_project_is_named_after_its_folder() -> None:
    found = facts("virtual-root")
    assert found.name == "virtual-root"
    assert [path.relative_to(folder_of("virtual-root")).as_posix() for path in found.files] == [
        "pyproject.toml",
        "uv.lock",
        "one/pyproject.toml",
        "two/pyproject.toml",
    ]


@pytest.mark.parametrize("shape", ["workspace", "member-conflicts", "member-extras"])
def test_no_member_is_a_package(shape: str) -> None:
    members = {"workspace-app", "core-member", "job-member", "either", "reader", "writer"}
    members |= {"first-member", "second-member"}
    assert not members & {one.name for one in facts(shape).packages}


def test_a_package_says_where_it_comes_from() -> None:
    found = {one.name: one.source for one in facts("git").packages}
    toolbox = found["toolbox"]
    assert toolbox.kind == "git"
    assert toolbox.location == "https://git.example/toolbox.git"
    assert toolbox.subdirectory == "python"
    assert toolbox.revision is not None
    assert len(toolbox.revision) == 40
    assert found["six"] == PackageSource("registry", "https://pypi.org/simple")
    indexes = {one.name: one.source for one in facts("index", extras=("gpu", "upstream")).packages}
    assert indexes["tensors"].location == "https://wheels.example/gpu/simple"
    kinds = {one.name: one.source.kind for one in facts("paths").packages}
    assert kinds["editable-library"] == "editable"
    assert kinds["library"] == "directory"
    assert kinds["archive"] == kinds["wheel-file"] == "path"
    assert {one.source.kind for one in facts("url").packages} == {"url"}


def test_a_package_says_whether_it_has_to_be_built() -> None:
    wheels = {one.name: one.has_wheel for one in facts("url").packages}
    assert wheels == {"six": True, "blinker": False}
    wheels = {one.name: one.has_wheel for one in facts("paths").packages}
    assert wheels["wheel-file"]
    assert not wheels["archive"]
    assert not wheels["library"]
    large = read_project(
        folder_of("large"), extras=[], groups=[], target=Target("3.13", "aarch64")
    ).packages
    # Every third package of that index has wheels for x86_64 alone.
    assert {int(one.name[5:]) % 3 == 0 for one in large if not one.has_wheel} == {True}
    assert all(one.has_wheel for one in facts("large").packages)


def test_a_size_is_that_of_the_wheel_or_none() -> None:
    sizes = {one.name: one.size for one in facts("revision-5", extras=("old",)).packages}
    assert sizes["iniconfig"] == 4990
    assert {one.size for one in facts("large").packages} == {None}


def test_hashes_are_those_of_every_file() -> None:
    found = {one.name: one for one in facts("revision-5", extras=("old",)).packages}
    assert found["iniconfig"].hashed
    assert found["iniconfig"].hashes == (
        "sha256:011e24c64b7f47f6ebd835bb12a743f2fbe9a26d4cecaa7f53bc4f35ee9da8b3",
        "sha256:bc3af051d7d14b2ee5ef9969666def0cd1a000e121eaea580d4a313df4b37f32",
    )
    git = next(one for one in facts("git").packages if one.source.kind == "git")
    assert git.hashes == ()
    assert not git.hashed
