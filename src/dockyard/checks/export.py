"""The image exported to a folder: its configuration, layers and attestations.

Layouts and manifests are those of the OCI image specification 1.1 (image-layout.md, manifest.md).
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from dockyard import process
from dockyard.checks.base_listings import forget_other_listings, remembered_listing
from dockyard.checks.builds import build_variant, try_offline
from dockyard.checks.changes import cheapest_layer
from dockyard.checks.contents import LayerContents, read_layer
from dockyard.checks.dockerfile import final_base
from dockyard.checks.workbench import PLANTED
from dockyard.dockerfile import DEPENDENCY_STAGE_PREFIX
from dockyard.errors import CheckUnavailableError, DockyardError

if TYPE_CHECKING:
    from dockyard.checks.workbench import Workbench
    from dockyard.dockerfile_syntax import Stage
    from dockyard.trace import BuildTrace

__all__ = ["Export", "decoded", "export_image", "stages_to_run"]

SECONDS = 60.0
# Shorter values are in files by chance.
SHORTEST_SECRET = 8


@dataclass(frozen=True)
class Export:
    """The exported image: configuration, layers from the base up, and attestations' texts.

    ``inherited`` is the base image's configuration. ``planted_in`` names the stages whose steps ran
    with the planted secret, and ``notes`` why others did not. ``secrets`` are what is looked for.
    """

    config: Mapping[str, Any]
    inherited: Mapping[str, Any]
    layers: tuple[LayerContents, ...]
    attestations: tuple[str, ...]
    secrets: tuple[str, ...]
    planted_in: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def stages_to_run(stages: Sequence[Stage], cheapest: str | None) -> tuple[str, ...]:
    """List the stages to run again because their steps mount a secret.

    All dependency stages run the same script, so the ``cheapest`` stands for them.
    """
    found = []
    for stage in stages:
        mounts = any("type=secret" in one.text for one in stage.instructions)
        if not (mounts and stage.name):
            continue
        number = stage.name.removeprefix(DEPENDENCY_STAGE_PREFIX)
        if number != stage.name and number.isdigit() and cheapest and stage.name != cheapest:
            continue
        found.append(stage.name)
    return tuple(found)


def _cheapest(workbench: Workbench) -> str | None:
    number = cheapest_layer(workbench)
    return f"{DEPENDENCY_STAGE_PREFIX}{number}" if number else None


def export_image(workbench: Workbench) -> Export:
    """Build the image into a folder, with attestations, and read what is in it.

    The steps that may see secrets run again, with a planted one. Raises what a build raises.
    """
    folder = workbench.folder() / "image"
    again = stages_to_run(workbench.stages, _cheapest(workbench))
    settings = workbench.settings
    output = f"type=oci,tar=false,dest={folder},oci-mediatypes=true"
    output += f",compression={settings.compression}"
    if settings.compression != "uncompressed":
        output += f",compression-level={settings.compression_level}"
    # Of two options the last counts: this one has all that an attestation can hold.
    attested = ("--provenance=mode=max",)

    def export(offline: bool) -> BuildTrace:
        options = ("--no-cache-filter", ",".join(again)) if again else ()
        return build_variant(
            workbench, output=output, options=(*attested, *options), offline=offline
        )

    notes: tuple[str, ...] = ()
    try:
        try_offline(export)
    except DockyardError as error:
        if not again:
            raise
        notes = (
            f"the planted secret reached only the steps that ran in this check: {', '.join(again)} "
            f"did not run again: {error.problems[0].message.splitlines()[0]}",
        )
        again = ()
        build_variant(workbench, output=output, options=attested)
    return _read(workbench, folder, again, notes)


def _read(
    workbench: Workbench, folder: Path, planted_in: tuple[str, ...], notes: tuple[str, ...]
) -> Export:
    manifests, attestations = _manifests(folder)
    if len(manifests) != 1:
        raise CheckUnavailableError(f"the export holds {len(manifests)} images, not one")
    config = _json(folder, manifests[0]["config"]["digest"])
    inherited = _base_config(workbench)
    base = _shared_layers(config, inherited)
    values = (one for one in workbench.settings.secret_values() if len(one) >= SHORTEST_SECRET)
    secrets = (PLANTED, *values)
    made = [one for one in config.get("history", ()) if not one.get("empty_layer")]
    root = workbench.settings.root
    layers = []
    for position, descriptor in enumerate(manifests[0]["layers"]):
        created_by = str(made[position].get("created_by", "")) if position < len(made) else ""
        read = partial(_read_blob, folder, descriptor, created_by, position < base, secrets)
        layers.append(
            remembered_listing(root, descriptor["digest"], created_by, read)
            if position < base
            else read()
        )
    forget_other_listings(root, [one["digest"] for one in manifests[0]["layers"][:base]])
    return Export(
        config=config,
        inherited=inherited if base else {},
        layers=tuple(layers),
        attestations=tuple(
            _blob(folder, digest).read_text(encoding="utf-8", errors="replace")
            for digest in attestations
        ),
        secrets=secrets,
        planted_in=planted_in,
        notes=notes,
    )


def _read_blob(
    folder: Path,
    descriptor: Mapping[str, Any],
    created_by: str,
    base: bool,
    secrets: Sequence[str],
) -> LayerContents:
    path = _blob(folder, descriptor["digest"])
    with path.open("rb") as raw, _decompressed(raw, descriptor["mediaType"]) as stream:
        return read_layer(stream, created_by=created_by, base=base, secrets=secrets)


def _blob(folder: Path, digest: str) -> Path:
    algorithm, _, value = digest.partition(":")
    return folder / "blobs" / algorithm / value


def _json(folder: Path, digest: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(_blob(folder, digest).read_bytes())
    return loaded


def _manifests(folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Follow the layout's index: the images' manifests, and the digests of attestations' blobs."""
    images, attestations = [], []
    pending = list(json.loads((folder / "index.json").read_bytes())["manifests"])
    while pending:
        descriptor = pending.pop(0)
        manifest = _json(folder, descriptor["digest"])
        kind = (descriptor.get("annotations") or {}).get("vnd.docker.reference.type")
        if "manifests" in manifest:
            pending += manifest["manifests"]
        elif kind == "attestation-manifest":
            attestations += [one["digest"] for one in manifest["layers"]]
        else:
            images.append(manifest)
    return images, attestations


def _decompressed(raw: IO[bytes], media_type: str) -> Any:
    if media_type.endswith("zstd"):
        if sys.version_info >= (3, 14):
            from compression.zstd import ZstdFile
        else:
            from backports.zstd import ZstdFile
        return ZstdFile(raw)
    if media_type.endswith("gzip"):
        return gzip.GzipFile(fileobj=raw)
    return io.BufferedReader(raw)


def _base_config(workbench: Workbench) -> dict[str, Any]:
    """Ask engine or registry for the final stage's base image; empty where neither knows it."""
    values = {one.argument: one.resolved for one in workbench.base_images}
    reference = final_base(workbench.stages, workbench.dockerfile, values)
    if reference is None:
        return {}
    held = process.run(("docker", "image", "inspect", reference), timeout=SECONDS)
    try:
        if held.succeeded:
            inspected = json.loads(held.stdout)[0]
            return {
                "rootfs": {"diff_ids": inspected["RootFS"].get("Layers") or []},
                "config": inspected.get("Config") or {},
            }
        asked = process.run(
            ("docker", "buildx", "imagetools", "inspect", reference, "--format", "{{json .Image}}"),
            timeout=SECONDS,
        )
        answer = json.loads(asked.stdout)
        found: dict[str, Any] = next(
            (one for key, one in answer.items() if key.endswith(workbench.engine.architecture)),
            answer,
        )
        return found
    except (ValueError, KeyError, IndexError, AttributeError):
        return {}


def _shared_layers(config: Mapping[str, Any], base: Mapping[str, Any]) -> int:
    """Count the layers that are the base image's; 0 where the image is not from it."""
    own = config.get("rootfs", {}).get("diff_ids") or []
    theirs = base.get("rootfs", {}).get("diff_ids") or []
    return len(theirs) if theirs and own[: len(theirs)] == theirs else 0


def decoded(text: str) -> str:
    """Return an attestation with the Dockerfiles that it holds in base64 readable, too."""
    found = re.findall(r'"data":\s*"([A-Za-z0-9+/=]{40,})"', text)
    readable = [base64.b64decode(one + "==", validate=False) for one in found]
    return "\n".join([text, *(one.decode(errors="replace") for one in readable)])
