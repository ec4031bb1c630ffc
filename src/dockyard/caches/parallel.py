"""Several transfers at once, all of which stop when one fails or the user interrupts them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["CONNECTIONS", "Progress", "ignore_progress", "in_parallel"]

CONNECTIONS = 4
# How long the others may take to notice that one failed; they are daemons and hold nothing up.
STOP_SECONDS = 2.0

# Told the bytes that moved since the last call, from several threads.
Progress = Callable[[int], None]

Item = TypeVar("Item")
Result = TypeVar("Result")


class _StoppedError(Exception):
    """Another transfer failed, so that this one is in vain."""


def ignore_progress(moved: int) -> None:
    """Tell nobody."""


def in_parallel(
    work: Callable[[Item, Progress], Result],
    items: Sequence[Item],
    progress: Progress = ignore_progress,
    *,
    workers: int = CONNECTIONS,
) -> list[Result]:
    """Do ``work`` for each item, several at once; the results in the items' order.

    ``work`` is given the item and whom to tell its progress, where it also learns that it shall
    stop. Raises what the first of them raises. Not on a ThreadPoolExecutor: that waits at the
    process's end for threads which wait for the network.
    """
    results: dict[int, Result] = {}
    failures: list[BaseException] = []
    waiting = list(enumerate(items))[::-1]
    stop, lock = threading.Event(), threading.Lock()

    def told(moved: int) -> None:
        if stop.is_set():
            raise _StoppedError
        with lock:
            progress(moved)

    def run() -> None:
        while not stop.is_set():
            with lock:
                if not waiting:
                    return
                number, item = waiting.pop()
            try:
                results[number] = work(item, told)
            except _StoppedError:
                return
            except BaseException as error:
                failures.append(error)
                stop.set()

    threads = [
        threading.Thread(target=run, daemon=True, name=f"transfer-{number}")
        for number in range(min(workers, len(items)))
    ]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive() and not stop.is_set():
                thread.join(0.1)
    finally:
        stop.set()
        for thread in threads:
            thread.join(STOP_SECONDS)
    if failures:
        raise failures[0]
    return [results[number] for number in range(len(items))]
