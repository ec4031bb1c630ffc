"""``uv.lock`` as tables whose shape has been checked; :mod:`dockyard.lock` walks over them.

The format is uv's own (``crates/uv-resolver/src/lock/mod.rs``). A *version* of it is another
format; a *revision* only adds to its version, upload times with 2. The first locks name none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from dockyard.errors import ProjectError

__all__ = ["LOCK_VERSION", "LockFile", "conflict_key", "normalize", "parse_lock"]

LOCK_VERSION = 1


def normalize(name: str) -> str:
    """Return a package, extra or group name in the form of PEP 503 and PEP 685."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True)
class LockFile:
    """A parsed ``uv.lock``. ``packages`` keeps the file's own tables, by normalised name."""

    revision: int
    requires_python: str
    members: tuple[str, ...]
    conflicts: frozenset[frozenset[str]]
    supported_markers: tuple[str, ...]
    required_markers: tuple[str, ...]
    options: dict[str, Any]
    manifest: dict[str, Any]
    packages: dict[str, list[dict[str, Any]]]

    def find(self, name: str) -> dict[str, Any] | None:
        """Return the package of this name if there is exactly one."""
        found = self.packages.get(name, [])
        return found[0] if len(found) == 1 else None


def parse_lock(data: dict[str, Any], where: str = "uv.lock") -> LockFile:
    """Take a lock apart.

    Raises ProjectError if its format is newer or older than version 1, or if it is no lock.
    """
    _check_version(data, where)
    checked = _Checker(where)
    packages: dict[str, list[dict[str, Any]]] = {}
    # The key was "distribution" before uv 0.3.
    key = "package" if "package" in data else "distribution"
    for table in checked.tables(data, key, key):
        checked.package(table)
        packages.setdefault(normalize(table["name"]), []).append(table)
    manifest = checked.table(data, "manifest", "manifest")
    checked.manifest(manifest)
    conflicts = checked.list_of(data, "conflicts", list, "conflicts")
    return LockFile(
        revision=data.get("revision", 0),
        requires_python=checked.text(data, "requires-python", "requires-python"),
        members=tuple(checked.list_of(manifest, "members", str, "manifest")),
        conflicts=frozenset(
            frozenset(map(conflict_key, filter(checked.is_table, group))) for group in conflicts
        ),
        supported_markers=tuple(checked.list_of(data, "supported-markers", str, "")),
        required_markers=tuple(checked.list_of(data, "required-markers", str, "")),
        options=checked.table(data, "options", "options"),
        manifest=manifest,
        packages=packages,
    )


def _check_version(data: dict[str, Any], where: str) -> None:
    version = data.get("version")
    if version == LOCK_VERSION:
        return
    place = f"{where}, version"
    if not isinstance(version, int):
        raise ProjectError(
            "this is no lock of uv's: it does not say which version of the format it has",
            where=place,
            hint="run `uv lock`",
        )
    newer = version > LOCK_VERSION
    raise ProjectError(
        f"the lock has version {version} of uv's format, {'newer' if newer else 'older'} than "
        f"version {LOCK_VERSION}, which is what Dockyard reads",
        where=place,
        hint="use a newer Dockyard, or lock with a uv that writes version 1"
        if newer
        else "run `uv lock` with a current uv",
    )


class _Checker:
    """Reads a lock's tables; ProjectError names the first entry that has not the form it must."""

    def __init__(self, where: str) -> None:
        self._where = where

    def _fail(self, place: str, message: str) -> ProjectError:
        return ProjectError(
            f"{message}: the file is edited, badly merged or of a very old uv",
            where=f"{self._where}, {place}" if place else self._where,
            hint="run `uv lock`",
        )

    def is_table(self, value: Any) -> bool:
        if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
            raise self._fail("conflicts", "an entry is not a table of texts")
        return True

    def text(self, table: dict[str, Any], key: str, place: str, default: str = "") -> str:
        value = table.get(key, default)
        if not isinstance(value, str):
            raise self._fail(place, f"{key} is not a text")
        return value

    def table(self, table: dict[str, Any], key: str, place: str) -> dict[str, Any]:
        value = table.get(key, {})
        if not isinstance(value, dict):
            raise self._fail(place, f"{key} is not a table")
        return value

    def list_of(self, table: dict[str, Any], key: str, kind: type, place: str) -> list[Any]:
        value = table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, kind) for one in value):
            raise self._fail(place, f"{key} is not a list as it should be")
        return value

    def tables(self, table: dict[str, Any], key: str, place: str) -> list[dict[str, Any]]:
        return self.list_of(table, key, dict, place)

    def package(self, table: dict[str, Any]) -> None:
        if not self.text(table, "name", "package"):
            raise self._fail("package", "a package has no name")
        place = f"package {table['name']}"
        if not self.table(table, "source", place):
            raise self._fail(place, "it has no source")
        self.text(table, "version", place)
        self.list_of(table, "resolution-markers", str, place)
        self.dependencies(self.tables(table, "dependencies", place), place)
        for key in ("optional-dependencies", "dev-dependencies", "dependency-groups"):
            groups = self.table(table, key, place)
            for group in groups:
                self.dependencies(self.tables(groups, group, place), place)
        for file in [*self.tables(table, "wheels", place), self.table(table, "sdist", place)]:
            for key in ("filename", "hash", "path", "url"):
                self.text(file, key, place)
            if not isinstance(file.get("size"), int | None):
                raise self._fail(place, "size is not a number of bytes")

    def manifest(self, table: dict[str, Any]) -> None:
        groups = self.table(table, "dependency-groups", "manifest")
        for group in groups:
            entries = self.tables(groups, group, "manifest")
            self.dependencies(entries, "manifest")
            for entry in entries:
                self.list_of(entry, "extras", str, "manifest")

    def dependencies(self, entries: list[dict[str, Any]], place: str) -> None:
        for entry in entries:
            if not self.text(entry, "name", place):
                raise self._fail(place, "a dependency has no name")
            self.text(entry, "marker", place)
            self.text(entry, "version", place)
            self.list_of(entry, "extra", str, place)


def conflict_key(item: dict[str, Any], default_package: str = "") -> str:
    """Name an extra, group or project of a conflict as uv does inside markers.

    ``extra-<length of the package's name>-<package>-<extra>``: uv's ``universal_marker.rs``.
    """
    package = normalize(item.get("package", default_package))
    for kind in ("extra", "group"):
        if kind in item:
            return f"{kind}-{len(package)}-{package}-{normalize(item[kind])}"
    return f"project-{len(package)}-{package}"
