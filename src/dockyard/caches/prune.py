"""``cache.prune`` and ``cache.clean``: gather what there is, decide, and carry it out."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dockyard import process
from dockyard.caches.builder_usage import builder_usage, prune_builder, usage_by_kind
from dockyard.caches.directory import CacheDirectory
from dockyard.caches.prune_plan import (
    DanglingImage,
    PruneItem,
    PruneKind,
    PrunePlan,
    plan_builder,
    plan_images,
    plan_local,
    plan_mounts,
    plan_registry,
)
from dockyard.caches.registry_usage import read_registry_caches
from dockyard.caches.sweep import WRONG_CLOCK, age_limit
from dockyard.errors import BuilderError, CacheError, DockyardError

if TYPE_CHECKING:
    from dockyard.settings import Settings

__all__ = [
    "PruneOptions",
    "Pruned",
    "apply_prune",
    "dedicated_builder",
    "existing_branches",
    "plan_clean",
    "plan_prune",
    "pruned_json",
]

GIT_SECONDS = 30.0
BUILDER_KEY = "builder"


@dataclass(frozen=True)
class PruneOptions:
    """What ``cache.prune`` was asked for beside what is past budget or age."""

    mounts: bool = False
    registry: bool = False
    images: bool = False
    everything: bool = False


@dataclass(frozen=True)
class Pruned:
    """What happened to a plan: bytes freed as far as they are known, and what failed."""

    plan: PrunePlan
    bytes: int
    failures: tuple[DockyardError, ...]

    def raise_failures(self) -> None:
        """Raise the first failure with the problems of all, if there is one."""
        if self.failures:
            first, *others = (problem for one in self.failures for problem in one.problems)
            raise type(self.failures[0])(first, *others)


def dedicated_builder(settings: Settings) -> str | None:
    """Name the builder that ``cache.init`` made; None where there is none of that name and driver.

    A builder of another driver under that name is somebody else's.
    """
    listed = process.run(["docker", "buildx", "ls", "--format", "json"], timeout=GIT_SECONDS)
    for line in listed.stdout.splitlines():
        with contextlib.suppress(ValueError, AttributeError):
            one = json.loads(line)
            if one.get("Name") == settings.builder_name and one.get("Driver") not in (
                None,
                "docker",
            ):
                return settings.builder_name
    return None


def existing_branches(settings: Settings) -> tuple[frozenset[str] | None, str | None]:
    """List the branches that ``origin`` has now; None and the reason where it is silent."""
    from dockyard.git_remote import parse_remote

    root = settings.root
    try:
        told = process.run(
            ["git", "ls-remote", "--get-url", "origin"], directory=root, timeout=GIT_SECONDS
        )
        remote = parse_remote(told.stdout.strip())
        answered = process.run(
            ["git", "ls-remote", "--heads", remote.url if remote.authorization else "origin"],
            directory=root,
            environment=remote.environment(os.environ),
            timeout=GIT_SECONDS,
        )
    except OSError:
        return None, "git is not installed"
    if not answered.succeeded:
        said = remote.clean(answered.stderr).strip().splitlines()
        return None, said[-1] if said else "origin does not answer"
    names = (line.partition("refs/heads/")[2] for line in answered.stdout.splitlines())
    return frozenset(name for name in names if name), None


def _dangling_images(image: str) -> tuple[DanglingImage, ...]:
    """Find untagged images that Dockyard built under this name: by title, and by their layers."""
    listed = process.run(
        ["docker", "image", "ls", "--no-trunc", "--quiet", "--filter", "dangling=true",
         "--filter", f"label=org.opencontainers.image.title={image}"],
        timeout=GIT_SECONDS,
    )  # fmt: skip
    found = []
    for one in dict.fromkeys(listed.stdout.split()):
        history = process.run(
            ["docker", "history", "--no-trunc", "--format", "{{.CreatedBy}}", one],
            timeout=GIT_SECONDS,
        )
        if "COPY /environment/ / # buildkit" not in history.stdout.splitlines():
            continue
        inspected = process.run(["docker", "image", "inspect", one], timeout=GIT_SECONDS)
        size = None
        with contextlib.suppress(ValueError, IndexError, KeyError, TypeError):
            size = int(json.loads(inspected.stdout)[0]["Size"])
        found.append(DanglingImage(one, size))
    return tuple(found)


def plan_prune(
    settings: Settings, options: PruneOptions, image: str, environment: Mapping[str, str]
) -> PrunePlan:
    """Decide what goes, and remove nothing.

    ``image`` is the image's name without registry. By default the local directory and the
    dedicated builder are brought within budget and age. Raises CacheError, NetworkError.
    """
    items: list[PruneItem] = []
    notes: list[str] = []
    oldest: float | None = None
    directory = CacheDirectory(settings.cache_dir, settings.cache_budget)
    if directory.root.is_dir():
        oldest = age_limit(directory.layout.index(), time.time(), settings.cache_days)
        notes += [WRONG_CLOCK] if oldest is None and not options.everything else []
        swept = directory.sweep(0 if options.everything else None, oldest=oldest, dry_run=True)
        reason = "everything was asked for" if options.everything else "past budget or age"
        items += plan_local(swept, reason)
    dedicated = dedicated_builder(settings)
    records = builder_usage(dedicated) if dedicated else None
    if dedicated and records is None:
        notes.append(f"the builder {dedicated} does not answer: `invoke cache.init` repairs it")
    if records:
        items += plan_builder(
            records,
            budget=settings.cache_budget,
            days=settings.cache_days,
            everything=options.everything,
        )
    if options.mounts or options.everything:
        items += plan_mounts(records or (), own_only=False, reason="cache mounts were asked for")
        shared = builder_usage("default") or ()
        items += plan_mounts(shared, own_only=True, reason="cache mounts were asked for")
        if options.everything and any(one.reclaimable for one in shared):
            notes.append(
                "the engine's own builder is shared with others: its layers stay "
                "(`docker builder prune` is for all of them)"
            )
    if options.registry:
        found, said = _plan_registry(settings, options, image, environment)
        items += found
        notes += said
    if options.images or options.everything:
        items += plan_images(_dangling_images(image), image)
    return PrunePlan(tuple(items), tuple(dict.fromkeys(notes)), options.everything, oldest)


def _plan_registry(
    settings: Settings, options: PruneOptions, image: str, environment: Mapping[str, str]
) -> tuple[tuple[PruneItem, ...], tuple[str, ...]]:
    from dockyard.caches.registry_client import open_repository
    from dockyard.errors import SettingsError

    if not settings.registry:
        raise SettingsError(
            "--registry needs to know which",
            where="DOCKYARD_REGISTRY",
            hint="set it to a registry and prefix, such as ghcr.io/acme",
        )
    branches, why = existing_branches(settings)
    notes = []
    if branches is None:
        notes.append(f"which branches exist is not known ({why}): only age counts")
    with open_repository(settings, f"{settings.registry}/{image}", environment) as client:
        caches = read_registry_caches(client)
    items, said = plan_registry(
        caches,
        branches=branches,
        days=settings.cache_days,
        now=datetime.now(UTC),
        everything=options.everything,
    )
    if items:
        notes.append("a registry frees the bytes of deleted tags when it collects its garbage")
    return items, (*notes, *said)


def plan_clean(settings: Settings) -> PrunePlan:
    """Decide what ``cache.clean`` removes: the local directory, and the dedicated builder whole."""
    items: list[PruneItem] = []
    notes: list[str] = []
    root = settings.cache_dir
    if root.is_dir() and any(root.iterdir()):
        size = sum(path.lstat().st_size for path in root.rglob("*") if path.is_file())
        items.append(PruneItem(PruneKind.LOCAL, str(root), size, "the whole directory", str(root)))
    dedicated = dedicated_builder(settings)
    if dedicated:
        records = builder_usage(dedicated)
        size_known = usage_by_kind(records).total if records is not None else None
        items.append(
            PruneItem(
                PruneKind.BUILDER, dedicated, size_known, "the builder and its state", BUILDER_KEY
            )
        )
        notes.append(
            f"every project on this machine that builds with {dedicated} loses its cache there"
        )
    return PrunePlan(tuple(items), tuple(notes))


def apply_prune(
    settings: Settings,
    plan: PrunePlan,
    image: str,
    environment: Mapping[str, str],
    tell: Callable[[PruneItem], None] = lambda item: None,
) -> Pruned:
    """Carry a plan out; what cannot be removed is told at the end and stops nothing else."""
    freed = 0
    failures: list[DockyardError] = []
    steps: tuple[tuple[tuple[PruneItem, ...], Callable[[tuple[PruneItem, ...]], int]], ...] = (
        (
            plan.of(PruneKind.LOCAL),
            lambda items: _remove_local(settings, items, plan),
        ),
        (
            plan.of(PruneKind.BUILDER),
            lambda items: _remove_from_builder(settings, items, plan.everything),
        ),
        (plan.of(PruneKind.MOUNT), lambda items: _remove_mounts(settings, items)),
        (
            plan.of(PruneKind.REGISTRY),
            lambda items: _remove_from_registry(settings, items, image, environment),
        ),
        (plan.of(PruneKind.IMAGE), _remove_images),
    )
    for items, remove in steps:
        if not items:
            continue
        try:
            freed += remove(items)
            for item in items:
                tell(item)
        except DockyardError as error:
            failures.append(error)
        except OSError as error:
            failures.append(CacheError(f"it cannot be removed: {error}"))
    return Pruned(plan, freed, tuple(failures))


def _remove_local(settings: Settings, items: tuple[PruneItem, ...], plan: PrunePlan) -> int:
    directory = CacheDirectory(settings.cache_dir, settings.cache_budget)
    if items[0].key == str(settings.cache_dir):
        with directory.locked():
            for path in settings.cache_dir.iterdir():
                if path.name == "lock":
                    continue
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
        return items[0].bytes or 0
    return directory.sweep(0 if plan.everything else None, oldest=plan.oldest).bytes


def _remove_from_builder(settings: Settings, items: tuple[PruneItem, ...], everything: bool) -> int:
    name = settings.builder_name
    if items[0].key == BUILDER_KEY:
        done = process.run(["docker", "buildx", "rm", "--force", name], timeout=600)
        if not done.succeeded:
            raise BuilderError(
                f"the builder {name} cannot be removed: {done.stderr.strip()}",
                hint="`docker buildx ls` shows how it is",
            )
        return items[0].bytes or 0
    if everything:
        return prune_builder(name, filters=("type!=exec.cachemount",), everything=True)
    freed = prune_builder(
        name, filters=("type!=exec.cachemount", f"until={settings.cache_days * 24}h")
    )
    return freed + prune_builder(
        name, filters=("type!=exec.cachemount",), keep=settings.cache_budget
    )


def _remove_mounts(settings: Settings, items: tuple[PruneItem, ...]) -> int:
    freed = 0
    builders = [name for name in (dedicated_builder(settings), "default") if name]
    for name in builders:
        here = {record.id for record in builder_usage(name) or ()}
        for item in items:
            if item.key in here:
                freed += prune_builder(name, filters=(f"id={item.key}",))
    return freed


def _remove_from_registry(
    settings: Settings, items: tuple[PruneItem, ...], image: str, environment: Mapping[str, str]
) -> int:
    from dockyard.caches.registry_client import open_repository

    refused = []
    freed = 0
    with open_repository(settings, f"{settings.registry}/{image}", environment) as client:
        for item in items:
            if client.delete_manifest(item.key):
                freed += item.bytes or 0
            else:
                refused.append(item.name)
    if refused:
        raise CacheError(
            "the registry has not deleted what it lists: it says that it is not there, or may not "
            f"be deleted: {', '.join(refused)}",
            where=str(settings.registry),
            hint="allow deletion there (distribution: REGISTRY_STORAGE_DELETE_ENABLED=true), or "
            "delete the tags in its own interface",
        )
    return freed


def _remove_images(items: tuple[PruneItem, ...]) -> int:
    freed, failures = 0, []
    for item in items:
        done = process.run(["docker", "image", "rm", item.key], timeout=GIT_SECONDS)
        if done.succeeded:
            freed += item.bytes or 0
        else:
            failures.append(f"{item.name}: {done.stderr.strip()}")
    if failures:
        raise CacheError(
            f"some images stay: {'; '.join(failures)}",
            hint="a container may use them: `docker ps --all`",
        )
    return freed


def pruned_json(plan: PrunePlan, pruned: Pruned | None) -> dict[str, Any]:
    """Return plan and outcome as JSON values; ``freed_bytes`` is null in a dry run."""
    return {
        "items": [
            {"kind": str(i.kind), "name": i.name, "bytes": i.bytes, "reason": i.reason}
            for i in plan.items
        ],
        "planned_bytes": plan.bytes,
        "freed_bytes": pruned.bytes if pruned else None,
        "failures": [str(one) for one in pruned.failures] if pruned else [],
        "notes": list(plan.notes),
    }
