"""A prepared build and its trace, as the record that is kept. Pure."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dockyard import __version__
from dockyard.base_images import passed_over_notes
from dockyard.dockerfile import (
    APPLICATION_FOLDER,
    APPLICATION_STAGE,
    DEPENDENCY_STAGE_PREFIX,
    is_dependency_stage,
)
from dockyard.layer_reports import IndexAttempt, layer_notes, parse_report
from dockyard.records import (
    BuildRecord,
    CacheRecord,
    IndexRecord,
    InputsRecord,
    LayerRecord,
    StepRecord,
    TrafficRecord,
    new_record_id,
)
from dockyard.settings import masked, redactor
from dockyard.steps import StepKind
from dockyard.trace import COUNTED_KINDS, context_bytes, hit_rates

if TYPE_CHECKING:
    from dockyard.engine import ImageFacts
    from dockyard.errors import DockyardError
    from dockyard.preparation import Prepared
    from dockyard.trace import BuildTrace, CacheTransfer, Step
    from dockyard.traffic_parts import ImageBlob, PushedImage

# The stages whose whole content becomes one layer, beside those of the dependencies.
STAGED = "environment|local-packages|project|authorities"

__all__ = ["copied_layers", "name_caches", "parse_cache_option", "record_build", "what_layer_holds"]


def _time(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def what_layer_holds(created_by: str) -> str:
    """Tell from an image's history entry what a layer holds.

    A dependency layer's copy is ``COPY /dependencies-<n>/ /``, the environment's
    ``COPY /environment/ /``, a source path's ``COPY <path> /app/<path>``; all else is the base.
    """
    match = re.match(rf"COPY /({STAGED}|{DEPENDENCY_STAGE_PREFIX}\d+)/ / ", created_by)
    if match:
        return match[1]
    match = re.match(rf"COPY (.+) {APPLICATION_FOLDER}/\S+ # buildkit", created_by)
    if match:
        return match[1]
    if created_by.startswith(("RUN ", "WORKDIR ", "COPY ", "ADD ")):
        return created_by.removesuffix(" # buildkit")[:100]
    return "base"


def copied_layers(
    trace: BuildTrace, final: str | None, layers: Sequence[ImageBlob]
) -> dict[str, ImageBlob]:
    """Tell which of a pushed image's layers holds what, of those that the last stage copies.

    Each copy is a layer, and what comes before them the base: its layers, and those of steps that
    may have changed no file, which leaves none.
    """
    steps = [step for step in trace.steps if step.kind in COUNTED_KINDS and step.stage == final]
    steps.sort(key=lambda step: step.number or 0, reverse=True)
    copies = list(itertools.takewhile(lambda step: step.kind == StepKind.COPY, steps))
    if len(copies) >= len(layers):
        return {}
    found = {}
    for step, layer in zip(copies, reversed(layers), strict=False):
        keyword, *words = step.instruction.split()
        kept = [word for word in words if not word.startswith("--")]
        found[what_layer_holds(" ".join([keyword, *kept, "# buildkit"]))] = layer
    return found


def _layers(
    image: ImageFacts | None,
    packages: tuple[tuple[str, ...], ...],
    pushed: Mapping[str, ImageBlob],
) -> tuple[LayerRecord, ...]:
    found = []
    layers = image.layers if image else ()
    for layer in layers:
        holds = what_layer_holds(layer.created_by)
        number = holds.removeprefix(DEPENDENCY_STAGE_PREFIX)
        inside: tuple[str, ...] = ()
        if number != holds and number.isdigit() and 0 < int(number) <= len(packages):
            inside = packages[int(number) - 1]
        blob = pushed.get(holds)
        found.append(
            LayerRecord(
                holds,
                layer.size,
                inside,
                digest=blob.digest if blob else None,
                compressed=blob.size if blob else None,
            )
        )
    return tuple(found)


def _step(step: Step, positions: Mapping[str, int]) -> StepRecord:
    return StepRecord(
        stage=step.stage,
        kind=str(step.kind),
        instruction=step.instruction,
        started=_time(step.started),
        seconds=round(step.seconds, 3),
        cached=step.cached,
        ran=step.ran,
        bytes=step.bytes_done or None,
        error=step.error,
        platform=step.platform,
        inputs=tuple(sorted({positions[one] for one in step.inputs if one in positions})),
    )


def _indexes(trace: BuildTrace) -> tuple[IndexRecord, ...]:
    lines = (line for step in trace.steps for line in step.log)
    return tuple(
        IndexRecord(
            layer=one.layer,
            kind=one.kind,
            index=one.index,
            served=one.served,
            rejected=one.rejected,
            reason=one.reason,
            seconds=one.seconds,
        )
        for line in lines
        for one in parse_report(line)
        if isinstance(one, IndexAttempt)
    )


def parse_cache_option(argument: str) -> dict[str, str]:
    """Take a ``--cache-from`` or ``--cache-to`` apart; a bare reference is of a registry.

    The form is CSV (buildx, ``util/buildflags/cache.go``).
    """
    if "=" not in argument:
        return {"type": "registry", "ref": argument}
    parts = next(csv.reader([argument]), [])
    return dict(part.split("=", 1) for part in parts if "=" in part)


def name_caches(
    transfers: Sequence[CacheTransfer], cache_from: Sequence[str], cache_to: Sequence[str]
) -> tuple[CacheRecord, ...]:
    """Give each transfer the reference that it was asked for under, where BuildKit told none.

    That is known where only one cache of its type was asked for in its direction.
    """
    asked = {
        "import": [parse_cache_option(argument) for argument in cache_from],
        "export": [parse_cache_option(argument) for argument in cache_to],
    }
    found = []
    for one in transfers:
        reference = one.reference
        alike = [option for option in asked[one.direction] if option.get("type") == one.type]
        if reference is None and len(alike) == 1:
            names = (alike[0].get(key) for key in ("ref", "src", "dest", "scope", "name", "bucket"))
            reference = next(filter(None, names), None)
        found.append(
            CacheRecord(
                one.direction, one.type, reference, round(one.seconds, 3), one.bytes, one.error
            )
        )
    return tuple(found)


def _cache_targets(prepared: Prepared) -> tuple[str, ...]:
    """List what the build exports caches to; an image's own is called what later builds ask for."""
    tags = prepared.caches.arguments.image_tags if prepared.caches else ()
    named = {"type=inline": f"type=inline,ref={tags[0]}"} if tags else {}
    return tuple(named.get(one, one) for one in prepared.definition.cache_to)


def record_build(
    prepared: Prepared,
    trace: BuildTrace,
    *,
    outcome: str,
    started: datetime,
    seconds: float,
    metadata: dict[str, Any],
    image: ImageFacts | None,
    error: DockyardError | None,
    inputs: InputsRecord | None = None,
    traffic: TrafficRecord | None = None,
    pushed: PushedImage | None = None,
) -> BuildRecord:
    """Put the record together; every text in it has been through the redaction of secrets."""
    settings, engine, revision = prepared.settings, prepared.engine, prepared.revision
    rates = hit_rates(trace, is_dependency_stage)
    final = inputs.dockerfile[-1].stage if inputs and inputs.dockerfile else APPLICATION_STAGE
    positions = {step.digest: number for number, step in enumerate(trace.steps)}
    record = BuildRecord(
        id=new_record_id(started),
        outcome=outcome,
        started=str(_time(started)),
        seconds=round(seconds, 3),
        dockyard=__version__,
        project={"name": prepared.project.name, "version": prepared.project.version},
        revision={
            "commit": revision.commit,
            "branch": revision.branch,
            "dirty": revision.dirty,
        },
        engine={
            "version": engine.version if engine else None,
            "buildx": engine.buildx if engine else None,
            "containerd_store": engine.containerd_store if engine else None,
            "platform": f"linux/{engine.architecture}" if engine else None,
        },
        builder={
            "name": prepared.builder.name,
            "driver": prepared.builder.driver,
            "reason": prepared.builder.reason,
        },
        base_images=tuple(
            {
                "argument": one.argument,
                "requested": one.requested,
                "resolved": one.resolved,
                "origin": str(one.origin),
                "passed_over": [asdict(place) for place in one.passed_over],
            }
            for one in prepared.base_images
        ),
        image={
            "tags": list(prepared.definition.tags),
            "digest": metadata.get("containerimage.digest"),
            "content_bytes": image.content_bytes if image else pushed and pushed.bytes,
            "unpacked_bytes": image.unpacked_bytes if image else None,
        },
        layers=_layers(
            image,
            prepared.layer_packages,
            copied_layers(trace, final, pushed.layers) if pushed else {},
        ),
        hit_rates={
            "dependency": rates.dependency,
            "application": rates.application,
            "overall": rates.overall,
        },
        context_bytes=context_bytes(trace),
        steps=tuple(_step(step, positions) for step in trace.steps),
        settings=masked(settings),
        notes=(
            *prepared.notes,
            *passed_over_notes(prepared.base_images),
            *layer_notes(line for step in trace.steps for line in step.log),
        ),
        warnings=tuple(warning.short for warning in trace.warnings),
        error=str(error) if error else None,
        caches=name_caches(trace.caches, prepared.definition.cache_from, _cache_targets(prepared)),
        traffic=traffic,
        inputs=inputs,
        indexes=_indexes(trace),
    )
    return record.cleaned(redactor(settings))
