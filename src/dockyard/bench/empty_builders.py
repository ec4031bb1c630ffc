"""Builders that start empty, and keep their state in memory, where there is enough of it.

On a disk, such a builder's end removes ten thousands of files, and ext4 avoids the inodes of
removed files for minutes (Linux, ``fs/ext4/ialloc.c``, ``recently_deleted``): it looks at each
before it makes a new file. So a cell would be slower for what the one before it has left, and the
more files, the more: to unpack Debian's Python from a registry on loopback took 4.4 s instead of
1.0 s. A CI runner's disk is a new one. Memory has no such history.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dockyard import process
from dockyard.bench.images import COMMAND_SECONDS, docker
from dockyard.bench.results import DISK, MEMORY
from dockyard.errors import BuilderError

__all__ = ["builder_state", "empty_builder", "machine_memory"]

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
def empty_builder(name: str, image: str) -> Iterator[None]:
    """Make a builder with an empty cache on the host's network; remove it with its cache.

    ``image`` is BuildKit's. Raises BuilderError where it cannot be made.
    """
    kept = builder_state(machine_memory())
    # buildx takes a volume of this name where there is one (``driver/docker-container/driver.go``),
    # and removes it with the builder.
    volume = f"buildx_buildkit_{name}0_state"
    create = ("buildx", "create", "--name", name, "--driver", "docker-container", "--bootstrap")
    options = ("--driver-opt", f"image={image}", "--driver-opt", "network=host")
    try:
        if kept == MEMORY:
            in_memory = ("--opt", "type=tmpfs", "--opt", "device=tmpfs")
            docker("volume", "create", *in_memory, volume, error=BuilderError)
        docker(*create, *options, error=BuilderError)
        yield
    finally:
        # Killed first, it is not waited for until it has ended well.
        for command in (
            ("kill", f"buildx_buildkit_{name}0"),
            ("buildx", "rm", "--force", name),
            ("volume", "rm", "--force", volume),
        ):
            process.run(["docker", *command], timeout=COMMAND_SECONDS)
