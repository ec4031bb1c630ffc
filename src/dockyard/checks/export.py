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
from dockyard.checks.builds import build_variant, exporting
from dockyard.checks.changes import PROJECT_STAGE
from dockyard.checks.contents import LayerContents, read_layer
from dockyard.checks.dockerfile import final_base
from dockyard.checks.workbench import PLANTED
from dockyard.dockerfile import DEPENDENCY_STAGE_PREFIX
from dockyard.errors import CheckUnavailableError, DockyardError

if TYPE_CHECKING:
    from dockyard.checks.workbench import Workbench
    from dockyard.dockerfile_syntax import Stage

__all__ = ["Export", "decoded", "export_image", "stages_to_run"]

SECONDS = 60.0
LOCAL_STAGE = "local-packages"
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


def stages_to_run(stages: Sequence[Stage]) -> tuple[str, ...]:
    """List the user's own stages that mount a secret: a change of the lock runs none of them.

    Those of Dockyard run one script, so one dependency stage stands for all.
    """
    ours = (PROJECT_STAGE, LOCAL_STAGE)
    return tuple(
        stage.name
        for stage in stages
        if stage.name
        and stage.name not in ours
        and not re.fullmatch(rf"{DEPENDENCY_STAGE_PREFIX}\d+", stage.name)
        and any("type=secret" in one.text for one in stage.instructions)
    )


def export_image(workbench: Workbench) -> Export:
    """Export the image in which the steps that may see secrets ran with a planted one, and read it.

    Raises what a build raises.
    """
    own = stages_to_run(workbench.stages)
    notes: list[str] = []
    changed = None
    try:
        changed = workbench.changed_lock
    except DockyardError as error:
        said = error.problems[0].message.partition("\n")[0]
        notes.append(f"no dependency was installed with the planted secret: {said}")
    planted = (changed.stage,) if changed else ()
    if changed and not own:
        return _read(workbench, changed.image, planted, ())
    folder = workbench.folder() / "image"
    context = changed.context if changed else None
    output, options = exporting(workbench.settings, folder)
    build = partial(
        build_variant, workbench, context=context, output=output, another_lock=changed is not None
    )
    if own:
        again = (*options, "--no-cache-filter", ",".join(own))
        try:
            build(options=again)
            return _read(workbench, folder, (*planted, *own), tuple(notes))
        except DockyardError as error:
            said = error.problems[0].message.partition("\n")[0]
            notes.append(f"{', '.join(own)} did not run with the planted secret: {said}")
    build(options=options)
    return _read(workbench, folder, planted, tuple(notes))


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
