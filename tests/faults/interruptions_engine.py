"""An engine of the campaign's own, which may be stopped and killed, and a builder that may go."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.base import ensure_base_image, ensure_uv_image
from support.engine import docker

__all__ = ["OwnEngine", "own_engine"]

START_SECONDS = 30.0


class OwnEngine:
    """A second dockerd, with its own data, socket and bridge, beside the machine's."""

    def __init__(self, folder: Path, bridge: str) -> None:
        self.folder, self._bridge = folder, bridge
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """The value of ``DOCKER_HOST``."""
        return f"unix://{self.folder}/engine.sock"

    def docker(self, *arguments: str) -> str:
        """Run the docker command line on it."""
        return docker("--host", self.host, *arguments)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        # Without a bridge of its own, dockerd would take the machine's docker0 away.
        command = [
            *(
                "dockerd",
                "--data-root",
                f"{self.folder}/data",
                "--exec-root",
                f"{self.folder}/exec",
            ),
            *("--pidfile", f"{self.folder}/pid", "--host", self.host, "--bridge", self._bridge),
            *("--iptables=false", "--ip6tables=false", "--config-file", f"{self.folder}/config"),
        ]
        path = os.pathsep.join((os.environ["PATH"], "/usr/local/sbin", "/usr/sbin", "/sbin"))
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, "PATH": path},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(Exception):
                self.docker("version")
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = (self.folder / "log").read_text(errors="replace")[-2000:]
                raise AssertionError(f"the second engine does not start:\n{said}")
            time.sleep(0.1)

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Shut it down as a service manager does."""
        self._end(signal.SIGTERM)

    def crash(self) -> None:
        """Kill it, and its containerd, at once."""
        self._end(signal.SIGKILL)
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.folder / "exec/containerd/containerd.pid").read_text())
            os.kill(pid, signal.SIGKILL)
        (self.folder / "pid").unlink(missing_ok=True)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        self._process.wait(30)
        self._process = None


def unmount_below(folder: Path) -> None:
    """Unmount what an engine that was killed had mounted in its folder, the innermost first."""
    places = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for place in reversed(places):
        if place.startswith(f"{folder}/"):
            subprocess.run(["umount", "--lazy", place], check=True)


@contextmanager
def own_engine(folder: Path) -> Iterator[OwnEngine]:
    """Run an engine with the base images, on a bridge made for it; leave nothing behind."""
    folder.mkdir()
    number = secrets.randbelow(200)
    bridge = f"dkfault{os.getpid() % 10_000}"
    address = f"10.2{number % 50:02}.{number}.1/24"
    made = OwnEngine(folder, bridge)
    # Not the machine's own configuration, whatever that says.
    (folder / "config").write_text('{"features": {"containerd-snapshotter": true}}')
    archive = folder / "bases.tar"
    docker("save", "--output", str(archive), ensure_base_image(), ensure_uv_image())
    subprocess.run(["ip", "link", "add", bridge, "type", "bridge"], check=True)
    try:
        subprocess.run(["ip", "addr", "add", address, "dev", bridge], check=True)
        subprocess.run(["ip", "link", "set", bridge, "up"], check=True)
        made.start()
        made.docker("load", "--input", str(archive))
        archive.unlink()
        yield made
    finally:
        if made.running:
            made.stop()
        subprocess.run(["ip", "link", "del", bridge], check=True)
        unmount_below(folder)
        shutil.rmtree(folder)
