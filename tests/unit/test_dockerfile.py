"""The Dockerfile: rendered, told apart from an edited one, and its plan read back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dockyard.dockerfile import (
    DockerfileState,
    Recipe,
    accept,
    dockerfile_state,
    read_plan,
    render,
)
from dockyard.dockerfile_syntax import (
    Instruction,
    executed_after_linked_copy,
    parse_dockerfile,
)
from dockyard.errors import DockerfileError
from dockyard.layers import Layer, LayerPlan

RECIPE = Recipe(
    dockerfile="docker/Dockerfile",
    project="service",
    title="service",
    python_image="docker.io/library/python:3.13-slim-trixie",
    uv_image="ghcr.io/astral-sh/uv:0.13.9",
    extras=("cpu",),
    groups=(),
    copy_paths=("src", "scripts"),
    build_packages=(),
    runtime_packages=(),
    command=("python", "-m", "service"),
    health_check=(),
    ports=(8000,),
    user="10001:10001",
    byte_compile=False,
)
PLAN = LayerPlan((Layer(("numpy",)), Layer(("pandas", "scipy")), Layer(())))


def test_plan_is_read_back_from_the_rendered_file() -> None:
    assert read_plan(render(RECIPE, PLAN)) == PLAN


def test_rendering_is_deterministic() -> None:
    assert render(RECIPE, PLAN) == render(RECIPE, PLAN)


def test_stages_are_those_of_the_design() -> None:
    stages = parse_dockerfile(render(RECIPE, PLAN))
    assert [stage.name for stage in stages] == [
        "uv-tool",
        "scripts",
        "dependency-builder",
        "environment",
        "plan",
        "dependencies-1",
        "dependencies-2",
        "dependencies-3",
        "app-builder",
    ]


EVERYTHING = replace(
    RECIPE,
    build_packages=("gcc", "libc6-dev"),
    runtime_packages=("libgomp1",),
    health_check=("python", "-c", "import service"),
    byte_compile=True,
)


@pytest.mark.parametrize("recipe", [RECIPE, EVERYTHING], ids=["plain", "everything"])
def test_nothing_executes_after_the_first_linked_copy(recipe: Recipe) -> None:
    final = parse_dockerfile(render(recipe, PLAN))[-1]
    assert [one.keyword for one in final.instructions if one.linked] == ["COPY"] * 6
    assert executed_after_linked_copy(final) == []


def test_the_checked_in_file_executes_nothing_after_a_linked_copy(repository: Path) -> None:
    text = (repository / "docker/Dockerfile").read_text()
    assert executed_after_linked_copy(parse_dockerfile(text)[-1]) == []
    assert not text.startswith("# syntax")
    assert "\n# syntax" not in text


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("RUN true", ["RUN"]),
        ("COPY other /other", ["COPY"]),
        ("COPY --link --chmod=755 other /other", ["COPY"]),
        ("WORKDIR /other", ["WORKDIR"]),
        ("ENV A=1", []),
        ("COPY --link other /other", []),
    ],
)
def test_what_executes_after_a_linked_copy_is_found(line: str, expected: list[str]) -> None:
    text = render(RECIPE, PLAN).replace("USER 10001", f"{line}\nUSER 10001")
    final = parse_dockerfile(text)[-1]
    assert [one.keyword for one in executed_after_linked_copy(final)] == expected


def test_apt_packages_are_installed_in_their_own_stages() -> None:
    stages = {stage.name: stage for stage in parse_dockerfile(render(EVERYTHING, PLAN))}
    builder = [text for one in stages["dependency-builder"].instructions for text in one.heredocs]
    final = [text for one in stages["app-builder"].instructions for text in one.heredocs]
    assert any("gcc libc6-dev" in text for text in builder)
    assert any("libgomp1" in text for text in final)
    assert not any("gcc" in text for text in final)


def test_byte_compilation_is_an_option() -> None:
    assert "UV_COMPILE_BYTECODE=1" not in render(RECIPE, PLAN)
    assert "UV_COMPILE_BYTECODE=1" in render(EVERYTHING, PLAN)


def test_uv_is_mounted_and_never_copied() -> None:
    for stage in parse_dockerfile(render(EVERYTHING, PLAN)):
        for one in stage.instructions:
            assert not (one.keyword == "COPY" and "uv-tool" in one.text)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("src", "src /app/src"),
        ("libs/core", "libs/core /app/libs/core"),
        ("my data", '["my data", "/app/my data"]'),
        # A word of the array is read as a shell's: each was built with Engine 28.5.
        ("a$b", r'["a\\$b", "/app/a\\$b"]'),
        ('quo"te', r'["quo\\\"te", "/app/quo\\\"te"]'),
        ("quo'te", r"""["quo\\'te", "/app/quo\\'te"]"""),
        ('a" <<EOF', r'["a\\\" \u003c\u003cEOF", "/app/a\\\" \u003c\u003cEOF"]'),
    ],
)
def test_paths_survive_quoting(path: str, expected: str) -> None:
    text = render(replace(RECIPE, copy_paths=(path,)), PLAN)
    assert f"\nCOPY --link {expected}\n" in text


@pytest.mark.parametrize(
    ("paths", "expected"),
    [(("src",), "/app/src"), (("src/service",), "/app/src"), (("service",), "/app")],
)
def test_python_path_follows_the_layout(paths: tuple[str, ...], expected: str) -> None:
    assert f"PYTHONPATH={expected} " in render(replace(RECIPE, copy_paths=paths), PLAN)


def test_command_is_in_exec_form() -> None:
    text = render(replace(RECIPE, command=("sh", "-c", 'echo "$HOME"')), PLAN)
    assert '\nCMD ["sh", "-c", "echo \\"$HOME\\""]\n' in text


def test_state_tells_untouched_from_edited() -> None:
    rendered = render(RECIPE, PLAN)
    changed = render(replace(RECIPE, ports=(9000,)), PLAN)
    edited = rendered.replace("USER 10001:10001", "USER 1000:1000")
    assert dockerfile_state(None, rendered) is DockerfileState.MISSING
    assert dockerfile_state(rendered, rendered) is DockerfileState.CURRENT
    assert dockerfile_state(rendered.replace("\n", "\r\n"), rendered) is DockerfileState.CURRENT
    assert dockerfile_state(rendered, changed) is DockerfileState.OUTDATED
    assert dockerfile_state(edited, rendered) is DockerfileState.EDITED
    assert dockerfile_state(edited, changed) is DockerfileState.DIVERGED
    assert dockerfile_state("FROM scratch\n", rendered) is DockerfileState.DIVERGED


def test_accepting_keeps_every_line_of_the_users() -> None:
    changed = render(replace(RECIPE, ports=(9000,)), PLAN)
    edited = render(RECIPE, PLAN).replace("USER 10001:10001", "USER 1000:1000")
    accepted = accept(edited, changed)
    assert dockerfile_state(accepted, changed) is DockerfileState.EDITED
    assert [line for line in accepted.splitlines() if "rendered sha256" not in line] == [
        line for line in edited.splitlines() if "rendered sha256" not in line
    ]


def test_no_region_is_no_plan() -> None:
    assert read_plan("FROM scratch\n") is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1 numpy", "one numpy", "no layer assignment"),
        ("1 numpy", "0 numpy", "no layer assignment"),
        ("3 *\n", "", "no last layer"),
        ("3 *", "1 *", "no last layer"),
        ("2 scipy", "1 numpy", "second time"),
    ],
)
def test_a_malformed_region_is_named(old: str, new: str, message: str) -> None:
    with pytest.raises(DockerfileError, match=message) as raised:
        read_plan(render(RECIPE, PLAN).replace(old, new), "docker/Dockerfile")
    assert str(raised.value).startswith("docker/Dockerfile")
    assert raised.value.problems[0].hint


def test_parser_reads_continuations_comments_and_heredocs() -> None:
    stages = parse_dockerfile(
        "ARG A=1\n"
        "FROM --platform=linux/amd64 base AS one\n"
        "RUN a \\\n"
        "  # a comment inside\n"
        "  b\n"
        "COPY <<'EOF' /file\n"
        "RUN not an instruction\n"
        "EOF\n"
        "FROM one\n"
        "RUN <<EOF cat\n"
        "FROM neither\n"
        "EOF\n"
    )
    assert [(stage.name, stage.base, stage.line) for stage in stages] == [
        ("one", "base", 2),
        (None, "one", 9),
    ]
    assert stages[0].instructions == (
        Instruction("RUN", "a b", 3),
        Instruction("COPY", "<<'EOF' /file", 6, ("RUN not an instruction\n",)),
    )
    assert stages[1].instructions[0].heredocs == ("FROM neither\n",)


def test_parser_honours_the_escape_directive() -> None:
    stages = parse_dockerfile("# escape=`\nFROM base\nRUN a `\n  b\nRUN c\\\nRUN d\n")
    assert [one.text for one in stages[0].instructions] == ["a b", "c\\", "d"]
