"""What Dockyard reads from a lock without starting uv, against what uv itself says.

Nothing but uv and an index on loopback is needed; no image is built.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from dockyard.errors import ProjectError
from dockyard.project import Target, read_project
from support.index import PackageIndex
from support.mutations import FRESHNESS, INDEX_URL, MUTATIONS, OTHER_URL, WHEELS, Mutation, apply
from support.projects import CASES, Case, exported, facts_of, requirements_of
from support.wheels import make_wheel, run_uv

TARGETS = (Target("3.11"), Target("3.13"), Target("3.13", "aarch64"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The option that keeps uv away from the user's cache."""
    return f"--cache-dir={tmp_path_factory.mktemp('uv-cache')}"


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_packages_are_those_of_a_frozen_export(case: Case, cache: str) -> None:
    """The same as the unit test of project facts, with the uv that is installed here."""
    options = ("--frozen", "--offline", "--no-emit-workspace", "--no-default-groups", cache)
    quiet = ("--no-header", "--no-annotate", "--no-hashes")
    text = run_uv("export", *options, *quiet, *case.options, cwd=case.folder)
    compared = 0
    for target in TARGETS:
        try:
            facts = facts_of(case, target)
        except ProjectError as error:
            if not any(text in str(error) for text in ("the image's Python", "does not cover")):
                raise
            continue
        assert requirements_of(facts.packages) == exported(text, target)
        compared += 1
    assert compared


@pytest.fixture(scope="module")
def index(
    package_index_server: PackageIndex, tmp_path_factory: pytest.TempPathFactory
) -> PackageIndex:
    folder = tmp_path_factory.mktemp("wheels")
    for name, version, requires in WHEELS:
        wheel = make_wheel(folder, name, version, size=1, requires=requires)
        package_index_server.add(wheel)
    return package_index_server


def serve(folder: Path, index: PackageIndex) -> None:
    """Put the index's own addresses for the two that the project names."""
    other = index.url.replace("127.0.0.1", "localhost")
    for path in folder.rglob("pyproject.toml"):
        text = path.read_text().replace(INDEX_URL, index.url).replace(OTHER_URL, other)
        path.write_text(text)


@pytest.fixture(scope="module")
def locked(index: PackageIndex, cache: str, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The lock of the project before any edit."""
    folder = tmp_path_factory.mktemp("locked") / "project"
    apply(MUTATIONS["nothing"], FRESHNESS, folder)
    (folder / "uv.lock").unlink()
    serve(folder, index)
    run_uv("lock", cache, cwd=folder)
    return (folder / "uv.lock").read_bytes()


@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS)
def test_a_lock_is_stale_where_uv_says_so(
    mutation: Mutation, locked: bytes, index: PackageIndex, cache: str, tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    apply(mutation, FRESHNESS, folder)
    serve(folder, index)
    (folder / "uv.lock").write_bytes(locked)
    refused = ""
    try:
        run_uv("lock", "--check", cache, cwd=folder)
    except RuntimeError as error:
        refused = str(error)
    assert bool(refused) is mutation.stale, refused
    said = ""
    try:
        read_project(folder, extras=[], groups=[], target=Target("3.13"))
    except ProjectError as error:
        said = str(error)
    assert bool(said) is (mutation.stale and mutation.noticed), said
