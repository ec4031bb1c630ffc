"""What the Docker Engine and buildx are, and what the engine knows of an image.

Asked through the ``docker`` command, which alone honours contexts, ``DOCKER_HOST``, TLS and SSH as
the user has set them up, and which a build needs anyway.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dockyard import process
from dockyard.errors import BuilderError, DiskFullError, EngineError
from dockyard.state import State

__all__ = [
    "MINIMUM_BUILDX",
    "MINIMUM_ENGINE",
    "EngineFacts",
    "EngineQuestions",
    "ImageFacts",
    "ImageInspection",
    "ImageLayer",
    "engine_facts",
    "image_facts",
    "inspect_images",
    "parse_engine_facts",
    "parse_image_facts",
    "recalled_engine",
]

# 23.0 is the first engine whose built-in Dockerfile frontend has here-documents and COPY --link;
# buildx 0.15 is the first with --progress=rawjson.
MINIMUM_ENGINE = (23, 0)
MINIMUM_BUILDX = (0, 15)
CONTAINERD_STORE = "io.containerd.snapshotter.v1"
REMEMBERED_SECONDS = 3600.0


@dataclass(frozen=True)
class EngineFacts:
    """The engine and buildx as they answered.

    ``context`` is the docker context in use, which is also the name of the builder with the
    ``docker`` driver; ``architecture`` is the platform's (``amd64``); ``identity`` tells engines
    apart.
    """

    version: str
    buildx: str
    context: str
    containerd_store: bool
    architecture: str
    identity: str


@dataclass(frozen=True)
class ImageLayer:
    """One entry of an image's history that holds files: its size in bytes, unpacked."""

    size: int
    created_by: str


@dataclass(frozen=True)
class ImageFacts:
    """An image in the engine: digest, bytes of its blobs, bytes unpacked, layers from the base."""

    digest: str
    content_bytes: int | None
    unpacked_bytes: int
    layers: tuple[ImageLayer, ...]


def version_numbers(text: str) -> tuple[int, ...]:
    """Take the leading numbers of a version: ``28.5.2+dfsg4`` gives (28, 5, 2)."""
    match = re.search(r"\d+(?:\.\d+)*", text)
    return tuple(int(number) for number in match[0].split(".")) if match else ()


def _no_docker() -> EngineError:
    return EngineError(
        "the docker command is not installed",
        hint="run `./bootstrap` on Debian or Ubuntu as root, "
        "or see https://docs.docker.com/engine/install/",
    )


def diagnose_engine(text: str) -> EngineError | None:
    """Turn what docker prints when no engine answers into an error; None for anything else."""
    lowered = text.lower()
    if "permission denied" in lowered and "docker" in lowered and "socket" in lowered:
        return EngineError(
            "this user may not talk to the Docker Engine (permission denied on its socket)",
            hint="`sudo usermod -aG docker $USER` and log in again, or run as root",
        )
    signs = (
        "cannot connect to the docker daemon",
        "is the docker daemon running",
        "failed to connect to the docker api",
        "error during connect",
        "no such host",
    )
    if any(sign in lowered for sign in signs[:4]):
        first = next((line for line in text.splitlines() if line.strip()), "").strip()
        return EngineError(
            f"no Docker Engine answers: {first}",
            hint="`sudo systemctl start docker`, `./bootstrap` where there is none, "
            "or check DOCKER_HOST and `docker context ls`",
        )
    return None


def parse_engine_facts(info: Mapping[str, Any], buildx: str, context: str) -> EngineFacts:
    """Check ``docker info``'s JSON and ``docker buildx version``; raise what is missing or old."""
    errors = info.get("ServerErrors") or []
    version = str(info.get("ServerVersion") or "")
    if errors or not version:
        text = "\n".join(map(str, errors)) or "the engine gave no version"
        raise diagnose_engine(text) or EngineError(
            f"the Docker Engine does not answer as it should: {text}", hint="try `docker info`"
        )
    if version_numbers(version) < MINIMUM_ENGINE:
        raise EngineError(
            f"Docker Engine {version} is too old: its BuildKit has no COPY --link; "
            f"{'.'.join(map(str, MINIMUM_ENGINE))} or newer is needed",
            hint="see https://docs.docker.com/engine/install/",
        )
    if version_numbers(buildx) < MINIMUM_BUILDX:
        raise BuilderError(
            f"buildx {buildx} is too old: it has no --progress=rawjson; "
            f"{'.'.join(map(str, MINIMUM_BUILDX))} or newer is needed",
            hint="see https://github.com/docker/buildx#installing",
        )
    status = info.get("DriverStatus") or []
    store = any(list(entry) == ["driver-type", CONTAINERD_STORE] for entry in status)
    machines = {"x86_64": "amd64", "aarch64": "arm64"}
    architecture = str(info.get("Architecture") or "x86_64")
    return EngineFacts(
        version=version,
        buildx=buildx,
        context=context or "default",
        containerd_store=store,
        architecture=machines.get(architecture, architecture),
        identity=str(info.get("ID") or ""),
    )


def _engine_fingerprint(environment: Mapping[str, str]) -> str:
    names = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "PATH")
    return json.dumps([environment.get(name) for name in names])


def recalled_engine(state: State, environment: Mapping[str, str]) -> EngineFacts | None:
    """Return what the engine and buildx answered within the last hour; None if nothing did."""
    remembered = state.recall("engine", _engine_fingerprint(environment), REMEMBERED_SECONDS)
    if isinstance(remembered, dict):
        try:
            return EngineFacts(**remembered)
        except TypeError:
            state.forget("engine")
    return None


class EngineQuestions:
    """Asks the engine what it is, from now on, and docker for its context and buildx.

    Raises FileNotFoundError where there is no docker command.
    """

    def __init__(self) -> None:
        self._info = process.start(["docker", "info", "--format", "{{json .}}"])

    def answer(self) -> EngineFacts:
        """Wait for the answer; raises as :func:`engine_facts`."""
        info = self._info.wait(timeout=60)
        try:
            parsed = json.loads(info.stdout)
        except ValueError:
            parsed = {}
        if not parsed.get("ServerVersion") and not parsed.get("ServerErrors"):
            parsed = {"ServerErrors": [info.stderr.strip() or "no answer within 60 s"]}
        # docker info asks the plugins for their versions as it is (docker/cli, system/info.go).
        client = parsed.get("ClientInfo") or {}
        plugins = {one.get("Name"): one.get("Version") for one in client.get("Plugins") or ()}
        buildx = plugins.get("buildx") or _buildx_version()
        context = client.get("Context") or _context_in_use()
        return parse_engine_facts(parsed, str(buildx).removeprefix("v"), str(context))

    def drop(self) -> None:
        """Ask no longer."""
        self._info.wait(timeout=0)


def _buildx_version() -> str:
    """Ask buildx itself. Raises BuilderError where there is none."""
    done = process.start(["docker", "buildx", "version"]).wait(timeout=60)
    if not done.succeeded:
        raise BuilderError(
            "docker has no buildx plugin, and with it no BuildKit to build with",
            hint="`apt-get install docker-buildx`, or see https://github.com/docker/buildx#installing",
        )
    match = re.search(r"\bv?(\d+\.\d+\S*)", done.stdout)
    return match[1] if match else "0"


def _context_in_use() -> str:
    return process.start(["docker", "context", "show"]).wait(timeout=60).stdout.strip()


def engine_facts(
    state: State,
    environment: Mapping[str, str],
    *,
    fresh: bool = False,
    asked: EngineQuestions | None = None,
) -> EngineFacts:
    """Ask the engine and buildx, or recall what they answered within the last hour.

    ``asked``: they have been asked already. Raises EngineError where no engine answers or it is too
    old, BuilderError likewise for buildx.
    """
    if not fresh and (remembered := recalled_engine(state, environment)):
        return remembered
    try:
        facts = (asked or EngineQuestions()).answer()
    except OSError as error:
        raise _no_docker() from error
    state.remember("engine", _engine_fingerprint(environment), asdict(facts))
    return facts


class ImageInspection:
    """Asks the engine for images, from now on.

    Raises FileNotFoundError where there is no docker command.
    """

    def __init__(self, references: Iterable[str]) -> None:
        self._references = tuple(dict.fromkeys(references))
        command = ["docker", "image", "inspect", "--format", "{{json .}}"]
        self._running = process.start([*command, *self._references]) if self._references else None

    def found(self) -> dict[str, dict[str, Any]]:
        """Return what the engine knows of each that it holds, as ``docker image inspect``.

        Raises EngineError where no engine answers.
        """
        if self._running is None:
            return {}
        done = self._running.wait(timeout=60)
        if error := diagnose_engine(done.stderr):
            raise error
        # A line for each that is there, in the order in which they were asked for.
        lines = done.stdout.splitlines()
        said = re.findall(r"No such image: (\S+)", done.stderr)
        missing = {one for one in self._references if _is_named(one, said)}
        held = [one for one in self._references if one not in missing]
        if len(held) == len(lines):
            return dict(zip(held, map(json.loads, lines), strict=True))
        if done.status < 0 or len(self._references) == 1:
            return {}
        return {
            reference: found
            for one in self._references
            for reference, found in ImageInspection([one]).found().items()
        }

    def drop(self) -> None:
        """Kill what still asks."""
        if self._running:
            self._running.wait(timeout=0)


def _is_named(reference: str, said: Iterable[str]) -> bool:
    """Whether the engine named an image, which it may do without Docker Hub's name and a tag."""
    ways = {reference, f"{reference}:latest"}
    for prefix in ("docker.io/library/", "docker.io/"):
        ways |= {one.removeprefix(prefix) for one in ways}
    return any(one in ways for one in said)


def inspect_images(references: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Ask the engine for images, and wait for the answer: see :class:`ImageInspection`."""
    return ImageInspection(references).found()


def parse_image_facts(inspected: Mapping[str, Any], history: str) -> ImageFacts:
    """Put together ``docker image inspect`` and ``docker history --format '{{json .}}'``.

    History comes newest first; entries without files (0 bytes) are left out.
    """
    layers = []
    for line in history.splitlines():
        entry = json.loads(line)
        size = int(re.sub(r"\D", "", str(entry.get("Size", "0"))) or 0)
        if size:
            layers.append(ImageLayer(size, str(entry.get("CreatedBy", ""))))
    layers.reverse()
    return ImageFacts(
        digest=str(inspected.get("Id", "")),
        content_bytes=int(inspected.get("Size", 0)) or None,
        unpacked_bytes=sum(layer.size for layer in layers),
        layers=tuple(layers),
    )


def image_facts(state: State, reference: str, digest: str | None) -> ImageFacts | None:
    """Describe an image in the engine; recalled where ``digest`` was described before."""
    remembered = state.recall("image", digest or "") if digest else None
    if isinstance(remembered, dict):
        layers = tuple(ImageLayer(**layer) for layer in remembered["layers"])
        return ImageFacts(**{**remembered, "layers": layers})
    inspected = process.start(["docker", "image", "inspect", reference])
    history = process.start(
        ["docker", "history", "--no-trunc", "--human=false", "--format", "{{json .}}", reference]
    )
    one, other = inspected.wait(timeout=60), history.wait(timeout=60)
    if not (one.succeeded and other.succeeded):
        return None
    facts = parse_image_facts(json.loads(one.stdout)[0], other.stdout)
    if digest:
        state.remember("image", digest, asdict(facts))
    return facts


def diagnose_disk(text: str) -> DiskFullError | None:
    """Turn “no space left” of engine, BuildKit or uv into an error; None for anything else."""
    if "no space left on device" not in text.lower() and "disk quota exceeded" not in text.lower():
        return None
    line = next(line for line in text.splitlines() if re.search("no space left|quota", line, re.I))
    return DiskFullError(
        f"no space left for the build: {line.strip()[-300:]}",
        hint="`docker system df` shows what uses it; `docker buildx prune` frees build cache",
    )
