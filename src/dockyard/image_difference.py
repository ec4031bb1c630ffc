"""Two images in OCI layouts, compared: equal by digest, or the first thing that differs.

Layouts and manifests are those of the OCI image specification 1.1 (image-layout.md, manifest.md,
config.md); layers are compared as tar archives, in the order of their entries.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dockyard.display.format import format_count
from dockyard.errors import CacheError

__all__ = ["BuiltImage", "Difference", "first_difference", "read_image"]


@dataclass(frozen=True)
class BuiltImage:
    """Digests of one image: manifest, config and layers (as stored), and what made each layer."""

    manifest: str
    config: str
    layers: tuple[str, ...]
    created_by: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """The first difference of two images.

    ``layer``: the instruction that made the layer, empty for the config. ``path``: the file in the
    layer, or the config's key. ``what``: in words, what differs.
    """

    layer: str
    path: str
    what: str

    def __str__(self) -> str:
        place = f" in the layer of {self.layer}" if self.layer else " in the image's configuration"
        return f"{self.path}{place}: {self.what}"


def _blob(layout: Path, digest: str) -> Path:
    algorithm, _, value = digest.partition(":")
    return layout / "blobs" / algorithm / value


def _json(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CacheError(f"it is no part of an OCI layout: {error}", where=str(path)) from error
    if not isinstance(loaded, dict):
        raise CacheError("it is no part of an OCI layout", where=str(path))
    return loaded


def _manifest(layout: Path) -> tuple[str, dict[str, Any]]:
    """Return the digest and content of the one manifest that a layout leads to."""
    content, digest = _json(layout / "index.json"), ""
    while "manifests" in content:
        digest = content["manifests"][0]["digest"]
        content = _json(_blob(layout, digest))
    return digest, content


def read_image(layout: Path) -> BuiltImage:
    """Read the image that a build exported to a layout. Raises CacheError if it is no layout."""
    digest, manifest = _manifest(layout)
    config = _json(_blob(layout, manifest["config"]["digest"]))
    made = [entry for entry in config.get("history", []) if not entry.get("empty_layer")]
    return BuiltImage(
        manifest=digest,
        config=manifest["config"]["digest"],
        layers=tuple(layer["digest"] for layer in manifest["layers"]),
        created_by=tuple(entry.get("created_by", "") for entry in made),
    )


def first_difference(one: Path, other: Path) -> Difference | None:
    """Name the first difference of two layouts whose layers are not compressed; None if equal.

    Layers come before the configuration, whose list of layers differs with them.
    """
    (_, first), (_, second) = _manifest(one), _manifest(other)
    layers = (first["layers"], second["layers"])
    names = read_image(one).created_by
    for number, (left, right) in enumerate(zip(*layers, strict=False)):
        if left["digest"] != right["digest"]:
            name = names[number] if number < len(names) else f"layer {number + 1}"
            return _layer_difference(
                name, _blob(one, left["digest"]), _blob(other, right["digest"])
            )
    if len(layers[0]) != len(layers[1]):
        layers_of_one = format_count(len(layers[0]), "layer")
        what = f"{layers_of_one} in one build, {len(layers[1])} in the other"
        return Difference("", "rootfs", what)
    configs = [
        _json(_blob(at, it["config"]["digest"])) for at, it in ((one, first), (other, second))
    ]
    return _value_difference("", configs[0], configs[1])


def _value_difference(key: str, one: object, other: object) -> Difference | None:
    if isinstance(one, dict) and isinstance(other, dict):
        pairs = [(name, one.get(name), other.get(name)) for name in sorted({*one, *other})]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(str(number), *both) for number, both in enumerate(zip(one, other, strict=True))]
    else:
        return Difference("", key, f"{one!r} and {other!r}") if one != other else None
    for name, left, right in pairs:
        if found := _value_difference(f"{key}.{name}".lstrip("."), left, right):
            return found
    return None


def _digest(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> str:
    file = archive.extractfile(entry) if entry.isfile() else None
    digest = hashlib.sha256()
    while file and (piece := file.read(1 << 20)):
        digest.update(piece)
    return digest.hexdigest()


def _layer_difference(layer: str, one: Path, other: Path) -> Difference:
    with tarfile.open(one) as left, tarfile.open(other) as right:
        entries = ({each.name: each for each in left}, {each.name: each for each in right})
        for name in [*entries[0], *(name for name in entries[1] if name not in entries[0])]:
            mine, theirs = (found.get(name) for found in entries)
            if mine is None or theirs is None:
                return Difference(layer, f"/{name}", "only one of the builds has it")
            if what := _entry_difference(left, mine, right, theirs):
                return Difference(layer, f"/{name}", what)
    return Difference(layer, "/", "the same files in another order or form")


def _entry_difference(
    left: tarfile.TarFile, mine: tarfile.TarInfo, right: tarfile.TarFile, theirs: tarfile.TarInfo
) -> str:
    for attribute, words in (
        ("type", "its kind"),
        ("size", "its size"),
        ("linkname", "where it points"),
        ("mode", "its mode"),
        ("uid", "its owner"),
        ("gid", "its group"),
    ):
        if getattr(mine, attribute) != getattr(theirs, attribute):
            return f"{words}: {getattr(mine, attribute)!r} and {getattr(theirs, attribute)!r}"
    if _digest(left, mine) != _digest(right, theirs):
        return "its content"
    if mine.mtime != theirs.mtime:
        return f"its time: {mine.mtime} and {theirs.mtime} (seconds since 1970)"
    return "its extended attributes" if mine.pax_headers != theirs.pax_headers else ""
