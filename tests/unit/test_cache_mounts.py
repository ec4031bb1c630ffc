"""The steps that save and restore a cache mount, as Dockerfile and as command."""

from __future__ import annotations

import ast
import csv
from pathlib import Path

import pytest

from dockyard.caches.mounts import (
    MOUNT,
    MountSteps,
    restore_arguments,
    restore_dockerfile,
    save_arguments,
    save_dockerfile,
)

STEPS = MountSteps("builder", "python:3.13", "uv:0.13")
TEMPLATES = Path(__file__).parents[2] / "src/dockyard/templates"


def test_the_mount_is_the_one_that_builds_use() -> None:
    # BuildKit keys it by these options: with another the steps would see an empty mount.
    assert f"{MOUNT} \\" in (TEMPLATES / "dependencies.jinja").read_text()
    for dockerfile in (save_dockerfile("built", ["a"]), restore_dockerfile()):
        (step,) = [line for line in dockerfile.splitlines() if "type=cache" in line]
        assert MOUNT in step.split()
        assert "sharing=" not in step


def test_the_argument_that_defeats_the_cache_comes_right_before_the_step() -> None:
    for dockerfile in (save_dockerfile("all", []), restore_dockerfile()):
        lines = dockerfile.splitlines()
        at = lines.index("ARG NONCE")
        assert lines[at + 1].startswith("RUN --network=none ")


def test_only_packages_of_the_lock_are_named() -> None:
    lines = save_dockerfile("built", {"b-c", "a"}).splitlines()
    assert lines[lines.index("COPY <<'NAMES' /packages") + 1] == "a b-c"


def test_commands() -> None:
    saving = save_arguments(STEPS, "once", Path("/cache, mine"), "mounts-linux-amd64")
    assert saving[:3] == ["docker", "buildx", "build"]
    assert saving[-1] == "-"
    assert saving[saving.index("--builder") + 1] == "builder"
    assert "NONCE=once" in saving
    assert "UV_IMAGE=uv:0.13" in saving
    (fields,) = csv.reader([saving[saving.index("--output") + 1]])
    assert {"type=oci", "dest=/cache, mine", "tar=false", "rewrite-timestamp=true"} < set(fields)
    restoring = restore_arguments(STEPS, "twice", Path("/layout"), "sha256:abc")
    assert "saved=oci-layout:///layout@sha256:abc" in restoring
    assert restoring[restoring.index("--output") + 1] == "type=cacheonly"
    assert "NONCE=twice" in restoring


@pytest.mark.parametrize("script", ["save-mount", "restore-mount"])
def test_the_scripts_are_python(script: str) -> None:
    text = (TEMPLATES / script).read_text()
    assert text.startswith("#!/usr/bin/env python3\n")
    ast.parse(text)
