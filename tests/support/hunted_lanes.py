"""What a hunt runs and notes: commands one after the other, in lanes beside each other."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from support.hunted import HuntedRun, Runner
from support.hunted_worlds import Servers, World
from support.hunting import Hunter, finds_in

__all__ = ["Hunt", "Lane"]

BUILDING = ("docker", "buildx", "build")
GITS_OWN = ("git remote", "history")  # places whose secrets git logs in with


@dataclass
class Hunt:
    """What was run, and all that was searched.

    ``unneeded`` are programs that were given a secret by their environment and had no use for it.
    """

    hunter: Hunter
    worlds: Mapping[str, World]
    servers: Servers
    image: str
    runs: list[tuple[str, HuntedRun]] = field(default_factory=list)
    unneeded: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, case: str, run: HuntedRun, given: Mapping[str, str]) -> None:
        """Search what a command said, and what it started."""
        where = f"{case}: {run.line}"
        handed = "\n".join(given.values()).encode()
        known = {one.place for one in finds_in(handed, "", self.hunter.planted)}
        kept = [one for one in self.hunter.planted if one.place not in known]
        with self.lock:
            self.runs.append((case, run))
            self.hunter.search("outputs", f"standard output of {where}", run.stdout)
            self.hunter.search("outputs", f"standard error of {where}", run.stderr)
            for one in run.started:
                words = "\0".join(one.arguments)
                self.hunter.search("arguments", f"arguments of {words[:60]!r} of {where}", words)
                if one.arguments[:3] != BUILDING:
                    values = "\n".join(one.environment.values()).encode()
                    self.unneeded |= {
                        f"{find.place}: {words[:60]!r} of {where}"
                        for find in finds_in(values, where, kept)
                        if not (one.arguments[0] == "git" and find.place.endswith(GITS_OWN))
                    }


class Lane:
    """Runs commands one after the other."""

    def __init__(self, hunt: Hunt, runner: Runner) -> None:
        self.hunt, self._runner = hunt, runner

    def run(self, case: str, world: World, line: str, **more: str) -> int:
        """Run a command line; the status. Keyword arguments change the environment."""
        return self._run(case, world, line, more)

    def run_into_bug(self, case: str, world: World, line: str) -> int:
        """Run a command line that meets a bug of Dockyard's; the status."""
        return self._run(case, world, line, {}, bug=True)

    def _run(
        self, case: str, world: World, line: str, more: Mapping[str, str], bug: bool = False
    ) -> int:
        given, started = {**world.environment, **more}, time.monotonic()
        ran = self._runner.run(*line.split(), root=world.root, environment=given, bug=bug)
        # Shown where a test fails, and with pytest's -s.
        print(f"{time.monotonic() - started:6.2f} s, status {ran.status}: {case}: {line}")
        self.hunt.note(case, ran, given)
        return ran.status
