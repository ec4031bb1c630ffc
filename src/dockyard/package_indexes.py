"""The package indexes of a project: those of the settings, and those of its pyproject.toml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dockyard.mirrors import PYPI, without_credentials

if TYPE_CHECKING:
    from dockyard.settings import Settings

__all__ = ["Index", "indexes_of", "listed_indexes", "split_index", "uv_table"]

TABLE = "pyproject.toml [tool.uv.index]"


@dataclass(frozen=True)
class Index:
    """A package index: its name ("" for one without), its URL, and where it is set.

    ``asks``: uv is to log in before the index demands it (``authenticate = "always"``).
    """

    name: str
    url: str
    place: str
    asks: bool = False

    @property
    def bare(self) -> str:
        """The URL without a user and password."""
        return without_credentials(self.url)

    @property
    def variable(self) -> str:
        """What uv's variables call it: ``UV_INDEX_<this>_PASSWORD``."""
        return "".join(one if one.isalnum() else "_" for one in self.name).upper()


def uv_table(settings: Settings) -> Mapping[str, Any]:
    """Read ``[tool.uv]`` of the project; empty where there is none that can be read."""
    import tomllib

    path = settings.root / settings.project / "pyproject.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("uv", {})
    except (OSError, ValueError, AttributeError):
        return {}
    return table if isinstance(table, Mapping) else {}


def _entries(settings: Settings) -> list[dict[str, Any]]:
    table = uv_table(settings).get("index", [])
    if not isinstance(table, list):
        return []
    return [one for one in table if isinstance(one, dict) and isinstance(one.get("url"), str)]


def listed_indexes(settings: Settings) -> tuple[tuple[Index, bool], ...]:
    """List the indexes of pyproject.toml, and of each whether it is the default one."""
    return tuple((_listed(one), bool(one.get("default"))) for one in _entries(settings))


def indexes_of(settings: Settings) -> tuple[Index, ...]:
    """List the indexes that packages come from: the default one first, then the named ones."""
    listed = _entries(settings)
    default = settings.uv_default_index
    found = []
    if default:
        found.append(_index(*split_index(default), settings.sources["uv_default_index"].where))
    else:
        own = next((one for one in listed if one.get("default")), None)
        found.append(_listed(own) if own else _index("", PYPI, "uv's default"))
    place = settings.sources["uv_index"].where
    found += [_index(*split_index(entry), place) for entry in settings.uv_index]
    known = {one.bare for one in found}
    found += [
        _listed(one)
        for one in listed
        if without_credentials(one["url"]).rstrip("/") not in known
        and one["url"].startswith("http")
        and not one.get("default")
    ]
    return tuple(found)


def _index(name: str, url: str, place: str, *, asks: bool = False) -> Index:
    return Index(name, url.rstrip("/"), place, asks)


def _listed(one: Mapping[str, Any]) -> Index:
    asks = one.get("authenticate") == "always"
    return _index(str(one.get("name") or ""), str(one["url"]), TABLE, asks=asks)


def split_index(entry: str) -> tuple[str, str]:
    """Split ``[name=]URL``; a URL may have “=” in it."""
    name, separator, url = entry.partition("=")
    return (name, url) if separator and "://" not in name else ("", entry)
