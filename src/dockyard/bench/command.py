"""What ``invoke bench`` does with its flags: measure, resume, or show a result."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from dockyard.bench.bandwidth import parse_bandwidth
from dockyard.bench.results import BenchResult, read_result, write_result
from dockyard.bench.scenarios import ENVIRONMENTS, Selection, cells, select
from dockyard.display.format import format_count
from dockyard.errors import RecordError, SettingsError
from dockyard.state import prepare_state_folder

if TYPE_CHECKING:
    from dockyard.settings import Settings

__all__ = ["Request", "bench_text"]

# What a cell takes on a machine of two cores, all that is not timed with it: seconds.
TYPICAL_SECONDS = {"warm": 10, "registry": 35, "directory": 35}


@dataclass(frozen=True)
class Request:
    """The flags."""

    scenarios: tuple[str, ...] = ()
    dockerfiles: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    repetitions: int = 3
    bandwidth: str = ""
    output: str = ""
    resume: bool = False
    tables: str = ""
    update: str = ""
    dry_run: bool = False
    json: bool = False


def bench_text(
    settings: Settings, request: Request, environment: Mapping[str, str], stream: TextIO
) -> str:
    """Do what was asked for; the text of its result. Progress goes to ``stream``."""
    if request.update and not request.tables:
        raise SettingsError(
            "--update needs the result whose tables it writes", hint="give --tables FILE as well"
        )
    if request.tables:
        return _show(Path(request.tables), request)
    selection = select(
        request.scenarios, request.dockerfiles, request.environments, request.repetitions
    )
    bandwidth = parse_bandwidth(request.bandwidth) if request.bandwidth else None
    if request.dry_run and not request.resume:
        return _listing(selection)
    return _run(settings, request, selection, bandwidth, environment, stream)


def _run(
    settings: Settings,
    request: Request,
    selection: Selection,
    bandwidth: int | None,
    environment: Mapping[str, str],
    stream: TextIO,
) -> str:
    from dockyard.bench.progress import choose_bench_progress
    from dockyard.bench.runner import new_result, resumed, run_bench

    path = _path(settings, request)
    stopped = read_result(path) if request.resume else None
    if stopped:
        selection, bandwidth = stopped.selection, stopped.bandwidth
    if stopped and request.dry_run:
        return "\n".join([f"{len(stopped.missing())} are left", *map(str, stopped.missing())])
    command = shlex.join(["invoke", *sys.argv[1:]])
    result = new_result(settings, environment, selection, bandwidth=bandwidth, command=command)
    if stopped:
        result = resumed(stopped, result, path)
    elif path.exists():
        raise RecordError(
            "there is a result already",
            where=str(path),
            hint="--resume goes on with it, another --output keeps it",
        )
    write_result(path, result)
    stream.write(f"the result is written to {path}\n")
    progress = choose_bench_progress(stream, environment, progress=settings.progress)
    try:
        result = run_bench(settings, environment, result, path, progress)
    except BaseException as error:
        left = len(read_result(path).missing())
        cells_are = format_count(left, "cell is", "cells are")
        error.add_note(f"`invoke bench --resume --output {path}`: {cells_are} left")
        raise
    return result.as_json() if request.json else _tables(result)


def _path(settings: Settings, request: Request) -> Path:
    """Name the result's file: the one asked for, the newest to resume, or a new one."""
    if request.output:
        return Path(request.output)
    folder = prepare_state_folder(settings.root) / "bench"
    if request.resume:
        found = sorted(folder.glob("[0-9]*T*Z.json"))
        if not found:
            raise RecordError("no bench was stopped here", where=str(folder), hint="`invoke bench`")
        return found[-1]
    return folder / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"


def _show(path: Path, request: Request) -> str:
    result = read_result(path)
    if request.json:
        return result.as_json()
    text = _tables(result)
    if request.update:
        from dockyard.bench.tables import with_tables
        from dockyard.state import write_atomically

        target = Path(request.update)
        try:
            before = target.read_text(encoding="utf-8")
        except OSError as error:
            raise RecordError(
                f"it cannot be read: {error.strerror}", where=str(target), hint="check --update"
            ) from error
        write_atomically(target, with_tables(before, path.as_posix(), result))
        return f"{target} has the tables of {path}"
    return text


def _tables(result: BenchResult) -> str:
    from dockyard.bench.tables import markdown
    from dockyard.bench.verdicts import verdict_lines

    return "\n".join([markdown(result), *verdict_lines(result)])


def _listing(selection: Selection) -> str:
    found = cells(selection)
    seconds = sum(TYPICAL_SECONDS[cell.environment] for cell in found)
    seeds = len(selection.dockerfiles) * len([e for e in selection.environments if e != "warm"])
    minutes = round((seconds + seeds * 40 + 60) / 60)
    return "\n".join(
        [
            *map(str, found),
            f"{format_count(len(found), 'cell')}, about {format_count(minutes, 'minute')} "
            "without --bandwidth, in "
            + ", ".join(f"{name} ({ENVIRONMENTS[name]})" for name in selection.environments),
        ]
    )
