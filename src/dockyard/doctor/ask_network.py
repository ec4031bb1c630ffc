"""Ask indexes, mirrors and registries, all at the same time and none for long."""

from __future__ import annotations

import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from dockyard.doctor.network_findings import CredentialFact, HostAnswer, ImageNeed
from dockyard.errors import DockyardError
from dockyard.mirrors import Measurement, parse_mirror, probe, without_credentials
from dockyard.package_indexes import Index, indexes_of

if TYPE_CHECKING:
    from dockyard.settings import Settings

__all__ = [
    "Index",
    "ask_index",
    "ask_registries",
    "ask_url",
    "at_once",
    "find_credentials",
    "image_needs",
    "indexes_of",
    "measure_mirrors",
    "push_host",
]

ASK_SECONDS = 3.0
PROBE_SECONDS = 3.0
PROBE_BYTES = 1_000_000
DOCKER_HUB = "registry-1.docker.io"


def ask_url(
    url: str, role: str, *, authorities: str | None = None, verified: bool = True
) -> HostAnswer:
    """Ask for a URL's head, without a login: status, seconds, and what the Date header says.

    The clock is compared at the middle of the request; HTTP dates are whole seconds.
    """
    host = urlsplit(url).netloc
    context = None
    if url.startswith("https:"):
        context = ssl.create_default_context()
        if authorities:
            try:
                context.load_verify_locations(authorities)
            except (OSError, ssl.SSLError) as error:
                return HostAnswer(host, role, error=f"DOCKYARD_CA_FILE is unusable: {error}")
        if not verified:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - http(s) by the settings
    started = time.time()
    try:
        with urllib.request.urlopen(  # noqa: S310
            request, timeout=ASK_SECONDS, context=context
        ) as answer:
            status, date = answer.status, answer.headers.get("Date")
    except urllib.error.HTTPError as error:
        status, date = error.code, error.headers.get("Date")
    except (OSError, ValueError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        return HostAnswer(host, role, error=without_credentials(str(reason)) or "no answer")
    seconds = time.time() - started
    return HostAnswer(host, role, status, seconds, _skew(date, started + seconds / 2))


def _skew(date: str | None, now: float) -> float | None:
    try:
        # Half a second is what a date without fractions is late by on average.
        return now - parsedate_to_datetime(date).timestamp() - 0.5 if date else None
    except (ValueError, TypeError):
        return None


def at_once(function: Callable[[Any], Any], values: Sequence[Any]) -> list[Any]:
    """Call a function with each value, in a thread of its own."""
    if not values:
        return []
    with ThreadPoolExecutor(len(values)) as pool:
        return list(pool.map(function, values))


# -------------------- registries


def push_host(settings: Settings) -> str | None:
    """Name the host of DOCKYARD_REGISTRY, as it is asked."""
    if not settings.registry:
        return None
    host = settings.registry.partition("/")[0]
    return DOCKER_HUB if host == "docker.io" else host


def image_needs(settings: Settings) -> tuple[ImageNeed, ...]:
    """List the images that builds need and where they may come from; ``held`` is not known yet."""
    from dockyard.registries import registry_hosts
    from dockyard.stand_ins import LOCAL_REGISTRY

    found = []
    for setting in ("python_image", "uv_image"):
        reference = getattr(settings, setting)
        local = reference.startswith(f"{LOCAL_REGISTRY}/")
        hosts = () if local else registry_hosts(reference, settings.image_mirrors)
        found.append(ImageNeed(setting, reference, tuple(dict.fromkeys(hosts)), None))
    return tuple(found)


def ask_registries(settings: Settings, hosts: Iterable[str]) -> dict[str, HostAnswer]:
    """Ask each registry for its API: ``/v2/`` answers 200, or 401 where it wants a login."""
    authorities = str(settings.ca_file) if settings.ca_file else None

    def ask(host: str) -> HostAnswer:
        insecure = host in settings.insecure_registries
        name = host.rpartition(":")[0] or host
        plain = insecure or name in ("localhost", "[::1]") or name.startswith("127.")
        answer = HostAnswer(host, "registry")
        for scheme in ("https", "http") if plain else ("https",):
            answer = ask_url(
                f"{scheme}://{host}/v2/", "registry", authorities=authorities, verified=not insecure
            )
            if answer.status is not None:
                break
        return answer

    wanted = list(dict.fromkeys(hosts))
    return dict(zip(wanted, at_once(ask, wanted), strict=True))


# -------------------- package indexes


def measure_mirrors(
    settings: Settings, index: Index, project: str
) -> tuple[Measurement, tuple[Measurement, ...]]:
    """Measure the default index and its mirrors on a page and a file of ``project``."""
    mirrors = [parse_mirror(text) for text in settings.uv_mirrors]
    urls = [one.url for one in mirrors if not one.index]
    authorities = str(settings.ca_file) if settings.ca_file else None
    first, *others = probe(
        [index.url, *urls],
        project=project,
        seconds=PROBE_SECONDS,
        sample=PROBE_BYTES,
        authorities=authorities,
    )
    return first, tuple(others)


def ask_index(settings: Settings, index: Index, project: str) -> HostAnswer:
    """Ask an index for a project's page without a login, for its status and its clock."""
    authorities = str(settings.ca_file) if settings.ca_file else None
    return ask_url(f"{_bare(index.url)}/{project}/", "index", authorities=authorities)


def _bare(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")


# -------------------- logins


def find_credentials(
    settings: Settings,
    environment: Mapping[str, str],
    registries: Mapping[str, HostAnswer],
    indexes: Sequence[tuple[Index, HostAnswer]],
) -> tuple[CredentialFact, ...]:
    """Look which logins are there; the logins themselves are dropped at once."""
    found = []
    host = push_host(settings)
    if host:
        shown = (settings.registry or "").partition("/")[0]
        answer = registries.get(host)
        needed = answer.status == 401 if answer and answer.status else None
        command = f"`docker login {shown}`"
        place, error = _registry_login(shown, environment)
        found.append(CredentialFact(f"registry {shown}", place, needed, command, error))
    for index, answer in indexes:
        needed = answer.status in (401, 403) if answer.status is not None else None
        place, error = _index_login(settings, index), ""
        if needed and not place:
            place, error = _kept_login(settings, index, environment)
        if not place and not needed:
            continue
        command = (
            f"set UV_INDEX_{index.variable}_USERNAME and _PASSWORD in .env"
            if index.name
            else "name the index (`NAME=URL`), and set UV_INDEX_<NAME>_USERNAME and _PASSWORD"
        )
        what = f"index {index.name or index.bare}"
        found.append(CredentialFact(what, place, needed, command, error))
    return tuple(found)


def _registry_login(host: str, environment: Mapping[str, str]) -> tuple[str | None, str]:
    from dockyard.caches.credentials import config_path, find_credential

    try:
        login = find_credential(host, environment)
    except DockyardError as error:
        return None, error.problems[0].message
    path = config_path(environment)
    home = Path(environment.get("HOME") or "/nonexistent")
    shown = f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
    return (f"{shown} or its credential helper" if login else None), ""


def _index_login(settings: Settings, index: Index) -> str | None:
    if urlsplit(index.url).password or urlsplit(index.url).username:
        return f"its URL ({index.place})"
    names = {f"UV_INDEX_{index.variable}_{part}" for part in ("USERNAME", "PASSWORD")}
    if index.name and names & set(settings.index_credentials):
        return settings.sources["index_credentials"].where
    return None


def _kept_login(
    settings: Settings, index: Index, environment: Mapping[str, str]
) -> tuple[str | None, str]:
    from dockyard.stored_logins import kept_login

    try:
        login = kept_login(settings, index, environment)
    except DockyardError as error:
        problem = error.problems[0]
        return None, f"{problem.where}: {problem.message}"
    except FileNotFoundError as error:
        return None, f"there is no program {error.filename}"
    return (login.place if login else None), ""
