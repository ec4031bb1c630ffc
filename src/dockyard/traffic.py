"""The bytes that a build moved: added up from its traces, its requests, and uv's reports. Pure.

Counted are the contents of blobs and of distributions, as :class:`TrafficRecord` has them. Not
counted: manifests, a base image's configuration (a few kB, which a builder reads anew now and then
without telling), the index's pages, and the headers of requests. Where the parts of a sum are not
all known, the sum is None and ``unknown`` says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dockyard.layer_reports import BuiltFromSource, IndexAttempt, parse_report
from dockyard.record_parts import TrafficRecord
from dockyard.steps import StepKind

if TYPE_CHECKING:
    from dockyard.known_project import LockedPackage
    from dockyard.registry_spans import RegistryRequest
    from dockyard.trace import BuildTrace, Step

__all__ = [
    "BuildRun",
    "ImageBlob",
    "LocalCacheFacts",
    "PushedImage",
    "RegistryFacts",
    "Sum",
    "add_up",
]

FAILED = "the build did not come to its end"
# A file that an index has not, or that is refused before it is sent, costs no bytes.
_COSTS_NOTHING = ("not found", "no version of", "404", "connection refused", "dns error")
_CONFIGURATIONS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)


@dataclass(frozen=True)
class ImageBlob:
    """A layer of the pushed image: its digest, and its size in bytes, compressed."""

    digest: str
    size: int


@dataclass(frozen=True)
class PushedImage:
    """What a registry's manifest tells of the image: its layers from the base, all its bytes."""

    layers: tuple[ImageBlob, ...]
    bytes: int


@dataclass
class Sum:
    """A sum of bytes, or the first reason why it cannot be known."""

    bytes: int = 0
    reason: str | None = None

    def add(self, count: int | None, reason: str = "") -> None:
        """Add a part; None is one that is not known, for the given reason."""
        if count is None:
            self.reason = self.reason or reason
        else:
            self.bytes += count

    @property
    def value(self) -> int | None:
        """The sum, if all of it is known."""
        return None if self.reason else self.bytes


@dataclass(frozen=True)
class BuildRun:
    """One run of buildx: what it was told of registries, and what it did.

    ``pushes``: it pushes the image. ``imports``: the repositories (``host/path``) of the registry
    caches that it was told to read, with those that it did read in ``imported``, by reference.
    ``exports``: it writes a cache to a registry. ``requests`` are None where the builder's history
    could not be read, for ``reason``.
    """

    trace: BuildTrace
    pushes: bool = False
    imports: frozenset[str] = frozenset()
    imported: tuple[str, ...] = ()
    exports: bool = False
    requests: tuple[RegistryRequest, ...] | None = None
    reason: str = "the builder's history was not read"

    @property
    def uses_registry(self) -> bool:
        """Whether more went to registries, or came from there, than base images."""
        return self.pushes or self.exports or bool(self.imports)


@dataclass(frozen=True)
class RegistryFacts:
    """What was found in registries to go with the requests: sizes, in bytes.

    ``image``: digest → size of the image's blobs (its layers and configurations), None where its
    manifest could not be read. ``configurations``: cache reference → digest and size of its
    configuration, which BuildKit reads without a trace of it. ``sizes``: of any further blobs.
    ``reason`` says why something is missing.
    """

    image: Mapping[str, int] | None = None
    configurations: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    reason: str = "the registry did not answer"


@dataclass(frozen=True)
class LocalCacheFacts:
    """A local cache's folder: the blobs that it held, by digest; bytes read and added.

    See :class:`dockyard.caches.access.LocalCacheAccess`.
    """

    blobs: frozenset[str] = frozenset()
    read: int | None = 0
    written: int | None = 0
    reason: str = ""


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
    context = _context_sent(runs[0].trace)
    packages, downloaded, cached = _packages(runs[0].trace, locked)
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


def _context_sent(trace: BuildTrace) -> int | None:
    sent = [
        step.bytes_done
        for step in trace.steps
        if step.kind == StepKind.CONTEXT and step.instruction.startswith("load build context")
    ]
    return sum(sent) if sent else None


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


def _packages(
    trace: BuildTrace, locked: Sequence[LockedPackage]
) -> tuple[dict[str, Sum], tuple[str, ...], tuple[str, ...]]:
    """Add up the distributions of the steps that ran: downloaded, and taken from uv's cache."""
    sums = {"packages_downloaded": Sum(), "packages_cached": Sum()}
    names: dict[str, list[str]] = {name: [] for name in sums}
    known = {one.name: one for one in locked}
    for step in trace.steps:
        if step.kind != StepKind.RUN or not step.ran or not _installs(step):
            continue
        reports = [report for line in step.log for report in parse_report(line)]
        told = [one for one in reports if isinstance(one, IndexAttempt)]
        if step.error:
            _add_reason(sums, f"{step.stage or 'a step'} failed while it installed")
        elif not reports:
            _add_reason(
                sums, f"{step.stage or 'a step'} installs without telling what it downloads"
            )
        for attempt in told:
            _add_attempt(attempt, sums, names, known)
        for one in reports:
            if isinstance(one, BuiltFromSource) and one.downloaded:
                sums["packages_downloaded"].add(
                    None,
                    f"{', '.join(one.downloaded)} was downloaded to build from source, "
                    "and the lock does not tell its size",
                )
    return sums, tuple(names["packages_downloaded"]), tuple(names["packages_cached"])


def _add_reason(sums: Mapping[str, Sum], reason: str) -> None:
    for one in sums.values():
        one.add(None, reason)


def _installs(step: Step) -> bool:
    """Tell whether a step installs packages: by Dockyard's script, or by a tool that does."""
    words = step.instruction
    tools = ("install-layer", "uv sync", "uv pip install", "pip install", "pip3 install")
    return any(tool in words for tool in tools)


def _add_attempt(
    attempt: IndexAttempt,
    sums: Mapping[str, Sum],
    names: Mapping[str, list[str]],
    known: Mapping[str, LockedPackage],
) -> None:
    if attempt.downloaded is None or attempt.cached is None:
        _add_reason(sums, "install-layer in the Dockerfile is an older one, which does not tell")
        return
    if attempt.rejected and not any(sign in attempt.reason.lower() for sign in _COSTS_NOTHING):
        sums["packages_downloaded"].add(
            None, f"the index {attempt.index} failed, and nothing tells how much it had sent"
        )
    if silent := set(attempt.served) - {*attempt.downloaded, *attempt.cached}:
        _add_reason(sums, f"uv did not tell where it took {min(silent)} from")
    for name, listed in (
        ("packages_downloaded", attempt.downloaded),
        ("packages_cached", attempt.cached),
    ):
        for package in listed:
            names[name].append(package)
            locked = known.get(package)
            if locked is None or locked.bytes is None:
                sums[name].add(None, f"the lock does not tell the size of {package}")
            elif not locked.wheel and name == "packages_downloaded":
                sums[name].add(
                    None, f"{package} is built from source, of which uv does not tell what it took"
                )
            else:
                sums[name].add(locked.bytes)
