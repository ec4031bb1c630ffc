"""Why a step was in no cache though nothing that it is made of differs. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dockyard.display.format import shorten
from dockyard.explain_model import CauseKind, Detail, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dockyard.explain_settings import SettingChange
    from dockyard.record_parts import CacheRecord
    from dockyard.records import BuildRecord

__all__ = [
    "builder_differs",
    "builder_identity",
    "cache_faults",
    "cache_reason",
    "effective_platforms",
    "imported",
]

_SHOWN = 160
# A registry's answer where nobody has pushed the cache yet (caches/faults.py).
_NOT_THERE = re.compile(r"not found|NAME_UNKNOWN|name unknown|does not exist", re.IGNORECASE)


def builder_identity(record: BuildRecord) -> tuple[str | None, str | None, str | None]:
    """Return what tells builders apart: name, driver, and the identity, None if not recorded."""
    identity = record.inputs.builder_id if record.inputs else None
    return record.builder.get("name"), record.builder.get("driver"), identity


def builder_differs(before: BuildRecord, after: BuildRecord) -> bool | None:
    """Whether another builder built the later one; None where the records do not tell."""
    name, driver, identity = builder_identity(before)
    later_name, later_driver, later_identity = builder_identity(after)
    if identity and later_identity:
        return identity != later_identity
    if (name, driver) != (later_name, later_driver):
        return True
    return None


def effective_platforms(record: BuildRecord) -> tuple[str, ...]:
    """Return what a build was for; the engine's own platform where none was asked for."""
    if record.inputs and record.inputs.platforms:
        return record.inputs.platforms
    setting = record.settings.get("platforms")
    asked = setting.get("value") if isinstance(setting, dict) else None
    if asked:
        return tuple(map(str, asked))
    own = record.engine.get("platform")
    return (str(own),) if own else ()


def _imports(record: BuildRecord) -> list[CacheRecord]:
    return [one for one in record.caches if one.direction == "import"]


def imported(record: BuildRecord) -> bool:
    """Whether any cache beside the builder's own was imported."""
    return any(not one.error for one in _imports(record))


def _faulty(record: BuildRecord) -> list[CacheRecord]:
    return [one for one in _imports(record) if one.error and not _NOT_THERE.search(one.error)]


def _name(cache: CacheRecord) -> str:
    return cache.reference or cache.type


def _fault(cache: CacheRecord) -> str:
    return f"the cache {_name(cache)} could not be imported: {shorten(cache.error or '', _SHOWN)}"


def cache_faults(record: BuildRecord) -> tuple[str, ...]:
    """Say which caches could not be imported, for another reason than that there are none yet."""
    return tuple(map(_fault, _faulty(record)))


def _builder(
    before: BuildRecord, after: BuildRecord, settings: Mapping[str, SettingChange]
) -> tuple[Detail, ...]:
    name, driver, _ = builder_identity(before)
    later_name, later_driver, _ = builder_identity(after)
    if (name, driver) == (later_name, later_driver):
        return (Detail(f"the builder {later_name} was made again, and starts with an empty cache"),)
    text = f"another builder: {name} ({driver}) → {later_name} ({later_driver})"
    blamed = (settings[one] for one in ("builder", "driver", "builder_name") if one in settings)
    return (Detail(text), *(Detail(one.text()) for one in blamed))


def cache_reason(
    before: BuildRecord, after: BuildRecord, settings: Mapping[str, SettingChange]
) -> Reason:
    """Tell why a step that was built before was not found, where nothing about it has changed."""
    differs = builder_differs(before, after)
    name = after.builder.get("name")
    if differs is False or (differs is None and not _imports(after)):
        text = f"no longer in the cache of the builder {name}: pruned or evicted"
        if differs is None:
            text += ", or the builder was made again (the records do not tell builders apart)"
        return Reason(CauseKind.CACHE_EVICTED, "cache", (Detail(text),))
    others = _builder(before, after, settings) if differs else ()
    faulty, asked = _faulty(after), _imports(after)
    if not asked:
        none = Detail("no build cache beside the builder's own was asked for")
        return Reason(CauseKind.BUILDER, "builder", (*others, none))
    if imported(after):
        names = ", ".join(_name(one) for one in asked if not one.error)
        found = [Detail(f"not in the cache that was imported ({names})")]
        found += [Detail(_fault(one)) for one in faulty]
        return Reason(CauseKind.CACHE_NOT_HELD, "cache", (*found, *others))
    if faulty:
        return Reason(
            CauseKind.CACHE_UNREACHABLE,
            "cache",
            (*(Detail(_fault(one)) for one in faulty), *others),
        )
    earlier, later = _branch(before), _branch(after)
    names = ", ".join(map(_name, asked))
    if later is not None and earlier != later:
        text = f"no cache of the branch {later or '(none)'} yet: {names} not found"
        if earlier is not None:
            text += f"; the build before was on {earlier or 'no branch'}"
        return Reason(CauseKind.CACHE_OTHER_BRANCH, "cache", (Detail(text), *others))
    text = f"the build cache was not found: {names}"
    return Reason(CauseKind.CACHE_NOT_HELD, "cache", (Detail(text), *others))


def _branch(record: BuildRecord) -> str | None:
    """Name the branch of a build's caches, empty outside of one; None where that is not known."""
    if record.inputs and record.inputs.cache_scope:
        return record.inputs.cache_scope.get("branch", "")
    branch = record.revision.get("branch")
    return str(branch) if branch else None
