"""Ask the engine and its builders, each for at most a few seconds."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from dockyard import process
from dockyard.builder_description import ExistingBuilder, parse_inspect
from dockyard.caches.builder_usage import parse_usage
from dockyard.doctor.builder_findings import BuilderAnswer
from dockyard.doctor.engine_findings import EngineAnswer
from dockyard.engine import EngineFacts, parse_engine_facts
from dockyard.errors import DockyardError

if TYPE_CHECKING:
    from dockyard.builders import BuilderChoice
    from dockyard.settings import Settings

__all__ = ["ask_builders", "ask_engine", "engine_skew", "facts_of"]

ASK_SECONDS = 8.0


def ask_engine(environment: Mapping[str, str]) -> EngineAnswer:
    """Ask ``docker info`` and ``docker buildx version``; whatever goes wrong is in the answer."""
    address = environment.get("DOCKER_HOST") or None
    try:
        info = process.start(["docker", "info", "--format", "{{json .}}"])
        buildx = process.start(["docker", "buildx", "version"])
    except OSError as error:
        return EngineAnswer({}, str(error), docker=False, address=address)
    answered = info.wait(ASK_SECONDS)
    asked = time.time()
    told = buildx.wait(ASK_SECONDS)
    version = re.search(r"\bv?(\d+\.\d+\S*)", told.stdout) if told.succeeded else None
    try:
        loaded = json.loads(answered.stdout)
    except ValueError:
        loaded = {}
    parsed = loaded if isinstance(loaded, dict) else {}
    errors = "\n".join(map(str, parsed.get("ServerErrors") or ()))
    said = errors or answered.stderr.strip() or f"no answer within {ASK_SECONDS:.0f} s"
    return EngineAnswer(
        parsed,
        "" if parsed.get("ServerVersion") else said,
        buildx=version[1] if version else None,
        asked=asked,
        address=address,
    )


def facts_of(answer: EngineAnswer) -> EngineFacts | None:
    """Turn the answer into what other modules know of an engine; None if it is of no use."""
    client = answer.info.get("ClientInfo") or {}
    try:
        context = str(client.get("Context") or "default")
        return parse_engine_facts(answer.info, answer.buildx or "0", context)
    except DockyardError:
        return None


def engine_skew(answer: EngineAnswer) -> float | None:
    """Return this machine's clock minus the engine's, in seconds."""
    text = str(answer.info.get("SystemTime") or "")
    # Nanoseconds are more digits than Python takes.
    cut = re.sub(r"(\.\d{6})\d*", r"\1", text).replace("Z", "+00:00")
    try:
        return answer.asked - datetime.fromisoformat(cut).timestamp()
    except ValueError:
        return None


def ask_builders(
    settings: Settings, environment: Mapping[str, str], engine: EngineFacts
) -> tuple[BuilderAnswer, ...]:
    """Ask for each builder that builds with these settings use: to load, and to push."""
    from dockyard.builders import BuilderChoice, choose_builder
    from dockyard.stand_ins import LOCAL_REGISTRY

    named = None
    if settings.builder != "auto":
        existing, _ = _inspect(settings.builder)
        named = existing.driver if existing else None
    here = settings.python_image.startswith(f"{LOCAL_REGISTRY}/")
    choices: dict[str, BuilderChoice] = {}
    for push in (False, *((True,) if settings.registry else ())):
        choice = choose_builder(settings, engine, push=push, named_driver=named, local_images=here)
        choices.setdefault(choice.name, choice)
    if settings.builder == "auto" and settings.driver != "docker":
        # One that nothing needs now is shown where it is there: it holds what a push will need.
        spare = BuilderChoice(settings.builder_name, "docker-container", "", dedicated=True)
        choices.setdefault(spare.name, spare)
    answers = [_ask(one, settings, environment, engine) for one in choices.values()]
    return tuple(one for one in answers if one.exists or one.reason)


def _inspect(name: str) -> tuple[ExistingBuilder | None, process.Completed]:
    done = process.run(("docker", "buildx", "inspect", name), timeout=ASK_SECONDS)
    return (parse_inspect(done.stdout) if done.succeeded else None), done


def _ask(
    choice: BuilderChoice,
    settings: Settings,
    environment: Mapping[str, str],
    engine: EngineFacts,
) -> BuilderAnswer:
    from dockyard.optimize_settings import parse_garbage_rules

    name, driver, reason, dedicated = choice.name, choice.driver, choice.reason, choice.dedicated
    usage = process.start(("docker", "buildx", "du", "--builder", name, "--format", "json"))
    existing, told = _inspect(name)
    held = usage.wait(ASK_SECONDS)
    if existing is None:
        missing = re.search(r'no builder "?\S+"? found', told.stderr) is not None
        said = "" if missing else told.stderr.strip().rpartition("\n")[2] or "no answer"
        return BuilderAnswer(name, driver, reason, dedicated, exists=not missing, error=said)
    node = existing.nodes[0] if existing.nodes else None
    version = re.search(r"^Build[Kk]it(?: version)?:\s*(\S+)", told.stdout, re.MULTILINE)
    change, error = None, ""
    if dedicated:
        from dockyard.builder_setup import ensure_builder

        try:
            change = ensure_builder(settings, environment, engine, dry_run=True)
        except DockyardError as problem:
            error = str(problem.problems[0].message)
    return BuilderAnswer(
        name,
        existing.driver,
        reason,
        dedicated,
        change=change,
        status=node.status if node else "",
        version=version[1] if version else "",
        rules=parse_garbage_rules(told.stdout),
        usage=parse_usage(held.stdout) if held.succeeded else None,
        options=node.options if node else {},
        files=tuple(node.files) if node else (),
        error=error or (node.error if node else ""),
    )
