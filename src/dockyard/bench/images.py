"""Images of a bench: the bases as they resolve here, copied to its registry, and compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dockyard import process
from dockyard.errors import BuilderError, EngineError

if TYPE_CHECKING:
    from dockyard.bench.registry_server import RegistryServer
    from dockyard.engine import EngineFacts
    from dockyard.settings import Settings

__all__ = [
    "COMMAND_SECONDS",
    "Images",
    "docker",
    "platform_manifest",
    "pulled_bytes",
    "put_image",
    "resolve_images",
]

COMMAND_SECONDS = 600.0


@dataclass(frozen=True)
class Images:
    """References of the base images as they resolve on this machine, and of BuildKit's."""

    python: str
    uv: str
    buildkit: str


def docker(*arguments: str, error: type[EngineError] | type[BuilderError] = EngineError) -> str:
    """Run a docker command that prepares or removes something. Raises what it complained of."""
    done = process.run(["docker", *arguments], timeout=COMMAND_SECONDS)
    if not done.succeeded:
        from dockyard.builder_facts import said

        raise error(f"`docker {' '.join(arguments[:3])}` failed: {said(done)}")
    return done.stdout.strip()


def resolve_images(
    settings: Settings, environment: Mapping[str, str]
) -> tuple[Images, EngineFacts]:
    """Find the base images and BuildKit's on this machine. Raises what none can do without."""
    from dockyard.base_images import resolve_base_images
    from dockyard.engine import engine_facts
    from dockyard.state import State

    state = State(settings.root)
    engine = engine_facts(state, environment, fresh=True)
    wanted = {
        "PYTHON_IMAGE": settings.python_image,
        "UV_IMAGE": settings.uv_image,
        "BUILDKIT_IMAGE": settings.buildkit_image,
    }
    found = resolve_base_images(
        wanted, mirrors=settings.image_mirrors, state=state, engine=engine, fresh=True
    )
    return Images(*(image.resolved for image in found)), engine


def put_image(image: str, target: str) -> bool:
    """Copy an image into the bench's registry; whether the engine had to pull it first."""
    held = process.run(["docker", "image", "inspect", image], timeout=60).succeeded
    if not held:
        docker("pull", "--quiet", image)
    docker("tag", image, target)
    try:
        docker("push", "--quiet", target)
    finally:
        docker("image", "rm", target)
    return not held


def platform_manifest(registry: RegistryServer, repository: str, tag: str) -> dict[str, Any]:
    """Return the image's manifest, of an index the first that is no attestation."""
    manifest = registry.manifest(repository, tag)
    for entry in manifest.get("manifests", []):
        if entry.get("platform", {}).get("os") != "unknown":
            return registry.manifest(repository, entry["digest"])
    return manifest


def blobs(manifest: dict[str, Any]) -> dict[str, int]:
    """Return the bytes of an image's blobs by digest: layers and configuration."""
    entries = [manifest["config"], *manifest["layers"]]
    return {entry["digest"]: int(entry["size"]) for entry in entries}


def pulled_bytes(before: dict[str, Any], after: dict[str, Any]) -> int:
    """Sum the blobs that a machine pulls which holds ``before``."""
    held = blobs(before)
    return sum(size for digest, size in blobs(after).items() if digest not in held)
