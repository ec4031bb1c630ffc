"""What a build is: one frozen value, and from it buildx's arguments or the equivalent bake file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard.attestations import NOTHING_ATTESTED, Attestations

if TYPE_CHECKING:
    from dockyard.revision import Revision
    from dockyard.settings import Settings

__all__ = [
    "UV_ENVIRONMENT_VARIABLE",
    "BuildDefinition",
    "BuildSecret",
    "build_environment",
    "build_tags",
    "define",
    "image_epoch",
    "secret_environment",
]

UV_ENVIRONMENT_SECRET = "uv-environment"  # noqa: S105 - its id
CA_FILE_SECRET = "ca-file"  # noqa: S105 - its id
# The variable that carries the package index settings from us to buildx, and nowhere else.
UV_ENVIRONMENT_VARIABLE = "BUILD_SECRET_UV_ENVIRONMENT"


@dataclass(frozen=True)
class BuildSecret:
    """A BuildKit secret: ``id``, and the variable or the file that buildx reads its value from."""

    id: str
    variable: str | None = None
    file: str | None = None

    def argument(self) -> str:
        """The value of ``--secret``, which names where the secret is and never holds it."""
        place = f"env={self.variable}" if self.variable else f"src={self.file}"
        return f"id={self.id},{place}"


@dataclass(frozen=True)
class BuildDefinition:
    """One build, whole. Paths are relative to the repository root, or absolute.

    ``build_contexts``: folders by the name of the stage that they stand for. ``build_arguments``
    keep their order; ``output`` is buildx's ``--output`` without
    names, which come from ``tags``; ``builder`` None means buildx's current one.
    """

    context: str
    dockerfile: str
    tags: tuple[str, ...]
    output: str
    builder: str | None = None
    build_arguments: tuple[tuple[str, str], ...] = ()
    secrets: tuple[BuildSecret, ...] = ()
    platforms: tuple[str, ...] = ()
    network: str | None = None
    no_cache: bool = False
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    attestations: Attestations = NOTHING_ATTESTED
    build_contexts: tuple[tuple[str, str], ...] = ()

    def arguments(self, metadata_file: str | None = None) -> list[str]:
        """Render the ``docker buildx build`` command line, ``docker`` first."""
        arguments = ["docker", "buildx", "build", "--progress=rawjson"]
        if self.builder:
            arguments += ["--builder", self.builder]
        arguments += ["--file", self.dockerfile]
        for name, place in self.build_contexts:
            arguments += ["--build-context", f"{name}={place}"]
        for name, value in self.build_arguments:
            arguments += ["--build-arg", f"{name}={value}"]
        for secret in self.secrets:
            arguments += ["--secret", secret.argument()]
        if self.platforms:
            arguments += ["--platform", ",".join(self.platforms)]
        if self.network:
            arguments += ["--network", self.network]
            if self.network == "host":
                arguments += ["--allow", "network.host"]
        if self.no_cache:
            arguments.append("--no-cache")
        for source in self.cache_from:
            arguments += ["--cache-from", source]
        for target in self.cache_to:
            arguments += ["--cache-to", target]
        for tag in self.tags:
            arguments += ["--tag", tag]
        arguments += [*self.attestations.arguments(), "--output", self.output]
        if metadata_file:
            arguments += ["--metadata-file", metadata_file]
        return [*arguments, self.context]

    def exporting_caches(
        self, targets: tuple[str, ...], sources: tuple[str, ...]
    ) -> BuildDefinition:
        """Return the run that exports the caches of what was just built, and nothing else.

        It needs the ``sources`` that were imported: the builder keeps what it took from them, not
        all of the keys by which it found that.
        """
        return replace(
            self,
            output="type=cacheonly",
            cache_from=sources,
            cache_to=targets,
            no_cache=False,
            attestations=NOTHING_ATTESTED,
        )

    def bake(self) -> dict[str, object]:
        """Render the same build as a bake file (JSON form; docs.docker.com/build/bake/reference).

        ``docker buildx bake --file FILE`` builds it; a bake file's paths are relative to the
        folder that bake runs in.
        """
        target: dict[str, object] = {
            "context": self.context,
            "dockerfile": _relative_to(self.dockerfile, self.context),
            "tags": list(self.tags),
            "output": [self.output],
            "attest": self.attestations.bake(),
        }
        optional: dict[str, object] = {
            "contexts": dict(self.build_contexts),
            "args": dict(self.build_arguments),
            "secret": [secret.argument() for secret in self.secrets],
            "platforms": list(self.platforms),
            "network": self.network,
            "no-cache": self.no_cache,
            "cache-from": list(self.cache_from),
            "cache-to": list(self.cache_to),
        }
        if self.network == "host":
            optional["entitlements"] = ["network.host"]
        target.update({key: value for key, value in optional.items() if value})
        return {"group": {"default": {"targets": ["image"]}}, "target": {"image": target}}


def _relative_to(path: str, context: str) -> str:
    """Bake looks for a Dockerfile below the context, where ``--file`` is relative to the caller."""
    import os.path

    return path if Path(path).is_absolute() else os.path.relpath(path, context)


def build_tags(settings: Settings, image: str, version: str, revision: Revision) -> tuple[str, ...]:
    """Name the image: ``latest``, ``<version>-<revision>`` (``-dirty`` where it is), and extras.

    A tag holds only ``[A-Za-z0-9_.-]``, at most 128 (distribution's reference grammar), so a local
    version's ``+`` becomes ``-``.
    """
    repository = f"{settings.registry}/{image}" if settings.registry else image
    exact = "-".join(filter(None, (version, revision.short))).replace("+", "-")
    names = dict.fromkeys(("latest", exact[:128], *settings.tags))
    return tuple(f"{repository}:{name}" for name in names if name)


def created(source_date_epoch: int | None) -> str:
    """Write seconds since 1970 as RFC 3339 in UTC; empty where there is no time."""
    if source_date_epoch is None:
        return ""
    return datetime.fromtimestamp(source_date_epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def image_epoch(settings: Settings, revision: Revision) -> int | None:
    """Date the image, in seconds since 1970: SOURCE_DATE_EPOCH, else the commit's time."""
    if settings.source_date_epoch is not None:
        return settings.source_date_epoch
    return revision.time


def define(
    settings: Settings,
    *,
    image: str,
    version: str,
    revision: Revision,
    base_images: Mapping[str, str],
    builder: str | None,
    output: str,
    no_cache: bool = False,
    cache_from: tuple[str, ...] = (),
    cache_to: tuple[str, ...] = (),
    authority_digest: str = "",
    attestations: Attestations = NOTHING_ATTESTED,
    build_contexts: tuple[tuple[str, str], ...] = (),
) -> BuildDefinition:
    """Put one build together.

    ``base_images`` maps the Dockerfile's arguments (``PYTHON_IMAGE``, ``UV_IMAGE``) to references
    that resolve here; ``output`` is buildx's output without names.
    """
    arguments: list[tuple[str, str]] = list(base_images.items())
    arguments += [
        ("EXTRAS", " ".join(settings.extras)),
        ("DEPENDENCY_GROUPS", " ".join(settings.groups)),
        ("IMAGE_CREATED", created(image_epoch(settings, revision))),
        ("IMAGE_REVISION", (revision.commit or "") + ("-dirty" if revision.dirty else "")),
        ("IMAGE_SOURCE", revision.source or ""),
        ("IMAGE_VERSION", version),
    ]
    if settings.ca_in_image:
        # A secret's content is in no cache key: this is what makes another file run the step.
        arguments.append(("CA_DIGEST", authority_digest))
    secrets = []
    if settings.package_environment():
        secrets.append(BuildSecret(UV_ENVIRONMENT_SECRET, variable=UV_ENVIRONMENT_VARIABLE))
    if settings.ca_file:
        secrets.append(BuildSecret(CA_FILE_SECRET, file=str(settings.ca_file)))
    return BuildDefinition(
        context=settings.project,
        dockerfile=settings.dockerfile,
        tags=build_tags(settings, image, version, revision),
        output=output,
        builder=builder,
        build_arguments=tuple(arguments),
        secrets=tuple(secrets),
        platforms=settings.platforms,
        network=None if settings.network == "default" else settings.network,
        no_cache=no_cache,
        cache_from=cache_from,
        cache_to=cache_to,
        attestations=attestations,
        build_contexts=build_contexts,
    )


def build_environment(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """Return buildx's environment: ours, the secrets, and what keeps builds alike.

    buildx would pass SOURCE_DATE_EPOCH on as a build argument (see :func:`builders.output_for`),
    and copy a provenance attestation into its metadata, where nobody reads it. What it asks git,
    in seven processes (buildx, ``build/git.go``), is for that attestation alone.
    """
    kept = {name: value for name, value in environment.items() if name != "SOURCE_DATE_EPOCH"}
    kept["BUILDX_METADATA_PROVENANCE"] = "disabled"
    if settings.provenance == "off":
        kept["BUILDX_GIT_INFO"] = "false"
    return {**kept, **secret_environment(settings)}


def secret_environment(settings: Settings) -> dict[str, str]:
    """Return what buildx finds in its environment: the package settings, as a sourced file.

    The values are quoted for a POSIX shell; the ``install-layer`` script of the Dockerfile sources
    them.
    """
    import shlex

    variables = settings.package_environment()
    if not variables:
        return {}
    lines = (f"{name}={shlex.quote(value)}\n" for name, value in sorted(variables.items()))
    return {UV_ENVIRONMENT_VARIABLE: "".join(lines)}
