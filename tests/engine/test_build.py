"""`invoke build` on a real engine: what runs, what is cached, and what is in the image."""

from __future__ import annotations

import io
import json
import re
import signal
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dockyard.records import read_record
from support.engine import Cleanup, docker, random_name
from support.index import PackageIndex
from support.service import Service, counted, ran_steps
from support.wheels import make_wheel

LARGE, MIDDLE = 3_000_000, 1_500_000


@pytest.fixture
def packages(tmp_path: Path, package_index: PackageIndex) -> dict[str, str]:
    """A large, a middle and two small packages on the index; role → name."""
    names = {role: random_name() for role in ("large", "middle", "small", "tiny")}
    folder = tmp_path / "wheels"
    folder.mkdir()
    sizes = {"large": LARGE, "middle": MIDDLE, "small": 20_000, "tiny": 5_000}
    for role, name in names.items():
        for version in ("1.0", "2.0"):
            size, seed = sizes[role], 1 if version == "1.0" else 2
            package_index.add(make_wheel(folder, name, version, size=size, seed=seed))
    return names


@pytest.fixture
def service(
    tmp_path: Path,
    package_index: PackageIndex,
    packages: dict[str, str],
    base_images: Any,
    cleanup: Cleanup,
) -> Service:
    name = random_name()
    made = Service(
        tmp_path / "service",
        name,
        dict.fromkeys(packages.values(), "==1.0"),
        index_url=package_index.url,
        python_image=base_images.python,
        uv_image=base_images.uv,
        settings={"command": '["python", "-c", "import os; print(os.getuid())"]'},
    )
    cleanup.repository(name)
    # Packages of this size share one layer by themselves.
    small = sorted((packages["small"], packages["tiny"]))
    made.assign([packages["large"]], [packages["middle"]], small)
    package_index.reset()
    return made


def image_files(reference: str) -> Iterator[tuple[str, bytes]]:
    """Every file of every layer, and the image's own JSON files: (path, content)."""
    import subprocess

    saved = subprocess.run(["docker", "save", reference], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is None:
                continue
            raw = content.read()
            yield member.name, raw
            try:
                layer = tarfile.open(fileobj=io.BytesIO(decompressed(raw)))  # noqa: SIM115
            except tarfile.ReadError:
                continue
            with layer:
                for inner in layer:
                    file = layer.extractfile(inner) if inner.isfile() else None
                    yield inner.name, file.read() if file else b""


def decompressed(raw: bytes) -> bytes:
    """Undo gzip; zstd through the command, which Debian's base has everywhere."""
    import gzip
    import subprocess

    if raw[:2] == b"\x1f\x8b":
        return gzip.decompress(raw)
    if raw[:4] == b"\x28\xb5\x2f\xfd":
        return subprocess.run(["zstd", "-dc"], input=raw, check=True, capture_output=True).stdout
    return raw


def test_first_build_makes_the_image(service: Service, packages: dict[str, str]) -> None:
    record = service.build()
    assert record["outcome"] == "succeeded"
    inspected = json.loads(docker("image", "inspect", f"{service.name}:latest"))[0]
    assert inspected["Id"] == record["image"]["digest"]
    assert inspected["Config"]["User"] == "10001:10001"
    labels = inspected["Config"]["Labels"]
    commit = record["revision"]["commit"]
    assert labels["org.opencontainers.image.revision"] == commit
    assert labels["org.opencontainers.image.version"] == "0.1.0"
    assert labels["org.opencontainers.image.title"] == service.name
    assert labels["org.opencontainers.image.created"] == inspected["Created"]
    assert record["image"]["tags"] == [
        f"{service.name}:latest",
        f"{service.name}:0.1.0-{commit[:12]}",
    ]
    assert docker("run", "--rm", f"{service.name}:latest").strip() == "10001"
    modules = ", ".join(name.replace("-", "_") for name in (*packages.values(), service.name))
    docker("run", "--rm", f"{service.name}:latest", "python", "-c", f"import {modules}")
    assert [layer["holds"] for layer in record["layers"]] == [
        "base",
        "WORKDIR /app",
        "environment",
        "dependencies-1",
        "dependencies-2",
        "dependencies-3",
        "src",
    ]
    assert record["layers"][3]["packages"] == [packages["large"]]
    assert record["layers"][4]["packages"] == [packages["middle"]]
    assert set(record["layers"][5]["packages"]) == {packages["small"], packages["tiny"]}
    assert record["layers"][3]["size"] > LARGE


def test_second_build_is_wholly_cached(service: Service, package_index: PackageIndex) -> None:
    first = service.build()
    package_index.reset()
    second = service.build()
    assert ran_steps(second) == []
    assert second["hit_rates"] == {"dependency": 1.0, "application": 1.0, "overall": 1.0}
    assert second["image"]["digest"] == first["image"]["digest"]
    assert package_index.bytes_served() == 0
    written = json.loads(service.records()[-1].read_text())
    assert written == second


def test_code_change_runs_one_copy(service: Service, package_index: PackageIndex) -> None:
    service.build()
    package_index.reset()
    service.module.write_text('"""Changed."""\n')
    record = service.build()
    assert ran_steps(record) == ["app-builder: COPY --link src /app/src"]
    assert record["hit_rates"]["dependency"] == 1.0
    assert record["context_bytes"] < 10_000
    assert package_index.requests == ()
    assert record["image"]["tags"][-1].endswith("-dirty")


def test_commit_without_a_change_runs_nothing(service: Service) -> None:
    service.build()
    service.commit()
    assert ran_steps(service.build()) == []


def test_small_package_change_runs_its_layer(
    service: Service, packages: dict[str, str], package_index: PackageIndex
) -> None:
    service.build()
    versions = dict.fromkeys(packages.values(), "==1.0") | {packages["small"]: "==2.0"}
    service.lock(versions)
    package_index.reset()
    record = service.build()
    assert ran_steps(record) == [
        "app-builder: COPY --link --from=dependencies-3 /dependencies-3/ /",
        "dependencies-3: RUN",
    ]
    moved = package_index.bytes_served()
    assert 20_000 < moved < 40_000, "only the small package's new version travels"


def test_large_package_change_leaves_the_others(
    service: Service, packages: dict[str, str], package_index: PackageIndex
) -> None:
    service.build()
    service.lock(dict.fromkeys(packages.values(), "==1.0") | {packages["large"]: "==2.0"})
    package_index.reset()
    record = service.build()
    assert ran_steps(record) == [
        "app-builder: COPY --link --from=dependencies-1 /dependencies-1/ /",
        "dependencies-1: RUN",
    ]


def test_added_package_gets_a_place_in_the_plan(
    service: Service, packages: dict[str, str], package_index: PackageIndex, tmp_path: Path
) -> None:
    service.build()
    added = random_name()
    package_index.add(make_wheel(tmp_path, added, "1.0", size=MIDDLE, seed=9))
    service.lock(dict.fromkeys((*packages.values(), added), "==1.0"))
    record = service.build()
    (layer,) = (one for one in record["layers"] if added in one["packages"])
    number = layer["holds"].removeprefix("dependencies-")
    assert f"\n{number} {added}\n" in service.dockerfile.read_text(), record["notes"]
    assert f"new: {added} 1.0 → layer {number}" in " ".join(record["notes"])
    docker(
        "run", "--rm", f"{service.name}:latest", "python", "-c", f"import {added.replace('-', '_')}"
    )


def test_image_holds_no_tools_and_no_secret(
    tmp_path: Path, base_images: Any, cleanup: Cleanup
) -> None:
    """The index asks for a password; neither it nor uv, a compiler or a cache is in the image."""
    name, package = random_name(), random_name()
    user, password = "reader", "planted-5f0e1c2b7a"
    with PackageIndex(auth=(user, password)) as index:
        folder = tmp_path / "wheels"
        folder.mkdir()
        index.add(make_wheel(folder, package, "1.0", size=10_000))
        url = index.url.replace("://", f"://{user}:{password}@")
        service = Service(
            tmp_path / "service",
            name,
            {package: "==1.0"},
            index_url=url,
            python_image=base_images.python,
            uv_image=base_images.uv,
        )
        cleanup.repository(name)
        assert password not in (service.root / "uv.lock").read_text()
        shown = service.invoke("build", "--print")
        done = service.invoke("build")
        again = service.invoke("build", "--json")
        settings = service.invoke("settings", "--json")
    assert done.status == 0, done.stderr
    for output in (shown, done, again, settings):
        assert password not in output.stdout + output.stderr
    for file in (service.root / ".dockyard").rglob("*"):
        assert not file.is_file() or password not in file.read_text(), file
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", f"{name}:latest")
    assert password not in history
    assert "COPY /dependencies-1/ / # buildkit" in history.splitlines()
    paths = []
    for path, content in image_files(f"{name}:latest"):
        paths.append(path)
        assert password.encode() not in content, path
    assert any(path.endswith(f"/{package.replace('-', '_')}/__init__.py") for path in paths)
    for path in paths:
        assert not re.search(
            r"(^|/)uvx?$|/bin/(gcc|g\+\+|cc|c\+\+|ld)$|var/cache/uv|/\.cache/|install-layer", path
        ), path


def test_dockerfile_builds_without_dockyard(service: Service, cleanup: Cleanup) -> None:
    """A plain buildx build of the same file gives the same dependency layers."""
    ours = service.build()
    tag = cleanup.name("image")
    environment = service.environment
    secret = service.root.parent / "uv-environment"
    secret.write_text(f"UV_DEFAULT_INDEX={service.index_url}\n")
    docker(
        "buildx", "build", "--file", "docker/Dockerfile", "--tag", tag, "--provenance=false",
        "--build-arg", f"PYTHON_IMAGE={environment['DOCKYARD_PYTHON_IMAGE']}",
        "--build-arg", f"UV_IMAGE={environment['DOCKYARD_UV_IMAGE']}",
        "--secret", f"id=uv-environment,src={secret}",
        "--network", "host", "--allow", "network.host", ".",
        cwd=service.root,
    )  # fmt: skip
    mine, plain = (
        json.loads(docker("image", "inspect", reference))[0]["RootFS"]["Layers"]
        for reference in (ours["image"]["tags"][0], tag)
    )
    assert mine == plain


def test_bake_file_is_the_same_build(service: Service) -> None:
    record = service.build()
    shown = service.invoke("build", "--print")
    assert shown.status == 0, shown.stderr
    command, _, bake = shown.stdout.partition("# the same as a bake file")
    assert "docker buildx build --progress=rawjson" in command
    file = service.root.parent / "docker-bake.json"
    file.write_text(bake.partition("\n")[2])
    import os
    import subprocess

    metadata = service.root.parent / "metadata.json"
    secret = f"UV_DEFAULT_INDEX={service.index_url}\n"
    done = subprocess.run(
        ["docker", "buildx", "bake", "--file", str(file), "--allow", "network.host",
         "--allow", "fs=*", "--metadata-file", str(metadata)],
        cwd=service.root,
        env={**os.environ, "BUILD_SECRET_UV_ENVIRONMENT": secret},
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    digest = json.loads(metadata.read_text())["image"]["containerimage.digest"]
    assert digest == record["image"]["digest"]


def test_print_runs_and_writes_nothing(service: Service, package_index: PackageIndex) -> None:
    done = service.invoke("build", "--print")
    assert done.status == 0, done.stderr
    assert package_index.requests == ()
    assert service.records() == []
    assert docker("image", "ls", "--quiet", service.name) == ""


# It runs steps again that other tests' projects share: those would get another WORKDIR.
@pytest.mark.alone
def test_byte_compilation_is_deterministic(service: Service, packages: dict[str, str]) -> None:
    environment = {"DOCKYARD_BYTE_COMPILE": "true"}
    service.build(**environment)
    reference = f"{service.name}:latest"
    listing = docker("run", "--rm", reference, "find", "/opt/venv", "-name", "*.pyc")
    assert packages["large"].replace("-", "_") in listing
    first = json.loads(docker("image", "inspect", reference))[0]["RootFS"]["Layers"]
    service.build("--no-cache", **environment)
    again = json.loads(docker("image", "inspect", reference))[0]["RootFS"]["Layers"]
    # The first two are the base and WORKDIR, the last the sources.
    assert first[3:-1] == again[3:-1]
    assert len(first[3:-1]) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
def test_interrupted_build_leaves_nothing_half_done(
    service: Service, number: signal.Signals
) -> None:
    path = service.root / "docker/Dockerfile"
    text = path.read_text().replace("# The lock, as", "RUN sleep 300 # waits\n\n# The lock, as")
    path.write_text(text)

    def sleeping() -> bool:
        import subprocess

        found = subprocess.run(["pgrep", "-f", "^sleep 300"], capture_output=True, check=False)
        return found.returncode == 0

    done = service.interrupt_when(sleeping, number, "build")
    assert done.status == 130, done.stderr
    assert "interrupted" in done.stderr
    assert "Traceback" not in done.stderr
    import subprocess

    left = subprocess.run(["pgrep", "-f", f"buildx build.*{service.name}"], capture_output=True)
    assert left.stdout == b"", "buildx was stopped"
    records = [read_record(file.read_text()) for file in service.records()]
    assert [record.outcome for record in records] == ["interrupted"]
    path.write_text(text.replace("RUN sleep 300 # waits\n", ""))
    assert service.build()["outcome"] == "succeeded"


def test_package_that_fails_to_install_shows_uvs_own_error(
    service: Service, packages: dict[str, str], package_index: PackageIndex
) -> None:
    path = service.root / "uv.lock"
    lock = path.read_text()
    wheel = re.search(
        rf"{packages['small'].replace('-', '_')}-1.0[^}}]*sha256:([0-9a-f]{{64}})", lock
    )
    assert wheel
    path.write_text(lock.replace(wheel[1], "0" * 64))
    done = service.invoke("build")
    assert done.status == 9, done.stderr
    assert "hash mismatch" in done.stderr.lower()
    assert "did not complete successfully" not in done.stderr
    assert "→" in done.stderr
    assert read_record(service.records()[-1].read_text()).outcome == "failed"
    path.write_text(lock)
    assert service.build()["outcome"] == "succeeded"


def drop_lock(service: Service) -> None:
    (service.root / "uv.lock").unlink()


def drop_project(service: Service) -> None:
    (service.root / "pyproject.toml").write_text('[tool.dockyard]\nproject = "missing"\n')


def add_dependency(service: Service) -> None:
    path = service.root / "pyproject.toml"
    path.write_text(path.read_text().replace("dependencies = [", 'dependencies = ["requests", ', 1))


def drop_sources(service: Service) -> None:
    (service.root / "src").rename(service.root / "sources")


def drop_dockerfile(service: Service) -> None:
    (service.root / "docker/Dockerfile").unlink()


def nothing(service: Service) -> None:
    pass


@pytest.mark.parametrize(
    ("change", "environment", "status", "words"),
    [
        (drop_lock, {}, 4, ["no uv.lock", "uv lock"]),
        (drop_project, {}, 4, ["pyproject.toml", "missing"]),
        (add_dependency, {}, 4, ["out of date", "requests", "uv lock"]),
        (nothing, {"DOCKYARD_EXTRAS": "cpuu"}, 4, ["no extra cpuu"]),
        (drop_sources, {}, 4, ["src is not there", "COPY_PATHS"]),
        (drop_dockerfile, {}, 7, ["no Dockerfile", "invoke init"]),
        (nothing, {"DOCKYARD_BYTE_COMPILE": "maybe"}, 3, ["DOCKYARD_BYTE_COMPILE", "maybe"]),
        (nothing, {"DOCKYARD_EXTRA": "x"}, 3, ["DOCKYARD_EXTRA", "DOCKYARD_EXTRAS"]),
        (nothing, {"DOCKER_HOST": "tcp://127.0.0.1:1"}, 5, ["no Docker Engine answers"]),
        (nothing, {"PATH": "/nowhere"}, 5, ["docker command is not installed"]),
        (
            nothing,
            {"DOCKYARD_PYTHON_IMAGE": "127.0.0.1:1/nothing:1"},
            8,
            ["127.0.0.1:1/nothing:1", "DOCKYARD_IMAGE_MIRRORS"],
        ),
        (nothing, {"DOCKYARD_BUILDER": "no-such-builder"}, 6, ["no-such-builder"]),
    ],
    ids=[
        "no lock",
        "no project",
        "stale lock",
        "unknown extra",
        "missing path",
        "no Dockerfile",
        "bad boolean",
        "unknown setting",
        "no engine",
        "no docker",
        "no base image",
        "no builder",
    ],
)
def test_bad_input_gets_one_clear_error(
    service: Service,
    change: Callable[[Service], None],
    environment: dict[str, str],
    status: int,
    words: list[str],
) -> None:
    change(service)
    done = service.invoke("build", **environment)
    assert done.status == status, done.stderr
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert "→" in done.stderr


def test_edited_dockerfile_is_never_overwritten(service: Service) -> None:
    path = service.root / "docker/Dockerfile"
    edited = path.read_text().replace("USER 10001:10001", "USER 20002:20002")
    path.write_text(edited)
    assert service.build()["notes"] == []
    record = service.build(DOCKYARD_PORTS="9999")
    assert path.read_text() == edited
    assert any("--diff" in note and "--replace" in note for note in record["notes"])
    assert "-USER 20002:20002" in service.invoke("init", "--diff").stdout
    service.invoke("init", DOCKYARD_PORTS="9999")
    assert path.read_text() == edited
    service.invoke("init", "--keep", DOCKYARD_PORTS="9999")
    assert "USER 20002:20002" in path.read_text()
    assert service.build(DOCKYARD_PORTS="9999")["notes"] == []
    before = path.read_text()
    service.invoke("init", "--replace", DOCKYARD_PORTS="9999")
    assert "USER 10001:10001" in path.read_text()
    assert "EXPOSE 9999" in path.read_text()
    assert path.with_name("Dockerfile.backup").read_text() == before


def test_info_shows_builds_and_layers(service: Service, packages: dict[str, str]) -> None:
    assert "no build is recorded yet" in service.invoke("info").stdout
    service.build()
    service.build()
    found = json.loads(service.invoke("info", "--json").stdout)
    assert [one["outcome"] for one in found["builds"]] == ["succeeded", "succeeded"]
    assert found["builds"][0]["hit_rates"]["overall"] == 1.0
    assert found["image"]["digest"] == found["builds"][0]["image"]["digest"]
    shown = service.invoke("info").stdout
    assert "dependencies-1" in shown
    assert packages["large"] in shown
    (service.root / ".dockyard/builds/broken.json").write_text("{")
    assert "truncated" in service.invoke("info").stdout


def test_failure_in_the_users_own_step_is_shown(service: Service) -> None:
    path = service.root / "docker/Dockerfile"
    step = "RUN echo to-output; echo to-errors >&2; exit 7\n\n# The lock, as"
    path.write_text(path.read_text().replace("# The lock, as", step))
    done = service.invoke("build")
    assert done.status == 9
    assert "to-output" in done.stderr
    assert "to-errors" in done.stderr
    record = read_record(service.records()[-1].read_text())
    assert record.error
    assert [step for step in counted(json.loads(record.as_json())) if step["error"]]
