"""Reads what the report shows, and writes the page: the effects at its two ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard.errors import Problem, RecordError
from dockyard.records import UnreadableRecord, load_records
from dockyard.report.bench import BenchView, view_bench
from dockyard.report.data import ReportData, cleaned, make_report_data
from dockyard.report.explanation import ExplanationView, view_explanation
from dockyard.report.faults import FaultView, read_faults
from dockyard.report.text import safe
from dockyard.settings import redactor
from dockyard.state import STATE_FOLDER, prepare_state_folder, write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dockyard.records import BuildRecord
    from dockyard.settings import Settings

# So many records before those shown are read as well: the last build is compared with one of them.
EARLIER = 10
# What `invoke bench` calls its results, by the time of their start.
RESULTS = "[0-9]*T*Z.json"
# Where a repository keeps the one that its documents show.
COMMITTED = "docs/bench/result.json"
# What `nox -s faults` writes, and the one that is committed.
FAULTS = (f"{STATE_FOLDER}/faults.json", "docs/faults.json")

__all__ = ["default_output", "desktop_session", "gather_report", "open_page", "write_page"]


def gather_report(settings: Settings, last: int, bench: Path | None = None) -> ReportData:
    """Read the last builds' records and results, without the settings' secrets.

    Without ``bench`` its result is the newest that was measured here, else the one that is
    committed, where there is any; so is the fault campaign's. Raises RecordError where no record
    can be read, or the result that was asked for cannot.
    """
    last = max(last, 1)
    records, unreadable = load_records(settings.root, last + EARLIER, set_aside=True)
    if not records:
        raise _nothing_to_show(settings.root, unreadable)
    shown, earlier = records[:last], records[last:]
    if earlier:
        unreadable = [one for one in unreadable if one.damaged or one.path.stem > shown[-1].id]
    view, broken = _bench(settings.root, bench)
    faults, no_result = _faults(settings.root)
    data = make_report_data(
        shown,
        [*unreadable, *broken, *no_result],
        explanation=_explanation(records),
        bench=view,
        faults=faults,
    )
    clean = redactor(settings)
    return cleaned(data, lambda text: clean(safe(text)))


def _nothing_to_show(root: Path, unreadable: Sequence[UnreadableRecord]) -> RecordError:
    if not unreadable:
        return RecordError(
            "no build is recorded yet, so there is nothing to report",
            where=str(root),
            hint="`invoke build` makes the first",
        )
    problems = [
        Problem(f"the record cannot be read: {one.reason}", str(one.path)) for one in unreadable
    ]
    last = problems.pop()
    hint = "update Dockyard if they are newer, or `invoke build` to record another build"
    return RecordError(*problems, Problem(last.message, last.where, hint))


def _explanation(records: Sequence[BuildRecord]) -> ExplanationView:
    from dockyard.explain_choice import explain_build

    return view_explanation(explain_build("last", records))


def _bench(root: Path, named: Path | None) -> tuple[BenchView | None, list[UnreadableRecord]]:
    """Read the result that was named, or the newest one, which is named where it cannot be read."""
    from dockyard.bench.results import read_result

    if named:
        return view_bench(read_result(named)), []
    unreadable: list[UnreadableRecord] = []
    measured = sorted((root / STATE_FOLDER / "bench").glob(RESULTS), reverse=True)
    for path in (*measured, *root.glob(COMMITTED)):
        try:
            return view_bench(read_result(path)), unreadable
        except RecordError as error:
            unreadable.append(UnreadableRecord(path, error.problems[0].message))
    return None, unreadable


def _faults(root: Path) -> tuple[FaultView | None, list[UnreadableRecord]]:
    for path in (root / name for name in FAULTS):
        if path.is_file():
            try:
                return read_faults(path), []
            except RecordError as error:
                return None, [UnreadableRecord(path, error.problems[0].message)]
    return None, []


def default_output(root: Path) -> Path:
    """Where the page is written unless another place is named."""
    return root / STATE_FOLDER / "report.html"


def write_page(path: Path, text: str, root: Path) -> None:
    """Write the page wholly or not at all. Raises RecordError where that cannot be."""
    try:
        if path == default_output(root):
            prepare_state_folder(root)
        if path.is_dir():
            raise IsADirectoryError(None, "it is a folder")
        write_atomically(path, text)
    except OSError as error:
        raise RecordError(
            f"the report cannot be written: {error.strerror}",
            where=str(path),
            hint="name another place with --output",
        ) from error


def desktop_session(environ: Mapping[str, str], platform: str) -> bool:
    """Tell whether a browser would come up on this machine's screen."""
    if platform in ("darwin", "win32"):
        return "SSH_CONNECTION" not in environ
    return bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


def open_page(
    path: Path, environ: Mapping[str, str], platform: str, show: Callable[[str], bool]
) -> str | None:
    """Have ``show`` (``webbrowser.open``) open the page; return what to say where it could not."""
    if not desktop_session(environ, platform):
        return f"there is no desktop session here to open it in: open {path} in a browser"
    if not show(path.as_uri()):
        return f"no browser was found: open {path} in one"
    return None
