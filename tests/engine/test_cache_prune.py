"""`cache.prune --all` and `cache.clean` on an engine that others use as well."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockyard.caches.builder_usage import builder_usage
from dockyard.caches.registry_client import open_repository
from dockyard.caches.registry_usage import read_registry_caches
from dockyard.caches.scope import branch_slug
from dockyard.settings import load_settings
from support.engine import Cleanup, docker, random_name
from support.index import PackageIndex
from support.layouts import fill_layout, random_bytes
from support.registry import Registry
from support.service import Service
from support.wheels import make_wheel

# It removes steps from the engine's own builder that other tests' projects share.
pytestmark = pytest.mark.alone


@pytest.fixture
def service(
    tmp_path: Path, package_index: PackageIndex, pushed_bases: tuple[str, str], cleanup: Cleanup
) -> Service:
    name, package = random_name(), random_name()
    package_index.add(make_wheel(tmp_path, package, "1.0", size=50_000))
    cleanup.repository(name)
    return Service(
        tmp_path / "service",
        name,
        {package: "==1.0"},
        index_url=package_index.url,
        python_image=pushed_bases[0],
        uv_image=pushed_bases[1],
    )


def untagged_image(base: str, title: str, folder: Path, tag: str) -> str:
    """Build an image and take its only name away."""
    (folder / "Dockerfile").write_text(f"FROM {base}\nCOPY Dockerfile /\n")
    label = f"org.opencontainers.image.title={title}"
    docker("buildx", "build", "--tag", tag, "--provenance=false", "--label", label, str(folder))
    made = docker("image", "inspect", "--format", "{{.Id}}", tag)
    docker("tag", base, tag)
    return made


def test_prune_all_leaves_what_others_made(
    service: Service,
    builder_factory: Callable[..., str],
    cleanup: Cleanup,
    tmp_path: Path,
    base_images: Any,
) -> None:
    others = tmp_path / "others"
    others.mkdir()
    volume, container, image = (cleanup.name(k) for k in ("volume", "container", "image"))
    docker("volume", "create", volume)
    docker("create", "--name", container, "--volume", f"{volume}:/v", base_images.python, "true")
    docker("tag", base_images.python, image)
    # It has this project's title, and is no image of Dockyard's.
    theirs = untagged_image(base_images.python, service.name, others, cleanup.name("image"))
    cleanup.name("image", theirs)
    cleanup.name("image", theirs)
    their_builder = builder_factory()
    docker("buildx", "build", "--builder", their_builder, "--output", "type=cacheonly",
           "--build-arg", "x=1", str(context(others / "context")))  # fmt: skip
    their_usage = builder_usage(their_builder)
    assert their_usage

    ours, folder = builder_factory(), service.root / ".dockyard/cache"
    environment = {"DOCKYARD_BUILDER_NAME": ours, "DOCKYARD_DRIVER": "docker-container"}
    service.build(**environment)
    assert builder_usage(ours)
    service.build()  # on the engine's own builder, so that there is an image …
    untagged = docker("image", "inspect", "--format", "{{.Id}}", f"{service.name}:latest")
    for tag in docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", service.name).split():
        docker("tag", base_images.python, tag)  # … that has lost its names
    fill_layout(folder, "cache-linux-amd64-main", [random_bytes(30_000, 1)])

    planned = service.invoke("cache.prune", "--all", "--dry-run", "--json", **environment)
    assert planned.status == 0, planned.stderr
    items = json.loads(planned.stdout)["items"]
    assert {item["kind"] for item in items} >= {"local cache", "builder", "image"}
    assert any(untagged.removeprefix("sha256:")[:12] in item["name"] for item in items)
    assert builder_usage(ours), "a dry run removes nothing"
    docker("image", "inspect", untagged)

    done = service.invoke("cache.prune", "--all", "--json", **environment)
    assert done.status == 0, done.stderr
    freed = json.loads(done.stdout)
    assert freed["failures"] == []
    assert freed["freed_bytes"] > 30_000
    left = builder_usage(ours)
    assert left is not None
    assert sum(record.size for record in left) == 0
    assert not list((folder / "blobs/sha256").iterdir())
    assert untagged not in docker("image", "ls", "--all", "--no-trunc", "--quiet").split()

    docker("volume", "inspect", volume)
    docker("container", "inspect", container)
    docker("image", "inspect", image)
    docker("image", "inspect", theirs)
    assert {record.id for record in builder_usage(their_builder) or ()} == {
        record.id for record in their_usage
    }


def context(folder: Path) -> Path:
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\nARG x\nCOPY Dockerfile /\n")
    return folder


def test_clean_asks_first_and_empties_what_is_this_projects(
    service: Service, builder_factory: Callable[..., str]
) -> None:
    ours = builder_factory()
    environment = {"DOCKYARD_BUILDER_NAME": ours}
    folder = service.root / ".dockyard/cache"
    fill_layout(folder, "cache-linux-amd64-main", [random_bytes(10_000, 1)])
    refused = service.invoke("cache.clean", **environment)
    assert refused.status == 13
    assert "--yes" in refused.stderr
    assert list((folder / "blobs/sha256").iterdir())
    shown = service.invoke("cache.clean", "--dry-run", **environment)
    assert ours in shown.stdout
    done = service.invoke("cache.clean", "--yes", **environment)
    assert done.status == 0, done.stderr
    assert [path.name for path in folder.iterdir()] == ["lock"]
    assert builder_usage(ours) is None


def test_prune_registry_deletes_gone_branches_alone(
    service: Service, registry: Registry, tmp_path: Path
) -> None:
    origin = tmp_path / "origin.git"
    service.git("clone", "--quiet", "--bare", str(service.root), str(origin))
    service.git("remote", "add", "origin", str(origin))
    environment = {"DOCKYARD_REGISTRY": registry.host, "DOCKYARD_CACHE_BACKENDS": "local registry"}
    # A branch that origin never had: its cache is as good as gone.
    for branch in ("main", "feature/one"):
        service.git("checkout", "--quiet", "-B", branch)
        tag = f"cache-linux-amd64-{slug(branch)}"
        fill_layout(service.root / ".dockyard/cache", tag, [random_bytes(1000, branch)])
        pushed = service.invoke("cache.push", **environment)
        assert pushed.status == 0, pushed.stderr
    settings = load_settings(service.root, environment, {})
    with open_repository(settings, f"{registry.host}/{service.name}", {}) as client:
        before = {one.tag for one in read_registry_caches(client)}
        assert f"cache-linux-amd64-{slug('feature/one')}" in before
        done = service.invoke("cache.prune", "--registry", "--json", **environment)
        assert done.status == 0, done.stderr
        after = {one.tag for one in read_registry_caches(client)}
    assert before - after == {f"cache-linux-amd64-{slug('feature/one')}"}


def slug(branch: str) -> str:
    return branch_slug(branch)
