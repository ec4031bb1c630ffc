"""The text of ``.env.example``: every setting, commented out, with its help."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from dockyard.settings_fields import CREDENTIALS, FIELDS, Field

__all__ = ["WIDTH", "assignment", "render_env_example"]

WIDTH = 96

_HEADER = """\
Settings of Dockyard. Copy this file to .env and remove the “# ” before what you change; keep
.env out of version control where it holds a password.

What counts first: a flag of the command, the environment, .env, [tool.dockyard] in
pyproject.toml, the default. In pyproject.toml DOCKYARD_COPY_PATHS is copy-paths = ["src"];
settings under other tools' names are accepted here and in the environment only.
A DOCKYARD_ name that is none of these is an error, which names its place and the nearest one.

A value stands as it is or in quotes; ${NAME} is the value of another variable. An empty list
(DOCKYARD_EXTRAS=) means “none of them”, any other empty value that it is not set.
"""


def _comment(text: str) -> Iterator[str]:
    yield from textwrap.wrap(
        text,
        WIDTH,
        initial_indent="# ",
        subsequent_indent="# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def assignment(name: str, value: str) -> str:
    """Write an entry that python-dotenv and a shell read alike."""
    plain = re.fullmatch(r"[\w./:,@=+~-]*", value)
    return f"{name}={value}" if plain else f'{name}="{value}"'


def _default(field: Field) -> str:
    """Name the default where there is one and the entry shows an example instead."""
    if field.example is None or field.default is None or field.default in ((), {}):
        return ""
    default = field.default
    return f"Default: “{','.join(default) if isinstance(default, tuple) else default}”."


def _entry(field: Field) -> Iterator[str]:
    choices = f"One of {', '.join(field.choices)}." if len(field.choices) > 1 else ""
    yield from _comment(" ".join(filter(None, (field.help, choices, _default(field)))))
    if field is CREDENTIALS:
        for pair in field.sample.split(","):
            yield f"# {assignment(*pair.split('=', 1))}"
    else:
        yield f"# {assignment(field.environment, field.sample)}"
    yield ""


def render_env_example() -> str:
    """Render the whole file from the table of settings."""
    lines = [f"# {line}".rstrip() for line in _HEADER.splitlines()]
    section = None
    for field in FIELDS:
        if field.section != section:
            if section == CREDENTIALS.section:
                lines += _entry(CREDENTIALS)
            section = field.section
            lines += ["", f"# {f' {section} ':-^{WIDTH - 2}}", ""]
        lines += _entry(field)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines).rstrip()) + "\n"
