"""Which markers hold on the target, and which wheel an installer takes there."""

from __future__ import annotations

import pytest

from dockyard.errors import ProjectError
from dockyard.target import Target, best_wheel, marker_evaluator

AMD64 = Target("3.13")
ARM64 = Target("3.13", "aarch64")


def best(target: Target, *names: str) -> str | None:
    found = best_wheel([{"url": f"https://files.example/{name}.whl"} for name in names], target)
    return found["url"].rpartition("/")[2].removesuffix(".whl") if found else None


@pytest.mark.parametrize(
    ("tag", "fits"),
    [
        ("py3-none-any", True),
        ("py2.py3-none-any", True),
        ("py2-none-any", False),
        ("cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64", True),
        ("cp313-cp313-manylinux_2_28_x86_64", True),
        ("cp313-cp313-manylinux_2_36_x86_64", True),
        ("cp313-cp313-manylinux_2_37_x86_64", False),
        ("cp313-cp313-manylinux1_x86_64", True),
        ("cp313-cp313-manylinux2010_x86_64", True),
        ("cp313-cp313-linux_x86_64", True),
        ("cp313-cp313-musllinux_1_2_x86_64", False),
        ("cp313-cp313t-manylinux_2_28_x86_64", False),
        ("cp312-cp312-manylinux_2_28_x86_64", False),
        ("cp314-cp314-manylinux_2_28_x86_64", False),
        ("cp39-abi3-manylinux_2_28_x86_64", True),
        ("cp314-abi3-manylinux_2_28_x86_64", False),
        ("cp313-none-any", True),
        ("py313-none-any", True),
        ("py3-none-manylinux_2_17_x86_64", True),
        ("cp313-cp313-manylinux_2_28_aarch64", False),
        ("cp313-cp313-macosx_11_0_arm64", False),
        ("cp313-cp313-win_amd64", False),
        ("pp311-pypy311_pp73-manylinux_2_28_x86_64", False),
    ],
)
def test_which_wheels_fit(tag: str, fits: bool) -> None:
    assert (best(AMD64, f"name-1.0-{tag}") is not None) is fits


def test_the_machine_decides() -> None:
    wheel = "name-1.0-cp313-cp313-manylinux_2_28_{}"
    both = [wheel.format("x86_64"), wheel.format("aarch64")]
    assert best(AMD64, *both) == both[0]
    assert best(ARM64, *both) == both[1]
    assert best(ARM64, "name-1.0-cp313-cp313-manylinux1_aarch64") is None


def test_the_glibc_decides() -> None:
    wheel = "name-1.0-cp313-cp313-manylinux_2_28_x86_64"
    assert best(Target("3.13", glibc=(2, 28)), wheel) == wheel
    assert best(Target("3.13", glibc=(2, 27)), wheel) is None


def test_the_most_specific_wheel_is_taken() -> None:
    names = [
        "name-1.0-py3-none-any",
        "name-1.0-cp39-abi3-manylinux_2_17_x86_64",
        "name-1.0-cp313-cp313-manylinux_2_17_x86_64",
        "name-1.0-cp313-cp313-manylinux_2_28_x86_64",
    ]
    for count in range(len(names)):
        assert best(AMD64, *names[: count + 1]) == names[count]
        assert best(AMD64, *reversed(names[: count + 1])) == names[count]


def test_the_highest_build_number_is_taken() -> None:
    names = ["name-1.0-9-py3-none-any", "name-1.0-10-py3-none-any", "name-1.0-py3-none-any"]
    assert best(AMD64, *names) == names[1]


@pytest.mark.parametrize(
    "wheel",
    [
        {"url": "https://files.example/a/name-1.0-py3-none-any.whl#sha256=0?x"},
        {"url": "https://files.example/a/name-1.0-py3-none-any.whl?token=a/b"},
        {"path": "wheels/name-1.0-py3-none-any.whl"},
        {"filename": "name-1.0-py3-none-any.whl"},
    ],
)
def test_a_name_is_found_in_whatever_the_lock_has(wheel: dict[str, str]) -> None:
    assert best_wheel([wheel], AMD64) is wheel


def test_no_wheel() -> None:
    assert best_wheel([], AMD64) is None
    assert best_wheel([{}, {"url": "https://files.example/name-1.0.whl"}], AMD64) is None


@pytest.mark.parametrize(
    ("marker", "holds"),
    [
        ("", True),
        ("sys_platform == 'linux'", True),
        ("platform_system == 'Windows'", False),
        ("os_name == 'posix' and implementation_name == 'cpython'", True),
        ("platform_machine == 'x86_64'", True),
        ("platform_machine == 'aarch64'", False),
        ("python_version == '3.13'", True),
        ("python_full_version < '3.13.1'", False),
        ("python_full_version >= '3.13.5'", True),
        ("python_full_version >= '3.14'", False),
        ("extra == 'anything'", False),
    ],
)
def test_markers(marker: str, holds: bool) -> None:
    assert marker_evaluator(AMD64)(marker, ()) is holds


def test_a_patch_number_is_taken_as_it_is() -> None:
    matches = marker_evaluator(Target("3.13.0"))
    assert matches("python_full_version < '3.13.1'", ())
    assert matches("python_version == '3.13'", ())
    assert Target("3.13.0").python_version == (3, 13)


@pytest.mark.parametrize(
    ("marker", "active", "holds"),
    [
        ("extra == 'extra-3-app-cpu'", ["extra-3-app-cpu"], True),
        ("extra == 'extra-3-app-cpu'", [], False),
        ("extra != 'extra-3-app-cpu'", [], True),
        ("extra == 'group-3-app-dev'", ["group-3-app-dev"], True),
        ("extra == 'project-3-app'", ["project-3-app"], True),
        (
            "extra == 'extra-3-app-cpu' and extra != 'extra-3-app-gpu'",
            ["extra-3-app-cpu"],
            True,
        ),
        (
            "extra == 'extra-3-app-cpu' and extra == 'extra-3-app-gpu'",
            ["extra-3-app-cpu", "extra-3-app-gpu"],
            True,
        ),
        (
            "sys_platform == 'win32' and extra == 'extra-3-app-cpu'",
            ["extra-3-app-cpu"],
            False,
        ),
    ],
)
def test_markers_of_conflicts_hold_for_several_extras(
    marker: str, active: list[str], holds: bool
) -> None:
    assert marker_evaluator(AMD64)(marker, active) is holds


@pytest.mark.parametrize("marker", ["python_version <", "nothing == 'x'", "'a' ~= 'b'"])
def test_what_is_no_marker_is_an_error(marker: str) -> None:
    with pytest.raises(ProjectError, match="no condition that can be decided"):
        marker_evaluator(AMD64)(marker, ())
