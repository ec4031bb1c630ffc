"""What the fault campaign tries, and what came of it, as values. Pure.

A :class:`Case` is one try: an :class:`Operation` (a command as a user types it), a :class:`Fault`
(one way to break), and the :class:`Moment` and :class:`Target` that it strikes. ``str(case)`` is
its identifier, such as ``build-push.registry.reset.middle``: the test's id and the name of the file
that holds its outcome. An :class:`Outcome` says how the command ended and what was wrong with that:
a case is survived when ``problems`` is empty. A :class:`Result` is a campaign.

What breaks in another way than the network adds faults of its own family, and cases of them::

    KILLED = Fault("sigkill", Family.PROCESS, "the command is killed (SIGKILL)", "Nothing stays …")
    Case(Operation.BUILD, KILLED, Moment.MIDDLE, Target.MACHINE)

JSON of a result (:func:`result_as_json`, read back by :func:`result_from_json`)::

    {"schema": 1, "made": RFC 3339 in UTC, "dockyard": version, "command": text,
     "operations": {name: the command as it is typed},
     "faults": [{"name", "family", "what", "means", "status", "retry_after"}],
     "outcomes": [{"operation", "fault", "moment", "target", "exit_code", "seconds", "message",
                   "problems": []}]}

Names of faults and operations are those of the table: ``what`` happens is a clause, and ``means`` a
sentence or two about what it is to a user. Seconds are those of the broken command alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

__all__ = [
    "NETWORK_FAULTS",
    "SCHEMA",
    "Case",
    "Family",
    "Fault",
    "Moment",
    "Operation",
    "Outcome",
    "Result",
    "Target",
    "network_fault",
    "outcome_as_json",
    "outcome_from_json",
    "result_as_json",
    "result_from_json",
]

SCHEMA = 1


class Family(StrEnum):
    """What kind of thing breaks."""

    NETWORK = "network"
    PROCESS = "process"  # the command itself is ended
    ENGINE = "engine"  # the engine or a builder goes away
    DISK = "disk"
    CLOCK = "clock"


class Moment(StrEnum):
    """When it breaks: at the operation's first request, after half of what it does, at its last."""

    BEFORE = "before"
    MIDDLE = "middle"
    END = "end"


class Target(StrEnum):
    """What breaks; ``MACHINE`` is the one that the command runs on, with its engine."""

    REGISTRY = "registry"
    INDEX = "index"
    MIRROR = "mirror"  # of the index
    IMAGE_MIRROR = "image-mirror"
    MACHINE = "machine"


class Operation(StrEnum):
    """A command, by its name in identifiers."""

    INIT = "init"
    BUILD = "build"
    BUILD_PUSH = "build-push"
    PUSH = "push"
    PULL = "pull"
    CACHE_PUSH = "cache.push"
    CACHE_PULL = "cache.pull"
    CACHE_PRUNE = "cache.prune"
    OPTIMIZE = "optimize"

    @property
    def arguments(self) -> tuple[str, ...]:
        """What follows ``invoke``."""
        return {
            Operation.BUILD_PUSH: ("build", "--push"),
            Operation.CACHE_PRUNE: ("cache.prune", "--registry"),
        }.get(self, (self.value,))

    @property
    def typed(self) -> str:
        """The command as a user types it."""
        return " ".join(("invoke", *self.arguments))


@dataclass(frozen=True)
class Fault:
    """One way to break. ``status`` is an HTTP answer's, ``retry_after`` that header in seconds."""

    name: str
    family: Family
    what: str
    means: str
    status: int | None = None
    retry_after: int | None = None


def _status(status: int, what: str, means: str, retry_after: int | None = None) -> Fault:
    return Fault(str(status), Family.NETWORK, f"the answer is {what}", means, status, retry_after)


_RETRIED = "It is tried again a few times, and that is enough where it passes."
NETWORK_FAULTS: tuple[Fault, ...] = (
    Fault(
        "refuse", Family.NETWORK, "nobody listens: the connection is refused",
        "The message names the host. Nothing was begun, so nothing is to be repaired.",
    ),
    Fault(
        "reset", Family.NETWORK, "the connection is reset inside an answer or an upload",
        "It is taken up again where it broke; what arrived is kept.",
    ),
    Fault(
        "stall", Family.NETWORK, "the other side says nothing more, and keeps the connection",
        "It costs the silence that the settings allow, and no longer.",
    ),
    Fault(
        "slow", Family.NETWORK, "every answer is late and comes in small pieces",
        "It takes longer and succeeds: slow is not broken.",
    ),
    Fault(
        "truncate", Family.NETWORK, "the answer ends before its announced length",
        "The rest is asked for; half a file is never taken for a whole one.",
    ),
    Fault(
        "corrupt", Family.NETWORK, "one byte of a body is another",
        "Digest or hash refuse the content before anything uses it.",
    ),
    _status(401, "401: a login is wanted", "The message names the host and the login to make."),
    _status(403, "403: the login may not do this", "As of 401: somebody else's login may."),
    _status(404, "404: it is not there", "The message says what is missing, and where."),
    _status(429, "429: too many requests, to be tried again after a second",
            "The time that the server asks for is waited for, if it is short.", retry_after=1),
    _status(500, "500: the server fails", _RETRIED),
    _status(503, "503: the server is not available", _RETRIED),
    Fault(
        "expired-tls", Family.NETWORK, "the certificate has expired",
        "Nothing is sent to a server that cannot prove who it is.",
    ),
    Fault(
        "redirects", Family.NETWORK, "the answer is a redirect to itself, without end",
        "Redirects are followed so many times, and then reported.",
    ),
)  # fmt: skip


def network_fault(name: str) -> Fault:
    """Return the network's fault of that name. Raises LookupError."""
    found = next((one for one in NETWORK_FAULTS if one.name == name), None)
    if found is None:
        raise LookupError(f"there is no fault {name}")
    return found


@dataclass(frozen=True)
class Case:
    """One try."""

    operation: Operation
    fault: Fault
    moment: Moment
    target: Target

    def __str__(self) -> str:
        return f"{self.operation}.{self.target}.{self.fault.name}.{self.moment}"


@dataclass(frozen=True)
class Outcome:
    """How a case went: the broken command's exit code, seconds and last words, and what is wrong.

    ``problems`` are sentences, one for each thing that a user has a right to and did not get.
    """

    case: Case
    exit_code: int
    seconds: float
    message: str
    problems: tuple[str, ...] = ()

    @property
    def survived(self) -> bool:
        """Whether the user lost nothing and was told what happened."""
        return not self.problems


@dataclass(frozen=True)
class Result:
    """A campaign: when it was made (RFC 3339, UTC), by which Dockyard and command, its outcomes."""

    made: str
    dockyard: str
    command: str
    outcomes: tuple[Outcome, ...]

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The faults that were tried, by family, and then in the order of their declaration."""
        used = dict.fromkeys(outcome.case.fault for outcome in self.outcomes)
        families = list(Family)
        declared = {fault.name: place for place, fault in enumerate(NETWORK_FAULTS)}
        return tuple(
            sorted(used, key=lambda one: (families.index(one.family), declared.get(one.name, 99)))
        )

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The operations that were tried, in the order of their declaration."""
        used = {outcome.case.operation for outcome in self.outcomes}
        return tuple(one for one in Operation if one in used)


def outcome_as_json(outcome: Outcome) -> dict[str, Any]:
    """Render one outcome; its fault by name alone."""
    case = outcome.case
    return {
        "operation": str(case.operation),
        "fault": case.fault.name,
        "moment": str(case.moment),
        "target": str(case.target),
        "exit_code": outcome.exit_code,
        "seconds": round(outcome.seconds, 2),
        "message": outcome.message,
        "problems": list(outcome.problems),
    }


def outcome_from_json(values: Mapping[str, Any], faults: Iterable[Fault]) -> Outcome:
    """Read one outcome, whose fault is one of ``faults``. Raises LookupError or ValueError."""
    named = {one.name: one for one in faults}
    case = Case(
        Operation(values["operation"]),
        named[values["fault"]],
        Moment(values["moment"]),
        Target(values["target"]),
    )
    problems = tuple(map(str, values["problems"]))
    seconds, code = float(values["seconds"]), int(values["exit_code"])
    return Outcome(case, code, seconds, str(values["message"]), problems)


def result_as_json(result: Result) -> dict[str, Any]:
    """Render a campaign; its outcomes in the order of their identifiers."""
    return {
        "schema": SCHEMA,
        "made": result.made,
        "dockyard": result.dockyard,
        "command": result.command,
        "operations": {str(one): one.typed for one in result.operations},
        "faults": [{**asdict(one), "family": str(one.family)} for one in result.faults],
        "outcomes": [
            outcome_as_json(one) for one in sorted(result.outcomes, key=lambda one: str(one.case))
        ],
    }


def result_from_json(values: Mapping[str, Any]) -> Result:
    """Read a campaign back. Raises LookupError, TypeError or ValueError for another format."""
    if values["schema"] != SCHEMA:
        raise ValueError(f"schema {values['schema']}, not {SCHEMA}")
    faults = [Fault(**{**one, "family": Family(one["family"])}) for one in values["faults"]]
    outcomes = tuple(outcome_from_json(one, faults) for one in values["outcomes"])
    return Result(values["made"], values["dockyard"], values["command"], outcomes)
