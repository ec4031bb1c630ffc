"""The cases of the network, and what is expected of each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dockyard.errors import (
    BuildFailedError,
    CacheError,
    ImageUnavailableError,
    NetworkError,
)
from faults.model import NETWORK_FAULTS, Case, Moment, Operation, Target, network_fault

__all__ = ["CASES", "REPRESENTATIVE", "Expected", "expected"]

EVERY = tuple(one.name for one in NETWORK_FAULTS)
ALL_MOMENTS = tuple(Moment)
# A certificate has expired before anything begins, and a slow network is slow throughout.
AT_FIRST = frozenset({"slow", "expired-tls"})
# Where only whole bodies count, the end is the middle of the last one.
BODIES = ("reset", "stall", "truncate", "corrupt")


def _cases(
    operation: Operation, target: Target, faults: Iterable[str], moments: Iterable[Moment]
) -> Iterator[Case]:
    moments = tuple(moments)
    for name in faults:
        for moment in moments[:1] if name in AT_FIRST else moments:
            yield Case(operation, network_fault(name), moment, target)


def _without(*left: str) -> tuple[str, ...]:
    return tuple(one for one in EVERY if one not in left)


B, M, E = Moment.BEFORE, Moment.MIDDLE, Moment.END
CASES: tuple[Case, ...] = (
    *_cases(Operation.BUILD, Target.INDEX, EVERY, (B, M)),
    *_cases(Operation.BUILD, Target.INDEX, BODIES, (E,)),
    *_cases(Operation.BUILD, Target.MIRROR, EVERY, (M,)),
    *_cases(Operation.BUILD, Target.REGISTRY, _without("corrupt", "truncate", "expired-tls"), (B,)),
    *_cases(Operation.BUILD_PUSH, Target.REGISTRY, EVERY, ALL_MOMENTS),
    *_cases(Operation.PUSH, Target.REGISTRY, EVERY, ALL_MOMENTS),
    *_cases(Operation.PULL, Target.REGISTRY, EVERY, ALL_MOMENTS),
    *_cases(Operation.CACHE_PUSH, Target.REGISTRY, EVERY, ALL_MOMENTS),
    *_cases(Operation.CACHE_PULL, Target.REGISTRY, EVERY, ALL_MOMENTS),
    *_cases(Operation.CACHE_PRUNE, Target.REGISTRY, EVERY, (B, M)),
    *_cases(Operation.OPTIMIZE, Target.REGISTRY, EVERY, (B,)),
    *_cases(Operation.OPTIMIZE, Target.MIRROR, EVERY, (B,)),
    *_cases(Operation.INIT, Target.INDEX, ("reset", "stall", "503"), (B,)),
    *_cases(Operation.INIT, Target.REGISTRY, ("reset", "stall", "503"), (B,)),
)
# A handful for every day: one of each way to break, over the operations.
REPRESENTATIVE: tuple[str, ...] = (
    "build.index.corrupt.middle",
    "build.mirror.stall.middle",
    "build-push.registry.503.end",
    "push.registry.401.before",
    "pull.registry.reset.middle",
    "cache.push.registry.truncate.end",
    "cache.pull.registry.stall.middle",
    "cache.prune.registry.refuse.middle",
)

WORDS = {
    "refuse": r"refuse|cannot be reached|closed|reset|broke|EOF",
    "reset": r"reset|broke|closed|EOF|in the middle|before its end",
    "stall": r"in time|silent|said nothing|timed? ?out",
    "truncate": r"before its end|EOF|closed|broke|in the middle|incomplete|connection",
    "corrupt": r"digest|hash|other content|corrupt|damaged|does not match|malformed",
    "401": r"login|401|unauthori[sz]ed",
    "403": r"403|forbidden|not allow|login",
    "404": r"404|not found|not known|no cache|does not have|has no |not there|not the blob",
    "429": r"429|too ?many",
    "500": r"500|fails",
    "503": r"503|fails|unavailable",
    "expired-tls": r"certificate|x509",
    "redirects": r"redirect",
}
NETWORK = frozenset({NetworkError.exit_code})


@dataclass(frozen=True)
class Expected:
    """Exit codes that fit, and what the message says of the cause (a regular expression).

    ``noted``: the command succeeds without what the fault took away, and says so in a note.
    ``untouched``: it asks nobody, so the fault strikes nothing.
    """

    codes: frozenset[int]
    words: str
    noted: bool = False
    untouched: bool = False


def expected(case: Case) -> Expected:
    """Say what is expected; success is always right where everything was delivered."""
    name = case.fault.name
    words = WORDS.get(name, "")
    if case.operation is Operation.INIT:
        return Expected(frozenset(), words, untouched=True)
    if case.operation is Operation.OPTIMIZE or (
        case.operation is Operation.BUILD and case.target is Target.REGISTRY
    ):
        return Expected(frozenset(), words, noted=name not in ("slow", "404", "429"))
    codes = set(NETWORK)
    if name == "slow" or case.target is Target.MIRROR:
        return Expected(frozenset(), words)
    if name == "corrupt":
        codes |= {CacheError.exit_code}
        if case.operation is Operation.BUILD:
            codes |= {BuildFailedError.exit_code}
    if name == "404":
        codes |= {ImageUnavailableError.exit_code, CacheError.exit_code}
        if case.operation is Operation.BUILD:
            codes |= {BuildFailedError.exit_code}
    return Expected(frozenset(codes), words)
