"""BuildKits elsewhere: each with its own state, on loopback, wanting TLS of both sides."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.base import buildkit_image
from support.engine import Cleanup, docker

__all__ = ["Daemon", "free_port", "make_certificates", "start_daemon"]

START_SECONDS = 30.0
SERVER_NAME = "builder.test"


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_certificates(folder: Path) -> None:
    """An authority, a server's and a client's certificate of it, and a stranger's."""
    if not shutil.which("openssl"):
        pytest.fail("openssl is not installed: run ./bootstrap first")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for name in ("ca", "stranger"):
        files = ("-keyout", f"{name}.key", "-out", f"{name}.pem")
        openssl("req", "-x509", *key, "-days", "2", "-subj", f"/CN={name}", *files)
    (folder / "names").write_text(f"subjectAltName=DNS:{SERVER_NAME}\n")
    for name in ("server", "client"):
        files = ("-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl("req", *key, "-subj", f"/CN={name}", *files)
        signed = ("-in", f"{name}.csr", "-out", f"{name}.pem", "-extfile", "names", "-days", "2")
        openssl("x509", "-req", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", *signed)


@dataclass(frozen=True)
class Daemon:
    """A BuildKit: its container, its address, and the folder with the certificates."""

    container: str
    endpoint: str
    folder: Path

    def settings(self, client: str = "client") -> dict[str, str]:
        """What lets Dockyard build there, as a client whose certificate is ``CLIENT.pem``."""
        return {
            "DOCKYARD_DRIVER": "remote",
            "DOCKYARD_BUILDER_ENDPOINT": self.endpoint,
            "DOCKYARD_BUILDER_CA_FILE": str(self.folder / "ca.pem"),
            "DOCKYARD_BUILDER_CERT_FILE": str(self.folder / f"{client}.pem"),
            "DOCKYARD_BUILDER_KEY_FILE": str(self.folder / f"{client}.key"),
            "DOCKYARD_BUILDER_SERVER_NAME": SERVER_NAME,
        }


def start_daemon(folder: Path, cleanup: Cleanup) -> Daemon:
    """Start one with the certificates of :func:`make_certificates`, and wait until it listens."""
    name, port = cleanup.name("container"), free_port()
    docker(
        *("run", "--detach", "--privileged", "--network", "host", "--name", name),
        *("--label", cleanup.label, "--volume", "/var/lib/buildkit"),
        *("--volume", f"{folder}:/tls:ro", buildkit_image()),
        *("--allow-insecure-entitlement", "network.host"),
        *("--addr", f"tcp://127.0.0.1:{port}", "--tlscacert", "/tls/ca.pem"),
        *("--tlscert", "/tls/server.pem", "--tlskey", "/tls/server.key"),
    )
    deadline = time.monotonic() + START_SECONDS
    while True:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert time.monotonic() < deadline, docker("logs", name)
        time.sleep(0.1)
    return Daemon(name, f"tcp://127.0.0.1:{port}", folder)
