"""The tasks and their namespace. Each loads the settings, calls one function, and shows the result.

Everything is imported inside the tasks: `invoke --list` and tab completion load this module alone.
"""

from __future__ import annotations

import json as json_format
import os
import sys
from typing import TYPE_CHECKING, Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import task

from dockyard.bench_task import bench
from dockyard.boundary import emit, report, report_interruption, reported
from dockyard.cache_tasks import cache_namespace
from dockyard.check_task import check
from dockyard.doctor_task import doctor
from dockyard.explain_task import explain
from dockyard.init_task import init
from dockyard.machines_task import machines
from dockyard.optimize_tasks import optimize
from dockyard.report_task import report as report_task
from dockyard.task_settings import task_settings

if TYPE_CHECKING:
    pass

__all__ = ["namespace"]


@task(
    help={
        "push": "push the image to DOCKYARD_REGISTRY",
        "load": "load the image into the engine (the default; --no-load only fills the cache)",
        "platform": "build for this platform, such as linux/arm64 (may be given several times)",
        "no-cache": "run every step again",
        "print": "show the buildx command and the bake file, and run nothing",
        "json": "print the build's record on standard output",
    },
    iterable=["platform"],
)
@reported
def build(
    context: Context,
    push: bool = False,
    load: bool = True,
    platform: Any = None,
    no_cache: bool = False,
    print: bool = False,  # noqa: A002 - the flag is --print
    json: bool = False,
) -> None:
    """Build the image, show what happened and what it cost, and keep a record of it."""
    from dockyard.build import BuildOptions, build, describe_build

    settings = task_settings(platforms=platform)
    options = BuildOptions(push=push, load=load, no_cache=no_cache)
    if print:
        text, notes = describe_build(settings, options, os.environ)
        emit(text)
        sys.stderr.writelines(f"note: {note}\n" for note in notes)
        return
    result = build(settings, options, os.environ, sys.stderr)
    from dockyard.build import present

    if json:
        emit(result.record.as_json())
    present(result, settings, os.environ, sys.stderr if json else sys.stdout)
    _exit(result)


def _exit(result: Any) -> None:
    from invoke.exceptions import Exit

    from dockyard.errors import EXIT_INTERRUPTED

    if result.interrupted:
        report_interruption()
        raise Exit(code=EXIT_INTERRUPTED)
    if result.error:
        report(result.error)
        raise Exit(code=result.error.exit_code)


def _move_image(direction: str, tag: str, *, json: bool) -> None:
    from dockyard import images
    from dockyard.display.transfer import choose_progress

    settings = task_settings()
    carry_out = images.push_image if direction == "push" else images.pull_image
    progress = choose_progress(sys.stderr, os.environ, progress=settings.progress)
    named = {"tag": tag} if tag else {}
    done = carry_out(settings, os.environ, progress, **named)
    if json:
        emit(json_format.dumps(done.as_json(), indent=1, ensure_ascii=False))
    else:
        emit("\n".join(images.image_lines(done)))


@task(
    help={
        "tag": "push this tag alone, not every tag that the image has",
        "json": "print as JSON on standard output",
    }
)
@reported
def push(context: Context, tag: str = "", json: bool = False) -> None:
    """Push the image that was built last to DOCKYARD_REGISTRY, with the bytes that moved."""
    _move_image("push", tag, json=json)


@task(help={"tag": "pull this tag, not latest", "json": "print as JSON on standard output"})
@reported
def pull(context: Context, tag: str = "", json: bool = False) -> None:
    """Pull the image from DOCKYARD_REGISTRY into the engine, with the bytes that moved."""
    _move_image("pull", tag, json=json)


@task(
    help={
        "last": "how many builds to show",
        "json": "print as JSON on standard output",
    },
)
@reported
def info(context: Context, last: int = 10, json: bool = False) -> None:
    """Show the last builds, their hit rates, and the image's size by layer."""
    from dockyard.display.tables import width_of
    from dockyard.information import gather
    from dockyard.presentation import information_lines

    found = gather(task_settings(), last)
    if json:
        emit(json_format.dumps(found.as_json(), indent=1, ensure_ascii=False))
    else:
        emit("\n".join(information_lines(found, width_of(sys.stdout))))


@task(help={"json": "print as JSON on standard output"})
@reported
def settings(context: Context, json: bool = False) -> None:
    """Show every setting, its value and where it came from; secrets are masked."""
    from dockyard.presentation import settings_lines
    from dockyard.settings import masked

    loaded = task_settings()
    if json:
        emit(json_format.dumps(masked(loaded), indent=1, ensure_ascii=False))
    else:
        emit("\n".join(settings_lines(loaded)))


@task(
    name="context",
    help={
        "last": "how many files to show, the largest first (0: all)",
        "json": "print as JSON on standard output",
    },
)
@reported
def context_task(context: Context, last: int = 20, json: bool = False) -> None:
    """List what the build context holds, the largest first, and what .dockerignore could save."""
    from dockyard.information import context_json, gather_context
    from dockyard.presentation import context_lines

    found = gather_context(task_settings())
    if json:
        emit(json_format.dumps(context_json(found), indent=1, ensure_ascii=False))
    else:
        emit("\n".join(context_lines(found, last)))


@task(
    help={
        "last": "how many changes of the lock to replay",
        "json": "print as JSON on standard output",
    },
)
@reported
def layers(context: Context, last: int = 10, json: bool = False) -> None:
    """Show the layer plan, what a change of the lock moves, and what past ones would have."""
    from dockyard.display.tables import width_of
    from dockyard.layers_report import gather, report_lines

    found = gather(task_settings(), last)
    if json:
        emit(json_format.dumps(found.as_json(), indent=1, ensure_ascii=False))
    else:
        emit("\n".join(report_lines(found, width_of(sys.stdout))))


def namespace() -> Collection:
    """Make the collection of all tasks, which a ``tasks.py`` names ``ns``."""
    collection = Collection()
    for one in (
        init,
        build,
        explain,
        report_task,
        machines,
        check,
        push,
        pull,
        info,
        layers,
        settings,
        optimize,
        bench,
        doctor,
    ):
        collection.add_task(one)
    collection.add_task(context_task, name="context")
    collection.add_collection(cache_namespace())
    return collection
