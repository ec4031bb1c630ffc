"""Requirements of pyproject.toml and of ``uv.lock``, brought to one form in which they compare.

pyproject.toml has PEP 508 texts and uv's ``[tool.uv.sources]``. The lock has a table for each
(``Requirement`` of uv's ``crates/uv-distribution-types/src/requirement.rs``): ``name``, ``extras``,
``specifier``, ``marker`` and one of ``index``, ``git``, ``url``, ``path``, ``directory``,
``editable``, ``virtual``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from dockyard.lock_file import normalize

__all__ = ["UNCERTAIN", "WORKSPACE", "Requirement", "Sources", "locked_requirement", "malformed"]

Source = tuple[str, ...]
# Says nothing about where a package comes from: only that it is asked for can be compared.
UNCERTAIN: Source = ("uncertain",)
WORKSPACE: Source = ("local", "workspace")
_REGISTRY: Source = ("registry",)


@dataclass(frozen=True)
class Requirement:
    """One requirement of either side, in the form in which they compare."""

    name: str
    extras: frozenset[str]
    specifiers: frozenset[str]
    source: Source
    marker: str
    key: str
    text: str

    @property
    def what(self) -> tuple[frozenset[str], frozenset[str], Source]:
        """What is asked for, the name and the conditions left out."""
        return self.extras, self.specifiers, self.source

    @property
    def local(self) -> bool:
        """Whether it is a file or folder of this machine."""
        return self.source[0] == "local"


class Sources:
    """Where ``[tool.uv.sources]`` says that packages come from; a member's before the root's."""

    def __init__(self, pyproject: dict[str, Any], root: dict[str, Any]) -> None:
        self._tables: dict[str, Any] = {}
        self._indexes: dict[str, str] = {}
        self._ignored = False
        for one in (root, pyproject):
            settings = one.get("tool", {}).get("uv", {})
            self._indexes |= {
                index["name"]: index["url"]
                for index in settings.get("index", [])
                if "name" in index and "url" in index
            }
            self._tables |= {normalize(k): v for k, v in settings.get("sources", {}).items()}
            self._ignored |= bool(settings.get("no-sources") or settings.get("no-sources-package"))

    def asked(self, text: str, key: str, extra: str = "") -> Requirement:
        """Take a PEP 508 requirement of pyproject.toml apart."""
        from packaging.requirements import Requirement as Pep508Requirement

        requirement = Pep508Requirement(text)
        marker = str(requirement.marker or "")
        if extra:
            marker = f"({marker}) and extra == '{extra}'" if marker else f"extra == '{extra}'"
        name = normalize(requirement.name)
        source = self._source(name, requirement.url)
        return Requirement(
            name=name,
            extras=frozenset(map(normalize, requirement.extras)),
            specifiers=_specifiers(str(requirement.specifier), source),
            source=source,
            marker=marker,
            key=key,
            text=str(requirement),
        )

    def _source(self, name: str, url: str | None) -> Source:
        table = self._tables.get(name)
        if table is None:
            return _url_source(url) if url else _REGISTRY
        if isinstance(table, list) and len(table) == 1:
            table = table[0]
        uncertain = self._ignored or url or not isinstance(table, dict)
        if uncertain or table.keys() & {"marker", "extra", "group"}:
            return UNCERTAIN
        if "git" in table:
            reference = table.get("tag") or table.get("branch") or table.get("rev") or ""
            return _git_source(table["git"], reference)
        if "url" in table:
            return _url_source(table["url"])
        if "path" in table:
            return ("local", "editable" if table.get("editable") else "")
        if "workspace" in table:
            return WORKSPACE
        # An index may also be named by the environment or the user's configuration.
        return _index_source(self._indexes.get(table.get("index", ""), ""))


def malformed() -> tuple[type[Exception], ...]:
    """List what is raised by an entry that is none: it is uv's to report, with its own words."""
    from packaging.requirements import InvalidRequirement
    from packaging.specifiers import InvalidSpecifier

    shapes = (AttributeError, LookupError, TypeError, ValueError)
    return (InvalidRequirement, InvalidSpecifier, *shapes)


def locked_requirement(entry: dict[str, Any], key: str) -> Requirement:
    """Take an entry of the lock's ``requires-dist`` or ``requires-dev`` apart."""
    if "git" in entry:
        query = parse_qs(urlsplit(entry["git"]).query)
        references = [query[kind][0] for kind in ("tag", "branch", "rev") if kind in query]
        source = _git_source(entry["git"], references[0] if references else "")
    elif "url" in entry:
        source = _url_source(entry["url"])
    elif entry.keys() & {"path", "directory", "editable", "virtual"}:
        source = ("local", "editable" if "editable" in entry else "")
    else:
        source = _index_source(entry["index"]) if "index" in entry else _REGISTRY
    marker = entry.get("marker", "")
    if extra := re.search(r"extra == '([^']+)'", marker):
        key = f"[project.optional-dependencies] {extra[1]}"
    extras = f"[{','.join(sorted(entry['extras']))}]" if entry.get("extras") else ""
    place = "".join(f" @ {entry[kind]}" for kind in ("git", "url") if kind in entry)
    bare = re.sub(r"^extra == '[^']+'$| and extra == '[^']+'$", "", marker)
    condition = f"; {bare}" if bare else ""
    return Requirement(
        name=normalize(entry["name"]),
        extras=frozenset(map(normalize, entry.get("extras", []))),
        specifiers=_specifiers(entry.get("specifier", ""), source),
        source=source,
        marker=marker,
        key=key,
        text=f"{entry['name']}{extras}{entry.get('specifier', '')}{place}{condition}",
    )


def _url_source(url: str) -> Source:
    if url.startswith("git+"):
        location, _, reference = url.partition("#")[0].rpartition("@")
        # An "@" before the path belongs to the user name of ssh://git@host/…
        if "/" in reference or not location:
            location, reference = url.partition("#")[0], ""
        return _git_source(location, reference)
    parts = urlsplit(url)
    if parts.scheme in ("", "file"):
        return ("local", "")
    return ("url", f"{parts.hostname}{unquote(parts.path)}")


def _index_source(url: str) -> Source:
    """Name an index by its URL, without credentials; a folder's is another on every machine.

    A slash at the end makes it another index, to uv as well.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return UNCERTAIN
    port = f":{parts.port}" if parts.port else ""
    return (*_REGISTRY, f"{parts.scheme}://{parts.hostname}{port}{parts.path}")


def _git_source(url: str, reference: str) -> Source:
    # Hosts are spelled in several ways (scp style, user names): the repository's name must do.
    path = url.partition("?")[0].partition("#")[0].rstrip("/").removesuffix(".git")
    return ("git", re.split(r"[/:]", path)[-1].lower(), unquote(reference))


def _specifiers(text: str, source: Source) -> frozenset[str]:
    """Normalise specifiers as PEP 440 compares them; only an index's packages have any."""
    from packaging.specifiers import SpecifierSet
    from packaging.utils import canonicalize_version

    if source[0] != "registry":
        return frozenset()
    found = set()
    for one in SpecifierSet(text):
        exact = one.operator in ("~=", "===") or one.version.endswith(".*")
        version = one.version if exact else canonicalize_version(one.version)
        found.add(f"{one.operator}{version}")
    return frozenset(found)
