"""The blocks of ``docs/ci.md`` that are rendered; ``python -m support.ci_recipes`` renews them."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from dockyard.ci_templates import render_github, render_gitlab
from support.settings import make_settings

__all__ = ["DOCUMENT", "blocks", "renewed"]

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/ci.md"


def blocks() -> dict[str, str]:
    """Render each block by its name."""
    local = render_github(make_settings(), image="shop")
    steps = local[local.index("      # The dependency layers are made on") :]
    return {
        "github-registry": render_github(make_settings(registry="ghcr.io/acme"), image="shop"),
        "github-local": textwrap.dedent(steps),
        "gitlab": render_gitlab(make_settings()),
    }


def renewed(text: str) -> str:
    """Put the blocks into a document, between ``begin NAME`` and ``end NAME``."""
    for name, block in blocks().items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        found = re.findall(f"{begin}.*?{end}", text, re.DOTALL)
        if len(found) != 1:
            raise ValueError(f"the document has {len(found)} blocks {name}")
        text = text.replace(found[0], f"{begin}\n```yaml\n{block.rstrip()}\n```\n{end}")
    return text


if __name__ == "__main__":
    DOCUMENT.write_text(renewed(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
