"""The Dockerfile that this repository checks in, as BuildKit will take it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockyard.dockerfile import (
    DockerfileState,
    dockerfile_state,
    read_plan,
    recipe,
    render,
)
from dockyard.dockerfile_syntax import (
    Instruction,
    Stage,
    executed_after_linked_copy,
    parse_dockerfile,
)
from dockyard.layers import assign
from dockyard.local_packages import find_local_packages
from dockyard.preparation import project_facts
from dockyard.project import ProjectFacts
from dockyard.settings import Settings, load_settings


@pytest.fixture(scope="module")
def settings(repository: Path) -> Settings:
    return load_settings(repository, {}, {})


@pytest.fixture(scope="module")
def text(settings: Settings) -> str:
    return (settings.root / settings.dockerfile).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def stages(text: str) -> tuple[Stage, ...]:
    return parse_dockerfile(text)


@pytest.fixture(scope="module")
def final(stages: tuple[Stage, ...]) -> Stage:
    return stages[-1]


@pytest.fixture(scope="module")
def facts(settings: Settings) -> ProjectFacts:
    return project_facts(settings)


def every(stages: tuple[Stage, ...], keyword: str) -> Iterator[Instruction]:
    return (one for stage in stages for one in stage.instructions if one.keyword == keyword)


def test_it_is_what_the_settings_render(settings: Settings, facts: ProjectFacts, text: str) -> None:
    plan = read_plan(text)
    assert plan is not None
    local = find_local_packages(
        settings.root / settings.project,
        facts,
        install=settings.install,
        copy_paths=settings.copy_paths,
    )
    rendered = render(recipe(settings, settings.image or facts.name, local), plan)
    assert rendered == text
    assert dockerfile_state(text, rendered) is DockerfileState.CURRENT


def test_no_frontend_image_is_pulled(text: str) -> None:
    assert not re.search(r"^\s*#\s*syntax\s*=", text, re.IGNORECASE | re.MULTILINE)


def test_nothing_executes_after_the_first_linked_copy(final: Stage) -> None:
    assert executed_after_linked_copy(final) == []
    copies = [one for one in final.instructions if one.keyword == "COPY"]
    assert copies
    assert all(one.linked for one in copies)


def test_nothing_executes_in_the_final_stage_at_all(final: Stage) -> None:
    """No package is installed for run time: only the working folder is made."""
    assert not {one.keyword for one in final.instructions} & {"RUN", "ADD", "ONBUILD"}


def test_every_layer_of_the_plan_is_a_stage_and_a_copy(
    text: str, stages: tuple[Stage, ...], final: Stage
) -> None:
    plan = read_plan(text)
    assert plan is not None
    names = [f"dependencies-{number + 1}" for number in range(len(plan.layers))]
    assert [one.name for one in stages if re.match(r"dependencies-\d", one.name or "")] == names
    sources = [
        flag.partition("=")[2]
        for one in final.instructions
        for flag in one.flags
        if flag.startswith("--from=")
    ]
    assert [one for one in sources if one.startswith("dependencies-")] == names


def test_the_plan_names_only_what_is_locked(text: str, facts: ProjectFacts) -> None:
    plan = read_plan(text)
    assert plan is not None
    named = {name for layer in plan.layers for name in layer.packages}
    assert named <= {one.name for one in facts.packages}
    assert all(assign(plan, facts.packages))


def test_uv_is_mounted_and_never_copied(stages: tuple[Stage, ...]) -> None:
    (tool,) = (one for one in stages if one.name == "uv-tool")
    assert tool.instructions == ()
    assert not [
        one for one in (*every(stages, "COPY"), *every(stages, "ADD")) if "uv-tool" in one.text
    ]
    assert not [one.name for one in stages if one.base == "uv-tool"]
    users = [one for one in every(stages, "RUN") if "from=uv-tool" in one.text]
    assert users
    mount = "--mount=type=bind,from=uv-tool,source=/uv,target=/usr/local/bin/uv"
    assert all(mount in one.flags for one in users)


def test_every_step_that_runs_uv_has_it_mounted(stages: tuple[Stage, ...]) -> None:
    for one in every(stages, "RUN"):
        script = "\n".join((one.text, *one.heredocs))
        if re.search(r"(?:^|[\s;&|])(?:uv (?:venv|pip|export|build)|install-layer)\s", script):
            assert "from=uv-tool" in one.text, one


def test_it_runs_as_a_numeric_user_who_is_not_root(final: Stage) -> None:
    users = [one.text for one in final.instructions if one.keyword == "USER"]
    assert users
    assert re.fullmatch(r"[1-9]\d*(:\d+)?", users[-1])


def test_the_command_is_in_exec_form(final: Stage, settings: Settings) -> None:
    (command,) = (one for one in final.instructions if one.keyword == "CMD")
    assert json.loads(command.text) == list(settings.command)
    assert not [one for one in final.instructions if one.keyword == "ENTRYPOINT"]


def test_cache_mounts_have_an_explicit_id_and_the_same_options(stages: tuple[Stage, ...]) -> None:
    """Without an id, or with other options, BuildKit takes another cache (convert_runmount.go)."""
    mounts = {
        flag
        for one in every(stages, "RUN")
        for flag in one.flags
        if flag.startswith("--mount=type=cache")
    }
    assert mounts == {"--mount=type=cache,id=dockyard-uv,target=/var/cache/uv"}


def test_no_secret_is_an_argument(stages: tuple[Stage, ...]) -> None:
    names = [one.text.partition("=")[0] for one in every(stages, "ARG")]
    assert not [name for name in names if re.search(r"TOKEN|PASSWORD|SECRET|USERNAME|KEY", name)]


def test_labels_are_those_of_the_image_specification(final: Stage) -> None:
    labels = " ".join(one.text for one in final.instructions if one.keyword == "LABEL")
    for name in ("title", "created", "revision", "source", "version"):
        assert f"org.opencontainers.image.{name}=" in labels


def test_all_images_are_arguments(stages: tuple[Stage, ...]) -> None:
    named = {one.name for one in stages}
    pulled = {one.base for one in stages} - named - {"scratch"}
    assert pulled == {"${PYTHON_IMAGE}", "${UV_IMAGE}"}
