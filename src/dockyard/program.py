"""The command ``dockyard``: the tasks without a ``tasks.py``, by Invoke's own command line."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType


class _Lazily:
    """Finds a module that is executed only when something of it is used.

    Invoke imports its YAML reader at every start (70 ms) and uses it only where there is an
    ``invoke.yaml``.
    """

    names = ("invoke.vendor.yaml",)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find the module as Python does, and put off its execution."""
        if name not in self.names:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = importlib.util.LazyLoader(spec.loader)
        return spec


sys.meta_path.insert(0, _Lazily())

from invoke.program import Program  # noqa: E402

__all__ = ["main"]

PROGRAM = "dockyard"


class _Program(Program):
    """Invoke's command line with these tasks as its subcommands.

    Invoke turns off the writing of bytecode to spare a ``tasks.py`` its cache folder. Dockyard has
    none, and uv installs without compiling: every start would compile every module again.
    """

    def parse_core(self, argv: list[str] | None) -> None:
        """Read the options that stand before a task's name."""
        kept = sys.dont_write_bytecode
        super().parse_core(argv)
        sys.dont_write_bytecode = kept and not self.args["write-pyc"].value


def main() -> None:
    """Run the tasks that the command line names, and exit as ``invoke`` would."""
    from dockyard import __version__, boundary
    from dockyard.collection import namespace

    boundary.program = PROGRAM
    _Program(
        version=__version__,
        namespace=namespace(),
        name=PROGRAM,
        binary=PROGRAM,
        binary_names=[PROGRAM],
    ).run()
