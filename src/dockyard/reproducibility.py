"""Build one commit twice, on two builders that know nothing, and compare what comes out."""

from __future__ import annotations

import contextlib
import json
import secrets
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard import process
from dockyard.archives import extract
from dockyard.base_images import BaseImage, ImageOrigin
from dockyard.definition import BuildDefinition, build_environment
from dockyard.errors import EngineError, SettingsError
from dockyard.image_difference import BuiltImage, Difference, first_difference, read_image
from dockyard.preparation import BuildOptions, prepare
from dockyard.scratch import ScratchFolder
from dockyard.settings import redactor
from dockyard.state import State

if TYPE_CHECKING:
    from dockyard.settings import Settings

__all__ = ["Reproducibility", "check_reproducible"]

SAVE_SECONDS = 600.0
REMOVE_SECONDS = 60.0
NAME_PREFIX = "dockyard-reproducible-"


@dataclass(frozen=True)
class Reproducibility:
    """Two builds of one commit: their digests, and the first difference if they are not equal.

    ``seconds``: how long each build took, without making its builder.
    """

    images: tuple[BuiltImage, BuiltImage]
    difference: Difference | None
    seconds: tuple[float, float]

    @property
    def identical(self) -> bool:
        """Whether manifest, config and layers have the same digests."""
        return self.images[0] == self.images[1]

    def as_json(self) -> dict[str, object]:
        """Return what a program wants to know."""
        return {
            "identical": self.identical,
            "manifests": [image.manifest for image in self.images],
            "configs": [image.config for image in self.images],
            "layers": [list(image.layers) for image in self.images],
            "difference": str(self.difference) if self.difference else None,
            "seconds": [round(one, 3) for one in self.seconds],
        }


def _exporter(settings: Settings, folder: Path, epoch: int, *, plain: bool = False) -> str:
    """Render the output into an OCI layout, as a release is pushed; ``plain``: uncompressed."""
    parts = ["type=oci", "tar=false", f"dest={folder}", "oci-mediatypes=true"]
    parts.append("rewrite-timestamp=true")
    if plain:
        parts += ["compression=uncompressed", "force-compression=true"]
    else:
        parts.append(f"compression={settings.compression}")
        if settings.compression != "uncompressed":
            parts.append(f"compression-level={settings.compression_level}")
    return ",".join([*parts, f"source-date-epoch={epoch}"])


@contextlib.contextmanager
def _builders(
    settings: Settings, environment: Mapping[str, str], state: State
) -> Iterator[tuple[str, ...]]:
    """Make two builders with an empty cache; they go with their caches."""
    from dockyard.builder_setup import ensure_builder
    from dockyard.engine import engine_facts

    names = tuple(NAME_PREFIX + secrets.token_hex(4) for _ in range(2))
    try:
        for name in names:
            own = replace(settings, builder="auto", driver="docker-container", builder_name=name)
            ensure_builder(own, environment, engine_facts(state, environment))
        yield names
    finally:
        ending = [process.start(("docker", "buildx", "rm", "--force", name)) for name in names]
        for one in ending:
            one.wait(REMOVE_SECONDS)


def _held_images(images: Sequence[BaseImage], folder: Path) -> tuple[str, ...]:
    """Save base images that only the engine has, so that a fresh builder gets them from a folder.

    Returns buildx's arguments. ``docker save`` writes an OCI layout (Docker Engine 25).
    """
    arguments: list[str] = []
    for number, image in enumerate(images):
        if image.origin not in (ImageOrigin.ENGINE, ImageOrigin.STAND_IN):
            continue
        target = folder / f"base-{number}"
        archive = folder / f"base-{number}.tar"
        done = process.run(
            ("docker", "save", "--output", str(archive), image.resolved), timeout=SAVE_SECONDS
        )
        if not done.succeeded:
            raise EngineError(
                f"the engine cannot save {image.resolved}: {done.stderr.strip()}",
                hint="`docker pull` it again",
            )
        with tarfile.open(archive) as tar:
            extract(tar, target)
        archive.unlink()
        digest = json.loads((target / "index.json").read_bytes())["manifests"][0]["digest"]
        arguments += ["--build-context", f"{image.resolved}=oci-layout://{target}@{digest}"]
    return tuple(arguments)


def _run(
    settings: Settings,
    definition: BuildDefinition,
    contexts: Sequence[str],
    environment: Mapping[str, str],
) -> float:
    """Build, and return how many seconds it took; raises what the build failed with."""
    from dockyard.diagnose import diagnose
    from dockyard.trace_reader import TraceReader

    *arguments, context = definition.arguments()
    started = time.monotonic()
    reader = TraceReader(clean=redactor(settings))
    with process.follow(
        [*arguments, *contexts, context],
        environment=build_environment(settings, environment),
        directory=settings.root,
    ) as child:
        for line in child.lines():
            reader.feed(line)
        status = child.wait()
    if status:
        raise diagnose(reader.trace(), status, settings.dockerfile)
    return time.monotonic() - started


def check_reproducible(settings: Settings, environment: Mapping[str, str]) -> Reproducibility:
    """Build the working tree twice on two fresh builders, and compare the images.

    Both builders are made for this and removed with their caches; the engine's images and caches
    are not touched. Where the images differ, both are exported once more without compression, to
    find the first file that differs. Raises what a build raises, and SettingsError where nothing
    dates the image.
    """
    state = State(settings.root)
    plain = replace(settings, cache_backends=("none",), builder="default", driver="auto")
    prepared = prepare(plain, BuildOptions(load=False), environment, state)
    from dockyard.definition import image_epoch

    epoch = image_epoch(settings, prepared.revision)
    if epoch is None:
        raise SettingsError(
            "nothing dates the image: there is no git commit here",
            where="SOURCE_DATE_EPOCH",
            hint="commit, or set SOURCE_DATE_EPOCH to a time in seconds since 1970",
        )
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(ScratchFolder())
        contexts = _held_images(prepared.base_images, folder)
        names = stack.enter_context(_builders(settings, environment, state))
        layouts = [folder / "first", folder / "second"]
        definitions = [replace(prepared.definition, builder=name, tags=()) for name in names]
        seconds = [
            _run(
                prepared.settings,
                replace(definition, output=_exporter(settings, layout, epoch)),
                contexts,
                environment,
            )
            for definition, layout in zip(definitions, layouts, strict=True)
        ]
        images = (read_image(layouts[0]), read_image(layouts[1]))
        difference = None
        if images[0] != images[1]:
            bare = [layout.with_name(f"{layout.name}-plain") for layout in layouts]
            for definition, layout in zip(definitions, bare, strict=True):
                output = _exporter(settings, layout, epoch, plain=True)
                bared = replace(definition, output=output)
                _run(prepared.settings, bared, contexts, environment)
            difference = first_difference(bare[0], bare[1])
            if difference is None:
                difference = Difference("", "manifest", "compression alone: the files are equal")
    return Reproducibility(images, difference, (seconds[0], seconds[1]))
