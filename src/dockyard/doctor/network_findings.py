"""What indexes, mirrors and registries answered, and what their clocks say. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dockyard.display.format import format_bytes, format_seconds
from dockyard.doctor.findings import Finding, note, ok, problem, unknown
from dockyard.mirrors import Measurement

__all__ = [
    "CredentialFact",
    "HostAnswer",
    "ImageNeed",
    "clock_findings",
    "credential_findings",
    "mirror_findings",
    "registry_findings",
]

# A token's times may be off by a minute in most servers' eyes, a certificate's by nothing.
SKEW_NOTE = 30.0
SKEW_PROBLEM = 120.0
# A mirror below this is slower than the index is from nearly everywhere.
SLOW = 200_000
OFFLINE = "check the network, HTTPS_PROXY and DNS"


@dataclass(frozen=True)
class HostAnswer:
    """How a host answered one request: status (None: not at all), seconds, its clock's offset.

    ``skew``: this machine's clock minus the host's, in seconds (None: it sent no date).
    """

    host: str
    role: str
    status: int | None = None
    seconds: float | None = None
    skew: float | None = None
    error: str = ""

    @property
    def is_registry(self) -> bool:
        """Whether a registry's API answered, with or without a wish for a login."""
        return self.status in (200, 401)


@dataclass(frozen=True)
class ImageNeed:
    """An image that builds need, and the hosts it may come from.

    ``held`` is what the engine has: the image itself, or what stands in for it; "" is neither, and
    None is unknown.
    """

    setting: str
    reference: str
    hosts: tuple[str, ...]
    held: str | None


@dataclass(frozen=True)
class CredentialFact:
    """Whether a login is there, and never which: ``place`` says where it was found.

    ``needed`` is None where the host was not asked or did not answer.
    """

    what: str
    place: str | None
    needed: bool | None
    command: str
    error: str = ""


def mirror_findings(
    index: Measurement | None, mirrors: Sequence[Measurement], timeout: int
) -> tuple[Finding, ...]:
    """Say how the index and each of its mirrors answer. ``timeout``: how long a build waits."""
    topic = "mirrors"
    found = []
    dead = [one for one in mirrors if one.throughput is None]
    alive = [one for one in mirrors if one.throughput is not None]
    for one in alive:
        slow = one.throughput is not None and one.throughput < SLOW
        fix = "`invoke optimize --only mirrors` puts the fastest first" if slow else None
        make = note(topic, f"{one.url} is slow", _speed(one), fix)
        found.append(make if slow else ok(topic, f"{one.url} answers", _speed(one)))
    for one in dead:
        found.append(
            problem(
                topic,
                f"the mirror {one.url} is of no use",
                f"{one.problem or 'no answer'}; each build that downloads waits up to {timeout} s "
                "for it",
                "take it out of DOCKYARD_UV_MIRRORS; `invoke optimize --only mirrors` knows others",
            )
        )
    if index is None:
        return tuple(found)
    if index.throughput is not None:
        found.append(ok(topic, f"the index {index.url} answers", _speed(index)))
    elif alive:
        summary = f"the index {index.url} does not answer; its mirrors do"
        found.append(note(topic, summary, index.problem or "no answer"))
    elif index.latency is not None:
        summary = f"the index {index.url} answers, but gave no file to measure"
        found.append(note(topic, summary, index.problem))
    else:
        found.append(
            problem(
                topic,
                f"the index {index.url} does not answer: no package can be downloaded",
                index.problem or "no answer",
                f"{OFFLINE}, or set DOCKYARD_UV_MIRRORS (`invoke optimize --only mirrors`)",
            )
        )
    return tuple(found)


def _speed(one: Measurement) -> str:
    latency = f"{one.latency * 1000:.0f} ms" if one.latency is not None else "–"
    speed = f"{format_bytes(one.throughput)}/s" if one.throughput is not None else "–"
    return f"{latency}, {speed} over {format_bytes(one.received)}"


def registry_findings(
    answers: Mapping[str, HostAnswer], needs: Sequence[ImageNeed], target: str | None
) -> tuple[Finding, ...]:
    """Say where base images come from, and whether the registry that is pushed to answers.

    ``answers``: by host; ``target``: the host of DOCKYARD_REGISTRY.
    """
    topic = "registries"
    found = []
    if target and (answer := answers.get(target)):
        if answer.is_registry:
            found.append(ok(topic, f"{target} answers", _said(answer)))
        else:
            fix = f"check DOCKYARD_REGISTRY and that {target} is up; {OFFLINE}"
            summary = f"{target}, which images and cache are pushed to, does not answer"
            found.append(problem(topic, summary, _said(answer), fix))
    for need in needs:
        reachable = [host for host in need.hosts if host in answers and answers[host].is_registry]
        silent = [answers[host] for host in need.hosts if host in answers and host not in reachable]
        said = "; ".join(f"{one.host}: {_said(one)}" for one in silent)
        if reachable:
            first = answers[reachable[0]]
            if silent:
                summary = f"{need.reference} comes from {first.host}, another does not answer"
                found.append(note(topic, summary, said, "take it out of DOCKYARD_IMAGE_MIRRORS"))
            else:
                found.append(ok(topic, f"{need.reference} comes from {first.host}", _said(first)))
        elif need.held:
            stands_in = f"{need.held} stands in for {need.reference}"
            summary = f"{need.reference} is in the engine"
            found.append(ok(topic, summary if need.held == need.reference else stands_in, said))
        elif need.held is None:
            found.append(
                unknown(
                    topic,
                    f"no registry of {need.reference} answers, no engine could be asked",
                    said,
                )
            )
        else:
            found.append(
                problem(
                    topic,
                    f"{need.reference} is in no registry that answers, and not in the engine",
                    said,
                    "set DOCKYARD_IMAGE_MIRRORS to one that does, or `invoke init --local-images`",
                )
            )
    return tuple(found) or (ok(topic, "none is needed"),)


def _said(answer: HostAnswer) -> str:
    if answer.status is None:
        return answer.error or "no answer"
    took = f" in {format_seconds(answer.seconds)}" if answer.seconds is not None else ""
    return f"{answer.status}{took}"


def credential_findings(facts: Sequence[CredentialFact]) -> tuple[Finding, ...]:
    """Say of each login whether it is there and where; never what it is."""
    topic = "credentials"
    found = []
    for one in facts:
        if one.error:
            found.append(
                problem(topic, f"the login of {one.what} is unusable", one.error, one.command)
            )
        elif one.place:
            found.append(ok(topic, f"{one.what}: present", f"from {one.place}"))
        elif one.needed:
            summary = f"{one.what} wants a login, and there is none"
            found.append(problem(topic, summary, "it answers 401", one.command))
        elif one.needed is None:
            found.append(note(topic, f"{one.what}: no login, and it was not asked for one"))
        else:
            found.append(ok(topic, f"{one.what}: no login, and none is needed"))
    return tuple(found) or (ok(topic, "no registry or index here needs one"),)


def clock_findings(answers: Sequence[HostAnswer], engine_skew: float | None) -> tuple[Finding, ...]:
    """Compare this machine's clock with those of hosts that answered, and with the engine's."""
    topic = "clock"
    skews = [one for one in answers if one.skew is not None]
    found = []
    if skews:
        # The median: one server with a wrong clock says nothing of ours.
        ordered = sorted(skews, key=lambda one: one.skew or 0.0)
        middle = ordered[len(ordered) // 2]
        where = f"{_offset(middle.skew or 0.0)} by {middle.host}"
        found.append(
            _clock(
                "this machine's clock", middle.skew or 0.0, where, "sudo timedatectl set-ntp true"
            )
        )
    else:
        found.append(unknown(topic, "nobody answered who could tell the time"))
    if engine_skew is not None:
        where = f"{_offset(-engine_skew)} compared with this machine's"
        fix = "sudo timedatectl set-ntp true, where the engine runs; or restart its machine"
        found.append(_clock("the engine's clock", engine_skew, where, fix))
    return tuple(found)


def _offset(skew: float) -> str:
    if abs(skew) < 1.5:
        return "right"
    return f"{abs(skew):.0f} s {'fast' if skew > 0 else 'slow'}"


def _clock(whose: str, skew: float, evidence: str, fix: str) -> Finding:
    topic = "clock"
    if abs(skew) <= SKEW_NOTE:
        return ok(topic, f"{whose} is right", evidence)
    if abs(skew) <= SKEW_PROBLEM:
        return note(topic, f"{whose} is off", evidence, f"`{fix}`")
    return problem(topic, f"{whose} is off: certificates and tokens fail", evidence, f"`{fix}`")
