"""What proxies and certificates are set where, and whether they agree. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from dockyard.display.format import format_count
from dockyard.doctor.findings import Finding, Repair, note, ok, problem

__all__ = [
    "AuthorityFile",
    "Proxies",
    "certificate_findings",
    "is_bypassed",
    "proxy_findings",
    "without_password",
]

EXPIRY_NOTE_SECONDS = 30 * 86400
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY")
DAEMON = 'add {"proxies": {…}} to /etc/docker/daemon.json and restart the engine'
CLIENT = 'add {"proxies": {"default": {…}}} to Docker\'s config.json: buildx hands them to steps'


@dataclass(frozen=True)
class Proxies:
    """The proxies of one place, by upper-case name; empty where there are none.

    ``client``: this shell's; ``builder``: the dedicated builder's (None: there is no such builder);
    ``engine``: what the engine pulls through (None: no engine answers); ``steps``: what build steps
    get, from Docker's configuration. ``disagree``: names whose lower case has another value.
    """

    client: Mapping[str, str] = field(default_factory=dict)
    builder: Mapping[str, str] | None = None
    engine: Mapping[str, str] | None = None
    steps: Mapping[str, str] = field(default_factory=dict)
    disagree: tuple[str, ...] = ()
    local_engine: bool = True


@dataclass(frozen=True)
class AuthorityFile:
    """A file of certificates: the variable that names it, and what is in it.

    ``error`` says why it cannot be used. ``expires``: each certificate's name and end, in seconds
    since 1970. ``in_builder``: whether the dedicated builder has it (None: there is no such one).
    """

    variable: str
    path: str
    error: str | None = None
    certificates: int | None = None
    expires: tuple[tuple[str, float], ...] = ()
    in_builder: bool | None = None


def without_password(url: str) -> str:
    """Take user and password out of a proxy's URL."""
    scheme, separator, rest = url.rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def is_bypassed(host: str, no_proxy: str) -> bool:
    """Whether ``NO_PROXY`` spares a host: by name, suffix, address, network or ``*``."""
    name = host.rpartition(":")[0] if host.count(":") == 1 else host
    for entry in (one.strip() for one in no_proxy.split(",")):
        plain = entry.lstrip("*.").lower()
        if entry == "*" or (plain and (name == plain or name.endswith(f".{plain}"))):
            return True
        try:
            if ipaddress.ip_address(name) in ipaddress.ip_network(entry, strict=False):
                return True
        except ValueError:
            continue
    return False


def proxy_findings(proxies: Proxies, loopback: Sequence[str]) -> tuple[Finding, ...]:
    """Compare the proxies of client, builder, engine and steps.

    ``loopback``: hosts on this machine that the settings name, to which no proxy leads.
    """
    topic = "proxies"
    client = {name: proxies.client[name] for name in PROXIES if name in proxies.client}
    found = [
        note(
            topic,
            f"{name} and {name.lower()} differ: programs take one or the other",
            fix=f"unset one of them, or `export {name.lower()}=${name}`",
        )
        for name in proxies.disagree
    ]
    shown = ", ".join(f"{name}={without_password(url)}" for name, url in client.items())
    if not client:
        elsewhere = [
            where
            for where, values in (("the engine", proxies.engine), ("build steps", proxies.steps))
            if values and any(name in values for name in PROXIES)
        ]
        if elsewhere:
            summary = f"{' and '.join(elsewhere)} use a proxy, this shell does not"
            fix = "`export HTTPS_PROXY=…` if this machine needs it too"
            return (*found, note(topic, summary, fix=fix))
        return (*found, ok(topic, "no proxy is set"))
    if proxies.builder is not None:
        differing = [n for n, url in client.items() if proxies.builder.get(f"env.{n}") != url]
        hidden = [name for name in differing if "@" in client[name]]
        if hidden:
            summary = "the dedicated builder does not get a proxy with a password"
            fix = "use a proxy without one for it: DOCKYARD_DRIVER_OPTIONS=env.HTTPS_PROXY=…"
            found.append(note(topic, summary, ", ".join(hidden), fix))
        elif differing:
            found.append(
                problem(
                    topic,
                    "the dedicated builder was made with other proxies than this shell has",
                    shown,
                    "`invoke cache.init`",
                    Repair.BUILDER,
                )
            )
    if proxies.engine is not None and not any(name in proxies.engine for name in PROXIES):
        summary = "this shell uses a proxy, the engine pulls images without one"
        found.append(note(topic, summary, shown, DAEMON))
    if not any(name in proxies.steps for name in PROXIES):
        summary = "this shell uses a proxy, build steps download without one"
        found.append(note(topic, summary, shown, CLIENT))
    no_proxy = proxies.client.get("NO_PROXY", "")
    caught = [
        host
        for host in dict.fromkeys(("127.0.0.1", "localhost", *loopback))
        if not is_bypassed(host, no_proxy)
    ]
    if caught:
        make = problem if set(caught) & set(loopback) else note
        found.append(
            make(
                topic,
                f"NO_PROXY does not spare {', '.join(caught)}: what runs here is asked for at the "
                "proxy",
                f"NO_PROXY={no_proxy}" if no_proxy else "NO_PROXY is not set",
                "`export NO_PROXY=localhost,127.0.0.0/8,::1"
                + (f",{no_proxy}`" if no_proxy else "`"),
            )
        )
    return tuple(found) or (ok(topic, "client, builder, engine and steps agree", shown),)


def certificate_findings(files: Sequence[AuthorityFile], now: float) -> tuple[Finding, ...]:
    """Say of each file of certificates whether it is there, can be read, and is still valid.

    ``now``: seconds since 1970.
    """
    topic = "certificates"
    found = []
    for one in files:
        named = f"{one.variable}={one.path}"
        if one.error:
            ours = one.variable == "DOCKYARD_CA_FILE"
            effect = "" if ours else ": programs that heed it trust nobody, or everybody's default"
            fix = f"unset {one.variable}, or give the path of a PEM file"
            found.append(problem(topic, f"{one.error}{effect}", named, fix))
            continue
        expired = [(name, end) for name, end in one.expires if end <= now]
        soon = [(name, end) for name, end in one.expires if now < end <= now + EXPIRY_NOTE_SECONDS]
        # A system's bundle holds some that have ended, and others that took their place.
        if expired and len(expired) == len(one.expires):
            summary = "the authority's certificate has expired"
            found.append(problem(topic, summary, f"{_ends(expired)}; {named}", "ask for a new one"))
        elif soon and len(soon) + len(expired) == len(one.expires):
            summary = "the authority's certificate expires soon"
            found.append(note(topic, summary, f"{_ends(soon)}; {named}", "ask for a new one"))
        else:
            count = one.certificates
            held = format_count(count, "certificate") if count is not None else ""
            found.append(ok(topic, named, held))
        if one.in_builder is False:
            summary = "the dedicated builder does not have the private authority"
            found.append(problem(topic, summary, named, "`invoke cache.init`", Repair.BUILDER))
    return tuple(found) or (ok(topic, "the system's certificates are used"),)


def _ends(certificates: Sequence[tuple[str, float]]) -> str:
    name, end = certificates[0]
    return f"{name} on {datetime.fromtimestamp(end, UTC):%Y-%m-%d}"
