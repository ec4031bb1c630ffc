"""What ``invoke check`` finds out: each check a function with a verdict, a figure and a fix.

:mod:`catalogue` names them, :mod:`running` makes them, on what :mod:`workbench` has of the project.
"""

from __future__ import annotations

from dockyard.checks.catalogue import CHECKS, Check, choose, required
from dockyard.checks.running import raise_failures, run_checks
from dockyard.checks.verdicts import Finding, Outcome, Verdict
from dockyard.checks.workbench import Workbench

__all__ = [
    "CHECKS",
    "Check",
    "Finding",
    "Outcome",
    "Verdict",
    "Workbench",
    "choose",
    "raise_failures",
    "required",
    "run_checks",
]
