"""What a build needs of the project: read once, and remembered as long as its files stay."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from dockyard.local_packages import NO_LOCAL_PACKAGES, LocalPackages, find_local_packages
from dockyard.project import Package, ProjectFacts, Target, read_project
from dockyard.settings import Settings
from dockyard.state import State

__all__ = [
    "Facts",
    "KnownProject",
    "LockedPackage",
    "fingerprint_of",
    "own_architecture",
    "project_facts",
    "target_of",
]


@dataclass(frozen=True)
class LockedPackage:
    """A package as the lock has it for the image (see :class:`dockyard.lock.Package`).

    ``source`` is null for one from an index, else the URL with its commit, or the path. ``bytes``
    is the size of the file that is downloaded, None where the lock does not tell. ``wheel``: it is
    installed as it was downloaded, and not built from source.
    """

    name: str
    version: str
    identity: str
    source: str | None
    bytes: int | None
    wheel: bool


@dataclass(frozen=True)
class KnownProject:
    """What a build needs of the project: name, version, and the packages of the image."""

    name: str
    version: str
    packages: tuple[str, ...]
    local: LocalPackages = NO_LOCAL_PACKAGES
    locked: tuple[LockedPackage, ...] = ()


def own_architecture() -> str:
    """Name this machine's architecture as platforms do: ``amd64``, where it is no known one."""
    machines = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
    return machines.get(os.uname().machine, "amd64")


def target_of(settings: Settings, architecture: str = "amd64") -> Target:
    """Read the target's Python from the base image's tag and its machine from the platform."""
    import re

    match = re.search(r":(\d+\.\d+)", settings.python_image.rpartition("/")[2])
    platform = settings.platforms[0] if settings.platforms else f"linux/{architecture}"
    machines = {"amd64": "x86_64", "arm64": "aarch64"}
    machine = platform.split("/")[1]
    return Target(
        python=match[1] if match else "3.13",
        platform_machine=machines.get(machine, machine),
        sys_platform="linux",
    )


def project_facts(settings: Settings, architecture: str = "amd64") -> ProjectFacts:
    """Read pyproject.toml and uv.lock for the extras, groups and platform in force."""
    return read_project(
        settings.root / settings.project,
        extras=settings.extras,
        groups=settings.groups,
        target=target_of(settings, architecture),
    )


def fingerprint_of(*parts: object) -> str:
    """Digest what an answer depends on, so that it is remembered only as long as that stays."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else json.dumps(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _locked(package: Package) -> LockedPackage:
    source = package.source
    place = None
    if source.kind != "registry":
        place = source.location + (f"@{source.revision}" if source.revision else "")
        place += f"#subdirectory={source.subdirectory}" if source.subdirectory else ""
    return LockedPackage(
        package.name,
        package.version,
        package.identity,
        place,
        package.size,
        package.has_wheel and source.kind in ("registry", "url", "path"),
    )


def _workspace(project: bytes) -> list[str]:
    """List the globs of a workspace's members, relative and below the project."""
    import tomllib

    table = tomllib.loads(project.decode()).get("tool", {}).get("uv", {}).get("workspace", {})
    return [one for one in _texts(table.get("members")) if not Path(one).is_absolute()]


class Facts:
    """The project's facts, read only where what is remembered does not do.

    ``lock_fingerprint``: of the lock and of what picks packages from it; equal as long as the same
    packages are installed.
    """

    def __init__(self, settings: Settings, state: State, architecture: str) -> None:
        self._settings = settings
        self._architecture = architecture
        self._facts: ProjectFacts | None = None
        folder = settings.root / settings.project
        project, lock = _read_bytes(folder / "pyproject.toml"), _read_bytes(folder / "uv.lock")
        chosen = [
            [settings.project, settings.extras, settings.groups],
            [settings.python_image, settings.platforms, architecture],
        ]
        self.lock_fingerprint = fingerprint_of(project, lock, *chosen)
        fingerprint = fingerprint_of(
            self.lock_fingerprint, [settings.install, settings.copy_paths], "members, locked"
        )
        remembered = state.recall("project", fingerprint)
        if isinstance(remembered, dict) and self._members(remembered) == remembered.get("members"):
            local = remembered["local"]
            self.known = KnownProject(
                remembered["name"],
                remembered["version"],
                tuple(remembered["packages"]),
                LocalPackages(
                    members=tuple(local["members"]),
                    packages=tuple(local["packages"]),
                    python_path=tuple(local["python_path"]),
                    git=bool(local["git"]),
                ),
                tuple(LockedPackage(**one) for one in remembered["locked"]),
            )
        else:
            facts = self.full()
            names = tuple(dict.fromkeys(package.name for package in facts.packages))
            local_packages = find_local_packages(
                folder, facts, install=settings.install, copy_paths=settings.copy_paths
            )
            locked = tuple(map(_locked, facts.packages))
            self.known = KnownProject(facts.name, facts.version, names, local_packages, locked)
            found = asdict(self.known) | {
                "files": [str(path.relative_to(folder)) for path in facts.files[2:]],
                "globs": _workspace(project),
            }
            state.remember("project", fingerprint, found | {"members": self._members(found)})

    def _members(self, remembered: dict[str, object]) -> dict[str, str]:
        """Digest the pyproject.toml of each workspace member: the lock may be stale for it.

        Also of those folders that the workspace would take as members and the lock does not know.
        """
        folder = self._settings.root / self._settings.project
        paths = {folder / name for name in _texts(remembered.get("files"))}
        for pattern in _texts(remembered.get("globs")):
            paths.update(folder.glob(f"{pattern}/pyproject.toml"))
        return {
            str(path.relative_to(folder)): hashlib.sha256(_read_bytes(path)).hexdigest()
            for path in sorted(paths)
        }

    @property
    def target(self) -> Target:
        """What the image is for."""
        return target_of(self._settings, self._architecture)

    def full(self) -> ProjectFacts:
        """Read the project's files, once."""
        if self._facts is None:
            self._facts = project_facts(self._settings, self._architecture)
        return self._facts

    @property
    def packages(self) -> tuple[Package, ...]:
        """The packages of the image, from the lock itself."""
        return self.full().packages
