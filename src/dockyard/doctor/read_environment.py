"""Read which proxies and certificates are set: in this shell, in Docker's configuration."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dockyard.doctor.environment_findings import AuthorityFile, Proxies

if TYPE_CHECKING:
    from dockyard.doctor.builder_findings import BuilderAnswer
    from dockyard.doctor.engine_findings import EngineAnswer
    from dockyard.settings import Settings

__all__ = ["loopback_hosts", "read_authorities", "read_proxies"]

NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
ENGINE_KEYS = {"HTTP_PROXY": "HttpProxy", "HTTPS_PROXY": "HttpsProxy", "NO_PROXY": "NoProxy"}
STEP_KEYS = {"HTTP_PROXY": "httpProxy", "HTTPS_PROXY": "httpsProxy", "NO_PROXY": "noProxy"}
VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT")


def read_proxies(
    environment: Mapping[str, str], engine: EngineAnswer, builders: Sequence[BuilderAnswer] | None
) -> Proxies:
    """Put together the proxies of all places."""
    client, disagree = {}, []
    for name in NAMES:
        upper, lower = environment.get(name), environment.get(name.lower())
        if value := upper or lower:
            client[name] = value
        if upper and lower and upper != lower:
            disagree.append(name)
    dedicated = [one for one in builders or () if one.driver == "docker-container" and one.exists]
    engines = {name: str(engine.info.get(key) or "") for name, key in ENGINE_KEYS.items()}
    return Proxies(
        client=client,
        builder=dedicated[0].options if dedicated else None,
        engine={k: v for k, v in engines.items() if v} if engine.answers else None,
        steps=_steps(environment),
        disagree=tuple(disagree),
    )


def _steps(environment: Mapping[str, str]) -> dict[str, str]:
    """Read what buildx hands to build steps: ``proxies`` of Docker's configuration."""
    from dockyard.caches.credentials import config_path

    try:
        config: Any = json.loads(config_path(environment).read_text(encoding="utf-8"))
        proxies = config["proxies"]
        chosen = proxies.get(environment.get("DOCKER_HOST", "")) or proxies.get("default") or {}
        return {name: str(chosen[key]) for name, key in STEP_KEYS.items() if chosen.get(key)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def loopback_hosts(settings: Settings, urls: Sequence[str]) -> tuple[str, ...]:
    """List the hosts on this machine that are asked: registries, mirrors and indexes."""
    from urllib.parse import urlsplit

    hosts = [urlsplit(url).hostname or "" for url in urls]
    named = [settings.registry or "", *settings.image_mirrors, *settings.insecure_registries]
    hosts += [one.rpartition("=")[2].partition("/")[0].rpartition(":")[0] for one in named]
    here = [one for one in hosts if one == "localhost" or one.startswith("127.")]
    return tuple(dict.fromkeys(here))


def read_authorities(
    settings: Settings, environment: Mapping[str, str], builders: Sequence[BuilderAnswer] | None
) -> tuple[AuthorityFile, ...]:
    """Read each file of certificates that a variable names."""
    found = []
    if settings.ca_file:
        files = [one for one in builders or () if one.driver == "docker-container" and one.exists]
        holds = any(name.startswith("certs/") for one in files for name in one.files)
        # Without a registry to trust there, BuildKit needs no authority.
        in_builder = holds if files and settings.registry else None
        standing_in = "SSL_CERT_FILE" in settings.sources["ca_file"].where
        variable = "SSL_CERT_FILE" if standing_in else "DOCKYARD_CA_FILE"
        found.append(_read(variable, settings.ca_file, in_builder))
    for variable in VARIABLES:
        value = environment.get(variable)
        if value and Path(value) != settings.ca_file:
            found.append(_read(variable, Path(value), None))
    return tuple(found)


def _read(variable: str, path: Path, in_builder: bool | None) -> AuthorityFile:
    shown = str(path)
    if not path.exists():
        return AuthorityFile(variable, shown, "there is no such file")
    if path.is_dir():
        return AuthorityFile(variable, shown, "it is a folder, not a file")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(shown)
    except ssl.SSLError:
        return AuthorityFile(variable, shown, "it holds no PEM certificate")
    except OSError as error:
        return AuthorityFile(variable, shown, f"it cannot be read: {error.strerror}")
    ends = []
    for one in context.get_ca_certs():
        subject: Any = one.get("subject", ())
        names = {key: value for part in subject for key, value in part}
        name = names.get("commonName") or names.get("organizationName") or "a certificate"
        if end := one.get("notAfter"):
            ends.append((str(name), ssl.cert_time_to_seconds(str(end))))
    count = context.cert_store_stats()["x509"]
    return AuthorityFile(variable, shown, None, count, tuple(ends), in_builder)
