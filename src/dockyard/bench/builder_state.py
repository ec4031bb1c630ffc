"""Where the builders that start empty keep their state: in memory, where there is enough of it.

Such a builder's end removes ten thousands of files, and ext4 avoids the inodes of removed files for
minutes (Linux, ``fs/ext4/ialloc.c``, ``recently_deleted``): it looks at each before it makes a new
file. So a cell would be slower for what the one before it has left, and the more files, the more:
to unpack Debian's Python from a registry on loopback took 4.4 s instead of 1.0 s. A CI runner's
disk is a new one. Memory has no such history.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dockyard import process
from dockyard.bench.images import COMMAND_SECONDS, docker

__all__ = ["DISK", "MEMORY", "builder_state", "machine_memory", "state_volume"]

DISK, MEMORY = "disk", "memory"
# What a builder's state comes to at most, in bytes; tmpfs takes no more than half of the memory.
STATE_BYTES = 4_000_000_000


def machine_memory() -> int:
    """Return the machine's memory in bytes; 0 where Linux does not tell."""
    try:
        found = re.search(r"MemTotal:\s*(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def builder_state(memory: int) -> str:
    """Tell where a builder's state is kept on a machine with so many bytes of memory."""
    return MEMORY if memory // 2 >= STATE_BYTES else DISK


@contextmanager
def state_volume(builder: str, kept: str) -> Iterator[None]:
    """Let the only node of a builder to be made keep its state there.

    buildx takes a volume of this name where there is one (``driver/docker-container/driver.go``),
    and removes it with the builder.
    """
    name = f"buildx_buildkit_{builder}0_state"
    if kept == MEMORY:
        options = ("--opt", "type=tmpfs", "--opt", "device=tmpfs")
        docker("volume", "create", *options, name)
    try:
        yield
    finally:
        if kept == MEMORY:
            process.run(["docker", "volume", "rm", "--force", name], timeout=COMMAND_SECONDS)
