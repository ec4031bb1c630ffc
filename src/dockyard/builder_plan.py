"""What has to be done so that the dedicated builder is as the settings want it. Pure.

Facts about the builder that there is, and the one that is wanted, become a plan with reasons; the
plan becomes buildx's commands.
"""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from dockyard.builder_description import (
    CONFIG_FILE,
    HOST_NETWORK_FLAG,
    BuilderContainer,
    BuilderNode,
    ExistingBuilder,
    WantedBuilder,
    create_arguments,
)
from dockyard.errors import BuilderError
from dockyard.settings import mask_credentials

__all__ = ["Action", "BuilderChange", "BuilderPlan", "plan_builder"]


class Action(StrEnum):
    """What is done with the dedicated builder.

    ``replace`` makes it again with the same name and the same volume, that is, the same cache;
    ``start`` boots the container, anew where there is none.
    """

    NONE = "none"
    LEAVE = "leave"
    CREATE = "create"
    START = "start"
    REPLACE = "replace"


@dataclass(frozen=True)
class BuilderPlan:
    """What to do, and why. ``leftover`` is a container that is in the way; ``node`` a name kept."""

    action: Action
    reasons: tuple[str, ...]
    wanted: WantedBuilder
    leftover: str | None = None
    node: str | None = None

    def commands(self, config_path: str) -> tuple[tuple[str, ...], ...]:
        """List the commands, each with ``docker`` first; the configuration is in a file.

        Stopping before removing lets BuildKit close its databases.
        """
        name = self.wanted.name
        boot = ("docker", "buildx", "inspect", "--bootstrap", name)
        create = create_arguments(self.wanted, config_path, self.node)
        match self.action:
            case Action.CREATE:
                clear = (
                    ("docker", "container", "stop", self.leftover),
                    ("docker", "container", "rm", self.leftover),
                )
                return (*(clear if self.leftover else ()), create, boot)
            case Action.START:
                return (boot,)
            case Action.REPLACE:
                stop = ("docker", "buildx", "stop", name)
                remove = ("docker", "buildx", "rm", "--keep-state", name)
                return (stop, remove, create, boot)
            case _:
                return ()


@dataclass(frozen=True)
class BuilderChange:
    """What was done with the dedicated builder, or in a dry run would be."""

    name: str
    driver: str
    action: Action
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()
    config: str | None = None
    dry_run: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {**asdict(self), "action": str(self.action)}

    def lines(self) -> list[str]:
        """Say it in a few lines."""
        done, planned = {
            Action.NONE: ("no dedicated builder", "no dedicated builder"),
            Action.LEAVE: ("left alone", "would be left alone"),
            Action.CREATE: ("created", "would be created"),
            Action.START: ("repaired", "would be repaired"),
            Action.REPLACE: ("changed", "would be changed"),
        }[self.action]
        what = planned if self.dry_run else done
        reasons = f": {'; '.join(self.reasons)}" if self.reasons else ""
        head = what if self.action is Action.NONE else f"{self.name} ({self.driver}) {what}"
        return [f"builder   {head}{reasons}", *(f"note      {note}" for note in self.notes)]


def _comparable(text: str) -> dict[str, Any]:
    """Parse a ``buildkitd.toml`` and take the folder from certificates, which buildx moves."""
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {"unreadable": True}
    for registry in parsed.get("registry", {}).values():
        if "ca" in registry:
            registry["ca"] = [PurePosixPath(path).name for path in registry["ca"]]
    return {
        "registries": parsed.pop("registry", {}),
        "garbage collection": parsed.get("worker", {}).get("oci", {}).pop("gcpolicy", []),
        "parallelism": parsed.get("worker", {}).get("oci", {}).pop("max-parallelism", None),
        "other settings": {k: v for k, v in parsed.items() if v not in ({}, {"oci": {}})},
    }


def _config_differences(wanted: str, found: str | None) -> tuple[str, ...]:
    ours, theirs = _comparable(wanted), _comparable(found or "")
    if "unreadable" in theirs:
        return ("its configuration is not valid TOML",)
    return tuple(f"other {part}" for part in ours if ours[part] != theirs[part])


def _differences(
    wanted: WantedBuilder, node: BuilderNode, container: BuilderContainer | None
) -> tuple[str, ...]:
    """Name what is not as wanted; values of options stay unsaid, they may be secrets."""
    found: list[str] = []
    if wanted.endpoint and wanted.endpoint != node.endpoint:
        found.append(f"its endpoint is {mask_credentials(node.endpoint)}")
    good = (wanted.options.get("image"), *wanted.images)
    images = {node.options.get("image"), *([container.image] if container else [])}
    if wanted.image and not images <= set(good):
        found.append(f"its BuildKit image is not {wanted.options.get('image')}")
    keys = sorted({*wanted.options, *node.options} - {"image"})
    other = [key for key in keys if wanted.options.get(key) != node.options.get(key)]
    if other:
        found.append(f"other driver options ({', '.join(other)})")
    elif container and (wanted.options.get("network") == "host") != (container.network == "host"):
        found.append("its container is on another network")
    # buildx itself allows host networking where no flags are given.
    extra = {HOST_NETWORK_FLAG} - {*wanted.flags}
    if {*node.flags} - extra != {*wanted.flags}:
        found.append("other BuildKit flags")
    if wanted.config:
        text = wanted.config.render()
        differing = _config_differences(text, node.files.get(CONFIG_FILE))
        if container and not differing:
            differing = _config_differences(text, container.config)
        found += differing
        authority = (wanted.authority or "").strip()
        held = (body for name, body in node.files.items() if name.startswith("certs/"))
        if not differing and any(body.strip() != authority for body in held):
            found.append("another certificate authority")
    return tuple(found)


def plan_builder(
    wanted: WantedBuilder,
    existing: ExistingBuilder | None,
    container: BuilderContainer | None = None,
) -> BuilderPlan:
    """Decide what to do. ``container`` is a docker-container builder's, if there is one.

    Raises BuilderError for a builder of that name that is not ours to change.
    """
    if existing is None:
        if container:
            left = ("buildx does not know it; its container was left behind, its cache is kept",)
            return BuilderPlan(Action.CREATE, left, wanted, leftover=container.name)
        return BuilderPlan(Action.CREATE, ("there was none of that name",), wanted)
    if existing.driver == "docker":
        raise BuilderError(
            f"{wanted.name} is the engine's own builder, which nobody can set up",
            where="DOCKYARD_BUILDER_NAME",
            hint="choose another name, such as dockyard",
        )
    if len(existing.nodes) != 1:
        raise BuilderError(
            f"the builder {wanted.name} has {len(existing.nodes)} nodes, and Dockyard makes one",
            where="DOCKYARD_BUILDER_NAME",
            hint=f"choose another name, or use it as it is with DOCKYARD_BUILDER={wanted.name}",
        )
    node = existing.nodes[0]
    if existing.driver != wanted.driver:
        return BuilderPlan(Action.REPLACE, (f"its driver was {existing.driver}",), wanted)
    differences = _differences(wanted, node, container)
    if not differences and container and container.status == "restarting":
        differences = ("its container does not stay up",)
    if differences:
        kept = {"docker-container": "its cache is kept", "kubernetes": "its pods' cache goes"}
        told = (*differences, *([kept[wanted.driver]] if wanted.driver in kept else []))
        named = node.name if node.name != f"{wanted.name}0" else None
        return BuilderPlan(Action.REPLACE, told, wanted, node=named)
    if wanted.driver == "docker-container" and container is None:
        gone = "its container was removed behind buildx's back; its volume is used again"
        return BuilderPlan(Action.START, (gone,), wanted)
    if node.status != "running":
        return BuilderPlan(Action.START, (f"it was {node.status or 'not running'}",), wanted)
    return BuilderPlan(Action.LEAVE, ("it is as the settings want it",), wanted)
