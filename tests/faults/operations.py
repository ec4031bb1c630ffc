"""What each operation is given to do, and how to tell that it was done.

A :class:`Work` is one operation in the world: ``prepare`` changes something, so that there is work
to do; ``undone`` says what a command that claims success has not delivered.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from faults.model import Operation, Target
from faults.world import MAIN, World
from support.engine import DockerError, docker
from support.service import Ran

__all__ = ["WORK", "Work"]


class Work:
    """One operation, which a fault of ``target`` is to disturb."""

    settings: Mapping[str, str] = {}
    arguments: tuple[str, ...] | None = None

    def __init__(self, world: World, operation: Operation, target: Target) -> None:
        self.world, self.operation, self.target = world, operation, target

    def prepare(self) -> None:
        """Give it something to do."""

    def run(self, **changes: str) -> Ran:
        """Run the command."""
        arguments = self.arguments or self.operation.arguments
        return self.world.invoke(*arguments, **{**self.settings, **changes})

    def undone(self) -> list[str]:
        """Name what was not delivered."""
        return []

    def half(self) -> list[str]:
        """Name what is not whole of an image that moved though the command failed."""
        return []

    def expired(self) -> Mapping[str, str]:
        """Settings by which the command meets a server whose certificate has expired."""
        return self.world.expired_settings(self.target)

    @property
    def moves(self) -> frozenset[str]:
        """What may change though the command failed: “cache”, “tags”."""
        return frozenset()


class _Build(Work):
    @property
    def settings(self) -> Mapping[str, str]:  # type: ignore[override]
        if self.target is Target.REGISTRY:
            return {"DOCKYARD_CACHE_BACKENDS": "registry"}
        if self.target is Target.MIRROR:
            mirror = f"http://{self.world.proxies[Target.MIRROR].host}/simple"
            return {"DOCKYARD_UV_MIRRORS": mirror}
        return {}

    @property
    def moves(self) -> frozenset[str]:
        """The backend “registry” exports a cache."""
        return frozenset({"tags"}) if self.target is Target.REGISTRY else frozenset()

    def prepare(self) -> None:
        self.marker = self.world.touch()
        self.version = "" if self.target is Target.REGISTRY else self.world.freshen()

    def undone(self) -> list[str]:
        try:
            printed = self.world.run_image()
        except DockerError as error:
            return [f"the image does not run: {error.stderr}"]
        problems = []
        if self.marker not in printed:
            problems.append("the image holds an older source")
        if printed.count(self.version) < len(self.world.wheels):
            problems.append("the image holds an older package")
        return problems


class _BuildPush(_Build):
    # The engine has the new image before the registry does.
    @property
    def moves(self) -> frozenset[str]:
        return frozenset({"tags", "image"})

    def half(self) -> list[str]:
        return super().undone()

    def undone(self) -> list[str]:
        tags, local = self.world.tags(), self.world.image_id()
        problems = super().undone()
        if tags.get("latest") != local:
            problems.append(f"latest in the registry is {tags.get('latest')}, not {local}")
        return problems + self.world.incomplete("latest")


class _Push(Work):
    moves = frozenset({"tags"})

    def prepare(self) -> None:
        self.made = self.world.make_image()

    def undone(self) -> list[str]:
        tags = self.world.tags()
        return [
            f"{tag} in the registry is {tags.get(tag)}, not {self.made}"
            for tag in ("latest", "0.1.0")
            if tags.get(tag) != self.made
        ]

    def expired(self) -> Mapping[str, str]:
        """The same image, by the name that it has at the other address."""
        world = self.world
        other = f"{world.expired[self.target].host}/{world.repository}"
        for tag in ("latest", "0.1.0"):
            docker("tag", f"{world.image}:{tag}", f"{other}:{tag}")
        return super().expired()


class _Pull(Work):
    def prepare(self) -> None:
        self.published = self.world.publish_image()

    def undone(self) -> list[str]:
        found = self.world.image_id()
        return [] if found == self.published else [f"the engine has {found}, not {self.published}"]


class _CachePush(Work):
    moves = frozenset({"tags"})

    def prepare(self) -> None:
        self.filled = self.world.fill_cache()

    def undone(self) -> list[str]:
        found = self.world.tags().get(MAIN)
        return [] if found == self.filled else [f"{MAIN} is {found}, not {self.filled}"]


class _CachePull(Work):
    moves = frozenset({"cache"})

    def prepare(self) -> None:
        self.published = self.world.publish_cache()

    def undone(self) -> list[str]:
        found = self.world.layout.index().get(MAIN)
        digest = found.digest if found else None
        return [] if digest == self.published else [f"{MAIN} is {digest}, not {self.published}"]


class _CachePrune(Work):
    moves = frozenset({"tags"})

    def prepare(self) -> None:
        self.tag = f"cache-linux-amd64-gone{self.world.serial}"
        self.world.publish_cache(self.tag)

    def undone(self) -> list[str]:
        gone = self.tag not in self.world.tags()
        return [] if gone else [f"{self.tag} is still there"]


class _Init(Work):
    """In a fresh copy of the project, without the files that it writes."""

    def prepare(self) -> None:
        self.copy = self.world.folder / f"adopted-{self.world.serial}"
        shutil.rmtree(self.copy, ignore_errors=True)
        left = shutil.ignore_patterns("docker", ".dockyard", ".git", ".env.example", "__pycache__")
        shutil.copytree(self.world.root, self.copy, ignore=left)

    def run(self, **changes: str) -> Ran:
        service = self.world.service
        home, service.root = service.root, self.copy
        try:
            return super().run(**changes)
        finally:
            service.root = home

    def undone(self) -> list[str]:
        wanted = (Path("docker/Dockerfile"), Path(".env.example"))
        return [f"{one} was not written" for one in wanted if not (self.copy / one).is_file()]


class _Optimize(Work):
    """The topics that ask somebody elsewhere: pins in the registry, and how fast mirrors are."""

    arguments = ("optimize", "--only", "pins", "--only", "mirrors")

    @property
    def settings(self) -> Mapping[str, str]:  # type: ignore[override]
        hosts = self.world.proxies
        mirror = f"http://{hosts[Target.MIRROR].host}/simple"
        return self._settings(hosts[Target.REGISTRY].host, mirror)

    def _settings(self, registry: str, mirror: str) -> Mapping[str, str]:
        index = f"http://{self.world.proxies[Target.INDEX].host}/simple"
        return {
            "DOCKYARD_SBOM_GENERATOR": f"{registry}/{self.world.repository}:latest@{self.pinned}",
            "DOCKYARD_UV_MIRRORS": f"{index},{mirror}",
        }

    def expired(self) -> Mapping[str, str]:
        """The same, but for one of the two hosts."""
        hosts, expired = self.world.proxies, self.world.expired
        trusted = {"DOCKYARD_CA_FILE": str(self.world.authorities[self.target])}
        if self.target is Target.REGISTRY:
            mirror = f"http://{hosts[Target.MIRROR].host}/simple"
            return {**self._settings(expired[self.target].host, mirror), **trusted}
        mirror = f"https://{expired[self.target].host}/simple"
        return {**self._settings(hosts[Target.REGISTRY].host, mirror), **trusted}

    def prepare(self) -> None:
        self.pinned = self.world.tags()["latest"]
        self.now = self.world.publish_image()

    def undone(self) -> list[str]:
        return []


WORK: Mapping[Operation, type[Work]] = {
    Operation.INIT: _Init,
    Operation.BUILD: _Build,
    Operation.BUILD_PUSH: _BuildPush,
    Operation.PUSH: _Push,
    Operation.PULL: _Pull,
    Operation.CACHE_PUSH: _CachePush,
    Operation.CACHE_PULL: _CachePull,
    Operation.CACHE_PRUNE: _CachePrune,
    Operation.OPTIMIZE: _Optimize,
}
