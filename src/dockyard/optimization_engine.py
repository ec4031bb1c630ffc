"""What builders hold and what the image weighs, asked of buildx and the engine."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from dockyard import process
from dockyard.engine import EngineFacts, inspect_images
from dockyard.errors import DockyardError
from dockyard.optimize import Proposal

if TYPE_CHECKING:
    from dockyard.optimize_settings import CacheNeed
    from dockyard.optimize_weight import ImageWeight
    from dockyard.process import Running
    from dockyard.records import BuildRecord
    from dockyard.settings import Settings
    from dockyard.state import State

__all__ = ["Weighing", "builder_proposals"]

ASK_SECONDS = 30.0
WEIGH_SECONDS = 300.0


def builder_proposals(
    settings: Settings,
    environment: Mapping[str, str],
    engine: EngineFacts,
    newest: BuildRecord | None,
    note: Callable[[str], None],
) -> tuple[Proposal, ...]:
    """Compare the builders with what the settings want and the caches need."""
    from dockyard.builder_facts import inspect_builder
    from dockyard.builder_setup import ensure_builder
    from dockyard.builders import choose_builder
    from dockyard.optimize_settings import BuilderFacts, propose_builder

    change = None
    dedicated = None
    if settings.builder == "auto" and settings.driver != "docker":
        dedicated = inspect_builder(settings.builder_name)
        choice = choose_builder(
            settings,
            engine,
            push=bool(settings.registry),
            local_images=_stand_ins(newest),
        )
        if dedicated or choice.dedicated:
            change = ensure_builder(settings, environment, engine, dry_run=True)
    needs = [
        need
        for need in (
            _need(settings.builder_name, note, dedicated=True) if dedicated else None,
            _need(engine.context, note, dedicated=False),
        )
        if need
    ]
    return propose_builder(BuilderFacts(change, tuple(needs), settings.cache_budget))


def _need(name: str, note: Callable[[str], None], *, dedicated: bool) -> CacheNeed | None:
    from dockyard.caches.builder_usage import builder_usage, usage_by_kind
    from dockyard.optimize_settings import CacheNeed, parse_garbage_rules

    records = builder_usage(name)
    if records is None:
        note(f"builder: {name} does not tell what its cache holds")
        return None
    told = process.run(["docker", "buildx", "inspect", name], timeout=ASK_SECONDS)
    usage = usage_by_kind(records)
    return CacheNeed(
        builder=name,
        dedicated=dedicated,
        layers=usage.layers,
        mounts=sum(one.size for one in records if one.own_mount),
        total=usage.total,
        rules=parse_garbage_rules(told.stdout) if told.succeeded else (),
    )


def _stand_ins(record: BuildRecord | None) -> bool:
    images = record.base_images if record else ()
    return any(one.get("origin") == "stand-in" for one in images)


class Weighing:
    """Lists what an image holds, in a container of it, while other things are done.

    Remembered under the image's digest. ``tag`` names an image that the engine has, or had.
    """

    def __init__(self, tag: str, state: State) -> None:
        self._tag = tag
        self._state = state
        self._known: str | None = None
        self._problem: DockyardError | OSError | None = None
        self._running: Running | None = None
        self._name = f"dockyard-optimize-{secrets.token_hex(6)}"

    def begin(self) -> None:
        """Start it; where the image is not in the engine, nothing is."""
        from dockyard.optimize_weight import weight_script

        try:
            image = inspect_images((self._tag,)).get(self._tag)
        except (DockyardError, OSError) as error:
            self._problem = error
            return
        if image is None:
            return
        script = weight_script()
        self._known = json.dumps([str(image.get("Id")), script])
        if isinstance(self._state.recall("weight", self._known), str):
            return
        once = ("--rm", "--name", self._name, "--network", "none", "--pull", "never", "--read-only")
        start = ("--entrypoint", "python", self._tag, "-c", script)
        self._running = process.start(["docker", "run", *once, *start])

    def finish(self) -> ImageWeight:
        """Read what the container listed; raises ValueError where it could not.

        DockyardError and OSError where the engine could not be asked.
        """
        from dockyard.optimize_weight import parse_weight

        if self._problem:
            raise self._problem
        if self._known is None:
            raise ValueError(f"{self._tag} is not in the engine; `invoke build` makes it")
        if self._running is None:
            return parse_weight(self._tag, str(self._state.recall("weight", self._known)))
        done = self._running.wait(WEIGH_SECONDS)
        if done.status < 0:
            process.run(["docker", "container", "rm", "--force", self._name], timeout=ASK_SECONDS)
            raise ValueError(f"{self._tag} could not be listed within {WEIGH_SECONDS:.0f} s")
        if not done.succeeded:
            last = done.stderr.strip().splitlines()
            raise ValueError(
                f"{self._tag} could not be listed: {last[-1] if last else 'no reason'}"
            )
        found = parse_weight(self._tag, done.stdout)
        self._state.remember("weight", self._known, done.stdout)
        return found
