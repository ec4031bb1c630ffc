"""The rendered workflows: valid by the services' published schemas, and what they promise."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from dockyard.buildkitd_config import buildkit_config
from dockyard.ci_templates import render_github, render_gitlab
from dockyard.settings import Origin, Settings, Source
from support.ci_recipes import DOCUMENT, renewed
from support.settings import make_settings

ROOT = Path("/repository")
PASSWORD = "hush-and-never-tell"
PINNED = f"python@sha256:{'0' * 64}"
VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "without a registry": ({}, {}),
    "without a registry, a pinned base": ({"python_image": PINNED}, {"default_branch": "trunk"}),
    "GitHub's registry": ({"registry": "ghcr.io/acme"}, {"nox": True, "from_source": True}),
    "another registry, mirrors and a password": (
        {
            "registry": "registry.example.com:5000/acme",
            "image_mirrors": ("docker.m.daocloud.io",),
            "insecure_registries": ("registry.example.com:5000",),
            "index_credentials": {"UV_INDEX_INTERNAL_PASSWORD": PASSWORD},
        },
        {"requirement": "dockyard @ https://example.com/a b.whl"},
    ),
    "a builder elsewhere": ({"driver": "remote", "builder_endpoint": "tcp://b.example.com:1"}, {}),
}
variants = pytest.mark.parametrize(("changes", "options"), VARIANTS.values(), ids=VARIANTS)


def rendered(service: str, changes: dict[str, Any], options: dict[str, Any]) -> str:
    settings = make_settings(ROOT, **changes)
    if service == "github":
        return render_github(settings, image="shop", **options)
    return render_gitlab(settings, **{k: v for k, v in options.items() if k != "default_branch"})


def github(changes: dict[str, Any], **options: Any) -> dict[str, Any]:
    text = render_github(make_settings(ROOT, **changes), image="shop", **options)
    # YAML 1.1 reads the key “on” as a truth.
    loaded = yaml.load(text, Loader=yaml.BaseLoader)
    assert isinstance(loaded, dict)
    return loaded


def gitlab(changes: dict[str, Any], **options: Any) -> dict[str, Any]:
    loaded = yaml.safe_load(render_gitlab(make_settings(ROOT, **changes), **options))
    assert isinstance(loaded, dict)
    return loaded


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    found = workflow["jobs"]["image"]["steps"]
    assert isinstance(found, list)
    return found


def step(workflow: dict[str, Any], words: str) -> dict[str, Any]:
    (found,) = (one for one in steps(workflow) if words in (one.get("name") or one["uses"]))
    return found


def runs(workflow: dict[str, Any]) -> list[str]:
    return [one["run"] for one in steps(workflow) if "run" in one]


@pytest.mark.spawns
@pytest.mark.parametrize(
    ("service", "schema"),
    [
        ("github", ["vendor.github-workflows"]),
        ("gitlab", ["vendor.gitlab-ci", "--data-transform", "gitlab-ci"]),
    ],
)
def test_the_published_schema_accepts_them(service: str, schema: list[str], tmp_path: Path) -> None:
    import subprocess

    for number, (changes, options) in enumerate(VARIANTS.values()):
        (tmp_path / f"{number}.yml").write_text(rendered(service, changes, options))
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", *schema]
    paths = map(str, sorted(tmp_path.iterdir()))
    done = subprocess.run([*command, *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@variants
def test_no_secret_is_written(changes: dict[str, Any], options: dict[str, Any]) -> None:
    for service in ("github", "gitlab"):
        assert PASSWORD not in rendered(service, changes, options)


def test_secrets_reach_the_steps_that_need_them_and_no_command() -> None:
    changes, options = VARIANTS["another registry, mirrors and a password"]
    workflow = github(changes, **options)
    with_env = [one["name"] for one in steps(workflow) if "secrets." in json.dumps(one.get("env"))]
    assert with_env == ["Build and push", "Build", "Check"]
    assert not any("secrets." in command for command in runs(workflow))
    assert "secrets." not in json.dumps(workflow["jobs"]["image"]["env"])
    login = step(workflow, "login-action")
    assert login["with"]["password"] == "${{ secrets.REGISTRY_PASSWORD }}"
    assert login["with"]["registry"] == "registry.example.com:5000"


def test_gitlab_takes_the_password_by_standard_input() -> None:
    for changes, names in (
        ({}, ("CI_REGISTRY_USER", "CI_REGISTRY_PASSWORD", "$CI_REGISTRY")),
        ({"registry": "registry.gitlab.com/a"}, ("CI_REGISTRY_USER", "CI_REGISTRY_PASSWORD", "")),
        ({"registry": "quay.io/a"}, ("REGISTRY_USERNAME", "REGISTRY_PASSWORD", "quay.io")),
    ):
        lines = gitlab(changes)[".dockyard"]["before_script"]
        (login,) = (line for line in lines if "docker login" in line)
        user, password, host = names
        assert login.startswith(f"printf '%s' \"${password}\" | docker login")
        assert f'--username "${user}"' in login
        assert host in login


@pytest.mark.parametrize(
    ("registry", "permissions"),
    [
        (None, {"contents": "read"}),
        ("quay.io/acme", {"contents": "read"}),
        ("ghcr.io/acme", {"contents": "read", "packages": "write"}),
    ],
)
def test_permissions_are_what_the_registry_needs(
    registry: str | None, permissions: dict[str, str]
) -> None:
    assert github({"registry": registry})["permissions"] == permissions


def test_the_builder_is_the_one_that_dockyard_would_make() -> None:
    changes = {"image_mirrors": ("mirror.example.com",), "builder_name": "team", "network": "host"}
    setup = step(github(changes), "setup-buildx-action")["with"]
    wanted = buildkit_config(make_settings(ROOT, **changes), disk=None).render()
    assert setup["buildkitd-config-inline"].strip() == wanted.strip()
    assert setup["name"] == "team"
    assert setup["driver-opts"].split() == [
        f"image={make_settings(ROOT).buildkit_image}",
        "network=host",
    ]


def test_a_builder_elsewhere_is_left_to_dockyard() -> None:
    workflow = github(VARIANTS["a builder elsewhere"][0])
    assert "dockyard cache.init" in runs(workflow)
    assert not any("setup-buildx" in one.get("uses", "") for one in steps(workflow))
    assert "DOCKYARD_DRIVER" not in workflow["jobs"]["image"]["env"]


def test_an_authority_of_the_repository_goes_along_and_no_other() -> None:
    inside = step(github({"ca_file": ROOT / "certificates/ca.pem"}), "setup-buildx")
    assert 'ca = ["certificates/ca.pem"]' in inside["with"]["buildkitd-config-inline"]
    outside = render_github(make_settings(ROOT, ca_file=Path("/home/me/ca.pem")), image="shop")
    assert "/home/me" not in outside


def test_what_is_pushed_and_when() -> None:
    workflow = github({"registry": "quay.io/acme"})
    assert step(workflow, "Build and push")["if"] == "github.event_name == 'push'"
    assert step(workflow, "Check")["if"] == "github.event_name == 'pull_request'"
    assert workflow["on"]["push"]["branches"] == ["main"]
    assert not any("--push" in command for command in runs(github({})))


def test_the_registry_is_named_unless_pyproject_does() -> None:
    changes = {"registry": "quay.io/acme"}
    assert github(changes)["jobs"]["image"]["env"]["DOCKYARD_REGISTRY"] == "quay.io/acme"
    settings = make_settings(ROOT, **changes)
    written = _from_pyproject(settings)
    assert "DOCKYARD_REGISTRY" not in render_github(written, image="shop")
    assert "DOCKYARD_REGISTRY" not in render_gitlab(written)


def _from_pyproject(settings: Settings) -> Settings:
    source = Source(Origin.PYPROJECT, "pyproject.toml [tool.dockyard] registry")
    return replace(settings, sources={**settings.sources, "registry": source})


def test_the_key_is_of_what_the_dependency_layers_depend_on() -> None:
    changes = {"project": "services/api", "platforms": ("linux/arm64",)}
    workflow = github(changes)
    restore = step(workflow, "Restore the build cache")["with"]
    hashed = "${{ hashFiles('services/api/uv.lock', 'docker/Dockerfile') }}"
    stem = "dockyard-shop-linux-arm64-"
    base = f"{stem}${{{{ steps.base.outputs.digest }}}}-"
    assert restore["key"] == base + hashed
    assert restore["restore-keys"].split("\n")[:2] == [base, stem]
    assert "github.sha" not in json.dumps(restore)
    saved = step(workflow, "Save the build cache")
    assert saved["if"] == "steps.cache.outputs.cache-hit != 'true'"
    assert saved["with"]["key"] == "${{ steps.cache.outputs.cache-primary-key }}"
    assert saved["with"]["path"] == restore["path"] == ".dockyard/cache"


def test_a_pull_request_is_compared_with_the_last_build_s_record() -> None:
    workflow = github({})
    restored, kept = step(workflow, "Restore the last"), step(workflow, "Keep the build's record")
    assert restored["if"] == "github.event_name == 'pull_request'"
    assert kept["if"] == "github.event_name == 'push'"
    assert restored["with"]["path"] == kept["with"]["path"] == ".dockyard/builds"
    assert kept["with"]["key"].startswith(restored["with"]["restore-keys"].strip())
    names = [one.get("name") for one in steps(workflow)]
    order = ["Build", "Restore the last build's record", "Check", "Save the build cache"]
    assert [name for name in names if name in order] == order


def test_a_pinned_base_is_not_looked_up() -> None:
    workflow = github({"python_image": PINNED})
    assert not any(one.get("id") == "base" for one in steps(workflow))
    restore = step(workflow, "Restore the build cache")["with"]
    assert restore["key"] == (
        "dockyard-shop-linux-amd64-${{ hashFiles('uv.lock', 'docker/Dockerfile') }}"
    )


def test_cache_mounts_travel_where_something_is_built_from_source() -> None:
    def moved(changes: dict[str, Any], **options: Any) -> Iterator[str]:
        yield from (one for one in runs(github(changes, **options)) if "--mounts" in one)
        jobs = gitlab(changes, **options)
        for job, part in ((".dockyard", "before_script"), ("push-image", "script")):
            yield from (one for one in jobs[job][part] if "--mounts" in one)

    registry = {"registry": "quay.io/acme"}
    both = ["dockyard cache.pull --mounts", "dockyard cache.push --mounts"]
    assert list(moved(registry, from_source=True)) == both * 2
    assert list(moved(registry)) == []
    assert list(moved({**registry, "cache_mounts": "none"}, from_source=True)) == []


@pytest.mark.parametrize(("nox", "command"), [(True, "uvx nox -s build-check"), (False, "check")])
def test_checks_run_by_nox_where_it_has_them(nox: bool, command: str) -> None:
    expected = command if nox else f"dockyard {command}"
    assert step(github({}, nox=nox), "Check")["run"] == expected
    jobs = gitlab({}, nox=nox)
    ran = jobs["check-image"]["script"][-1]
    assert ran.startswith(expected)
    # GitLab shows what the checks say, where its artifacts say they are.
    report = jobs[".dockyard"]["artifacts"]["reports"]["junit"]
    assert ran.removeprefix(expected) == f"{' --' if nox else ''} --junit={report}"


def test_actions_are_pinned() -> None:
    workflow = github({"registry": "quay.io/acme"})
    used = [one["uses"] for one in (*steps(workflow), *steps(github({}))) if "uses" in one]
    assert used
    for one in used:
        _, _, version = one.partition("@")
        assert version.startswith("v")
        assert version[1:].isdigit(), one


def test_gitlab_has_a_context_for_the_builder_and_images_with_a_version() -> None:
    jobs = gitlab({})
    base = jobs[".dockyard"]
    endpoint = base["variables"]["DOCKYARD_BUILDER_ENDPOINT"]
    assert f"docker context create {endpoint}" in base["before_script"]
    assert base["before_script"][-1] == "dockyard cache.init"
    assert base["image"] == "docker:28"
    assert base["services"] == ["docker:28-dind"]
    assert base["variables"]["DOCKYARD_REGISTRY"] == "$CI_REGISTRY_IMAGE"


def test_the_documentation_shows_what_is_rendered() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert renewed(text) == text, "run `python -m support.ci_recipes` in tests/"
