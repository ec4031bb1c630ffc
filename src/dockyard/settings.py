"""Flags, environment, ``.env`` and ``[tool.dockyard]`` as one frozen value that knows its sources.

:func:`resolve` is pure. :func:`load_settings` reads the two files; nothing else here does I/O.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from dockyard.errors import Problem, ProjectError, SettingsError
from dockyard.settings_fields import (
    CREDENTIAL_NAME,
    CREDENTIALS,
    FIELDS,
    OWN_PREFIX,
    RELATIVE_PATH,
    Field,
    Kind,
)

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


class Origin(StrEnum):
    """Which layer a value comes from; the first that has one wins."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    DOTENV = ".env"
    PYPROJECT = "pyproject"
    DEFAULT = "default"


@dataclass(frozen=True)
class Source:
    """Where a value was set, ``where`` in words: ``.env, line 3``."""

    origin: Origin
    where: str


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
        """Return every secret as it may appear in output, longest first, for :func:`redact`.

        Beside the secret itself: as a URL and as a JSON string have it, and decoded from a URL.
        """
        import json
        from urllib.parse import quote, unquote

        pairs = []
        for name, value in self.index_credentials.items():
            stem, _, part = name.rpartition("_")
            if part == "PASSWORD":
                pairs.append((self.index_credentials.get(f"{stem}_USERNAME", ""), value))
            elif f"{stem}_PASSWORD" not in self.index_credentials:
                pairs.append((value, ""))
        found: set[str] = set()
        for text in _texts(self):
            found.update(match[2] for match in _SECRET_OPTION.finditer(text))
            for match in _USER_INFO.finditer(text):
                user, _, password = match[2].partition(":")
                # “ssh://me@host” names an account; elsewhere a lone user is a token.
                if password or match[1].startswith("http"):
                    pairs.append((user, password))
        for user, password in pairs:
            # With a token as the user, the password is a filler: “x”, “x-oauth-basic”, nothing.
            found.add(password)
            if len(password) < _SHORT or password == "x-oauth-basic":  # noqa: S105
                found.add(user)
        found |= {unquote(secret) for secret in found}
        found |= {quote(secret, safe="") for secret in found}
        found |= {json.dumps(secret)[1:-1] for secret in found}
        return tuple(sorted(found - {""}, key=lambda secret: (-len(secret), secret)))


# -------------------- showing without secrets

_SHORT = 4
# Greedy up to the last “@”: a password may hold “/” or “@” where nothing has validated it. The
# bounded scheme keeps a long text without any URL from costing quadratic time.
_USER_INFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,15}://)(\S*)@")
_SECRET_OPTION = re.compile(
    r"(?i)((?:password|passwd|secret|token|access_key|account_key)(?:_id|_key)?=)([^,;&\s]+)"
)


def mask_credentials(text: str) -> str:
    """Hide the user and password of each URL in ``text``, and the values of secret options."""
    return _SECRET_OPTION.sub(r"\1***", _USER_INFO.sub(r"\1***@", text))


def _cleaner(secrets: Collection[str]) -> Callable[[str], str]:
    patterns = [
        re.escape(secret) if len(secret) >= _SHORT else rf"(?<!\w){re.escape(secret)}(?!\w)"
        for secret in sorted(secrets, key=len, reverse=True)
        if secret
    ]
    if not patterns:
        return str
    pattern = re.compile("|".join(patterns))
    return lambda text: pattern.sub("***", text)


def redact(text: str, secrets: Collection[str]) -> str:
    """Replace every secret in ``text``; one of fewer than 4 characters only as a whole word."""
    return _cleaner(secrets)(text)


def redactor(settings: Settings) -> Callable[[str], str]:
    """Return the function that replaces every secret of these settings in a text."""
    return _cleaner(settings.secret_values())


def _texts(settings: Settings) -> Iterator[str]:
    for field in FIELDS:
        value = getattr(settings, field.attribute, None)
        if isinstance(value, str):
            yield value
        elif isinstance(value, tuple):
            yield from map(str, value)
        elif isinstance(value, Mapping):
            yield from (f"{key}={entry}" for key, entry in value.items())


def _plain(field: Field, value: object) -> object:
    """Turn a value into what JSON can hold, without secrets."""
    if isinstance(value, Mapping):
        if field.secret:
            return dict.fromkeys(value, "***")
        return {
            key: mask_credentials(f"{key}={entry}")[len(key) + 1 :] for key, entry in value.items()
        }
    if field.secret and value:
        return "***"
    if isinstance(value, tuple):
        return [_plain(field, entry) for entry in value]
    if isinstance(value, Path):
        return str(value)
    return mask_credentials(value) if isinstance(value, str) else value


def masked(settings: Settings) -> dict[str, dict[str, object]]:
    """Return each setting as JSON can hold it, without secrets.

    ``source`` says in words where the value was set, ``origin`` is the :class:`Origin`'s value.
    """
    return {
        field.attribute: {
            "value": _plain(field, getattr(settings, field.attribute)),
            "source": settings.sources[field.attribute].where,
            "origin": settings.sources[field.attribute].origin.value,
        }
        for field in (*FIELDS, CREDENTIALS)
        if not field.stands_in_for
    }


# -------------------- reading one value

# Control characters, line and paragraph separators, and what is left of bytes that are no UTF-8.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_UNITS = {"": 1, "b": 1} | {
    f"{prefix}{suffix}": base**power
    for power, prefix in enumerate("kmgt", start=1)
    for suffix, base in (("", 1000), ("b", 1000), ("ib", 1024))
}
_BOOLEANS = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(
    ("0", "false", "no", "off"), False
)


class _BadValueError(Exception):
    """``offending`` is the part of the value that is at fault, ``fault`` words that follow it."""

    def __init__(self, offending: object, fault: str) -> None:
        self.offending = offending
        self.fault = fault
        super().__init__(fault)


def _refuse_unprintable(text: str) -> None:
    if found := _UNPRINTABLE.search(text):
        code = f"U+{ord(found[0]):04X}"
        raise _BadValueError(None, f"holds a control or undecodable character ({code})")


def _string(field: Field, raw: object) -> str:
    if not isinstance(raw, str):
        raise _BadValueError(raw, f"is not {field.expects}")
    text = raw.strip()
    _refuse_unprintable(text)
    if field.choices and text.lower() in field.choices:
        return text.lower()
    valid = not field.choices and (re.fullmatch(field.rule.pattern, text) if field.rule else text)
    if not valid:
        raise _BadValueError(text, f"is not {field.expects}")
    return PurePosixPath(text).as_posix() if field.rule is RELATIVE_PATH else text


def _number(field: Field, raw: object) -> int:
    units = _UNITS if field.kind is Kind.BYTES else {"": 1}
    number = None
    if isinstance(raw, int) and not isinstance(raw, bool):
        number = raw
    elif isinstance(raw, str):
        match = re.fullmatch(r"([0-9]{1,18})(?:\.([0-9]{1,9}))?\s*([A-Za-z]*)", raw.strip())
        unit = units.get(match[3].lower()) if match else None
        if match and unit and (unit > 1 or not match[2]):
            fraction = match[2] or ""
            number = int(match[1] + fraction) * unit // 10 ** len(fraction)
    if number is None or number < field.minimum or number > (field.maximum or number):
        raise _BadValueError(raw, f"is not {field.expects}")
    return number


def _boolean(field: Field, raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    known = _BOOLEANS.get(raw.strip().lower()) if isinstance(raw, str) else None
    if known is None:
        raise _BadValueError(raw, f"is not {field.expects}")
    return known


def _entries(field: Field, raw: object) -> Iterator[object]:
    if isinstance(raw, str):
        texts = raw.split() if field.separator == " " else re.split("[,\n]", raw)
        yield from (text for text in texts if text.strip())
    elif isinstance(raw, Mapping) and field.kind is Kind.MAPPING:
        yield from (f"{key}={value}" for key, value in raw.items())
    elif isinstance(raw, (list, tuple)):
        yield from raw
    elif field.kind is Kind.INTEGERS:
        yield raw
    else:
        raise _BadValueError(raw, "is not a list")


def _command(field: Field, raw: object) -> tuple[str, ...]:
    words: object = raw
    if isinstance(raw, str):
        try:
            if raw.lstrip().startswith("["):
                import json

                words = json.loads(raw)
            else:
                import shlex

                words = shlex.split(raw)
        except (ValueError, RecursionError) as error:
            raise _BadValueError(raw, f"is not {field.expects}: {error}") from None
    if not isinstance(words, (list, tuple)) or (words and not words[0]):
        raise _BadValueError(raw, f"is not {field.expects}")
    for word in words:
        if not isinstance(word, str):
            raise _BadValueError(word, "is not a string, as each word of a command is")
        _refuse_unprintable(word)
    return tuple(words)


def _value(field: Field, raw: object) -> object:
    """Read one value, from a text or from TOML; :class:`_BadValueError` where it is not valid."""
    match field.kind:
        case Kind.BOOLEAN:
            return _boolean(field, raw)
        case Kind.INTEGER | Kind.BYTES:
            return _number(field, raw)
        case Kind.COMMAND:
            return _command(field, raw)
        case Kind.INTEGERS:
            return tuple(dict.fromkeys(_number(field, entry) for entry in _entries(field, raw)))
        case Kind.STRINGS:
            return tuple(dict.fromkeys(_string(field, entry) for entry in _entries(field, raw)))
        case Kind.MAPPING:
            pairs = (_string(field, entry).partition("=") for entry in _entries(field, raw))
            return {key: value for key, _, value in pairs}
        case _:
            return _string(field, raw)


# -------------------- all values at once


_UNSET = Source(Origin.DEFAULT, "default")


def _first(
    field: Field,
    flags: Mapping[str, object],
    environment: Mapping[str, str],
    dotenv: Mapping[str, tuple[str, int]],
    pyproject: Mapping[str, object],
) -> tuple[object, Source]:
    """Find a setting's unread value in the first place that has one."""
    flag = flags.get(field.attribute)
    if flag is not None and flag != [] and flag != ():
        if field.several and isinstance(flag, (list, tuple)):
            parts = (_entries(field, part) if isinstance(part, str) else (part,) for part in flag)
            flag = [entry for part in parts for entry in part]
        return (
            str(flag) if isinstance(flag, PurePath) else flag,
            Source(Origin.FLAG, field.flag),
        )
    name = field.environment
    text = environment.get(name)
    if text is not None and (text.strip() or field.several):
        return text, Source(Origin.ENVIRONMENT, f"environment {name}")
    text, line = dotenv.get(name, (None, 0))
    if text is not None and (text.strip() or field.several):
        return text, Source(Origin.DOTENV, f".env, line {line}")
    if field.key is not None and field.key in pyproject:
        place = f"pyproject.toml [tool.dockyard] {field.key}"
        return pyproject[field.key], Source(Origin.PYPROJECT, place)
    return field.default, _UNSET


def _place(source: Source, name: str) -> str:
    return f"{source.where}, {name}" if source.origin is Origin.DOTENV else source.where


def _shown(value: object, limit: int = 60) -> str:
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, (list, tuple)):
        return "an array"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    text = _UNPRINTABLE.sub("�", mask_credentials(text))
    return f"“{text[: limit - 1]}…”" if len(text) > limit else f"“{text}”"


def _may_hold_secret(field: Field, raw: object) -> bool:
    """Tell whether a malformed value could be a secret, or a piece of one, that no mask finds."""
    text = str(raw)
    holds_user = "@" in text and ("://" in text or field.attribute.startswith("uv_"))
    return field.secret or holds_user or _SECRET_OPTION.search(text) is not None


def _example(field: Field, source: Source) -> str:
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


def _unknown_names(
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
            f"{_shown(name)} is not a setting", where, hint or ".env.example lists every setting"
        )


def _contradictions(
    values: Mapping[str, Any], sources: Mapping[str, Source], bad: Collection[str]
) -> Iterator[Problem]:
    if not values["docker_buildkit"]:
        yield Problem(
            "turns BuildKit off, and Dockyard builds with nothing else",
            _place(sources["docker_buildkit"], "DOCKER_BUILDKIT"),
            "remove it, or set DOCKER_BUILDKIT=1",
        )
    compression, level = values["compression"], values["compression_level"]
    if not {"compression", "compression_level"} & set(bad) and (
        compression in ("gzip", "estargz") and level > 9
    ):
        yield Problem(
            f"level {level} is not one of {compression} (0 to 9)",
            _place(sources["compression_level"], "DOCKYARD_COMPRESSION_LEVEL"),
            "choose a level up to 9, or DOCKYARD_COMPRESSION=zstd",
        )
    if values["ca_in_image"] and not values["ca_file"] and "ca_file" not in bad:
        yield Problem(
            "there is no certificate file to put into the image",
            _place(sources["ca_in_image"], "DOCKYARD_CA_IN_IMAGE"),
            "set DOCKYARD_CA_FILE to the PEM file",
        )
    chosen_by_us = values["builder"] == "auto" and "builder" not in bad
    has_endpoint = values["builder_endpoint"] or "builder_endpoint" in bad
    if values["driver"] == "remote" and chosen_by_us and not has_endpoint:
        yield Problem(
            "the driver “remote” needs to know where its BuildKit is",
            _place(sources["driver"], "DOCKYARD_DRIVER"),
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
            _place(sources["cache_backends"], "DOCKYARD_CACHE_BACKENDS"),
            "set DOCKYARD_REGISTRY, or write registry:ref=HOST/NAME:TAG",
        )


def _credentials(
    environment: Mapping[str, str],
    dotenv: Mapping[str, tuple[str, int]],
    problems: list[Problem],
) -> tuple[dict[str, str], Source]:
    found: dict[str, str] = {}
    places = {}
    layers = [
        (name, text, Source(Origin.DOTENV, f".env, line {line}"))
        for name, (text, line) in dotenv.items()
    ]
    layers += [
        (name, text, Source(Origin.ENVIRONMENT, f"environment {name}"))
        for name, text in environment.items()
    ]
    for name, text, source in layers:
        if name.startswith("UV_INDEX_") and re.fullmatch(CREDENTIAL_NAME, name) and text:
            found[name], places[name] = text, source
    for name, text in found.items():
        if _UNPRINTABLE.search(text):
            fault = "the value holds a control or undecodable character"
            problems.append(Problem(fault, _place(places[name], name), "enter it again"))
    if not found:
        return found, _UNSET
    ranked = sorted(places.values(), key=lambda source: source.origin is Origin.DOTENV)
    return found, Source(ranked[0].origin, "; ".join(source.where for source in ranked))


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
        raw, source = _first(field, flags, environment, dotenv, pyproject)
        value = field.default
        if source is not _UNSET:
            try:
                value = _value(field, raw)
            except _BadValueError as error:
                hidden = source.origin is Origin.DOTENV and field.environment in interpolated
                hidden = hidden or error.offending is None or _may_hold_secret(field, raw)
                shown = "the value" if hidden else _shown(error.offending)
                where = _place(source, field.environment)
                problems.append(Problem(f"{shown} {error.fault}", where, _example(field, source)))
                bad.add(name)
        if field.kind is Kind.PATH and isinstance(value, str):
            home = environment.get("HOME")
            expanded = f"{home}{value[1:]}" if home and value.startswith("~/") else value
            value = root / expanded
        values[name], sources[name] = value, source

    def missing(source: Source, field: Field, path: Path) -> str:
        hidden = source.origin is Origin.DOTENV and field.environment in interpolated
        return "there is no such file" if hidden else f"there is no file {_shown(path, 200)}"

    given = sources["ca_file"]
    if given is not _UNSET and "ca_file" not in bad and not exists(values["ca_file"]):
        field = fields["ca_file"]
        message, where = missing(given, field, values["ca_file"]), _place(given, field.environment)
        hint = "give the path of a PEM file, absolute or from the repository root"
        problems.append(Problem(message, where, hint))
    for name, field in fields.items():
        if field.stands_in_for is None:
            continue
        value, source = values.pop(name), sources.pop(name)
        if source is _UNSET or name in bad:
            continue
        target = fields[field.stands_in_for]
        unused = sources[target.attribute] is not _UNSET
        place = _place(source, field.environment)
        if field.deprecated:
            advice = f"{place}: {field.environment} is deprecated; write {target.environment}"
            notes.append(advice + (", which is set and used instead" if unused else ""))
        elif not unused and field.kind is Kind.PATH and not exists(value):
            notes.append(f"{place}: {missing(source, field, value)}; it is not used")
            continue
        if not unused:
            values[target.attribute], sources[target.attribute] = value, source

    values["index_credentials"], sources["index_credentials"] = _credentials(
        environment, dotenv, problems
    )
    problems += _contradictions(values, sources, bad)
    problems += _unknown_names(environment, dotenv, pyproject)
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
        value = _value(field, raw)
    except _BadValueError as error:
        shown = "it" if error.offending is None else _shown(error.offending)
        raise SettingsError(f"{shown} {error.fault}", hint=_example(field, source)) from None
    return list(value) if isinstance(value, tuple) else value


# -------------------- reading the files


def _read_pyproject(path: Path) -> Mapping[str, object] | None:
    """Return the ``[tool.dockyard]`` table, None where there is none."""
    import tomllib

    try:
        text = path.read_bytes().decode()
        document = tomllib.loads(text)
    except UnicodeDecodeError as error:
        number = error.object[: error.start].count(b"\n") + 1
        raise ProjectError(
            "not UTF-8", where=f"{path}:{number}", hint="save the file as UTF-8"
        ) from None
    except ValueError as error:  # TOMLDecodeError, or an integer of too many digits
        line = re.search(r"at line (\d+)", str(error))
        number = int(line[1]) if line else len(text.splitlines())
        raise ProjectError(
            f"not valid TOML: {error}", where=f"{path}:{number}", hint="mend the line"
        ) from None
    except OSError as error:
        raise ProjectError(
            f"cannot be read: {error.strerror}", where=str(path), hint="check who may read it"
        ) from error
    tool = document.get("tool", {})
    if not isinstance(tool, dict) or "dockyard" not in tool:
        return None
    table = tool["dockyard"]
    if not isinstance(table, dict):
        raise SettingsError(
            "“dockyard” is not a table",
            where="pyproject.toml [tool]",
            hint="write [tool.dockyard] and its keys below",
        )
    return table


def _find_root(start: Path) -> tuple[Path, Mapping[str, object]]:
    nearest = None
    for folder in (start, *start.parents):
        path = folder / "pyproject.toml"
        if path.is_file():
            table = _read_pyproject(path)
            if table is not None:
                return folder, table
            nearest = nearest or folder
    if nearest is None:
        raise ProjectError(
            "there is no pyproject.toml here or in any folder above",
            where=str(start),
            hint="start a project with `uv init`, or change to the folder of one",
        )
    return nearest, {}


def _read_dotenv(
    path: Path, environment: Mapping[str, str]
) -> tuple[dict[str, tuple[str, int]], set[str], list[Problem]]:
    """Read ``.env``: each entry with its line, the interpolated names, and what is wrong.

    ``${NAME}`` is the environment's value, else the file's own from an earlier line, as
    python-dotenv has it. No problem repeats any of the file's text.
    """
    if not path.exists() or path.is_dir():
        return {}, set(), []
    import io

    from dotenv.parser import parse_stream
    from dotenv.variables import Variable, parse_variables

    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        fault = f"cannot be read: {error.strerror}"
        return {}, set(), [Problem(fault, ".env", "check who may read it")]
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return {}, set(), [Problem("is not UTF-8", f".env, line {line}", "save the file as UTF-8")]
    # With “\r\n”, python-dotenv would count an unparsable line twice.
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    entries: dict[str, tuple[str, int]] = {}
    interpolated = set()
    problems = []
    for binding in parse_stream(io.StringIO(text)):
        # A binding starts at the blank lines before it.
        original = binding.original.string
        blank = original[: len(original) - len(original.lstrip())]
        line = binding.original.line + blank.count("\n")
        name, value = binding.key, binding.value
        if binding.error:
            problems.append(
                Problem(
                    "the line is not NAME=value",
                    f".env, line {line}",
                    "close its quotes, or begin it with # if it is a comment",
                )
            )
        elif name is not None and value is not None:
            atoms = list(parse_variables(value))
            if any(isinstance(atom, Variable) for atom in atoms):
                interpolated.add(name)
                known = {key: entry for key, (entry, _) in entries.items()} | dict(environment)
                value = "".join(atom.resolve(known) for atom in atoms)
            entries[name] = (value, line)
        elif name is not None and name.startswith(OWN_PREFIX):
            problems.append(
                Problem(
                    f"{_shown(name)} has no value",
                    f".env, line {line}",
                    f"write {_UNPRINTABLE.sub('�', name)}=value",
                )
            )
    return entries, interpolated, problems


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
    root, pyproject = _find_root(start.resolve()) if table is None else (start.resolve(), table)
    dotenv, interpolated, problems = _read_dotenv(root / ".env", environment)
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
    return settings
