"""uv's cache mount as an image: saved from a builder, restored into another, by BuildKit itself.

No cache export has cache mounts in it (moby/buildkit#1512). A step can mount one and copy, though,
and its result travels as an OCI layout over buildx's own connection: so this works with every
driver, and the builder need not reach a registry.
"""

from __future__ import annotations

import csv
import io
import json
import secrets
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard import process
from dockyard.caches.builder_usage import UsageRecord, builder_usage
from dockyard.caches.layout import Descriptor, Layout, children
from dockyard.errors import BuilderError
from dockyard.scratch import ScratchFolder

if TYPE_CHECKING:
    from dockyard.state import State

__all__ = [
    "MountSteps",
    "Saved",
    "mount_record",
    "restore_arguments",
    "restore_dockerfile",
    "restore_mount",
    "save_arguments",
    "save_dockerfile",
    "save_mount",
]

MOUNT_ID = "dockyard-uv"
# The options of templates/dependencies.jinja: BuildKit keys a mount by more than its id where
# from, uid, gid or mode is given (``convert_runmount.go``).
MOUNT = f"--mount=type=cache,id={MOUNT_ID},target=/var/cache/uv"
UV_MOUNT = "--mount=type=bind,from=uv-tool,source=/uv,target=/usr/local/bin/uv"
STEP_SECONDS = 3600.0
SETTLE_SECONDS = 3.0
# 1980-01-01, as in the layers of the image: what is unchanged has to become the same blob.
EPOCH = 315532800
# The tar of no file at all, which is what a COPY of an empty folder adds.
EMPTY_LAYER = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
# A name that nobody can resolve: the image is never pushed under it.
NAME = "dockyard.local/mounts"


@dataclass(frozen=True)
class MountSteps:
    """Where the steps run, and on what: a builder, and the base images as they resolve there."""

    builder: str
    python_image: str
    uv_image: str
    compression: str = "zstd"


@dataclass(frozen=True)
class Saved:
    """A saved cache mount: None where there was nothing to keep; ``ran`` unless known before."""

    descriptor: Descriptor | None
    ran: bool


def _script(name: str) -> str:
    return (Path(__file__).parents[1] / "templates" / name).read_text(encoding="utf-8")


def save_dockerfile(kind: str, packages: Collection[str]) -> str:
    """Render the steps that copy the mount into a layer.

    ``kind`` is ``built`` (wheels built from source, of ``packages`` alone: other projects use the
    same mount) or ``all``.
    """
    return f"""\
ARG PYTHON_IMAGE
ARG UV_IMAGE
FROM ${{UV_IMAGE}} AS uv-tool
FROM ${{PYTHON_IMAGE}} AS collect
USER 0
COPY <<'NAMES' /packages
{" ".join(sorted(packages))}
NAMES
COPY --chmod=0755 <<'SCRIPT' /usr/local/bin/save-mount
{_script("save-mount")}SCRIPT
ARG NONCE
RUN --network=none {UV_MOUNT} {MOUNT} save-mount {kind}
FROM scratch
COPY --from=collect /collected/ /
"""


def restore_dockerfile() -> str:
    """Render the step that copies a saved mount, the context ``saved``, into the mount."""
    return f"""\
ARG PYTHON_IMAGE
FROM ${{PYTHON_IMAGE}}
USER 0
COPY --chmod=0755 <<'SCRIPT' /usr/local/bin/restore-mount
{_script("restore-mount")}SCRIPT
ARG NONCE
RUN --network=none --mount=type=bind,from=saved,target=/saved {MOUNT} restore-mount
"""


def _arguments(steps: MountSteps, nonce: str) -> list[str]:
    return [
        *("docker", "buildx", "build", "--progress=plain", "--provenance=false"),
        *("--builder", steps.builder),
        *("--build-arg", f"PYTHON_IMAGE={steps.python_image}"),
        # Without it BuildKit would give back the step's last result, of whatever the mount held.
        *("--build-arg", f"NONCE={nonce}"),
    ]


def save_arguments(steps: MountSteps, nonce: str, folder: Path, tag: str) -> list[str]:
    """Render the command that adds the saved mount to the layout in ``folder`` under ``tag``."""
    output = {
        "type": "oci",
        "dest": str(folder),
        "tar": "false",
        "name": f"{NAME}:{tag}",
        "compression": steps.compression,
        "oci-mediatypes": "true",
        "source-date-epoch": str(EPOCH),
        "rewrite-timestamp": "true",
    }
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(f"{key}={one}" for key, one in output.items())
    build_arg = ["--build-arg", f"UV_IMAGE={steps.uv_image}"]
    return [*_arguments(steps, nonce), *build_arg, "--output", line.getvalue(), "-"]


def restore_arguments(steps: MountSteps, nonce: str, folder: Path, digest: str) -> list[str]:
    """Render the command that restores from the layout in ``folder``."""
    context = ["--build-context", f"saved=oci-layout://{folder}@{digest}"]
    return [*_arguments(steps, nonce), *context, "--output", "type=cacheonly", "-"]


def _run(arguments: list[str], dockerfile: str, doing: str, environment: Mapping[str, str]) -> None:
    # SOURCE_DATE_EPOCH would become a build argument.
    kept = {name: value for name, value in environment.items() if name != "SOURCE_DATE_EPOCH"}
    done = process.run(arguments, environment=kept, input=dockerfile.encode(), timeout=STEP_SECONDS)
    if not done.succeeded:
        lines = [line.strip() for line in done.stderr.splitlines() if "ERROR" in line]
        said = lines[-1].removeprefix("ERROR: ") if lines else f"status {done.status}"
        raise BuilderError(
            f"{doing}: {said[-300:]}",
            hint="`docker buildx ls` shows whether the builder runs; "
            "DOCKYARD_CACHE_MOUNTS=none leaves cache mounts alone",
        )


def mount_record(builder: str) -> UsageRecord | None:
    """Find the mount in a builder; None where it has none, or there is no such builder."""
    records = builder_usage(builder) or ()
    return next((one for one in records if one.mount == MOUNT_ID), None)


def _is_empty(layout: Layout, descriptor: Descriptor) -> bool:
    """Whether an image holds no file, by its configuration (OCI image-spec, config.md)."""
    config = next(one for one in children(layout.read(descriptor)) if "config" in one.media_type)
    found = json.loads(layout.read(config)).get("rootfs", {}).get("diff_ids") or []
    return set(found) <= {EMPTY_LAYER}


def save_mount(
    steps: MountSteps,
    layout: Layout,
    tag: str,
    *,
    kind: str,
    packages: Collection[str],
    before: Descriptor | None,
    state: State,
    environment: Mapping[str, str],
) -> Saved:
    """Save a builder's mount into a layout under ``tag``, unless it was not used since.

    ``before`` is what was saved last; blobs of it that ``layout`` has are not even sent. Raises
    BuilderError.
    """
    record = mount_record(steps.builder)
    if record is None:
        return Saved(None, ran=False)
    known = json.dumps([steps.builder, kind, sorted(packages), tag])
    remembered = state.recall("mounts", known)
    if isinstance(remembered, list) and remembered[:2] == [record.id, record.uses]:
        saved = remembered[2]
        if saved is None or (before and before.digest == saved):
            return Saved(before if saved else None, ran=False)
    _run(
        save_arguments(steps, secrets.token_hex(8), layout.root, tag),
        save_dockerfile(kind, packages),
        "the cache mount cannot be saved",
        environment,
    )
    descriptor: Descriptor | None = layout.index()[tag]
    if _is_empty(layout, layout.index()[tag]):
        layout.remove_tag(tag)
        descriptor = None
    after = _settled_record(steps.builder)
    if after:
        value = [after.id, after.uses, descriptor.digest if descriptor else None]
        state.remember("mounts", known, value)
    return Saved(descriptor, ran=True)


def _settled_record(builder: str) -> UsageRecord | None:
    """Find the mount once our own step is counted; None where that takes too long.

    BuildKit counts each use twice, the second time a moment after the step has ended.
    """
    deadline = time.monotonic() + SETTLE_SECONDS
    while (record := mount_record(builder)) and record.uses % 2:
        if time.monotonic() > deadline:
            return None
        time.sleep(0.05)
    return record


def restore_mount(
    steps: MountSteps,
    layout: Layout,
    descriptor: Descriptor,
    *,
    state: State,
    environment: Mapping[str, str],
) -> bool:
    """Add a saved mount to a builder's; False where that was done before. Raises BuilderError."""
    known = json.dumps([steps.builder, descriptor.digest])
    record = mount_record(steps.builder)
    if record and state.recall("mounts-restored", known) == record.id:
        return False
    with ScratchFolder() as folder:
        # buildx resolves a relative path, and one with a colon, otherwise than as it stands.
        link = folder / "layout"
        link.symlink_to(layout.root.absolute(), target_is_directory=True)
        _run(
            restore_arguments(steps, secrets.token_hex(8), link, descriptor.digest),
            restore_dockerfile(),
            "the cache mount cannot be restored",
            environment,
        )
    after = mount_record(steps.builder)
    if after:
        state.remember("mounts-restored", known, after.id)
    return True
