"""The topics of the doctor: each asks for its facts, and has them judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from dockyard.doctor.findings import Finding, unknown
from dockyard.errors import ProjectError

if TYPE_CHECKING:
    from dockyard.doctor.network_findings import ImageNeed
    from dockyard.doctor.subject import Subject

__all__ = ["OF_A_PROJECT", "TOPICS"]


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
