"""The marked regions of a Dockerfile, which hold its layer plan: rendered, read and replaced. Pure.

They are ``assignment`` (which package is in which layer), ``dependencies`` (a stage for each layer)
and ``copies`` (a COPY for each). A line ``# dockyard: begin NAME`` opens a region, ``# dockyard:
end NAME`` closes it. All other lines of the file, and these two, are never touched here.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from dockyard.errors import DockerfileError
from dockyard.layers import Layer, LayerPlan

if TYPE_CHECKING:
    import jinja2

__all__ = [
    "REGIONS",
    "assignment_lines",
    "edited_regions",
    "read_plan",
    "read_regions",
    "render_regions",
    "rewrite_regions",
    "templates",
    "without_plan",
]

REGIONS = ("assignment", "dependencies", "copies")

_BEGIN = re.compile(r"# dockyard: begin ([a-z]+)")
_END = re.compile(r"# dockyard: end ([a-z]+)")
_FIRST = re.compile(r"(dependencies-|/plan/)1\b")


@functools.cache
def templates() -> jinja2.Environment:
    """Open the templates, once, because to compile one takes longer than to render it.

    Nothing in them is escaped; values are quoted as Dockerfile words.
    """
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("dockyard"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - no HTML
    )


def assignment_lines(plan: LayerPlan) -> list[str]:
    """Write which layer each package is in; the last line is for those that no line names."""
    lines = [
        f"{number} {package}"
        for number, layer in enumerate(plan.layers, start=1)
        for package in layer.packages
    ]
    return [*lines, f"{len(plan.layers)} *"]


def _assignment(plan: LayerPlan) -> str:
    lines = assignment_lines(plan)
    return "\n".join(["COPY <<'ASSIGNMENT' /plan/assignment", *lines, "ASSIGNMENT"])


def _copies(plan: LayerPlan) -> str:
    return "\n".join(
        f"COPY --link --from=dependencies-{number} /dependencies-{number}/ /"
        for number in range(1, len(plan.layers) + 1)
    )


def render_regions(plan: LayerPlan, slim: str) -> dict[str, str]:
    """Render each region for a plan, without a newline at its end.

    ``slim``: the arguments of ``finish-layer`` after the layer's name, with a space before each.
    """
    numbers = range(1, len(plan.layers) + 1)
    stages = templates().get_template("dependencies.jinja").render(numbers=numbers, slim=slim)
    return {
        "assignment": _assignment(plan),
        "dependencies": stages.strip(),
        "copies": _copies(plan),
    }


def _spans(lines: list[str]) -> dict[str, tuple[int, int]]:
    """Find the lines of each region; one that is opened twice or never closed is not there."""
    found: dict[str, tuple[int, int]] = {}
    broken = set()
    opened: tuple[str, int] | None = None
    for number, line in enumerate(lines):
        if begin := _BEGIN.match(line):
            if opened or begin[1] in found:
                broken |= {begin[1], opened[0] if opened else begin[1]}
            opened = (begin[1], number + 1)
        elif (end := _END.match(line)) and opened and opened[0] == end[1]:
            found[end[1]] = (opened[1], number)
            opened = None
    return {name: span for name, span in found.items() if name in REGIONS and name not in broken}


def read_regions(text: str) -> dict[str, str]:
    """Return the text of the regions that a Dockerfile has, without a newline at the end."""
    lines = text.replace("\r\n", "\n").split("\n")
    return {name: "\n".join(lines[start:end]) for name, (start, end) in _spans(lines).items()}


def edited_regions(text: str, plan: LayerPlan, slim: str) -> tuple[str, ...]:
    """Name the regions that are not as they are rendered for ``plan``, the plan of the file.

    One that is missing is edited too. Packages may be moved from layer to layer by hand: that
    makes another plan, and edits nothing.
    """
    found, rendered = read_regions(text), render_regions(plan, slim)
    return tuple(name for name in REGIONS if found.get(name) != rendered[name])


def rewrite_regions(text: str, plan: LayerPlan, slim: str) -> str:
    """Put a plan into the regions of a Dockerfile; all else stays as it is, byte for byte.

    Lines of the regions end as their first line did. Regions that the file lacks are left out.
    """
    return _replaced(text, render_regions(plan, slim))


def _replaced(text: str, regions: Mapping[str, str]) -> str:
    lines = text.split("\n")
    for name, (start, end) in sorted(_spans(lines).items(), key=lambda one: -one[1][0]):
        ending = "\r" if lines[start - 1].endswith("\r") else ""
        lines[start:end] = [line + ending for line in regions[name].split("\n")]
    return "\n".join(lines)


def without_plan(text: str) -> str:
    """Return a Dockerfile as it would be with one layer, so that files of all plans are equal.

    It is returned as it is if its regions disagree with each other: somebody edited them.
    """
    try:
        plan = read_plan(text)
    except DockerfileError:
        return text
    found = read_regions(text)
    if plan is None or found.keys() != set(REGIONS):
        return text
    first = found["dependencies"].partition("\n\nFROM ")[0]
    stages = (_FIRST.sub(rf"\g<1>{number}", first) for number in range(1, len(plan.layers) + 1))
    expected = (_assignment(plan), "\n\n".join(stages), _copies(plan))
    if tuple(found[name] for name in REGIONS) != expected:
        return text
    alone = LayerPlan((Layer(()),))
    regions = (_assignment(alone), first, _copies(alone))
    return _replaced(text, dict(zip(REGIONS, regions, strict=True)))


def read_plan(text: str, where: str = "docker/Dockerfile") -> LayerPlan | None:
    """Read the layer plan that a Dockerfile keeps in its assignment region.

    Returns None where the file has no such region (somebody wrote it by other means). Raises
    :class:`DockerfileError` naming the line where the region is malformed.
    """
    packages: dict[int, list[str]] = {}
    named: set[str] = set()
    last: int | None = None
    inside = heredoc = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("# dockyard: begin assignment"):
            inside = True
        elif line.startswith("# dockyard: end assignment"):
            break
        elif inside and line.startswith("COPY <<"):
            heredoc = True
        elif inside and heredoc and line == "ASSIGNMENT":
            heredoc = False
        elif heredoc and line.strip():
            match = re.fullmatch(r"(\d+) (\*|[a-z0-9-]+)", line.strip())
            problem = ""
            if not match or int(match[1]) < 1:
                problem = "is no layer assignment (a layer's number and a package)"
            elif match[2] in named:
                problem = "assigns this package a second time"
            if problem or not match:
                raise DockerfileError(
                    f"“{line.strip()}” {problem}",
                    where=f"{where}, line {number}",
                    hint="mend the line, or run `invoke init --replace` to render the file again",
                )
            named.add(match[2])
            if match[2] == "*":
                last = int(match[1])
            else:
                packages.setdefault(int(match[1]), []).append(match[2])
    if not inside:
        return None
    if last is None or max(packages, default=0) > last:
        raise DockerfileError(
            "the layer assignment names no last layer (“N *”, N the greatest of all)",
            where=where,
            hint="add the line, or run `invoke init --replace` to render the file again",
        )
    return LayerPlan(tuple(Layer(tuple(packages.get(number, ()))) for number in range(1, last + 1)))
