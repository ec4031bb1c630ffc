"""The Dockerfile before a build: brought up to date where it may be, and read for its plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard.dockerfile import (
    DockerfileState,
    Recipe,
    dockerfile_state,
    edited,
    keep_plan,
    read_plan,
    recipe,
    render,
    template_digest,
)
from dockyard.errors import DockerfileError
from dockyard.known_project import Facts, fingerprint_of
from dockyard.layers import Layer, LayerPlan
from dockyard.settings import Settings
from dockyard.state import State, write_atomically

if TYPE_CHECKING:
    from dockyard.layer_keeping import KeptPlan
    from dockyard.lock_versions import History
    from dockyard.project import Target

__all__ = ["NO_PLAN", "past_locks", "settle_dockerfile"]

NO_PLAN = LayerPlan((Layer(()),))
"""What a Dockerfile that keeps no plan is compared with."""


def past_locks(settings: Settings, target: Target, *, remember: bool = True) -> History:
    """Read the lock's history for the extras and groups in force."""
    from dockyard.history import lock_history

    return lock_history(
        settings.root / settings.project,
        extras=settings.extras,
        groups=settings.groups,
        target=target,
        memory=settings.root if remember else None,
    )


@dataclass(frozen=True)
class _Text:
    """What a Dockerfile says, and what it could say instead."""

    text: str
    plan: LayerPlan | None
    what: Recipe

    def verdict(self) -> DockerfileState:
        return dockerfile_state(self.text, render(self.what, self.plan or NO_PLAN))

    def with_plan(self, verdict: DockerfileState, plan: LayerPlan) -> str:
        """Render an outdated file again; in any other the marked regions alone change."""
        if verdict is DockerfileState.OUTDATED:
            return render(self.what, plan)
        return keep_plan(self.text, self.what, plan)


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        raise DockerfileError(
            "there is no Dockerfile", where=str(path), hint="`invoke init` writes one"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DockerfileError(f"it cannot be read: {error}", where=str(path)) from error


def settle_dockerfile(
    settings: Settings,
    facts: Facts,
    state: State,
    environment: Mapping[str, str],
    *,
    write: bool,
) -> tuple[LayerPlan | None, tuple[str, ...]]:
    """Bring the Dockerfile up to date as far as it is Dockyard's; the plan it keeps, and notes.

    One that nobody edited is rendered again when its settings changed. The layer plan follows the
    lock in every file whose marked regions are unedited, but not in CI, where nobody would commit
    it. Nothing is written unless ``write``. Raises DockerfileError if the file is missing or
    unreadable.
    """
    path = settings.root / settings.dockerfile
    text = _read(path)
    what = recipe(settings, settings.image or facts.known.name, facts.known.local)
    inputs = (repr(what), template_digest(), facts.lock_fingerprint, settings.layers)
    plan = read_plan(text, settings.dockerfile)
    if state.recall("dockerfile", fingerprint_of(text, *inputs)) == "settled":
        return plan, ()
    found = _Text(text, plan, what)
    verdict = found.verdict()
    kept = _keep(plan, settings, facts, state, write=write) if plan else None
    notes: list[str] = []
    if kept and kept.changed:
        hindrance = _hindrance(found, verdict, environment, write=write)
        if not hindrance:
            after = found.with_plan(verdict, kept.plan)
            try:
                write_atomically(path, after)
            except OSError as error:
                hindrance = f"it cannot be written ({error.strerror})"
            else:
                _remember_packages(state, settings, facts, kept.plan)
                if verdict is not DockerfileState.DIVERGED:
                    state.remember("dockerfile", fingerprint_of(after, *inputs), "settled")
                note = f"{settings.dockerfile}: {kept.note}"
                return kept.plan, (note, *_state_notes(verdict, settings, written=True))
        notes.append(_stale(settings, kept.note, hindrance))
    elif plan:
        _remember_packages(state, settings, facts, plan)
    if verdict is DockerfileState.DIVERGED:
        return plan, (*notes, *_state_notes(verdict, settings, written=False))
    if verdict is DockerfileState.OUTDATED:
        return _render_again(found, path, settings, state, inputs, notes, write=write)
    if not notes:
        state.remember("dockerfile", fingerprint_of(text, *inputs), "settled")
    return plan, tuple(notes)


def _render_again(
    found: _Text,
    path: Path,
    settings: Settings,
    state: State,
    inputs: tuple[object, ...],
    notes: list[str],
    *,
    write: bool,
) -> tuple[LayerPlan | None, tuple[str, ...]]:
    if not write:
        note = f"{settings.dockerfile} would be rendered again from changed settings"
        return found.plan, (*notes, note)
    rendered = render(found.what, found.plan or NO_PLAN)
    try:
        write_atomically(path, rendered)
    except OSError as error:
        note = (
            f"{settings.dockerfile} is not up to date with the settings and cannot be "
            f"written ({error.strerror}): it is used as it is"
        )
        return found.plan, (*notes, note)
    if not notes:
        state.remember("dockerfile", fingerprint_of(rendered, *inputs), "settled")
    return found.plan, (*notes, *_state_notes(DockerfileState.OUTDATED, settings, written=True))


def _state_notes(verdict: DockerfileState, settings: Settings, *, written: bool) -> tuple[str, ...]:
    if verdict is DockerfileState.DIVERGED:
        return (
            f"{settings.dockerfile} was edited by hand, and the settings that it was rendered from "
            "have changed since: it is used as it is. `invoke init --diff` shows the difference, "
            "`invoke init --replace` takes the rendered one (yours becomes a .backup), "
            "`invoke init --keep` takes yours",
        )
    if verdict is DockerfileState.OUTDATED and written:
        return (
            f"{settings.dockerfile} was rendered again: its settings changed, nobody had edited it",
        )
    return ()


def _plan_fingerprint(settings: Settings, plan: LayerPlan) -> str:
    return fingerprint_of(settings.project, [layer.packages for layer in plan.layers])


def _keep(
    plan: LayerPlan, settings: Settings, facts: Facts, state: State, *, write: bool
) -> KeptPlan:
    """Compare the lock with what the plan was settled for, by its fingerprint if that does."""
    from dockyard.layer_keeping import KeptPlan, keep

    remembered = state.recall("layers", _plan_fingerprint(settings, plan))
    settled = remembered if isinstance(remembered, dict) else {}
    if settled.get("lock") == facts.lock_fingerprint and len(plan.layers) <= settings.layers:
        return KeptPlan(plan)
    return keep(
        plan,
        settled.get("packages"),
        facts.packages,
        lambda: past_locks(settings, facts.target, remember=write),
        settings.layers,
    )


def _remember_packages(state: State, settings: Settings, facts: Facts, plan: LayerPlan) -> None:
    fingerprint = _plan_fingerprint(settings, plan)
    known = state.recall("layers", fingerprint)
    if isinstance(known, dict) and known.get("lock") == facts.lock_fingerprint:
        return
    from dockyard.layer_keeping import remembered_packages

    value = {"lock": facts.lock_fingerprint, "packages": remembered_packages(facts.packages)}
    state.remember("layers", fingerprint, value)


def _hindrance(
    found: _Text, verdict: DockerfileState, environment: Mapping[str, str], *, write: bool
) -> str:
    """Say why the plan in the file stays as it is; nothing if it may be changed."""
    if verdict in (DockerfileState.EDITED, DockerfileState.DIVERGED) and found.plan:
        regions = edited(found.text, found.what, found.plan)
        if regions:
            names = " and ".join(f"“{name}”" for name in regions)
            return (
                f"its region{'s' * (len(regions) > 1)} {names} "
                f"{'are' if len(regions) > 1 else 'is'} not as Dockyard renders it"
            )
    if not write:
        return "nothing is written here"
    if environment.get("CI", "").lower() not in ("", "0", "false", "no"):
        return "CI leaves files as they are"
    return ""


def _stale(settings: Settings, note: str, hindrance: str) -> str:
    what = note.replace("updated with the lock", "not up to date with the lock")
    hint = (
        "`invoke init --replace` renders the file again (yours becomes a .backup)"
        if hindrance.startswith("its region")
        else "run `invoke build` where the file can be written, and commit it"
    )
    return f"{settings.dockerfile} is used as it is: {hindrance}. {what}. {hint}"
