"""Workflows for CI services, rendered from the settings. Pure.

A runner starts empty, so what a job costs is decided by where its cache is:

- With a registry, the image's own repository holds the cache. A build reads of it what it lacks,
  and nothing of what it does not run; branches fall back to the default branch.
- On GitHub without one, ``actions/cache`` carries the local cache directory. It is fetched whole,
  and saved only under a new key, that is, when what the dependency layers depend on has changed.
- uv's cache mount travels only where the lock has packages to build from source: whatever has a
  wheel is downloaded again as fast.

Syntax: https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax,
https://docs.gitlab.com/ci/yaml/.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dockyard import __version__
from dockyard.builder_description import driver_options
from dockyard.buildkitd_config import buildkit_config, registry_of
from dockyard.caches.scope import platform_slug

if TYPE_CHECKING:
    from jinja2 import Environment

    from dockyard.settings import Settings

__all__ = ["REQUIREMENT", "render_github", "render_gitlab"]

REQUIREMENT = f"dockyard[check]=={__version__}"
"""What a job installs to have the ``dockyard`` command."""

GITHUB_PACKAGES = "ghcr.io"
GITLAB_REGISTRY = "registry.gitlab.com"
GITLAB_JUNIT = ".dockyard/checks.xml"
GITLAB_CONTEXT = "dockyard-engine"
# GitHub keeps 10 GB for a repository, and evicts the oldest first.
ACTIONS_CACHE_BUDGET = "4GB"
ACTIONS_CACHE_FOLDER = ".dockyard/cache"


def render_github(
    settings: Settings,
    *,
    image: str,
    default_branch: str = "main",
    nox: bool = False,
    from_source: bool = False,
    requirement: str = REQUIREMENT,
) -> str:
    """Render ``.github/workflows/image.yml``.

    ``image`` is the image's name without registry; ``nox``: a noxfile has the session
    ``build-check``; ``from_source``: the lock has packages without a wheel for the image;
    ``requirement`` is what ``uv tool install`` gets. Secrets of the settings are named, never
    written.
    """
    registry = settings.registry
    host = registry_of(f"{registry}/any") if registry else None
    folder = _below_root(settings, settings.cache_dir) or ACTIONS_CACHE_FOLDER
    own = _dedicated(settings)
    variables = {
        **({"DOCKYARD_DRIVER": "docker-container"} if own else {}),
        **_registry_variable(settings, registry),
        "DOCKYARD_CACHE_BACKENDS": "registry" if registry else "local",
        "DOCKYARD_DEFAULT_BRANCH": default_branch,
    }
    if not registry:
        variables |= {"DOCKYARD_CACHE_DIR": folder, "DOCKYARD_CACHE_BUDGET": ACTIONS_CACHE_BUDGET}
    platform = platform_slug(settings.platforms) if settings.platforms else "linux-amd64"
    prefix = f"dockyard-{_slug(image)}-{platform}-"
    pinned = "@" in settings.python_image
    of_base = f"{prefix}${{{{ steps.base.outputs.digest }}}}-"
    project = "" if settings.project == "." else f"{settings.project}/"
    hashed = f"${{{{ hashFiles('{project}uv.lock', '{settings.dockerfile}') }}}}"
    packages = host == GITHUB_PACKAGES
    return _render(
        "github.yml.jinja",
        **_common(settings, own=own, nox=nox, from_source=from_source, requirement=requirement),
        default_branch=default_branch,
        registry=registry,
        host=host,
        github_packages=packages,
        user="github.actor" if packages else "secrets.REGISTRY_USERNAME",
        password="secrets.GITHUB_TOKEN" if packages else "secrets.REGISTRY_PASSWORD",
        variables=variables,
        builder=settings.builder_name,
        driver_options=_driver_options(settings),
        pinned=pinned,
        python_image=settings.python_image,
        cache_path=folder,
        cache_key=(prefix if pinned else of_base) + hashed,
        records=f"dockyard-records-{_slug(image)}",
        restore_keys=[prefix] if pinned else [of_base, prefix],
        secrets=_secret_lines(settings),
    )


def render_gitlab(
    settings: Settings,
    *,
    nox: bool = False,
    from_source: bool = False,
    requirement: str = REQUIREMENT,
) -> str:
    """Render ``.gitlab-ci.yml``; the arguments are those of :func:`render_github`.

    Without DOCKYARD_REGISTRY, image and cache are in the project's own registry, because GitLab's
    ``cache:`` has no key that falls back to an older one. Variables of the project reach every
    command by themselves, index credentials among them.
    """
    registry = settings.registry or "$CI_REGISTRY_IMAGE"
    host = registry_of(f"{registry}/any") if settings.registry else "$CI_REGISTRY"
    gitlab = not settings.registry or host == GITLAB_REGISTRY
    own = _dedicated(settings)
    variables = {
        **({"DOCKYARD_DRIVER": "docker-container"} if own else {}),
        **({"DOCKYARD_BUILDER_ENDPOINT": GITLAB_CONTEXT} if own else {}),
        **_registry_variable(settings, registry),
        "DOCKYARD_CACHE_BACKENDS": "registry",
        "DOCKYARD_DEFAULT_BRANCH": "$CI_DEFAULT_BRANCH",
    }
    return _render(
        "gitlab.yml.jinja",
        **_common(settings, own=own, nox=nox, from_source=from_source, requirement=requirement),
        host=host,
        user="CI_REGISTRY_USER" if gitlab else "REGISTRY_USERNAME",
        password="CI_REGISTRY_PASSWORD" if gitlab else "REGISTRY_PASSWORD",
        variables=variables,
        context=GITLAB_CONTEXT,
        junit=f"{' --' if nox else ''} --junit={GITLAB_JUNIT}",
    )


def _common(
    settings: Settings, *, own: bool, nox: bool, from_source: bool, requirement: str
) -> dict[str, Any]:
    return {
        "config": _config(settings) if own else None,
        "check": "uvx nox -s build-check" if nox else "dockyard check",
        "from_source": from_source and settings.cache_mounts != "none",
        "requirement": requirement,
    }


def _slug(image: str) -> str:
    return image.replace("/", "-")


def _dedicated(settings: Settings) -> bool:
    """Whether the job makes its own builder; else it uses one that is elsewhere."""
    return settings.builder == "auto" and settings.driver not in ("remote", "kubernetes")


def _registry_variable(settings: Settings, registry: str | None) -> dict[str, str]:
    """Name the registry where pyproject.toml, which the job reads by itself, does not."""
    from dockyard.settings import Origin

    written = settings.sources["registry"].origin is Origin.PYPROJECT
    return {"DOCKYARD_REGISTRY": registry} if registry and not written else {}


def _below_root(settings: Settings, path: Path) -> str | None:
    """Return a path relative to the repository; None where it is outside, on this machine alone."""
    inside = path.is_relative_to(settings.root)
    return path.relative_to(settings.root).as_posix() if inside else None


def _config(settings: Settings) -> str:
    """Render ``buildkitd.toml`` for a runner, on which only the repository's own files are."""
    authority = _below_root(settings, settings.ca_file) if settings.ca_file else None
    portable = replace(settings, ca_file=Path(authority) if authority else None)
    return buildkit_config(portable, disk=None).render().rstrip()


def _driver_options(settings: Settings) -> list[str]:
    options = {"image": settings.buildkit_image}
    if settings.network == "host":
        options["network"] = "host"
    return [f"{key}={value}" for key, value in {**options, **driver_options(settings)}.items()]


def _secret_lines(settings: Settings) -> Callable[[int], str]:
    """Return what adds the ``env`` of index credentials to a step, indented so many blanks."""
    names = sorted(settings.index_credentials)

    def lines(indent: int) -> str:
        if not names:
            return ""
        blanks = " " * indent
        entries = (f"\n{blanks}  {name}: ${{{{ secrets.{name} }}}}" for name in names)
        return f"\n{blanks}env:{''.join(entries)}"

    return lines


def _render(name: str, **values: Any) -> str:
    return _environment().get_template(f"ci/{name}").render(**values)


def _environment() -> Environment:
    """Open the templates; ``[[ ]]`` and ``[% %]`` leave ``${{ }}`` to GitHub."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("dockyard"),
        undefined=StrictUndefined,
        variable_start_string="[[",
        variable_end_string="]]",
        block_start_string="[%",
        block_end_string="%]",
        comment_start_string="[#",
        comment_end_string="#]",
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - YAML, not HTML
    )
    made.filters["quoted"] = shlex.quote
    # Jinja's own writes “&” and “<” as HTML would want them.
    made.filters["tojson"] = _json
    return made


def _json(value: object) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)
