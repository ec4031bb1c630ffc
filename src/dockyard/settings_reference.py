"""The text of ``docs/settings.md``: every setting with its names, values, default and help.

``python -m dockyard.settings_reference > docs/settings.md`` writes it anew.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from dockyard.display.format import format_bytes
from dockyard.env_example import assignment
from dockyard.settings_fields import CREDENTIALS, FIELDS, Field, Kind

__all__ = ["render_settings_reference"]

_HEADER = """\
# Settings

Every setting, from the table that Dockyard itself reads. `invoke settings` shows the values in
force and where each came from, secrets masked; [`.env.example`](../.env.example) has the same
settings to copy.

What counts first: a flag of the command, the environment, `.env`, `[tool.dockyard]` in
pyproject.toml, the default. `.env` and pyproject.toml are those of the repository root. A
`DOCKYARD_` name that is not below is an error, which names its place and the nearest setting; all
mistakes are told at once.

In the environment and in `.env` a list is divided by commas, or by white space where that is said
below; an empty list (`DOCKYARD_EXTRAS=`) means “none of them”, any other empty value that the
setting is not set. In pyproject.toml a list is an array:

```toml
[tool.dockyard]
image = "shop"
copy-paths = ["src", "scripts"]
command = ["python", "-m", "shop"]
```
"""

_KINDS = {
    Kind.BYTES: "a size in bytes, or with a unit (20GB, 512MiB)",
    Kind.COMMAND: "a command: shell words or a JSON array",
    Kind.MAPPING: "entries key=value",
    Kind.STRING: "text",
}


def _anchor(section: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", section.lower()).replace(" ", "-")


def _value(field: Field) -> str:
    """Say what a value is."""
    if field.several:
        divided = "white space" if field.separator == " " else "commas"
        # A mapping's rule describes one entry, and so does every list's.
        entry = field.expects if field.rule or field.choices else _KINDS.get(field.kind, "")
        entry = entry or field.expects
        return f"list, divided by {divided}; each is {entry}"
    if field.choices:
        return f"one of {', '.join(f'`{choice}`' for choice in field.choices)}"
    return _KINDS[field.kind] if field.kind in _KINDS and not field.rule else field.expects


def _default(field: Field) -> str:
    if field.default is None or field.default in ((), {}):
        return "none"
    if field.kind is Kind.BOOLEAN:
        return f"`{str(field.default).lower()}`"
    if field.kind is Kind.BYTES and isinstance(field.default, int):
        return format_bytes(field.default)
    if isinstance(field.default, tuple):
        return f"`{field.separator.join(map(str, field.default))}`"
    return f"`{field.default}`"


def _entry(field: Field) -> Iterator[str]:
    # In a heading of its own “<NAME>” would be a tag.
    names = [f"`{name}`" if "<" in name else name for name in field.environment.split(", ")]
    yield f"### {' and '.join(names)}"
    yield ""
    yield field.help
    yield ""
    if field.key:
        yield f"- in `[tool.dockyard]`: `{field.key}`"
    else:
        yield "- not accepted in `[tool.dockyard]`"
    if field is not CREDENTIALS:
        yield f"- value: {_value(field)}"
        yield f"- default: {_default(field)}"
        if field.example is not None:
            yield f"- example: `{assignment(field.environment, field.example)}`"
    else:
        examples = " and ".join(f"`{one}`" for one in field.sample.split(","))
        yield f"- example: {examples}"
    yield ""


def render_settings_reference() -> str:
    """Render the whole page from the table of settings."""
    sections = list(dict.fromkeys(field.section for field in FIELDS))
    lines = _HEADER.splitlines()
    lines += ["", *(f"- [{section}](#{_anchor(section)})" for section in sections), ""]
    for section in sections:
        lines += [f"## {section}", ""]
        for field in FIELDS:
            if field.section == section:
                lines += _entry(field)
        if section == CREDENTIALS.section:
            lines += _entry(CREDENTIALS)
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.stdout.write(render_settings_reference())
