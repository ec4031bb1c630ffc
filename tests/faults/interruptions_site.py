"""The project that commands are interrupted in: what there was, and whether it is still usable."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dockyard.caches.layout import BlobError, Layout
from dockyard.caches.registry_client import open_repository
from dockyard.errors import DockyardError
from faults.interruptions_command import Command, HoldingIndex, HoldingRegistry, Point, leftovers
from support.base import ensure_base_image, ensure_uv_image
from support.engine import Cleanup, DockerError, docker, random_name
from support.layouts import descriptor_of, random_bytes, tar_of
from support.service import Ran, Service
from support.settings import make_settings
from support.wheels import make_wheel

__all__ = ["Before", "Site", "make_site"]

WHEEL_BYTES = 60_000
SOURCE_BYTES = 700_000
IMAGE_CONFIG = "application/vnd.oci.image.config.v1+json"
IMAGE_LAYER = "application/vnd.oci.image.layer.v1.tar"
IMAGE_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class Before:
    """What was there before a command: caches by tag and digest, images by name, files."""

    local: dict[str, str]
    image: str | None
    remote: dict[str, str]
    files: set[str]


class Site:
    """A service with a registry and an index that can hold requests, and a cache of its own."""

    def __init__(
        self,
        folder: Path,
        registry: HoldingRegistry,
        index: HoldingIndex,
        *,
        python: str,
        uv: str,
        host: str | None,
    ) -> None:
        self.folder, self.registry, self.index = folder, registry, index
        # One for all commands: what one leaves, the next can clear away.
        self.temporary = folder / "tmp"
        self.temporary.mkdir(parents=True)
        self._host = ("--host", host) if host else ()
        self.package = random_name()
        self.version = 0
        self._left: set[str] = set()
        self._commands = 0
        self._add_wheel()
        name = random_name()
        self.service = Service(
            folder / name,
            name,
            self.dependencies,
            index_url=index.url,
            python_image=python,
            uv_image=uv,
        )
        self.service.environment |= {
            "DOCKYARD_BUILDER": "default",
            "DOCKYARD_CACHE_BACKENDS": "local",
            "DOCKYARD_CACHE_MOUNTS": "none",
            "DOCKYARD_REGISTRY": f"{registry.host}/team",
            "DOCKER_CONFIG": str(folder / "docker"),
            "TMPDIR": str(self.temporary),
            **({"DOCKER_HOST": host} if host else {}),
        }
        (folder / "docker").mkdir()
        bare = folder / "origin.git"
        self.service.git("clone", "--quiet", "--bare", str(self.root), str(bare))
        self.service.git("remote", "add", "origin", str(bare))

    @property
    def root(self) -> Path:
        """The repository."""
        return self.service.root

    @property
    def layout(self) -> Layout:
        """The local cache."""
        place = self.service.environment.get("DOCKYARD_CACHE_DIR")
        return Layout(Path(place) if place else self.root / ".dockyard/cache")

    @property
    def repository(self) -> str:
        """The image and cache in the registry."""
        return f"{self.registry.host}/team/{self.service.name}"

    @property
    def image(self) -> str:
        """The image's name in the engine."""
        return f"{self.repository}:latest"

    @property
    def dependencies(self) -> dict[str, str]:
        """The one package, in the newest version there is."""
        return {self.package: f"=={self.version}.0"}

    @property
    def wheel(self) -> str:
        """The newest wheel's file name."""
        return f"{self.package.replace('-', '_')}-{self.version}.0-py3-none-any.whl"

    def _add_wheel(self) -> None:
        self.version += 1
        made = make_wheel(self.folder, self.package, f"{self.version}.0", size=WHEEL_BYTES)
        self.index.add(made)

    # -------------------- what changes between builds

    def new_dependency(self) -> None:
        """Lock another version of the package."""
        self._add_wheel()
        self.service.lock(self.dependencies)

    def edit(self, size: int = SOURCE_BYTES) -> None:
        """Change the sources by so many random bytes."""
        self.service.module.with_name("data.bin").write_bytes(os.urandom(size))

    # -------------------- commands

    def command(
        self,
        *arguments: str,
        point: Point | None = None,
        clock: float = 0.0,
        changes: Mapping[str, str] | None = None,
    ) -> Command:
        """Start a command that may be interrupted; ``changes`` are of the environment."""
        self._commands += 1
        folder = self.folder / f"command-{self._commands}"
        environment = {**self.service.environment, **(changes or {})}
        return Command(self.root, arguments, folder, environment, point, clock)

    def healthy(self, *arguments: str, **changes: str) -> Ran:
        """Run a command to its end; what it starts with is a healthy machine."""
        command = self.command(*arguments, changes=changes)
        status = command.end(120)
        return Ran(status, command.stdout, command.stderr)

    def must(self, *arguments: str, **changes: str) -> Ran:
        """Run a command that has to succeed."""
        done = self.healthy(*arguments, **changes)
        assert done.status == 0, done.stdout + done.stderr
        return done

    # -------------------- an image that the engine lacks

    def publish_image(self, size: int = SOURCE_BYTES) -> None:
        """Put a new image in the registry under ``latest``, of a layer that nobody has."""
        layer = tar_of("data", random_bytes(size, os.urandom(8).hex()))
        described = descriptor_of(layer, IMAGE_LAYER)
        rootfs = {"type": "layers", "diff_ids": [described.digest]}
        config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": rootfs}).encode()
        held = descriptor_of(config, IMAGE_CONFIG)
        manifest = {
            "schemaVersion": 2,
            "mediaType": IMAGE_MANIFEST,
            "config": held.as_json(),
            "layers": [described.as_json()],
        }
        path = self.folder / "blob"
        with open_repository(make_settings(), self.repository, {"DOCKER_CONFIG": "/"}) as client:
            for one, content in ((described, layer), (held, config)):
                path.write_bytes(content)
                client.upload_blob(one, path, lambda moved: None)
            client.write_manifest("latest", json.dumps(manifest).encode(), IMAGE_MANIFEST)

    # -------------------- what there is

    def before(self) -> Before:
        """Note what is there."""
        return Before(
            {tag: one.digest for tag, one in self.layout.index().items()},
            self.image_id(),
            self.remote_tags(),
            set(),
        )

    def image_id(self) -> str | None:
        """The engine's identifier of the image; None where it has none."""
        try:
            return docker(*self._host, "image", "inspect", "--format", "{{.Id}}", self.image)
        except DockerError:
            return None

    def remote_tags(self) -> dict[str, str]:
        """The registry's tags of this repository and the digests they point at."""
        with open_repository(make_settings(), self.repository, {"DOCKER_CONFIG": "/"}) as client:
            digests = {tag: client.manifest_digest(tag) for tag in client.list_tags()}
        return {tag: digest for tag, digest in digests.items() if digest}

    def damage(self, before: Before, *, may_go: frozenset[str] = frozenset()) -> Iterator[str]:
        """Say what of that is lost or broken; tags that ``may_go`` may be gone, none half."""
        try:
            tags = self.layout.index()
        except DockyardError as error:
            yield f"the local cache cannot be read: {error}"
            return
        for tag in sorted(before.local.keys() - tags.keys() - may_go):
            yield f"the local cache {tag} is gone"
        for tag, one in tags.items():
            try:
                for part in self.layout.reachable(one):
                    self.layout.verify(part)
            except BlobError as error:
                yield f"the local cache {tag} is broken: {error}"
        if before.image and not self.image_id():
            yield "the image is gone from the engine"
        try:
            remote = self.remote_tags()
            for tag in sorted(before.remote.keys() - remote.keys() - may_go):
                yield f"the registry's {tag} is gone"
            yield from self._broken(remote)
        except DockyardError as error:
            yield f"the registry cannot be read: {error}"

    def _broken(self, tags: dict[str, str]) -> Iterator[str]:
        """Name tags of the registry of which something is missing."""
        from dockyard.caches.layout import children

        with open_repository(make_settings(), self.repository, {"DOCKER_CONFIG": "/"}) as client:
            for tag, digest in tags.items():
                pending = [digest]
                while pending:
                    found = client.read_manifest(pending.pop())
                    if found is None:
                        yield f"the registry's {tag} lacks a manifest"
                        continue
                    for one in children(found.content):
                        if one.is_manifest:
                            pending.append(one.digest)
                        elif not client.has_blob(one.digest):
                            yield f"the registry's {tag} lacks {one.digest}"

    def image_runs(self) -> bool:
        """Whether the engine's image starts."""
        try:
            docker(
                *(*self._host, "run", "--rm", "--network=none", "--entrypoint=python"),
                *(self.image, "-c", ""),
            )
        except DockerError:
            return False
        return True

    def note_leftovers(self) -> None:
        """Let what is left now be no fault of the next command's."""
        self._left = set(leftovers(self.root, self.layout.root, self.temporary, resumed=True))
        for name in self.crash_logs():
            (self.root / ".dockyard" / name).unlink()

    def leftovers(self, *, resumed: bool = False) -> list[str]:
        """Name what was left since then (see :func:`leftovers`)."""
        found = leftovers(self.root, self.layout.root, self.temporary, resumed=resumed)
        return [one for one in found if one not in self._left]

    def crash_logs(self) -> list[str]:
        """The logs of Dockyard's own bugs."""
        return sorted(path.name for path in (self.root / ".dockyard").glob("crash-*.log"))


@contextmanager
def make_site(
    folder: Path, *, host: str | None = None, builder: str | None = None
) -> Iterator[Site]:
    """Make a site, and leave the engine as it was.

    ``host`` is the DOCKER_HOST of an engine of its own. ``builder`` names a dedicated builder that
    Dockyard is to make: it then pulls the base images from the site's registry.
    """
    with (
        HoldingRegistry(folder / "registry") as registry,
        HoldingIndex() as index,
        Cleanup() as made,
    ):
        images = [ensure_base_image(), ensure_uv_image()]
        if builder:
            container = f"buildx_buildkit_{builder}0"
            made.name("builder", builder)
            made.name("container", container)
            made.name("volume", f"{container}_state")
            for number, image in enumerate(images):
                images[number] = f"{registry.host}/{image.partition('/')[2]}"
                made.name("image", images[number])
                docker("tag", image, images[number])
                docker("push", "--quiet", images[number])
        site = Site(folder / "site", registry, index, python=images[0], uv=images[1], host=host)
        if builder:
            site.service.environment |= {
                "DOCKYARD_BUILDER": "auto",
                "DOCKYARD_DRIVER": "docker-container",
                "DOCKYARD_BUILDER_NAME": builder,
            }
        if host is None:
            made.repository(site.service.name)
            made.repository(site.repository)
        site.must("build")
        site.must("build", "--push", DOCKYARD_CACHE_BACKENDS="auto")
        yield site
        registry.let_go()
        index.let_go()


def copy_layout(source: Path, target: Path) -> None:
    """Replace a cache directory by a copy of another."""
    shutil.rmtree(target, ignore_errors=True)
    if source.is_dir():
        subprocess.run(["cp", "--archive", str(source), str(target)], check=True)
