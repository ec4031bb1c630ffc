"""Which registries answer from this machine, before anything is asked of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from threading import Thread

from dockyard.base_images import mirror_references, normalise

__all__ = ["reachable_hosts", "registry_hosts", "registry_reachable"]

REACHABLE_SECONDS = 3.0


def registry_hosts(reference: str, mirrors: Iterable[str] = ()) -> tuple[str, ...]:
    """List the hosts that an image may be pulled from: its registry's mirrors, then its own."""
    hosts = [
        one.partition("/")[0]
        for one in (*mirror_references(reference, mirrors), normalise(reference))
    ]
    return tuple("registry-1.docker.io" if host == "docker.io" else host for host in hosts)


def registry_reachable(host: str, timeout: float = REACHABLE_SECONDS) -> bool:
    """Ask a registry whether it is one: its API answers 200, or 401 where it wants a login."""
    import http.client
    import urllib.error
    import urllib.request

    local = re.match(r"(localhost|127\.[\d.]+|\[::1\])(:\d+)?$", host)
    for scheme in ("https", "http") if local else ("https",):
        try:
            with urllib.request.urlopen(f"{scheme}://{host}/v2/", timeout=timeout):  # noqa: S310
                return True
        except urllib.error.HTTPError as error:
            return error.code == 401
        except (OSError, ValueError, http.client.HTTPException):
            continue
    return False


def reachable_hosts(hosts: Iterable[str]) -> set[str]:
    """Ask all at the same time. A thread that hangs in a name look-up is left behind."""
    found: set[str] = set()

    def ask(host: str) -> None:
        if registry_reachable(host):
            found.add(host)

    threads = [Thread(target=ask, args=(host,), daemon=True) for host in dict.fromkeys(hosts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(REACHABLE_SECONDS + 1)
    return set(found)
