"""The small world that a campaign breaks: a project, its registry, its index and a mirror of that.

One for each worker, with image names of its own on the engine that all share.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from dockyard.bench.registry_server import RegistryServer
from dockyard.caches.layout import MANIFEST_TYPE, Layout
from dockyard.caches.registry_client import RegistryClient, open_repository
from dockyard.caches.transfer import plan_push, push
from faults.model import Fault, Target
from faults.proxy import FaultProxy, expired_certificate
from support.engine import Cleanup, DockerError, docker, random_name
from support.index import PackageIndex
from support.layouts import descriptor_of, fill_layout, random_bytes, tar_of
from support.service import Ran, Service
from support.settings import make_settings
from support.wheels import make_wheel

__all__ = ["MAIN", "SHARED", "World"]

MAIN, SHARED = "cache-linux-amd64-main", "cache-linux-amd64-latest"
PACKAGES = 3
WHEEL_BYTES = 60_000
SOURCE_BYTES = 200_000
BLOB_BYTES = 300_000
# Settings that a user has: what a broken network may cost, in seconds.
PATIENCE = {
    "UV_HTTP_TIMEOUT": "2",
    "DOCKYARD_UV_MIRROR_TIMEOUT": "2",
    "DOCKYARD_REGISTRY_TIMEOUT": "3",
}


class World:
    """A project in a repository of its own, and the servers that it needs; a context manager.

    ``registry``, ``index`` and ``mirror`` are the proxies: everybody reaches the servers by them.
    """

    def __init__(self, folder: Path, *, python_image: str, uv_image: str) -> None:
        self.folder = folder
        self.name = random_name()
        self.serial = 0
        self._images = (python_image, uv_image)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self, stack: contextlib.ExitStack) -> None:
        self.storage = self.folder / "storage"
        self.server = stack.enter_context(RegistryServer(self.storage))
        self.packages = stack.enter_context(PackageIndex())
        copy = stack.enter_context(PackageIndex())
        copy.files = self.packages.files
        ports = {
            Target.REGISTRY: self.server.port,
            Target.INDEX: port_of(self.packages),
            Target.MIRROR: port_of(copy),
        }
        self.proxies = {
            target: stack.enter_context(FaultProxy(port)) for target, port in ports.items()
        }
        self.expired: dict[Target, FaultProxy] = {}
        self.authorities: dict[Target, Path] = {}
        # The engine takes any certificate of a registry on loopback: ours is not there.
        for target, address in ((Target.REGISTRY, own_address()), (Target.INDEX, "127.0.0.1")):
            made = self.folder / f"tls-{target}"
            made.mkdir(parents=True)
            self.authorities[target], *tls = expired_certificate(made, address)
            pair = (tls[0], tls[1])
            proxy = FaultProxy(ports[target], address=address, tls=pair)
            self.expired[target] = stack.enter_context(proxy)
        self.expired[Target.MIRROR] = self.expired[Target.INDEX]
        self.authorities[Target.MIRROR] = self.authorities[Target.INDEX]
        self.made = stack.enter_context(Cleanup())
        for folder in ("wheels", "tmp", "cache"):
            (self.folder / folder).mkdir()
        self.wheels = [f"faulty-{secrets.token_hex(4)}-{number}" for number in range(PACKAGES)]
        for one in self.wheels:
            self._add(one, "1.0.0")
        self.service = Service(
            # buildx tells contexts apart by their folder's name: in two of the same name, files of
            # one size, written in the same tick of the clock, would count as one file.
            self.folder / self.name,
            self.name,
            dict.fromkeys(self.wheels, ">=1"),
            index_url=f"http://{self.proxies[Target.INDEX].host}/simple",
            python_image=self._images[0],
            uv_image=self._images[1],
        )
        self.service.environment |= {
            **PATIENCE,
            "DOCKYARD_REGISTRY": f"{self.proxies[Target.REGISTRY].host}/team",
            "DOCKYARD_BUILDER": "default",
            "DOCKYARD_CACHE_MOUNTS": "none",
            "DOCKYARD_CACHE_BACKENDS": "none",
            "TMPDIR": str(self.folder / "tmp"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
        }
        # By the branches that origin has, a prune knows which caches are of none.
        origin = str(self.folder / "origin.git")
        self.service.git("clone", "--quiet", "--bare", ".", origin)
        self.service.git("remote", "add", "origin", origin)
        self.service.assign(self.wheels[:2], self.wheels[2:])
        for tag in ("latest", "0.1.0"):
            for host in (self.proxies[Target.REGISTRY].host, self.expired[Target.REGISTRY].host):
                self.made.name("image", f"{host}/{self.repository}:{tag}")
        self.touch()
        done = self.invoke("build", "--push", DOCKYARD_CACHE_BACKENDS="registry")
        if done.status:
            raise RuntimeError(f"the healthy project cannot be built\n{done.stderr}")

    # -------------------- names

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self.service.root

    @property
    def repository(self) -> str:
        """The image's path in the registry."""
        return f"team/{self.name}"

    @property
    def image(self) -> str:
        """The image's name, without a tag."""
        return f"{self.proxies[Target.REGISTRY].host}/{self.repository}"

    @property
    def layout(self) -> Layout:
        """The project's local cache."""
        return Layout(self.root / ".dockyard/cache")

    # -------------------- what a user does

    def invoke(self, *arguments: str, **changes: str) -> Ran:
        """Run a command in the project; nothing is broken but what is armed."""
        return self.service.invoke(*arguments, **changes)

    def expired_settings(self, target: Target) -> Mapping[str, str]:
        """Settings by which a command meets the server whose certificate has expired."""
        host = self.expired[target].host
        trusted = {"DOCKYARD_CA_FILE": str(self.authorities[target])}
        if target is Target.REGISTRY:
            return {"DOCKYARD_REGISTRY": f"{host}/team", **trusted}
        name = "UV_DEFAULT_INDEX" if target is Target.INDEX else "DOCKYARD_UV_MIRRORS"
        return {name: f"https://{host}/simple", **trusted}

    def proxy(self, target: Target, fault: Fault) -> FaultProxy:
        """The server that a fault of that target is of."""
        return (self.expired if fault.name == "expired-tls" else self.proxies)[target]

    def heal(self) -> None:
        """Let every server work again."""
        for one in self.proxies.values():
            one.heal()

    # -------------------- what changes between two commands

    def _next(self) -> int:
        self.serial += 1
        return self.serial

    def _add(self, name: str, version: str) -> Path:
        path = make_wheel(self.folder / "wheels", name, version, size=WHEEL_BYTES, seed=self.name)
        self.packages.add(path)
        return path

    def touch(self) -> str:
        """Change the project's source, which prints what is returned when it is imported."""
        marker = f"source {self._next()} of {self.name}"
        self.service.module.write_text(f'__version__ = "0.1.0"\nprint("{marker}")\n')
        (self.service.module.parent / "data.bin").write_bytes(random_bytes(SOURCE_BYTES, marker))
        return marker

    def freshen(self) -> str:
        """Lock a new version of every package; returns the version."""
        version = f"1.0.{self._next()}"
        path = self.root / "uv.lock"
        blocks = path.read_text().split("[[package]]\n")
        for number, block in enumerate(blocks):
            name = re.match(r'name = "(.+)"', block)
            if name and name[1] in self.wheels:
                wheel = self._add(name[1], version)
                content = wheel.read_bytes()
                block = re.sub(r'(?m)^version = ".*"', f'version = "{version}"', block)
                block = re.sub(r"-1\.0\.\d+-py3", f"-{version}-py3", block)
                digest = hashlib.sha256(content).hexdigest()
                block = re.sub(r"sha256:[0-9a-f]{64}", f"sha256:{digest}", block)
                block = re.sub(r"size = \d+", f"size = {len(content)}", block)
            blocks[number] = block
        path.write_text("[[package]]\n".join(blocks))
        return version

    def make_image(self) -> str:
        """Give the engine another image under the project's names; returns its identifier."""
        folder = self.folder / "made"
        folder.mkdir(exist_ok=True)
        for layer in ("first", "second"):
            content = random_bytes(BLOB_BYTES, f"{self.name} {layer} {self._next()}")
            (folder / layer).write_bytes(content)
        (folder / "Dockerfile").write_text("FROM scratch\nCOPY first /\nCOPY second /\n")
        names = [f"--tag={self.image}:{tag}" for tag in ("latest", "0.1.0")]
        docker("buildx", "build", "--builder=default", "--quiet", "--provenance=false", *names,
               str(folder))  # fmt: skip
        return self.image_id() or ""

    def client(self) -> RegistryClient:
        """The registry itself, past the proxy."""
        repository = f"127.0.0.1:{self.server.port}/{self.repository}"
        return open_repository(make_settings(), repository, {"DOCKER_CONFIG": "/none"})

    def publish_image(self) -> str:
        """Put another image into the registry as ``latest``; returns its manifest's digest."""
        tars = [
            tar_of(name, random_bytes(BLOB_BYTES, f"{self.name} {name} {self._next()}"))
            for name in ("first", "second")
        ]
        layers = [descriptor_of(one, "application/vnd.oci.image.layer.v1.tar") for one in tars]
        files = {"type": "layers", "diff_ids": [one.digest for one in layers]}
        config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": files}).encode()
        held = descriptor_of(config, "application/vnd.oci.image.config.v1+json")
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": held.as_json(),
                "layers": [one.as_json() for one in layers],
            }
        ).encode()
        with self.client() as client:
            for descriptor, content in zip([*layers, held], [*tars, config], strict=True):
                path = self.folder / "blob"
                path.write_bytes(content)
                client.upload_blob(descriptor, path, lambda moved: None)
            client.write_manifest("latest", manifest, MANIFEST_TYPE)
        return descriptor_of(manifest, MANIFEST_TYPE).digest

    def fill_cache(self) -> str:
        """Give the local cache other content; returns its manifest's digest."""
        contents = [random_bytes(BLOB_BYTES, f"{self.name} {self._next()}") for _ in range(3)]
        return fill_layout(self.layout.root, MAIN, contents).index()[MAIN].digest

    def publish_cache(self, tag: str = MAIN) -> str:
        """Put another cache into the registry; returns its manifest's digest."""
        contents = [random_bytes(BLOB_BYTES, f"{self.name} {self._next()}") for _ in range(3)]
        side = fill_layout(self.folder / f"side-{self.serial}", tag, contents)
        descriptor = side.index()[tag]
        with self.client() as client:
            push(side, plan_push(side, descriptor, client), client, (tag,))
        return descriptor.digest

    # -------------------- what there is

    def image_id(self, tag: str = "latest") -> str | None:
        """The engine's identifier of the image; None where it has none."""
        try:
            return docker("image", "inspect", "--format", "{{.Id}}", f"{self.image}:{tag}")
        except DockerError:
            return None

    def run_image(self) -> str:
        """What the image prints when its module and packages are imported."""
        modules = [one.replace("-", "_") for one in self.wheels]
        code = "; ".join(f"import {one}; print({one}.__version__)" for one in modules)
        module = self.name.replace("-", "_")
        return docker("run", "--rm", "--network=none", "--entrypoint=python",
                      f"{self.image}:latest", "-c", f"import {module}; {code}")  # fmt: skip

    def tags(self) -> dict[str, str]:
        """The registry's tags, and the digests that they point at."""
        with self.client() as client:
            found = {tag: client.manifest_digest(tag) for tag in client.list_tags()}
        return {tag: digest for tag, digest in found.items() if digest}

    def incomplete(self, reference: str) -> list[str]:
        """Name what the registry lacks, or holds with other content, of a tag or digest."""
        try:
            manifest: dict[str, Any] = self.server.manifest(self.repository, reference)
        except LookupError:
            return [f"the registry lacks the manifest {reference}"]
        problems: list[str] = []
        for one in manifest.get("manifests") or ():
            if one["mediaType"].endswith(("manifest.v1+json", "manifest.v2+json", "index.v1+json")):
                problems += self.incomplete(one["digest"])
            elif fault := self._blob_fault(one["digest"]):
                problems.append(fault)
        blobs = [manifest["config"]] if "config" in manifest else []
        for one in (*blobs, *manifest.get("layers", ())):
            if fault := self._blob_fault(one["digest"]):
                problems.append(f"{reference}: {fault}")
        return problems

    def _blob_fault(self, digest: str) -> str | None:
        value = digest.removeprefix("sha256:")
        path = self.storage / f"data/docker/registry/v2/blobs/sha256/{value[:2]}/{value}/data"
        known: set[str] = self.__dict__.setdefault("_verified", set())
        if not path.is_file():
            return f"the registry lacks the blob {digest}"
        if digest in known:
            return None
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != value:
                return f"the registry holds another content as {digest}"
        known.add(digest)
        return None


def port_of(index: PackageIndex) -> int:
    """The port that an index listens on."""
    return int(index.url.rpartition(":")[2].partition("/")[0])


def own_address() -> str:
    """An address of this machine that is not loopback's. Nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("192.0.2.1", 9))
        address = str(asking.getsockname()[0])
    assert not address.startswith("127."), "this machine has no address but loopback's"
    return address
