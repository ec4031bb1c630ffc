"""What checks change in a copy, and which steps may run because of it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from dockyard.checks import changes
from dockyard.checks.builds import instruction_of, try_offline
from dockyard.checks.changes import (
    check_rebuild,
    package_to_change,
    reads_context,
    unwanted_after_code_change,
    unwanted_after_dependency_change,
)
from dockyard.checks.copies import another_hash, copy_context, file_to_touch, touch
from dockyard.checks.engine import project_module
from dockyard.checks.verdicts import Finding
from dockyard.context import list_context
from dockyard.dockerfile_syntax import parse_dockerfile
from dockyard.errors import CheckUnavailableError, NetworkError
from dockyard.lock import Package, PackageSource
from dockyard.steps import StepKind
from dockyard.trace import BuildTrace, Step

DOCKERFILE = """\
FROM base AS plan
COPY <<X /assignment
1 a
X
RUN --mount=type=bind,source=uv.lock,target=/uv.lock export
FROM base AS dependencies-1
RUN install 1
FROM dependencies-1 AS dependencies-2
RUN install 2
FROM base AS app
WORKDIR /app
COPY --link --from=dependencies-1 /d /
COPY --link --from=dependencies-2 /d /
COPY --link src /app/src
COPY --link . /all
RUN last
"""
STAGES = parse_dockerfile(DOCKERFILE)


def step(stage: str, number: int, total: int, instruction: str) -> Step:
    kind = StepKind.COPY if instruction.startswith("COPY") else StepKind.RUN
    return Step(
        "", kind, instruction, stage, None, number, total, (), None, None, 0, False, None, 0, 0, ()
    )


# With another image below it FROM is the first step, with another stage it is none.
EXPORT = step("plan", 3, 3, "RUN export")
FIRST = step("dependencies-1", 2, 2, "RUN install 1")
SECOND = step("dependencies-2", 1, 1, "RUN install 2")
COPY_FIRST = step("app", 3, 7, "COPY --link --from=dependencies-1 /d /")
COPY_SECOND = step("app", 4, 7, "COPY --link --from=dependencies-2 /d /")
SOURCES = step("app", 5, 7, "COPY --link src /app/src")
EVERYTHING = step("app", 6, 7, "COPY --link . /all")
LAST = step("app", 7, 7, "RUN last")
PROJECT = step("project", 2, 2, "RUN build")
COPY_PROJECT = step("app", 1, 1, "COPY --link --from=project /project/ /")


@pytest.mark.parametrize(
    ("which", "line"),
    [(EXPORT, 5), (FIRST, 7), (SECOND, 9), (COPY_FIRST, 12), (SOURCES, 14), (LAST, 16)],
)
def test_a_step_is_found_by_its_number(which: Step, line: int) -> None:
    found = instruction_of(STAGES, which)
    assert found is not None
    assert found.line == line


def test_a_step_that_does_not_fit_the_text_is_not_found() -> None:
    assert instruction_of(STAGES, step("app", 1, 12, "RUN x")) is None
    assert instruction_of(STAGES, step("other", 1, 1, "RUN x")) is None


def test_a_code_change_may_run_what_copies_the_file_and_builds_the_project() -> None:
    wanted = [SOURCES, EVERYTHING, PROJECT, COPY_PROJECT]
    assert unwanted_after_code_change(STAGES, wanted, "src/a.py") == []
    assert unwanted_after_code_change(STAGES, [SOURCES, LAST], "src/a.py") == [LAST]
    assert unwanted_after_code_change(STAGES, [SOURCES], "source/a.py") == [SOURCES]


def test_what_reads_the_context_is_told_from_what_reads_other_stages() -> None:
    assert [reads_context(STAGES, one) for one in (EXPORT, SOURCES, EVERYTHING)] == [True] * 3
    assert [reads_context(STAGES, one) for one in (FIRST, COPY_FIRST, LAST)] == [False] * 3
    mounting = DOCKERFILE.replace("type=bind,source", "type=bind,from=tool,source")
    assert not reads_context(parse_dockerfile(mounting), EXPORT)


@pytest.mark.parametrize(
    ("builds", "ran_for_nothing"),
    [
        ([()], 0),
        ([(FIRST,), ()], 0),  # another build's doing, or a prune's
        ([(FIRST,), (FIRST,)], 1),
        ([(EVERYTHING,)], 1),  # the build itself has changed the context, once
        ([(FIRST, EXPORT)], 2),
    ],
)
def test_a_rebuild_counts_what_runs_each_time_or_reads_the_context(
    builds: list[tuple[Step, ...]], ran_for_nothing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = iter(builds)
    workbench: Any = SimpleNamespace(built=None, stages=STAGES)
    monkeypatch.setattr(
        changes, "build_variant", lambda of: SimpleNamespace(steps=tuple(next(made)))
    )
    monkeypatch.setattr(changes, "ran", lambda trace: list(trace.steps))
    monkeypatch.setattr(changes, "step_finding", lambda of, step, what: Finding(what))
    assert len(check_rebuild(workbench).findings) == ran_for_nothing
    assert next(made, None) is None


def test_a_lock_change_may_run_one_layer_and_what_copies_the_lock() -> None:
    wanted = [EXPORT, FIRST, COPY_FIRST, EVERYTHING, PROJECT, COPY_PROJECT]
    assert unwanted_after_dependency_change(STAGES, wanted, 1) == []
    others = [SECOND, COPY_SECOND, SOURCES, LAST]
    assert unwanted_after_dependency_change(STAGES, [*wanted, *others], 1) == others


# -------------------- what is changed


def package(
    name: str, size: int | None, kind: Literal["registry", "git"] = "registry", hashed: bool = True
) -> Package:
    return Package(name, "1", PackageSource(kind, "x"), size, name, True, hashed)


def test_the_smallest_package_of_the_smallest_layer_is_changed() -> None:
    packages = [package("a", 9), package("b", 90), package("c", 4), package("d", 3)]
    found = package_to_change(packages, [["b"], ["a"], ["c"]])
    assert found is not None
    assert (found[0], found[1].name) == (3, "d"), "what no layer names is in the last"
    packages = [package("a", 1, "git"), package("b", 2, hashed=False), package("c", 500)]
    found = package_to_change(packages, [["a", "b"], ["c"]])
    assert found is not None
    assert (found[0], found[1].name) == (2, "c")
    assert package_to_change(packages[:2], [["a"], ["b"]]) is None


def test_another_hash_changes_the_requirement_and_no_file(repository: Path) -> None:
    text = (repository / "examples/mushroom/uv.lock").read_text()
    before = {one["name"]: one for one in tomllib.loads(text)["package"]}
    changed = another_hash(text, "h11", before["h11"]["version"])
    after = {one["name"]: one for one in tomllib.loads(changed)["package"]}
    assert {name for name in before if before[name] != after[name]} == {"h11"}
    old, new = before["h11"]["wheels"], after["h11"]["wheels"]
    assert [one for one in new if one in old] == old
    assert len(new) == len(old) + 1
    assert another_hash(text, "h11", before["h11"]["version"]) != changed


def test_a_package_without_wheels_gets_one_that_fits_no_image() -> None:
    text = (
        '[[package]]\nname = "a-b"\nversion = "1.0"\nsource = { registry = "https://x/simple" }\n'
        'sdist = { url = "https://x/files/a_b-1.0.tar.gz", hash = "sha256:0", size = 1 }\n\n'
        '[[package]]\nname = "c"\nversion = "1"\nwheels = [\n'
        f'    {{ url = "c.whl", hash = "sha256:{"1" * 64}" }},\n]\n'
    )
    changed = {
        one["name"]: one for one in tomllib.loads(another_hash(text, "a-b", "1.0"))["package"]
    }
    (wheel,) = changed["a-b"]["wheels"]
    assert wheel["url"] == "https://x/files/a_b-1.0-py3-none-win_arm64.whl"
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", wheel["hash"])
    assert len(changed["c"]["wheels"]) == 1
    with pytest.raises(CheckUnavailableError, match=r"d 1\.0"):
        another_hash(text, "d", "1.0")


def test_a_module_below_the_first_copied_path_is_touched() -> None:
    paths = ["a.py", "docs/x.py", "src/data.json", "src/m/__init__.py"]
    assert file_to_touch(paths, ["src", "docs"]) == "src/m/__init__.py"
    assert file_to_touch(["src/data.json"], ["src"]) == "src/data.json"
    assert file_to_touch(paths, ["lib"]) is None
    assert file_to_touch(paths, ["a.py"]) == "a.py"


def test_a_copy_has_the_same_modes_and_links_and_the_original_stays(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for folder in ("src/empty", "left-out"):
        (source / folder).mkdir(parents=True)
    (source / "src/a.py").write_text("A = 1\n")
    (source / "src/a.py").chmod(0o755)
    (source / "src").chmod(0o711)
    (source / "src/link").symlink_to("a.py")
    (source / "left-out/b").write_text("b")
    (source / ".dockerignore").write_text("left-out\n")
    target.mkdir()
    copy_context(source, list_context(source, "left-out\n"), target)
    names = sorted(str(path.relative_to(target)) for path in target.rglob("*"))
    assert names == [".dockerignore", "src", "src/a.py", "src/empty", "src/link"]
    assert (target / "src").stat().st_mode == (source / "src").stat().st_mode
    assert (target / "src/a.py").stat().st_mode & 0o777 == 0o755
    assert (target / "src/link").readlink() == Path("a.py")
    touch(target / "src/a.py")
    assert (source / "src/a.py").read_text() == "A = 1\n"
    assert (target / "src/a.py").read_text().startswith("A = 1\n\n# ")
    assert (target / "src/a.py").stat().st_mode & 0o777 == 0o755


# -------------------- without an index


def test_a_build_that_finds_no_index_is_tried_offline_and_told_apart() -> None:
    trace = BuildTrace((), (), ())
    asked: list[bool] = []

    def build(offline: bool) -> BuildTrace:
        asked.append(offline)
        if not offline:
            raise NetworkError("no index answers")
        return trace

    assert try_offline(build) == (trace, True)
    assert asked == [False, True]

    def hopeless(offline: bool) -> BuildTrace:
        raise NetworkError("offline" if offline else "no index answers")

    with pytest.raises(NetworkError, match="no index answers"):
        try_offline(hopeless)


def test_the_projects_module_is_known_where_it_is_copied(tmp_path: Path) -> None:
    (tmp_path / "src/my_app").mkdir(parents=True)
    (tmp_path / "src/my_app/__init__.py").touch()
    (tmp_path / "flat.py").touch()
    assert project_module(tmp_path, "my-app", ("src",)) == "my_app"
    assert project_module(tmp_path, "my-app", ("lib",)) is None
    assert project_module(tmp_path, "flat", ("flat.py",)) == "flat"
    assert project_module(tmp_path, "other", ("src",)) is None
