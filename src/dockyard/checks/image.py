"""Checks of the built image: its user, size, tools and wasted bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dockyard.checks.verdicts import Finding, Verdict, judge
from dockyard.display.format import format_bytes, format_count, shorten
from dockyard.errors import CheckUnavailableError

if TYPE_CHECKING:
    from dockyard.checks.contents import LayerContents
    from dockyard.checks.workbench import Workbench
    from dockyard.dockerfile_syntax import Stage

__all__ = [
    "Waste",
    "check_image_size",
    "check_no_compiler",
    "check_no_uv",
    "check_non_root",
    "check_wasted_bytes",
    "compilers",
    "is_root",
    "layer_origin",
    "uv_files",
    "wasted",
]

LARGEST_WASTE = 5
_BINARIES = re.compile(r"(?:^|/)(?:bin|sbin|libexec|cargo)/[^/]+$|^[^/]+$")
_COMPILER = re.compile(
    r"(?:[\w.]+-linux-gnu\w*-|[\w.]+-alpine-linux-musl-)?"
    r"(?:gcc|g\+\+|cc|c\+\+|clang|clang\+\+|tcc|gfortran|rustc|cargo|go|nvcc)(?:-\d+(?:\.\d+)*)?"
)
_COMPILER_PROGRAM = re.compile(r"(?:^|/)(?:cc1|cc1plus|f951|lto1)$")
_COMPILING_PACKAGES = re.compile(
    r"build-essential|(?:gcc|g\+\+|clang|gfortran)(?:-\d+)?|rustc|cargo|golang.*|tcc|nvidia-cuda-toolkit"
)


def is_root(user: str) -> bool:
    """Tell whether an image's ``User`` is root: none at all, the name, or the number 0."""
    name = user.partition(":")[0]
    return name in ("", "root") or (name.isdigit() and int(name) == 0)


def _user_line(stage: Stage) -> int:
    lines = [one.line for one in stage.instructions if one.keyword == "USER"]
    return lines[-1] if lines else stage.line


def check_non_root(workbench: Workbench) -> Verdict:
    """Ask the engine which user the container runs as."""
    from dockyard.engine import inspect_images

    found = inspect_images([workbench.image]).get(workbench.image)
    if found is None:
        raise CheckUnavailableError(f"the engine does not have {workbench.image}")
    user = str((found.get("Config") or {}).get("User") or "")
    findings = []
    if is_root(user):
        findings.append(
            Finding(
                f"the container runs as {user or 'root: there is no USER'}",
                _user_line(workbench.stages[-1]),
                workbench.settings.dockerfile,
            )
        )
    return judge(
        "non-root",
        findings,
        f"user {user or 'root'}",
        f"end the final stage with `USER {workbench.settings.user}`",
    )


def check_image_size(workbench: Workbench) -> Verdict:
    """Compare the image's compressed size with the budget."""
    record, budget = workbench.built.record, workbench.settings.image_budget
    size = record.image.get("content_bytes")
    if not isinstance(size, int):
        raise CheckUnavailableError("the engine does not tell the image's size")
    findings = []
    if size > budget:
        largest = sorted(record.layers, key=lambda layer: -layer.size)[:3]
        shown = ", ".join(f"{one.holds} ({format_bytes(one.size)} unpacked)" for one in largest)
        findings.append(
            Finding(
                f"{format_bytes(size)} is more than DOCKYARD_IMAGE_BUDGET, "
                f"{format_bytes(budget)}; the largest layers: {shown}"
            )
        )
    return judge(
        "image-size",
        findings,
        f"{format_bytes(size)} compressed",
        "`invoke optimize --only weight` proposes what can go; or raise DOCKYARD_IMAGE_BUDGET",
    )


def _final_files(layers: Sequence[LayerContents]) -> dict[str, LayerContents]:
    """Return the paths that are in the container, each with the layer that it comes from."""
    found: dict[str, LayerContents] = {}
    for layer in layers:
        for path in layer.removed:
            for gone in _below(found, path):
                del found[gone]
        found.update(dict.fromkeys(layer.files, layer))
    return found


def _below(paths: Mapping[str, object], removed: str) -> list[str]:
    """List the paths that a removed one takes away: itself, and all below it."""
    folder = removed.rstrip("/") + "/"
    exact = [removed] if removed in paths else []
    return exact or [path for path in paths if path.startswith(folder)]


def layer_origin(layer: LayerContents) -> str:
    """Say where a file is from."""
    origin = "the base image" if layer.base else f"the layer of {shorten(layer.created_by, 60)}"
    return f"from {origin}"


def uv_files(layers: Sequence[LayerContents], *, wanted: bool) -> list[Finding]:
    """Find uv and its caches in the container; ``wanted``: a package of the lock brings it."""
    found = []
    for path, layer in _final_files(layers).items():
        name = path.rpartition("/")[2]
        program = name in ("uv", "uvx") and layer.files[path].executable
        if program and not (wanted and "/bin/" in f"/{path}" and "venv" in path):
            found.append(Finding(f"/{path} is in the image, {layer_origin(layer)}"))
    caches = {
        match[0]: layer
        for path, layer in _final_files(layers).items()
        if (match := re.match(r"(?:.*/)?\.?cache/uv/", path))
    }
    found += [
        Finding(f"uv's cache /{path} is in the image, {layer_origin(layer)}")
        for path, layer in caches.items()
    ]
    return found


def check_no_uv(workbench: Workbench) -> Verdict:
    """Look for uv in the container."""
    wanted = any(one.name == "uv" for one in workbench.project.packages)
    findings = uv_files(workbench.exported.layers, wanted=wanted)
    return judge(
        "no-uv",
        findings,
        f"{format_count(len(findings), 'file')} of uv",
        "mount uv where a step needs it: RUN --mount=type=bind,from=uv-tool,source=/uv,"
        "target=/usr/local/bin/uv",
    )


def compilers(layers: Sequence[LayerContents]) -> list[Finding]:
    """Find compilers in the container's folders of programs."""
    found = []
    for path, layer in _final_files(layers).items():
        name = path.rpartition("/")[2]
        program = _BINARIES.search(path) and _COMPILER.fullmatch(name)
        if (program or _COMPILER_PROGRAM.search(path)) and layer.files[path].executable:
            found.append(Finding(f"/{path} is in the image, {layer_origin(layer)}"))
    return found


def check_no_compiler(workbench: Workbench) -> Verdict:
    """Look for compilers in the container."""
    asked = [
        one for one in workbench.settings.runtime_packages if _COMPILING_PACKAGES.fullmatch(one)
    ]
    findings = compilers(workbench.exported.layers)
    figure = f"{format_count(len(findings), 'program')} of compilers"
    if asked:
        return judge(
            "no-compiler", (), figure, "", (f"DOCKYARD_RUNTIME_PACKAGES asks for {asked[0]}",)
        )
    return judge(
        "no-compiler",
        findings,
        figure,
        "what compiles belongs into DOCKYARD_BUILD_PACKAGES, and the base image is a slim one",
    )


@dataclass(frozen=True)
class Waste:
    """A file that a later layer hides: its bytes, and the layer that overwrites or removes it."""

    path: str
    bytes: int
    hidden_by: str


def wasted(layers: Sequence[LayerContents]) -> list[Waste]:
    """List the files that pull and store cost bytes and no container sees, the largest first.

    What the base image hides of itself is left out: nobody here can change it.
    """
    held: dict[str, int] = {}
    found = []
    for layer in layers:
        hidden = [gone for path in layer.removed for gone in _below(held, path)]
        hidden += [path for path in layer.files if path in held]
        for path in dict.fromkeys(hidden):
            size = held.pop(path)
            if size and not layer.base:
                found.append(Waste(path, size, layer.created_by))
        held.update({path: entry.bytes for path, entry in layer.files.items()})
    return sorted(found, key=lambda one: (-one.bytes, one.path))


def check_wasted_bytes(workbench: Workbench) -> Verdict:
    """Sum what layers hide of those below them, against the budget."""
    waste = wasted(workbench.exported.layers)
    total, budget = sum(one.bytes for one in waste), workbench.settings.waste_budget
    findings = [
        Finding(
            f"/{one.path} ({format_bytes(one.bytes)}) is overwritten or removed by "
            f"{shorten(one.hidden_by, 60)}"
        )
        for one in waste[:LARGEST_WASTE]
    ]
    figure = f"{format_bytes(total)} in {format_count(len(waste), 'file')}"
    return judge(
        "wasted-bytes",
        findings if total > budget else (),
        figure if total <= budget else f"{figure}, the budget is {format_bytes(budget)}",
        "write and remove a file in the same RUN, or in a stage that is not the image's",
    )
