"""Logins to registries as Docker keeps them: its configuration file and its credential helpers.

Docker CLI, ``cli/config/credentials``; the helpers' protocol is docker-credential-helpers' README.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dockyard import process
from dockyard.errors import NetworkError

__all__ = [
    "Credential",
    "config_path",
    "find_credential",
    "read_configuration",
    "stored_credential",
]

HELPER_SECONDS = 30.0
AUTHENTICATION_VARIABLE = "DOCKER_AUTH_CONFIG"
# What a helper prints, with status 1, when it knows no login: that is no fault.
NOT_FOUND = ("credentials not found", "no credentials server url", "no credentials username")
# Docker Hub's logins are kept under the address of its first registry.
DOCKER_HUB_KEY = "https://index.docker.io/v1/"
DOCKER_HUB_HOSTS = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
TOKEN_USER = "<token>"  # noqa: S105 - what a helper puts in place of a user's name


@dataclass(frozen=True)
class Credential:
    """A login. ``secret`` is a password, or a refresh token where ``is_token``; never shown."""

    username: str
    secret: str = field(repr=False)
    is_token: bool = False

    def basic(self) -> str:
        """Render as the value of an ``Authorization`` header (RFC 7617)."""
        joined = f"{self.username}:{self.secret}".encode()
        return "Basic " + base64.b64encode(joined).decode()


def config_path(environment: Mapping[str, str]) -> Path:
    """Where Docker's configuration is: below DOCKER_CONFIG, else ``~/.docker``."""
    folder = environment.get("DOCKER_CONFIG")
    return (Path(folder) if folder else Path.home() / ".docker") / "config.json"


def _key(host: str) -> str:
    return DOCKER_HUB_KEY if host in DOCKER_HUB_HOSTS else host


def _host(key: str) -> str:
    """Take the host out of a key, which older versions wrote as a URL."""
    return key.removeprefix("https://").removeprefix("http://").partition("/")[0]


def _entry(entries: Any, host: str) -> dict[str, Any]:
    if not isinstance(entries, dict):
        return {}
    key = _key(host)
    for candidate in (key, *(one for one in entries if _host(one) == _host(key))):
        if isinstance(entries.get(candidate), dict):
            return dict(entries[candidate])
    return {}


def stored_credential(config: Mapping[str, Any], host: str) -> Credential | None:
    """Read a login that stands in the configuration itself. ValueError if it is malformed."""
    entry = _entry(config.get("auths"), host)
    token = entry.get("identitytoken")
    if token:
        return Credential(TOKEN_USER, str(token), is_token=True)
    encoded = entry.get("auth")
    if encoded:
        try:
            decoded = base64.b64decode(str(encoded), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            # The exception's text would hold what was to be decoded.
            raise ValueError(f"the login of {host} is not base64") from None
        username, colon, secret = decoded.partition(":")
        if not colon:
            raise ValueError(f"the login of {host} is not user:password")
        return Credential(username, secret.rstrip("\0"))
    if entry.get("username") and entry.get("password"):
        return Credential(str(entry["username"]), str(entry["password"]))
    return None


def find_credential(host: str, environment: Mapping[str, str]) -> Credential | None:
    """Find the login of a registry: DOCKER_AUTH_CONFIG, its own helper, the general one, the file.

    None where nobody logged in. Raises NetworkError for a configuration or a helper that does not
    work; what a helper printed is left out, since it may hold a secret.
    """
    config = read_configuration(environment)
    try:
        if given := environment.get(AUTHENTICATION_VARIABLE):
            # Docker's command line and buildx look here first (docker/cli from 28.3).
            variable = json.loads(given)
            found = stored_credential(variable if isinstance(variable, dict) else {}, host)
            if found:
                return found
    except ValueError as error:
        raise NetworkError(
            f"{AUTHENTICATION_VARIABLE} cannot be used: {_plain(error)}",
            where=f"environment {AUTHENTICATION_VARIABLE}",
            hint='it is the JSON of a config.json with "auths"; unset it to use the file\'s',
        ) from None
    try:
        helpers = config.get("credHelpers")
        own = helpers.get(_host(_key(host))) or helpers.get(host) if helpers else None
        helper = own or config.get("credsStore")
        if helper:
            found = _ask_helper(str(helper), host, environment)
            # A general store may have come after logins that are still in the file.
            return found or (None if own else stored_credential(config, host))
        return stored_credential(config, host)
    except (ValueError, AttributeError) as error:
        raise _unusable(config_path(environment), _plain(error)) from None


def read_configuration(environment: Mapping[str, str]) -> dict[str, Any]:
    """Read Docker's configuration; empty where there is none. Raises NetworkError as above."""
    path = config_path(environment)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError("it is no JSON object")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise _unusable(path, str(error.strerror)) from None
    except ValueError as error:
        raise _unusable(path, _plain(error)) from None
    return config


def _unusable(path: Path, problem: str) -> NetworkError:
    return NetworkError(
        f"Docker's configuration cannot be used: {problem}",
        where=str(path),
        hint="mend the file, or `docker login` writes the logins again",
    )


def _plain(error: Exception) -> str:
    """Describe an error without the text that it is about: that text holds secrets."""
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno} is not JSON"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return str(error)


def _ask_helper(helper: str, host: str, environment: Mapping[str, str]) -> Credential | None:
    program = f"docker-credential-{helper}"
    hint = f"`docker login {host}` tries the same helper; credsStore in Docker's config.json"
    try:
        answer = process.run(
            [program, "get"],
            environment=dict(environment),
            input=_key(host).encode(),
            timeout=HELPER_SECONDS,
        )
    except OSError as error:
        raise NetworkError(
            f"Docker's configuration names {program}, which cannot be run: {error.strerror}",
            hint="install it, or remove it from Docker's config.json (credsStore, credHelpers)",
        ) from None
    if not answer.succeeded:
        if any(words in answer.stdout.lower() for words in NOT_FOUND):
            return None
        how = "does not answer" if answer.status == -9 else f"fails with status {answer.status}"
        raise NetworkError(f"{program} {how} when asked for the login of {host}", hint=hint)
    try:
        values = json.loads(answer.stdout)
        username, secret = str(values["Username"]), str(values["Secret"])
    except (ValueError, KeyError, TypeError):
        raise NetworkError(f"{program} answers with what is no login", hint=hint) from None
    return Credential(username, secret, is_token=username == TOKEN_USER) if secret else None
