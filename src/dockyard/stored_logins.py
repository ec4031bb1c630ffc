"""Logins of package indexes that are kept on this machine: netrc, keyring, uv's own store.

uv looks there by itself, but not inside a build. So they are looked up here, and go on as all
others do: in the one BuildKit secret, never in an argument.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from dockyard import known_secrets, process
from dockyard.errors import SettingsError
from dockyard.package_indexes import Index, indexes_of, listed_indexes, split_index, uv_table

if TYPE_CHECKING:
    from dockyard.settings import Settings

__all__ = [
    "Login",
    "find_login",
    "kept_login",
    "netrc_path",
    "with_project_logins",
    "with_stored_logins",
]

SUBPROCESS = "subprocess"
NATIVE = "native"
HELPER_SECONDS = 30.0
# Longer than “oauth2accesstoken”, which is a name, and not longer than the tokens of any issuer.
TOKEN_LENGTH = 20


@dataclass(frozen=True)
class Login:
    """A user and password, and where they are kept; the password is never shown."""

    username: str
    password: str = field(repr=False)
    place: str = ""


def netrc_path(environment: Mapping[str, str]) -> Path | None:
    """Where a netrc file is: NETRC names it, else ``~/.netrc``; None where there is none."""
    home = environment.get("HOME")
    named = environment.get("NETRC") or (f"{home}/.netrc" if home else None)
    path = Path(named) if named else None
    return path if path and path.is_file() else None


def _netrc_login(path: Path, host: str) -> Login | None:
    """Read a host's entry (inetutils ``netrc``). A ``default`` is for no index in particular."""
    import netrc

    try:
        found = netrc.netrc(str(path)).hosts.get(host)
    except netrc.NetrcParseError as error:
        # Its message has the file's words in it.
        raise SettingsError(
            "the file cannot be read as netrc",
            where=f"{path}, line {error.lineno}",
            hint="write machine HOST, login USER and password PASSWORD",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(
            f"it cannot be read: {problem}", where=str(path), hint="check who may read it"
        ) from None
    return Login(found[0], found[2], "netrc") if found and found[2] else None


def _helper_login(provider: str, url: str, username: str) -> Login | None:
    """Ask a keyring for the URL, then for its host, as uv does (``uv-auth/src/keyring.rs``).

    Raises FileNotFoundError where there is no such program.
    """
    if provider == NATIVE:
        command = ["uv", "auth", "token", url, *(["--username", username] if username else [])]
        answer = process.run(command, timeout=HELPER_SECONDS)
        secret = answer.stdout.strip() if answer.succeeded else ""
        return Login(username or "__token__", secret, "uv's store") if secret else None
    for service in dict.fromkeys((url, urlsplit(url).netloc)):
        command = ["keyring", "get", service, username]
        if not username:
            command = ["keyring", "--mode", "creds", "get", service]
        answer = process.run(command, timeout=HELPER_SECONDS)
        lines = answer.stdout.splitlines() if answer.succeeded else []
        if username and lines and lines[0]:
            return Login(username, lines[0], "keyring")
        if len(lines) > 1 and lines[1]:
            return Login(lines[0], lines[1], "keyring")
    return None


def find_login(
    index: Index, username: str, *, netrc: Path | None, provider: str | None
) -> Login | None:
    """Look an index's login up: in netrc, then where ``provider`` says.

    A keyring is asked only where a user is named, or the index is always to be logged in to: each
    question costs a fraction of a second. The user's name is an argument, so that a name that may
    be a token is not asked about.
    """
    host = urlsplit(index.bare).hostname or ""
    found = _netrc_login(netrc, host) if netrc else None
    if found and username in ("", found.username):
        return found
    if (
        provider in (SUBPROCESS, NATIVE)
        and (username or index.asks)
        and not _may_be_token(username)
    ):
        return _helper_login(provider, index.bare, username)
    return None


def _may_be_token(username: str) -> bool:
    """Tell a token that stands in a user's place, for which no password is kept, from a name."""
    name = re.fullmatch(r"([\w.+-]*)(@[\w.-]+)?", username)
    return name is None or (len(name[1]) >= TOKEN_LENGTH and bool(re.search(r"\d", name[1])))


def kept_login(settings: Settings, index: Index, environment: Mapping[str, str]) -> Login | None:
    """Look one index's login up, as :func:`with_stored_logins` does.

    Raises SettingsError for a netrc file that cannot be read, FileNotFoundError without the
    program that is to be asked.
    """
    provider = settings.uv_keyring_provider or _provider_of_the_project(settings)
    named = settings.index_credentials.get(f"UV_INDEX_{index.variable}_USERNAME")
    username = named or unquote(urlsplit(index.url).username or "")
    return find_login(index, username, netrc=netrc_path(environment), provider=provider)


def with_stored_logins(settings: Settings, environment: Mapping[str, str]) -> Settings:
    """Add the logins that this machine keeps to those that settings already have.

    A login that is set wins over one that is kept. An index with a name gets it as uv's variables
    would give it; the default one and mirrors, in their URL. ``notes`` say where each is from.
    Those in URLs of pyproject.toml come first. Raises SettingsError for a netrc file that cannot be
    read.
    """
    settings = with_project_logins(settings)
    netrc = netrc_path(environment)
    provider = settings.uv_keyring_provider or _provider_of_the_project(settings)
    if netrc is None and provider not in (SUBPROCESS, NATIVE):
        return settings
    found = _Lookup(settings, netrc, provider).run()
    known_secrets.meet(found.secret_values)
    return found


def with_project_logins(settings: Settings) -> Settings:
    """Add the logins that stand in URLs of ``[[tool.uv.index]]`` to those of the settings.

    A build reads pyproject.toml without them. What is set for the same index wins.
    """
    # Parsing it costs milliseconds of every build, and hardly any project has any.
    if not re.search(rb"://[^\s/\"']*@", _pyproject(settings)):
        return settings
    credentials, default = dict(settings.index_credentials), settings.uv_default_index
    further = list(settings.uv_index)
    for index, first in listed_indexes(settings):
        parts = urlsplit(index.url)
        if not parts.username or (first and settings.uv_default_index):
            continue
        if not index.name:
            further += [] if first else [index.url]
            default = index.url if first else default
            continue
        stem = f"UV_INDEX_{index.variable}"
        if {f"{stem}_USERNAME", f"{stem}_PASSWORD"}.isdisjoint(credentials):
            credentials[f"{stem}_USERNAME"] = unquote(parts.username)
            credentials[f"{stem}_PASSWORD"] = unquote(parts.password or "")
    found = replace(
        settings,
        uv_default_index=default,
        uv_index=tuple(further),
        index_credentials={name: value for name, value in credentials.items() if value},
    )
    known_secrets.meet(found.secret_values)
    return found


def _pyproject(settings: Settings) -> bytes:
    try:
        return (settings.root / settings.project / "pyproject.toml").read_bytes()
    except OSError:
        return b""


def _provider_of_the_project(settings: Settings) -> str | None:
    if b"keyring-provider" not in _pyproject(settings):
        return None
    return str(uv_table(settings).get("keyring-provider") or "") or None


class _Lookup:
    """One look-up of all indexes."""

    def __init__(self, settings: Settings, netrc: Path | None, provider: str | None) -> None:
        self._settings, self._netrc, self._provider = settings, netrc, provider
        self._credentials = dict(settings.index_credentials)
        self._notes: list[str] = []

    def run(self) -> Settings:
        settings, default = self._settings, self._settings.uv_default_index
        further = list(settings.uv_index)
        first, *others = indexes_of(settings)
        if first.name:
            self._by_variables(first)
        elif (url := self._in_url(first)) != first.url:
            default = url
        for index in others:
            if index.name:
                self._by_variables(index)
            elif index.place == settings.sources["uv_index"].where:
                further = [self._in_url(index) if one == index.url else one for one in further]
        mirrors = tuple(map(self._mirror, settings.uv_mirrors))
        return replace(
            settings,
            uv_default_index=default,
            uv_index=tuple(further),
            uv_mirrors=mirrors,
            index_credentials=self._credentials,
            notes=(*settings.notes, *self._notes),
        )

    def _find(self, index: Index, username: str) -> Login | None:
        try:
            found = find_login(index, username, netrc=self._netrc, provider=self._provider)
        except FileNotFoundError:
            program = "keyring" if self._provider == SUBPROCESS else "uv"
            note = f"UV_KEYRING_PROVIDER is {self._provider}, and there is no program {program}"
            self._notes += [] if note in self._notes else [note]
            self._provider = None
            return None
        if found:
            shown = index.name or urlsplit(index.bare).netloc
            self._notes.append(f"the login of {shown} is the one that {found.place} keeps")
        return found

    def _by_variables(self, index: Index) -> None:
        parts = urlsplit(index.url)
        stem = f"UV_INDEX_{index.variable}"
        username = self._credentials.get(f"{stem}_USERNAME") or unquote(parts.username or "")
        if parts.password or f"{stem}_PASSWORD" in self._credentials:
            return
        if found := self._find(index, username):
            self._credentials[f"{stem}_USERNAME"] = found.username
            self._credentials[f"{stem}_PASSWORD"] = found.password

    def _in_url(self, index: Index) -> str:
        parts = urlsplit(index.url)
        if parts.password:
            return index.url
        found = self._find(index, unquote(parts.username or ""))
        if not found:
            return index.url
        user = f"{quote(found.username, safe='')}:{quote(found.password, safe='')}"
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{user}@{host}"))

    def _mirror(self, entry: str) -> str:
        from dockyard.mirrors import expand, parse_mirror

        mirror = parse_mirror(entry)
        url = self._in_url(Index("", mirror.url, "DOCKYARD_UV_MIRRORS"))
        if url == mirror.url:
            return entry
        name, _ = split_index(expand(entry))
        return f"{mirror.index or name}={url}" if mirror.index or name else url
