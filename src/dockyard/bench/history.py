"""``invoke bench --history``: a repository's lock replayed, or files of lock versions."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from dockyard.bench.history_report import (
    HistoryReport,
    HistoryRequest,
    RepositoryReplay,
    history_lines,
    replay_repository,
)
from dockyard.display.format import format_count
from dockyard.errors import DockyardError, ProjectError

if TYPE_CHECKING:
    from dockyard.lock_versions import History

__all__ = ["HistoryRequest", "Progress", "bench_history", "gather_history", "history_text"]

LINE_SECONDS = 3.0
Progress = Callable[[str], None]


class StatusLine:
    """Shows what is going on: one line that changes on a terminal, a line now and then elsewhere.

    Nothing is written in the first half second: what is quick needs no progress.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._live = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._shown = clock() - LINE_SECONDS + 0.5
        self._width = 0

    def __call__(self, text: str) -> None:
        """Show a text, if the last one was some time ago."""
        if self._clock() - self._shown < (0.1 if self._live and self._width else LINE_SECONDS):
            return
        self._shown = self._clock()
        if self._live:
            self._stream.write(f"\r{text.ljust(self._width)}")
            self._width = len(text)
        else:
            self._stream.write(text + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Take the line away."""
        if self._width:
            self._stream.write(f"\r{' ' * self._width}\r")
            self._stream.flush()
            self._width = 0


def bench_history(
    reference: str,
    request: HistoryRequest,
    environment: Mapping[str, str],
    stream: TextIO,
    *,
    lock: str | None = None,
    extras: Sequence[str] = (),
    groups: Sequence[str] = (),
) -> HistoryReport:
    """Replay what ``reference`` names, with progress on ``stream``; see :func:`gather_history`."""
    line = StatusLine(stream)
    try:
        return gather_history(
            reference, request, environment, line, lock=lock, extras=extras, groups=groups
        )
    finally:
        line.close()


def gather_history(
    reference: str,
    request: HistoryRequest,
    environment: Mapping[str, str],
    say: Progress,
    *,
    lock: str | None = None,
    extras: Sequence[str] = (),
    groups: Sequence[str] = (),
) -> HistoryReport:
    """Replay a repository (path or URL), a file of lock versions, or a folder of such files.

    Of several files those that cannot be read are left out and named. Raises DockyardError where
    nothing can be replayed.
    """
    from dockyard.bench.history_clone import cloned, is_url
    from dockyard.bench.history_git import choose_lock, read_git_history
    from dockyard.git_remote import parse_remote

    if request.layers is not None and request.layers < 1:
        raise ProjectError("--layers must be at least 1", hint="leave it out for the usual plan")
    if request.last is not None and request.last < 1:
        raise ProjectError("--last must be at least 1", hint="leave it out for all changes")

    def replayed(name: str, directory: Path, git: Mapping[str, str] | None) -> HistoryReport:
        choice = choose_lock(directory, lock)
        history, notes = read_git_history(
            directory,
            choice,
            extras=extras,
            groups=groups,
            environment=git,
            progress=lambda done, total: say(
                f"{name}: {done} of {format_count(total, 'commit')} read"
            ),
        )
        return HistoryReport(request, (replay_repository(name, history, request, notes),), {})

    path = Path(reference).expanduser()
    if is_url(reference) and not path.exists():
        remote = parse_remote(reference)
        with cloned(remote, lock, environment, say) as (folder, git):
            name = remote.url.rstrip("/").removesuffix(".git")
            return replayed("/".join(name.replace(":", "/").split("/")[-2:]), folder, git)
    if not path.exists():
        raise ProjectError(
            "there is no such file or folder",
            where=reference,
            hint="give a repository's folder or URL, or a JSON file of lock versions",
        )
    if path.is_file() and path.name == "uv.lock":
        path = path.parent
    if path.is_file():
        one = replay_repository(path.stem.replace("+", "/"), _read_file(path), request)
        return HistoryReport(request, (one,), {})
    files = sorted(path.glob("*.json"))
    if files and not (path / "uv.lock").exists() and not (path / ".git").exists():
        return _replay_files(path, files, request, say)
    return replayed(path.resolve().name, path, None)


def _replay_files(
    folder: Path, files: Sequence[Path], request: HistoryRequest, say: Progress
) -> HistoryReport:
    found: list[RepositoryReplay] = []
    left_out: dict[str, str] = {}
    for number, path in enumerate(files, start=1):
        name = path.stem.replace("+", "/")
        say(f"{name}: {number} of {format_count(len(files), 'history', 'histories')}")
        try:
            found.append(replay_repository(name, _read_file(path), request))
        except DockyardError as error:
            left_out[name] = error.problems[0].message
    if not found:
        why = "; ".join(f"{name}: {reason}" for name, reason in list(left_out.items())[:3])
        raise ProjectError(f"none of its files is a history of a lock: {why}", where=str(folder))
    return HistoryReport(request, tuple(found), left_out)


def _read_file(path: Path) -> History:
    """Read a file of lock versions. Raises ProjectError saying what is wrong with it."""
    from dockyard.layer_replay import read_history

    try:
        return read_history(path)
    except OSError as error:
        raise ProjectError(f"it cannot be read: {error.strerror}", where=str(path)) from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        reason = "no JSON" if isinstance(error, json.JSONDecodeError) else "no list of versions"
        raise ProjectError(
            f"it is {reason}: {error}",
            where=str(path),
            hint='a version is {"set": {"package": ["1.0", bytes]}, "del": ["package"]}',
        ) from error


def history_text(report: HistoryReport, *, as_json: bool) -> str:
    """Render the report as a table or as JSON."""
    if as_json:
        return json.dumps(report.as_json(), indent=1, ensure_ascii=False)
    return "\n".join(history_lines(report))
