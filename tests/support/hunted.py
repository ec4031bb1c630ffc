"""Dockyard's commands, run one after the other by a process that notes all that they start.

The process has Dockyard imported and forks for each command, so that a hundred of them take no
longer than they must. Run as a program it is that process: a line of JSON in, one out.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

__all__ = ["HuntedRun", "Runner", "Started"]


@dataclass(frozen=True)
class Started:
    """A program that a command started: its arguments, and the environment that it was given."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class HuntedRun:
    """A command that ended: how, what it said, and what it started."""

    line: str
    status: int
    stdout: str
    stderr: str
    started: tuple[Started, ...]


class Runner:
    """Runs command lines of Invoke in a folder; a context manager.

    ``folder`` takes what they say until it was read.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            cwd=self._folder,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TZ": "UTC"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout
        self._process.stdout.close()

    def run(
        self, *arguments: str, root: Path, environment: Mapping[str, str], bug: bool = False
    ) -> HuntedRun:
        """Run one command to its end. With ``bug`` it meets one once it knows all secrets."""
        assert self._process
        assert self._process.stdin
        assert self._process.stdout
        names = ("stdout", "stderr", "started")
        places = {name: str(self._folder / name) for name in names}
        wanted = {
            "arguments": arguments,
            "environment": dict(environment),
            "root": str(root),
            "bug": bug,
            **places,
        }
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the process that runs the commands has ended"
        said = {name: Path(place).read_text(errors="replace") for name, place in places.items()}
        started = [json.loads(one) for one in said["started"].splitlines()]
        return HuntedRun(
            " ".join(arguments),
            int(answer),
            said["stdout"],
            said["stderr"],
            tuple(Started(tuple(one["arguments"]), one["environment"]) for one in started),
        )


# -------------------- the process


def _serve() -> None:
    _import_everything()
    for line in sys.stdin:
        wanted = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(wanted)
        _, ended = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(ended), flush=True)


def _import_everything() -> None:
    import importlib
    import pkgutil

    import docker  # noqa: F401
    import requests  # noqa: F401

    import dockyard

    for module in pkgutil.walk_packages(dockyard.__path__, "dockyard."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def _become(wanted: Mapping[str, Any]) -> None:
    """Be the command, as the shell would start it; never returns."""
    os.environ.clear()
    os.environ.update(wanted["environment"])
    os.chdir(wanted["root"])
    for number, place in enumerate((os.devnull, wanted["stdout"], wanted["stderr"])):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(place, flags, 0o600), number)
    _note_programs(Path(wanted["started"]))
    status = 0
    try:
        if wanted["bug"]:
            _plant_bug()
        sys.argv = ["invoke", *wanted["arguments"]]
        sys.path.insert(0, wanted["root"])
        from invoke.main import program

        program.run()
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
        status = 70
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(status)


def _note_programs(place: Path) -> None:
    """Note each program that is started from here, whole and at once: nothing is missed."""
    file = place.open("w")

    def note(event: str, details: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen":
            _, arguments, _, environment = details
            given = dict(os.environ if environment is None else environment)
            words = (
                [arguments] if isinstance(arguments, str) else [os.fsdecode(a) for a in arguments]
            )
            file.write(json.dumps({"arguments": words, "environment": given}) + "\n")
            file.flush()

    sys.addaudithook(note)


def _plant_bug() -> None:
    """Let the settings be loaded and logins be looked up, and then fail with all that in a text."""
    import dockyard.settings
    import dockyard.stored_logins

    load = dockyard.settings.load_settings

    def broken(*arguments: Any, **options: Any) -> Any:
        settings = load(*arguments, **options)
        known = dockyard.stored_logins.with_stored_logins(settings, os.environ)
        raise RuntimeError(f"{known} {known.package_environment()} {known.secret_values()}")

    for module in list(sys.modules.values()):
        if getattr(module, "load_settings", None) is load:
            module.load_settings = broken  # type: ignore[attr-defined]


if __name__ == "__main__":
    _serve()
