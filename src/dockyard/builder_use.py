"""The builder of one build: chosen, and there when buildx starts."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dockyard.builders import BuilderChoice, PastLoad, choose_builder, past_load
from dockyard.errors import BuilderError, ImageUnavailableError, Problem
from dockyard.stand_ins import LOCAL_REGISTRY

if TYPE_CHECKING:
    from dockyard.base_images import BaseImage
    from dockyard.engine import EngineFacts
    from dockyard.process import Running
    from dockyard.settings import Settings
    from dockyard.state import State

__all__ = ["check_reachable_images", "settle_builder"]

# A failed build forgets it at once (build.py).
REMEMBERED_SECONDS = 3600.0
READ_RECORDS = 20


def settle_builder(
    settings: Settings,
    environment: Mapping[str, str],
    state: State,
    engine: EngineFacts,
    *,
    push: bool,
    load: bool,
    show_only: bool,
    base_images: Sequence[BaseImage] = (),
    asked: Running | None = None,
) -> tuple[BuilderChoice, tuple[str, ...]]:
    """Choose the builder, make it if it is Dockyard's own and missing; with notes on what was done.

    ``show_only`` makes none, and makes do without an engine; ``asked``: buildx has been asked
    about DOCKYARD_BUILDER already. Raises what
    :func:`dockyard.builder_setup.ensure_builder` does.
    """
    named = None
    if settings.builder != "auto":
        named = _driver_of(settings.builder, environment, state, asked, lenient=show_only)
    past = () if named else _past_loads(settings, state)
    here = [one for one in base_images if one.resolved.startswith(f"{LOCAL_REGISTRY}/")]
    choice = choose_builder(
        settings,
        engine,
        push=push,
        load=load,
        named_driver=named,
        past=past,
        local_images=bool(here),
    )
    if not show_only:
        check_reachable_images(choice, here)
    if not choice.dedicated or show_only:
        return choice, ()
    fingerprint = _fingerprint(choice.name, environment)
    # Whether a remote BuildKit answers is asked each time: buildx would wait 20 s to say less.
    if choice.driver != "remote" and state.recall("builder", fingerprint, REMEMBERED_SECONDS):
        return choice, ()
    from dockyard.builder_plan import Action
    from dockyard.builder_setup import ensure_builder

    change = ensure_builder(settings, environment, engine, only_missing=True)
    state.remember("builder", fingerprint, change.driver)
    if change.driver != choice.driver:
        raise BuilderError(
            f"the builder {change.name} has the driver {change.driver}, not {choice.driver}",
            where="DOCKYARD_BUILDER_NAME",
            hint="`invoke cache.init` makes it as the settings want it",
        )
    if change.action is Action.LEAVE:
        return choice, ()
    return choice, (f"the builder {change.name} ({change.driver}) was created", *change.notes)


def _fingerprint(name: str, environment: Mapping[str, str]) -> str:
    places = ("BUILDX_CONFIG", "DOCKER_CONFIG", "DOCKER_CONTEXT", "DOCKER_HOST", "HOME")
    return json.dumps([name, *(environment.get(place) for place in places)])


def _driver_of(
    name: str,
    environment: Mapping[str, str],
    state: State,
    asked: Running | None,
    *,
    lenient: bool,
) -> str | None:
    """Ask buildx for a builder's driver, or recall it."""
    fingerprint = _fingerprint(name, environment)
    remembered = state.recall("builder", fingerprint, REMEMBERED_SECONDS)
    if isinstance(remembered, str):
        return remembered
    from dockyard.builder_facts import require_builder

    try:
        driver = require_builder(name, asked).driver
    except BuilderError:
        if lenient:
            return None
        raise
    state.remember("builder", fingerprint, driver)
    return driver


def _past_loads(settings: Settings, state: State) -> Sequence[PastLoad]:
    """List what earlier builds say of loading, newest first; each record is read once."""
    from dockyard.records import read_record, record_paths

    paths = record_paths(settings.root)[:READ_RECORDS]
    recalled = state.recall("past-loads", "")
    known = recalled if isinstance(recalled, dict) else {}
    found: dict[str, PastLoad] = {}
    for path in paths:
        if path.stem in known:
            found[path.stem] = PastLoad(*known[path.stem])
            continue
        with contextlib.suppress(OSError, ValueError):
            found[path.stem] = past_load(read_record(path.read_text(encoding="utf-8")))
    if found.keys() != known.keys():
        state.remember("past-loads", "", found)
    return tuple(found.values())


def check_reachable_images(choice: BuilderChoice, here: Sequence[BaseImage]) -> None:
    """Raise ImageUnavailableError for images of this engine alone where the builder is elsewhere.

    A builder in a container of its own does not see the engine's images.
    """
    if choice.driver == "docker" or not here:
        return
    raise ImageUnavailableError(
        *(
            Problem(
                f"{one.resolved} is in the engine alone, where the builder {choice.name} "
                f"({choice.driver}) cannot see it",
                f"DOCKYARD_{one.argument}",
                "push it to a registry and name it there, or build with DOCKYARD_DRIVER=docker",
            )
            for one in here
        )
    )
