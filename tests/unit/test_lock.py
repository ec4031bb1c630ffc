"""Locks taken apart: identity, wheels that fit, conflicts, and files that are no lock."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable
from typing import Any

import pytest

from dockyard.errors import ProjectError
from dockyard.lock import Package, PackageSource, parse_lock, resolve
from dockyard.lock_file import conflict_key
from dockyard.target import Target
from support.projects import folder_of

Table = dict[str, Any]


def load(shape: str) -> Table:
    return tomllib.loads((folder_of(shape) / "uv.lock").read_text())


def packages(data: Table, root: str, *, extras: tuple[str, ...] = ()) -> dict[str, Package]:
    found = resolve(parse_lock(data), [root], extras=extras, groups=[], target=Target("3.13"))
    return {one.name: one for one in found}


def identities(data: Table, root: str, *, extras: tuple[str, ...] = ()) -> dict[str, str]:
    return {name: one.identity for name, one in packages(data, root, extras=extras).items()}


@pytest.mark.parametrize("revision", [0, 1, 2, 3])
def test_identity_is_the_same_in_every_revision_of_the_format(revision: int) -> None:
    data = load(f"revision-{revision}")
    newest = load("revision-5")
    assert data.get("revision", 0) == revision
    assert newest["revision"] == 5
    assert identities(data, "revisions", extras=("new",)) == identities(
        newest, "revisions", extras=("new",)
    )


def entry(data: Table, name: str) -> Table:
    found: Table = next(one for one in data["package"] if one["name"] == name)
    return found


def change_format(data: Table) -> None:
    data["revision"] = 99
    data["unknown"] = {"key": 1}
    data["package"].reverse()
    for table in data["package"]:
        for file in [*table.get("wheels", []), table.get("sdist", {})]:
            file.pop("size", None)
            file.pop("upload-time", None)
        table.get("wheels", []).reverse()
        table["unknown"] = True


def change_names(data: Table) -> None:
    entry(data, "idna")["name"] = "IDNA"


def move_files(data: Table) -> None:
    for table in data["package"]:
        for file in table.get("wheels", []):
            file["url"] = f"https://mirror.example/{file['url'].rpartition('/')[2]}"


def add_slash(data: Table) -> None:
    tables = [*data["package"], *entry(data, "revisions")["optional-dependencies"]["new"]]
    for table in tables:
        if "registry" in table.get("source", {}):
            table["source"]["registry"] += "/"


@pytest.mark.parametrize("change", [change_format, change_names, move_files, add_slash])
def test_lock_formatting_does_not_change_an_identity(change: Callable[[Table], None]) -> None:
    data = load("revision-5")
    before = identities(data, "revisions", extras=("new",))
    change(data)
    assert identities(data, "revisions", extras=("new",)) == before


def new_version(table: Table) -> None:
    table["version"] = "3.0"


def new_source(table: Table) -> None:
    table["source"] = {"registry": "https://index.example/simple"}


def new_hash(table: Table) -> None:
    table["wheels"][0]["hash"] = "sha256:" + "0" * 64


def new_file(table: Table) -> None:
    table["wheels"].append(table["wheels"][0] | {"hash": "sha256:" + "1" * 64})


@pytest.mark.parametrize("change", [new_version, new_source, new_hash, new_file])
def test_what_is_installed_changes_an_identity(change: Callable[[Table], None]) -> None:
    data = load("revision-5")
    before = identities(data, "revisions")
    change(entry(data, "idna"))
    after = identities(data, "revisions")
    assert {name for name in before if before[name] != after[name]} == {"idna"}


@pytest.mark.parametrize(
    ("git", "same"),
    [
        ("https://git.example/greeting.git?branch=main#{revision}", True),
        ("https://git.example/greeting.git?rev=v1#{revision}", True),
        ("https://git.example/greeting.git#{revision}", True),
        (f"https://git.example/greeting.git?tag=v1#{'0' * 40}", False),
        ("https://git.example/other.git?tag=v1#{revision}", False),
        ("https://git.example/greeting.git?subdirectory=a&tag=v1#{revision}", False),
        ("https://git.example/greeting.git?lfs=true&tag=v1#{revision}", False),
    ],
)
def test_a_git_source_is_its_commit(git: str, same: bool) -> None:
    data = load("git")
    before = packages(data, "from-git")["greeting"]
    assert before.source.revision is not None
    table = entry(data, "greeting")
    table["source"] = {"git": git.format(revision=before.source.revision)}
    after = packages(data, "from-git")["greeting"]
    assert (after.identity == before.identity) is same


def test_a_url_has_a_subdirectory() -> None:
    data = load("url")
    place = {"url": "https://files.example/a.zip", "subdirectory": "python"}
    entry(data, "blinker")["source"] = place
    found = packages(data, "from-url")["blinker"]
    expected = PackageSource("url", "https://files.example/a.zip", None, "python")
    assert found.source == expected


def test_a_source_of_an_unknown_kind_is_no_error() -> None:
    data = load("url")
    entry(data, "blinker")["source"] = {"elsewhere": "x"}
    assert packages(data, "from-url")["blinker"].source == PackageSource("registry", "")


def test_a_conflict_is_named_in_words() -> None:
    lock = parse_lock(load("conflicts"))
    with pytest.raises(ProjectError) as raised:
        resolve(
            lock,
            ["conflicts"],
            extras=["old", "new", "extra-tools"],
            groups=["legacy"],
            target=Target("3.13"),
        )
    assert [problem.message for problem in raised.value.problems] == [
        "extra extra-tools of conflicts and group legacy of conflicts cannot be installed together",
        "extra new of conflicts and extra old of conflicts cannot be installed together",
    ]


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"package": "My_App", "extra": "Fast.Path"}, "extra-6-my-app-fast-path"),
        ({"package": "app", "group": "dev"}, "group-3-app-dev"),
        ({"package": "app"}, "project-3-app"),
        ({"extra": "cpu"}, "extra-4-root-cpu"),
    ],
)
def test_conflict_keys_are_those_of_uvs_markers(item: Table, expected: str) -> None:
    assert conflict_key(item, "root") == expected


def drop_package(data: Table) -> None:
    data["package"].remove(entry(data, "idna"))


def duplicate_package(data: Table) -> None:
    data["package"].append(copy.deepcopy(entry(data, "idna")))


def spoil_marker(data: Table) -> None:
    entry(data, "anyio")["dependencies"][0]["marker"] = "python_version <"


def spoil(key: str, value: object, name: str = "idna") -> Callable[[Table], None]:
    def change(data: Table) -> None:
        entry(data, name)[key] = value

    return change


def spoil_top(key: str, value: object) -> Callable[[Table], None]:
    def change(data: Table) -> None:
        data[key] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop_package, "idna is not in the lock"),
        (duplicate_package, "idna is ambiguous in the lock"),
        (spoil_marker, "`python_version <` is no condition"),
        # As uv wrote it until 0.2.
        (spoil("source", "registry+https://pypi.org/simple"), "package idna: source is not"),
        (spoil("source", {}), "package idna: it has no source"),
        (spoil("name", ""), "a package has no name"),
        (spoil("version", 3), "package idna: version is not a text"),
        (spoil("wheels", {}), "package idna: wheels is not a list"),
        (spoil("wheels", [{"url": 1}]), "package idna: url is not a text"),
        (spoil("wheels", [{"size": "1"}]), "package idna: size is not a number"),
        (spoil("sdist", []), "package idna: sdist is not a table"),
        (spoil("dependencies", ["six"], "anyio"), "package anyio: dependencies is not a list"),
        (spoil("dependencies", [{}], "anyio"), "package anyio: a dependency has no name"),
        (spoil("dependencies", [{"name": "six", "extra": "a"}], "anyio"), "extra is not a list"),
        (spoil("optional-dependencies", [], "anyio"), "optional-dependencies is not a table"),
        (spoil("resolution-markers", "a"), "resolution-markers is not a list"),
        (spoil_top("package", {}), "package is not a list"),
        (spoil_top("manifest", []), "manifest is not a table"),
        (spoil_top("conflicts", [["a"]]), "an entry is not a table"),
        (spoil_top("requires-python", 3), "requires-python is not a text"),
        (spoil_top("supported-markers", "x"), "supported-markers is not a list"),
    ],
)
def test_what_is_no_sound_lock_is_an_error(change: Callable[[Table], None], message: str) -> None:
    data = load("revision-5")
    change(data)
    with pytest.raises(ProjectError) as raised:
        packages(data, "revisions")
    assert message in str(raised.value)
    assert str(raised.value).startswith("uv.lock")
    assert "uv lock" in (raised.value.problems[0].hint or "")


@pytest.mark.parametrize(
    ("version", "message", "hint"),
    [
        (2, "version 2 of uv's format, newer than version 1", "use a newer Dockyard"),
        (0, "version 0 of uv's format, older than version 1", "run `uv lock`"),
        ("1", "this is no lock of uv's", "run `uv lock`"),
        (None, "this is no lock of uv's", "run `uv lock`"),
    ],
)
def test_another_version_of_the_format(version: object, message: str, hint: str) -> None:
    data = load("empty") | {"version": version}
    with pytest.raises(ProjectError) as raised:
        parse_lock(data, "service/uv.lock")
    problem = raised.value.problems[0]
    assert message in problem.message
    assert problem.where == "service/uv.lock, version"
    assert hint in (problem.hint or "")


def test_the_key_before_uv_0_3_is_read() -> None:
    data = load("revision-5")
    before = identities(data, "revisions")
    data["distribution"] = data.pop("package")
    assert identities(data, "revisions") == before


def test_markers_beside_a_conflict_need_the_extra() -> None:
    """Version 2.1.5 and 3 of one package, each behind an extra that excludes the other."""
    data = load("conflicts")
    assert packages(data, "conflicts", extras=("old",))["markupsafe"].version == "2.1.5"
    assert packages(data, "conflicts", extras=("new",))["markupsafe"].version.startswith("3.")
    assert "markupsafe" not in packages(data, "conflicts")
