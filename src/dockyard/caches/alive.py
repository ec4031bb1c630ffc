"""Whether a registry says anything at all, asked before a builder may come to wait for it.

BuildKit waits for a cache's manifest without end, goes on waiting when the build is cancelled, and
meanwhile every other build of that builder waits too (seen with the BuildKit of Docker Engine
28.5). So a registry that is silent is left out of the imports. Any answer will do, an error too,
and so will a refused connection: of those BuildKit makes what it should.

On http.client: requests would cost more time to import than the question takes.
"""

from __future__ import annotations

import http.client
import ssl
from urllib.request import getproxies, proxy_bypass

from dockyard.caches.registry_errors import is_loopback

__all__ = ["is_silent"]

SILENCE_SECONDS = 10.0


def is_silent(host: str, *, plain: bool = False, seconds: float | None = None) -> bool:
    """Ask ``host[:port]`` for ``/v2/``; True where it says nothing for ``seconds``.

    ``plain``: it speaks HTTP without TLS, as those on loopback do. Behind a proxy nothing is asked.
    """
    if getproxies().get("https") and not proxy_bypass(host.partition(":")[0]):
        return False
    patience = min(seconds or SILENCE_SECONDS, SILENCE_SECONDS)
    connection: http.client.HTTPConnection
    if plain or is_loopback(host):
        connection = http.client.HTTPConnection(host, timeout=patience)
    else:
        # Who answers does not matter here, and nothing is told.
        context = ssl._create_unverified_context()  # noqa: S323
        connection = http.client.HTTPSConnection(host, timeout=patience, context=context)
    try:
        connection.request("GET", "/v2/", headers={"User-Agent": "dockyard"})
        connection.getresponse().read(1 << 16)
    except TimeoutError:
        return True
    except (OSError, ValueError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return False
