"""What the project's files say: settings, lock, Dockerfile, build context. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dockyard.context import Suggestion
from dockyard.display.format import format_bytes, format_count
from dockyard.doctor.findings import Finding, Repair, note, ok, problem, unknown
from dockyard.errors import Problem

__all__ = [
    "ContextFacts",
    "DockerfileFacts",
    "context_findings",
    "dockerfile_findings",
    "lock_findings",
    "settings_findings",
]

# Below this, leaving something out is not worth a line.
WORTHWHILE = 100_000
LARGE_CONTEXT = 100_000_000
SECRETS = "**/.env"


@dataclass(frozen=True)
class DockerfileFacts:
    """The Dockerfile beside the rendered one.

    ``verdict`` is what ``init`` would do: ``current``, ``missing``, ``outdated`` (nobody edited
    it), ``edited`` (by hand, from the settings in force) or ``diverged`` (by hand, and the settings
    have changed). ``changed``: lines of the difference. ``plan_notes``: where its layer plan is
    not the lock's. ``unreadable``: why it could not be compared.
    """

    path: str
    verdict: str
    changed: int = 0
    plan_notes: tuple[str, ...] = ()
    unreadable: str = ""


@dataclass(frozen=True)
class ContextFacts:
    """The build context: files and bytes that are sent, and what ``.dockerignore`` could save."""

    folder: str
    files: int
    bytes: int
    suggestions: tuple[Suggestion, ...] = ()
    unreadable: tuple[str, ...] = ()


def settings_findings(
    problems: Sequence[Problem], notes: Sequence[str], count: int
) -> tuple[Finding, ...]:
    """Say what is wrong with the settings; ``count`` of them are set somewhere."""
    topic = "settings"
    found = [problem(topic, one.message, one.where or "", one.hint) for one in problems]
    for text in notes:
        where, _, what = text.partition(": ")
        renamed = re.search(r"write (\w+)", what)
        fix = f"write {renamed[1]} instead" if renamed else None
        found.append(note(topic, what or text, where if what else "", fix))
    return tuple(found) or (
        ok(topic, "all settings are valid", f"{count} set, the others default"),
    )


def lock_findings(
    problems: Sequence[Problem], packages: int | None, uncommitted: bool | None
) -> tuple[Finding, ...]:
    """Say whether uv.lock is there and what pyproject.toml asks for."""
    topic = "lock"
    if problems:
        return tuple(problem(topic, one.message, one.where or "", one.hint) for one in problems)
    counted = f"{format_count(packages, 'package')} for the image" if packages is not None else ""
    if uncommitted:
        fix = "`git add uv.lock` and commit it"
        return (note(topic, "uv.lock is current, and not committed", counted, fix),)
    return (ok(topic, "uv.lock is what pyproject.toml asks for", counted),)


def dockerfile_findings(facts: DockerfileFacts) -> tuple[Finding, ...]:
    """Say how the Dockerfile differs from what the settings would render."""
    topic = "dockerfile"
    lines = format_count(facts.changed, "line differs", "lines differ") if facts.changed else ""
    if facts.unreadable:
        return (
            problem(topic, f"{facts.path} cannot be compared", facts.unreadable, "`invoke init`"),
        )
    if facts.verdict == "missing":
        return (
            problem(
                topic, f"there is no {facts.path}", fix="`invoke init`", repair=Repair.DOCKERFILE
            ),
        )
    found = []
    if facts.verdict == "outdated":
        found.append(
            note(
                topic,
                f"{facts.path} is not what the settings render now, and nobody has edited it",
                lines,
                "`invoke build` renders it again, and so does `invoke init`",
                Repair.DOCKERFILE,
            )
        )
    elif facts.verdict == "diverged":
        found.append(
            problem(
                topic,
                f"{facts.path} was edited by hand, and its settings have changed since",
                lines,
                "`invoke init --diff` shows how, `invoke init --replace` takes the rendered one "
                "(yours becomes a .backup), `invoke init --keep` yours",
            )
        )
    elif facts.verdict == "edited":
        fix = "`invoke init --diff` shows how"
        found.append(note(topic, f"{facts.path} was edited by hand: it stays yours", lines, fix))
    found += [
        note(topic, "its layer plan is not the lock's", text, "`invoke build`, and commit the file")
        for text in facts.plan_notes
    ]
    return tuple(found) or (ok(topic, f"{facts.path} is what the settings render"),)


def context_findings(facts: ContextFacts) -> tuple[Finding, ...]:
    """Say what the build context costs, and what need not be in it."""
    topic = "context"
    held = f"{format_bytes(facts.bytes)} in {format_count(facts.files, 'file')}"
    found = []
    secrets = [one for one in facts.suggestions if one.pattern == SECRETS]
    if secrets:
        found.append(
            problem(
                topic,
                "a .env file is in the build context: its secrets can become part of the image",
                format_count(secrets[0].files, "file"),
                f"add {SECRETS} to .dockerignore",
            )
        )
    others = [one for one in facts.suggestions if one not in secrets and one.bytes >= WORTHWHILE]
    if others:
        best = sorted(others, key=lambda one: -one.bytes)
        saved = max(one.bytes for one in best)
        names = ", ".join(f"{one.pattern} ({format_bytes(one.bytes)})" for one in best[:3])
        found.append(
            note(
                topic,
                f".dockerignore could leave {format_bytes(saved)} or more of {held} out",
                names,
                "`invoke optimize --only context --apply` adds what is safe",
            )
        )
    elif facts.bytes > LARGE_CONTEXT:
        fix = "`invoke context` lists the largest files"
        found.append(note(topic, "the build context is large", held, fix))
    if facts.unreadable:
        summary = "folders of the build context cannot be read"
        found.append(unknown(topic, summary, ", ".join(facts.unreadable[:3])))
    return tuple(found) or (ok(topic, "the build context holds what is needed", held),)
