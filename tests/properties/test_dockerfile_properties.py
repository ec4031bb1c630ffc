"""The Dockerfile: whatever the settings accept stays one word of one instruction."""

from __future__ import annotations

import json
import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from dockyard.dockerfile import (
    DockerfileState,
    Recipe,
    dockerfile_state,
    edited,
    is_rendered,
    keep_plan,
    read_plan,
    recipe,
    render,
    render_dockerignore,
)
from dockyard.dockerfile_regions import read_regions, rewrite_regions, without_plan
from dockyard.dockerfile_syntax import (
    Instruction,
    executed_after_linked_copy,
    parse_dockerfile,
    parse_instructions,
)
from dockyard.errors import DockerfileError, SettingsError
from dockyard.layers import Layer, LayerPlan
from dockyard.local_packages import NO_LOCAL_PACKAGES, LocalPackages
from dockyard.settings import resolve
from dockyard.settings_fields import FIELDS, RELATIVE_PATH, Field

NASTY = [
    *(
        "a",
        "B",
        "0",
        "-",
        "_",
        ".",
        "/",
        " ",
        "  ",
        "\t",
        "'",
        '"',
        "\\",
        "`",
        "$",
        "${X}",
        "$$",
        "#",
    ),
    *(
        "=",
        ",",
        ":",
        "@",
        "%",
        "&",
        "|",
        ";",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "<",
        ">",
        "<<",
        "<<EOF",
    ),
    *(
        "<<'SCRIPT'",
        "SCRIPT",
        "\nRUN x",
        "\nFROM y",
        "\r\n",
        "\\\n",
        "--link",
        "--from=x",
        "é",
        "🦀",
    ),
    *(
        "# dockyard: begin copies",
        "# dockyard: end copies",
        "ASSIGNMENT",
        "\u2028",
        "\x0b",
        "\x85",
        "*",
        "~",
    ),
]
TEXT = st.lists(st.sampled_from(NASTY), min_size=1, max_size=6).map("".join)
# Of these a path may consist; it may not hold what a wildcard or a control character is.
LEGAL = [one for one in NASTY if not set(one) & set("\\*?[]\t\n\r\x0b\x85\u2028")]
PATHS = (
    st.lists(st.sampled_from(LEGAL), min_size=1, max_size=5).map("".join)
    | st.sampled_from(["src", "src/a b", "scripts", "a'b", 'a"b', 'a" <<EOF', "a$b", "ä", "#x"])
    | TEXT
)
# PEP 503, normalised.
PACKAGE = st.from_regex(r"[a-z0-9](?:[a-z0-9-]{0,6}[a-z0-9])?", fullmatch=True)


@st.composite
def plans(draw: st.DrawFn) -> LayerPlan:
    names = draw(st.lists(PACKAGE, unique=True, max_size=8))
    cuts = sorted(draw(st.lists(st.integers(0, len(names)), max_size=4)))
    edges = [0, *cuts, len(names)]
    layers = [tuple(names[a:b]) for a, b in pairwise(edges)]
    kept = [one for one in layers[:-1] if one]
    return LayerPlan(tuple(map(Layer, [*kept, layers[-1]])))


def accepted(**values: Any) -> Recipe | None:
    """The recipe of settings that hold these values; None where one of them is refused."""
    table = {key.replace("_", "-"): value for key, value in values.items()}
    try:
        settings = resolve(
            root=Path("/repository"),
            environment={},
            dotenv={},
            pyproject=table,
            flags={},
            exists=lambda path: True,
        )
    except SettingsError:
        return None
    return recipe(settings, "title", NO_LOCAL_PACKAGES)


def keywords(text: str) -> list[str]:
    return [one.keyword for one in parse_instructions(text)]


ONE = LayerPlan((Layer(()),))
BENIGN = keywords(render(accepted(copy_paths=["src"]), ONE))  # type: ignore[arg-type]


def final_instructions(text: str, keyword: str) -> list[Instruction]:
    return [one for one in parse_dockerfile(text)[-1].instructions if one.keyword == keyword]


def words_of(instruction: Instruction) -> list[str]:
    """Source and target of a COPY, as BuildKit takes them: a JSON array, or words.

    It reads either as a shell's words: nothing in them may expand, quote or open a here-document.
    """
    rest = instruction.text.removeprefix("--link ")
    assert instruction.heredocs == ()
    assert "<<" not in rest
    words = json.loads(rest) if rest.startswith("[") else rest.split(" ")
    for word in words:
        assert not set(re.sub(r"\\.", "", word)) & set("\"'\\$")
    return [re.sub(r"\\(.)", r"\1", word) for word in words]


@given(st.lists(PATHS, max_size=2, unique=True))
def test_any_path_that_is_accepted_is_one_source_of_one_copy(paths: list[str]) -> None:
    made = accepted(copy_paths=paths)
    assume(made is not None)
    assert made is not None
    text = render(made, ONE)
    copies = [
        one
        for one in final_instructions(text, "COPY")
        if not any(f.startswith("--from=") for f in one.flags)
    ]
    assert [words_of(one)[0] for one in copies] == list(made.copy_paths)
    assert [words_of(one)[1] for one in copies] == [f"/app/{path}" for path in made.copy_paths]
    others = [one for one in keywords(text) if one != "COPY"]
    assert others == [one for one in BENIGN if one != "COPY"]
    ignore = render_dockerignore(made.copy_paths)
    assert all("\n" not in path for path in made.copy_paths)
    assert len(ignore.split("\n")) == len(render_dockerignore(()).split("\n")) + len(
        made.copy_paths
    )


@given(st.lists(TEXT, min_size=1, max_size=4), st.lists(TEXT, max_size=3), TEXT)
def test_any_command_is_read_back_as_it_was(
    command: list[str], health_check: list[str], title: str
) -> None:
    made = accepted(copy_paths=["src"], command=command, health_check=health_check)
    assume(made is not None)
    assert made is not None
    text = render(made, ONE)
    (run,) = final_instructions(text, "CMD")
    assert json.loads(run.text) == command
    checks = final_instructions(text, "HEALTHCHECK")
    assert [json.loads(one.text.removeprefix("CMD ")) for one in checks] == (
        [health_check] if health_check else []
    )
    counted = [one for one in keywords(text) if one not in ("CMD", "HEALTHCHECK")]
    assert counted == [one for one in BENIGN if one != "CMD"]


RULED = (
    *("python_image", "uv_image", "extras", "groups", "build_packages", "runtime_packages"),
    *("user", "slim", "dockerfile", "project", "image"),
)
LEGAL_VALUES = (
    *("python:3.13", "registry.example.org:5000/a/b@sha256:" + "a" * 64, "cpu", "g++", "1000"),
    *("1000:0", "bytecode", "tests", "libstdc++6", "a.b_c"),
)


def values_of(field: Field) -> st.SearchStrategy[Any]:
    """What some setting's rule allows, and the same with something after it."""
    legal = st.sampled_from(LEGAL_VALUES)
    value = PATHS if field.rule is RELATIVE_PATH else legal | st.builds(str.__add__, legal, TEXT)
    return st.lists(value, max_size=2) if field.several else value


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "ports": st.lists(st.integers(-1, 70000), max_size=3),
    **{field.attribute: values_of(field) for field in FIELDS if field.attribute in RULED},
}


@given(
    st.sampled_from(sorted(VALUES)).flatmap(lambda key: st.fixed_dictionaries({key: VALUES[key]}))
)
def test_no_setting_adds_an_instruction(values: dict[str, Any]) -> None:
    made = accepted(copy_paths=["src"], **values)
    assume(made is not None)
    assert made is not None
    found = keywords(render(made, ONE))
    # Debian packages, a port: those alone have instructions of their own.
    expected = list(BENIGN)
    for _ in range(bool(made.build_packages) + bool(made.runtime_packages)):
        expected.append("RUN")
    if made.ports:
        expected.append("EXPOSE")
    assert sorted(found) == sorted(expected)
    assert found[:2] == ["ARG", "ARG"]


@given(TEXT)
def test_a_title_is_one_label(title: str) -> None:
    """It is the project's name, normalised, in a build; the quoting holds for any."""
    assume(not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", title))
    made = accepted(copy_paths=["src"])
    assert made is not None
    text = render(Recipe(**{**vars(made), "title": title}), ONE)
    assert keywords(text) == BENIGN
    (label,) = final_instructions(text, "LABEL")
    match = re.match(r'org\.opencontainers\.image\.title=("(?:[^"\\]|\\.)*") ', label.text)
    assert match
    assert json.loads(match[1].replace("\\$", "$")) == title


FOLDERS = st.text(st.sampled_from("abZ09._-/+~@%&|;()[]{}<>*?!é"), min_size=1, max_size=12)


@given(st.lists(FOLDERS, min_size=1, max_size=2, unique=True))
def test_a_path_of_the_lock_stays_one_argument(paths: list[str]) -> None:
    """Folders that the lock names."""
    made = accepted(copy_paths=["src"])
    assert made is not None
    local = LocalPackages(packages=tuple(paths))
    text = render(Recipe(**{**vars(made), "local": local}), ONE)
    (stage,) = [one for one in parse_dockerfile(text) if one.name == "local-packages"]
    run = stage.instructions[-1].text
    assert f"install-layer local-packages {' '.join(map(shlex.quote, paths))} " in run


@given(plans(), plans())
def test_a_plan_is_read_back_and_replaced_alone(plan: LayerPlan, other: LayerPlan) -> None:
    made = accepted(copy_paths=["src"])
    assert made is not None
    text = render(made, plan)
    assert read_plan(text) == plan
    assert is_rendered(text)
    assert edited(text, made, plan) == ()
    replaced = keep_plan(text, made, other)
    assert replaced == render(made, other)
    assert without_plan(replaced) == without_plan(text)
    assert dockerfile_state(replaced, render(made, plan)) in (
        DockerfileState.CURRENT,
        DockerfileState.OUTDATED,
    )
    stages = parse_dockerfile(text)
    assert [s.name for s in stages if s.name and s.name.startswith("dependencies-")] == [
        f"dependencies-{n}" for n in range(1, len(plan.layers) + 1)
    ]
    assert executed_after_linked_copy(stages[-1]) == []


LINES = st.lists(
    st.sampled_from(
        [
            *("FROM a AS b", "RUN <<EOF", "EOF", "# dockyard: begin assignment", "ASSIGNMENT", ""),
            *(
                "# dockyard: end assignment",
                "COPY <<'ASSIGNMENT' /plan/assignment",
                "1 a",
                "2 *",
                "1 *",
            ),
            *(
                "# dockyard: begin copies",
                "# dockyard: end copies",
                "COPY --link a b",
                "\\",
                "# escape=`",
            ),
            *("x `", "0 a", "99999 b", "1 A", "RUN a \\", "# dockyard: begin dependencies", "²  *"),
        ]
    )
    | st.text(max_size=12),
    max_size=14,
).map("\n".join)


@given(LINES, plans())
def test_any_file_is_understood_or_refused_in_words(text: str, plan: LayerPlan) -> None:
    parse_instructions(text)
    for stage in parse_dockerfile(text):
        executed_after_linked_copy(stage)
    without_plan(text)
    regions = read_regions(text)
    once = rewrite_regions(text, plan, "")
    assert rewrite_regions(once, plan, "") == once
    assert read_regions(once).keys() == regions.keys()
    try:
        found = read_plan(text)
    except DockerfileError as error:
        found = None
        text = str(error.problems[0].where)
    assert text or found is None
    assert found is None or found.layers
