"""Settings and build arguments that differ between two builds, and where they were set. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dockyard.display.format import shorten
from dockyard.explain_model import CauseKind, Detail, Reason

if TYPE_CHECKING:
    from dockyard.explain_dockerfile import InstructionChange
    from dockyard.records import BuildRecord

__all__ = [
    "ARGUMENT_SETTINGS",
    "SettingChange",
    "argument_reason",
    "changed_arguments",
    "setting_behind",
    "setting_changes",
    "setting_reason",
]

# The settings that a build argument carries, by the argument.
ARGUMENT_SETTINGS = {
    "EXTRAS": "extras",
    "DEPENDENCY_GROUPS": "groups",
    "PYTHON_IMAGE": "python_image",
    "UV_IMAGE": "uv_image",
    "CA_DIGEST": "ca_file",
}
_OTHER_SOURCES = {
    "IMAGE_CREATED": "the commit's time",
    "IMAGE_REVISION": "the commit",
    "IMAGE_SOURCE": "git's origin",
    "IMAGE_VERSION": "the project's version",
    "CA_DIGEST": "the content of DOCKYARD_CA_FILE",
}
# What of the rendered Dockerfile a setting decides: its stage, and what the line has in it.
_RENDERED: dict[str, tuple[str, str]] = {
    "build_packages": ("dependency-builder", r"dockyard-apt"),
    "runtime_packages": ("app-builder", r"dockyard-apt"),
    "byte_compile": ("dependency-builder", r"^ENV .*(?:UV_COMPILE_BYTECODE|PYC_INVALIDATION_MODE)"),
    "slim": (".*", r"\bfinish-layer (?!environment|authorities)"),
    "install": (".*", r"^FROM .* AS project|install-layer project|--from=project"),
    "ca_in_image": (".*", r"authorities"),
    "copy_paths": ("app-builder", r"^COPY "),
    "python_image": (".*", r"PYTHON_IMAGE="),
    "uv_image": (".*", r"UV_IMAGE="),
}


@dataclass(frozen=True)
class SettingChange:
    """A setting by its name in the environment, its two values in words, and where each is from."""

    attribute: str
    name: str
    before: str
    after: str
    source_before: str
    source_after: str
    removed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()

    def text(self) -> str:
        """Say what changed, and where each value comes from."""
        sources = self.source_after
        if self.source_before != self.source_after:
            sources += f", before: {self.source_before}"
        return f"{self.name} {self.before} → {self.after} ({sources})"


def _entry(record: BuildRecord, attribute: str) -> tuple[Any, str] | None:
    entry = record.settings.get(attribute)
    if not isinstance(entry, Mapping) or "value" not in entry:
        return None
    return entry["value"], str(entry.get("source") or entry.get("origin") or "unknown")


def _text(value: Any) -> str:
    if value in (None, [], {}, ()):
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={one}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def setting_changes(before: BuildRecord, after: BuildRecord) -> dict[str, SettingChange]:
    """Compare the settings that both records know, by attribute."""
    from dockyard.settings_fields import FIELDS

    found = {}
    for field in FIELDS:
        earlier, later = _entry(before, field.attribute), _entry(after, field.attribute)
        if earlier is None or later is None or earlier[0] == later[0]:
            continue
        lists = isinstance(earlier[0], list | tuple) and isinstance(later[0], list | tuple)
        found[field.attribute] = SettingChange(
            field.attribute,
            field.environment,
            shorten(_text(earlier[0]), 80),
            shorten(_text(later[0]), 80),
            earlier[1],
            later[1],
            tuple(str(one) for one in earlier[0] if one not in later[0]) if lists else (),
            tuple(str(one) for one in later[0] if one not in earlier[0]) if lists else (),
        )
    return found


def setting_reason(change: SettingChange) -> Reason:
    """Blame a setting."""
    return Reason(CauseKind.SETTING, change.attribute, (Detail(change.text()),))


def changed_arguments(before: BuildRecord, after: BuildRecord) -> dict[str, tuple[str, str]]:
    """Compare the build arguments, as far as both records have them; base images are left out."""
    if not before.inputs or not after.inputs:
        return {}
    earlier, later = before.inputs.arguments or {}, after.inputs.arguments or {}
    images = {one.get("argument") for one in (*before.base_images, *after.base_images)}
    return {
        name: (earlier.get(name, ""), later.get(name, ""))
        for name in (earlier | later)
        if name not in images and earlier.get(name, "") != later.get(name, "")
    }


def argument_reason(
    name: str, values: tuple[str, str], settings: Mapping[str, SettingChange]
) -> Reason:
    """Blame a build argument: the setting that it carries, where it carries one."""
    setting = settings.get(ARGUMENT_SETTINGS.get(name, ""))
    if setting:
        return setting_reason(setting)
    before, after = (shorten(value, 60) or "none" for value in values)
    source = _OTHER_SOURCES.get(name)
    text = f"build argument {name} {before} → {after}" + (f" ({source})" if source else "")
    return Reason(CauseKind.ARGUMENT, name, (Detail(text),))


def setting_behind(
    change: InstructionChange, settings: Iterable[SettingChange]
) -> SettingChange | None:
    """Find the setting that Dockyard rendered a line of the Dockerfile anew for, if one did."""
    for one in settings:
        stage, pattern = _RENDERED.get(one.attribute, ("", ""))
        texts = tuple(filter(None, (change.before, change.after)))
        if not pattern or not re.fullmatch(stage, change.stage or ""):
            continue
        if not any(re.search(pattern, text) for text in texts):
            continue
        if one.attribute == "copy_paths" and not _names_path(texts, (*one.removed, *one.added)):
            continue
        return one
    return None


def _names_path(texts: Iterable[str], paths: Iterable[str]) -> bool:
    return any(path in _copied(text) for text in texts for path in paths)


def _copied(text: str) -> Iterator[str]:
    yield from (word.strip('"[],') for word in text.split()[1:])
