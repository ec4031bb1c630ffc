"""``invoke bench --commits N``: real builds of made-up commits, and how much of each was cached."""

from __future__ import annotations

import contextlib
import io
import json
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from dockyard import process
from dockyard.bench.commits_plan import FEWEST_COMMITS, Change, Kind, change_files, plan_commits
from dockyard.bench.commits_project import WorkCopy
from dockyard.bench.commits_result import CommitReplay, Traffic, measure_commit, read_replay
from dockyard.display.format import format_count
from dockyard.errors import Problem, RecordError, SettingsError
from dockyard.state import STATE_FOLDER, prepare_state_folder, write_atomically

if TYPE_CHECKING:
    from dockyard.records import BuildRecord
    from dockyard.settings import Settings

__all__ = [
    "ENVIRONMENTS",
    "CommitsRequest",
    "bench_commits",
    "commits_text",
    "replay_commits",
    "result_path",
]

ENVIRONMENTS = ("warm", "registry")
BuildOne = Callable[["Settings", Mapping[str, str]], "tuple[BuildRecord, Traffic | None]"]


@dataclass(frozen=True)
class CommitsRequest:
    """How many commits are made and built, where, and the seed that they are drawn with.

    ``environment``: ``warm`` is the local engine, ``registry`` a builder of its own for each commit
    that starts empty, with the cache in a registry on loopback.
    """

    count: int
    environment: str = "warm"
    seed: int = 1

    def check(self) -> None:
        """Raise SettingsError naming everything that is wrong."""
        problems = []
        if self.count < FEWEST_COMMITS:
            commits_are = format_count(self.count, "commit is", "commits are")
            said = f"{commits_are} no replay: {FEWEST_COMMITS} at least"
            problems.append(Problem(said, "--commits"))
        if self.environment not in ENVIRONMENTS:
            said = f"commits are not replayed in the environment {self.environment!r}"
            known = " or ".join(ENVIRONMENTS)
            problems.append(Problem(said, "--environment", f"give {known}"))
        if problems:
            raise SettingsError(*problems)


def result_path(root: Path, environment: str) -> Path:
    """Where a replay's result is, finished or not."""
    return root / STATE_FOLDER / "replay" / f"commits-{environment}.json"


def build_warm(settings: Settings, environment: Mapping[str, str]) -> tuple[BuildRecord, None]:
    """Build as ``invoke build`` does, into the local engine. Raises what the build raises."""
    from dockyard.build import BuildOptions, build

    result = build(settings, BuildOptions(), environment, io.StringIO())
    if result.interrupted:
        raise KeyboardInterrupt
    if result.error:
        raise result.error
    return result.record, None


def bench_commits(
    settings: Settings,
    request: CommitsRequest,
    environment: Mapping[str, str],
    say: Callable[[str], None],
) -> CommitReplay:
    """Replay commits of a copy of the project; what was stopped half-way goes on where it was.

    Images, builders and the registry are gone when it has finished. Raises SettingsError for a
    request that makes no sense, else as a build.
    """
    request.check()
    folder = settings.root / STATE_FOLDER / "replay"
    prepare_state_folder(settings.root)
    work = WorkCopy(folder / f"commits-{request.environment}", environment)
    if request.environment == "warm":
        replayed = replay_commits(settings, request, work, build_warm, say)
    else:
        from dockyard.bench.commits_registry import fresh_builds

        storage = folder / "registry"
        going_on = unfinished(result_path(settings.root, "registry"), work, settings, request)
        with fresh_builds(settings, environment, storage, keep=going_on is not None) as build_fresh:
            replayed = replay_commits(settings, request, work, build_fresh, say)
        shutil.rmtree(storage, ignore_errors=True)
    _remove_images(_image(replayed.mark))
    shutil.rmtree(work.root, ignore_errors=True)
    return replayed


def _image(mark: str) -> str:
    return f"dockyard-replay-{mark}"


def replay_commits(
    settings: Settings,
    request: CommitsRequest,
    work: WorkCopy,
    build_one: BuildOne,
    say: Callable[[str], None],
) -> CommitReplay:
    """Make the commits in ``work`` one after the other, build each, and measure it.

    The first build, of the project as it is, warms the engine and is not counted.
    """
    request.check()
    path = result_path(settings.root, request.environment)
    prepare_state_folder(settings.root)
    kinds = plan_commits(request.count, request.seed)
    replayed = unfinished(path, work, settings, request)
    before: BuildRecord | None = None
    if replayed is None:
        replayed = _begin(settings, request, work, kinds, say)
        say("the first build, which is not counted")
        before, _ = build_one(_settings(work), work.environment)
        replayed = replace(replayed, head=work.commit("The first build", amend=True))
        _write(path, replayed)
    else:
        say(f"going on after {len(replayed.commits)} of {request.count} commits")
        work.reset(str(replayed.head))
        before = _last_record(work)
    for number, kind in enumerate(kinds, start=1):
        if number <= len(replayed.commits):
            continue
        summary = _make(work, settings, replayed, kinds[:number], number)
        work.commit(summary)
        record, traffic = build_one(_settings(work), work.environment)
        # A changed lock may have changed the layer plan in the Dockerfile: it is committed as well.
        head = work.commit(summary, amend=True)
        measured = measure_commit(number, kind, summary, record, before, traffic)
        replayed, before = replayed.with_commit(measured, head), record
        _write(path, replayed)
        cached = "–" if measured.overall is None else f"{measured.overall:.1%}"
        say(
            f"{number} of {request.count}: {kind}: {measured.seconds:.2f} s, {cached} cached: "
            f"{summary}"
        )
    return replayed


def _write(path: Path, replayed: CommitReplay) -> None:
    try:
        write_atomically(path, json.dumps(replayed.as_json(), indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        raise RecordError(
            f"the replay's result cannot be written: {error.strerror}",
            where=str(path),
            hint="free some space or make the folder writable",
        ) from error


def unfinished(
    path: Path, work: WorkCopy, settings: Settings, request: CommitsRequest
) -> CommitReplay | None:
    """Return the replay that was stopped half-way; None if it was another, or is finished."""
    try:
        found = read_replay(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = (found.count, found.seed, found.project, found.environment) == (
        request.count,
        request.seed,
        str(settings.project),
        request.environment,
    )
    resumable = found.head is not None and (work.root / ".git").is_dir()
    return found if same and resumable and not found.complete else None


def _begin(
    settings: Settings,
    request: CommitsRequest,
    work: WorkCopy,
    kinds: tuple[Kind, ...],
    say: Callable[[str], None],
) -> CommitReplay:
    """Copy the project, lock what will change at the release before, and write the Dockerfile."""
    from dockyard.initialization import apply_changes, plan_changes
    from dockyard.preparation import project_facts

    mark = secrets.token_hex(4)
    say("copying the project")
    work.create(settings, _image(mark))
    packages = project_facts(settings).packages
    versions = work.step_back(
        packages, kinds.count(Kind.SMALL), kinds.count(Kind.LARGE), request.seed, say
    )
    added, removed = work.new_packages()
    work.must_uv("add", removed, "--no-sync")
    versions |= {"added": (added,), "removed": (removed,)}
    own = _settings(work)
    apply_changes(plan_changes(own))
    work.mark(own.dockerfile, mark)
    head = work.commit("The project as the replay begins")
    return CommitReplay(
        project=str(settings.project),
        environment=request.environment,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        count=request.count,
        seed=request.seed,
        mark=mark,
        versions=versions,
        head=head,
    )


def _settings(work: WorkCopy) -> Settings:
    from dockyard.settings import load_settings

    return load_settings(work.root, work.environment, {})


def _last_record(work: WorkCopy) -> BuildRecord | None:
    from dockyard.records import load_records

    records, _ = load_records(work.root, 1)
    return records[0] if records else None


def _make(
    work: WorkCopy,
    settings: Settings,
    replayed: CommitReplay,
    kinds: tuple[Kind, ...],
    number: int,
) -> str:
    """Make the change of one commit, the last of ``kinds``; return its message."""
    kind = kinds[-1]
    nth = kinds.count(kind) - 1
    versions = replayed.versions or {}
    if kind in (Kind.SMALL, Kind.LARGE):
        wanted = versions["small" if kind is Kind.SMALL else "large"][nth]
        work.must_uv("lock", "--upgrade-package", wanted)
        return f"Update {wanted.replace('==', ' to ')}"
    if kind is Kind.ADDED:
        package = versions["added"][0]
        work.must_uv("add", package, "--no-sync")
        return f"Depend on {package}"
    if kind is Kind.REMOVED:
        package = versions["removed"][0]
        work.must_uv("remove", package, "--no-sync")
        return f"Depend on {package} no more"
    if kind is Kind.RELEASE:
        return f"Release {work.bump_version(number)}"
    change: Change = change_files(
        kind, work.texts(), settings.copy_paths, number, replayed.seed, replayed.mark
    )
    work.apply(change)
    return change.summary


def _remove_images(image: str) -> None:
    """Remove this replay's own images; what cannot be removed stays."""
    with contextlib.suppress(OSError):
        listed = process.run(
            ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", image], timeout=60
        )
        if names := listed.stdout.split():
            process.run(["docker", "image", "rm", "--force", *names], timeout=300)


def commits_text(
    settings: Settings,
    request: CommitsRequest,
    environment: Mapping[str, str],
    stream: TextIO,
    *,
    output: str = "",
    as_json: bool = False,
) -> str:
    """Replay with a line of progress for each commit on ``stream``; render the averages.

    ``output`` names a bench's result, which the replay is added to. Raises RecordError where that
    cannot be read, before anything is built.
    """
    from dockyard.bench.commits_result import replay_lines
    from dockyard.bench.results import read_result, write_result

    def say(text: str) -> None:
        stream.write(text + "\n")
        stream.flush()

    if output:
        read_result(Path(output))
    replayed = bench_commits(settings, request, environment, say)
    if output:
        write_result(Path(output), read_result(Path(output)).with_replay(replayed))
        say(f"the result {output} has it")
    if as_json:
        return json.dumps(replayed.as_json(), indent=1, ensure_ascii=False)
    return "\n".join(replay_lines(replayed))
