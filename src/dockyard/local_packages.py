"""What of a project's lock is in folders of the repository: workspace members and path sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dockyard.errors import Problem, ProjectError

if TYPE_CHECKING:
    from dockyard.project import Package, ProjectFacts

__all__ = ["NO_LOCAL_PACKAGES", "LocalPackages", "find_local_packages", "source_folder"]

LOCAL_KINDS = ("directory", "editable", "path")


@dataclass(frozen=True)
class LocalPackages:
    """Paths below the project's folder, in POSIX form.

    ``members``: the folders of the project (``.``) and of the workspace members that it needs,
    which wheel mode builds. ``packages``: folders and archives of path sources, which are built
    and installed in every mode. ``python_path``: where copy mode finds the other members' modules.
    ``git``: the lock has packages from git repositories.
    """

    members: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    python_path: tuple[str, ...] = ()
    git: bool = False


NO_LOCAL_PACKAGES = LocalPackages()


def source_folder(directory: Path, member: str) -> str:
    """Return the folder that holds a member's modules: its ``src``, else the member's own."""
    inner = PurePosixPath(member, "src")
    return str(inner if (directory / inner).is_dir() else PurePosixPath(member))


def _covers(copied: str, wanted: str) -> bool:
    """Whether copying one path brings the other, or a part of it."""
    one, other = PurePosixPath(copied), PurePosixPath(wanted)
    return one == other or one in other.parents or other in one.parents


def _outside(package: Package, directory: Path) -> Problem:
    return Problem(
        f"{package.name} is at {package.source.location}, outside of the build context",
        where=str(directory / "uv.lock"),
        hint="move it below the project, or make both members of one workspace and build that",
    )


def find_local_packages(
    directory: Path, facts: ProjectFacts, *, install: str, copy_paths: Sequence[str]
) -> LocalPackages:
    """Find what of a project is built from folders, for the ``install`` mode ``copy`` or ``wheel``.

    Raises ProjectError: a path source is outside of the build context; wheel mode has nothing to
    build; copy mode needs a workspace member that is not among the ``copy_paths``.
    """
    paths = [one for one in facts.packages if one.source.kind in LOCAL_KINDS]
    problems = [
        _outside(one, directory)
        for one in (*paths, *facts.members)
        if one.source.location.startswith(("/", "../")) or one.source.location == ".."
    ]
    members = tuple(str(PurePosixPath(one.source.location)) for one in facts.members)
    if install == "wheel" and not members:
        problems.append(
            Problem(
                "there is nothing to build a wheel from: the project has no [build-system]",
                where=str(directory / "pyproject.toml"),
                hint="add one (`uv init --package` shows how) and run `uv lock`, or set "
                "DOCKYARD_INSTALL=copy",
            )
        )
    folders = tuple(source_folder(directory, one) for one in members if one != ".")
    if install == "copy":
        problems += [
            Problem(
                f"the image needs the workspace member {member}, and copies no sources of it",
                where="DOCKYARD_COPY_PATHS",
                hint=f"add {folder} to DOCKYARD_COPY_PATHS (and let it in in .dockerignore), or "
                "set DOCKYARD_INSTALL=wheel, which builds and installs members",
            )
            for member, folder in zip([one for one in members if one != "."], folders, strict=True)
            if not any(_covers(copied, folder) for copied in copy_paths)
        ]
    if problems:
        raise ProjectError(*problems)
    return LocalPackages(
        members=members,
        packages=tuple(str(PurePosixPath(one.source.location)) for one in paths),
        python_path=folders,
        git=any(one.source.kind == "git" for one in facts.packages),
    )
