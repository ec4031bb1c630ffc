"""The distributions that a build downloaded, and those that uv's cache had. Pure.

Which they are uv says, by the reports of the layers' script; their sizes are the lock's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dockyard.layer_reports import BuiltFromSource, IndexAttempt, parse_report
from dockyard.steps import StepKind
from dockyard.traffic_parts import Sum

if TYPE_CHECKING:
    from dockyard.known_project import LockedPackage
    from dockyard.trace import BuildTrace, Step

__all__ = ["package_traffic"]

# A file that an index has not, or that is refused before it is sent, costs no bytes.
_COSTS_NOTHING = ("not found", "no version of", "404", "connection refused", "dns error")


def package_traffic(
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
