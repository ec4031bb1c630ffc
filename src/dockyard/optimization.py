"""Gather what `invoke optimize` needs to know, carry out what was chosen, and look again.

A source that fails becomes a note: what is known elsewhere is proposed all the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dockyard.errors import DockyardError, SettingsError, unwritable
from dockyard.optimize import (
    PYPROJECT,
    TOPICS,
    AddLines,
    ByHand,
    Proposal,
    RunTask,
    Safety,
    SetSetting,
    WriteFile,
    applicable,
    differences,
    edited,
    ranked,
)
from dockyard.settings import Origin, load_settings
from dockyard.settings_fields import FIELDS
from dockyard.state import STATE_FOLDER, prepare_state_folder, write_atomically

if TYPE_CHECKING:
    from dockyard.settings import Settings

__all__ = ["Optimization", "apply", "optimize"]


@dataclass(frozen=True)
class Optimization:
    """What is proposed, the diff of what ``--apply`` would do, and notes on what was not known.

    ``applied``: what was carried out; then ``proposals`` are what is left. ``backups``: where the
    old texts of changed files are.
    """

    proposals: tuple[Proposal, ...]
    diff: str
    notes: tuple[str, ...]
    asked: tuple[str, ...] = ()
    applied: tuple[Proposal, ...] = ()
    backups: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it; bytes and seconds are plain numbers."""
        chosen = applicable(self.proposals, self.asked)
        return {
            "proposals": [{**one.as_json(), "applies": one in chosen} for one in self.proposals],
            "applied": [one.as_json() for one in self.applied],
            "diff": self.diff,
            "backups": list(self.backups),
            "notes": list(self.notes),
        }


def optimize(
    settings: Settings,
    environment: Mapping[str, str],
    only: Sequence[str] = (),
    *,
    apply_changes: bool = False,
) -> Optimization:
    """Look at the project as a whole, or at the topics ``only``; apply what is chosen if asked.

    Without ``apply_changes`` nothing is written. Raises SettingsError for an unknown topic, and
    DockyardError where a file cannot be written.
    """
    unknown = [topic for topic in only if topic not in TOPICS]
    if unknown:
        raise SettingsError(
            f"there is no topic {', '.join(unknown)}",
            where="--only",
            hint=f"the topics are {', '.join(TOPICS)}",
        )
    if apply_changes:
        # It would be in the context, and the next run would propose to leave it out.
        prepare_state_folder(settings.root)
    found = _gather(settings, environment, only or TOPICS, asked=only)
    if not apply_changes:
        return found
    chosen = applicable(found.proposals, only)
    if not chosen:
        return found
    backups = apply(settings, environment, chosen)
    again = load_settings(settings.root, environment, {})
    topics = tuple(dict.fromkeys(one.topic for one in chosen))
    left = _gather(again, environment, topics, asked=only)
    kept = [one for one in found.proposals if one.topic not in topics]
    return replace(
        left,
        proposals=ranked((*left.proposals, *kept)),
        diff=found.diff,
        notes=tuple(dict.fromkeys((*found.notes, *left.notes))),
        applied=chosen,
        backups=backups,
    )


def apply(
    settings: Settings, environment: Mapping[str, str], chosen: Sequence[Proposal]
) -> tuple[str, ...]:
    """Carry proposals out: files atomically, the old text kept first; return where these are.

    Raises DockyardError where a file cannot be written.
    """
    changes = [one.change for one in chosen]
    texts = _texts(settings.root, chosen)
    backups = []
    for name, text in edited(texts, changes).items():
        place = path = (settings.root / name).resolve()
        try:
            before = texts[name]
            if before is not None:
                place = settings.root / STATE_FOLDER
                backups.append(_keep(settings.root, name, before))
                place = path
            mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
            write_atomically(path, text, mode)
        except OSError as error:
            consequence = "files not yet written are as they were"
            raise unwritable(error, str(place), consequence) from error
    if any(isinstance(change, RunTask) for change in changes):
        from dockyard.cache_setup import initialize

        initialize(settings, environment, dry_run=False)
    return tuple(backups)


def _keep(root: Path, name: str, text: str) -> str:
    """Keep a file's old text below ``.dockyard``: beside it, it could be part of the context."""
    folder = prepare_state_folder(root) / "backups"
    path = folder / (name.replace("/", "__") + ".backup")
    number = 2
    while path.exists():
        path = path.with_name(f"{name.replace('/', '__')}.backup{number}")
        number += 1
    write_atomically(path, text)
    return os.path.relpath(path, root)


def _texts(root: Path, proposals: Sequence[Proposal]) -> dict[str, str | None]:
    """Read the files that proposals change; bytes that are no UTF-8 raise DockyardError."""
    names = {PYPROJECT}
    names |= {one.change.path for one in proposals if isinstance(one.change, AddLines | WriteFile)}
    texts: dict[str, str | None] = {}
    for name in names:
        try:
            texts[name] = (root / name).read_bytes().decode()
        except FileNotFoundError:
            texts[name] = None
        except (OSError, UnicodeDecodeError) as error:
            raise DockyardError(
                f"it cannot be read: {error}", where=str(root / name), hint="mend or move the file"
            ) from error
    return texts


def _gather(
    settings: Settings,
    environment: Mapping[str, str],
    topics: Sequence[str],
    *,
    asked: Sequence[str],
) -> Optimization:
    from dockyard.optimization_facts import Facts

    notes: list[str] = []
    facts = Facts(settings, environment, asked=asked, note=notes.append)
    sources: dict[str, Callable[[], tuple[Proposal, ...]]] = {
        "layers": facts.layers,
        "context": facts.context,
        "order": facts.order,
        "install": facts.install,
        "compression": facts.compression,
        "base": facts.base,
        "pins": facts.pins,
        "mirrors": facts.mirrors,
        "builder": facts.builder,
        "weight": facts.weight,
    }
    if "weight" in topics:
        facts.begin_weight()
    found: list[Proposal] = []
    failed: dict[str, list[str]] = {}
    for topic, source in sources.items():
        if topic not in topics:
            continue
        try:
            found += source()
        except (DockyardError, OSError, ValueError) as error:
            failed.setdefault(_reason(error), []).append(topic)
    facts.close()
    notes += [f"not looked at: {', '.join(names)}: {why}" for why, names in failed.items()]
    settled = [_reachable(settings, one) for one in found]
    proposals = ranked(settled)
    texts = _texts(settings.root, proposals)
    try:
        after = edited(texts, [one.change for one in applicable(proposals, asked)])
    except ValueError as error:
        notes.append(f"{PYPROJECT} is left alone: {error}")
        proposals = ranked(
            replace(
                one,
                safe=Safety.BY_HAND,
                change=ByHand(PYPROJECT, f"in [tool.dockyard], {setting_line(one.change)}"),
            )
            if isinstance(one.change, SetSetting)
            else one
            for one in proposals
        )
        after = edited(texts, [one.change for one in applicable(proposals, asked)])
    return Optimization(proposals, differences(texts, after), tuple(notes), tuple(asked))


def _reason(error: Exception) -> str:
    """Say in one line why a topic could not be looked at, and what to do about it."""
    if isinstance(error, DockyardError):
        first = error.problems[0]
        return f"{first.message}" + (f" ({first.hint})" if first.hint else "")
    if isinstance(error, OSError):
        if error.filename == "docker":
            return "the docker command is not installed"
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    return str(error)


def setting_line(change: SetSetting) -> str:
    """Write a setting's change as its line in the table."""
    import json

    value = [*change.entries, change.value] if change.add else change.value
    return f"{change.key} = {json.dumps(value, ensure_ascii=False)}"


def _reachable(settings: Settings, proposal: Proposal) -> Proposal:
    """Leave a setting to the user where pyproject.toml is not what decides it."""
    change = proposal.change
    if not isinstance(change, SetSetting):
        return proposal
    field = next(one for one in FIELDS if one.key == change.key)
    source = settings.sources[field.attribute]
    if source.origin in (Origin.PYPROJECT, Origin.DEFAULT):
        return proposal
    value = (*change.entries, change.value) if change.add else change.value
    text = field.separator.join(map(str, value)) if isinstance(value, tuple) else value
    advice = f"set {field.environment}={text}, or unset it there and set it in {PYPROJECT}"
    return replace(proposal, safe=Safety.BY_HAND, change=ByHand(source.where, advice))
