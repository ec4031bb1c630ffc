"""The places that settings come from: flags, environment, ``.env``, ``[tool.dockyard]``.

:func:`find_root` and :func:`read_dotenv` read files; the rest is pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePath

from dockyard.errors import Problem, ProjectError, SettingsError
from dockyard.settings_fields import CREDENTIAL_NAME, OWN_PREFIX, Field
from dockyard.settings_values import UNPRINTABLE, show_value, split_entries

__all__ = [
    "UNSET",
    "Origin",
    "Source",
    "find_root",
    "first_value",
    "place_of",
    "read_credentials",
    "read_dotenv",
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


UNSET = Source(Origin.DEFAULT, "default")


def first_value(
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
            parts = (
                split_entries(field, part) if isinstance(part, str) else (part,) for part in flag
            )
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
    return field.default, UNSET


def place_of(source: Source, name: str) -> str:
    """Say where a value was set; of ``.env`` also under which variable's ``name``."""
    return f"{source.where}, {name}" if source.origin is Origin.DOTENV else source.where


def read_credentials(
    environment: Mapping[str, str],
    dotenv: Mapping[str, tuple[str, int]],
    problems: list[Problem],
) -> tuple[dict[str, str], Source]:
    """Find the indexes' logins, the environment's first; add what cannot be one to ``problems``."""
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
        if UNPRINTABLE.search(text):
            fault = "the value holds a control or undecodable character"
            problems.append(Problem(fault, place_of(places[name], name), "enter it again"))
    if not found:
        return found, UNSET
    ranked = sorted(places.values(), key=lambda source: source.origin is Origin.DOTENV)
    return found, Source(ranked[0].origin, "; ".join(source.where for source in ranked))


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


def find_root(start: Path) -> tuple[Path, Mapping[str, object]]:
    """Return the repository root that ``start`` is in, and its ``[tool.dockyard]`` table.

    It is the nearest folder upwards whose pyproject.toml has that table, else the nearest with a
    pyproject.toml. Raises ProjectError where there is none, or a nearer one is malformed.
    """
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


def read_dotenv(
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
                    f"{show_value(name)} has no value",
                    f".env, line {line}",
                    f"write {UNPRINTABLE.sub('�', name)}=value",
                )
            )
    return entries, interpolated, problems
