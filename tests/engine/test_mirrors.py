"""A lock that was made against one index, built from others; and what they answer when probed."""

from __future__ import annotations

import contextlib
import hashlib
import io
import socket
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from dockyard.mirrors import order, probe
from support.engine import Cleanup, docker, random_name
from support.index import PackageIndex
from support.service import Service
from support.wheels import make_wheel

SIZE = 40_000


@pytest.fixture
def wheels(tmp_path: Path) -> dict[str, Path]:
    """Two packages: name → wheel."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    names = (random_name(), random_name())
    return {name: make_wheel(folder, name, "1.0", size=SIZE) for name in names}


@pytest.fixture
def public(wheels: dict[str, Path]) -> Iterator[PackageIndex]:
    with PackageIndex() as index:
        for wheel in wheels.values():
            index.add(wheel)
        yield index


@pytest.fixture
def mirror(wheels: dict[str, Path]) -> Iterator[PackageIndex]:
    with PackageIndex() as index:
        for wheel in wheels.values():
            index.add(wheel)
        yield index


@pytest.fixture
def service(
    tmp_path: Path,
    wheels: dict[str, Path],
    public: PackageIndex,
    base_images: Any,
    cleanup: Cleanup,
) -> Service:
    made = Service(
        tmp_path / "service",
        random_name(),
        dict.fromkeys(wheels, "==1.0"),
        index_url=public.url,
        python_image=base_images.python,
        uv_image=base_images.uv,
    )
    made.environment["DOCKYARD_BUILDER"] = "default"
    cleanup.name("image", f"{made.name}:latest")
    public.reset()
    return made


def runs(service: Service, wheels: dict[str, Path]) -> bool:
    modules = ", ".join(name.replace("-", "_") for name in wheels)
    docker("run", "--rm", f"{service.name}:latest", "python", "-c", f"import {modules}")
    return True


def served_by(record: dict[str, Any]) -> dict[str, tuple[list[str], list[str]]]:
    """What each index gave and did not give, by its URL, as the record has it."""
    return {one["index"]: (one["served"], one["rejected"]) for one in record["indexes"]}


class HalfOf(type(Path())):  # type: ignore[misc]
    """A file of which the first half can be read; then ``broken`` is called."""

    broken: Callable[[], None]

    def open(self, *arguments: Any, **options: Any) -> Any:
        whole: BinaryIO = super().open("rb")
        size, broken = self.stat().st_size, self.broken

        class Half(io.RawIOBase):
            def seek(self, position: int, whence: int = 0) -> int:
                return whole.seek(position, whence)

            def read(self, length: int = -1) -> bytes:
                left = size // 2 - whole.tell()
                if left <= 0:
                    broken()
                return whole.read(min(length, left))

            def close(self) -> None:
                whole.close()
                super().close()

        return Half()


@contextlib.contextmanager
def stalling_server() -> Iterator[str]:
    """Accept every connection and never answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    held.append(server.accept()[0])

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/simple"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        for one in held:
            one.close()


@pytest.mark.parametrize("variable", ["DOCKYARD_UV_MIRRORS", "UV_DEFAULT_INDEX"])
def test_every_byte_comes_from_the_mirror(
    service: Service,
    wheels: dict[str, Path],
    public: PackageIndex,
    mirror: PackageIndex,
    variable: str,
) -> None:
    lock = (service.root / "uv.lock").read_bytes()
    record = service.build(**{variable: mirror.url})
    assert runs(service, wheels)
    assert public.requests == ()
    assert mirror.bytes_served() == sum(wheel.stat().st_size for wheel in wheels.values())
    assert (service.root / "uv.lock").read_bytes() == lock
    assert not [note for note in record["notes"] if "next was tried" in note]


def test_another_mirror_runs_no_step_again(
    service: Service, public: PackageIndex, mirror: PackageIndex
) -> None:
    first = service.build()
    again = service.build(DOCKYARD_UV_MIRRORS=mirror.url)
    assert again["hit_rates"]["overall"] == 1.0
    assert again["image"]["digest"] == first["image"]["digest"]
    assert mirror.requests == ()


def test_what_a_mirror_lacks_comes_from_the_next(
    service: Service, wheels: dict[str, Path], public: PackageIndex, mirror: PackageIndex
) -> None:
    lacking, kept = wheels
    del mirror.files[wheels[lacking].name]
    record = service.build(DOCKYARD_UV_MIRRORS=mirror.url)
    assert runs(service, wheels)
    assert mirror.bytes_served(wheels[kept].name) == wheels[kept].stat().st_size
    assert public.bytes_served() == wheels[lacking].stat().st_size
    [note] = [note for note in record["notes"] if "next was tried" in note]
    assert mirror.url in note
    assert lacking in note
    assert kept not in note
    assert served_by(record) == {mirror.url: ([kept], [lacking]), public.url: ([lacking], [])}


def test_a_file_that_the_lock_does_not_mean_is_refused(
    tmp_path: Path, service: Service, wheels: dict[str, Path], public: PackageIndex
) -> None:
    """The mirror has a good package and, under the other's name, other content."""
    wrong, right = wheels
    folder = tmp_path / "wrong"
    folder.mkdir()
    with PackageIndex() as mirror:
        mirror.add(make_wheel(folder, wrong, "1.0", size=SIZE, seed="planted"))
        mirror.add(wheels[right])
        record = service.build(DOCKYARD_UV_MIRRORS=mirror.url)
    assert public.bytes_served() == wheels[wrong].stat().st_size
    [note] = [note for note in record["notes"] if "next was tried" in note]
    assert wrong in note
    planted = (folder / wheels[wrong].name).read_bytes()
    path = f"/opt/venv/lib/python3.13/site-packages/{wrong.replace('-', '_')}/payload.bin"
    sums = docker("run", "--rm", f"{service.name}:latest", "sha256sum", path).split()
    with zipfile.ZipFile(io.BytesIO(planted)) as archive:
        content = archive.read(f"{wrong.replace('-', '_')}/payload.bin")
    assert sums[0] != hashlib.sha256(content).hexdigest()


def test_a_dead_and_a_stalling_mirror_cost_seconds(
    service: Service, wheels: dict[str, Path], public: PackageIndex, mirror: PackageIndex
) -> None:
    with PackageIndex() as gone:
        dead = gone.url
    with stalling_server() as stalling:
        record = service.build(
            DOCKYARD_UV_MIRRORS=f"{dead},{stalling},{mirror.url}", DOCKYARD_UV_MIRROR_TIMEOUT="1"
        )
    assert runs(service, wheels)
    assert public.requests == ()
    named = [note for note in record["notes"] if "next was tried" in note]
    assert any(dead in note for note in named)
    assert any(stalling in note for note in named)


def test_a_mirror_that_dies_midway_is_not_asked_for_what_it_gave(
    service: Service, wheels: dict[str, Path], public: PackageIndex, mirror: PackageIndex
) -> None:
    """It gives one file, then cuts the connection; the other file alone is fetched elsewhere."""
    cut, given = wheels
    name = wheels[cut].name

    class Cut(type(mirror.files[name].path)):  # type: ignore[misc]
        def open(self, *arguments: Any, **options: Any) -> Any:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline and not any(
                one.path.endswith(wheels[given].name) for one in mirror.answered
            ):
                time.sleep(0.01)
            raise ConnectionResetError

    mirror.files[name] = replace(mirror.files[name], path=Cut(wheels[cut]))
    service.build(DOCKYARD_UV_MIRRORS=mirror.url)
    assert runs(service, wheels)
    assert mirror.bytes_served(wheels[given].name) == wheels[given].stat().st_size
    assert public.bytes_served() == public.bytes_served(name) == wheels[cut].stat().st_size


@pytest.mark.parametrize("fault", ["dies", "falls silent"])
def test_a_mirror_that_breaks_in_the_middle_of_a_wheel_costs_seconds(
    service: Service,
    wheels: dict[str, Path],
    public: PackageIndex,
    mirror: PackageIndex,
    fault: str,
) -> None:
    broken, given = wheels
    healed = threading.Event()

    def give_up() -> None:
        if fault == "falls silent":
            healed.wait(60)
        raise ConnectionResetError

    name = wheels[broken].name
    half = HalfOf(wheels[broken])
    half.broken = give_up
    mirror.files[name] = replace(mirror.files[name], path=half)
    lock = (service.root / "uv.lock").read_bytes()
    try:
        record = service.build(DOCKYARD_UV_MIRRORS=mirror.url, DOCKYARD_UV_MIRROR_TIMEOUT="1")
    finally:
        healed.set()
    assert runs(service, wheels)
    assert record["seconds"] < 30
    assert served_by(record) == {mirror.url: ([given], [broken]), public.url: ([broken], [])}
    [note] = [note for note in record["notes"] if "next was tried" in note]
    assert mirror.url in note
    assert broken in note
    assert mirror.bytes_served(name) > 0
    assert public.bytes_served() == wheels[broken].stat().st_size
    assert (service.root / "uv.lock").read_bytes() == lock


def test_probe_orders_by_speed_and_keeps_the_dead_last(
    public: PackageIndex, wheels: dict[str, Path]
) -> None:
    name = next(iter(wheels))
    with PackageIndex(auth=("reader", "planted-7d31")) as private, PackageIndex() as gone:
        private.add(wheels[name])
        dead = gone.url
        secret = private.url.replace("://", "://reader:planted-7d31@")
        gone.__exit__()
        with stalling_server() as stalling:
            urls = (dead, stalling, secret, public.url)
            found = probe(urls, project=name, seconds=2.0)
    assert [one.throughput is not None for one in found] == [False, False, True, True]
    assert [one.received for one in found] == [0, 0, *[wheels[name].stat().st_size] * 2]
    assert "refused" in found[0].problem
    assert "time" in found[1].problem
    assert "planted" not in repr([one.url for one in found]) + found[2].problem
    assert {one.url for one in order(found)[:2]} == {private.url, public.url}


@pytest.fixture
def authority(tmp_path: Path) -> tuple[Path, tuple[Path, Path]]:
    """An authority that nobody trusts, and a certificate of it for 127.0.0.1 with its key."""
    root, root_key = tmp_path / "authority.pem", tmp_path / "authority.key"
    leaf, leaf_key = tmp_path / "server.pem", tmp_path / "server.key"
    new = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    extensions = ("subjectAltName=IP:127.0.0.1", "basicConstraints=critical,CA:FALSE")
    signed = ("-CA", root, "-CAkey", root_key, "-addext", extensions[0], "-addext", extensions[1])
    for more in (
        ("-subj", "/CN=planted authority", "-keyout", root_key, "-out", root),
        ("-subj", "/CN=server", "-keyout", leaf_key, "-out", leaf, *signed),
    ):
        command = [*new, "-nodes", "-days", "2", *map(str, more)]
        subprocess.run(command, check=True, capture_output=True)
    return root, (leaf, leaf_key)


def test_a_private_authority_is_trusted_where_asked(
    service: Service,
    wheels: dict[str, Path],
    public: PackageIndex,
    authority: tuple[Path, tuple[Path, Path]],
) -> None:
    """By the build beside the public ones; by the application only with the setting."""
    with PackageIndex(tls=authority[1]) as private:
        for wheel in wheels.values():
            private.add(wheel)
        told = {"UV_DEFAULT_INDEX": private.url, "DOCKYARD_CA_FILE": str(authority[0])}
        refused = service.invoke("build", UV_DEFAULT_INDEX=private.url)
        assert refused.status == 10, refused.stderr
        assert "certificate" in refused.stderr
        assert "DOCKYARD_CA_FILE" in refused.stderr
        service.build(**told)
        assert runs(service, wheels)
        assert public.requests == ()
        script = (
            "import json, ssl, urllib.request\n"
            "names = [dict(part[0] for part in one['subject']).get('commonName', '')"
            " for one in ssl.create_default_context().get_ca_certs()]\n"
            "print(len(names), 'planted authority' in names)\n"
        )
        run = ("run", "--rm", f"{service.name}:latest", "python", "-c", script)
        public_ones, trusted = docker(*run).split()
        assert trusted == "False"
        service.build(DOCKYARD_CA_IN_IMAGE="true", **told)
        both, trusted = docker(*run).split()
        assert trusted == "True"
        assert int(both) == int(public_ones) + 1
