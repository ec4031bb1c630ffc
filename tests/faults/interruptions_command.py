"""One command that is interrupted: started with a mark, held at a point, and what it leaves."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dockyard.bench.registry_server import Relay, Request
from support.index import PackageIndex
from support.registry import Registry

__all__ = [
    "Command",
    "Hold",
    "HoldingIndex",
    "HoldingRegistry",
    "Point",
    "leftovers",
    "tree",
]

POINTS = Path(__file__).with_name("points")
REACH_SECONDS = 60.0
END_SECONDS = 60.0
# After a kill, what the command started ends by itself.
SURVIVOR_SECONDS = 20.0
FOREIGN = ("CI", "DOCKYARD_", "UV_", "FAULT_", "GITHUB_")


def _heed_ctrl_c() -> None:
    """Heed SIGINT, which a shell lets its background jobs ignore, and they their children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Hold:
    """Something that reaches a point and waits there until it is let go."""

    def __init__(self, matches: Callable[[Request], bool] = lambda request: False) -> None:
        self.matches = matches
        self.reached, self.released = threading.Event(), threading.Event()

    def wait(self) -> None:
        """Tell that the point is reached, once, and wait to be let go."""
        if not self.reached.is_set():
            self.reached.set()
            self.released.wait(REACH_SECONDS)


@dataclass(frozen=True)
class Point:
    """A function of Dockyard's at which the command waits (see ``points/sitecustomize.py``)."""

    function: str
    when: str = "before"
    count: int = 1

    def __str__(self) -> str:
        return f"{self.function}:{self.when}:{self.count}"


class _HoldingRelay(Relay):
    registry: HoldingRegistry

    def answer(self, request: Request) -> None:
        self._request = request
        if self.registry.arriving and self.registry.arriving.matches(request):
            self.registry.arriving.wait()
        super().answer(request)

    def begin(self, status: int, headers: list[tuple[str, str]]) -> None:
        done = self.registry.done
        if done and done.matches(self._request):
            done.wait()
        super().begin(status, headers)

    def received(self, piece: bytes) -> None:
        super().received(piece)
        self._moving()

    def send(self, data: bytes) -> None:
        moving = self.registry.moving
        if moving and moving.matches(self._request) and len(data) > 1:
            half = len(data) // 2
            super().send(data[:half])
            self._moving()
            data = data[half:]
        super().send(data)

    def _moving(self) -> None:
        moving = self.registry.moving
        if moving and moving.matches(self._request):
            moving.wait()


class HoldingRegistry(Registry):
    """A registry that holds what a :class:`Hold` matches.

    ``arriving`` holds a request before it is passed on, ``moving`` inside a body, ``done`` when the
    registry has carried it out and the answer is not sent.
    """

    def __init__(self, storage: Path) -> None:
        super().__init__(storage)
        self._server.RequestHandlerClass = type("Handler", (_HoldingRelay,), {"registry": self})
        self.arriving: Hold | None = None
        self.moving: Hold | None = None
        self.done: Hold | None = None

    def let_go(self) -> None:
        """Release what is held, and hold nothing more."""
        for hold in (self.arriving, self.moving, self.done):
            if hold:
                hold.released.set()
        self.arriving = self.moving = self.done = None


class _Files(dict):  # type: ignore[type-arg]
    """The index's files, of which one is only given once it is let go."""

    hold: Hold | None = None
    name = ""

    def get(self, key: object, default: object = None) -> object:
        if self.hold and key == self.name:
            self.hold.wait()
        return super().get(key, default)


class HoldingIndex(PackageIndex):
    """An index that holds the request for one file."""

    def __init__(self) -> None:
        super().__init__()
        self.files = self._held = _Files()

    def hold(self, name: str) -> Hold:
        """Hold the requests for a file from now on."""
        self._held.name, self._held.hold = name, Hold()
        return self._held.hold

    def let_go(self) -> None:
        """Release what is held, and hold nothing more."""
        if self._held.hold:
            self._held.hold.released.set()
            self._held.hold = None


@dataclass
class Command:
    """A command of Invoke's that runs in a process group of its own, as a shell starts it.

    Its outputs are files: what outlives it would keep a pipe open. ``folder`` is its own, with the
    temporary folder that it and its children use.
    """

    root: Path
    arguments: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]
    point: Point | None = None
    clock: float = 0.0
    mark: str = field(default_factory=lambda: secrets.token_hex(8))
    status: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.temporary = Path(self.environment.get("TMPDIR", self.folder / "tmp"))
        self.temporary.mkdir(exist_ok=True)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)}
        points = {"PYTHONPATH": str(POINTS), "FAULT_FOLDER": str(self.folder)}
        if self.point:
            points["FAULT_POINT"] = str(self.point)
        if self.clock:
            points["FAULT_CLOCK"] = str(self.clock)
        own = {"FAULT_MARK": self.mark, "TMPDIR": str(self.temporary)}
        self._started = time.monotonic()
        with self._output.open("wb") as out, self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "invoke", *self.arguments],
                cwd=self.root,
                env={**kept, **own, **points, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                start_new_session=True,
                preexec_fn=_heed_ctrl_c,
            )

    @property
    def _output(self) -> Path:
        return self.folder / "stdout"

    @property
    def _errors(self) -> Path:
        return self.folder / "stderr"

    @property
    def stdout(self) -> str:
        """What it printed until now."""
        return self._output.read_text(errors="replace")

    @property
    def stderr(self) -> str:
        """What it said until now."""
        return self._errors.read_text(errors="replace")

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def reach(self, ready: Callable[[], bool] | Hold | None = None) -> None:
        """Wait until the point is reached, or ``ready``. AssertionError where it ends before."""
        if isinstance(ready, Hold):
            ready = ready.reached.is_set
        reached = ready or (self.folder / "reached").exists
        deadline = time.monotonic() + REACH_SECONDS
        while not reached():
            if not self.running or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"the moment was never reached:\n{self.stdout}{self.stderr}")
            time.sleep(0.01)

    def go_on(self) -> None:
        """Let it leave the point."""
        (self.folder / "go").touch()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal: Ctrl-C to the whole group, as a terminal does; others to it alone."""
        if number == signal.SIGINT:
            os.killpg(self._process.pid, number)
        else:
            self._process.send_signal(number)

    def end(self, seconds: float = END_SECONDS) -> int:
        """Wait for its end; the exit status. AssertionError, and a kill, where it does not end."""
        try:
            self.status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it did not end in {seconds:.0f} s:\n{self.stderr}") from None
        self.seconds = time.monotonic() - self._started
        return self.status

    def kill(self) -> None:
        """Kill it and all that it started."""
        for process in (self._process.pid, *self._marked()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._process.wait()

    def survivors(self, seconds: float = SURVIVOR_SECONDS) -> list[str]:
        """Name the processes it started that still run ``seconds`` later; then kill them."""
        deadline = time.monotonic() + seconds
        while (left := list(self._marked())) and time.monotonic() < deadline:
            time.sleep(0.05)
        named = []
        for process in left:
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ")
                named.append(words.decode(errors="replace")[:80])
                os.kill(process, signal.SIGKILL)
        return named

    def _marked(self) -> Iterator[int]:
        mark = f"FAULT_MARK={self.mark}".encode()
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with contextlib.suppress(OSError):
                    if mark in (folder / "environ").read_bytes().split(b"\0"):
                        yield int(folder.name)

    def message(self) -> str:
        """The last words: from the last error or note of an interruption on, else the last line."""
        text = self.stderr.strip()
        found = [match.start() for match in re.finditer(r"^(?:error|interrupted)\b", text, re.M)]
        if found:
            return text[found[-1] :]
        return (text or self.stdout.strip()).rpartition("\n")[2]


def tree(root: Path) -> set[str]:
    """Name every file below a folder, without what git and Python keep for themselves."""
    return {
        str(path.relative_to(root))
        for path in root.rglob("*")
        if not path.is_dir() and not {".git", "__pycache__"}.intersection(path.parts)
    }


# write_atomically's, Layout.put_blob's, and what an interrupted download keeps for the next pull.
_TEMPORARY = re.compile(r"(?:^|/)(?:\.[^/]+\.\d+|\.incoming-[^/]+)$")
_RESUMED = re.compile(r"(?:^|/)ingest/[0-9a-f]{64}\.partial$")


def leftovers(root: Path, cache: Path, temporary: Path, *, resumed: bool = False) -> list[str]:
    """Name what an interrupted command should not leave; ``resumed``: nor beginnings of blobs."""
    found = []
    for folder in {root, cache}:
        for name in tree(folder):
            if _TEMPORARY.search(name) or (resumed and _RESUMED.search(name)):
                found.append(name)
    snapshots = cache / "snapshots"
    if snapshots.is_dir():
        found += [f"snapshots/{one.name}" for one in snapshots.iterdir()]
    if temporary.is_dir():
        found += [f"TMPDIR/{one.name}" for one in temporary.iterdir()]
    return sorted(found)
