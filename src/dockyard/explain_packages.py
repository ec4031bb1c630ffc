"""Which packages of the image differ between two builds, by dependency layer. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dockyard.explain_model import Detail

if TYPE_CHECKING:
    from dockyard.records import BuildRecord

__all__ = ["PackageChanges", "compare_packages", "layer_number"]

_LAYER = re.compile(r"dependencies-(\d+)")


def layer_number(stage: str | None) -> int | None:
    """Return the number of the dependency layer that a stage makes, None for other stages."""
    match = _LAYER.fullmatch(stage or "")
    return int(match[1]) if match else None


@dataclass(frozen=True)
class _Known:
    """What one record tells of a package; schema 1 tells its name and layer alone."""

    layer: int
    version: str | None = None
    identity: str | None = None
    source: str | None = None
    bytes: int | None = None


def _packages(record: BuildRecord) -> Mapping[str, _Known] | None:
    """Read a record's packages by name, None where it tells nothing of them."""
    if record.inputs is not None and "packages" not in (record.inputs.unknown or {}):
        return {
            one.name: _Known(one.layer, one.version, one.identity, one.source, one.bytes)
            for one in record.inputs.packages
        }
    found = {}
    for layer in record.layers:
        number = layer_number(layer.holds)
        if number is not None:
            found.update({name: _Known(number) for name in layer.packages})
    return found or None


@dataclass(frozen=True)
class PackageChanges:
    """What differs, for each layer of the later build.

    ``changed``: other versions, added and removed packages. ``moved``: packages that another layer
    holds now. ``exact``: both records tell versions.
    """

    changed: Mapping[int, tuple[Detail, ...]]
    moved: Mapping[int, tuple[Detail, ...]]
    exact: bool

    def all_changed(self) -> tuple[Detail, ...]:
        """List the packages that changed, were added or removed, once each, the largest first."""
        return _by_size(one for found in self.changed.values() for one in found)

    def all_moved(self) -> tuple[Detail, ...]:
        """List the packages that moved, once each, the largest first."""
        return _by_size(one for found in self.moved.values() for one in found)

    def untouched(self, layer: int) -> bool:
        """Whether it is known that a layer holds exactly what it held."""
        return self.exact and not self.changed.get(layer) and not self.moved.get(layer)


def _by_size(details: Iterable[Detail]) -> tuple[Detail, ...]:
    return tuple(sorted(dict.fromkeys(details), key=lambda one: -(one.bytes or 0)))


def compare_packages(before: BuildRecord, after: BuildRecord) -> PackageChanges | None:
    """Compare what two builds installed; None where one of the records does not tell."""
    earlier, later = _packages(before), _packages(after)
    if earlier is None or later is None:
        return None
    exact = all(one.identity is not None for one in (*earlier.values(), *later.values()))
    changed: dict[int, list[Detail]] = {}
    moved: dict[int, list[Detail]] = {}
    for name in sorted(earlier.keys() | later.keys()):
        old, new = earlier.get(name), later.get(name)
        if old is None and new is not None:
            version = f" {new.version}" if new.version else ""
            text = f"{name}{version} added (layer {new.layer})"
            changed.setdefault(new.layer, []).append(Detail(text, new.bytes))
        elif old is not None and new is None:
            version = f" {old.version}" if old.version else ""
            text = f"{name}{version} removed (layer {old.layer})"
            changed.setdefault(old.layer, []).append(Detail(text, old.bytes))
        elif old is not None and new is not None:
            if old.identity != new.identity and None not in (old.identity, new.identity):
                detail = Detail(f"{name} {_change(old, new)} (layer {new.layer})", new.bytes)
                changed.setdefault(new.layer, []).append(detail)
            if old.layer != new.layer:
                text = f"{name} moved from layer {old.layer} to {new.layer}"
                for layer in (old.layer, new.layer):
                    moved.setdefault(layer, []).append(Detail(text, new.bytes))
    return PackageChanges(
        {layer: _by_size(found) for layer, found in changed.items()},
        {layer: _by_size(found) for layer, found in moved.items()},
        exact,
    )


def _change(old: _Known, new: _Known) -> str:
    if old.version != new.version:
        return f"{old.version} → {new.version}"
    if old.source != new.source:
        return f"{new.version}: {old.source or 'an index'} → {new.source or 'an index'}"
    return f"{new.version}: other files of the same version"
