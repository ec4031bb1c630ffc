"""A line of limited speed, shared by all that travels over it. The clock is injected."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

from dockyard.errors import SettingsError

__all__ = ["Line", "TokenBucket", "format_bandwidth", "parse_bandwidth"]

_UNITS = {"kbit": 10**3, "mbit": 10**6, "gbit": 10**9}
# What may travel at once after a pause, in seconds of the line's speed: small answers don't wait.
BURST_SECONDS = 0.02


def parse_bandwidth(text: str) -> int:
    """Read ``100mbit`` in bits per second. Raises SettingsError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]bit)", text.strip().lower())
    bits = round(float(match[1]) * _UNITS[match[2]]) if match else 0
    if not bits:
        raise SettingsError(
            f"{text!r} is no bandwidth",
            where="--bandwidth",
            hint="a number and kbit, mbit or gbit, such as 100mbit",
        )
    return bits


def format_bandwidth(bits: int) -> str:
    """Write bits per second as :func:`parse_bandwidth` reads them."""
    for unit, size in reversed(_UNITS.items()):
        if bits >= size:
            return f"{bits / size:g}{unit}"
    return f"{bits / 1000:g}kbit"


class TokenBucket:
    """Lets bytes through at ``rate`` bytes per second, whichever thread they come from."""

    def __init__(
        self,
        rate: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate, self._clock, self._sleep = rate, clock, sleep
        self._lock = threading.Lock()
        self._free = clock()  # when all that was let through before has travelled

    def take(self, count: int) -> None:
        """Wait until ``count`` bytes may travel."""
        with self._lock:
            now = self._clock()
            self._free = max(self._free, now - BURST_SECONDS) + count / self._rate
            wait = self._free - now
        if wait > 0:
            self._sleep(wait)


class Line:
    """The machine's connection: one bucket for each direction, or none where nothing is shaped.

    ``shaped`` switches it: what prepares a measurement is not held up.
    """

    def __init__(
        self,
        bits: int | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        def bucket() -> TokenBucket | None:
            return TokenBucket(bits / 8, clock=clock, sleep=sleep) if bits else None

        self._down, self._up = bucket(), bucket()
        self.shaped = False

    def down(self, count: int) -> None:
        """Let bytes through that the build receives."""
        if self.shaped and self._down:
            self._down.take(count)

    def up(self, count: int) -> None:
        """Let bytes through that the build sends."""
        if self.shaped and self._up:
            self._up.take(count)
