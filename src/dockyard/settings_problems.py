"""What is wrong with settings, and what to write instead. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from dockyard.errors import Problem
from dockyard.settings_fields import FIELDS, OWN_PREFIX, Field, Kind
from dockyard.settings_sources import Origin, Source, place_of
from dockyard.settings_values import show_value

__all__ = ["contradictions", "example_of", "unknown_names"]


def example_of(field: Field, source: Source) -> str:
    """Write a valid value as it would stand in that source."""
    sample = field.sample
    if source.origin is Origin.FLAG:
        return f"for example {field.flag} {sample}"
    if source.origin is not Origin.PYPROJECT:
        return f"for example {field.environment}={sample}"
    import json

    value: object = sample
    if field.kind in (Kind.BOOLEAN, Kind.INTEGER):
        return f"for example {field.key} = {sample}"
    if field.kind is Kind.INTEGERS:
        value = [int(entry) for entry in sample.split(",")]
    elif field.several:
        value = sample.split(None if field.separator == " " else field.separator)
    elif field.kind is Kind.COMMAND:
        value = sample.split()
    return f"for example {field.key} = {json.dumps(value)}"


def unknown_names(
    environment: Mapping[str, str],
    dotenv: Mapping[str, tuple[str, int]],
    pyproject: Mapping[str, object],
) -> Iterator[Problem]:
    """Describe each name that no setting has, with the nearest that one has."""
    variables = {field.environment for field in FIELDS}
    keys = {field.key for field in FIELDS}
    unknown = [("environment", name) for name in sorted(environment)]
    unknown += [(f".env, line {line}", name) for name, (_, line) in dotenv.items()]
    unknown = [
        (where, name)
        for where, name in unknown
        if name.startswith(OWN_PREFIX) and name not in variables
    ]
    table = "pyproject.toml [tool.dockyard]"
    unknown += [(table, key) for key in pyproject if key not in keys]
    if not unknown:
        return
    from difflib import get_close_matches

    for where, name in unknown:
        # Attributes are compared: the prefix that all variables share would make all of them near.
        wanted = name.removeprefix(OWN_PREFIX).lower().replace("-", "_")
        candidates = {
            field.attribute: (field.key or f"{field.environment} (environment or .env)")
            if where == table
            else field.environment
            for field in FIELDS
            if where == table or field.key
        }
        near = get_close_matches(wanted, candidates, n=1)
        hint = f"did you mean {candidates[near[0]]}?" if near else None
        yield Problem(
            f"{show_value(name)} is not a setting",
            where,
            hint or ".env.example lists every setting",
        )


def contradictions(
    values: Mapping[str, Any], sources: Mapping[str, Source], bad: Collection[str]
) -> Iterator[Problem]:
    """Describe values that exclude each other; those named in ``bad`` are not held against any."""
    if not values["docker_buildkit"]:
        yield Problem(
            "turns BuildKit off, and Dockyard builds with nothing else",
            place_of(sources["docker_buildkit"], "DOCKER_BUILDKIT"),
            "remove it, or set DOCKER_BUILDKIT=1",
        )
    compression, level = values["compression"], values["compression_level"]
    if not {"compression", "compression_level"} & set(bad) and (
        compression in ("gzip", "estargz") and level > 9
    ):
        yield Problem(
            f"level {level} is not one of {compression} (0 to 9)",
            place_of(sources["compression_level"], "DOCKYARD_COMPRESSION_LEVEL"),
            "choose a level up to 9, or DOCKYARD_COMPRESSION=zstd",
        )
    if values["ca_in_image"] and not values["ca_file"] and "ca_file" not in bad:
        yield Problem(
            "there is no certificate file to put into the image",
            place_of(sources["ca_in_image"], "DOCKYARD_CA_IN_IMAGE"),
            "set DOCKYARD_CA_FILE to the PEM file",
        )
    chosen_by_us = values["builder"] == "auto" and "builder" not in bad
    has_endpoint = values["builder_endpoint"] or "builder_endpoint" in bad
    if values["driver"] == "remote" and chosen_by_us and not has_endpoint:
        yield Problem(
            "the driver “remote” needs to know where its BuildKit is",
            place_of(sources["driver"], "DOCKYARD_DRIVER"),
            "set DOCKYARD_BUILDER_ENDPOINT, for example tcp://builder.example.com:1234",
        )
    unnamed = [
        entry
        for entry in values["cache_backends"]
        if entry.partition(":")[0] == "registry" and "ref=" not in entry
    ]
    pushable = values["registry"] or "/" in (values["image"] or "")
    if unnamed and not pushable and not {"registry", "image"} & set(bad):
        yield Problem(
            "the backend “registry” needs a registry, and none is set",
            place_of(sources["cache_backends"], "DOCKYARD_CACHE_BACKENDS"),
            "set DOCKYARD_REGISTRY, or write registry:ref=HOST/NAME:TAG",
        )
