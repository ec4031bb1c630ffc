"""What a user has a right to after a command that failed: taken before it, compared afterwards."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dockyard.caches.layout import BlobError
from dockyard.errors import DockyardError
from dockyard.records import load_records
from faults.world import World
from support.service import Ran

__all__ = ["EXIT_CODES", "Belongings", "last_words", "told_wrongly"]

# Of errors.py; 1 is no code of ours, and 70 is a bug.
EXIT_CODES = frozenset({0, *range(3, 16), 130})
# What a command may leave in the project: answers and records. The folder ``ingest`` holds what a
# pull that broke off has received, until the next one.
OURS = re.compile(
    r"\.dockyard/(?:builds/[0-9TZ.-]+[0-9a-f-]*\.json|[a-z-]+\.json|\.gitignore|CACHEDIR\.TAG"
    r"|plans/[0-9a-f]{16}/plan/[a-z0-9./-]+"
    r"|cache/(?:blobs/.*|index\.json|oci-layout|lock|ingest(?:/.*)?|CACHEDIR\.TAG|\.gitignore))"
    r"|.*__pycache__.*|docker/Dockerfile"
)
# Names that files have while they are written.
UNFINISHED = re.compile(r"(?:^|/)\.?(?:tmp|[^/]*\.(?:tmp|part|partial)$)|~$", re.IGNORECASE)
SHOWN = 600


@dataclass(frozen=True)
class Belongings:
    """What there was: the image, the local cache's tags, the registry's, and every file."""

    image: str | None
    cache: Mapping[str, str]
    tags: Mapping[str, str]
    files: frozenset[str]

    @classmethod
    def of(cls, world: World) -> Belongings:
        """Look at the world as it is."""
        cache = {tag: one.digest for tag, one in world.layout.index().items()}
        return cls(world.image_id(), cache, world.tags(), _files(world))

    def lost(self, world: World, may_move: Iterable[str], *, succeeded: bool) -> list[str]:
        """Say what of it is gone or broken, and what was left behind.

        ``may_move`` names what the command was to change: “tags”, “cache”, “image”; each of them
        has to be whole, whatever it is now (of the image, its work says that).
        """
        problems: list[str] = []
        now = Belongings.of(world)
        moved = now.image != self.image and "image" not in may_move
        if now.image is None or (moved and not succeeded):
            problems.append(f"the earlier image {self.image} became {now.image}")
        if "cache" not in may_move and now.cache != self.cache:
            problems.append(f"the local cache's tags {self.cache} became {now.cache}")
        problems += [f"the local cache has lost {tag}" for tag in self.cache.keys() - now.cache]
        problems += _broken_cache(world)
        for tag, digest in self.tags.items():
            if tag not in now.tags and not (succeeded and "tags" in may_move):
                problems.append(f"the registry has lost {tag}")
            elif now.tags.get(tag, digest) != digest and "tags" not in may_move:
                problems.append(f"{tag} in the registry moved")
        for tag in now.tags:
            problems += world.incomplete(tag)
        new = now.files - self.files
        problems += [
            f"left behind: {one}"
            for one in sorted(new)
            if not OURS.fullmatch(one) or (UNFINISHED.search(one) and "/ingest/" not in one)
        ]
        return problems + _unreadable(world)


def _files(world: World) -> frozenset[str]:
    found = set()
    for base in (world.root, world.folder / "tmp", world.folder / "cache"):
        prefix = "" if base == world.root else f"{base.name}/"
        found |= {
            prefix + path.relative_to(base).as_posix()
            for path in base.rglob("*")
            if path.is_file() and ".git/" not in path.as_posix()
        }
    return frozenset(found)


def _broken_cache(world: World) -> list[str]:
    layout, problems = world.layout, []
    try:
        for descriptor in layout.index().values():
            for one in layout.reachable(descriptor):
                layout.verify(one)
    except (BlobError, DockyardError, OSError) as error:
        problems.append(f"the local cache is broken: {error}")
    return problems


def _unreadable(world: World) -> list[str]:
    _, unreadable = load_records(world.root, 1000)
    return [f"the record {one.path.name} cannot be read: {one.reason}" for one in unreadable]


def left_after_success(world: World) -> list[str]:
    """Name what a broken command had left, and a healthy one did not clear away."""
    folders = (world.layout.root / "ingest", world.folder / "tmp")
    return [
        f"still there after a healthy run: {path}"
        for folder in folders
        if folder.is_dir()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "lock"
    ]


def last_words(ran: Ran) -> str:
    """The error as it was shown, else the notes."""
    lines = [line.rstrip() for line in ran.stderr.splitlines()]
    starts = [number for number, line in enumerate(lines) if line.startswith("error: ")]
    if starts:
        return "\n".join(lines[starts[0] :])[:SHOWN]
    said = (ran.stdout + ran.stderr).splitlines()
    notes = [line.strip() for line in said if re.match(r"\s*note", line)]
    return "\n".join(notes)[:SHOWN]


def told_wrongly(ran: Ran, words: str, host: str) -> list[str]:
    """Say what an error's message lacks: the cause, the place, or what to do next."""
    problems = []
    shown = last_words(ran)
    if not shown.startswith("error: "):
        return [f"exit code {ran.status} without an error's message: {(ran.stderr)[-SHOWN:]}"]
    if not re.search(words, shown, re.IGNORECASE):
        problems.append(f"the message does not name the cause ({words}): {shown}")
    if host not in shown:
        problems.append(f"the message does not name the host {host}: {shown}")
    if "→ " not in shown:
        problems.append(f"the message names no next step: {shown}")
    return problems
