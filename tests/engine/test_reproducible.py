"""Two builds on two fresh builders: the same image, or the file that differs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dockyard.reproducibility import Reproducibility, check_reproducible
from dockyard.settings import load_settings
from support.engine import Cleanup, random_name
from support.index import PackageIndex
from support.mixed import MixedProject
from support.service import Service
from support.wheels import make_wheel


def checked(service: Service, **changes: str) -> Reproducibility:
    """Check it with the service's own environment."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DOCKYARD_", "UV_"))}
    # Compressing the base image is what takes longest, and proves nothing.
    quick = {"DOCKYARD_COMPRESSION": "uncompressed"}
    environment = {**kept, **service.environment, **quick, **changes}
    return check_reproducible(load_settings(service.root, environment, {}), environment)


def test_every_kind_of_package_is_reproducible(mixed: Callable[..., MixedProject]) -> None:
    project = mixed(install='"wheel"', command='["greet"]')
    found = checked(project, DOCKYARD_BYTE_COMPILE="true")
    assert found.difference is None
    assert found.identical
    first, second = found.images
    assert first.manifest == second.manifest
    assert first.config == second.config
    assert len(first.layers) == len(first.created_by) > 4
    listed = subprocess.run(["docker", "buildx", "ls"], capture_output=True, text=True, check=True)
    assert "dockyard-reproducible-" not in listed.stdout


def test_the_first_file_that_differs_is_named(
    tmp_path: Path,
    package_index: PackageIndex,
    base_images: Any,
    cleanup: Cleanup,
) -> None:
    name = random_name()
    package_index.add(make_wheel(tmp_path, name, "1.0", size=1_000))
    service = Service(
        tmp_path / "service",
        random_name(),
        {name: "==1.0"},
        index_url=package_index.url,
        python_image=base_images.python,
        uv_image=base_images.uv,
    )
    dockerfile = service.root / "docker/Dockerfile"
    text = dockerfile.read_text()
    changed = text.replace(
        "    && finish-layer environment",
        "    && date +%N > /environment/opt/planted && finish-layer environment",
    )
    assert changed != text
    dockerfile.write_text(changed)
    service.commit()
    found = checked(service)
    assert not found.identical
    assert found.difference
    assert found.difference.path == "/opt/planted"
    assert "environment" in found.difference.layer
    assert "content" in found.difference.what or "size" in found.difference.what
