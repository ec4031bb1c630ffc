"""The check that what is installed is known by hashes, and not only by where it is from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from dockyard.checks.verdicts import Finding, Outcome, Verdict, judge
from dockyard.display.format import format_count

if TYPE_CHECKING:
    from dockyard.checks.workbench import Workbench
    from dockyard.lock import Package

__all__ = ["check_hashes", "judge_hashes", "unhashed"]

# Folders of the repository itself: what is in them is what was committed.
OWN_SOURCES = ("directory", "editable")


def unhashed(packages: Iterable[Package]) -> tuple[Package, ...]:
    """List the packages that a build installs without comparing a hash."""
    return tuple(one for one in packages if not one.hashed and one.source.kind not in OWN_SOURCES)


def _reason(package: Package) -> str:
    source = package.source
    if source.kind == "git":
        revision = f", commit {source.revision[:12]}" if source.revision else ", no commit"
        return f"from git{revision}: only git's own SHA-1 tells it apart"
    if source.kind == "registry":
        return "its index gives no hashes"
    return f"from a {'URL' if source.kind == 'url' else source.kind}, for which the lock has none"


def check_hashes(workbench: Workbench) -> Verdict:
    """Find the packages of the lock that have no hash."""
    return judge_hashes(workbench.project.packages, forbidden=workbench.settings.require_hashes)


def judge_hashes(packages: Sequence[Package], *, forbidden: bool) -> Verdict:
    """Judge the packages of a lock: those without a hash are faults where they are forbidden.

    Elsewhere they are said, and nothing more: uv itself installs them so.
    """
    packages = [one for one in packages if one.source.kind not in OWN_SOURCES]
    found = unhashed(packages)
    packages_have = format_count(len(packages), "package has", "packages have")
    figure = f"{len(packages) - len(found)} of {packages_have} hashes"
    lines = [f"{one.name} {one.version}: {_reason(one)}".replace("  ", " ") for one in found]
    if not forbidden:
        return Verdict("hashes", Outcome.PASSED, figure, notes=tuple(lines))
    return judge(
        "hashes",
        [Finding(line, file="uv.lock") for line in lines],
        figure,
        "publish them to an index (as wheels), and depend on them there; or unset "
        "DOCKYARD_REQUIRE_HASHES",
    )
