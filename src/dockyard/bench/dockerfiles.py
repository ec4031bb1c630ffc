"""The commands that are timed: ``docker buildx build`` as each Dockerfile's guide has it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["OURS", "Caches", "buildx_command", "invoke_command", "shim"]

OURS = "dockyard"
NAIVE = "original"


@dataclass(frozen=True)
class Caches:
    """Where a build's cache is: a reference in the registry, or two folders, or nowhere."""

    reference: str | None = None
    source: str | None = None
    target: str | None = None

    def arguments(self) -> list[str]:
        """Render buildx's arguments, all with ``mode=max``, which several stages need."""
        if self.reference:
            where = f"type=registry,ref={self.reference}"
            return ["--cache-from", where, "--cache-to", f"{where},mode=max"]
        found = ["--cache-from", f"type=local,src={self.source}"] if self.source else []
        if self.target:
            found += ["--cache-to", f"type=local,dest={self.target},mode=max"]
        return found


def buildx_command(
    dockerfile: str,
    *,
    context: str,
    builder: str,
    python_image: str,
    uv_image: str,
    tag: str,
    push: bool,
    caches: Caches,
) -> list[str]:
    """Put together one ``docker buildx build``."""
    return [
        *("docker", "buildx", "build", "--progress=rawjson", "--builder", builder),
        *("--file", dockerfile, "--tag", tag, "--push" if push else "--load"),
        *("--build-arg", f"PYTHON_IMAGE={python_image}", "--build-arg", f"UV_IMAGE={uv_image}"),
        *("--network", "host", "--allow", "network.host"),
        *caches.arguments(),
        context,
    ]


def invoke_command(python: str, *, push: bool) -> list[str]:
    """Put together ``invoke build``."""
    return [python, "-m", "invoke", "build", *(["--push"] if push else [])]


def shim(docker: str, namespace: str) -> str:
    """Write a ``docker`` for the front of PATH that gives cache mounts a namespace of their own.

    That is how the engine's own builder has an empty uv cache at each repetition, while the user's
    is left alone, with no Dockerfile changed: BuildKit's frontend takes the namespace as a build
    argument (``frontend/dockerui/attr.go``, ``BUILDKIT_CACHE_MOUNT_NS``). The commands of all
    Dockerfiles go through it.
    """
    return (
        "#!/bin/sh\n"
        'if [ "$1 $2" = "buildx build" ]; then\n'
        "    shift 2\n"
        f'    exec "{docker}" buildx build --build-arg BUILDKIT_CACHE_MOUNT_NS={namespace} "$@"\n'
        "fi\n"
        f'exec "{docker}" "$@"\n'
    )
