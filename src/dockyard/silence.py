"""When a build waits for a registry that says nothing, and what to say of that. Pure.

BuildKit waits for an answer without end. It tells little of what it pushes, so that silence for a
few seconds is nothing; and a step that computes is silent as well, which is no registry's doing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dockyard.errors import NetworkError

if TYPE_CHECKING:
    from dockyard.settings import Settings
    from dockyard.trace import Step
    from dockyard.trace_reader import TraceReader

__all__ = ["RegistrySilence", "SilenceWatch", "silence_error", "watch_for"]

# How long a builder may report nothing while it waits, in seconds, where no setting says so.
SILENCE_SECONDS = 600
# What BuildKit logs before it waits and tries again: util/resolver/retryhandler/retry.go.
_RETRIED = re.compile(r"error: (?P<cause>[^\n]+)\n+retrying in [^\n]+\n*$")
SHOWN_CHARACTERS = 300
_REFERENCE = re.compile(r"(?:from|for|pushing) (?:docker-image://)?([^\s/]+)/\S+")


class RegistrySilence(Exception):  # noqa: N818 - what happened, and no error of ours
    """A builder has waited for too long; ``step`` is the one that waits, ``seconds`` how long."""

    def __init__(self, step: Step, seconds: int) -> None:
        super().__init__(step.instruction)
        self.step, self.seconds = step, seconds


@dataclass
class SilenceWatch:
    """Looks at a build from time to time; ``allowed`` is in seconds."""

    allowed: int
    _changes: int = -1
    _since: float = 0.0

    def look(self, reader: TraceReader, now: float) -> None:
        """Take the build as it stands at ``now`` (monotonic seconds). Raises RegistrySilence."""
        if reader.changes != self._changes:
            self._changes, self._since = reader.changes, now
        elif now - self._since > self.allowed and (step := reader.waiting):
            raise RegistrySilence(step, self.allowed)


def watch_for(settings: Settings) -> SilenceWatch:
    """Make the watch that the settings ask for."""
    return SilenceWatch(settings.registry_timeout or SILENCE_SECONDS)


def silence_error(silence: RegistrySilence, registry: str | None) -> NetworkError:
    """Name the host that said nothing: the step's, else the one of ``registry``, pushed to.

    Where the builder was about to try again, what it had failed with is the cause.
    """
    named = _REFERENCE.search(silence.step.instruction)
    host = named[1] if named else (registry or "the registry").partition("/")[0]
    retried = _RETRIED.search("\n".join(silence.step.log))
    cause = ""
    if retried:
        # The state of an upload is longer than the reason, which comes last.
        reason = re.sub(r"\?[^\s\"]+", "", retried["cause"])[-SHOWN_CHARACTERS:]
        cause = f"; what was tried before failed: {reason}"
    return NetworkError(
        f"{host} has said nothing for {silence.seconds} s ({silence.step.instruction})" + cause,
        hint="see whether the registry and the way to it are well, and build again: what is done "
        "is kept. DOCKYARD_REGISTRY_TIMEOUT says how long it may be silent",
    )
