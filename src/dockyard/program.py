"""The command ``dockyard``: the tasks without a ``tasks.py``, by Invoke's own command line."""

from __future__ import annotations

import sys

from invoke.program import Program

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
