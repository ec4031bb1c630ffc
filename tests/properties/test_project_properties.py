"""uv.lock and pyproject.toml, damaged in all ways: facts, or an error that a person can act on."""

from __future__ import annotations

import contextlib
import copy
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dockyard.errors import DockyardError, ProjectError
from dockyard.history import LockReader, parse_log, split_blobs
from dockyard.lock import parse_lock, resolve, resolve_members
from dockyard.lock_versions import Locked, locked_packages
from dockyard.project import read_project
from dockyard.project_checks import check_fresh, check_shape
from dockyard.target import Target

PROJECTS = Path(__file__).parents[1] / "data/projects"
SHAPES = [
    *("plain", "extras", "constraints", "member-extras", "git", "index", "paths", "conflicts"),
    *("member-conflicts", "virtual-root", "forks", "url"),
]
VALUES = st.recursive(
    st.sampled_from(["", "a", ".", "==1", "extra == 'x'", "https://a/b#c", "[", "sha256:0", "\x00"])
    | st.integers(-1, 10**12)
    | st.booleans()
    | st.none()
    | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["name", "version", "registry", "url", "x"]), inner, max_size=2
        )
    ),
    max_leaves=3,
)


@cache
def lock_of(shape: str) -> dict[str, Any]:
    return tomllib.loads((PROJECTS / shape / "uv.lock").read_text())


@cache
def text_of(shape: str, name: str) -> str:
    return (PROJECTS / shape / name).read_text()


@cache
def whole_of(shape: str) -> dict[str, Locked]:
    return LockReader((), (), Target()).read(text_of(shape, "uv.lock"))


def check_told(error: DockyardError) -> None:
    assert isinstance(error, ProjectError)
    assert all(problem.message and problem.where for problem in error.problems)


def damage(value: Any, data: st.DataObject) -> Any:
    """Change one thing at a random depth: replaced, removed, doubled."""
    keys: list[Any] = []
    if isinstance(value, dict):
        keys = sorted(value)
    elif isinstance(value, list):
        keys = list(range(len(value)))
    if not keys or data.draw(st.sampled_from([False, False, False, True])):
        return data.draw(VALUES)
    key = data.draw(st.sampled_from(keys))
    match data.draw(st.sampled_from(["into", "into", "into", "removed", "doubled"])):
        case "removed":
            del value[key]
        case "doubled" if isinstance(value, list):
            value.append(copy.deepcopy(value[key]))
        case _:
            value[key] = damage(value[key], data)
    return value


@given(st.sampled_from(SHAPES), st.integers(1, 3), st.data())
def test_a_damaged_lock_gives_facts_or_an_error_in_words(
    shape: str, times: int, data: st.DataObject
) -> None:
    lock: Any = copy.deepcopy(lock_of(shape))
    for _ in range(times):
        lock = damage(lock, data) if isinstance(lock, dict) else lock
    if not isinstance(lock, dict):
        return
    path = PROJECTS / shape / "pyproject.toml"
    project = tomllib.loads(text_of(shape, "pyproject.toml"))
    chosen: Any = {"extras": ["tracing"], "groups": ["dev", "test"], "target": Target()}
    try:
        parsed = parse_lock(lock)
        roots = sorted(parsed.packages)[:1]
        packages = resolve(parsed, roots, **chosen)
        resolve_members(parsed, roots, **chosen)
        # What it was made from is as it was: a damage may make it out of date.
        with contextlib.suppress(ProjectError):
            check_fresh(PROJECTS / shape, {path: project}, project, parsed)
    except ProjectError as error:
        check_told(error)
        return
    assert list(packages) == sorted(packages, key=lambda one: (one.name, one.version))
    locked_packages(packages)


def mangle(text: str, data: st.DataObject) -> str:
    """Change a text by whole lines and by characters."""
    lines = text.split("\n")
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(len(lines) - 1, 0)))
        match data.draw(st.sampled_from(["drop", "twice", "swap", "cut", "insert", "replace"])):
            case "drop":
                del lines[at : at + data.draw(st.integers(1, 5))]
            case "twice":
                lines[at:at] = lines[at : at + data.draw(st.integers(1, 12))]
            case "swap":
                lines[at : at + 2] = reversed(lines[at : at + 2])
            case "cut" if lines:
                lines[at] = lines[at][: data.draw(st.integers(0, len(lines[at])))]
            case "insert":
                odd = [
                    "<<<<<<< HEAD",
                    "=======",
                    "version = 99",
                    "\ufeff",
                    "[[package]]",
                    "a = [",
                    "requires-python = 3",
                ]
                lines.insert(at, data.draw(st.sampled_from(odd)))
            case _ if lines:
                old = data.draw(
                    st.sampled_from(['"', "=", "{", "name", "version", "1", "registry", "source"])
                )
                lines[at] = lines[at].replace(
                    old, data.draw(st.sampled_from(["", "x", "7", "[]", "]"]))
                )
    return "\n".join(lines)


@given(
    st.sampled_from(["plain", "extras", "constraints", "dynamic", "conflicts"]),
    st.booleans(),
    st.data(),
)
def test_damaged_files_give_facts_or_an_error_in_words(
    scratch: Path, shape: str, lock: bool, data: st.DataObject
) -> None:
    for name in ("pyproject.toml", "uv.lock"):
        text = text_of(shape, name)
        changed = mangle(text, data) if (name == "uv.lock") is lock else text
        (scratch / name).write_bytes(changed.encode("utf-8", "surrogatepass"))
    try:
        facts = read_project(scratch, extras=(), groups=(), target=Target())
    except DockyardError as error:
        check_told(error)
        return
    assert facts.lock_digest


@given(st.dictionaries(st.sampled_from(["project", "tool", "dependency-groups", "x"]), VALUES))
def test_any_table_is_a_project_or_is_refused(table: dict[str, Any]) -> None:
    try:
        check_shape(table, Path("pyproject.toml"))
    except ProjectError as error:
        check_told(error)


@given(st.sampled_from(["extras", "conflicts", "constraints"]), st.data())
def test_a_past_lock_is_read_or_left_out(shape: str, data: st.DataObject) -> None:
    reader = LockReader((), (), Target())
    try:
        reader.read(mangle(text_of(shape, "uv.lock"), data))
    except ProjectError as error:
        check_told(error)
    # What one version was like changes nothing of another.
    assert reader.read(text_of(shape, "uv.lock")) == whole_of(shape)


@given(
    st.text(st.sampled_from("\0\n: abc0123456789\tM"), max_size=120),
    st.lists(st.text("ab", min_size=1), max_size=4),
)
def test_any_output_of_git_is_read(text: str, wanted: list[str]) -> None:
    assert all(blob.strip("0") for _, blob in parse_log(text))
    assert split_blobs(text, wanted).keys() <= set(wanted)
