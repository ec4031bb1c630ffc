"""The task ``optimize``, which is ``cache.optimize`` as well: thin, as those of ``collection``."""

from __future__ import annotations

import json as json_format
import os
import sys
from pathlib import Path
from typing import Any

from invoke.context import Context
from invoke.tasks import task

from dockyard.boundary import emit, reported

__all__ = ["optimize"]


@task(
    help={
        "apply": "carry out what is safe, and with --only whatever of that topic can be",
        "dry-run": "show what --apply would do, and do nothing: the default, in CI and elsewhere",
        "only": "look at this topic alone (may be given several times): layers, context, order, "
        "install, weight, compression, base, pins, mirrors, builder",
        "json": "print as JSON on standard output",
    },
    iterable=["only"],
)
@reported
def optimize(
    context: Context,
    apply: bool = False,
    dry_run: bool = False,
    only: Any = None,
    json: bool = False,
) -> None:
    """Propose what makes builds faster and the image smaller, with gains measured here."""
    from dockyard import optimization
    from dockyard.display.tables import width_of
    from dockyard.errors import SettingsError
    from dockyard.optimize_display import optimization_lines
    from dockyard.settings import load_settings, redactor

    if apply and dry_run:
        raise SettingsError("--apply and --dry-run contradict each other", hint="give one of them")
    settings = load_settings(Path.cwd(), os.environ, {})
    found = optimization.optimize(settings, os.environ, tuple(only or ()), apply_changes=apply)
    clean = redactor(settings)
    if json:
        emit(clean(json_format.dumps(found.as_json(), indent=1, ensure_ascii=False)))
    else:
        emit(clean("\n".join(optimization_lines(found, width_of(sys.stdout)))))
