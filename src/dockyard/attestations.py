"""SBOM and provenance attestations: what buildx is asked for, and which images hold them. Pure.

An attestation is a manifest beside the image's own, in one index (BuildKit,
``docs/attestations/attestation-storage.md``). What has no index cannot hold one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dockyard.errors import BuilderError, Problem, SettingsError

if TYPE_CHECKING:
    from dockyard.builders import BuilderChoice
    from dockyard.engine import EngineFacts
    from dockyard.settings import Settings

__all__ = [
    "NOTHING_ATTESTED",
    "Attestations",
    "attestations_for",
    "refuse_secret_arguments",
    "secret_proxies",
]

OFF = "off"
MOST = "max"
# The names that buildx gives the proxies of Docker's configuration as build arguments
# (docker/cli, cli/config/configfile/file.go, ParseProxyConfig).
_PROXIES = {
    "httpProxy": "HTTP_PROXY",
    "httpsProxy": "HTTPS_PROXY",
    "ftpProxy": "FTP_PROXY",
    "allProxy": "ALL_PROXY",
}


@dataclass(frozen=True)
class Attestations:
    """What one build attests.

    ``generator``: the image that lists the packages of the built one, None for no SBOM.
    ``provenance``: ``off``, ``min`` or ``max``.
    """

    generator: str | None = None
    provenance: str = OFF

    def __bool__(self) -> bool:
        return self.generator is not None or self.provenance != OFF

    def arguments(self) -> list[str]:
        """Render buildx's options.

        Provenance is refused by name: without the option buildx adds it, with the time of the
        build, and no two builds have the same digest.
        """
        provenance = "false" if self.provenance == OFF else f"mode={self.provenance}"
        found = [f"--provenance={provenance}"]
        if self.generator:
            found.append(f"--sbom=generator={self.generator}")
        return found

    def bake(self) -> list[dict[str, str]]:
        """Render the same as a bake file's ``attest``."""
        provenance = {"type": "provenance"}
        provenance |= {"disabled": "true"} if self.provenance == OFF else {"mode": self.provenance}
        if not self.generator:
            return [provenance]
        return [provenance, {"type": "sbom", "generator": self.generator}]


NOTHING_ATTESTED = Attestations()


def _named(settings: Settings) -> str:
    names = {
        "DOCKYARD_SBOM": settings.sbom,
        "DOCKYARD_PROVENANCE": settings.provenance != OFF,
    }
    return ", ".join(name for name, wanted in names.items() if wanted)


def attestations_for(
    settings: Settings,
    engine: EngineFacts,
    choice: BuilderChoice,
    *,
    push: bool,
    load: bool,
) -> tuple[Attestations, tuple[str, ...]]:
    """Tell what a build attests, and in notes what it leaves out.

    Nothing is attested of what is neither pushed nor loaded. An engine whose store is not
    containerd's holds images without an index: what is loaded there goes without, with a note
    (buildx, ``build/opt.go``). Raises BuilderError where an image would be pushed without what
    was asked for.
    """
    wanted = Attestations(
        generator=settings.sbom_generator if settings.sbom else None,
        provenance=settings.provenance,
    )
    if not wanted or not (push or load):
        return NOTHING_ATTESTED, ()
    if push:
        if choice.driver == "docker" and not engine.containerd_store:
            raise BuilderError(
                f"the builder {choice.name} (docker) cannot attest: its engine does not use the "
                "containerd image store",
                where=_named(settings),
                hint="push with the dedicated builder (`invoke cache.init`, and unset "
                "DOCKYARD_BUILDER), or turn the store on in /etc/docker/daemon.json: "
                '{"features": {"containerd-snapshotter": true}}',
            )
        return wanted, ()
    if not engine.containerd_store:
        note = (
            f"no attestations ({_named(settings)}): an engine without the containerd image store "
            "cannot hold them; an image that is pushed by `invoke build --push` gets them"
        )
        return NOTHING_ATTESTED, (note,)
    return wanted, ()


def secret_proxies(configuration: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the proxies of Docker's configuration that hold a user or password.

    buildx hands them to every build as arguments, whatever the Dockerfile declares.
    """
    tables = configuration.get("proxies")
    if not isinstance(tables, Mapping):
        return ()
    found = [
        f"{host}.{key}"
        for host, table in tables.items()
        if isinstance(table, Mapping)
        for key in _PROXIES
        if "@" in str(table.get(key, ""))
    ]
    return tuple(found)


def refuse_secret_arguments(
    attestations: Attestations,
    build_arguments: Collection[tuple[str, str]],
    configuration: Mapping[str, Any],
    secrets: Collection[str],
) -> None:
    """Raise SettingsError where a provenance of mode ``max`` would tell a secret.

    It holds every build argument as it is (BuildKit, ``solver/llbsolver/provenance``,
    ``FilterArgs``: only the context's URL loses its credentials); of secrets it holds the ids.
    ``min`` leaves arguments and labels out.
    """
    if attestations.provenance != MOST:
        return
    problems = [*_arguments_with_secrets(build_arguments, secrets)]
    problems += [
        Problem(
            "this proxy has a user or password, and DOCKYARD_PROVENANCE=max would publish it: "
            "buildx passes it on as a build argument",
            where=f"Docker's config.json, proxies.{place}",
            hint="set DOCKYARD_PROVENANCE=min, or take the password out of the proxy's URL",
        )
        for place in secret_proxies(configuration)
    ]
    if problems:
        raise SettingsError(*problems)


def _arguments_with_secrets(
    build_arguments: Collection[tuple[str, str]], secrets: Collection[str]
) -> Iterator[Problem]:
    for name, value in build_arguments:
        if any(secret in value for secret in secrets):
            yield Problem(
                f"the build argument {name} holds a secret of the settings, and "
                "DOCKYARD_PROVENANCE=max would publish it",
                where="DOCKYARD_PROVENANCE",
                hint="set DOCKYARD_PROVENANCE=min, or take the secret out of the value",
            )
