"""Members and path sources, and what each install mode can do with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dockyard.dockerfile import render_dockerignore
from dockyard.errors import ProjectError
from dockyard.local_packages import LocalPackages, find_local_packages
from dockyard.project import ProjectFacts, Target, read_project

PROJECTS = Path(__file__).parents[1] / "data/projects"
LINUX = Target(python="3.13", platform_machine="x86_64", sys_platform="linux")


def facts(name: str, *extras: str) -> ProjectFacts:
    return read_project(PROJECTS / name, extras=extras, groups=(), target=LINUX)


def find(
    name: str, *extras: str, install: str = "copy", paths: tuple[str, ...] = ("src",)
) -> LocalPackages:
    return find_local_packages(
        PROJECTS / name, facts(name, *extras), install=install, copy_paths=paths
    )


def test_path_sources_are_built_in_every_mode() -> None:
    assert find("paths").packages == (
        "archive-1.0.tar.gz",
        "editable",
        "library",
        "wheel_file-2.0-py3-none-any.whl",
    )


def test_only_members_that_the_image_needs_count() -> None:
    assert find("workspace", install="wheel").members == ("packages/core",)


def test_copy_mode_names_what_it_cannot_serve() -> None:
    with pytest.raises(ProjectError) as raised:
        find("workspace")
    [problem] = raised.value.problems
    assert "packages/core" in problem.message
    assert "DOCKYARD_INSTALL=wheel" in str(problem.hint)
    assert "packages/core/src" in str(problem.hint)


@pytest.mark.parametrize("path", ["packages", "packages/core", "packages/core/src"])
def test_copied_members_are_on_the_path(path: str) -> None:
    assert find("workspace", paths=("src", path)).python_path == ("packages/core/src",)


def test_wheel_mode_needs_something_to_build() -> None:
    with pytest.raises(ProjectError, match=r"build-system"):
        find("plain", install="wheel")


def test_git_sources_are_noticed() -> None:
    assert find("git").git
    assert not find("paths").git


def test_a_path_outside_of_the_context_is_refused() -> None:
    found = facts("paths")
    moved = tuple(
        replace(one, source=replace(one.source, location=f"../{one.source.location}"))
        if one.name == "library"
        else one
        for one in found.packages
    )
    with pytest.raises(ProjectError, match=r"library is at \.\./library, outside"):
        find_local_packages(
            PROJECTS / "paths", replace(found, packages=moved), install="copy", copy_paths=("src",)
        )


def test_ignore_file_lets_in_what_is_built() -> None:
    local = LocalPackages(members=(".", "packages/core"), packages=("vendor/one",))
    copied = render_dockerignore(("src",), "copy", local)
    built = render_dockerignore(("src",), "wheel", local)
    assert "!vendor/one\n" in copied
    assert "!packages/core\n" not in copied
    for line in ("!vendor/one\n", "!packages/core\n", "!README*\n", "!src\n"):
        assert line in built
