"""The rendered workflows, executed: every step in order, on machines that start empty."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from dockyard.ci_templates import render_github, render_gitlab
from dockyard.settings import load_settings
from support.base import buildkit_image
from support.ci_recipes import DOCUMENT
from support.engine import Cleanup, random_name
from support.index import PackageIndex
from support.registry import Login, Registry
from support.runner import GitHubRunner, Job, run_gitlab, run_script
from support.service import Service, ran_steps
from support.wheels import make_wheel

LARGE, SMALL = 2_000_000, 200_000
# What a code change moves: the layer of the sources, manifests and the cache's own configuration.
KILOBYTES = 100_000
PASSWORD = "hush-and-never-tell"


class Team:
    """A service in a repository, and the runners that build it."""

    def __init__(self, service: Service, packages: dict[str, str], registry: Registry) -> None:
        self.service, self.packages, self.registry = service, packages, registry

    @property
    def workflow(self) -> str:
        """The workflow as `init` renders it in this repository."""
        settings = load_settings(self.service.root, {}, {})
        return render_github(settings, image=self.service.name)

    def edit(self) -> None:
        """Change one source file."""
        self.service.module.write_text(f"VALUE = {random_name()!r}\n")
        self.service.commit()

    def change_small_package(self) -> None:
        """Lock the small package's other version."""
        versions = {self.packages["large"]: "==1.0", self.packages["small"]: "==2.0"}
        self.service.lock(versions)
        self.service.commit()


@pytest.fixture
def team(
    tmp_path: Path,
    package_index: PackageIndex,
    registry: Registry,
    images_in_registry: Any,
    cleanup: Cleanup,
    request: pytest.FixtureRequest,
) -> Team:
    """A service whose ``[tool.dockyard]`` says all: a runner has nothing else."""
    packages = {role: random_name() for role in ("large", "small")}
    for role, size in (("large", LARGE), ("small", SMALL)):
        for version in ("1.0", "2.0"):
            wheel = make_wheel(tmp_path, packages[role], version, size=size, seed=version)
            package_index.add(wheel)
    builder = cleanup.name("builder")
    settings = {
        "builder-name": f'"{builder}"',
        "buildkit-image": f'"{buildkit_image()}"',
        "network": '"host"',
        "python-image": f'"{images_in_registry.python}"',
        "uv-image": f'"{images_in_registry.uv}"',
    }
    if getattr(request, "param", False):
        settings["registry"] = f'"{registry.host}/team"'
    service = Service(
        tmp_path / "service",
        random_name(),
        dict.fromkeys(packages.values(), "==1.0"),
        index_url=package_index.url,
        python_image=images_in_registry.python,
        uv_image=images_in_registry.uv,
        settings=settings,
    )
    cleanup.repository(service.name)
    cleanup.repository(f"{registry.host}/team/{service.name}")
    service.assign([packages["large"]], [packages["small"]])
    return Team(service, packages, registry)


def github(team: Team, tmp_path: Path, secrets: dict[str, str]) -> GitHubRunner:
    variables = {"UV_DEFAULT_INDEX": team.service.index_url}
    return GitHubRunner(
        tmp_path / "runner", team.service.root, secrets=secrets, variables=variables
    )


def record(job: Job) -> dict[str, Any]:
    """The record that the job's build named; there are restored ones too, and those of checks."""
    (name,) = (
        found[1]
        for step, text in job.printed.items()
        if step != "Check" and (found := re.search(r"^  record +(\S+)$", text, re.MULTILINE))
    )
    loaded = json.loads((job.workspace / name).read_text())
    assert isinstance(loaded, dict)
    return loaded


def dependency_steps(found: dict[str, Any]) -> list[str]:
    return [step for step in ran_steps(found) if step.startswith("dependencies-")]


@pytest.mark.parametrize("team", [True], indirect=True)
def test_github_with_a_registry(
    team: Team, tmp_path: Path, package_index: PackageIndex, registry: Registry
) -> None:
    secrets = {"REGISTRY_USERNAME": "me", "REGISTRY_PASSWORD": PASSWORD}
    registry.login = Login("me", PASSWORD)
    runner = github(team, tmp_path, secrets)
    first = runner.run(team.workflow)
    repository = f"team/{team.service.name}"
    assert registry.manifest(repository, "latest")["layers"]
    assert registry.manifest(repository, "cache-linux-amd64-main")["layers"]
    assert len(dependency_steps(record(first))) == 2
    assert "Image build succeeded" in first.summary
    assert first.skipped == ["Build", "Restore the last build's record", "Check"]
    everything = json.dumps([first.printed, first.summary, team.workflow])
    assert PASSWORD not in everything

    team.edit()
    package_index.reset()
    registry.reset()
    registry.login = Login("me", PASSWORD)
    second = runner.run(team.workflow)
    assert [step for step in ran_steps(record(second)) if "/src" not in step] == []
    assert record(second)["hit_rates"]["dependency"] == 1.0
    assert registry.blob_bytes_served() + registry.blob_bytes_received() < KILOBYTES
    assert package_index.bytes_served() == 0
    assert "cache hits, dependencies | 100%" in second.summary


def test_github_without_a_registry(team: Team, tmp_path: Path, package_index: PackageIndex) -> None:
    runner = github(team, tmp_path, {})
    first = runner.run(team.workflow)
    assert first.outputs["cache"]["cache-hit"] == ""
    key, records = runner.caches.keys
    assert key == first.outputs["cache"]["cache-primary-key"]
    assert first.outputs["base"]["digest"].startswith("sha256:")
    assert runner.caches.size(key) > LARGE
    assert "Image build succeeded" in first.summary

    # A code change on an empty machine: the key hits exactly, nothing is made again nor saved.
    team.edit()
    package_index.reset()
    second = runner.run(team.workflow)
    assert second.outputs["cache"]["cache-hit"] == "true"
    assert "Save the build cache" in second.skipped
    assert runner.caches.keys[:2] == [key, records]
    assert all(one.startswith("dockyard-records-") for one in runner.caches.keys[1:])
    assert runner.caches.size(records) < KILOBYTES
    assert [step for step in ran_steps(record(second)) if "/src" not in step] == []
    assert package_index.bytes_served() == 0

    # A pull request that changes a dependency: main's cache is taken, one layer is made, a new key
    # is saved, and the checks have main's record to compare with.
    team.change_small_package()
    package_index.reset()
    third = runner.run(team.workflow, "pull_request")
    assert third.outputs["cache"]["cache-hit"] == "false"
    assert third.outputs["cache"]["cache-matched-key"] == key
    assert record(third)["revision"]["branch"] == "feature"
    assert len(dependency_steps(record(third))) == 1
    assert SMALL <= package_index.bytes_served() < LARGE
    assert runner.caches.keys[-1] == third.outputs["cache"]["cache-primary-key"]
    assert "on main" in third.printed["Check"]


@pytest.mark.parametrize("team", [True], indirect=True)
def test_gitlab_and_then_any_other_runner(
    team: Team, tmp_path: Path, package_index: PackageIndex, registry: Registry
) -> None:
    registry.login = Login("me", PASSWORD)
    settings = load_settings(team.service.root, {}, {})
    variables = {
        "CI_DEFAULT_BRANCH": "main",
        "CI_COMMIT_REF_NAME": "main",
        "REGISTRY_USERNAME": "me",
        "REGISTRY_PASSWORD": PASSWORD,
        "UV_DEFAULT_INDEX": team.service.index_url,
    }
    where = (team.service.root, variables, settings.builder_name)
    job = run_gitlab(render_gitlab(settings), "push-image", tmp_path / "gitlab", *where)
    assert f"{settings.builder_name} (docker-container) created" in job.printed["script"]
    assert PASSWORD not in job.printed["script"]
    assert registry.manifest(f"team/{team.service.name}", "latest")["layers"]
    assert len(dependency_steps(record(job))) == 2

    # A merge request on an empty machine finds all of that, and is checked.
    package_index.reset()
    change = {**variables, "CI_COMMIT_REF_NAME": "feature", "CI_MERGE_REQUEST_IID": "7"}
    merge = run_gitlab(
        render_gitlab(settings), "check-image", tmp_path / "merge", where[0], change, where[2]
    )
    assert ran_steps(record(merge)) == []
    assert package_index.bytes_served() == 0
    assert "<testsuite" in (merge.workspace / ".dockyard/checks.xml").read_text()

    # So does the recipe of the documentation, with the test's registry.
    (recipe,) = re.findall(r"```bash\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    recipe = recipe.replace("registry.example.com/team", f"{registry.host}/team")
    package_index.reset()
    other = run_script(["bash", "-c", recipe], tmp_path / "other", *where)
    assert ran_steps(record(other)) == []
    assert package_index.bytes_served() == 0
    assert "<testsuite" in (other.workspace / "checks.xml").read_text()
