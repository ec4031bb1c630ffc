"""SBOM and provenance of a pushed image: what they hold, and that no secret is in them."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
import requests

from support.engine import Cleanup, docker, random_name
from support.index import PackageIndex
from support.registry import Registry
from support.service import Service
from support.wheels import make_wheel

PASSWORD = "planted-3f9c-password"
# Implements BuildKit's protocol for scanners (docs/attestations/sbom-protocol.md).
SCANNER = """
import json, os, pathlib
source = os.environ["BUILDKIT_SCAN_SOURCE"]
place = pathlib.Path(os.environ["BUILDKIT_SCAN_DESTINATION"])
found = sorted(one.name for one in pathlib.Path(source).rglob("*.dist-info"))
statement = {"_type": "https://in-toto.io/Statement/v0.1",
             "predicateType": "https://spdx.dev/Document",
             "predicate": {"spdxVersion": "SPDX-2.3", "packages": [{"name": n} for n in found]}}
(place / "sbom.spdx.json").write_text(json.dumps(statement))
"""


@pytest.fixture
def generator(base_images: Any, cleanup: Cleanup, tmp_path: Path) -> str:
    """An image that lists distributions, as the published generator lists packages."""
    name = cleanup.name("image", f"{random_name()}:1")
    (tmp_path / "scanner.py").write_text(SCANNER)
    (tmp_path / "Dockerfile").write_text(
        f'FROM {base_images.python}\nCOPY scanner.py /\nENTRYPOINT ["python3", "/scanner.py"]\n'
    )
    docker("buildx", "build", "--quiet", "--provenance=false", f"--tag={name}", str(tmp_path))
    return name


def attestations(registry: Registry, repository: str) -> dict[str, str]:
    """Every in-toto statement of an image's index, its Dockerfiles decoded: type → text."""
    index = registry.manifest(repository, "latest")
    found = {}
    for descriptor in index["manifests"]:
        kind = descriptor.get("annotations", {}).get("vnd.docker.reference.type")
        if kind != "attestation-manifest":
            continue
        for layer in registry.manifest(repository, descriptor["digest"])["layers"]:
            url = f"http://{registry.host}/v2/{repository}/blobs/{layer['digest']}"
            text = requests.get(url, timeout=10).text
            parts = [base64.b64decode(one) for one in re.findall(r'"data":\s*"([^"]{40,})"', text)]
            found[json.loads(text)["predicateType"]] = "\n".join(
                [text, *(part.decode(errors="replace") for part in parts)]
            )
    return found


def test_a_pushed_image_tells_what_it_is_made_of_and_no_secret(
    tmp_path: Path,
    registry: Registry,
    package_index: PackageIndex,
    base_images: Any,
    generator: str,
    cleanup: Cleanup,
) -> None:
    package = random_name()
    folder = tmp_path / "wheels"
    folder.mkdir()
    package_index.add(make_wheel(folder, package, "1.0", size=5_000))
    service = Service(
        tmp_path / "service",
        random_name(),
        {package: "==1.0"},
        index_url=package_index.url,
        python_image=base_images.python,
        uv_image=base_images.uv,
    )
    cleanup.repository(f"{registry.host}/team/{service.name}")
    record = service.build(
        "--push",
        DOCKYARD_REGISTRY=f"{registry.host}/team",
        DOCKYARD_DRIVER="docker",
        DOCKYARD_CACHE_BACKENDS="none",
        DOCKYARD_SBOM="true",
        DOCKYARD_SBOM_GENERATOR=generator,
        DOCKYARD_PROVENANCE="max",
        UV_INDEX_PLANTED_USERNAME="somebody",
        UV_INDEX_PLANTED_PASSWORD=PASSWORD,
    )
    assert record["outcome"] == "succeeded"
    found = attestations(registry, f"team/{service.name}")
    sbom = found.pop("https://spdx.dev/Document")
    assert f"{package.replace('-', '_')}-1.0.dist-info" in sbom
    [provenance] = found.values()
    assert "uv-environment" in provenance  # a secret's id, and not its value
    assert "FROM ${PYTHON_IMAGE}" in provenance
    assert PASSWORD not in provenance + sbom
