"""Engine tests: a real engine, registry and index. What is missing fails, it never skips."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from support.base import ensure_base_image, ensure_uv_image
from support.builders import throwaway_builder
from support.engine import Cleanup, docker, require_engine
from support.index import PackageIndex
from support.installed import Installed, install
from support.mixed import MixedProject, git_server
from support.registry import Registry

HERE = Path(__file__).parent
# Files that take minutes for a few tests. Begun last, one of them would keep one worker busy while
# the others have nothing left.
LONGEST = (
    "test_secrets.py",
    "test_projects.py",
    "test_fleet.py",
    "test_ci_templates.py",
    "test_documents.py",
    "test_several_machines.py",
)


class BaseImages(NamedTuple):
    """References of the images that ``./bootstrap`` made."""

    python: str
    uv: str


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.engine)
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONGEST)))


@pytest.fixture(scope="session", autouse=True)
def engine() -> str:
    """The engine's version."""
    return require_engine()


@pytest.fixture(scope="session")
def base_images(engine: str) -> BaseImages:
    return BaseImages(ensure_base_image(), ensure_uv_image())


@pytest.fixture(scope="session")
def registry_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with Registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture(scope="session")
def pushed_bases(
    base_images: BaseImages, registry_server: Registry, engine: str
) -> Iterator[BaseImages]:
    """The base images by references that builders beside the engine can pull."""
    with Cleanup() as made:
        references = []
        for image in base_images:
            reference = f"{registry_server.host}/{image.partition('/')[2]}"
            made.name("image", reference)
            docker("tag", image, reference)
            docker("push", "--quiet", reference)
            references.append(reference)
        yield BaseImages(*references)


@pytest.fixture
def registry(registry_server: Registry) -> Iterator[Registry]:
    """The session's registry with nothing counted; what earlier tests pushed is still there."""
    registry_server.reset()
    yield registry_server
    # Whatever comes next may push to it before it asks for this fixture.
    registry_server.reset()


@pytest.fixture(scope="session")
def images_in_registry(base_images: BaseImages, registry_server: Registry) -> Iterator[BaseImages]:
    """The base images where a builder that starts empty finds them."""
    with Cleanup() as made:
        references = []
        for role, reference in base_images._asdict().items():
            tag = reference.rpartition(":")[2]
            target = made.name("image", f"{registry_server.host}/base/{role}:{tag}")
            docker("tag", reference, target)
            docker("push", "--quiet", target)
            references.append(target)
        yield BaseImages(*references)


@pytest.fixture(scope="session")
def installed(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Dockyard built and installed, once for all tests."""
    return install(repository, tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="session")
def package_index_server() -> Iterator[PackageIndex]:
    with PackageIndex() as server:
        yield server


@pytest.fixture
def package_index(package_index_server: PackageIndex) -> PackageIndex:
    """The session's index with nothing counted; files of earlier tests are still there."""
    package_index_server.reset()
    return package_index_server


@pytest.fixture
def cleanup(engine: str) -> Iterator[Cleanup]:
    """Removes at the test's end what the test recorded or labelled."""
    with Cleanup() as made:
        yield made


@pytest.fixture
def builder_factory(engine: str) -> Iterator[Callable[..., str]]:
    """Make builders with :func:`throwaway_builder`'s arguments; they go when the test ends."""
    with ExitStack() as stack:

        def make(*arguments: Any, **options: Any) -> str:
            return stack.enter_context(throwaway_builder(*arguments, **options))

        yield make


@pytest.fixture
def mixed(
    tmp_path: Path, package_index: PackageIndex, base_images: Any, cleanup: Cleanup
) -> Iterator[Callable[..., MixedProject]]:
    """Make the project; keyword arguments are its ``[tool.dockyard]``."""
    repositories = tmp_path / "served/repositories"
    repositories.mkdir(parents=True)
    (repositories.parent / "work").mkdir()
    with PackageIndex() as second, git_server(repositories) as git_url:

        def make(**settings: str) -> MixedProject:
            made = MixedProject(
                tmp_path / "project",
                index=package_index,
                second=second,
                git_url=git_url,
                repositories=repositories,
                python_image=base_images.python,
                uv_image=base_images.uv,
                settings=settings,
            )
            made.environment["DOCKYARD_BUILDER"] = "default"
            cleanup.name("image", f"{made.name}:latest")
            package_index.reset()
            second.reset()
            return made

        yield make
