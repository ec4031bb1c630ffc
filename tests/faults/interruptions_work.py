"""What each operation does at which moment, when it is interrupted, and how to tell that it did."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

from dockyard.bench.registry_server import Request
from dockyard.caches.registry_client import open_repository
from dockyard.caches.sweep import USED_ANNOTATION
from dockyard.caches.transfer import plan_push, push
from faults.interruptions_command import Command, Hold, Point
from faults.interruptions_site import Site, copy_layout
from faults.model import Moment, Operation
from support.layouts import fill_layout, random_bytes
from support.settings import make_settings

__all__ = ["GONE", "WORK", "Work"]

Arm = Callable[[Site], Hold]
Moments = Mapping[Moment, "Point | Arm"]
GONE = "cache-linux-amd64-gone"
UPLOAD, BLOB, MANIFEST = "/blobs/uploads/", "/blobs/sha256:", "/manifests/"


def _hold(stage: str, methods: str, pattern: str) -> Arm:
    """Have the registry hold a request: “arriving”, “moving” (inside a body) or “done”."""

    def matches(request: Request) -> bool:
        return request.method in methods.split() and bool(re.search(pattern, request.path))

    def arm(site: Site) -> Hold:
        hold = Hold(matches)
        setattr(site.registry, stage, hold)
        return hold

    return arm


class Work:
    """One operation: ``prepare`` gives it something to do, ``moments`` say where it is held.

    ``clocked``: where a clock jumps inside of it. ``may_go``: caches that it is to remove.
    """

    arguments: tuple[str, ...]
    moments: ClassVar[Moments]
    clocked = Point("dockyard.process:follow")
    changes: ClassVar[Mapping[str, str]] = {}
    may_go: frozenset[str] = frozenset()
    writes: tuple[str, ...] = ()

    def __init__(self, site: Site) -> None:
        self.site = site

    def prepare(self) -> None:
        """Give it something to do."""

    def held(self, moment: Moment) -> Command:
        """Start it, and wait until it is at that moment."""
        place = self.moments[moment]
        if isinstance(place, Point):
            command = self.start(point=place)
            command.reach()
            return command
        hold = place(self.site)
        command = self.start()
        command.reach(hold)
        return command

    def start(self, point: Point | None = None, clock: float = 0.0) -> Command:
        """Start it."""
        return self.site.command(*self.arguments, point=point, clock=clock, changes=self.changes)

    def undone(self) -> list[str]:
        """Name what a run that succeeded has not done."""
        return []

    def half_done(self) -> list[str]:
        """Name what an interrupted run has left half done."""
        return []


class _Build(Work):
    arguments: tuple[str, ...] = ("build",)
    moments: ClassVar[Moments] = {
        Moment.BEFORE: Point("dockyard.process:follow"),
        Moment.MIDDLE: lambda site: site.index.hold(site.wheel),
        Moment.END: Point("dockyard.build:read_metadata"),
    }

    def prepare(self) -> None:
        self.site.edit()
        self.site.new_dependency()

    def undone(self) -> list[str]:
        return [] if self.site.image_runs() else ["the image does not run"]


class _BuildPush(_Build):
    arguments = ("build", "--push")
    moments: ClassVar[Moments] = {
        Moment.BEFORE: Point("dockyard.process:follow"),
        Moment.MIDDLE: _hold("moving", "PUT PATCH", UPLOAD),
        Moment.END: _hold("done", "PUT", "/manifests/cache-"),
    }
    changes: ClassVar[Mapping[str, str]] = {"DOCKYARD_CACHE_BACKENDS": "auto"}

    def prepare(self) -> None:
        self.site.edit()
        self.earlier = self.site.remote_tags().get("latest")

    def undone(self) -> list[str]:
        if "DOCKYARD_DRIVER" not in self.site.service.environment:
            return super().undone() + _not_pushed(self.site)
        # A dedicated builder pushes past the engine.
        moved = self.site.remote_tags().get("latest") != self.earlier
        return [] if moved else ["latest in the registry is what it was"]


def _not_pushed(site: Site) -> list[str]:
    remote, local = site.remote_tags().get("latest"), site.image_id()
    return [] if remote == local else [f"latest in the registry is {remote}, not {local}"]


class _Push(Work):
    arguments = ("push",)
    moments: ClassVar[Moments] = {
        Moment.BEFORE: Point("dockyard.images:_transfer"),
        Moment.MIDDLE: _hold("moving", "PUT PATCH", UPLOAD),
        Moment.END: Point("dockyard.images:_layers"),
    }

    def prepare(self) -> None:
        self.site.edit()
        self.site.must("build", DOCKYARD_CACHE_BACKENDS="none")

    def undone(self) -> list[str]:
        return _not_pushed(self.site)


class _Pull(Work):
    arguments = ("pull",)
    moments: ClassVar[Moments] = {
        Moment.BEFORE: Point("dockyard.images:_transfer"),
        Moment.MIDDLE: _hold("moving", "GET", BLOB),
        Moment.END: Point("dockyard.images:_layers"),
    }

    def prepare(self) -> None:
        self.site.publish_image()

    def undone(self) -> list[str]:
        return _not_pushed(self.site)


class _CachePush(Work):
    arguments = ("cache.push",)
    moments: ClassVar[Moments] = {
        Moment.BEFORE: _hold("arriving", "GET HEAD", ""),
        Moment.MIDDLE: _hold("moving", "PUT PATCH", UPLOAD),
        Moment.END: _hold("done", "PUT", MANIFEST),
    }
    clocked = Point("dockyard.caches.operations:plan_push")

    def prepare(self) -> None:
        self.site.edit()
        self.site.must("build")

    def undone(self) -> list[str]:
        tag = "cache-linux-amd64-main"
        local, remote = self.site.layout.index()[tag].digest, self.site.remote_tags().get(tag)
        return [] if local == remote else [f"{tag} in the registry is {remote}, not {local}"]


class _CachePull(_CachePush):
    arguments = ("cache.pull",)
    moments: ClassVar[Moments] = {
        Moment.BEFORE: _hold("arriving", "GET HEAD", ""),
        Moment.MIDDLE: _hold("moving", "GET", BLOB),
        Moment.END: Point("dockyard.caches.operations:clear_ingest"),
    }
    clocked = Point("dockyard.caches.operations:plan_pull")

    def prepare(self) -> None:
        site, older = self.site, self.site.folder / "older-cache"
        copy_layout(site.layout.root, older)
        site.edit()
        site.must("build")
        site.must("cache.push")
        copy_layout(older, site.layout.root)


class _CachePrune(Work):
    arguments = ("cache.prune", "--registry")
    moments: ClassVar[Moments] = {
        Moment.BEFORE: Point("dockyard.caches.prune:apply_prune"),
        # The tag is gone, and its blobs are not.
        Moment.MIDDLE: Point("dockyard.caches.layout:Layout.replace_index", "after"),
        Moment.END: _hold("done", "DELETE", MANIFEST),
    }
    clocked = Point("dockyard.caches.prune:apply_prune")
    may_go = frozenset({GONE})

    def prepare(self) -> None:
        """Add a cache that was not used for a year, here and there; its branch is gone."""
        site = self.site
        contents = [random_bytes(100_000, f"{site.service.name} {site.version}")]
        site.version += 1
        side = fill_layout(site.folder / f"side-{site.version}", GONE, contents)
        with open_repository(make_settings(), site.repository, {"DOCKER_CONFIG": "/"}) as client:
            push(side, plan_push(side, side.index()[GONE], client), client, (GONE,))
        fill_layout(site.layout.root, GONE, contents)
        tags = site.layout.index()
        tags[GONE] = tags[GONE].annotated({USED_ANNOTATION: "1000000000.0"})
        site.layout.replace_index(tags)

    def undone(self) -> list[str]:
        places = {
            "the local cache": set(self.site.layout.index()),
            "the registry": set(self.site.remote_tags()),
        }
        return [f"{place} still has {GONE}" for place, tags in places.items() if GONE in tags]


class _Init(Work):
    arguments = ("init",)
    writes = ("docker/Dockerfile", ".dockerignore", ".env.example")
    moments: ClassVar[Moments] = {
        Moment.BEFORE: Point("dockyard.initialization:apply_changes"),
        # The first file is there, and the second is written beside its place.
        Moment.MIDDLE: Point("dockyard.state:os.fsync", "before", 2),
        Moment.END: Point("dockyard.initialization:apply_changes", "after"),
    }

    def prepare(self) -> None:
        self.whole = {name: self._path(name).read_text() for name in self.writes}
        for name in self.writes:
            self._path(name).unlink()
        shutil.rmtree(self.site.root / "docker")

    def _path(self, name: str) -> Path:
        return self.site.root / name

    def undone(self) -> list[str]:
        return [f"{name} is not there" for name in self.writes if not self._path(name).is_file()]

    def half_done(self) -> list[str]:
        there = [name for name in self.writes if self._path(name).is_file()]
        changed = [one for one in there if self._path(one).read_text() != self.whole[one]]
        return [f"{name} is not whole" for name in changed]


class _Optimize(Work):
    arguments = ("optimize", "--apply")
    moments: ClassVar[Moments] = {
        Moment.BEFORE: Point("dockyard.optimization:apply"),
        # The old text is kept, and the new one not yet written.
        Moment.MIDDLE: Point("dockyard.optimization:write_atomically", "after"),
        Moment.END: Point("dockyard.optimization:apply", "after"),
    }
    writes = (".dockerignore",)

    def prepare(self) -> None:
        # Whatever init made of it before: this lets in a folder that the image does not need.
        let_in = ("build_backend", "pyproject.toml", "src", "uv.lock")
        self.before = "".join(("*\n", *(f"!{one}\n" for one in let_in), "**/__pycache__\n"))
        (self.site.root / ".dockerignore").write_text(self.before)

    @property
    def _now(self) -> str:
        return (self.site.root / ".dockerignore").read_text()

    def undone(self) -> list[str]:
        return [".dockerignore is as it was"] if self._now == self.before else []

    def half_done(self) -> list[str]:
        whole = (self.before, f"{self.before}build_backend\n")
        return [] if self._now in whole else [".dockerignore is not whole"]


WORK: dict[Operation, type[Work]] = {
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
