"""The requirements of each layer, as the Dockerfile's stage ``plan`` would write them. Pure.

A build that is given them as a build context of the stage's name does without the stage. Layers
mount folders of it, and BuildKit keys a mount by its content (``solver/llbsolver/ops/exec.go``): so
which of the two wrote them makes no difference to its cache, as long as they are the same.
"""

from __future__ import annotations

import functools
import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from dockyard.dockerfile import PLAN_STAGE
from dockyard.dockerfile_regions import assignment_lines, read_regions
from dockyard.dockerfile_syntax import Instruction, parse_dockerfile

if TYPE_CHECKING:
    from dockyard.layers import LayerPlan

__all__ = ["EXPORT_OPTIONS", "exact_version", "plan_files", "writes_the_plan"]

_SCRIPTS_STAGE = "scripts"
_SCRIPT = "split-lock"

EXPORT_OPTIONS = (
    "--quiet",
    "--no-cache",
    "--frozen",
    "--no-default-groups",
    "--no-emit-workspace",
    "--no-header",
    "--no-annotate",
)
"""What the stage gives to ``uv export``, beside the project, the extras and the groups."""


def exact_version(image: str) -> str | None:
    """Return the version that the tag of uv's image names in full; None if it names none.

    Tags are ``0.13.9`` or ``0.13.9-python3.13-trixie`` (uv's guide “Using uv in Docker”).
    """
    match = re.search(r":(\d+\.\d+\.\d+)(?:-[\w.-]+)?(?:@sha256:[0-9a-f]+)?$", image)
    return match[1] if match else None


def _of_the_plan(text: str) -> list[tuple[str | None, Instruction]]:
    """List what makes the plan, and what takes of it other than a layer's stage does."""
    layers = read_regions(text).get("dependencies", "").count("\n")
    begin = text.partition("# dockyard: begin dependencies")[0].count("\n")
    found = []
    for stage in parse_dockerfile(text):
        name = (stage.name or "").lower()
        whole = name == PLAN_STAGE
        if whole or stage.base.lower() == PLAN_STAGE:
            found.append((stage.name, Instruction("FROM", stage.base, 0)))
        for one in stage.instructions:
            taken = re.search(rf"from={PLAN_STAGE}\b", one.text) and not (
                begin < one.line <= begin + layers + 2
            )
            if name == _SCRIPTS_STAGE:
                # The other scripts are mounted beside the plan, and make none of it.
                names = re.findall(r"<<-?(\S+)", one.text)
                found += [
                    (stage.name, Instruction(one.keyword, "", 0, (text,)))
                    for script, text in zip(names, one.heredocs, strict=False)
                    if script.strip("'\"") == _SCRIPT
                ]
            elif whole or taken:
                found.append((stage.name, Instruction(one.keyword, one.text, 0, one.heredocs)))
    return found


def writes_the_plan(text: str, rendered: str) -> bool:
    """Whether a Dockerfile makes and uses the plan as the rendered one does.

    A stage that was edited may do more than write these files, and then it has to run.
    """
    return _of_the_plan(text) == _of_the_plan(rendered)


@functools.cache
def _script() -> ModuleType:
    """Load what the stage runs: there is one program that deals requirements to layers."""
    path = Path(__file__).parent / "templates" / _SCRIPT
    module = ModuleType("split_lock")
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)  # noqa: S102
    return module


def plan_files(plan: LayerPlan, exported: str, project: str, lock: str) -> dict[str, str]:
    """Return the files of the plan, by their path below the context.

    ``exported``: what ``uv export`` wrote; ``project`` and ``lock``: pyproject.toml and uv.lock. A
    layer for which there is nothing to install is a path that ends in a slash.
    """
    script = _script()
    assignment = assignment_lines(plan)
    lines = filter(None, map(str.strip, exported.replace("\\\n", " ").splitlines()))
    layers = {package: number for number, package in map(str.split, assignment)}
    dealt = script.deal(lines, layers, tomllib.loads(lock), tomllib.loads(project))
    files = {f"plan/{number}/": "" for number in set(layers.values())}
    files["plan/assignment"] = "".join(f"{line}\n" for line in assignment)
    for (layer, file), content in dealt.items():
        files.pop(f"plan/{layer}/", None)
        files[f"plan/{layer}/{file}"] = "\n".join(content) + "\n"
    return dict(sorted(files.items()))
