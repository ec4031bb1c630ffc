"""The projects below tests/data/projects, and what `uv export` says that they install."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from packaging.markers import Marker

from dockyard.project import Package, ProjectFacts, Target, read_project

__all__ = ["CASES", "PROJECTS", "Case", "exported", "facts_of", "folder_of", "requirements_of"]

PROJECTS = Path(__file__).parents[1] / "data" / "projects"
REPOSITORY = PROJECTS.parents[2]


class Case(NamedTuple):
    """One choice of extras and groups of a project, a *shape* of cases.json."""

    shape: str
    name: str
    extras: Sequence[str]
    groups: Sequence[str]

    @property
    def folder(self) -> Path:
        return folder_of(self.shape)

    @property
    def expected(self) -> str:
        """What `uv export` wrote when regenerate.py was last run."""
        return (PROJECTS / self.shape / f"expected-{self.name}.txt").read_text()

    @property
    def options(self) -> list[str]:
        """The options of `uv export` that choose the same."""
        return [
            *(f"--extra={extra}" for extra in self.extras),
            *(f"--group={group}" for group in self.groups),
        ]


def folder_of(shape: str) -> Path:
    """The folder of a project; the example's own is not among the data."""
    return REPOSITORY / "examples" / shape if shape == "mushroom" else PROJECTS / shape


def _cases() -> dict[str, Case]:
    found: Mapping[str, Mapping[str, Mapping[str, list[str]]]] = json.loads(
        (PROJECTS / "cases.json").read_text()
    )
    return {
        f"{shape}-{name}": Case(shape, name, choice.get("extras", []), choice.get("groups", []))
        for shape, cases in found.items()
        for name, choice in cases.items()
    }


CASES = _cases()


def facts_of(case: Case, target: Target) -> ProjectFacts:
    """Read the project as a build would."""
    return read_project(case.folder, extras=case.extras, groups=case.groups, target=target)


def exported(text: str, target: Target) -> set[str]:
    """Return the requirements of `uv export` whose markers hold on the target."""
    found = set()
    for line in filter(None, text.splitlines()):
        requirement, _, marker = line.partition(" ; ")
        if not marker or Marker(marker).evaluate({**target.environment(), "extra": ""}):
            found.add(re.sub(r"^-e ", "", requirement))
    return found


def requirement_of(package: Package) -> str:
    """Write a package as `uv export` does."""
    source = package.source
    if source.kind == "registry":
        return f"{package.name}=={package.version}"
    if source.kind in ("editable", "directory", "path"):
        return f"./{source.location}"
    below = f"#subdirectory={source.subdirectory}" if source.subdirectory else ""
    place = f"git+{source.location}@{source.revision}" if source.kind == "git" else source.location
    return f"{package.name} @ {place}{below}"


def requirements_of(packages: Iterable[Package]) -> set[str]:
    """Write packages as `uv export` does."""
    return set(map(requirement_of, packages))
