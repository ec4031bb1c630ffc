"""Flags, environment, ``.env`` and ``[tool.dockyard]`` as one frozen value that knows its sources.

:func:`resolve` is pure. :func:`load_settings` has the two files read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dockyard import known_secrets
from dockyard.errors import Problem, SettingsError
from dockyard.settings_fields import FIELDS, Field, Kind
from dockyard.settings_masking import (
    mask_credentials,
    masked,
    may_hold_secret,
    redact,
    redactor,
    secret_values,
)
from dockyard.settings_problems import contradictions, example_of, unknown_names
from dockyard.settings_sources import (
    UNSET,
    Origin,
    Source,
    find_root,
    first_value,
    place_of,
    read_credentials,
    read_dotenv,
)
from dockyard.settings_values import BadValueError, read_value, show_value

__all__ = [
    "Origin",
    "Settings",
    "Source",
    "load_settings",
    "mask_credentials",
    "masked",
    "parse_setting",
    "redact",
    "redactor",
    "resolve",
]


@dataclass(frozen=True, repr=False)
class Settings:
    """Every setting, valid. ``settings_fields.py`` says what each one means.

    Sizes are in bytes, times in seconds (``source_date_epoch``: since 1970, UTC). ``root`` is the
    repository root; ``project``, ``dockerfile`` and ``copy_paths`` are POSIX paths below it, every
    :class:`~pathlib.Path` is absolute. An empty tuple means “none”. ``sources`` has one entry per
    attribute. ``notes`` are for the user to see: none of them is an error.
    """

    root: Path
    project: str
    dockerfile: str
    image: str | None
    registry: str | None
    tags: tuple[str, ...]
    platforms: tuple[str, ...]
    python_image: str
    uv_image: str
    extras: tuple[str, ...]
    groups: tuple[str, ...]
    copy_paths: tuple[str, ...]
    install: str
    build_packages: tuple[str, ...]
    runtime_packages: tuple[str, ...]
    command: tuple[str, ...]
    ports: tuple[int, ...]
    user: str
    health_check: tuple[str, ...]
    byte_compile: bool
    slim: tuple[str, ...]
    layers: int
    compression: str
    compression_level: int
    reproducible: bool
    sbom: bool
    sbom_generator: str
    provenance: str
    require_pinned: bool
    require_hashes: bool
    cache_dir: Path
    cache_backends: tuple[str, ...]
    default_branch: str | None
    cache_budget: int
    cache_mounts: str
    cache_days: int
    builder: str
    builder_name: str
    driver: str
    driver_options: Mapping[str, str]
    builder_endpoint: str | None
    builder_ca_file: Path | None
    builder_cert_file: Path | None
    builder_key_file: Path | None
    builder_server_name: str | None
    max_parallelism: int | None
    buildkit_image: str
    network: str
    uv_mirrors: tuple[str, ...]
    uv_mirror_timeout: int
    image_mirrors: tuple[str, ...]
    image_mirror_timeout: int
    registry_timeout: int | None
    insecure_registries: tuple[str, ...]
    ca_file: Path | None
    ca_in_image: bool
    progress: str
    records: int
    context_budget: int
    image_budget: int
    waste_budget: int
    smoke_command: tuple[str, ...]
    smoke_seconds: int
    check_also: tuple[str, ...]
    check_skip: tuple[str, ...]
    uv_default_index: str | None
    uv_index: tuple[str, ...]
    uv_keyring_provider: str | None
    uv_http_timeout: int | None
    uv_concurrent_downloads: int | None
    uv_cache_dir: Path | None
    docker_host: str | None
    docker_buildkit: bool
    compose_docker_cli_build: bool
    buildkit_progress: str | None
    source_date_epoch: int | None
    index_credentials: Mapping[str, str]
    sources: Mapping[str, Source]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        """Show the values that are set somewhere, without secrets."""
        shown = {
            name: entry["value"]
            for name, entry in masked(self).items()
            if entry["origin"] != Origin.DEFAULT
        }
        return f"Settings(root={str(self.root)!r}, {shown})"

    def package_environment(self) -> dict[str, str]:
        """Return the variables that uv needs inside a build, secrets included; only set ones."""
        from dockyard.mirrors import expand

        variables = {
            "DOCKYARD_UV_MIRRORS": " ".join(map(expand, self.uv_mirrors)),
            "DOCKYARD_UV_MIRROR_TIMEOUT": self.uv_mirror_timeout if self.uv_mirrors else None,
            "UV_DEFAULT_INDEX": self.uv_default_index,
            "UV_INDEX": " ".join(self.uv_index),
            "UV_HTTP_TIMEOUT": self.uv_http_timeout,
            "UV_CONCURRENT_DOWNLOADS": self.uv_concurrent_downloads,
            **self.index_credentials,
        }
        return {name: str(value) for name, value in variables.items() if value}

    def secret_values(self) -> tuple[str, ...]:
        """Return every secret as it may appear in output, longest first, for :func:`redact`."""
        return secret_values(self)


def resolve(
    *,
    root: Path,
    environment: Mapping[str, str],
    dotenv: Mapping[str, tuple[str, int]],
    pyproject: Mapping[str, object],
    flags: Mapping[str, object],
    exists: Callable[[Path], bool],
    interpolated: Collection[str] = (),
) -> Settings:
    """Turn everything that was given into valid settings.

    ``dotenv`` maps a name to its value and line (from 1), ``pyproject`` is the ``[tool.dockyard]``
    table. ``flags`` maps attributes to what the command line gave; None and empty lists count as
    not given. ``interpolated`` names entries of ``dotenv`` that hold other variables' values,
    which no message repeats.

    Raises :class:`SettingsError` with every problem that there is.
    """
    fields = {field.attribute: field for field in FIELDS}
    if strangers := set(flags) - set(fields):
        raise TypeError(f"no settings are called {', '.join(sorted(strangers))}")
    problems: list[Problem] = []
    notes: list[str] = []
    values: dict[str, Any] = {}
    sources: dict[str, Source] = {}
    bad = set()
    for name, field in fields.items():
        raw, source = first_value(field, flags, environment, dotenv, pyproject)
        value = field.default
        if source is not UNSET:
            try:
                value = read_value(field, raw)
            except BadValueError as error:
                hidden = source.origin is Origin.DOTENV and field.environment in interpolated
                hidden = hidden or error.offending is None or may_hold_secret(field, raw)
                shown = "the value" if hidden else show_value(error.offending)
                where = place_of(source, field.environment)
                problems.append(Problem(f"{shown} {error.fault}", where, example_of(field, source)))
                bad.add(name)
        if field.kind is Kind.PATH and isinstance(value, str):
            home = environment.get("HOME")
            expanded = f"{home}{value[1:]}" if home and value.startswith("~/") else value
            value = root / expanded
        values[name], sources[name] = value, source

    def missing(source: Source, field: Field, path: Path) -> str:
        hidden = source.origin is Origin.DOTENV and field.environment in interpolated
        return "there is no such file" if hidden else f"there is no file {show_value(path, 200)}"

    given = sources["ca_file"]
    if given is not UNSET and "ca_file" not in bad and not exists(values["ca_file"]):
        field = fields["ca_file"]
        message, where = (
            missing(given, field, values["ca_file"]),
            place_of(given, field.environment),
        )
        hint = "give the path of a PEM file, absolute or from the repository root"
        problems.append(Problem(message, where, hint))
    for name, field in fields.items():
        if field.stands_in_for is None:
            continue
        value, source = values.pop(name), sources.pop(name)
        if source is UNSET or name in bad:
            continue
        target = fields[field.stands_in_for]
        unused = sources[target.attribute] is not UNSET
        place = place_of(source, field.environment)
        if field.deprecated:
            advice = f"{place}: {field.environment} is deprecated; write {target.environment}"
            notes.append(advice + (", which is set and used instead" if unused else ""))
        elif not unused and field.kind is Kind.PATH and not exists(value):
            notes.append(f"{place}: {missing(source, field, value)}; it is not used")
            continue
        if not unused:
            values[target.attribute], sources[target.attribute] = value, source

    values["index_credentials"], sources["index_credentials"] = read_credentials(
        environment, dotenv, problems
    )
    problems += contradictions(values, sources, bad)
    problems += unknown_names(environment, dotenv, pyproject)
    if problems:
        raise SettingsError(*problems)
    return Settings(root=root, sources=sources, notes=tuple(notes), **values)


def parse_setting(key: str, raw: object) -> Any:
    """Read one value as ``[tool.dockyard]`` has it under ``key``, and return it as TOML holds it.

    Raises SettingsError where it is not valid.
    """
    [field] = [one for one in FIELDS if one.key == key]
    source = Source(Origin.PYPROJECT, "the answer")
    try:
        value = read_value(field, raw)
    except BadValueError as error:
        shown = "it" if error.offending is None else show_value(error.offending)
        raise SettingsError(f"{shown} {error.fault}", hint=example_of(field, source)) from None
    return list(value) if isinstance(value, tuple) else value


def load_settings(
    start: Path,
    environment: Mapping[str, str],
    flags: Mapping[str, object],
    *,
    table: Mapping[str, object] | None = None,
) -> Settings:
    """Find the repository that ``start`` is in, read its files, and resolve all settings.

    Its root is the nearest folder upwards whose pyproject.toml has a ``[tool.dockyard]`` table,
    else the nearest with a pyproject.toml. With a ``table``, ``start`` is the root, and that
    stands for what its pyproject.toml has. Raises :class:`ProjectError` where there is none or it
    is malformed, :class:`SettingsError` with everything that is wrong with the settings.
    """
    root, pyproject = find_root(start.resolve()) if table is None else (start.resolve(), table)
    dotenv, interpolated, problems = read_dotenv(root / ".env", environment)
    try:
        settings = resolve(
            root=root,
            environment=environment,
            dotenv=dotenv,
            pyproject=pyproject,
            flags=flags,
            exists=Path.is_file,
            interpolated=interpolated,
        )
    except SettingsError as error:
        raise SettingsError(*problems, *error.problems) from None
    if problems:
        raise SettingsError(*problems)
    known_secrets.meet(settings.secret_values)
    return settings
