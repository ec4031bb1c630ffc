"""The tasks below ``cache.``: thin, as those of :mod:`dockyard.collection`."""

from __future__ import annotations

import json as json_format
import os
import sys
from typing import TYPE_CHECKING, Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import task

from dockyard.boundary import emit, reported
from dockyard.optimize_tasks import optimize
from dockyard.task_settings import task_settings

if TYPE_CHECKING:
    from dockyard.caches.prune_plan import PrunePlan
    from dockyard.settings import Settings

__all__ = ["cache_namespace"]


def _emit_json(values: Any) -> None:
    emit(json_format.dumps(values, indent=1, ensure_ascii=False))


@task(
    help={
        "dry-run": "show what would be done, and do nothing",
        "json": "print as JSON on standard output",
    }
)
@reported
def init(context: Context, dry_run: bool = False, json: bool = False) -> None:
    """Make the cache directory and the dedicated builder, repair them, or leave them alone."""
    from dockyard.cache_setup import initialize

    done = initialize(task_settings(), os.environ, dry_run=dry_run)
    if json:
        _emit_json(done.as_json())
    else:
        emit("\n".join(done.lines()))


@task(help={"json": "print as JSON on standard output"})
@reported
def info(context: Context, json: bool = False) -> None:
    """Show what each part of the build cache holds, and what would be pruned."""
    from dockyard.caches.information import gather_caches, present_caches
    from dockyard.project import image_name

    settings = task_settings()
    found = gather_caches(settings, image_name(settings), os.environ)
    if json:
        _emit_json(found.as_json())
    else:
        present_caches(found, sys.stdout)


@task(
    help={
        "mounts": "cache mounts too: of the dedicated builder all, of others Dockyard's own",
        "registry": "caches in DOCKYARD_REGISTRY whose branches are gone or long unused",
        "images": "images of this project that no tag names any more",
        "all": "everything of this machine, whatever its age (with --registry: there as well)",
        "dry-run": "list each thing with its bytes, and remove nothing",
        "json": "print as JSON on standard output",
    }
)
@reported
def prune(
    context: Context,
    mounts: bool = False,
    registry: bool = False,
    images: bool = False,
    all: bool = False,  # noqa: A002 - the flag is --all
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """Remove what is past budget or age, and only what Dockyard made."""
    from dockyard.caches.prune import PruneOptions, plan_prune
    from dockyard.project import image_name

    settings = task_settings()
    options = PruneOptions(mounts=mounts, registry=registry, images=images, everything=all)
    image = image_name(settings)
    plan = plan_prune(settings, options, image, os.environ)
    _carry_out(settings, plan, image, dry_run=dry_run, json=json)


@task(
    help={
        "yes": "remove without asking",
        "dry-run": "show what goes, and remove nothing",
        "json": "print as JSON on standard output",
    }
)
@reported
def clean(context: Context, yes: bool = False, dry_run: bool = False, json: bool = False) -> None:
    """Empty the local cache and remove the dedicated builder; `cache.init` makes it anew."""
    from dockyard.caches.prune import plan_clean
    from dockyard.project import image_name

    settings = task_settings()
    plan = plan_clean(settings)
    _carry_out(settings, plan, image_name(settings), dry_run=dry_run, json=json, ask=not yes)


def _carry_out(
    settings: Settings,
    plan: PrunePlan,
    image: str,
    *,
    dry_run: bool,
    json: bool,
    ask: bool = False,
) -> None:
    from dockyard.caches.prune import apply_prune, pruned_json
    from dockyard.caches.prune_display import confirmed, plan_lines, pruned_lines

    if not json:
        emit("\n".join(plan_lines(plan)))
    if dry_run or not plan.items:
        if json:
            _emit_json(pruned_json(plan, None))
        return
    if ask and not confirmed(sys.stdin, sys.stderr):
        return
    pruned = apply_prune(settings, plan, image, os.environ)
    if json:
        _emit_json(pruned_json(plan, pruned))
    else:
        emit("\n".join(pruned_lines(pruned)))
    pruned.raise_failures()


def _transfer(direction: str, *, mounts: bool, dry_run: bool, json: bool) -> None:
    from dockyard.caches import operations
    from dockyard.display.transfer import choose_progress

    settings = task_settings()
    carry_out = operations.push_cache if direction == "push" else operations.pull_cache
    progress = choose_progress(sys.stderr, os.environ, progress=settings.progress)
    done = carry_out(settings, os.environ, progress, mounts_only=mounts, dry_run=dry_run)
    if json:
        _emit_json(done.as_json())
    else:
        emit("\n".join(operations.transfer_lines(done)))


@task(
    help={
        "mounts": "uv's cache mount alone: a build with the backend registry moves layers itself",
        "dry-run": "show what would be pushed, and push nothing",
        "json": "print as JSON on standard output",
    }
)
@reported
def push(context: Context, mounts: bool = False, dry_run: bool = False, json: bool = False) -> None:
    """Push the local cache and uv's cache mount to DOCKYARD_REGISTRY: only what it lacks."""
    _transfer("push", mounts=mounts, dry_run=dry_run, json=json)


@task(
    help={
        "mounts": "uv's cache mount alone: a build with the backend registry moves layers itself",
        "dry-run": "show what would be pulled, and pull nothing",
        "json": "print as JSON on standard output",
    }
)
@reported
def pull(context: Context, mounts: bool = False, dry_run: bool = False, json: bool = False) -> None:
    """Pull the cache of this branch, or the next best, from DOCKYARD_REGISTRY: only what lacks."""
    _transfer("pull", mounts=mounts, dry_run=dry_run, json=json)


def cache_namespace() -> Collection:
    """Make the collection of the tasks below ``cache``."""
    collection = Collection("cache")
    for one in (init, push, pull, info, prune, clean, optimize):
        collection.add_task(one)
    return collection
