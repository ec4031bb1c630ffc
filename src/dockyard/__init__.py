"""Rebuild a uv-managed project's Docker image at the cost of what changed.

In a ``tasks.py``, ``from dockyard import ns`` gives all of the tasks to Invoke.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from invoke.collection import Collection

    ns: Collection

__all__ = ["__version__", "ns"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Make ``ns`` when it is asked for: whoever imports a part of Dockyard imports no tasks."""
    if name == "ns":
        from dockyard.collection import namespace

        globals()["ns"] = namespace()
        return globals()["ns"]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
