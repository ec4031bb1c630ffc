"""Markers that mean the same, whatever they look like, and markers that do not."""

from __future__ import annotations

import pytest

from dockyard.markers import same_outcome

SAME = [
    ("python_version >= '3.12'", "python_full_version >= '3.12'"),
    ("python_version < '3.12'", "python_full_version < '3.12'"),
    ("python_version == '3.12'", "python_full_version == '3.12.*'"),
    ("python_version > '3.11'", "python_full_version >= '3.12'"),
    ("python_version <= '3.11'", "python_full_version < '3.12'"),
    ("python_version in '3.11 3.12'", "python_version == '3.11' or python_version == '3.12'"),
    ("python_version >= '3.8'", ""),
    ("platform_system == 'Windows'", "sys_platform == 'win32'"),
    ("platform_system == 'Linux'", "sys_platform == 'linux'"),
    ("'linux' == sys_platform", "sys_platform == 'linux'"),
    ("(sys_platform=='linux')", 'sys_platform == "linux"'),
    ("sys_platform != 'win32' and os_name == 'posix'", "os_name == 'posix'"),
    (
        "platform_machine == 'arm64' and sys_platform == 'darwin'",
        "sys_platform == 'darwin' and platform_machine == 'arm64'",
    ),
    (
        "platform_python_implementation == 'CPython'",
        "implementation_name == 'cpython'",
    ),
    (
        "extra == 'a' and (sys_platform == 'linux' or sys_platform == 'darwin')",
        "(sys_platform == 'darwin' and extra == 'a') or (sys_platform == 'linux' and extra == 'a')",
    ),
    ("sys_platform == 'sunos5' or sys_platform != 'sunos5'", ""),
]
DIFFERENT = [
    ("python_version >= '3.12'", "python_version >= '3.13'"),
    ("python_version >= '3.12'", "python_full_version >= '3.12.1'"),
    ("python_version < '3.12'", ""),
    ("sys_platform == 'linux'", "sys_platform == 'darwin'"),
    ("sys_platform == 'linux'", ""),
    ("sys_platform == 'linux'", "os_name == 'posix'"),
    ("sys_platform == 'linux' and platform_machine == 'x86_64'", "sys_platform == 'linux'"),
    ("platform_machine == 'x86_64'", "platform_machine == 'aarch64'"),
    ("extra == 'a'", "extra == 'b'"),
    ("extra == 'a'", ""),
    ("implementation_name == 'pypy'", "implementation_name == 'cpython'"),
    ("sys_platform == 'sunos5'", "sys_platform == 'sunos6'"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same(one: str, other: str) -> None:
    assert same_outcome([one], [other], ">=3.11")
    assert same_outcome([other], [one], ">=3.11")


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_not_the_same(one: str, other: str) -> None:
    assert not same_outcome([one], [other], ">=3.11")
    assert not same_outcome([other], [one], ">=3.11")


def test_only_pythons_that_the_project_allows_count() -> None:
    sides = ["python_version < '3.9'"], ["python_version < '3.8'"]
    assert same_outcome(*sides, ">=3.11")
    assert not same_outcome(*sides, ">=3.7")


def test_several_markers_hold_where_one_does() -> None:
    both = ["sys_platform == 'linux'", "sys_platform == 'darwin'"]
    assert same_outcome(both, ["sys_platform == 'darwin' or sys_platform == 'linux'"], "")
    assert same_outcome(["", "sys_platform == 'linux'"], [""], "")
    assert not same_outcome(both, both[:1], "")


def test_no_marker_at_all_never_holds() -> None:
    assert same_outcome([], [], "")
    assert not same_outcome([], [""], "")
    assert not same_outcome(["sys_platform == 'linux'"], [], "")


@pytest.mark.parametrize(
    "odd",
    [
        "this is no marker",
        "unknown_variable == 'x'",
        " and ".join(
            f"({name} == '{value}' or extra == '{value}')"
            for value in range(40)
            for name in ("platform_release", "platform_version", "implementation_version")
        ),
    ],
    ids=["malformed", "unknown", "too-many"],
)
def test_what_cannot_be_tried_out_is_taken_to_be_the_same(odd: str) -> None:
    assert same_outcome([odd], ["sys_platform == 'linux'"], ">=3.11")
