"""The images that Dockyard needs, made on this machine where no image registry is reachable.

``python -m dockyard.local_images --ensure`` is what ``./bootstrap`` runs: it makes nothing that the
engine holds or that a registry has. Without ``--ensure`` the stand-ins are made again, whatever
there is.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from dockyard import process
from dockyard.base_images import mirror_references
from dockyard.boundary import emit, report
from dockyard.engine import diagnose_engine, inspect_images
from dockyard.errors import EXIT_INTERRUPTED, DockyardError, EngineError
from dockyard.local_buildkit import make_buildkit
from dockyard.local_recipes import LocalImage, local_image, make_python, make_uv
from dockyard.registries import reachable_hosts, registry_hosts
from dockyard.stand_ins import stand_in_for

if TYPE_CHECKING:
    from dockyard.settings import Settings

__all__ = [
    "Action",
    "Step",
    "ensure_local_images",
    "main",
    "stand_in_for",
    "steps_for",
]

SOURCES = {
    "python": "Debian's packages, half a minute",
    "uv": "its wheel on PyPI, a few seconds",
    "buildkit": "its sources and Debian's packages, two minutes or more",
}


class Action(StrEnum):
    """How an image that is missing comes here."""

    MAKE = "make"
    PULL = "pull"
    TAG = "tag"


@dataclass(frozen=True)
class Step:
    """One image and what is to be done about it."""

    image: LocalImage
    action: Action


def steps_for(
    images: Sequence[LocalImage],
    *,
    held: Collection[str],
    reachable: Callable[[LocalImage], bool],
    by_local_name: bool = False,
) -> tuple[Step, ...]:
    """Decide what is to be done so that each image can be used.

    ``held`` are the references that the engine has; ``reachable`` is asked only where it matters.
    Python and uv are pulled by the build itself, BuildKit is not. ``by_local_name`` wants every
    image under its stand-in's name, where the engine's tests look for it.
    """
    steps = []
    for image in images:
        if image.name in held or (image.reference in held and not by_local_name):
            continue
        if image.reference in held:
            steps.append(Step(image, Action.TAG))
        elif not reachable(image):
            steps.append(Step(image, Action.MAKE))
        elif by_local_name or image.kind == "buildkit":
            steps.append(Step(image, Action.PULL))
    return tuple(steps)


def _needed_steps(
    images: Sequence[LocalImage], mirrors: Sequence[str], by_local_name: bool
) -> tuple[Step, ...]:
    names = [image.name for image in images]
    try:
        quick = process.run(["docker", "image", "inspect", "--format", "{{.Id}}", *names])
    except FileNotFoundError:
        raise EngineError(
            "the docker command is not installed",
            hint="run `./bootstrap` as root on Debian or Ubuntu",
        ) from None
    if quick.succeeded:
        return ()
    if error := diagnose_engine(quick.stderr):
        raise error
    held = inspect_images([*names, *(image.reference for image in images)])
    hosts = {image: registry_hosts(image.reference, mirrors) for image in images}
    asked = [
        host
        for image in images
        if not {image.name, image.reference} & set(held)
        for host in hosts[image]
    ]
    answering = reachable_hosts(asked)
    return steps_for(
        images,
        held=held,
        reachable=lambda image: not answering.isdisjoint(hosts[image]),
        by_local_name=by_local_name,
    )


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(base) if base else Path.home() / ".cache") / "dockyard"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait until no other run makes images; the lock goes with the process, however that ends."""
    with (folder / "local-images.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another run makes images: waits for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _say(text: str) -> None:
    sys.stderr.write(f"local images: {text}\n")
    sys.stderr.flush()


def _make(image: LocalImage, cache: Path) -> None:
    """Make one stand-in in a folder that goes again, whatever happens."""
    asked = process.run(["docker", "version", "--format", "{{.Server.Arch}}"])
    if not asked.succeeded:
        raise diagnose_engine(asked.stderr) or EngineError(
            f"no Docker Engine answers: {asked.stderr.strip()}", hint="try `docker info`"
        )
    architecture = asked.stdout.strip()
    _say(f"makes {image.name} to stand in for {image.reference}, from {SOURCES[image.kind]}")
    with TemporaryDirectory(prefix="making-", dir=cache, ignore_cleanup_errors=True) as name:
        if image.kind == "python":
            make_python(image, Path(name), architecture)
        elif image.kind == "uv":
            make_uv(image, Path(name), architecture)
        else:
            make_buildkit(image, Path(name), cache, architecture)


def _pull(image: LocalImage, mirrors: Sequence[str]) -> str | None:
    """Pull from the first mirror or registry that has it; the reference that was pulled."""
    for reference in (*mirror_references(image.reference, mirrors), image.reference):
        _say(f"pulls {reference}")
        done = process.run(["docker", "pull", "--quiet", reference])
        if done.succeeded:
            return reference
        _say(f"{reference} cannot be pulled: {done.stderr.strip()}")
    return None


def _tag(reference: str, name: str) -> None:
    done = process.run(["docker", "tag", reference, name])
    if not done.succeeded:
        raise EngineError(f"{reference} cannot be named {name}: {done.stderr.strip()}")


def _carry_out(step: Step, mirrors: Sequence[str], cache: Path, by_local_name: bool) -> None:
    image = step.image
    if step.action is Action.MAKE:
        _make(image, cache)
        return
    pulled = image.reference if step.action is Action.TAG else _pull(image, mirrors)
    if pulled is None:
        _make(image, cache)
    elif by_local_name:
        _tag(pulled, image.name)
    elif pulled != image.reference:
        _tag(pulled, image.reference)


def ensure_local_images(*references: str) -> None:
    """Make the stand-in of each reference, unless the engine holds the one or the other.

    This is for who asks for it: no registry is asked. Raises ImageUnavailableError where one
    cannot be made, EngineError where no engine answers.
    """
    images = [image for reference in references if (image := local_image(reference))]
    for reference in references:
        if not local_image(reference):
            _say(f"nothing can stand in for {reference}: its registry or a mirror must have it")
    cache = _cache_folder()
    with _one_at_a_time(cache):
        held = inspect_images([name for image in images for name in (image.name, image.reference)])
        for step in steps_for(images, held=held, reachable=lambda _: False):
            _make(step.image, cache)


def wanted_images(settings: Settings, *, for_tests: bool, only: str | None) -> list[LocalImage]:
    """List the images that can have stand-ins, as the settings name them.

    BuildKit's is wanted by builders of the docker-container driver alone, so by the tests.
    The tests want the defaults, whatever the settings say.
    """
    references = [settings.python_image, settings.uv_image]
    if for_tests:
        from dockyard.settings_fields import FIELDS

        names = ("python_image", "uv_image", "buildkit_image")
        references = [str(field.default) for field in FIELDS if field.attribute in names]
    elif settings.driver == "docker-container" or only == "buildkit":
        references.append(settings.buildkit_image)
    images = [image for reference in references if (image := local_image(reference))]
    return [image for image in images if only in (None, image.kind)]


def build_arguments(settings: Settings) -> list[str]:
    """List ``--build-arg``s with which a plain ``docker buildx build`` gets what is here."""
    wanted = {"PYTHON_IMAGE": settings.python_image, "UV_IMAGE": settings.uv_image}
    names = {argument: stand_in_for(reference) for argument, reference in wanted.items()}
    held = inspect_images([*wanted.values(), *filter(None, names.values())])
    return [
        f"--build-arg={argument}={name if name in held and reference not in held else reference}"
        for argument, reference in wanted.items()
        for name in (names[argument],)
    ]


def _run(arguments: Sequence[str]) -> None:
    import argparse

    from dockyard.settings import load_settings

    parser = argparse.ArgumentParser(prog="python -m dockyard.local_images", description=__doc__)
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--ensure", action="store_true", help="make or pull only what is missing")
    modes.add_argument("--needs", action="store_true", help="name what --ensure would make")
    modes.add_argument(
        "--build-arguments", action="store_true", help="print buildx's --build-arg for these images"
    )
    parser.add_argument(
        "--tests", action="store_true", help="want what the engine's tests need, by its local name"
    )
    parser.add_argument("--only", choices=tuple(SOURCES), help="this image alone")
    given = parser.parse_args(arguments)

    settings = load_settings(Path.cwd(), os.environ, {})
    if given.build_arguments:
        emit("\n".join(build_arguments(settings)))
        return
    images = wanted_images(settings, for_tests=given.tests, only=given.only)
    mirrors = settings.image_mirrors
    if given.needs or given.ensure:
        steps = _needed_steps(images, mirrors, given.tests)
    else:
        steps = tuple(Step(image, Action.MAKE) for image in images)
    if given.needs:
        sys.stdout.writelines(f"{step.action} {step.image.name}\n" for step in steps)
        return
    if not steps:
        return
    cache = _cache_folder()
    with _one_at_a_time(cache):
        if given.ensure:  # another run may have made them meanwhile
            held = inspect_images([step.image.name for step in steps])
            steps = tuple(step for step in steps if step.image.name not in held)
        for step in steps:
            _carry_out(step, mirrors, cache, given.tests)


def main(arguments: Sequence[str]) -> int:
    """Run the command line; the exit status."""
    process.interruptible()
    try:
        _run(arguments)
    except DockyardError as error:
        report(error)
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return EXIT_INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
