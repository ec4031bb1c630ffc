"""Other programs: run to their end, or followed line by line and stopped properly.

The only module that imports :mod:`subprocess`. Arguments are lists; no shell is ever involved.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

__all__ = [
    "Completed",
    "DeferredInterrupts",
    "Following",
    "Interrupted",
    "Server",
    "follow",
    "interruptible",
    "run",
    "serve",
    "start",
]

INTERRUPT_SECONDS = 10.0
TERMINATE_SECONDS = 5.0
PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


@dataclass(frozen=True)
class Completed:
    """A program that ended: its arguments, exit status (negative: the signal) and output."""

    arguments: tuple[str, ...]
    status: int
    stdout: str
    stderr: str

    @property
    def succeeded(self) -> bool:
        """Whether the exit status is 0."""
        return self.status == 0


class Interrupted(KeyboardInterrupt):
    """Raised where SIGTERM or SIGHUP arrives, so that it is handled as Ctrl-C is."""


@dataclass
class Running:
    """A program started in the background, whose output is collected at its end."""

    arguments: tuple[str, ...]
    process: subprocess.Popen[bytes]
    _output: tuple[bytes, bytes] | None = None

    def ends_within(self, seconds: float) -> bool:
        """Wait for the end, and kill nothing; whether it came. It looks at least once."""
        if self._output is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._output = self.process.communicate(timeout=max(seconds, 0.05))
        return self._output is not None

    def wait(self, timeout: float | None = None) -> Completed:
        """Wait for the end; kills the program after ``timeout`` seconds (status -9).

        Further calls give the same answer.
        """
        try:
            stdout, stderr = self._output or self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            stdout, stderr = self.process.communicate()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        self._output = stdout, stderr
        return Completed(
            self.arguments,
            self.process.returncode,
            stdout.decode(errors="replace"),
            stderr.decode(errors="replace"),
        )


def start(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Running:
    """Start a program without waiting for it. Raises FileNotFoundError where there is none."""
    return Running(
        tuple(arguments),
        subprocess.Popen(
            list(arguments),
            env=environment,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ),
    )


def run(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    input: bytes | None = None,  # noqa: A002 - subprocess's own name for it
    timeout: float | None = None,
) -> Completed:
    """Run a program to its end, for at most ``timeout`` seconds, and collect what it printed.

    A status other than 0 is a result, not an exception; past the timeout the program is killed and
    the status is -9. Raises FileNotFoundError where there is no such program.
    """
    if input is None:
        return start(arguments, environment=environment, directory=directory).wait(timeout)
    try:
        done = subprocess.run(
            list(arguments),
            env=environment,
            cwd=directory,
            input=input,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as expired:
        return Completed(tuple(arguments), -signal.SIGKILL, "", f"no answer in {expired.timeout} s")
    return Completed(
        tuple(arguments),
        done.returncode,
        done.stdout.decode(errors="replace"),
        done.stderr.decode(errors="replace"),
    )


def interruptible(handled: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGHUP)) -> None:
    """Turn the given signals into :class:`Interrupted`, in the main thread, which alone gets them.

    One that is ignored stays ignored: ``nohup`` wants it so.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted(signal.Signals(number).name)

    if threading.current_thread() is not threading.main_thread():
        return
    for one in handled:
        if signal.getsignal(one) is not signal.SIG_IGN:
            signal.signal(one, interrupt)


class DeferredInterrupts:
    """Holds signals back that interrupt, from entering until :meth:`release` or the end.

    So that a program is not started and then lost, its start having been interrupted. Outside of
    the main thread, which alone gets signals, it does nothing.
    """

    def __init__(self) -> None:
        self._handlers: dict[signal.Signals, object] = {}
        self._pending: signal.Signals | None = None

    def __enter__(self) -> DeferredInterrupts:
        if threading.current_thread() is threading.main_thread():
            for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                self._handlers[one] = signal.signal(one, self._hold)
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _hold(self, number: int, frame: FrameType | None) -> None:
        self._pending = signal.Signals(number)

    def release(self) -> None:
        """Let signals through again, first one that came meanwhile; further calls do nothing."""
        for one, handler in self._handlers.items():
            signal.signal(one, handler)  # type: ignore[arg-type]
        self._handlers.clear()
        if self._pending is not None:
            number, self._pending = self._pending, None
            os.kill(os.getpid(), number)


class Following:
    """A running program whose standard error is read line by line.

    It runs in a process group of its own: a Ctrl-C in the terminal reaches us alone, and
    :meth:`stop` decides what the program and its children get.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        if process.stderr is None:
            raise ValueError("the program's standard error has to be a pipe")
        self._process, self._stream = process, process.stderr

    def __enter__(self) -> Following:
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop the program if it still runs: it never outlives the block."""
        try:
            if self._process.poll() is None:
                self.stop()
        finally:
            self._stream.close()

    def lines(
        self, tick: Callable[[], None] | None = None, seconds: float = 0.1
    ) -> Iterator[bytes]:
        """Yield each line as it comes; call ``tick`` at least every ``seconds``, lines or not."""
        descriptor = self._stream.fileno()
        pending = b""
        last_tick = time.monotonic()
        while True:
            readable, _, _ = select.select([descriptor], [], [], seconds)
            if readable:
                chunk = os.read(descriptor, 1 << 16)
                if not chunk:
                    break
                *complete, pending = (pending + chunk).split(b"\n")
                yield from complete
            if tick and time.monotonic() - last_tick >= seconds:
                tick()
                last_tick = time.monotonic()
        if pending:
            yield pending

    def wait(self) -> int:
        """Wait for the end; the exit status (negative: the signal that ended it)."""
        return self._process.wait()

    def stop(self) -> int:
        """Interrupt, then terminate, then kill; a second Ctrl-C meanwhile kills at once."""
        escalation = (
            (signal.SIGINT, INTERRUPT_SECONDS),
            (signal.SIGTERM, TERMINATE_SECONDS),
        )
        try:
            for number, seconds in escalation:
                self._signal(number)
                if self._drain(seconds):
                    return self._process.wait()
        except KeyboardInterrupt:
            pass
        self._signal(signal.SIGKILL)
        return self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _drain(self, seconds: float) -> bool:
        """Throw away output, so that a full pipe holds nobody up, until the end or a deadline."""
        descriptor = self._stream.fileno()
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if self._process.poll() is not None:
                return True
            readable, _, _ = select.select([descriptor], [], [], min(left, 0.05))
            if readable and not os.read(descriptor, 1 << 16):
                try:
                    self._process.wait(timeout=max(left, 0))
                except subprocess.TimeoutExpired:
                    return False
                return True
        return self._process.poll() is not None


def follow(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Following:
    """Start a program to be followed. Raises FileNotFoundError where there is none."""
    return Following(
        subprocess.Popen(
            list(arguments),
            env=environment,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    )


@dataclass
class Server:
    """A program that serves until it is stopped, and not longer than we live (on Linux)."""

    process: subprocess.Popen[bytes]

    @property
    def running(self) -> bool:
        """Whether it has not ended by itself."""
        return self.process.poll() is None

    def stop(self) -> None:
        """Terminate it, and kill it where it does not end."""
        self.process.terminate()
        try:
            self.process.wait(TERMINATE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def serve(arguments: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> Server:
    """Start a server, both of its outputs in the file ``log``; call this from the main thread.

    It is killed when the thread that started it ends, so that none outlives us. Raises
    FileNotFoundError where there is no such program.
    """
    parent = os.getpid()
    libc = None
    if sys.platform == "linux":
        import ctypes

        libc = ctypes.CDLL(None)

    def die_with_parent() -> None:
        if libc is not None:
            libc.prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

    with log.open("wb") as output:
        return Server(
            subprocess.Popen(
                list(arguments),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,
            )
        )
