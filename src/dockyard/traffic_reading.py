"""What a build's traffic is added up from: the builder's history, registries, the local cache.

A build that uses no registry but for its base images asks for none of it: its progress tells. All
else is asked while the caches' export runs. Nothing here fails a build: what cannot be found out
is unknown in the record, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dockyard import process
from dockyard.base_images import normalise
from dockyard.recording import parse_cache_option
from dockyard.scratch import ScratchFolder
from dockyard.steps import StepKind
from dockyard.traffic import FAILED, add_up
from dockyard.traffic_parts import BuildRun, LocalCacheFacts, PushedImage
from dockyard.traffic_questions import RegistryQuestions

if TYPE_CHECKING:
    from dockyard.caches.access import LocalCacheAccess
    from dockyard.preparation import Prepared
    from dockyard.record_parts import TrafficRecord
    from dockyard.registry_spans import RegistryRequest
    from dockyard.trace import BuildTrace, CacheTransfer

__all__ = ["TrafficReader", "repository_of"]

# Past this the builder's history, or a registry, is not waited for.
PATIENCE_SECONDS = 20.0
UNMEASURED = ("gha", "s3", "azblob")


@dataclass
class _Started:
    """A run of buildx, and its history while it is being read."""

    run: BuildRun
    history: process.Running | None = None
    bundle: Path | None = None


class TrafficReader:
    """Follows one build's traffic; made before a cache can have been exported."""

    def __init__(
        self,
        prepared: Prepared,
        environment: Mapping[str, str],
        local: LocalCacheAccess | None = None,
    ) -> None:
        self._prepared = prepared
        self._environment = environment
        self._runs: list[_Started] = []
        self._folder: ScratchFolder | None = None
        self._questions = RegistryQuestions(prepared, environment)
        self._repeated = ""
        self._local = local

    def close(self) -> None:
        """Remove the temporary files, and wait for nothing any more."""
        for one in self._runs:
            if one.history:
                # Not waited for where the build ended by an exception.
                one.history.process.kill()
                one.history.wait()
        if self._folder:
            self._folder.close()

    @property
    def pushed(self) -> PushedImage | None:
        """The image as it was pushed, once :meth:`result` is there; None where it is not known.

        The layers of an image for several platforms are no one image's.
        """
        return self._questions.pushed

    def begin(self) -> None:
        """Ask for the caches that the build is told to read, at the time when it reads them."""
        options = map(parse_cache_option, self._prepared.definition.cache_from)
        self._questions.ask_for_caches(
            [one["ref"] for one in options if one.get("type") == "registry" and "ref" in one]
        )

    def repeat(self, reason: str) -> None:
        """Note that the build is started again: what it moved before is not known."""
        self._repeated = reason

    def built(self, prepared: Prepared, trace: BuildTrace, metadata: Mapping[str, Any]) -> None:
        """Start to read the history of the build itself, where there is something to learn."""
        self._prepared = prepared
        self._measure_local()
        definition = prepared.definition
        pushes = "push=true" in definition.output or definition.output.startswith("type=registry")
        # A build that fails before has pushed nothing.
        exporting = any(step.kind == StepKind.EXPORT and step.started for step in trace.steps)
        pushes = pushes and (exporting or bool(metadata))
        run = _describe(trace, definition.cache_from, definition.cache_to, pushes=pushes)
        self._begin(run, metadata)
        if pushes and (digest := str(metadata.get("containerimage.digest") or "")):
            self._questions.ask_for_image(digest)

    def exported(
        self,
        trace: BuildTrace,
        sources: Iterable[str],
        targets: Iterable[str],
        metadata: Mapping[str, Any],
    ) -> None:
        """Start to read the history of the run that exported caches."""
        self._measure_local()
        self._begin(_describe(trace, sources, targets, pushes=False), metadata)

    def _measure_local(self) -> None:
        if self._local:
            self._local.measure()

    def _begin(self, run: BuildRun, metadata: Mapping[str, Any]) -> None:
        started = _Started(run)
        self._runs.append(started)
        if not run.uses_registry:
            return
        reference = str(metadata.get("buildx.build.ref") or "").rpartition("/")[2]
        if not reference:
            reason = "the build left no reference to its history" if metadata else FAILED
            started.run = replace(run, reason=reason)
            return
        if self._folder is None:
            self._folder = ScratchFolder()
        started.bundle = self._folder.path / f"{len(self._runs)}.tar"
        builder = self._prepared.definition.builder
        command = ["docker", "buildx", "history", "export", "--finalize"]
        command += ["--builder", builder] if builder else []
        try:
            started.history = process.start(
                [*command, "--output", str(started.bundle), reference],
                environment=self._environment,
            )
        except OSError as error:
            started.run = replace(run, reason=str(error))

    def result(self, *, succeeded: bool) -> TrafficRecord:
        """Wait for what was started, and add it up."""
        runs = [self._finished(one) for one in self._runs]
        uses = [run for one in runs for run in one.trace.caches if not run.error]
        options = [
            parse_cache_option(one).get("type", "") for one in self._prepared.definition.cache_to
        ]
        return add_up(
            runs,
            succeeded=succeeded,
            bases=frozenset(repository_of(one.resolved) for one in self._prepared.base_images),
            registry=self._questions.answers(PATIENCE_SECONDS),
            local=_local_facts(self._local),
            locked=self._prepared.project.locked,
            unmeasured_imports=_kinds(uses, "import", UNMEASURED),
            unmeasured_exports=[one for one in UNMEASURED if one in options],
            repeated=self._repeated,
        )

    def _finished(self, started: _Started) -> BuildRun:
        history, started.history = started.history, None
        if history is None or started.bundle is None:
            return started.run
        from dockyard.registry_spans import read_bundle

        done = history.wait(PATIENCE_SECONDS)
        requests: tuple[RegistryRequest, ...] | None = None
        reason = ""
        try:
            if done.succeeded:
                requests = read_bundle(started.bundle.read_bytes())
            else:
                said = done.stderr.strip().splitlines() or ["it did not answer in time"]
                last = said[-1].removeprefix("ERROR: ")[:200]
                reason = f"the builder's history cannot be read: {last}"
        except (OSError, ValueError) as error:
            reason = str(error)
        return replace(started.run, requests=requests, reason=reason)


def repository_of(reference: str) -> str:
    """Return ``host/path`` of an image's reference, without tag and digest."""
    name = normalise(reference).partition("@")[0]
    host, _, path = name.partition("/")
    return f"{host}/{path.partition(':')[0]}"


def _describe(
    trace: BuildTrace, sources: Iterable[str], targets: Iterable[str], *, pushes: bool
) -> BuildRun:
    """Describe a run by what it was told to import and export, and by what it did import."""
    read = [parse_cache_option(one) for one in sources]
    registry = [one["ref"] for one in read if one.get("type") == "registry" and "ref" in one]
    done = {normalise(one.reference) for one in trace.caches if _imported(one) and one.reference}
    return BuildRun(
        trace,
        pushes=pushes,
        imports=frozenset(map(repository_of, registry)),
        imported=tuple(one for one in registry if normalise(one) in done),
        exports=any(parse_cache_option(one).get("type") == "registry" for one in targets),
    )


def _local_facts(access: LocalCacheAccess | None) -> LocalCacheFacts:
    if access is None:
        return LocalCacheFacts()
    return LocalCacheFacts(access.digests, access.read, access.written, access.reason)


def _imported(transfer: CacheTransfer) -> bool:
    return transfer.direction == "import" and not transfer.error


def _kinds(transfers: Iterable[CacheTransfer], direction: str, kinds: Iterable[str]) -> list[str]:
    wanted = tuple(kinds)
    return [one.type for one in transfers if one.direction == direction and one.type in wanted]
