"""``docs/settings.md`` is what the table of settings renders, and holds all of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dockyard.settings_fields import FIELDS, Field
from dockyard.settings_reference import render_settings_reference

PAGE = render_settings_reference()


def test_the_checked_in_page_is_current(repository: Path) -> None:
    # To regenerate it: python -m dockyard.settings_reference > docs/settings.md
    assert (repository / "docs/settings.md").read_text(encoding="utf-8") == PAGE


def test_every_setting_has_one_heading() -> None:
    headings = re.findall(r"^### (\S+)$", PAGE, re.MULTILINE)
    assert sorted(headings) == sorted(field.environment for field in FIELDS)
    assert "### `UV_INDEX_<NAME>_USERNAME` and `UV_INDEX_<NAME>_PASSWORD`" in PAGE


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.environment)
def test_each_entry_says_what_the_table_says(field: Field) -> None:
    _, _, rest = PAGE.partition(f"### {field.environment}\n\n")
    entry = rest.partition("\n#")[0]
    assert entry.startswith(field.help)
    named = f"- in `[tool.dockyard]`: `{field.key}`" if field.key else "not accepted"
    assert named in entry
    for choice in field.choices:
        assert f"`{choice}`" in entry
    if isinstance(field.default, str):
        assert f"- default: `{field.default}`" in entry
    if field.default in (None, (), {}):
        assert "- default: none" in entry
