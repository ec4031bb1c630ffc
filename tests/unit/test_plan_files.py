"""Requirements dealt to layers here, and when a Dockerfile's own stage has to do it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dockyard.dockerfile import render
from dockyard.layers import Layer, LayerPlan
from dockyard.local_packages import LocalPackages
from dockyard.plan_files import exact_version, plan_files, writes_the_plan
from unit.test_dockerfile import PLAN, RECIPE

RENDERED = render(RECIPE, PLAN)
HASH = "--hash=sha256:" + "0" * 64
EXPORTED = f"""\
alpha[fast]==1.0 \\
    {HASH} \\
    {HASH[:-1]}1
beta==2.0 ; sys_platform == 'linux' \\
    {HASH}
delta @ git+https://git.example/delta@0123456
gamma==3.0 \\
    {HASH}
./local
"""
PROJECT = """\
[project]
name = "app"
[[tool.uv.index]]
name = "company"
url = "https://user:word@packages.example/simple/"
explicit = true
"""
LOCK = """\
version = 1
[[package]]
name = "alpha"
version = "1.0"
source = { registry = "https://pypi.org/simple" }
[[package]]
name = "gamma"
version = "3.0"
source = { registry = "https://packages.example/simple" }
"""


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("ghcr.io/astral-sh/uv:0.13.9", "0.13.9"),
        ("localhost:5000/uv:0.13.9-python3.13-trixie", "0.13.9"),
        (f"ghcr.io/astral-sh/uv:0.13.9@sha256:{'a' * 64}", "0.13.9"),
        ("ghcr.io/astral-sh/uv:0.13", None),
        ("ghcr.io/astral-sh/uv:latest", None),
        ("ghcr.io/astral-sh/uv", None),
        (f"ghcr.io/astral-sh/uv@sha256:{'a' * 64}", None),
        ("localhost:5000/uv", None),
    ],
)
def test_the_version_that_a_tag_names(image: str, version: str | None) -> None:
    assert exact_version(image) == version


def test_requirements_are_dealt_as_the_stage_deals_them() -> None:
    plan = LayerPlan((Layer(("beta",)), Layer(("none",)), Layer(("alpha", "gamma")), Layer(())))
    assert plan_files(plan, EXPORTED, PROJECT, LOCK) == {
        "plan/1/default.txt": f"beta==2.0 ; sys_platform == 'linux' {HASH}\n",
        "plan/2/": "",
        "plan/3/default.txt": f"alpha[fast]==1.0 {HASH} {HASH[:-1]}1\n",
        "plan/4/direct.txt": "delta @ git+https://git.example/delta@0123456\n",
        "plan/3/index-company.txt": "# company=https://packages.example/simple\n"
        f"gamma==3.0 {HASH}\n",
        "plan/assignment": "1 beta\n2 none\n3 alpha\n3 gamma\n4 *\n",
    }


def test_a_rendered_dockerfile_makes_the_plan_as_we_do() -> None:
    assert writes_the_plan(RENDERED, RENDERED)
    local = LocalPackages(members=(".",), packages=("lib",))
    whole = render(replace(RECIPE, local=local, slim=("tests",), ca_in_image=True), PLAN)
    assert writes_the_plan(whole, RENDERED)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("USER 10001:10001", "USER 1000:1000"),
        ("FROM dependency-builder AS environment\n", "FROM dependency-builder AS environment\n\n"),
        ("WORKDIR /app\n", "WORKDIR /app\nRUN echo plan\n"),
        ("install-layer dependencies-2", "install-layer dependencies-2 "),
        ("DATE = 315532800\n", "DATE = 315532801\n"),
        ("PATIENCE = 30\n", "PATIENCE = 60\n"),
    ],
    ids=["user", "blank line", "another stage", "a layer", "finish-layer", "install-layer"],
)
def test_edits_elsewhere_leave_the_plan_to_us(old: str, new: str) -> None:
    assert RENDERED.count(old) == 1
    assert writes_the_plan(RENDERED.replace(old, new), RENDERED)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("--no-emit-workspace", "--no-emit-workspace --no-emit-package torch"),
        ("FROM ${PYTHON_IMAGE} AS plan", "FROM docker.io/library/debian AS plan"),
        ('ARG EXTRAS="cpu"', 'ARG EXTRAS="gpu"'),
        ("/scripts/split-lock /tmp/exported.txt /project\n", ""),
        ("2 scipy\n", "3 scipy\n"),
        ('return re.sub(r"[-_.]+", "-", name).lower()\n', "return name\n"),
        ("<<'split-lock' /", "/"),
        ("WORKDIR /app\n", "WORKDIR /app\nCOPY --from=plan /tmp /tmp\n"),
        ("WORKDIR /app\n", "WORKDIR /app\nRUN --mount=from=plan,target=/plan true\n"),
        ("# The image. ", "FROM plan AS more\n\n# The image. "),
    ],
    ids=[
        *("export", "base", "extras", "no split", "assignment", "script", "no script"),
        *("copied", "mounted", "built on"),
    ],
)
def test_an_edited_plan_is_the_stages_to_make(old: str, new: str) -> None:
    assert old in RENDERED
    assert not writes_the_plan(RENDERED.replace(old, new), RENDERED)
