"""Files from the addresses that the lock has of them: no page of the index is read."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.engine import Cleanup, docker, random_name
from support.index import PackageIndex
from support.planted import basic
from support.service import Service
from support.wheels import make_wheel, write_wheel

SIZE = 40_000
INDEX = """
[[tool.uv.index]]
name = "company"
url = "{url}"
default = true
"""


@pytest.fixture
def wheels(tmp_path: Path) -> dict[str, Path]:
    """Two packages that write the same file, so that one of them is installed twice."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    found = {}
    for name in (random_name(), random_name()):
        module = name.replace("-", "_")
        files = {
            f"{module}/__init__.py": b"",
            f"{module}/payload.bin": random.Random(name).randbytes(SIZE),
            "shared_module.py": f"NAME = {name!r}\n".encode(),
        }
        found[name] = write_wheel(folder, name, "1.0", files, ())
    return found


@pytest.fixture
def index(wheels: dict[str, Path]) -> Iterator[PackageIndex]:
    with PackageIndex() as made:
        for wheel in wheels.values():
            made.add(wheel)
        yield made


@pytest.fixture
def service(
    tmp_path: Path,
    wheels: dict[str, Path],
    index: PackageIndex,
    base_images: Any,
    cleanup: Cleanup,
) -> Service:
    """One whose own index is the default one: its lock's addresses are no stand-in's."""
    made = Service(
        tmp_path / "service",
        random_name(),
        dict.fromkeys(wheels, "==1.0"),
        index_url=index.url,
        python_image=base_images.python,
        uv_image=base_images.uv,
    )
    with (made.root / "pyproject.toml").open("a") as file:
        file.write(INDEX.format(url=index.url))
    made.commit()
    del made.environment["UV_DEFAULT_INDEX"]
    made.environment["DOCKYARD_BUILDER"] = "default"
    cleanup.name("image", f"{made.name}:latest")
    index.reset()
    return made


def asked(index: PackageIndex) -> list[str]:
    """What was asked of an index: “simple” for each page, and the names of files."""
    return sorted(
        path.rpartition("/")[2] if "/files/" in path else "simple"
        for path in (one.path for one in index.requests)
    )


def kinds(record: dict[str, Any]) -> list[tuple[str, int, int]]:
    return [(one["kind"], len(one["served"]), len(one["rejected"])) for one in record["indexes"]]


def tried(record: dict[str, Any]) -> list[str]:
    return [note for note in record["notes"] if "addresses that uv.lock has" in note]


def dependency_layers(service: Service, record: dict[str, Any]) -> list[str]:
    """Digests of what is in the image's dependency layers (the base image may be of several)."""
    shown = json.loads(docker("image", "inspect", f"{service.name}:latest"))[0]["RootFS"]["Layers"]
    held = [one["holds"] for one in record["layers"]]
    return [
        digest
        for holds, digest in zip(reversed(held), reversed(shown), strict=False)
        if holds.startswith("dependencies-")
    ]


def move_files(service: Service) -> None:
    """Have the lock name addresses at which the index has nothing."""
    lock = service.root / "uv.lock"
    lock.write_text(lock.read_text().replace("/files/", "/files/gone/"))
    service.commit()


def test_no_page_is_read(service: Service, wheels: dict[str, Path], index: PackageIndex) -> None:
    record = service.build()
    assert asked(index) == sorted(wheel.name for wheel in wheels.values())
    assert index.bytes_served() == sum(wheel.stat().st_size for wheel in wheels.values())
    assert kinds(record) == [("lock", 2, 0)]
    assert not tried(record)
    assert record["traffic"]["packages_downloaded"] == index.bytes_served()
    modules = ", ".join(name.replace("-", "_") for name in wheels)
    script = f"import {modules}, shared_module; print(shared_module.NAME)"
    last = docker("run", "--rm", f"{service.name}:latest", "python", "-c", script)
    assert last.strip() == max(wheels)  # the one that was installed once more


def test_whoever_gives_the_files_the_image_is_the_same(
    service: Service, wheels: dict[str, Path], index: PackageIndex
) -> None:
    """From the lock's addresses, from the index by its pages, and from a mirror of it."""
    own = service.build()
    layers = dependency_layers(service, own)
    assert layers
    with PackageIndex() as mirror:
        for wheel in wheels.values():
            mirror.add(wheel)
        for variable, kind in (("UV_DEFAULT_INDEX", "default"), ("DOCKYARD_UV_MIRRORS", "mirror")):
            other = service.build("--no-cache", **{variable: mirror.url})
            assert kinds(other) == [(kind, 2, 0)]
            assert dependency_layers(service, other) == layers
        assert "simple" in asked(mirror)


def test_where_nothing_is_at_an_address_the_index_is_asked(
    service: Service, wheels: dict[str, Path], index: PackageIndex
) -> None:
    move_files(service)
    record = service.build()
    assert kinds(record) == [("lock", 0, 2), ("default", 2, 0)]
    [note] = tried(record)
    assert "404" in note
    assert {"simple", *(wheel.name for wheel in wheels.values())} <= set(asked(index))


def test_a_file_that_is_another_than_the_locks_is_refused(
    service: Service, wheels: dict[str, Path], tmp_path: Path
) -> None:
    name, wheel = next(iter(wheels.items()))
    folder = tmp_path / "planted"
    folder.mkdir()
    wheel.write_bytes(make_wheel(folder, name, "1.0", size=SIZE, seed="planted").read_bytes())
    failed = service.invoke("build")
    assert failed.status == 9, failed.stderr
    assert "not the one in uv.lock" in failed.stderr


@pytest.mark.parametrize("place", ["its variables", "UV_INDEX", "netrc"])
def test_a_login_of_the_index_is_one_for_its_files(
    service: Service, index: PackageIndex, tmp_path: Path, place: str
) -> None:
    user, word = "reader", "planted-a81c"
    index.authorization = "Basic " + basic(user, word)
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login {user} password {word}\n")
    netrc.chmod(0o600)
    given = {
        "its variables": {"UV_INDEX_COMPANY_USERNAME": user, "UV_INDEX_COMPANY_PASSWORD": word},
        "UV_INDEX": {"UV_INDEX": f"company={index.url}".replace("://", f"://{user}:{word}@")},
        "netrc": {"NETRC": str(netrc)},
    }
    record = service.build(**given[place])
    assert kinds(record) == [("lock", 2, 0)]
    assert "simple" not in asked(index)


def test_other_addresses_of_the_same_files_run_their_layers_again_and_change_nothing(
    service: Service, index: PackageIndex
) -> None:
    first = dependency_layers(service, service.build())
    move_files(service)
    again = service.build()
    assert kinds(again) == [("lock", 2, 0)]  # they are in uv's cache, whatever their address
    assert dependency_layers(service, again) == first
