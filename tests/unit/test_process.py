"""Other programs, followed and stopped: real pipes and signals, with a child of the test's own."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from dockyard import process

pytestmark = pytest.mark.spawns

IGNORES_INTERRUPT = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
IGNORES_BOTH = IGNORES_INTERRUPT + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
READY = "import sys, time; sys.stderr.write('ready\\n'); sys.stderr.flush()\n"


def follow(script: str) -> process.Following:
    return process.follow([sys.executable, "-c", script])


def test_output_and_status_of_a_finished_program() -> None:
    done = process.run(
        [sys.executable, "-c", "import sys; print('out'); sys.stderr.write('err'); sys.exit(3)"]
    )
    assert (done.status, done.stdout, done.stderr) == (3, "out\n", "err")
    assert not done.succeeded


def test_input_reaches_the_program() -> None:
    script = "import sys; sys.stdout.write(sys.stdin.read().upper())"
    assert process.run([sys.executable, "-c", script], input=b"text").stdout == "TEXT"


@pytest.mark.parametrize("given", [None, b""], ids=["no input", "input"])
def test_a_program_past_its_time_is_killed(given: bytes | None) -> None:
    script = "import time; time.sleep(60)"
    started = time.monotonic()
    done = process.run([sys.executable, "-c", script], input=given, timeout=0.2)
    assert done.status == -signal.SIGKILL
    assert time.monotonic() - started < 30


def test_no_such_program() -> None:
    with pytest.raises(FileNotFoundError):
        process.run(["no-such-program-anywhere"])


def test_undecodable_output_is_replaced() -> None:
    script = "import sys; sys.stdout.buffer.write(b'a\\xff')"
    assert process.run([sys.executable, "-c", script]).stdout == "a\ufffd"


def test_environment_and_directory_are_given(tmp_path: Path) -> None:
    script = "import os; print(os.environ['WHAT'], os.getcwd())"
    done = process.run(
        [sys.executable, "-c", script],
        environment={"WHAT": "this"},
        directory=tmp_path,
    )
    assert done.stdout.split() == ["this", str(tmp_path)]


def test_lines_come_whole_and_the_last_one_without_its_end() -> None:
    script = (
        "import sys, time\n"
        "for part in (b'fir', b'st\\nsec', b'ond\\n\\xff\\n', b'half'):\n"
        "    sys.stderr.buffer.write(part); sys.stderr.buffer.flush(); time.sleep(0.02)\n"
    )
    with follow(script) as child:
        assert list(child.lines()) == [b"first", b"second", b"\xff", b"half"]
        assert child.wait() == 0


def test_ticks_come_without_lines() -> None:
    ticks = []
    with follow("import time; time.sleep(0.5)") as child:
        assert list(child.lines(lambda: ticks.append(1), seconds=0.05)) == []
    assert len(ticks) >= 3


def test_a_large_output_is_no_obstacle() -> None:
    with follow("import sys; [sys.stderr.write('y' * 999 + '\\n') for _ in range(2000)]") as child:
        assert sum(1 for _ in child.lines()) == 2000


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (READY + "time.sleep(60)", -signal.SIGINT),
        (IGNORES_INTERRUPT + READY + "time.sleep(60)", -signal.SIGTERM),
        (IGNORES_BOTH + READY + "time.sleep(60)", -signal.SIGKILL),
        (IGNORES_BOTH + READY + "\nwhile True: sys.stderr.write('x' * 9999)", -signal.SIGKILL),
    ],
    ids=["interrupted", "terminated", "killed", "killed while it writes"],
)
def test_stopping_escalates(script: str, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "INTERRUPT_SECONDS", 0.3)
    monkeypatch.setattr(process, "TERMINATE_SECONDS", 0.3)
    with follow(script) as child:
        assert next(child.lines()) == b"ready"
        assert child.stop() == expected


def test_leaving_the_block_stops_the_program() -> None:
    with follow(READY + "time.sleep(60)") as child:
        assert next(child.lines()) == b"ready"
    assert child.wait() == -signal.SIGINT


def test_stopping_reaches_the_children() -> None:
    script = (
        "import subprocess, sys\n"
        "inner = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "sys.stderr.write(f'{inner.pid}\\n'); sys.stderr.flush(); inner.wait()\n"
    )
    with follow(script) as child:
        inner = int(next(child.lines()))
        child.stop()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.kill(inner, 0)
        except ProcessLookupError:
            return
        state = Path(f"/proc/{inner}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the child's own child is still there")


def test_stopping_what_has_ended_gives_its_status() -> None:
    with follow("import sys; sys.exit(4)") as child:
        assert list(child.lines()) == []
        assert child.wait() == 4
        assert child.stop() == 4


def test_signals_become_interruptions() -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        process.interruptible((signal.SIGTERM,))
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process.interruptible((signal.SIGHUP,))
        signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_waits_until_it_is_let_through(number: signal.Signals) -> None:
    got: list[int] = []
    before = signal.signal(number, lambda one, frame: got.append(one))
    try:
        with process.DeferredInterrupts() as interrupts:
            os.kill(os.getpid(), number)
            assert got == []
            interrupts.release()
            assert got == [number]
            os.kill(os.getpid(), number)
            assert got == [number, number]
        with process.DeferredInterrupts():
            os.kill(os.getpid(), number)
        assert got == [number] * 3
    finally:
        signal.signal(number, before)
