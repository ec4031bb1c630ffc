"""What the engine's and buildx's answers mean: versions, the image store. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dockyard.doctor.findings import Finding, note, ok, problem, unknown
from dockyard.engine import (
    CONTAINERD_STORE,
    MINIMUM_BUILDX,
    MINIMUM_ENGINE,
    diagnose_engine,
    version_numbers,
)
from dockyard.settings_masking import redact_url

__all__ = ["EngineAnswer", "buildx_findings", "engine_findings", "store_findings"]

INSTALL = "`./bootstrap` on Debian or Ubuntu as root, or https://docs.docker.com/engine/install/"


@dataclass(frozen=True)
class EngineAnswer:
    """What ``docker info`` and ``docker buildx version`` said.

    ``info`` is empty where no engine answered, and ``error`` what was said instead. ``docker`` is
    False where there is no such command, ``buildx`` None where it has no such plugin. ``asked`` is
    this machine's clock at the answer, in seconds since 1970; ``address`` what DOCKER_HOST says.
    """

    info: Mapping[str, Any]
    error: str = ""
    docker: bool = True
    buildx: str | None = None
    asked: float = 0.0
    address: str | None = None

    @property
    def version(self) -> str:
        """The engine's version, empty where none answered."""
        return str(self.info.get("ServerVersion") or "")

    @property
    def answers(self) -> bool:
        """Whether an engine answered."""
        return bool(self.version)


def _needed(minimum: tuple[int, ...]) -> str:
    return f"{'.'.join(map(str, minimum))} or newer is needed"


def engine_findings(answer: EngineAnswer) -> tuple[Finding, ...]:
    """Say whether an engine answers, and whether it is new enough."""
    topic = "engine"
    if not answer.docker:
        return (problem(topic, "the docker command is not installed", fix=INSTALL),)
    if not answer.answers:
        known = diagnose_engine(answer.error)
        first = known.problems[0] if known else None
        where = f"DOCKER_HOST={answer.address}" if answer.address else "the current docker context"
        message = first.message if first else "the Docker Engine does not answer as it should"
        said = "" if first else answer.error.strip()
        fix = first.hint if first else "`docker info` says more"
        evidence = redact_url(" · ".join(filter(None, (said, where))), answer.address or "")
        return (problem(topic, redact_url(message, answer.address or ""), evidence, fix),)
    system = str(answer.info.get("OperatingSystem") or "")
    evidence = f"{answer.version}{f' on {system}' if system else ''}"
    if version_numbers(answer.version) < MINIMUM_ENGINE:
        summary = (
            f"Docker Engine is too old: its BuildKit has no COPY --link; {_needed(MINIMUM_ENGINE)}"
        )
        return (problem(topic, summary, evidence, INSTALL),)
    return (ok(topic, "Docker Engine answers", evidence),)


def buildx_findings(answer: EngineAnswer) -> tuple[Finding, ...]:
    """Say whether docker has buildx, and whether it is new enough."""
    topic = "buildx"
    see = "`apt-get install docker-buildx`, or https://github.com/docker/buildx#installing"
    if not answer.docker:
        return (unknown(topic, "there is no docker command to ask", fix=INSTALL),)
    if answer.buildx is None:
        return (problem(topic, "docker has no buildx plugin", fix=see),)
    if version_numbers(answer.buildx) < MINIMUM_BUILDX:
        summary = f"buildx is too old: it has no --progress=rawjson; {_needed(MINIMUM_BUILDX)}"
        return (problem(topic, summary, answer.buildx, see),)
    return (ok(topic, "buildx is there", answer.buildx),)


def store_findings(answer: EngineAnswer) -> tuple[Finding, ...]:
    """Say whether the engine has the containerd image store."""
    topic = "image-store"
    if not answer.answers:
        return (unknown(topic, "no engine answers"),)
    status = answer.info.get("DriverStatus") or []
    if any(list(entry) == ["driver-type", CONTAINERD_STORE] for entry in status):
        return (ok(topic, "the engine uses the containerd image store"),)
    return (
        note(
            topic,
            "the engine does not use the containerd image store: its own builder exports no cache "
            "and makes no zstd layers, so that each image is sent to it whole",
            str(answer.info.get("Driver") or ""),
            'add {"features": {"containerd-snapshotter": true}} to /etc/docker/daemon.json and '
            "restart the engine (its images have to be pulled or built again)",
        ),
    )
