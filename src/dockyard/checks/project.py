"""Checks of the project: its lock, its build context, its layer plan, its cache hits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dockyard.checks.verdicts import Finding, Outcome, Verdict, judge
from dockyard.display.format import format_bytes, format_count
from dockyard.errors import ProjectError
from dockyard.optimize_files import SMALL_BYTES, context_paths
from dockyard.summary import format_rate

if TYPE_CHECKING:
    from dockyard.checks.workbench import Workbench
    from dockyard.context import ContextListing, Suggestion
    from dockyard.records import BuildRecord

__all__ = [
    "check_context",
    "check_hit_rate",
    "check_layers",
    "check_lock",
    "judge_context",
    "judge_hit_rate",
]

LARGEST_FILES = 3
RECORDS = 200


def check_lock(workbench: Workbench) -> Verdict:
    """Compare uv.lock with pyproject.toml."""
    fix = "run `uv lock`, and commit the file"
    try:
        project = workbench.project
    except ProjectError as error:
        root = f"{workbench.settings.root}/"
        findings = tuple(
            Finding(f"{(one.where or '').removeprefix(root)}: {one.message}")
            for one in error.problems
        )
        figure = format_count(len(findings), "problem")
        return judge("lock", findings, figure, error.problems[0].hint or fix)
    return judge("lock", (), format_count(len(project.packages), "package"), fix)


def check_context(workbench: Workbench) -> Verdict:
    """Measure the build context, and look for what .dockerignore should name."""
    from dockyard.context import suggest
    from dockyard.information import needed_paths

    read, _ = context_paths(workbench.stages)
    # Everything copied is no reason to copy it: the settings say what the image needs.
    needed = (*needed_paths(workbench.settings), *(path for path in read if path != "."))
    listing = workbench.listing
    return judge_context(listing, suggest(listing, needed), workbench.settings.context_budget)


def judge_context(
    listing: ContextListing, suggestions: Sequence[Suggestion], budget: int
) -> Verdict:
    """Judge a context against a budget in bytes: what may hold secrets is named first.

    A small file that the image does not need is no reason to fail; known junk of any size is.
    """
    total = sum(entry.bytes for entry in listing.entries)
    secret = [one for one in suggestions if "secret" in one.reason]
    others = [
        one
        for one in suggestions
        if one not in secret and ("not among" not in one.reason or one.bytes >= SMALL_BYTES)
    ]
    findings = [
        Finding(
            f".dockerignore should name {one.pattern} "
            f"({format_count(one.files, 'file')}): {one.reason}"
        )
        for one in secret
    ]
    if total > budget:
        largest = sorted(listing.entries, key=lambda entry: (-entry.bytes, entry.path))
        shown = ", ".join(
            f"{entry.path} ({format_bytes(entry.bytes)})" for entry in largest[:LARGEST_FILES]
        )
        findings.append(
            Finding(
                f"{format_bytes(total)} is more than DOCKYARD_CONTEXT_BUDGET, "
                f"{format_bytes(budget)}; the largest: {shown}"
            )
        )
    findings += [
        Finding(
            f".dockerignore should name {one.pattern} "
            f"({format_count(one.files, 'file')}, {format_bytes(one.bytes)}): {one.reason}"
        )
        for one in others
    ]
    return judge(
        "context",
        findings,
        f"{format_bytes(total)} in {format_count(len(listing.entries), 'file')}",
        "`invoke optimize --only context --apply` adds these lines; `invoke context` lists files",
    )


def check_layers(workbench: Workbench) -> Verdict:
    """Compare the Dockerfile and its layer plan with what lock and settings ask for."""
    from dockyard.dockerfile_upkeep import settle_dockerfile
    from dockyard.known_project import Facts

    settings = workbench.settings
    facts = Facts(settings, workbench.state, "amd64")
    plan, notes = settle_dockerfile(
        settings, facts, workbench.state, workbench.environment, write=False
    )
    findings = [Finding(note, file=settings.dockerfile) for note in notes]
    return judge(
        "layers",
        findings,
        f"{format_count(len(facts.known.packages), 'package')} in "
        f"{format_count(len(plan.layers) if plan else 0, 'layer')}",
        "run `invoke build` where the tree can be written, and commit the Dockerfile",
    )


def check_hit_rate(workbench: Workbench) -> Verdict:
    """Compare the build's cache hits with those of the last build of the main branch."""
    from dockyard.records import load_records

    current = workbench.built.record
    records, _ = load_records(workbench.settings.root, RECORDS)
    branches = (
        (workbench.settings.default_branch,)
        if workbench.settings.default_branch
        else ("main", "master")
    )
    main = next(
        (
            one
            for one in records
            if one.id < current.id
            and one.outcome == "succeeded"
            and one.revision["branch"] in branches
            and one.project["name"] == current.project["name"]
        ),
        None,
    )
    return judge_hit_rate(current, main)


def judge_hit_rate(current: BuildRecord, main: BuildRecord | None) -> Verdict:
    """Compare the cache hits of the dependencies with those of a build of main.

    That says something where both were made of the same packages, Dockerfile, arguments and base
    images: elsewhere steps run because they have to. Sources are no part of it.
    """
    rate = current.hit_rates["dependency"]
    figure = f"dependencies {format_rate(rate)}"
    if main is None:
        return Verdict("hit-rate", Outcome.PASSED, f"{figure}; no build of main is recorded here")
    before = main.hit_rates["dependency"]
    figure += f", on main {format_rate(before)}"
    one, other = current.inputs, main.inputs
    if one is None or other is None:
        return Verdict("hit-rate", Outcome.PASSED, f"{figure}; what was built is not recorded")
    differing = [
        what
        for what, mine, theirs in (
            ("the packages", one.packages, other.packages),
            ("the Dockerfile", one.dockerfile, other.dockerfile),
            ("the base images", one.base_digests, other.base_digests),
            ("the platforms", one.platforms, other.platforms),
        )
        if mine != theirs
    ]
    if differing:
        return Verdict("hit-rate", Outcome.PASSED, f"{figure}; {differing[0]} changed since")
    findings = []
    if isinstance(rate, int | float) and isinstance(before, int | float) and rate < before:
        findings.append(
            Finding(
                f"{format_rate(rate)} of the dependencies' steps were cached, and "
                f"{format_rate(before)} in {main.id} on main, of the same packages, Dockerfile "
                "and base images"
            )
        )
    return judge(
        "hit-rate",
        findings,
        figure,
        "`invoke cache.info` shows which caches there are; `invoke doctor` whether they answer",
    )
