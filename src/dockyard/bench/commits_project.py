"""A copy of a project, in a git repository of its own, for commits that nobody keeps."""

from __future__ import annotations

import random
import shutil
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard import process
from dockyard.bench.commits_plan import Change
from dockyard.errors import BuildFailedError, NetworkError, ProjectError
from dockyard.lock import normalize

if TYPE_CHECKING:
    from dockyard.lock import Package
    from dockyard.settings import Settings

__all__ = ["WorkCopy"]

LOCK_SECONDS = 300.0
SMALL_BYTES = 1_000_000
# Pure Python, small, and without dependencies of their own: what a service might take on.
NEW_PACKAGES = ("tenacity", "humanize", "cachetools", "more-itertools", "python-slugify")
# What decides where the project is and what its image is called is the copy's own.
OWN_SETTINGS = ("project", "image", "dockerfile", "registry", "env-file")
MARKED = 'def main(layer, *policies):\n    top = Path("/", layer)\n'


class WorkCopy:
    """The copy. ``environment`` is what uv and Dockyard run with."""

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self.root = root
        dropped = {f"DOCKYARD_{name.replace('-', '_').upper()}" for name in OWN_SETTINGS}
        self.environment = {k: v for k, v in environment.items() if k not in dropped}

    @staticmethod
    def sources(settings: Settings) -> Iterator[tuple[str, Path]]:
        """List a project's files as git has them, by path below it; links are left out."""
        folder = settings.root / settings.project
        listed = process.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            directory=folder,
        )
        if not listed.succeeded:
            raise ProjectError(
                "its files cannot be listed: it is in no git repository",
                where=str(folder),
                hint="`git init` and commit: the replay makes commits of a copy",
            )
        for name in sorted(filter(None, listed.stdout.split("\0"))):
            path = folder / name
            if path.is_file() and not path.is_symlink():
                yield name, path

    def create(self, settings: Settings, image: str) -> None:
        """Copy the project with its settings, and commit it; what was there goes."""
        import tomlkit

        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True)
        for name, path in self.sources(settings):
            target = self.root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
        whole = tomllib.loads((settings.root / "pyproject.toml").read_text(encoding="utf-8"))
        kept = {
            key: value
            for key, value in whole.get("tool", {}).get("dockyard", {}).items()
            if key not in OWN_SETTINGS
        }
        path = self.root / "pyproject.toml"
        document = tomlkit.parse(path.read_text(encoding="utf-8"))
        tool = document.setdefault("tool", tomlkit.table())
        tool["dockyard"] = {**kept, "image": image}
        path.write_text(tomlkit.dumps(document), encoding="utf-8")
        with (self.root / ".gitignore").open("a", encoding="utf-8") as file:
            file.write("\n.dockyard/\n__pycache__/\n.venv/\n")
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit("The project as it is")

    def mark(self, dockerfile: str, mark: str) -> None:
        """Have every dependency layer hold this run's mark, so that none is found from before."""
        path = self.root / dockerfile
        text = path.read_text(encoding="utf-8")
        if text.count(MARKED) != 1:
            raise ProjectError(
                "its script finish-layer is not Dockyard's",
                where=str(path),
                hint="`invoke init --diff` shows the difference",
            )
        added = f'    (top / f"opt/venv/.replay-{{layer}}").write_text("{mark}\\n")\n'
        path.write_text(text.replace(MARKED, MARKED + added), encoding="utf-8")

    def git(self, *arguments: str) -> str:
        """Run git here. Raises BuildFailedError with what it said."""
        identity = ("-c", "user.name=Replay", "-c", "user.email=replay@localhost")
        quiet = ("-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null")
        done = process.run(["git", *identity, *quiet, *arguments], directory=self.root)
        if not done.succeeded:
            raise BuildFailedError(
                f"git {arguments[0]} failed: {done.stderr.strip()}", where=str(self.root)
            )
        return done.stdout.strip()

    def commit(self, message: str, *, amend: bool = False) -> str:
        """Commit everything; return the commit."""
        self.git("add", "--all")
        again = ("--amend",) if amend else ()
        self.git("commit", "--quiet", "--allow-empty", "--message", message, *again)
        return self.git("rev-parse", "HEAD")

    def reset(self, commit: str) -> None:
        """Return to a commit; what is not ignored and not committed goes."""
        self.git("reset", "--quiet", "--hard", commit)
        self.git("clean", "--quiet", "-d", "--force")

    def texts(self) -> dict[str, str]:
        """Read the Python files and the README that are committed."""
        names = self.git("ls-files", "-z", "*.py", "README.md").split("\0")
        return {
            name: (self.root / name).read_text(encoding="utf-8", errors="replace")
            for name in names
            if name
        }

    def apply(self, change: Change) -> None:
        """Carry a change out."""
        for name, text in change.writes.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        for name in change.removes:
            (self.root / name).unlink()

    def locked_versions(self) -> dict[str, tuple[str, ...]]:
        """Return the versions of each package in the lock."""
        lock = tomllib.loads((self.root / "uv.lock").read_text(encoding="utf-8"))
        found: dict[str, tuple[str, ...]] = {}
        for one in lock.get("package", ()):
            name = normalize(one["name"])
            found[name] = (*found.get(name, ()), str(one.get("version", "")))
        return found

    def uv(self, *arguments: str) -> str | None:
        """Run uv here; None if it succeeded, else the first line of why not.

        Raises ProjectError where there is no uv.
        """
        try:
            done = process.run(
                ["uv", *arguments, "--no-progress"],
                directory=self.root,
                environment={k: v for k, v in self.environment.items() if k != "VIRTUAL_ENV"},
                timeout=LOCK_SECONDS,
            )
        except FileNotFoundError as error:
            raise ProjectError(
                "there is no uv, which changes the lock", hint="install uv"
            ) from error
        if done.succeeded:
            return None
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        told = [line for line in said if line.startswith(("error", "×", "cause"))]
        return (told or said or ["uv failed"])[0]

    def must_uv(self, *arguments: str) -> None:
        """Run uv here. Raises NetworkError if it fails: it asks the index first of all."""
        if reason := self.uv(*arguments):
            raise NetworkError(
                f"uv {' '.join(arguments[:2])} failed: {reason}",
                where=str(self.root),
                hint="the replay changes dependencies, so it needs the package index and a Python "
                "that the project accepts (UV_PYTHON)",
            )

    def step_back(
        self,
        packages: Sequence[Package],
        small: int,
        large: int,
        seed: int,
        say: Callable[[str], None],
    ) -> dict[str, tuple[str, ...]]:
        """Lock some packages at the release before; return ``name==now`` of ``small``, ``large``.

        Taken are those of which nothing else changes with them, small ones at random, the large
        ones by size. Raises ProjectError if there are not so many.
        """
        # Where uv cannot lock at all, it says why; below, a failure is a release that does not fit.
        self.must_uv("lock")
        fit = [one for one in packages if one.source.kind == "registry" and one.has_wheel]
        small_ones = [one for one in fit if one.size and one.size < SMALL_BYTES]
        random.Random(seed).shuffle(small_ones)  # noqa: S311 - to be repeated, not secret
        large_ones = sorted(
            (one for one in fit if one.size and one.size >= SMALL_BYTES),
            key=lambda one: (-(one.size or 0), one.name),
        )
        found: dict[str, tuple[str, ...]] = {}
        for key, wanted, candidates in (
            ("small", small, small_ones),
            ("large", large, large_ones),
        ):
            names: list[str] = []
            for one in candidates:
                if len(names) == wanted:
                    break
                say(f"looking for earlier releases: {one.name}")
                if self._lower(one):
                    names.append(f"{one.name}=={one.version}")
            if len(names) < wanted:
                raise ProjectError(
                    f"only {len(names)} of {wanted} {key} dependencies have an earlier release "
                    "that fits",
                    where=str(self.root),
                    hint="replay fewer commits; without a package index there are none",
                )
            found[key] = tuple(names)
        return found

    def _lower(self, one: Package) -> bool:
        path = self.root / "uv.lock"
        text, before = path.read_bytes(), self.locked_versions()
        failed = self.uv("lock", "--upgrade-package", f"{one.name}<{one.version}")
        after = self.locked_versions()
        changed = {name for name in before | after if before.get(name) != after.get(name)}
        if failed or changed != {one.name}:
            path.write_bytes(text)
            return False
        return True

    def new_packages(self) -> tuple[str, str]:
        """Choose two packages that the lock has not: one to add, one to have and to remove."""
        known = self.locked_versions()
        first, second, *_ = [name for name in NEW_PACKAGES if name not in known]
        return first, second

    def bump_version(self, number: int) -> str:
        """Release the project: another version in pyproject.toml and the lock."""
        version = f"{1000 + number}.0.0"
        self.must_uv("version", version, "--no-sync")
        return version
