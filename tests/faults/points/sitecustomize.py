"""Makes an interruption exact: stops a command at one function, and moves its clock there.

Python imports this by itself where PYTHONPATH has this folder; Dockyard knows nothing of it. By the
environment:

- ``FAULT_POINT``: ``module:name:when:count``, such as ``dockyard.process:follow:before:1``. At
  the ``count``-th call, ``before`` or ``after`` the function does its work, the file ``reached`` in
  ``FAULT_FOLDER`` is made, and the call waits for the file ``go`` there, at most a minute.
- ``FAULT_CLOCK``: so many seconds the clock of this process is wrong, from the point on, or from
  the start where there is no point. The monotonic clock goes on, as it does when a clock is set.
"""

import datetime
import functools
import importlib.machinery
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Self

WAIT_SECONDS = 60.0
POINT = os.environ.get("FAULT_POINT", "")
CLOCK = float(os.environ.get("FAULT_CLOCK", "0"))
passed = not POINT


def stop() -> None:
    """Tell that the point is reached, and wait until the test has done what it does there."""
    global passed
    passed = True
    folder = Path(os.environ["FAULT_FOLDER"])
    (folder / "reached").touch()
    deadline = time.monotonic() + WAIT_SECONDS
    while not (folder / "go").exists() and time.monotonic() < deadline:
        time.sleep(0.005)


def wrapped(function: Any, when: str, count: int) -> Any:
    calls = 0

    @functools.wraps(function)
    def wrapper(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        here = calls == count
        if here and when == "before":
            stop()
        result = function(*arguments, **options)
        if here and when == "after":
            stop()
        return result

    return wrapper


class Finder:
    """Wraps the function when its module has been executed."""

    def __init__(self, module: str, name: str, when: str, count: str) -> None:
        self.module, self.name, self.when, self.count = module, name, when, int(count)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find the module as Python does; this once, it is changed afterwards."""
        if name != self.module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        loader: Any = spec.loader if spec else None
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            holder, *parents = reversed(self.name.split("."))
            owner: Any = module
            for one in reversed(parents):
                owner = getattr(owner, one)
            setattr(owner, holder, wrapped(getattr(owner, holder), self.when, self.count))

        loader.exec_module = exec_module
        return spec


def move_clock() -> None:
    real, real_ns = time.time, time.time_ns
    time.time = lambda: real() + (CLOCK if passed else 0)
    time.time_ns = lambda: real_ns() + (int(CLOCK * 1e9) if passed else 0)

    class Moved(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Self:
            return super().now(tz) + datetime.timedelta(seconds=CLOCK if passed else 0)

        @classmethod
        def utcnow(cls) -> Self:
            return cls.now(datetime.UTC).replace(tzinfo=None)

    datetime.datetime = Moved  # type: ignore[misc]


if POINT:
    sys.meta_path.insert(0, Finder(*POINT.split(":")))
if CLOCK:
    move_clock()
