"""Files that several packages of an image write, from the lists of what each has installed.

A list is a distribution's RECORD (packaging.python.org, “Recording installed projects”). Within a
layer, packages are installed in the order of their names where they dispute a file; across layers,
the later layer covers the earlier. uv installs all at the same time and leaves it to chance.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dockyard import process
from dockyard.errors import EngineError
from dockyard.lock import normalize

__all__ = ["DisputedFile", "disputed_files", "image_conflicts"]

SECONDS = 120.0

# Runs in the image: prints each distribution's name and RECORD.
_SCRIPT = """\
import importlib.metadata, json
found = importlib.metadata.distributions()
print(json.dumps({one.metadata["Name"]: one.read_text("RECORD") or "" for one in found}))
"""


@dataclass(frozen=True)
class DisputedFile:
    """A file, relative to site-packages, that packages write with different content.

    ``packages`` are in the order in which they are written: the last one's file is there.
    """

    path: str
    packages: tuple[str, ...]


def disputed_files(
    records: Mapping[str, str], layers: Sequence[Sequence[str]]
) -> tuple[DisputedFile, ...]:
    """Find the files that two of the RECORDs (name → text) have with different hashes.

    ``layers`` are the names of the packages of each layer, in the order of the layers; a package
    that none of them names comes last, as what is built from folders does.
    """
    place = {normalize(name): number for number, layer in enumerate(layers) for name in layer}
    writers: dict[str, dict[str, str]] = {}
    for name, text in records.items():
        for row in csv.reader(text.splitlines()):
            if len(row) > 1 and row[1]:
                writers.setdefault(row[0], {})[normalize(name)] = row[1]
    found = []
    for path, hashes in sorted(writers.items()):
        if len(set(hashes.values())) > 1:
            order = sorted(hashes, key=lambda name: (place.get(name, len(layers)), name))
            found.append(DisputedFile(path, tuple(order)))
    return tuple(found)


def image_conflicts(reference: str, layers: Sequence[Sequence[str]]) -> tuple[DisputedFile, ...]:
    """Find the disputed files of a built image that the engine has.

    It runs the image's Python once, without network. Raises EngineError if it does not run.
    """
    done = process.run(
        ("docker", "run", "--rm", "--interactive", "--network", "none", "--entrypoint", "python",
         reference, "-I", "-"),
        input=_SCRIPT.encode(),
        timeout=SECONDS,
    )  # fmt: skip
    try:
        records = json.loads(done.stdout)
    except ValueError:
        said = done.stderr.strip().splitlines()
        raise EngineError(
            f"Python does not run in {reference}: {said[-1] if said else done.status}",
            hint="`invoke build` makes the image anew",
        ) from None
    return disputed_files(records, layers)
