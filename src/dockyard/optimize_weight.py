"""Proposals about the image's weight: what is installed, large, and not needed. Pure.

The files are listed in a container by the functions that leave them out of a layer
(``templates/finish-layer``), so that what is proposed is what the setting will remove.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dockyard.display.format import format_bytes, format_count
from dockyard.optimize import ByHand, Proposal, Safety, SetSetting

__all__ = ["Copies", "ImageWeight", "Weight", "parse_weight", "propose_weight", "weight_script"]

# Less than this is not worth a setting.
WORTH_BYTES = 50_000
MARK = "dockyard: "

_MAIN = r"""
import collections
import hashlib
import json
import pathlib
import re
import sys

names = {"__name__": "finish_layer"}
exec(compile(FINISH_LAYER, "finish-layer", "exec"), names)
sys.setrecursionlimit(10000)


def package_of(path, site):
    first = path.relative_to(site).parts[0]
    return re.sub(r"\.libs$", "", first)


def copies(site):
    # Large files of the same content, and libraries of the same name in .libs folders.
    by_size = collections.defaultdict(list)
    by_name = collections.defaultdict(list)
    linked = set()
    for path in site.rglob("*"):
        if path.is_symlink() or not path.is_file():
            continue
        status = path.stat()
        if (status.st_dev, status.st_ino) in linked:
            continue  # a hard link costs nothing
        linked.add((status.st_dev, status.st_ino))
        if status.st_size >= SMALLEST:
            by_size[status.st_size].append(path)
        folder = path.relative_to(site).parts[0]
        if folder.endswith(".libs") and ".so" in path.name:
            # auditwheel adds a digest to the name: libgfortran-040039e1.so.5.0.0
            name = re.sub(r"-[0-9a-f]{6,}(?=[.-])", "", path.name)
            by_name[re.sub(r"(\.so)[.\d]*$", r"\1", name)].append(path)
    groups, seen = [], set()
    for size, paths in by_size.items():
        by_digest = collections.defaultdict(list)
        for path in paths if len(paths) > 1 else ():
            with path.open("rb") as file:
                by_digest[hashlib.file_digest(file, "sha256").hexdigest()].append(path)
        groups += [("same", one, size * (len(one) - 1)) for one in by_digest.values() if one[1:]]
    seen = {path for _, one, _ in groups for path in one}
    for paths in by_name.values():
        rest = [path for path in paths if path not in seen]
        if len({package_of(path, site) for path in rest}) > 1:
            sizes = sorted(path.stat().st_size for path in rest)
            groups.append(("library", rest, sum(sizes[:-1])))
    return [
        {"kind": kind, "bytes": size, "paths": sorted(str(one.relative_to(site)) for one in paths)}
        for kind, paths, size in groups
        if size >= SMALLEST
    ]


kinds = {}
duplicates = []
total = 0
for site in pathlib.Path("/opt/venv/lib").glob("python*/site-packages"):
    taken = set()
    for kind in KINDS:
        found = [path for path in names[kind.replace("-", "_")](site) if path not in taken]
        taken.update(found)
        largest = collections.Counter()
        for path in found:
            largest[package_of(path, site)] += path.lstat().st_size
        kinds[kind] = {
            "files": len(found),
            "bytes": sum(largest.values()),
            "largest": largest.most_common(3),
        }
    total += sum(path.lstat().st_size for path in site.rglob("*") if path.is_file())
    duplicates += copies(site)
print(MARK + json.dumps({"kinds": kinds, "copies": duplicates, "total": total}))
"""


@dataclass(frozen=True)
class Weight:
    """Files of one kind (a policy of ``slim``): how many, bytes, and the packages with the most."""

    kind: str
    files: int
    bytes: int
    largest: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Copies:
    """Files below site-packages of which one would do; ``bytes`` are those of the others.

    ``same``: equal to the byte; else libraries of one name, which may be of different versions.
    """

    same: bool
    paths: tuple[str, ...]
    bytes: int


@dataclass(frozen=True)
class ImageWeight:
    """What an image's site-packages hold that may not be needed; bytes unpacked."""

    image: str
    kinds: tuple[Weight, ...]
    copies: tuple[Copies, ...]
    total: int


KINDS = ("bytecode", "static-libraries", "tests", "headers")


def weight_script() -> str:
    """Return the program that lists them, for the image's own Python; it prints one line."""
    finish_layer = (Path(__file__).parent / "templates/finish-layer").read_text(encoding="utf-8")
    values = {
        "FINISH_LAYER": finish_layer,
        "KINDS": KINDS,
        "MARK": MARK,
        "SMALLEST": WORTH_BYTES,
    }
    return "".join(f"{name} = {value!r}\n" for name, value in values.items()) + _MAIN


def parse_weight(image: str, text: str) -> ImageWeight:
    """Read what the program printed; raises ValueError where it printed something else."""
    line = next((one for one in text.splitlines() if one.startswith(MARK)), None)
    if line is None:
        raise ValueError("it has no Python that answers")
    try:
        values = json.loads(line[len(MARK) :])
        return ImageWeight(
            image,
            tuple(
                Weight(
                    str(kind),
                    int(one["files"]),
                    int(one["bytes"]),
                    tuple((str(name), int(size)) for name, size in one["largest"]),
                )
                for kind, one in values["kinds"].items()
            ),
            tuple(
                Copies(one["kind"] == "same", tuple(map(str, one["paths"])), int(one["bytes"]))
                for one in values["copies"]
            ),
            int(values["total"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it answered something else: {error}") from error


_WHAT = {
    "bytecode": "bytecode that wheels bring; Python makes it again",
    "static-libraries": "static libraries, which only a linker reads",
    "headers": "headers, which only a compiler reads; keep them if the application compiles",
    "tests": "tests of packages that no other module refers to",
}


def propose_weight(
    weight: ImageWeight, slim: Sequence[str], *, byte_compile: bool, settable: bool = True
) -> tuple[Proposal, ...]:
    """Propose policies of ``slim``, and name what is in the image twice.

    ``settable``: whether the Dockerfile follows the setting (one edited by hand does not).
    """
    source = f"the files of {weight.image}, unpacked; each time that the image is pulled whole"
    found = []
    for one in weight.kinds:
        compiled = one.kind == "bytecode" and byte_compile
        if one.bytes < WORTH_BYTES or one.kind in slim or compiled:
            continue
        most = ", ".join(f"{name} {format_bytes(size)}" for name, size in one.largest)
        safety = Safety.ASKED if one.kind == "headers" else Safety.SAFE
        found.append(
            Proposal(
                "weight",
                f"leave {one.kind} out ({format_count(one.files, 'file')})",
                f"{_WHAT[one.kind]}; most in {most}",
                one.bytes,
                None,
                source,
                safety if settable else Safety.BY_HAND,
                SetSetting("slim", one.kind, add=True, entries=tuple(slim))
                if settable
                else ByHand(
                    "docker/Dockerfile", f"give finish-layer the argument {one.kind} as well"
                ),
            )
        )
    for group in weight.copies:
        what = "the same file" if group.same else "one library"
        found.append(
            Proposal(
                "weight",
                f"{what} {len(group.paths)} times: {group.paths[0]}",
                f"also {', '.join(group.paths[1:3])}"
                + (f" and {len(group.paths) - 3} more" if len(group.paths) > 3 else "")
                + ": each package brings its own"
                + ("" if group.same else "; versions may differ"),
                group.bytes,
                None,
                source,
                Safety.BY_HAND,
                ByHand(
                    "pyproject.toml",
                    "see whether all of these packages are needed, or another build of them "
                    "shares it",
                ),
            )
        )
    return tuple(found)
