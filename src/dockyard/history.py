"""The past versions of ``uv.lock``, out of git, as what each of them installed.

Every version is resolved by its own lock alone (extras, groups and target are today's), so that
packages count which the image had then. The first-parent line of history is followed: what a branch
did is one change when it is merged.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from dockyard import process
from dockyard.errors import ProjectError
from dockyard.lock import LockFile, Package, normalize, parse_lock, resolve, to_package
from dockyard.lock_versions import History, Locked, LockedPackages, changes, locked_packages
from dockyard.state import STATE_FOLDER, prepare_state_folder, write_atomically
from dockyard.target import Target

__all__ = [
    "LOG_ENTRIES",
    "VERSIONS",
    "LockReader",
    "lock_history",
    "log_arguments",
    "parse_log",
    "split_blobs",
]

VERSIONS = 200
"""So many versions tell what there is to learn; older ones tell of another project."""
LOG_ENTRIES = 2000
TIMEOUT_SECONDS = 120.0
# How many locks are in memory at once; each has up to some megabytes.
BLOBS_AT_ONCE = 20
FEW_CHANGES = 5
MOST_BUILDS_PER_CHANGE = 50.0
MEMORY_FORMAT = 1
PACKAGE_MARK = "\n[[package]]\n"

Git = Callable[..., process.Completed]


def parse_log(text: str) -> tuple[tuple[str, str], ...]:
    """Read ``git log --raw --no-abbrev --format=%x00%H``: commits and the file's blob in each.

    Newest first, deletions left out. A line is ``:mode mode old new status<TAB>path``
    (git-diff-tree(1), raw output format).
    """
    found = []
    for entry in text.split("\0")[1:]:
        commit, *lines = entry.split("\n")
        words = next((line.split(None, 4) for line in lines if line.startswith(":")), [])
        if len(words) == 5 and words[3].strip("0"):
            found.append((commit.strip(), words[3]))
    return tuple(found)


def split_blobs(text: str, names: Sequence[str]) -> dict[str, str]:
    """Take the output of ``git cat-file --batch`` apart: content by name; what is missing is not.

    By the names that were asked for rather than the sizes in the answer: those count bytes, and
    what was no UTF-8 has been replaced.
    """
    headers = []
    position = 0
    for name in names:
        start = text.find(f"{name} ", position)
        if start < 0:
            break
        position = text.find("\n", start) + 1
        headers.append((name, start, position))
    ends = [*(start for _, start, _ in headers), len(text)][1:]
    return {
        name: text[begin:end]
        for (name, start, begin), end in zip(headers, ends, strict=True)
        if not text.startswith("missing", start + len(name) + 1)
    }


class LockReader:
    """Reads many versions of one lock, each part that recurs only once.

    TOML is slow to parse, and from one version to the next nearly all of a lock stays the same. Of
    most versions only numbers and hashes differ: then they install the packages of the same names,
    and nothing has to be resolved.
    """

    def __init__(self, extras: Collection[str], groups: Collection[str], target: Target) -> None:
        self._extras, self._groups, self._target = extras, groups, target
        self._tables: dict[str, dict[str, Any]] = {}
        self._packages: dict[str, Package] = {}
        self._shapes: dict[str, str] = {}
        self._installed: dict[str, tuple[int, ...]] = {}

    def read(self, text: str) -> dict[str, Locked]:
        """Return what a lock installs. Raises ProjectError if it cannot be read or resolved."""
        head, *blocks = text.replace("\r\n", "\n").split(PACKAGE_MARK)
        try:
            shape = self._shape(head, blocks)
            if shape not in self._installed:
                self._installed[shape] = self._resolve(head, blocks)
            return locked_packages([self._package(blocks[n]) for n in self._installed[shape]])
        except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise ProjectError(f"it cannot be read: {error}", where="uv.lock") from error

    def _shape(self, head: str, blocks: Sequence[str]) -> str:
        """Digest all that decides which packages are installed: names, sources, dependencies.

        Where there are several versions of a package, what depends on one says which.
        """
        digest = hashlib.sha256(head.encode())
        for block in blocks:
            if block not in self._shapes:
                bare = re.sub(r"^version = .*\n|^sdist = .*\n", "", block, flags=re.MULTILINE)
                bare = re.sub(r"^wheels = \[\n(?: .*\n)*\]", "", bare, flags=re.MULTILINE)
                self._shapes[block] = hashlib.sha256(bare.encode()).hexdigest()
            digest.update(self._shapes[block].encode())
        return digest.hexdigest()

    def _resolve(self, head: str, blocks: Sequence[str]) -> tuple[int, ...]:
        """Return the numbers of the blocks whose packages are installed."""
        data = tomllib.loads(head)
        data["package"] = [*data.get("package", ()), *map(self._table, blocks)]
        lock = parse_lock(data)
        packages = resolve(
            lock, _roots(lock), extras=self._extras, groups=self._groups, target=self._target
        )
        installed = {one.identity for one in packages}
        return tuple(n for n, b in enumerate(blocks) if self._package(b).identity in installed)

    def _table(self, block: str) -> dict[str, Any]:
        if block not in self._tables:
            self._tables[block] = tomllib.loads(f"[[package]]\n{block}")["package"][0]
        return self._tables[block]

    def _package(self, block: str) -> Package:
        if block not in self._packages:
            self._packages[block] = to_package(self._table(block), self._target)
        return self._packages[block]


def _roots(lock: LockFile) -> list[str]:
    """Find the project in its own lock, which may have had another name; else all members."""
    at_root = [
        name
        for name, tables in lock.packages.items()
        for table in tables
        if "." in (table["source"].get("editable"), table["source"].get("virtual"))
    ]
    return at_root or [normalize(member) for member in lock.members]


def log_arguments(lock: str) -> list[str]:
    """Return git's arguments for the commits of a lock, as :func:`parse_log` reads them."""
    return [
        "log",
        "--first-parent",
        "-m",
        "--follow",
        "--raw",
        "--no-abbrev",
        "--format=%x00%H",
        f"--max-count={LOG_ENTRIES}",
        "--",
        lock,
    ]


def lock_history(
    directory: Path,
    *,
    extras: Collection[str],
    groups: Collection[str],
    target: Target,
    limit: int = VERSIONS,
    memory: Path | None = None,
    lock: str = "uv.lock",
    progress: Callable[[int, int], None] | None = None,
) -> History:
    """Return the last ``limit`` committed versions of a project's lock that changed its packages.

    ``lock``: its path below ``directory``, which may be a bare repository. Renames and moves of the
    file are followed. ``memory``: the folder in which ``.dockyard`` keeps what was read, so that
    each version is read once; None keeps nothing. ``progress`` is told how many commits have been
    read, of how many. Nothing here is an error: without git, in a shallow clone or with unreadable
    versions the history is just shorter, and its notes say so.
    """

    def git(*arguments: str, given: bytes | None = None) -> process.Completed:
        return process.run(
            ["git", *arguments], directory=directory, input=given, timeout=TIMEOUT_SECONDS
        )

    try:
        shallow = git("rev-parse", "--is-shallow-repository")
        if not shallow.succeeded:
            reason = (shallow.stderr.strip().splitlines() or ["git failed"])[0]
            return History(notes=(f"no history of uv.lock: {reason}",))
        log = git(*log_arguments(lock))
    except OSError as error:
        return History(notes=(f"no history of uv.lock: git cannot be run ({error.strerror})",))
    commits = parse_log(log.stdout)
    if not commits:
        return History(notes=("no history of uv.lock: git has no commit of it",))
    fingerprint = _fingerprint(extras, groups, target)
    remembered = _recall(memory, fingerprint) if memory else {}
    reader = LockReader(extras, groups, target)
    versions: list[LockedPackages] = []
    made_by: list[str] = []
    used: dict[str, LockedPackages | None] = {}
    for number, (commit, blob, packages) in enumerate(
        _read(git, reader, commits, remembered), start=1
    ):
        if progress:
            progress(number, len(commits))
        used[blob] = packages
        if packages is None:
            continue
        if versions and not any(changes(packages, versions[-1])):
            # The older of two equal versions is the one that changed something.
            versions[-1], made_by[-1] = packages, commit
        elif len(versions) > limit:
            break
        else:
            versions.append(packages)
            made_by.append(commit)
    if memory and used != remembered:
        _remember(memory, fingerprint, used)
    skipped = sum(packages is None for packages in used.values())
    return History(
        versions=tuple(reversed(versions)),
        commits=tuple(reversed(made_by)),
        builds_per_change=_builds_per_change(git, commits[: len(used)], len(versions) - 1),
        skipped=skipped,
        notes=_notes(len(versions), skipped, shallow.stdout.strip() == "true"),
    )


def _read(
    git: Git,
    reader: LockReader,
    commits: Sequence[tuple[str, str]],
    remembered: dict[str, LockedPackages | None],
) -> Iterator[tuple[str, str, LockedPackages | None]]:
    """Read each version, newest first; None where it cannot be read."""
    for start in range(0, len(commits), BLOBS_AT_ONCE):
        some = commits[start : start + BLOBS_AT_ONCE]
        wanted = list(dict.fromkeys(blob for _, blob in some if blob not in remembered))
        texts: dict[str, str] = {}
        if wanted:
            asked = "".join(f"{blob}\n" for blob in wanted).encode()
            texts = split_blobs(git("cat-file", "--batch", given=asked).stdout, wanted)
        for commit, blob in some:
            if blob in remembered:
                yield commit, blob, remembered[blob]
                continue
            packages = None
            with contextlib.suppress(ProjectError, KeyError):
                packages = reader.read(texts[blob])
            yield commit, blob, packages


def _builds_per_change(git: Git, commits: Sequence[tuple[str, str]], count: int) -> float | None:
    """Count the commits for each change of the lock; None where there are too few to tell."""
    if count < FEW_CHANGES:
        return None
    counted = git("rev-list", "--count", "--first-parent", f"{commits[-1][0]}..HEAD")
    if not counted.succeeded:
        return None
    return min(max(int(counted.stdout) / count, 1.0), MOST_BUILDS_PER_CHANGE)


def _notes(versions: int, skipped: int, shallow: bool) -> tuple[str, ...]:
    from dockyard.display.format import format_count

    notes = []
    if shallow:
        notes.append(
            f"shallow clone: {format_count(versions, 'version')} of uv.lock only; "
            "`git fetch --unshallow` gets the others"
        )
    if skipped:
        left_out = "was left out" if skipped == 1 else "were left out"
        notes.append(
            f"{format_count(skipped, 'version')} of uv.lock could not be read and {left_out}"
        )
    return tuple(notes)


def _fingerprint(extras: Collection[str], groups: Collection[str], target: Target) -> str:
    text = repr((MEMORY_FORMAT, sorted(extras), sorted(groups), target))
    return hashlib.sha256(text.encode()).hexdigest()


def _file(memory: Path) -> Path:
    return memory / STATE_FOLDER / "history.json"


def _recall(memory: Path, fingerprint: str) -> dict[str, LockedPackages | None]:
    """Read what was kept of other runs: packages by blob. Unreadable is the same as nothing."""
    try:
        kept = json.loads(_file(memory).read_text(encoding="utf-8"))
        if kept["fingerprint"] != fingerprint:
            return {}
        known = [(name, Locked(*fields)) for name, *fields in kept["packages"]]
        return {
            blob: None if numbers is None else dict(known[number] for number in numbers)
            for blob, numbers in kept["versions"].items()
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


def _remember(memory: Path, fingerprint: str, versions: dict[str, LockedPackages | None]) -> None:
    """Keep what was read; each package once, because most versions share most of them."""
    numbers: dict[tuple[str, Locked], int] = {}
    described = {
        blob: None
        if packages is None
        else [numbers.setdefault(item, len(numbers)) for item in packages.items()]
        for blob, packages in versions.items()
    }
    kept = {
        "fingerprint": fingerprint,
        "packages": [[name, *one] for name, one in numbers],
        "versions": described,
    }
    with contextlib.suppress(OSError):
        prepare_state_folder(memory)
        write_atomically(_file(memory), json.dumps(kept, separators=(",", ":")), mode=0o600)
