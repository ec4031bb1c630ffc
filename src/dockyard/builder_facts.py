"""What buildx and the engine tell about a builder: asked each time, remembered never."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from dockyard import process
from dockyard.builder_description import (
    CONFIG_FILE,
    BuilderContainer,
    ExistingBuilder,
    parse_inspect,
)
from dockyard.engine import diagnose_disk, diagnose_engine
from dockyard.errors import BuilderError, ImageUnavailableError, SettingsError
from dockyard.scratch import ScratchFolder

if TYPE_CHECKING:
    from dockyard.engine import EngineFacts
    from dockyard.settings import Settings

__all__ = [
    "ACT_SECONDS",
    "LOCAL_IMAGE_HINT",
    "ask_builder",
    "authority_of",
    "buildkit_image",
    "container_of",
    "disk_bytes",
    "docker_for",
    "inspect_builder",
    "pull",
    "require_builder",
    "run",
    "said",
]

ASK_SECONDS = 60.0
ACT_SECONDS = 600.0
STATE_FOLDER = "/var/lib/buildkit"
CONFIG_PATH = f"/etc/buildkit/{CONFIG_FILE}"
LOCAL_IMAGE_HINT = (
    "set DOCKYARD_IMAGE_MIRRORS to a registry that answers, or make a stand-in from its sources: "
    "`python -m dockyard.local_images --ensure --only buildkit`"
)


def run(arguments: tuple[str, ...], timeout: float = ASK_SECONDS) -> process.Completed:
    """Run a docker command for at most ``timeout`` seconds."""
    return process.run(arguments, timeout=timeout)


def ask_builder(name: str) -> process.Running:
    """Begin to ask buildx about a builder. Raises FileNotFoundError without a docker command."""
    return process.start(("docker", "buildx", "inspect", name))


def inspect_builder(name: str, asked: process.Running | None = None) -> ExistingBuilder | None:
    """Ask buildx about a builder; None where it knows none of that name.

    ``asked``: what :func:`ask_builder` began. Raises BuilderError where buildx cannot tell,
    EngineError where no engine answers.
    """
    done = (asked or ask_builder(name)).wait(ASK_SECONDS)
    if done.succeeded:
        return parse_inspect(done.stdout)
    if re.search(rf'no builder "?{re.escape(name)}"? found', done.stderr):
        return None
    raise diagnose_engine(done.stderr) or BuilderError(
        f"buildx cannot tell about the builder {name}: {said(done)}",
        hint=f"try `docker buildx inspect {name}`",
    )


def require_builder(name: str, asked: process.Running | None = None) -> ExistingBuilder:
    """Return the builder that DOCKYARD_BUILDER names; raises BuilderError where there is none."""
    existing = inspect_builder(name, asked)
    if existing is None:
        raise BuilderError(
            f"there is no builder {name}",
            where="DOCKYARD_BUILDER",
            hint="`docker buildx ls` lists those there are; unset it to let Dockyard choose",
        )
    return existing


def said(done: process.Completed) -> str:
    """Return the last thing that a docker command complained about."""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines
    return errors[-1].removeprefix("ERROR: ") if errors else f"it ended with status {done.status}"


def docker_for(settings: Settings) -> tuple[str, ...]:
    """Begin a docker command for the engine that the builder's container is on."""
    endpoint = settings.builder_endpoint
    if not endpoint:
        return ("docker",)
    return ("docker", "--host" if "://" in endpoint else "--context", endpoint)


def container_of(docker: tuple[str, ...], name: str) -> BuilderContainer | None:
    """Describe a builder's container, with the configuration that is in it."""
    done = run((*docker, "container", "inspect", name))
    if not done.succeeded:
        if error := diagnose_engine(done.stderr):
            raise error
        return None
    found = json.loads(done.stdout)[0]
    config = None
    with ScratchFolder() as folder:
        copy = folder / CONFIG_FILE
        if run((*docker, "container", "cp", f"{name}:{CONFIG_PATH}", str(copy))).succeeded:
            config = copy.read_text(encoding="utf-8", errors="replace")
    return BuilderContainer(
        name=name,
        status=str(found["State"]["Status"]),
        image=str(found["Config"]["Image"]),
        network=str(found["HostConfig"]["NetworkMode"]),
        config=config,
    )


def buildkit_image(
    settings: Settings,
    engine: EngineFacts,
    node_image: str | None,
) -> tuple[str, tuple[str, ...]]:
    """Find BuildKit's image, and list the references that are as good.

    A builder that is made from one of them keeps it, and no registry is asked. Raises
    ImageUnavailableError where it is nowhere.
    """
    from dockyard.base_images import mirror_references, resolve_base_images
    from dockyard.stand_ins import stand_in_for
    from dockyard.state import State

    reference = settings.buildkit_image
    good = (reference, *mirror_references(reference, settings.image_mirrors))
    if stand_in := stand_in_for(reference):
        good += (stand_in,)
    if node_image in good and node_image is not None:
        return node_image, good
    try:
        (resolved,) = resolve_base_images(
            {"BUILDKIT_IMAGE": reference},
            mirrors=settings.image_mirrors,
            state=State(settings.root),
            engine=engine,
            fresh=True,
        )
    except ImageUnavailableError as error:
        raise ImageUnavailableError(
            error.problems[0].message, where="DOCKYARD_BUILDKIT_IMAGE", hint=LOCAL_IMAGE_HINT
        ) from error
    return resolved.resolved, good


def pull(docker: tuple[str, ...], image: str) -> None:
    """Pull BuildKit's image unless the engine has it, as buildx would, but with a clear error."""
    if run((*docker, "image", "inspect", image)).succeeded:
        return
    done = run((*docker, "image", "pull", "--quiet", image), ACT_SECONDS)
    if not done.succeeded:
        raise (
            diagnose_engine(done.stderr)
            or diagnose_disk(done.stderr)
            or ImageUnavailableError(
                f"{image} cannot be pulled: {said(done)}",
                where="DOCKYARD_BUILDKIT_IMAGE",
                hint=LOCAL_IMAGE_HINT,
            )
        )


def disk_bytes(
    docker: tuple[str, ...], container: BuilderContainer | None, image: str
) -> int | None:
    """Measure the disk that the builder's volume is on, in bytes; None where that fails.

    Asked from inside a container: the engine's disk may be a virtual machine's, or far away.
    """
    df = ("df", "-Pk", STATE_FOLDER)
    if container and container.status == "running":
        done = run((*docker, "exec", container.name, *df))
    else:
        once = ("run", "--rm", "--pull", "never", "--network", "none")
        volume = ("--mount", f"type=volume,target={STATE_FOLDER}")
        done = run((*docker, *once, *volume, "--entrypoint", df[0], image, *df[1:]))
    match = re.search(r"\s(\d+)\s+\d+\s+\d+\s+\d+%", done.stdout)
    return int(match[1]) * 1024 if done.succeeded and match else None


def authority_of(settings: Settings) -> str | None:
    """Read DOCKYARD_CA_FILE; raises SettingsError where it is no text."""
    if settings.ca_file is None:
        return None
    try:
        return settings.ca_file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{settings.ca_file} cannot be read as text: {error}",
            where="DOCKYARD_CA_FILE",
            hint="give the path of a PEM file",
        ) from error
