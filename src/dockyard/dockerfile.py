"""Settings and a layer plan, as the Dockerfile's text; and back, the plan that a Dockerfile keeps.

The file is the user's once it is written. Its second line carries the digest of the text that
Dockyard rendered (all but the layer plan), so that an untouched file (which may be rendered again)
and an edited one (which may not) are told apart without any other state.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dockyard.dockerfile_regions import (
    edited_regions,
    read_plan,
    render_regions,
    rewrite_regions,
    templates,
    without_plan,
)
from dockyard.local_packages import NO_LOCAL_PACKAGES, LocalPackages

if TYPE_CHECKING:
    from dockyard.layers import LayerPlan
    from dockyard.settings import Settings

__all__ = [
    "APPLICATION_STAGE",
    "DEPENDENCY_STAGE_PREFIX",
    "PLAN_STAGE",
    "DockerfileState",
    "Recipe",
    "accept",
    "dockerfile_state",
    "edited",
    "is_dependency_stage",
    "is_rendered",
    "keep_plan",
    "load_templates",
    "read_plan",
    "recipe",
    "render",
    "render_dockerignore",
    "template_digest",
]

APPLICATION_STAGE = "app-builder"
DEPENDENCY_STAGE_PREFIX = "dependencies-"
PLAN_STAGE = "plan"
APPLICATION_FOLDER = "/app"

_TEMPLATES = (
    "Dockerfile.jinja",
    "dependencies.jinja",
    "install-layer",
    "finish-layer",
    "split-lock",
)

_MARK = "# dockyard: rendered "
_PLAIN_WORD = re.compile(r"[A-Za-z0-9._/@+-]+")


def is_dependency_stage(stage: str) -> bool:
    """Tell whether a stage belongs to the dependencies: what builds them, the plan, or a layer."""
    others = ("scripts", "dependency-builder", "environment", PLAN_STAGE, "local-packages")
    return stage in others or stage.startswith(DEPENDENCY_STAGE_PREFIX)


@dataclass(frozen=True)
class Recipe:
    """What of the settings is written into the Dockerfile (all else reaches a build as arguments).

    Paths are relative to the build context; ``user`` is numeric, ``uid`` or ``uid:gid``.
    """

    dockerfile: str
    project: str
    title: str
    python_image: str
    uv_image: str
    extras: tuple[str, ...]
    groups: tuple[str, ...]
    copy_paths: tuple[str, ...]
    build_packages: tuple[str, ...]
    runtime_packages: tuple[str, ...]
    command: tuple[str, ...]
    health_check: tuple[str, ...]
    ports: tuple[int, ...]
    user: str
    byte_compile: bool
    install: str = "copy"
    slim: tuple[str, ...] = ()
    ca_in_image: bool = False
    local: LocalPackages = NO_LOCAL_PACKAGES


def recipe(settings: Settings, title: str, local: LocalPackages) -> Recipe:
    """Take from the settings, and from what the lock has in folders, what is rendered."""
    return Recipe(
        dockerfile=settings.dockerfile,
        project=settings.project,
        title=title,
        python_image=settings.python_image,
        uv_image=settings.uv_image,
        extras=settings.extras,
        groups=settings.groups,
        copy_paths=settings.copy_paths,
        build_packages=settings.build_packages,
        runtime_packages=settings.runtime_packages,
        command=settings.command,
        health_check=settings.health_check,
        ports=settings.ports,
        user=settings.user,
        byte_compile=settings.byte_compile,
        install=settings.install,
        slim=settings.slim,
        ca_in_image=settings.ca_in_image,
        local=local,
    )


def _escaped(text: str) -> str:
    """Quote ``text`` as a double-quoted word in which nothing is expanded."""
    return json.dumps(text, ensure_ascii=False).replace("$", "\\$")


def _copied_word(text: str) -> str:
    """Quote ``text`` as a word of a COPY's JSON array, in which words are read as a shell's.

    BuildKit looks for here-documents in arrays, too: "<<" must not stand there as it is.
    """
    literal = re.sub(r"""([\\'"$])""", r"\\\1", text)
    return json.dumps(literal, ensure_ascii=False).replace("<", "\\u003c")


def _copy(path: str) -> str:
    source = str(PurePosixPath(path))
    target = f"{APPLICATION_FOLDER}/{source}"
    if _PLAIN_WORD.fullmatch(source):
        return f"{source} {target}"
    return f"[{_copied_word(source)}, {_copied_word(target)}]"


def _python_path(recipe: Recipe) -> str:
    if recipe.install == "wheel":
        return ""
    has_source_folder = any(PurePosixPath(path).parts[:1] == ("src",) for path in recipe.copy_paths)
    first = f"{APPLICATION_FOLDER}/src" if has_source_folder else APPLICATION_FOLDER
    members = (f"{APPLICATION_FOLDER}/{path}" for path in recipe.local.python_path)
    return ":".join((first, *members))


def _copied(recipe: Recipe) -> tuple[str, ...]:
    """List the paths that the image gets as they are: all but the sources that wheels are of."""
    if recipe.install == "copy":
        return recipe.copy_paths
    members = (PurePosixPath(one) for one in recipe.local.members if one != ".")
    built = {PurePosixPath("src"), *members}
    return tuple(
        path
        for path in recipe.copy_paths
        if built.isdisjoint((PurePosixPath(path), *PurePosixPath(path).parents))
    )


def _slim(recipe: Recipe) -> str:
    """Render the policies as arguments; what is compiled on purpose is not left out again."""
    unwanted = ("bytecode",) if recipe.byte_compile else ()
    return "".join(f" {policy}" for policy in recipe.slim if policy not in unwanted)


def render_dockerignore(
    copy_paths: Sequence[str], install: str = "copy", local: LocalPackages = NO_LOCAL_PACKAGES
) -> str:
    """Render a .dockerignore that lets in only what the image needs."""
    paths = [*copy_paths, *local.packages]
    if install == "wheel":
        # Build backends read these beside the sources.
        paths += [*(one for one in local.members if one != "."), "README*", "LICEN[CS]E*"]
    unique = tuple(dict.fromkeys(paths))
    return templates().get_template("dockerignore.jinja").render(copy_paths=unique)


def load_templates() -> None:
    """Compile what :func:`render` needs: most of its time, and needs to know nothing yet."""
    for name in _TEMPLATES:
        templates().get_template(name)


def render(recipe: Recipe, plan: LayerPlan) -> str:
    """Render the whole Dockerfile; the same recipe and plan always give the same text."""
    slim = _slim(recipe)
    wheel = recipe.install == "wheel"
    body = (
        templates()
        .get_template("Dockerfile.jinja")
        .render(
            dockerfile=recipe.dockerfile,
            project=recipe.project,
            title=_escaped(recipe.title),
            python_image=recipe.python_image,
            uv_image=recipe.uv_image,
            extras=recipe.extras,
            groups=recipe.groups,
            build_packages=recipe.build_packages,
            runtime_packages=recipe.runtime_packages,
            byte_compile=recipe.byte_compile,
            python_path=_python_path(recipe),
            copy_instructions=[_copy(path) for path in _copied(recipe)],
            members=[shlex.quote(one) for one in recipe.local.members] if wheel else [],
            local_packages=[shlex.quote(path) for path in recipe.local.packages],
            git_sources=recipe.local.git,
            ca_in_image=recipe.ca_in_image,
            slim=slim,
            ports=recipe.ports,
            user=recipe.user,
            command=json.dumps(list(recipe.command), ensure_ascii=False) if recipe.command else "",
            health_check=(
                json.dumps(list(recipe.health_check), ensure_ascii=False)
                if recipe.health_check
                else ""
            ),
            **render_regions(plan, slim),
        )
    )
    return _stamp(body, _digest(body))


def _digest(body: str) -> str:
    """Digest all but the layer plan: that changes with every lock, in edited files too."""
    return "sha256:" + hashlib.sha256(without_plan(body).encode()).hexdigest()


def _stamp(body: str, digest: str) -> str:
    first, _, rest = body.partition("\n")
    return f"{first}\n{_MARK}{digest}\n{rest}"


def _split(text: str) -> tuple[str, str | None]:
    """Take the mark out of the file: its other lines, and the digest that it holds."""
    lines = text.replace("\r\n", "\n").split("\n")
    for position, line in enumerate(lines[:5]):
        if line.startswith(_MARK):
            return "\n".join(lines[:position] + lines[position + 1 :]), line[len(_MARK) :].strip()
    return "\n".join(lines), None


def is_rendered(text: str) -> bool:
    """Tell whether Dockyard wrote the file once, whatever became of it since."""
    return _split(text)[1] is not None


class DockerfileState(StrEnum):
    """How the Dockerfile on disk stands to the one that the settings would render.

    - ``missing``: there is none.
    - ``current``: it is the rendered one.
    - ``outdated``: untouched since it was rendered, from other settings; safe to render again.
    - ``edited``: changed by hand, and the settings are those it was rendered from.
    - ``diverged``: changed by hand, and the settings changed as well: a person decides.
    """

    MISSING = "missing"
    CURRENT = "current"
    OUTDATED = "outdated"
    EDITED = "edited"
    DIVERGED = "diverged"


def dockerfile_state(on_disk: str | None, rendered: str) -> DockerfileState:
    """Compare the file's text with what would be rendered now."""
    if on_disk is None:
        return DockerfileState.MISSING
    body, mark = _split(on_disk)
    rendered_body, rendered_mark = _split(rendered)
    if body == rendered_body:
        return DockerfileState.CURRENT
    if mark == _digest(body):
        return DockerfileState.OUTDATED
    return DockerfileState.EDITED if mark == rendered_mark else DockerfileState.DIVERGED


def accept(on_disk: str, rendered: str) -> str:
    """Return the user's file, marked as standing beside ``rendered`` by the user's choice."""
    body, _ = _split(on_disk)
    return _stamp(body, _digest(_split(rendered)[0]))


def edited(on_disk: str, recipe: Recipe, plan: LayerPlan) -> tuple[str, ...]:
    """Name the marked regions that are not as ``recipe`` and the file's own plan render them."""
    return edited_regions(on_disk, plan, _slim(recipe))


def keep_plan(on_disk: str, recipe: Recipe, plan: LayerPlan) -> str:
    """Return the file with another plan in its marked regions, and every other line as it was."""
    return rewrite_regions(on_disk, plan, _slim(recipe))


def template_digest() -> str:
    """Digest the templates: a newer Dockyard may render the same settings differently."""
    digest = hashlib.sha256()
    for path in sorted((Path(__file__).parent / "templates").iterdir()):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()
