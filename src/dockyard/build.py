"""The pipeline of ``invoke build``: prepare, run buildx, read its trace, write the record."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from dockyard import process
from dockyard.beside import Beside, read_metadata
from dockyard.builders import is_in_engine
from dockyard.definition import build_environment, secret_environment
from dockyard.errors import DockyardError
from dockyard.image_watch import ElsewhereError, ImageWatch
from dockyard.preparation import BuildOptions, Prepared, prepare
from dockyard.scratch import ScratchFolder
from dockyard.settings import redactor
from dockyard.silence import RegistrySilence, watch_for
from dockyard.state import State

if TYPE_CHECKING:
    from dockyard.base_images import BaseImage
    from dockyard.caches.use import CacheUse
    from dockyard.display import Display
    from dockyard.records import BuildRecord
    from dockyard.settings import Settings
    from dockyard.trace import BuildTrace
    from dockyard.trace_reader import TraceReader
    from dockyard.traffic_reading import TrafficReader

__all__ = ["BuildOptions", "BuildResult", "build", "describe_build", "present"]


@dataclass(frozen=True)
class BuildResult:
    """How a build ended: its record, where that was written, and the error if it failed."""

    record: BuildRecord
    path: Path | None
    error: DockyardError | None
    interrupted: bool = False


def describe_build(
    settings: Settings, options: BuildOptions, environment: Mapping[str, str]
) -> tuple[str, tuple[str, ...]]:
    """Render what a build would run, and run nothing: the command, the bake file, and the notes."""
    state = State(settings.root)
    prepared = prepare(settings, options, environment, state, show_only=True)
    settings = prepared.settings
    secrets = dict(prepared.caches.arguments.environment) if prepared.caches else {}
    hidden = "".join(f"{name}=*** " for name in (*secret_environment(settings), *secrets))
    commands = [shlex.join(prepared.definition.arguments())]
    whole = prepared.definition
    if prepared.caches and (later := prepared.caches.arguments.after_push):
        whole = replace(whole, cache_to=(*whole.cache_to, *later))
        after = prepared.definition.exporting_caches(later, whole.cache_from)
        commands.append(f"# then, once the image is pushed\n{shlex.join(after.arguments())}")
    command = "\n\n".join(commands)
    bake = json.dumps(whole.bake(), indent=2)
    text = (
        f"# in {settings.root}\n{hidden}{command}\n\n"
        f"# the same as a bake file, for `docker buildx bake --file FILE`\n{bake}\n"
    )
    return redactor(settings)(text), prepared.notes


def build(
    settings: Settings,
    options: BuildOptions,
    environment: Mapping[str, str],
    stream: TextIO,
) -> BuildResult:
    """Build the image and write the record; progress goes to ``stream``.

    Raises DockyardError for what is wrong before buildx starts; a build that ran and failed, or
    was interrupted, is a result.
    """
    state = State(settings.root)
    prepared = prepare(settings, options, environment, state)
    started, clock = datetime.now(UTC), time.monotonic()
    with prepared.caches or contextlib.nullcontext(), Beside(prepared, environment) as beside:
        ran = _run(prepared, environment, stream, beside, state)
        if ran.status and not ran.interrupted:
            from dockyard.retries import Retries

            retries = Retries(state)
            while again := retries.next(prepared, ran.trace, ran.silence, ran.elsewhere):
                prepared, reason = again
                beside.traffic.repeat(reason)
                ran = _run(prepared, environment, stream, beside, state)
                if not ran.status or ran.interrupted:
                    break
        beside.traffic.built(prepared, ran.trace, ran.metadata)
        if prepared.caches:
            caches, ran = _export_caches(
                prepared, prepared.caches, ran, environment, beside.traffic
            )
            digest = ran.metadata.get("containerimage.digest")
            notes = caches.settle(
                ran.trace,
                succeeded=ran.status == 0,
                environment=environment,
                image_digest=digest if isinstance(digest, str) and options.push else None,
            )
            prepared = replace(prepared, notes=(*prepared.notes, *notes))
        seconds = time.monotonic() - clock
        result = _result(prepared, ran, started, seconds, state, beside)
    state.save()
    return result


@dataclass(frozen=True)
class _Ran:
    """How buildx ended: its trace, exit status, whether by Ctrl-C, and the metadata it wrote.

    ``silence`` is why it was stopped, where a registry said nothing; ``elsewhere`` where its base
    images are to be had after all, where it was stopped for that.
    """

    trace: BuildTrace
    status: int
    interrupted: bool
    metadata: dict[str, Any]
    silence: RegistrySilence | None = None
    elsewhere: tuple[BaseImage, ...] | None = None


def _run(
    prepared: Prepared,
    environment: Mapping[str, str],
    stream: TextIO,
    beside: Beside,
    state: State,
) -> _Ran:
    with ScratchFolder() as folder:
        metadata_file = folder / "metadata.json"
        secrets = dict(prepared.caches.arguments.environment) if prepared.caches else {}
        with (
            process.DeferredInterrupts() as interrupts,
            process.follow(
                prepared.definition.arguments(str(metadata_file)),
                environment={**build_environment(prepared.settings, environment), **secrets},
                directory=prepared.settings.root,
            ) as child,
        ):
            ran = _follow(child, prepared, environment, stream, beside, state, interrupts)
        return replace(ran, metadata=read_metadata(metadata_file))


def _export_caches(
    prepared: Prepared,
    caches: CacheUse,
    ran: _Ran,
    environment: Mapping[str, str],
    traffic: TrafficReader,
) -> tuple[CacheUse, _Ran]:
    """Export the caches that wait for the image's push. A Ctrl-C ends this, not the build."""
    targets = caches.arguments.after_push
    if ran.status or ran.interrupted or not targets:
        return caches, ran
    reader, watch = _trace_reader(prepared), watch_for(prepared.settings)
    sources = caches.sources_after(ran.trace)
    with ScratchFolder() as folder:
        metadata_file = folder / "metadata.json"
        with process.follow(
            prepared.definition.exporting_caches(targets, sources).arguments(str(metadata_file)),
            environment=build_environment(prepared.settings, environment),
            directory=prepared.settings.root,
        ) as child:
            try:
                for line in child.lines(lambda: watch.look(reader, time.monotonic())):
                    reader.feed(line)
                status, reason = child.wait(), ""
            except RegistrySilence as silence:
                status, reason = child.stop(), f"it said nothing for {silence.seconds} s"
            except KeyboardInterrupt:
                status, reason = child.stop(), "interrupted"
        metadata = read_metadata(metadata_file)
    trace = reader.trace()
    traffic.exported(trace, sources, targets, metadata)
    if status:
        caches = caches.without_copies(reason or next(iter(trace.noise[-1:]), f"status {status}"))
    exports = tuple(step for step in trace.steps if str(step.kind) == "cache-export")
    return caches, replace(ran, trace=replace(ran.trace, steps=(*ran.trace.steps, *exports)))


def _follow(
    child: process.Following,
    prepared: Prepared,
    environment: Mapping[str, str],
    stream: TextIO,
    beside: Beside,
    state: State,
    interrupts: process.DeferredInterrupts,
) -> _Ran:
    """Read the build's progress to its end, showing it; the metadata is not read here."""
    status, interrupted, silence, elsewhere = -1, False, None, None
    watch = watch_for(prepared.settings)
    display: Display | None = None
    reader: TraceReader | None = None
    try:
        interrupts.release()
        # The child runs, and what is imported now costs no time of its own.
        from dockyard.display import choose_display

        images = ImageWatch(prepared, state)
        reader = following = _trace_reader(prepared)
        beside.begin()
        display = choose_display(
            stream,
            environment,
            progress=prepared.settings.progress,
            dockerfile=prepared.settings.dockerfile,
        )
        display.begin(_title(prepared))
        shown = display

        def tick() -> None:
            now = time.monotonic()
            shown.update(following, now)
            images.look(following, now)
            watch.look(following, now)

        for line in child.lines(tick):
            reader.feed(line)
        status = child.wait()
    except ElsewhereError as found:
        elsewhere = found.images
        status = child.stop() or 1
    except RegistrySilence as waited:
        silence = waited
        status = child.stop() or 1
    except KeyboardInterrupt:
        interrupted = True
        status = child.stop()
    finally:
        # A Ctrl-C may come during the import.
        beside.begin()
        trace = (reader or _trace_reader(prepared)).trace()
        if display is not None:  # whatever happened, the terminal is given back
            display.end(trace, failed=interrupted or status != 0)
    return _Ran(trace, status, interrupted, {}, silence, elsewhere)


def _trace_reader(prepared: Prepared) -> TraceReader:
    from dockyard.trace_reader import TraceReader

    return TraceReader(clean=redactor(prepared.settings))


def _title(prepared: Prepared) -> str:
    return (
        f"{prepared.definition.tags[-1]} from {prepared.definition.context} "
        f"on {prepared.builder.name} ({prepared.builder.reason})"
    )


def _result(
    prepared: Prepared,
    ran: _Ran,
    started: datetime,
    seconds: float,
    state: State,
    beside: Beside,
) -> BuildResult:
    from dockyard.build_inputs import record_inputs
    from dockyard.engine import image_facts
    from dockyard.recording import record_build
    from dockyard.records import write_record

    settings = prepared.settings
    error: DockyardError | None = None
    image = None
    if ran.interrupted:
        outcome = "interrupted"
    elif ran.status == 0:
        outcome = "succeeded"
        digest = ran.metadata.get("containerimage.digest")
        tag = prepared.definition.tags[-1]
        if is_in_engine(prepared.builder, prepared.definition.output):
            image = image_facts(state, tag, digest if isinstance(digest, str) else None)
    else:
        from dockyard.diagnose import diagnose
        from dockyard.silence import silence_error

        outcome = "failed"
        error = diagnose(
            ran.trace,
            ran.status,
            settings.dockerfile,
            prepared.definition.attestations.generator,
            prepared.builder,
            prepared.definition.platforms,
        )
        if ran.silence:
            error = silence_error(ran.silence, settings.registry)
        # What was recalled may be what was wrong: a stopped engine, an image that is gone.
        state.forget("engine", "base-images", "builder")
    # After a Ctrl-C nobody waits for a large file that is still being read.
    read = beside.inputs.result(1.0 if ran.interrupted else None)
    traffic = beside.traffic.result(succeeded=outcome == "succeeded")
    record = record_build(
        prepared,
        ran.trace,
        outcome=outcome,
        started=started,
        seconds=seconds,
        metadata=ran.metadata,
        image=image,
        error=error,
        inputs=record_inputs(prepared, ran.trace, read),
        traffic=traffic,
        pushed=beside.traffic.pushed,
    )
    path: Path | None = None
    try:
        path = write_record(settings.root, record, settings.records)
    except DockyardError as problem:
        error = error or problem
    return BuildResult(record, path, error, ran.interrupted)


def present(
    result: BuildResult, settings: Settings, environment: Mapping[str, str], stream: TextIO
) -> None:
    """Show the summary of a build, and append it to the job summary where GitHub asks for one."""
    from dockyard.summary import job_summary, summary_lines

    path = os.path.relpath(result.path, settings.root) if result.path else None
    lines = summary_lines(result.record, path)
    why = None
    if result.record.hit_rates["overall"] not in (1, None):
        from dockyard.explain_choice import why_line

        why = why_line(settings.root, result.record)
        lines += [f"  why           {why}"] if why else []
    stream.write("\n".join(lines) + "\n")
    stream.flush()
    job_summary_file = environment.get("GITHUB_STEP_SUMMARY")
    if job_summary_file:
        from dockyard.display import write_job_summary

        write_job_summary(Path(job_summary_file), job_summary(result.record, why))
