"""The bytes that a build moved: added up from its traces, its requests, and uv's reports. Pure.

Counted are the contents of blobs and of distributions, as :class:`TrafficRecord` has them. Not
counted: manifests, a base image's configuration (a few kB, which a builder reads anew now and then
without telling), the index's pages, and the headers of requests. Where the parts of a sum are not
all known, the sum is None and ``unknown`` says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from dockyard.package_traffic import package_traffic
from dockyard.record_parts import TrafficRecord
from dockyard.steps import StepKind
from dockyard.trace import context_bytes
from dockyard.traffic_parts import BuildRun, LocalCacheFacts, RegistryFacts, Sum

if TYPE_CHECKING:
    from dockyard.known_project import LockedPackage
    from dockyard.registry_spans import RegistryRequest

__all__ = ["FAILED", "add_up"]

FAILED = "the build did not come to its end"
_CONFIGURATIONS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)


def add_up(
    runs: Sequence[BuildRun],
    *,
    succeeded: bool,
    bases: frozenset[str],
    registry: RegistryFacts,
    local: LocalCacheFacts,
    locked: Sequence[LockedPackage],
    unmeasured_imports: Sequence[str] = (),
    unmeasured_exports: Sequence[str] = (),
    repeated: str = "",
) -> TrafficRecord:
    """Add up what a build moved.

    ``runs``: the build, then the run that exports caches, if there was one. ``bases``: the
    repositories of base images. ``unmeasured_…``: the types of further caches that were used, of
    which nothing tells the bytes. ``repeated`` says why the build was started again, if it was:
    what the attempts before moved is not known.
    """
    names = ("base_read", "cache_read", "layers_pushed", "layers_skipped", "cache_written")
    sums = {name: Sum() for name in names}
    sizes = _known_sizes(runs, registry)
    for number, run in enumerate(runs):
        if run.uses_registry and run.requests is None:
            _without_requests(run, sums)
        elif run.uses_registry:
            _read(run, sums, bases, sizes, registry)
            _written(run, sums, registry)
        _pulled(run, sums, local, complete=succeeded or number > 0)
    sums["cache_read"].add(local.read, local.reason)
    sums["cache_written"].add(local.written, local.reason)
    for one in unmeasured_imports:
        sums["cache_read"].add(None, f"nothing tells what came from the cache “{one}”")
    for one in unmeasured_exports:
        sums["cache_written"].add(None, f"nothing tells what went to the cache “{one}”")
    if repeated:
        for name in names:
            sums[name].add(None, repeated)
    context = context_bytes(runs[0].trace)
    packages, downloaded, cached = package_traffic(runs[0].trace, locked)
    unknown = {name: one.reason for name, one in (*sums.items(), *packages.items()) if one.reason}
    if context is None:
        unknown["context_sent"] = "the build sent no context"
    return TrafficRecord(
        context_sent=context,
        base_read=sums["base_read"].value,
        cache_read=sums["cache_read"].value,
        layers_pushed=sums["layers_pushed"].value,
        layers_skipped=sums["layers_skipped"].value,
        cache_written=sums["cache_written"].value,
        packages_downloaded=packages["packages_downloaded"].value,
        packages_cached=packages["packages_cached"].value,
        downloaded=downloaded,
        cached=cached,
        unknown=unknown or None,
    )


def _known_sizes(runs: Sequence[BuildRun], registry: RegistryFacts) -> dict[str, int]:
    sizes = dict(registry.sizes)
    for run in runs:
        for step in run.trace.steps:
            sizes.update({blob.digest: blob.size for blob in step.blobs if blob.size})
        for one in run.requests or ():
            if one.method == "PUT" and one.digest and one.sent:
                sizes[one.digest] = one.sent
    sizes.update(registry.image or {})
    sizes.update(dict(registry.configurations.values()))
    return sizes


def _without_requests(run: BuildRun, sums: Mapping[str, Sum]) -> None:
    """Note what cannot be known of a run whose requests are not known."""
    sums["base_read"].add(None, run.reason)
    if run.imports:
        sums["cache_read"].add(None, run.reason)
    if run.pushes:
        for name in ("layers_pushed", "layers_skipped"):
            sums[name].add(None, run.reason)
    if run.exports:
        sums["cache_written"].add(None, run.reason)


def _pulled(
    run: BuildRun, sums: Mapping[str, Sum], local: LocalCacheFacts, *, complete: bool
) -> None:
    """Add the layers of base images that progress tells of, where no requests do.

    What a step loads beside that, a copy or a merge, comes from the local cache if that has it.
    """
    seen = set()
    for step in run.trace.steps if not run.uses_registry else ():
        for blob in step.blobs:
            from_local = step.kind != StepKind.IMAGE and blob.digest in local.blobs
            if from_local or blob.digest in seen:
                continue
            seen.add(blob.digest)
            whole = blob.size > 0 and (complete or blob.done == blob.size)
            sums["base_read"].add(blob.size if whole else None, FAILED)


def _reads(requests: Iterable[RegistryRequest]) -> list[RegistryRequest]:
    return [one for one in requests if one.method == "GET" and one.status in (200, 206)]


def _first_byte(one: RegistryRequest) -> int | None:
    """Tell where a read begins, from 0; None for a range that is not understood."""
    if one.status != 206:
        return 0
    first = (one.range or "").removeprefix("bytes=").partition("-")[0]
    return int(first) if first.isdecimal() else None


def _bytes_read(
    one: RegistryRequest, sizes: Mapping[str, int], reads: Sequence[RegistryRequest]
) -> tuple[int | None, str]:
    """Tell how many bytes a request read of a blob; ``reads`` are all the run's.

    A download that was cut off is resumed where it broke, which tells how much had arrived.
    """
    size, first = sizes.get(one.digest or ""), _first_byte(one)
    if first is None:
        return None, "a part of a blob was read, and nothing tells which"
    if one.broken:
        alike = (
            _first_byte(other)
            for other in reads
            if (other.repository, other.digest) == (one.repository, one.digest)
        )
        resumed = min((at for at in alike if at is not None and at > first), default=None)
        if resumed is None:
            return None, "a download was cut off, and nothing tells how much had arrived"
        return resumed - first, ""
    if size is None:
        return None, f"nothing tells the size of {one.digest}"
    last = (one.range or "").rpartition("-")[2] if one.status == 206 else ""
    return min(int(last) + 1 if last.isdecimal() else size, size) - first, ""


def _read(
    run: BuildRun,
    sums: Mapping[str, Sum],
    bases: frozenset[str],
    sizes: Mapping[str, int],
    registry: RegistryFacts,
) -> None:
    """Add what a run read from registries."""
    seen = set()
    reads = _reads(run.requests or ())
    for one in reads:
        cache = one.repository in run.imports and one.repository not in bases
        if not cache and one.accept in _CONFIGURATIONS:
            continue
        seen.add(one.digest)
        sums["cache_read" if cache else "base_read"].add(*_bytes_read(one, sizes, reads))
    for reference in run.imported:
        digest, size = registry.configurations.get(reference, (None, None))
        if size is None or digest not in seen:
            sums["cache_read"].add(size, registry.reason)


def _written(run: BuildRun, sums: Mapping[str, Sum], registry: RegistryFacts) -> None:
    """Add what a run wrote to registries: the image's blobs, and those of caches."""
    image = registry.image
    sent: set[str | None] = set()
    for one in run.requests or ():
        if one.method not in ("PUT", "PATCH"):
            continue
        of_image = run.pushes and (image is None or one.digest is None or one.digest in image)
        name = "layers_pushed" if of_image else "cache_written"
        if one.digest is None:
            sums[name].add(None, "a blob was pushed in pieces")
        elif one.status is None or not 200 <= one.status < 300 or one.broken:
            sums[name].add(None, "an upload was cut off or refused, and made again")
        else:
            sums[name].add(one.sent, f"nothing tells the size of {one.digest}")
            sent.add(one.digest)
    if run.pushes and image is None:
        sums["layers_skipped"].add(None, registry.reason)
    elif run.pushes and image is not None:
        sums["layers_skipped"].add(
            sum(size for digest, size in image.items() if digest not in sent)
        )
