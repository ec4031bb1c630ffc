"""The dedicated builder as it is and as it is wanted, and the command that makes it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from dockyard.buildkitd_config import BuildkitConfig
from dockyard.errors import SettingsError
from dockyard.settings import Settings, mask_credentials

__all__ = [
    "CONFIG_FILE",
    "HOST_NETWORK_FLAG",
    "BuilderContainer",
    "BuilderNode",
    "ExistingBuilder",
    "WantedBuilder",
    "create_arguments",
    "driver_options",
    "parse_inspect",
    "remote_tls",
    "wanted_builder",
]

HOST_NETWORK_FLAG = "--allow-insecure-entitlement=network.host"
CONFIG_FILE = "buildkitd.toml"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


@dataclass(frozen=True)
class BuilderNode:
    """One node of a builder as ``docker buildx inspect`` shows it; ``files`` by name."""

    name: str
    endpoint: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    status: str = ""
    error: str = ""
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ExistingBuilder:
    """A builder that buildx knows."""

    name: str
    driver: str
    nodes: tuple[BuilderNode, ...]


@dataclass(frozen=True)
class BuilderContainer:
    """The container of a docker-container builder, whoever made it.

    Its volume ``<name>_state`` is the cache. ``status`` is the engine's (``running``, ``exited``,
    ``restarting``); ``config`` is the ``buildkitd.toml`` in it, None where it has none.
    """

    name: str
    status: str
    image: str
    network: str
    config: str | None


@dataclass(frozen=True)
class WantedBuilder:
    """The builder that the settings describe.

    ``images`` are the references that are as good as ``image``: the published one, its mirrors'
    and its stand-in. ``authority`` is the text of the private authority's file.
    """

    name: str
    driver: str
    endpoint: str | None = None
    image: str | None = None
    images: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    config: BuildkitConfig | None = None
    authority: str | None = None
    notes: tuple[str, ...] = ()


def parse_inspect(text: str) -> ExistingBuilder:
    """Read what ``docker buildx inspect`` prints (buildx ``commands/inspect.go``)."""
    head, _, rest = text.partition("\nNodes:")
    driver = re.search(r"^Driver:\s*(\S+)", head, re.MULTILINE)
    name = re.search(r"^Name:\s*(\S+)", head, re.MULTILINE)
    nodes = re.split(r"^(?=Name:)", rest, flags=re.MULTILINE)[1:]
    return ExistingBuilder(
        name=name[1] if name else "",
        driver=driver[1] if driver else "",
        nodes=tuple(_node(node) for node in nodes),
    )


def _node(text: str) -> BuilderNode:
    plain: list[str] = []
    files: dict[str, list[str]] = {}
    current = None
    for line in text.splitlines():
        if opened := re.fullmatch(r"File#(.+):", line):
            current = opened[1]
            files[current] = []
        elif current is not None and line.startswith(" >"):
            files[current].append(line[3:] + "\n")
        else:
            current = None
            plain.append(line)
    values = {
        key.strip().lower(): value.strip()
        for key, colon, value in (line.partition(":") for line in plain)
        if colon and not key.startswith(" ")
    }
    options = re.findall(r'(\S+?)=("(?:[^"\\]|\\.)*")', values.get("driver options", ""))
    flags = values.get("buildkit daemon flags", values.get("flags", ""))
    return BuilderNode(
        name=values.get("name", ""),
        endpoint=values.get("endpoint", ""),
        options={key: json.loads(value) for key, value in options},
        flags=_flags(flags),
        status=values.get("status", ""),
        error=values.get("error", ""),
        files={name: "".join(lines) for name, lines in files.items()},
    )


def _flags(text: str) -> tuple[str, ...]:
    """Split flags, each with its value: ``--key value`` and ``--key=value`` are the same."""
    return tuple(re.sub(r"\s+", "=", flag) for flag in re.split(r"\s+(?=-)", text) if flag)


def wanted_builder(
    settings: Settings,
    environment: Mapping[str, str],
    *,
    image: str | None = None,
    images: tuple[str, ...] = (),
    config: BuildkitConfig | None = None,
    authority: str | None = None,
) -> WantedBuilder:
    """Derive the dedicated builder from the settings.

    ``environment`` gives the proxies that BuildKit in a container needs. ``image``, ``images``,
    ``config`` and ``authority`` are for the drivers whose BuildKit buildx starts. The TLS files
    of ``remote`` are driver options, whose paths have to be absolute (buildx ``driver/remote``).
    """
    driver = "docker-container" if settings.driver in ("auto", "docker") else settings.driver
    options: dict[str, str] = {}
    flags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    if driver == "remote":
        options = remote_tls(settings)
        notes = ("registries, parallelism and garbage collection are as its own BuildKit has them",)
        image, images, config, authority = None, (), None, None
    else:
        if image:
            options["image"] = image
        if settings.network == "host":
            flags = (HOST_NETWORK_FLAG,)
        if driver == "docker-container":
            if settings.network == "host":
                options["network"] = "host"
            proxies, notes = _proxies(environment)
            options |= proxies
    return WantedBuilder(
        name=settings.builder_name,
        driver=driver,
        endpoint=settings.builder_endpoint,
        image=image,
        images=images,
        options={**options, **driver_options(settings)},
        flags=flags,
        config=config,
        authority=authority,
        notes=notes + (config.notes if config else ()),
    )


def driver_options(settings: Settings) -> dict[str, str]:
    """Return the options that are set for the driver.

    Raises SettingsError for one that holds a secret: options are arguments of buildx, and buildx
    keeps them in a file.
    """
    from dockyard.checks.secret_shapes import secret_form, secret_variable

    for key, value in settings.driver_options.items():
        named = key.startswith("env.") and secret_variable(key.removeprefix("env."), value)
        if named or secret_form(value.encode()) or mask_credentials(value) != value:
            raise SettingsError(
                f"{key} holds a secret, and would be an argument of buildx, which every user of "
                "this machine can read",
                where=settings.sources["driver_options"].where,
                hint="give the builder a file or an identity of its own instead",
            )
    return dict(settings.driver_options)


def remote_tls(settings: Settings) -> dict[str, str]:
    """Return the TLS options of the remote driver: ``cacert``, ``cert``, ``key``, ``servername``.

    Those in DOCKYARD_DRIVER_OPTIONS come first.
    """
    given = {
        "cacert": settings.builder_ca_file,
        "cert": settings.builder_cert_file,
        "key": settings.builder_key_file,
        "servername": settings.builder_server_name,
    }
    chosen = {key: settings.driver_options.get(key) or value for key, value in given.items()}
    return {key: str(value) for key, value in chosen.items() if value}


def _proxies(environment: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Pass proxies on as the container's environment, but no password: options are on show."""
    found, notes = {}, []
    for name in PROXIES:
        value = environment.get(name) or environment.get(name.lower())
        if not value:
            continue
        if mask_credentials(value) != value or "@" in value:
            notes.append(f"{name} holds a user or password: the builder does not get it")
        else:
            found[f"env.{name}"] = value
    return found, tuple(notes)


def create_arguments(
    wanted: WantedBuilder, config_path: str, node: str | None = None
) -> tuple[str, ...]:
    """Build the ``docker buildx create`` command."""
    arguments = ["docker", "buildx", "create", "--name", wanted.name, "--driver", wanted.driver]
    arguments += ["--node", node] if node else []
    for key, value in wanted.options.items():
        # buildx reads each option as a line of CSV.
        pair = f"{key}={value}"
        quoted = '"' + pair.replace('"', '""') + '"' if re.search(r'[,"]', pair) else pair
        arguments += ["--driver-opt", quoted]
    if wanted.flags:
        arguments += ["--buildkitd-flags", " ".join(wanted.flags)]
    if wanted.config:
        arguments += ["--buildkitd-config", config_path]
    return (*arguments, *([wanted.endpoint] if wanted.endpoint else []))
