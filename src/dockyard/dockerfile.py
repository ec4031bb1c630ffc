"""Settings and a layer plan, as the Dockerfile's text; and back, the plan that a Dockerfile keeps.

The file is the user's once it is written. Its second line carries the digest of the text that
Dockyard rendered, so that an untouched file (which may be rendered again) and an edited one (which
may not) are told apart without any other state.
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

from dockyard.errors import DockerfileError
from dockyard.layers import Layer, LayerPlan
from dockyard.local_packages import NO_LOCAL_PACKAGES, LocalPackages

if TYPE_CHECKING:
    import jinja2

    from dockyard.settings import Settings

__all__ = [
    "APPLICATION_STAGE",
    "DEPENDENCY_STAGE_PREFIX",
    "DockerfileState",
    "Recipe",
    "accept",
    "dockerfile_state",
    "is_dependency_stage",
    "read_plan",
    "recipe",
    "render",
    "render_dockerignore",
    "template_digest",
]

APPLICATION_STAGE = "app-builder"
DEPENDENCY_STAGE_PREFIX = "dependencies-"
APPLICATION_FOLDER = "/app"

_MARK = "# dockyard: rendered "
_PLAIN_WORD = re.compile(r"[A-Za-z0-9._/@+-]+")


def is_dependency_stage(stage: str) -> bool:
    """Tell whether a stage belongs to the dependencies: their builder, the plan, or a layer."""
    others = ("dependency-builder", "plan", "local-packages")
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


def _copy(path: str) -> str:
    source = str(PurePosixPath(path))
    target = f"{APPLICATION_FOLDER}/{source}"
    if _PLAIN_WORD.fullmatch(source):
        return f"{source} {target}"
    return f"[{_escaped(source)}, {_escaped(target)}]"


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


def _assignment(plan: LayerPlan) -> str:
    last = len(plan.layers)
    lines = [
        f"{number} {package}"
        for number, layer in enumerate(plan.layers, start=1)
        for package in layer.packages
        if number < last
    ]
    return "\n".join(["COPY <<'ASSIGNMENT' /plan/assignment", *lines, f"{last} *", "ASSIGNMENT"])


def _copies(plan: LayerPlan) -> str:
    return "\n".join(
        f"COPY --link --from=dependencies-{number} /dependencies-{number}/ /"
        for number in range(1, len(plan.layers) + 1)
    )


def _templates() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("dockyard"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - no HTML: values are quoted as Dockerfile words
    )


def render_dockerignore(
    copy_paths: Sequence[str], install: str = "copy", local: LocalPackages = NO_LOCAL_PACKAGES
) -> str:
    """Render a .dockerignore that lets in only what the image needs."""
    paths = [*copy_paths, *local.packages]
    if install == "wheel":
        # Build backends read these beside the sources.
        paths += [*(one for one in local.members if one != "."), "README*", "LICEN[CS]E*"]
    unique = tuple(dict.fromkeys(paths))
    return _templates().get_template("dockerignore.jinja").render(copy_paths=unique)


def render(recipe: Recipe, plan: LayerPlan) -> str:
    """Render the whole Dockerfile; the same recipe and plan always give the same text."""
    environment = _templates()
    numbers = range(1, len(plan.layers) + 1)
    slim = _slim(recipe)
    wheel = recipe.install == "wheel"
    body = environment.get_template("Dockerfile.jinja").render(
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
            json.dumps(list(recipe.health_check), ensure_ascii=False) if recipe.health_check else ""
        ),
        assignment=_assignment(plan),
        dependencies=environment.get_template("dependencies.jinja")
        .render(numbers=numbers, slim=slim)
        .strip(),
        copies=_copies(plan),
    )
    return _stamp(body, _digest(body))


def _digest(body: str) -> str:
    return "sha256:" + hashlib.sha256(body.encode()).hexdigest()


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


def read_plan(text: str, where: str = "docker/Dockerfile") -> LayerPlan | None:
    """Read the layer plan that a Dockerfile keeps in its assignment region.

    Returns None where the file has no such region (somebody wrote it by other means). Raises
    :class:`DockerfileError` naming the line where the region is malformed.
    """
    packages: dict[int, list[str]] = {}
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
            if not match or int(match[1]) < 1:
                raise DockerfileError(
                    f"“{line.strip()}” is no layer assignment (a layer's number and a package)",
                    where=f"{where}, line {number}",
                    hint="mend the line, or run `invoke init --replace` to render the file again",
                )
            if match[2] == "*":
                last = int(match[1])
            else:
                packages.setdefault(int(match[1]), []).append(match[2])
    if not inside:
        return None
    if last is None or max(packages, default=0) >= last:
        raise DockerfileError(
            "the layer assignment names no last layer (“N *”, N greater than all others)",
            where=where,
            hint="add the line, or run `invoke init --replace` to render the file again",
        )
    return LayerPlan(tuple(Layer(tuple(packages.get(number, ()))) for number in range(1, last + 1)))


def template_digest() -> str:
    """Digest the templates: a newer Dockyard may render the same settings differently."""
    digest = hashlib.sha256()
    for path in sorted((Path(__file__).parent / "templates").iterdir()):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()
