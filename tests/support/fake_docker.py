"""A ``docker`` on PATH that answers what a build asks and replays a recorded transcript."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

__all__ = ["DIGEST", "FakeDocker"]

DIGEST = "sha256:" + "ab" * 32

SCRIPT = '''\
"""The fake itself: what it is to do stands in plan.json beside it."""

import json
import os
import signal
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
PLAN = json.loads((HERE / "plan.json").read_text())


def say(raw):
    sys.stderr.buffer.write(raw)
    sys.stderr.buffer.flush()


def interrupted(number, frame):
    with (HERE / "signals").open("a") as file:
        file.write(signal.Signals(number).name + "\\n")
    if PLAN["on_interrupt"] == "cancel":
        say(b"\\nERROR: failed to build: failed to solve: Canceled: context canceled\\n")
        os._exit(130)


def build(arguments):
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupted)
    raw = Path(PLAN["transcript"]).read_bytes() if PLAN["transcript"] else b""
    raw = PLAN["noise"].encode("latin-1") + raw
    raw = raw[: PLAN["bytes"]] if PLAN["bytes"] is not None else raw
    size = PLAN["chunk"] or len(raw) or 1
    for start in range(0, len(raw), size):
        say(raw[start : start + size])
        time.sleep(PLAN["delay"])
    if PLAN["then"] == "hang":
        (HERE / "hanging").touch()
        # Not for ever: a test that was killed leaves nobody behind.
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            time.sleep(0.05)
    if PLAN["then"] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if not PLAN["status"] and "--metadata-file" in arguments:
        path = Path(arguments[arguments.index("--metadata-file") + 1])
        path.write_text(json.dumps({"containerimage.digest": PLAN["digest"]}))
    sys.exit(PLAN["status"])


arguments = sys.argv[1:]
with (HERE / "calls.jsonl").open("a") as file:
    file.write(json.dumps(arguments) + "\\n")
if arguments[:2] == ["buildx", "build"]:
    build(arguments)
elif arguments[0] == "info":
    store = ["driver-type", "io.containerd.snapshotter.v1"]
    print(json.dumps({"ServerVersion": "28.5.2", "DriverStatus": [store], "ID": "fake"}))
elif arguments[:2] == ["buildx", "version"]:
    print("github.com/docker/buildx v0.29.1 fake")
elif arguments[:2] == ["context", "show"]:
    print("default")
elif arguments[:2] == ["image", "inspect"]:
    facts = json.dumps({"Id": PLAN["digest"], "Size": 1000})
    if "--format" in arguments:
        for _ in arguments[4:]:
            print(facts)
    else:
        print(f"[{facts}]")
elif arguments[0] == "history":
    for size, what in ((7, "COPY src /app/src # buildkit"), (100, "base")):
        print(json.dumps({"Size": str(size), "CreatedBy": what}))
else:
    sys.exit(f"the fake docker was not told what to answer to {arguments}")
'''


class FakeDocker:
    """The program below ``folder``; each build does what the last :meth:`plan` said."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        script = folder / "fake_docker.py"
        script.write_text(SCRIPT)
        program = folder / "docker"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E "{script}" "$@"\n')
        program.chmod(0o755)
        self.plan()

    def plan(
        self,
        transcript: Path | None = None,
        *,
        status: int = 0,
        noise: bytes = b"",
        length: int | None = None,
        chunk: int = 0,
        delay: float = 0.0,
        then: str = "end",
        on_interrupt: str = "cancel",
    ) -> None:
        """Say what a build does.

        It writes ``noise`` and the transcript, at most ``length`` bytes of them, ``chunk`` bytes at
        a time with ``delay`` seconds after each. Then it ends with ``status``, hangs, or dies by
        SIGKILL. A signal makes it cancel, as buildx does, or is ignored.
        """
        values: dict[str, Any] = {
            "transcript": str(transcript) if transcript else None,
            "status": status,
            "noise": noise.decode("latin-1"),
            "bytes": length,
            "chunk": chunk,
            "delay": delay,
            "then": then,
            "on_interrupt": on_interrupt,
            "digest": DIGEST,
        }
        (self.folder / "plan.json").write_text(json.dumps(values))

    @property
    def path(self) -> str:
        """The value of PATH under which it is found first."""
        return f"{self.folder}{os.pathsep}{os.environ['PATH']}"

    @property
    def hanging(self) -> bool:
        """Whether a build has written everything and hangs."""
        return (self.folder / "hanging").exists()

    def signals(self) -> list[str]:
        """The names of the signals that builds were sent, in order."""
        path = self.folder / "signals"
        return path.read_text().split() if path.exists() else []

    def builds(self) -> list[list[str]]:
        """The arguments of each build."""
        return [call for call in self.calls() if call[:2] == ["buildx", "build"]]

    def calls(self) -> list[list[str]]:
        """The arguments of each call, in order."""
        path = self.folder / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]
