"""Whether a remote BuildKit answers, asked before buildx, which would only say “deadline exceeded”.

One TCP connection, TLS as BuildKit's own, and the first frame of HTTP/2: a server that refuses our
certificate says so there, not in the handshake (TLS 1.3).
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dockyard.builder_description import remote_tls
from dockyard.errors import BuilderError, NetworkError, Problem

if TYPE_CHECKING:
    from dockyard.settings import Settings

__all__ = ["check_endpoint", "check_tls_files"]

CONNECT_SECONDS = 5.0
# RFC 9113, section 3.4: the client's preface, and a SETTINGS frame with nothing in it.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
WHERE = "DOCKYARD_BUILDER_ENDPOINT"
SETTINGS = {
    "cacert": "DOCKYARD_BUILDER_CA_FILE",
    "cert": "DOCKYARD_BUILDER_CERT_FILE",
    "key": "DOCKYARD_BUILDER_KEY_FILE",
}
CLIENT = f"{SETTINGS['cert']}, {SETTINGS['key']}"


def check_tls_files(tls: Mapping[str, str]) -> None:
    """Raise BuilderError naming every TLS file of the remote builder that cannot be read."""
    problems = []
    for option, setting in SETTINGS.items():
        if option not in tls:
            continue
        try:
            Path(tls[option]).read_bytes()
        except OSError as error:
            problems.append(
                Problem(
                    f"{tls[option]} cannot be read: {error.strerror}",
                    setting,
                    "give the path of a PEM file, absolute or from the repository root",
                )
            )
    if tls and "cacert" not in tls:
        problems.append(
            Problem(
                "TLS to a remote builder needs the authority of its certificate",
                SETTINGS["cacert"],
                "set it to a PEM file; buildx takes none of the public authorities for this",
            )
        )
    if ("cert" in tls) != ("key" in tls):
        missing = "key" if "cert" in tls else "cert"
        problems.append(
            Problem(
                "a certificate and its key go together, and this one is not set",
                SETTINGS[missing],
                "set both, or neither",
            )
        )
    if problems:
        raise BuilderError(*problems)


def _context(tls: Mapping[str, str]) -> ssl.SSLContext | None:
    if not tls:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["h2"])
    try:
        context.load_verify_locations(tls["cacert"])
    except ssl.SSLError as error:
        raise BuilderError(
            f"{tls['cacert']} is not a PEM file of certificates",
            where=SETTINGS["cacert"],
            hint="it has to begin with -----BEGIN CERTIFICATE-----",
        ) from error
    if "cert" in tls:
        try:
            context.load_cert_chain(tls["cert"], tls["key"])
        except ssl.SSLError as error:
            raise BuilderError(
                f"certificate and key do not go together, or are not PEM: {_reason(error)}",
                where=CLIENT,
                hint="give the client's certificate and the key that it was made with",
            ) from error
    return context


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).replace("_", " ").lower()


def check_endpoint(settings: Settings) -> None:
    """Raise what is wrong with the address or TLS files of a remote BuildKit.

    NetworkError where nothing answers, BuilderError where TLS fails or it is no BuildKit. Only
    ``tcp://`` is asked: what is behind ``ssh://`` and the like, buildx alone can tell.
    """
    tls = remote_tls(settings)
    check_tls_files(tls)
    endpoint = settings.builder_endpoint or ""
    context = _context(tls)
    parts = urlsplit(endpoint)
    if parts.scheme != "tcp":
        return
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port:
        raise BuilderError(
            f"{endpoint} is no tcp address", where=WHERE, hint="write tcp://HOST:PORT"
        )
    try:
        plain = socket.create_connection((host, port), CONNECT_SECONDS)
    except OSError as error:
        raise NetworkError(
            f"nothing answers at {endpoint}: {error.strerror or error}",
            where=WHERE,
            hint="start buildkitd there with --addr tcp://0.0.0.0:PORT, "
            "or check address and firewall",
        ) from error
    with plain:
        _greet(plain, context, tls.get("servername", host), endpoint)


def _greet(plain: socket.socket, context: ssl.SSLContext | None, name: str, endpoint: str) -> None:
    try:
        stream = context.wrap_socket(plain, server_hostname=name) if context else plain
        with stream:
            stream.sendall(PREFACE)
            answer = _read(stream, 9)
    except ssl.SSLCertVerificationError as error:
        raise BuilderError(
            f"the certificate of {endpoint} is not trusted: {error.verify_message}",
            where=SETTINGS["cacert"],
            hint=f"give the authority that it is from; it has to name “{name}”, "
            "else set DOCKYARD_BUILDER_SERVER_NAME",
        ) from error
    except ssl.SSLError as error:
        raise BuilderError(
            f"{endpoint} refuses the TLS connection: {_reason(error)}",
            where=CLIENT,
            hint="give a client certificate from the authority that its buildkitd trusts",
        ) from error
    except OSError as error:
        raise NetworkError(
            f"{endpoint} broke the connection off: {error.strerror or error}",
            where=WHERE,
            hint="check that it is a buildkitd, and whether it wants TLS "
            "(DOCKYARD_BUILDER_CA_FILE, _CERT_FILE, _KEY_FILE)",
        ) from error
    # A server's own preface is a SETTINGS frame: its type is the fourth byte.
    if len(answer) < 9 or answer[3] != 4:
        raise BuilderError(
            f"what answers at {endpoint} is no buildkitd, or it wants TLS",
            where=WHERE,
            hint="check the port; for TLS set DOCKYARD_BUILDER_CA_FILE, _CERT_FILE and _KEY_FILE",
        )


def _read(stream: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size and (more := stream.recv(size - len(found))):
        found += more
    return found
