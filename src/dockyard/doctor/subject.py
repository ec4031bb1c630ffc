"""What is examined: settings, and facts that are found out once, whoever asks for them first."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from dockyard.errors import DockyardError, Problem, ProjectError, SettingsError
from dockyard.settings import Settings, load_settings, resolve

if TYPE_CHECKING:
    from dockyard.doctor.ask_network import Index
    from dockyard.doctor.builder_findings import BuilderAnswer
    from dockyard.doctor.engine_findings import EngineAnswer
    from dockyard.doctor.network_findings import HostAnswer
    from dockyard.project import ProjectFacts

__all__ = ["Subject", "load_subject"]

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
