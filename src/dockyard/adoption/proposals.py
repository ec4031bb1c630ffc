"""What to set in ``[tool.dockyard]`` for a project, and why. Pure; only the table is a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from dockyard.adoption.commands import SERVERS, Start
from dockyard.adoption.debian import DebianPackages
from dockyard.adoption.shape import ASIDE, TOOLS, ProjectShape
from dockyard.settings_fields import FIELDS

__all__ = [
    "SettingProposal",
    "choose_extras",
    "choose_groups",
    "choose_python",
    "differing",
    "propose_settings",
    "with_choices",
]

PRODUCTION = ("prod", "production", "deploy", "deployment", "serve", "server", "web")
# Beside code, an application may read these where it runs.
DATA_FOLDERS = ("templates", "static", "migrations", "alembic", "locale", "pages", "config")
DATA_FILES = ("alembic.ini", "gunicorn.conf.py", "manage.py")
# Beside its sources, a project's build may read these.
BUILD_FILES = (
    *("CMakeLists.txt", "Cargo.lock", "Cargo.toml", "MANIFEST.in", "hatch_build.py", "meson.build"),
    *("setup.cfg", "setup.py"),
)
BUILD_FOLDERS = ("cmake", "cpp", "crates", "csrc", "include", "native", "rust")
# Newest first; the images of Docker's library that are built on the same Debian as the default.
PYTHONS = ("3.14", "3.13", "3.12", "3.11", "3.10", "3.9")
DEFAULTS: Mapping[str, Any] = {field.key: field.default for field in FIELDS if field.key}


@dataclass(frozen=True)
class SettingProposal:
    """A key of ``[tool.dockyard]``, its value as TOML would hold it, and why."""

    key: str
    value: Any
    reason: str

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it, with the default that it takes the place of."""
        default = DEFAULTS[self.key]
        return {
            "key": self.key,
            "value": self.value,
            "default": list(default) if isinstance(default, tuple) else default,
            "reason": self.reason,
        }


def differing(proposals: Iterable[SettingProposal], *, image: str) -> tuple[SettingProposal, ...]:
    """Leave out what is the default anyway; ``image`` is the name without a setting."""
    found = []
    for one in proposals:
        default = image if one.key == "image" else DEFAULTS[one.key]
        if one.value != (list(default) if isinstance(default, tuple) else default):
            found.append(one)
    return tuple(found)


def choose_extras(shape: ProjectShape) -> tuple[tuple[str, str], ...]:
    """Choose the extras that an image most likely needs: name and reason of each.

    Those called after production, those with the server that nothing else asks for, and of
    hardware that exclude each other the CPU.
    """
    chosen: dict[str, str] = {}
    for name, packages in shape.extras.items():
        rival = any(name in group for group in shape.conflicts)
        if name in PRODUCTION:
            chosen[name] = f"the extra {name} is called so"
        elif name == "cpu" and (rival or {"gpu", "cuda"} & set(shape.extras)):
            chosen[name] = "of the extras for hardware, cpu runs everywhere"
        elif server := next((one for one in SERVERS if one in packages - shape.direct), None):
            chosen[name] = f"{server} is in the extra {name} alone"
    for group in shape.conflicts:
        rivals = [name for name in chosen if name in group]
        for name in rivals[1:]:
            del chosen[name]
    return tuple(chosen.items())


def choose_groups(shape: ProjectShape) -> tuple[tuple[str, str], ...]:
    """Choose the dependency groups called after production: name and reason of each."""
    return tuple(
        (name, f"the group {name} is called so") for name in shape.groups if name in PRODUCTION
    )


def with_choices(shape: ProjectShape, extras: Iterable[str], groups: Iterable[str]) -> ProjectShape:
    """Count what chosen extras and groups ask for as asked for by the project itself."""
    asked = set(shape.direct)
    for name in extras:
        asked |= shape.extras.get(name, frozenset())
    for name in groups:
        asked |= shape.groups.get(name, frozenset())
    return replace(shape, direct=frozenset(asked))


def choose_python(shape: ProjectShape, image: str) -> tuple[str, str] | None:
    """Choose another Python image than ``image``, and say why; None where that one will do."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    name, _, tag = image.rpartition(":")
    version, _, rest = tag.partition("-")
    if version not in PYTHONS:
        return None
    try:
        allowed = SpecifierSet(shape.requires_python)
    except InvalidSpecifier:
        return None

    def allows(candidate: str) -> bool:
        return any(allowed.contains(f"{candidate}.{patch}") for patch in range(40))

    pinned = shape.python_version
    if pinned in PYTHONS and pinned != version and allows(pinned):
        return f"{name}:{pinned}-{rest}", f".python-version says {pinned}"
    if allows(version):
        return None
    for candidate in PYTHONS:
        if allows(candidate):
            reason = f"requires-python ({shape.requires_python}) excludes {version}"
            return f"{name}:{candidate}-{rest}", reason
    return None


def propose_settings(
    shape: ProjectShape,
    start: Start,
    debian: DebianPackages,
    *,
    dockerfile: str,
    extras: Sequence[tuple[str, str]] = (),
    groups: Sequence[tuple[str, str]] = (),
    python: tuple[str, str] | None = None,
) -> tuple[SettingProposal, ...]:
    """Propose every setting that the image needs, defaults among them."""
    found = [SettingProposal("image", _image(shape.name), "the project is called so")]
    if dockerfile != DEFAULTS["dockerfile"]:
        reason = f"{DEFAULTS['dockerfile']} is there and not Dockyard's: it is left alone"
        found.append(SettingProposal("dockerfile", dockerfile, reason))
    if python:
        found.append(SettingProposal("python-image", *python))
    for key, chosen in (("extras", extras), ("groups", groups)):
        reasons = "; ".join(reason for _, reason in chosen)
        found.append(SettingProposal(key, [name for name, _ in chosen], reasons or "none"))
    install, why = _install(shape, start)
    found.append(SettingProposal("copy-paths", *_copied(shape, install)))
    found.append(SettingProposal("install", install, why))
    compilers = _compilers(shape) if install == "wheel" else ()
    build = sorted({*debian.build, *compilers})
    own = "the project itself is compiled" if compilers else ""
    reason = "; ".join(filter(None, (own, debian.build_reason)))
    found.append(SettingProposal("build-packages", build, reason))
    found.append(SettingProposal("runtime-packages", list(debian.runtime), debian.runtime_reason))
    found.append(SettingProposal("command", list(start.command), start.reason))
    found.append(
        SettingProposal("ports", [start.port] if start.port else [], f"{start.kind} listens there")
    )
    check = "it asks the container itself whether the port answers"
    found.append(SettingProposal("health-check", list(start.health_check), check))
    return tuple(found)


def _image(name: str) -> str:
    """Make an image's name of a project's, which is a folder's where the project has none."""
    return re.sub(r"[^a-z0-9]+", "-", name).strip("-") or "image"


def _install(shape: ProjectShape, start: Start) -> tuple[str, str]:
    if not shape.builds:
        return "copy", "there is no [build-system]"
    if start.wheel:
        return "wheel", start.reason
    if shape.native:
        return "wheel", "the project has parts that are compiled"
    if shape.entry_points:
        return "wheel", "others find the project by its [project.entry-points]"
    return "copy", "Python finds its sources as they are"


def _compilers(shape: ProjectShape) -> tuple[str, ...]:
    if not shape.native:
        return ()
    rust = shape.backend.startswith(("maturin", "setuptools_rust"))
    return ("build-essential", "cargo") if rust else ("build-essential",)


def _copied(shape: ProjectShape, install: str) -> tuple[list[str], str]:
    """List the paths of the application: its import roots, data beside it, what its build reads."""
    paths: list[str] = []
    for root in shape.roots:
        paths += [root] if root != "." else _flat(shape)
    if shape.members and "." in shape.roots and not _flat(shape):
        paths = [root for root in shape.roots if root != "."]
    files = shape.files
    if "src" in shape.roots or "." in shape.roots:
        tops = {PurePosixPath(one).parts[0] for one in files}
        paths += [one for one in (*DATA_FOLDERS, *DATA_FILES) if one in tops]
        if install == "wheel":
            paths += [one for one in (*BUILD_FILES, *BUILD_FOLDERS) if one in tops]
    named = ", ".join(dict.fromkeys(paths)) or "nothing"
    return list(dict.fromkeys(paths)), f"of what is there, the application seems to be {named}"


def _flat(shape: ProjectShape) -> list[str]:
    """List the packages and modules at the top of a project without ``src``."""
    inside = {PurePosixPath(one).parts[0] for one in shape.members}
    packages = {
        PurePosixPath(one).parts[0]
        for one in shape.files
        if one.count("/") == 1 and one.endswith(".py")
    }
    modules = {one for one in shape.files if "/" not in one and one.endswith(".py")}
    return sorted((packages - ASIDE - inside) | (modules - TOOLS))
