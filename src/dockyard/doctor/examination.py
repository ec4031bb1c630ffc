"""Examine everything at the same time; what does not answer in time is unknown."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TypeVar

from dockyard.doctor.findings import Finding, Verdict, found_error, problem, unknown
from dockyard.errors import DockyardError, Problem, ProjectError, SettingsError
from dockyard.settings import Settings, load_settings, redactor, resolve

if TYPE_CHECKING:
    from dockyard.doctor.ask_network import Index
    from dockyard.doctor.builder_findings import BuilderAnswer
    from dockyard.doctor.engine_findings import EngineAnswer
    from dockyard.doctor.network_findings import HostAnswer, ImageNeed
    from dockyard.project import ProjectFacts

__all__ = ["TOPICS", "Examination", "Subject", "examine", "load_subject"]

# Whatever hangs, somebody waits for an answer.
DEADLINE_SECONDS = 15.0

Answer = TypeVar("Answer")


class Subject:
    """What is examined: the settings and, each found out once and when first asked for, facts.

    ``outside``: there is no project here, and the settings are the defaults. ``problems`` are what
    is wrong with the settings; those that can be read are in force nevertheless.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        *,
        problems: Sequence[Problem] = (),
        outside: bool = False,
    ) -> None:
        self.settings, self.environment = settings, environment
        self.problems, self.outside = tuple(problems), outside
        self._known: dict[str, Future[Any]] = {}
        self._lock = Lock()

    def once(self, name: str, find: Callable[[], Answer]) -> Answer:
        """Call ``find`` for the first who asks; the others wait for that answer, or its error."""
        with self._lock:
            mine = name not in self._known
            future: Future[Answer] = self._known.setdefault(name, Future())
        if mine:
            try:
                future.set_result(find())
            except BaseException as error:
                future.set_exception(error)
        return future.result()

    @property
    def engine(self) -> EngineAnswer:
        """What the engine answered."""
        from dockyard.doctor.ask_engine import ask_engine

        return self.once("engine", lambda: ask_engine(self.environment))

    @property
    def builders(self) -> tuple[BuilderAnswer, ...] | None:
        """What buildx says of the builders; None where no engine is of use."""
        from dockyard.doctor.ask_engine import ask_builders, facts_of

        facts = facts_of(self.engine)
        if facts is None:
            return None
        return self.once("builders", lambda: ask_builders(self.settings, self.environment, facts))

    @property
    def project(self) -> ProjectFacts:
        """The project; raises ProjectError."""
        from dockyard.known_project import project_facts

        return self.once("project", lambda: project_facts(self.settings))

    @property
    def probed(self) -> str:
        """A package that an index has: the lock's largest wheel, which tells its speed."""
        from dockyard.mirrors import PROBED_PROJECT

        try:
            packages = () if self.outside else self.project.packages
        except DockyardError:
            packages = ()
        sized = [one for one in packages if one.size and one.has_wheel]
        largest = max(sized, key=lambda one: one.size or 0, default=None)
        return largest.name if largest and largest.source.kind == "registry" else PROBED_PROJECT

    @property
    def registries(self) -> dict[str, HostAnswer]:
        """What registries and their mirrors answered, by host."""
        from dockyard.doctor.ask_network import ask_registries, image_needs, push_host

        hosts = [host for need in image_needs(self.settings) for host in need.hosts]
        if target := push_host(self.settings):
            hosts.append(target)
        return self.once("registries", lambda: ask_registries(self.settings, hosts))

    @property
    def indexes(self) -> tuple[tuple[Index, HostAnswer], ...]:
        """Each package index, and what it answered without a login."""
        from dockyard.doctor.ask_network import ask_index, at_once, indexes_of

        def ask() -> tuple[tuple[Index, HostAnswer], ...]:
            found = indexes_of(self.settings)
            asked = at_once(lambda one: ask_index(self.settings, one, self.probed), found)
            return tuple(zip(found, asked, strict=True))

        return self.once("indexes", ask)


def load_subject(start: Path, environment: Mapping[str, str]) -> Subject:
    """Load the settings of ``start``; where they are bad, without what is bad about them."""
    try:
        return Subject(load_settings(start, environment, {}), environment)
    except SettingsError as error:
        problems, outside = error.problems, False
    except ProjectError as error:
        problems, outside = error.problems, True
    named = {
        name
        for one in problems
        for name in re.findall(r"\b[A-Z][A-Z0-9_]+\b", f"{one.where} {one.message}")
    }
    usable = {name: value for name, value in environment.items() if name not in named}
    try:
        settings = load_settings(start, usable, {})
    except DockyardError:
        settings = _defaults(start.resolve(), environment)
    return Subject(settings, environment, problems=problems, outside=outside)


def _defaults(start: Path, environment: Mapping[str, str]) -> Settings:
    """Make default settings for the nearest folder with a pyproject.toml, else for ``start``."""
    folders = (start, *start.parents)
    root = next((one for one in folders if (one / "pyproject.toml").is_file()), start)
    settings = resolve(
        root=root, environment={}, dotenv={}, pyproject={}, flags={}, exists=Path.is_file
    )
    return replace(settings, docker_host=environment.get("DOCKER_HOST"))


# -------------------- the topics


def _settings(subject: Subject) -> tuple[Finding, ...]:
    from dockyard.doctor.project_findings import settings_findings
    from dockyard.settings import Origin

    sources = subject.settings.sources.values()
    count = sum(one.origin is not Origin.DEFAULT for one in sources)
    return settings_findings(subject.problems, subject.settings.notes, count)


def _lock(subject: Subject) -> tuple[Finding, ...]:
    from dockyard.doctor.project_findings import lock_findings
    from dockyard.doctor.read_files import is_uncommitted

    try:
        packages = len(subject.project.packages)
    except ProjectError as error:
        return lock_findings(error.problems, None, None)
    return lock_findings((), packages, is_uncommitted(subject.settings))


def _dockerfile(subject: Subject) -> tuple[Finding, ...]:
    from dockyard.doctor.project_findings import dockerfile_findings
    from dockyard.doctor.read_files import read_dockerfile

    return dockerfile_findings(read_dockerfile(subject.settings, subject.environment))


def _context(subject: Subject) -> tuple[Finding, ...]:
    from dockyard.doctor.project_findings import context_findings
    from dockyard.doctor.read_files import read_context

    return context_findings(read_context(subject.settings))


def _state(subject: Subject) -> tuple[Finding, ...]:
    from dockyard.doctor.read_files import read_leftovers
    from dockyard.doctor.storage_findings import state_findings

    return state_findings(read_leftovers(subject.settings))


def _cache_directory(subject: Subject) -> tuple[Finding, ...]:
    from dockyard.doctor.read_files import read_cache_folder
    from dockyard.doctor.storage_findings import cache_findings

    return cache_findings(read_cache_folder(subject.settings), subject.settings.cache_budget)


def _disk(subject: Subject) -> tuple[Finding, ...]:
    from dockyard.doctor.read_files import read_disks
    from dockyard.doctor.storage_findings import disk_findings

    return disk_findings(read_disks(subject.settings, subject.engine))


def _engine(subject: Subject) -> tuple[Finding, ...]:
    from dockyard.doctor.engine_findings import engine_findings

    return engine_findings(subject.engine)


def _buildx(subject: Subject) -> tuple[Finding, ...]:
    from dockyard.doctor.engine_findings import buildx_findings

    return buildx_findings(subject.engine)


def _image_store(subject: Subject) -> tuple[Finding, ...]:
    from dockyard.doctor.engine_findings import store_findings

    return store_findings(subject.engine)


def _builder(subject: Subject) -> tuple[Finding, ...]:
    from dockyard.doctor.builder_findings import builder_findings

    if subject.builders is None:
        return (unknown("builder", "no engine and buildx that are of use"),)
    return builder_findings(subject.builders)


def _buildkit(subject: Subject) -> tuple[Finding, ...]:
    from dockyard.doctor.builder_findings import buildkit_findings

    if subject.builders is None:
        return (unknown("buildkit", "no engine and buildx that are of use"),)
    return buildkit_findings(subject.builders)


def _gc(subject: Subject) -> tuple[Finding, ...]:
    from dockyard.doctor.builder_findings import gc_findings

    if subject.builders is None:
        return (unknown("gc", "no engine and buildx that are of use"),)
    return gc_findings(subject.builders, subject.settings.cache_budget)


def _mirrors(subject: Subject) -> tuple[Finding, ...]:
    from dockyard.doctor.ask_network import indexes_of, measure_mirrors
    from dockyard.doctor.network_findings import mirror_findings

    settings = subject.settings
    index, mirrors = measure_mirrors(settings, indexes_of(settings)[0], subject.probed)
    return mirror_findings(index, mirrors, settings.uv_mirror_timeout)


def _registries(subject: Subject) -> tuple[Finding, ...]:
    from dockyard.doctor.ask_network import image_needs, push_host
    from dockyard.doctor.network_findings import registry_findings

    needs = [_held(subject, need) for need in image_needs(subject.settings)]
    return registry_findings(subject.registries, needs, push_host(subject.settings))


def _held(subject: Subject, need: ImageNeed) -> ImageNeed:
    """Ask the engine whether it has an image, or the stand-in for it."""
    from dockyard.engine import inspect_images
    from dockyard.stand_ins import stand_in_for

    if not subject.engine.answers:
        return need
    names = [name for name in (need.reference, stand_in_for(need.reference)) if name]
    held = inspect_images(names)
    return replace(need, held=next((name for name in names if name in held), ""))


def _credentials(subject: Subject) -> tuple[Finding, ...]:
    from dockyard.doctor.ask_network import find_credentials
    from dockyard.doctor.network_findings import credential_findings

    facts = find_credentials(
        subject.settings, subject.environment, subject.registries, subject.indexes
    )
    return credential_findings(facts)


def _clock(subject: Subject) -> tuple[Finding, ...]:
    from dockyard.doctor.ask_engine import engine_skew
    from dockyard.doctor.network_findings import clock_findings

    answers = [answer for _, answer in subject.indexes]
    answers += subject.registries.values()
    return clock_findings(answers, engine_skew(subject.engine))


def _proxies(subject: Subject) -> tuple[Finding, ...]:
    from dockyard.doctor.ask_network import indexes_of
    from dockyard.doctor.environment_findings import proxy_findings
    from dockyard.doctor.read_environment import loopback_hosts, read_proxies
    from dockyard.mirrors import parse_mirror

    urls = [one.url for one in indexes_of(subject.settings)]
    urls += [parse_mirror(text).url for text in subject.settings.uv_mirrors]
    here = loopback_hosts(subject.settings, urls)
    return proxy_findings(read_proxies(subject.environment, subject.engine, subject.builders), here)


def _certificates(subject: Subject) -> tuple[Finding, ...]:
    from dockyard.doctor.environment_findings import certificate_findings
    from dockyard.doctor.read_environment import read_authorities

    files = read_authorities(subject.settings, subject.environment, subject.builders)
    return certificate_findings(files, time.time())


TOPICS: Mapping[str, Callable[[Subject], tuple[Finding, ...]]] = {
    "settings": _settings,
    "engine": _engine,
    "buildx": _buildx,
    "image-store": _image_store,
    "builder": _builder,
    "buildkit": _buildkit,
    "gc": _gc,
    "lock": _lock,
    "dockerfile": _dockerfile,
    "context": _context,
    "cache-directory": _cache_directory,
    "disk": _disk,
    "state": _state,
    "mirrors": _mirrors,
    "registries": _registries,
    "credentials": _credentials,
    "clock": _clock,
    "proxies": _proxies,
    "certificates": _certificates,
}
OF_A_PROJECT = frozenset({"lock", "dockerfile", "context", "cache-directory", "state"})


# -------------------- all of them


@dataclass(frozen=True)
class Examination:
    """What was found, by topic in their order, and the seconds that it took."""

    findings: tuple[Finding, ...]
    seconds: float

    @property
    def problems(self) -> tuple[Finding, ...]:
        """The findings that hinder builds."""
        return tuple(one for one in self.findings if one.verdict is Verdict.PROBLEM)


def examine(
    subject: Subject, only: Sequence[str] = (), *, seconds: float = DEADLINE_SECONDS
) -> Examination:
    """Examine the topics, all where ``only`` names none; nothing waits longer than ``seconds``.

    Raises SettingsError for a topic that there is not.
    """
    strangers = [name for name in only if name not in TOPICS]
    if strangers:
        raise SettingsError(
            f"there is no topic {strangers[0]}",
            where="--only",
            hint=f"choose among: {', '.join(TOPICS)}",
        )
    chosen = [name for name in TOPICS if not only or name in only]
    started = time.monotonic()
    clean = redactor(subject.settings)
    found: dict[str, tuple[Finding, ...]] = {}

    def look(name: str) -> None:
        found[name] = _look(name, subject)

    threads = [Thread(target=look, args=(name,), daemon=True) for name in chosen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(started + seconds - time.monotonic(), 0))
    listed = []
    for name in chosen:
        # A thread that hangs is left behind; what it finds later counts no more.
        late = (unknown(name, "it could not be told in time", f"within {seconds:.0f} s"),)
        listed += [_cleaned(one, clean) for one in found.get(name, late)]
    return Examination(tuple(listed), time.monotonic() - started)


def _look(name: str, subject: Subject) -> tuple[Finding, ...]:
    if subject.outside and name in OF_A_PROJECT:
        return (unknown(name, "there is no project here"),)
    try:
        return TOPICS[name](subject)
    except DockyardError as error:
        return found_error(name, error)
    except Exception as error:  # one topic that fails must not take the others along
        return (problem(name, "this could not be examined", f"{type(error).__name__}: {error}"),)


def _cleaned(finding: Finding, clean: Callable[[str], str]) -> Finding:
    fix = clean(finding.fix) if finding.fix else finding.fix
    summary, evidence = clean(finding.summary), clean(finding.evidence)
    return replace(finding, summary=summary, evidence=evidence, fix=fix)
