"""A service as `invoke bench` measures one: two packages, a layer each, another Dockerfile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.engine import random_name
from support.index import PackageIndex
from support.service import Service
from support.wheels import make_wheel

__all__ = ["SIZES", "measured_service"]

SIZES = {"large": 3_000_000, "small": 400_000}
PLAN = """\
ARG PYTHON_IMAGE
ARG UV_IMAGE
FROM ${UV_IMAGE} AS uv
FROM ${PYTHON_IMAGE} AS dependencies
COPY --from=uv /uv /usr/local/bin/uv
WORKDIR /app
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-install-project
FROM ${PYTHON_IMAGE}
COPY --from=dependencies /app/.venv /app/.venv
COPY src /app/src
"""
CHANGES = """\
[code-change]
file = "src/{module}/__init__.py"
[small-dependency]
upgrade = "{small}==2.0"
"""


def measured_service(tmp_path: Path, package_index: PackageIndex, base_images: Any) -> Service:
    """Make it below ``tmp_path``; the packages do not compress, so their sizes are what travels."""
    packages = {role: random_name() for role in SIZES}
    for role, name in packages.items():
        for version in ("1.0", "2.0"):
            wheel = make_wheel(tmp_path, name, version, size=SIZES[role], seed=version)
            package_index.add(wheel)
    made = Service(
        tmp_path / "service",
        random_name(),
        {packages["large"]: "==1.0", packages["small"]: "<3"},
        index_url=package_index.url,
        python_image=base_images.python,
        uv_image=base_images.uv,
        settings={
            "python-image": f'"{base_images.python}"',
            "uv-image": f'"{base_images.uv}"',
        },
    )
    # The bench changes it: what uv locked is the newer one.
    lock = made.root / "uv.lock"
    made.lock({packages["large"]: "==1.0", packages["small"]: "==1.0"})
    made.lock({packages["large"]: "==1.0", packages["small"]: "<3"})
    assert 'version = "1.0"' in lock.read_text()
    made.assign([packages["large"]], [packages["small"]])
    folder = made.root / "examples/bench"
    (folder / "plan").mkdir(parents=True)
    (folder / "plan/Dockerfile").write_text(PLAN)
    changes = CHANGES.format(module=made.name.replace("-", "_"), small=packages["small"])
    (folder / "changes.toml").write_text(changes)
    made.commit()
    package_index.reset()
    return made
