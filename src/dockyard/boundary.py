"""Where errors become messages and exit codes: the one place that catches them all."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

from dockyard import known_secrets
from dockyard.errors import EXIT_BUG, EXIT_INTERRUPTED, DockyardError

__all__ = ["emit", "program", "report", "report_interruption", "reported"]

Parameters = ParamSpec("Parameters")

# What the user typed: advice names commands as `invoke …`, which `dockyard …` may stand for.
program = "invoke"


def _as_typed(text: str) -> str:
    return text if program == "invoke" else text.replace("`invoke ", f"`{program} ")


def emit(text: str) -> None:
    """Write a result to standard output; a reader that went away (``| head``) is no error."""
    text = _as_typed(text)
    try:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(0) from None


def report(error: DockyardError) -> None:
    """Show each problem of an error on standard error: what, where, and what to do next."""
    for problem in error.problems:
        sys.stderr.write(known_secrets.clean(_as_typed(f"error: {problem}\n")))
    for note in getattr(error, "__notes__", ()):
        sys.stderr.write(known_secrets.clean(_as_typed(f"  → {note}\n")))


def report_interruption(error: KeyboardInterrupt | None = None) -> None:
    """Say on standard error that the command was interrupted, by what, and how to go on.

    That is the same command again, unless the interruption carries notes (PEP 678) that say more.
    """
    import shlex

    from dockyard.settings_masking import mask_credentials

    by = f" by {error}" if error is not None and str(error) else ""
    again = mask_credentials(shlex.join((program, *sys.argv[1:])))
    notes = getattr(error, "__notes__", None) or [f"`{again}` again takes up what was done"]
    sys.stderr.write("".join([f"interrupted{by}\n", *(f"  → {note}\n" for note in notes)]))


def _report_bug(error: Exception) -> None:
    import platform
    import traceback
    from datetime import UTC, datetime

    from dockyard import __version__
    from dockyard.settings_masking import mask_credentials
    from dockyard.state import prepare_state_folder

    # A bug's message may quote whatever it stumbled over, and people send it to others.
    text = mask_credentials(known_secrets.clean("".join(traceback.format_exception(error))))
    said = mask_credentials(known_secrets.clean(f"{type(error).__name__}: {error}"))
    about = f"dockyard {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
    place = "standard error"
    try:
        name = f"crash-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.log"
        path = prepare_state_folder(Path.cwd()) / name
        path.write_text(about + text, encoding="utf-8")
        place = str(path)
    except OSError:
        sys.stderr.write(about + text)
    sys.stderr.write(f"error: a bug in Dockyard: {said}\n  → please report it with {place}\n")


def reported(body: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """Turn what a task raises, and a signal that ends it, into a message and an exit status."""

    @functools.wraps(body)
    def wrapper(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        from invoke.exceptions import Exit

        from dockyard.process import interruptible

        interruptible()
        known_secrets.forget()
        try:
            body(*args, **kwargs)
        except DockyardError as error:
            report(error)
            raise Exit(code=error.exit_code) from error
        except KeyboardInterrupt as error:
            report_interruption(error)
            raise Exit(code=EXIT_INTERRUPTED) from error
        except Exit:
            raise
        except Exception as error:
            _report_bug(error)
            raise Exit(code=EXIT_BUG) from error

    return wrapper
