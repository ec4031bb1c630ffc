"""What is proposed for the project at hand: its files are read, and the environment counted in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard.adoption.commands import propose_start
from dockyard.adoption.debian import debian_packages
from dockyard.adoption.place import Place, read_toml
from dockyard.adoption.proposals import (
    SettingProposal,
    choose_extras,
    choose_groups,
    choose_python,
    propose_settings,
    with_choices,
)
from dockyard.adoption.shape import ProjectShape, look_at, requirement_names
from dockyard.initialization import read_text
from dockyard.local_packages import source_folder
from dockyard.settings import Origin, Settings, load_settings
from dockyard.settings_fields import FIELDS
from dockyard.stand_ins import LOCAL_REGISTRY

if TYPE_CHECKING:
    from dockyard.project import ProjectFacts

__all__ = ["survey"]

# Where a stranger's docker/Dockerfile is, Dockyard's goes beside it.
OTHER_DOCKERFILE = "docker/Dockerfile.dockyard"


def survey(
    place: Place, environment: Mapping[str, str]
) -> tuple[tuple[SettingProposal, ...], tuple[str, ...], str]:
    """Propose what neither the environment nor ``.env`` has settled.

    Returns notes for the user as well, and the name that the image has without a setting.
    """
    from dockyard.known_project import target_of
    from dockyard.project import read_project

    bare = load_settings(place.root, environment, {}, table={})
    folder = bare.root / bare.project
    pyproject = place.pyproject
    if bare.project != ".":
        pyproject = read_toml(folder / "pyproject.toml")
    shape = look_at(folder, pyproject)
    given = {one.attribute for one in FIELDS if _is_given(bare, one.attribute)}
    extras = () if "extras" in given else choose_extras(shape)
    groups = () if "groups" in given else choose_groups(shape)
    python = None if "python_image" in given else choose_python(shape, bare.python_image)
    names = tuple(name for name, _ in extras) or bare.extras
    group_names = tuple(name for name, _ in groups) or bare.groups
    target = target_of(replace(bare, python_image=python[0] if python else bare.python_image))
    facts = read_project(folder, extras=names, groups=group_names, target=target)
    shape = _with_members(with_choices(shape, names, group_names), folder, facts, place.member)
    packages = {one.name for one in facts.packages}
    start = propose_start(shape, packages)
    debian = debian_packages(
        facts.packages,
        _foreign_wheels(folder, facts),
        headers=not bare.python_image.startswith(f"{LOCAL_REGISTRY}/"),
    )
    proposals = propose_settings(
        shape,
        start,
        debian,
        dockerfile=_dockerfile_path(bare),
        extras=extras,
        groups=groups,
        python=python,
    )
    settled = {one.key for one in FIELDS if one.attribute in given}
    notes = [*start.notes]
    if debian.unknown:
        notes.append(
            f"{', '.join(debian.unknown)}: built from source, since the lock has no wheel; if that "
            'needs a compiler, set build-packages = ["build-essential"]'
        )
    # Not settings of pyproject.toml: a password would be in version control.
    notes += [
        f"the index {name or 'without a name'} may want a password: set "
        f"UV_INDEX_{name.upper().replace('-', '_') or '<NAME>'}_USERNAME and …_PASSWORD in the "
        "environment or in .env, which stays out of version control"
        for name in shape.protected
        if f"UV_INDEX_{name.upper().replace('-', '_')}_PASSWORD" not in bare.index_credentials
    ]
    if place.member:
        notes.insert(0, f"{place.member} is a member of the workspace at {place.root}: that is set")
    kept = tuple(one for one in proposals if one.key not in settled)
    return kept, tuple(notes), facts.name


def _is_given(settings: Settings, attribute: str) -> bool:
    source = settings.sources.get(attribute)
    return source is not None and source.origin is not Origin.DEFAULT


def _with_members(
    shape: ProjectShape, folder: Path, facts: ProjectFacts, member: str | None
) -> ProjectShape:
    """Add the workspace members that the image holds: their sources, and what they ask for."""
    places = [one.source.location for one in facts.members if one.source.location != "."]
    if member in places:
        places.sort(key=lambda one: one != member)
    direct, scripts = set(shape.direct), dict(shape.scripts)
    name = shape.name
    for inner in places:
        project = read_toml(folder / inner / "pyproject.toml").get("project", {})
        direct |= set(requirement_names(project.get("dependencies")))
        scripts = {**project.get("scripts", {}), **scripts}
        if inner == member:
            name = str(project.get("name", name)).replace("_", "-").lower()
    return replace(
        shape,
        name=name,
        direct=frozenset(direct),
        scripts=scripts,
        members=tuple(source_folder(folder, one) for one in places),
    )


def _foreign_wheels(folder: Path, facts: ProjectFacts) -> dict[str, bool]:
    """Tell of packages without a wheel for the image whether the lock has others' wheels."""
    lacking = {one.name for one in facts.packages if not one.has_wheel}
    if not lacking:
        return {}
    tables = read_toml(folder / "uv.lock").get("package", [])
    return {one["name"]: bool(one.get("wheels")) for one in tables if one.get("name") in lacking}


def _dockerfile_path(settings: Settings) -> str:
    """Keep the default, unless a Dockerfile that Dockyard did not write is there."""
    from dockyard.dockerfile import is_rendered

    text = read_text(settings.root / settings.dockerfile)
    return settings.dockerfile if text is None or is_rendered(text) else OTHER_DOCKERFILE
