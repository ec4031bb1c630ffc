"""What Dockyard says for each symptom of ``docs/troubleshooting.md``, made by the code itself.

``PYTHONPATH=tests python -m support.symptoms`` writes it into the page again, where a line
``<!-- said: NAME -->`` stands before a block.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import requests

from dockyard.builder_plan import Action
from dockyard.caches.registry_errors import (
    HostSecurity,
    failure_of_exception,
    failure_of_response,
)
from dockyard.checks.dockerfile import check_linked_copies
from dockyard.checks.image import check_image_size
from dockyard.checks.reports import table_lines
from dockyard.checks.verdicts import Verdict
from dockyard.context import Suggestion
from dockyard.diagnose import diagnose
from dockyard.dockerfile_syntax import parse_dockerfile
from dockyard.doctor.builder_findings import builder_findings, gc_findings
from dockyard.doctor.display import finding_lines
from dockyard.doctor.engine_findings import (
    EngineAnswer,
    buildx_findings,
    engine_findings,
    store_findings,
)
from dockyard.doctor.environment_findings import (
    AuthorityFile,
    Proxies,
    certificate_findings,
    proxy_findings,
)
from dockyard.doctor.findings import Finding
from dockyard.doctor.network_findings import (
    CredentialFact,
    HostAnswer,
    ImageNeed,
    clock_findings,
    credential_findings,
    mirror_findings,
    registry_findings,
)
from dockyard.doctor.project_findings import (
    ContextFacts,
    DockerfileFacts,
    context_findings,
    dockerfile_findings,
    lock_findings,
)
from dockyard.doctor.storage_findings import (
    CacheFolder,
    Disk,
    Leftovers,
    cache_findings,
    disk_findings,
    state_findings,
)
from dockyard.errors import DockyardError, Problem
from dockyard.explain import explain
from dockyard.explain_display import explanation_lines
from dockyard.mirrors import PRESETS, PYPI, Measurement
from dockyard.record_parts import CacheRecord, LayerRecord
from support.explained import ALL, Made
from support.findings import BUDGET, EARLY, GB, LAST, builder, change, usage
from support.transcripts import log, read, trace_of, vertex

__all__ = ["MARKER", "SYMPTOMS", "filled"]

MARKER = re.compile(r"(<!-- said: (\S+) -->\n```text\n).*?(^```$)", re.DOTALL | re.MULTILINE)
PAGE = Path(__file__).resolve().parents[2] / "docs/troubleshooting.md"
LOADS = "loads straight into the engine"
ARM = ("linux/arm64",)


def found(*findings: Iterable[Finding]) -> str:
    """As ``invoke doctor`` prints them."""
    return "\n".join(finding_lines([one for several in findings for one in several]))


def told(error: DockyardError) -> str:
    """As a task prints an error."""
    return "\n".join(f"error: {problem}" for problem in error.problems)


def checked(verdict: Verdict) -> str:
    """As ``invoke check --only`` prints a verdict that took no time."""
    return "\n".join(table_lines([verdict], None))


def evicting() -> str:
    engines_own = builder(
        name="default",
        driver="docker",
        reason=LOADS,
        dedicated=False,
        version="",
        usage=usage(layers=7 * GB, mounts=6 * GB),
        rules=(EARLY, LAST),
    )
    return found(gc_findings([engines_own], BUDGET))


MADE = Made()
NEW_BUILDER = MADE.but(builder=("dockyard", "docker-container", "volume-2"))
DEDICATED = MADE.but(builder=("dockyard", "docker-container", "volume-1"))
REFERENCE = "registry.example.com/shop:cache-linux-amd64-main"


def explained(now: Made, *ran: str, before: Made = MADE, **more: Any) -> str:
    first = before.record(*ALL, id="20260105T090000.000Z-2217")
    second = now.record(*ran, id="20260105T091500.000Z-2301", **more)
    return "\n".join(explanation_lines(explain(second, first, "the newest before it")))


def not_imported() -> str:
    caches = (CacheRecord("import", "registry", REFERENCE, 0.1, None, f"{REFERENCE}: not found"),)
    return explained(NEW_BUILDER, *ALL, before=DEDICATED, caches=caches)


def answered(status: int, body: str = "", **headers: str) -> str:
    response = requests.Response()
    response.status_code = status
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    # What requests itself fills when it reads a body.
    response._content = body.encode()
    return told(failure_of_response(response, HostSecurity("registry.example.com", False, None)))


def untrusted() -> str:
    error = ssl.SSLCertVerificationError("certificate verify failed")
    error.verify_message = "self-signed certificate in certificate chain"
    return told(failure_of_exception(error, HostSecurity("registry.example.com", False, None)))


def failing_step(name: str, *lines: str, error: str) -> str:
    step = vertex(name, 0, 1, digest="step", error=error)
    trace = trace_of(step, *(log("step", f"{line}\n") for line in lines))
    return told(diagnose(trace, 1, "docker/Dockerfile"))


def late_step() -> str:
    text = "FROM base\nCOPY --link src /app/src\nRUN python -m compileall /app\n"
    bench = SimpleNamespace(
        stages=parse_dockerfile(text), settings=SimpleNamespace(dockerfile="docker/Dockerfile")
    )
    return checked(check_linked_copies(cast(Any, bench)))


def large_image() -> str:
    layers = (
        LayerRecord("dependencies-1", 4_100_000_000, ("torch",)),
        LayerRecord("models", 900_000_000),
        LayerRecord("base", 127_000_000),
    )
    built = SimpleNamespace(
        record=SimpleNamespace(image={"content_bytes": 2_700_000_000}, layers=layers)
    )
    bench = SimpleNamespace(built=built, settings=SimpleNamespace(image_budget=2 * GB))
    return checked(check_image_size(cast(Any, bench)))


def down(text: str) -> str:
    return found(engine_findings(EngineAnswer({}, text, buildx="0.29.1")))


PYTHON = "docker.io/library/python:3.13-slim-trixie"
HUB = "registry-1.docker.io"
SILENT = HostAnswer(HUB, "registry", error="Connection timed out")
LOGIN = CredentialFact(
    "registry registry.example.com", None, True, "`docker login registry.example.com`"
)
CERTIFICATES = AuthorityFile(
    "DOCKYARD_CA_FILE",
    "certificates/company.pem",
    certificates=1,
    expires=(("Company Root CA", 1_767_225_600.0),),
    in_builder=False,
)
INSTALL = "install-layer dependencies-1 && finish-layer dependencies-1 bytecode"
OLD_ENGINE = EngineAnswer({"ServerVersion": "20.10.24"}, buildx="0.11.2")
OVERLAY = EngineAnswer({"ServerVersion": "28.5.2", "Driver": "overlay2", "DriverStatus": []})

SYMPTOMS: Mapping[str, Callable[[], str]] = {
    "slow-mirror": lambda: found(
        mirror_findings(
            Measurement(PYPI, 1.2, 90_000.0, 400_000),
            [
                Measurement(PRESETS["tuna"], 0.04, 11_000_000.0, 2_000_000),
                Measurement("https://mirror.example.com/simple", 0.9, 60_000.0, 300_000),
            ],
            10,
        )
    ),
    "evicting": evicting,
    "evicted": lambda: explained(MADE, "dep1", "copy-dep1"),
    "not-imported": not_imported,
    "no-login": lambda: found(credential_findings([LOGIN])),
    "late-step": late_step,
    "package-changed": lambda: explained(
        MADE.with_packages(redis=("5.3.1", 2, 231_000)), "plan", "dep2", "copy-dep2"
    ),
    "dead-mirror": lambda: found(
        mirror_findings(
            Measurement(PYPI, 0.1, 2_000_000.0, 2_000_000),
            [Measurement("https://mirror.example.com/simple", problem="no answer in time")],
            10,
        )
    ),
    "dead-index": lambda: found(
        mirror_findings(Measurement(PYPI, problem="Name or service not known"), [], 10)
    ),
    "disk-full": lambda: found(
        disk_findings([Disk("the project and the engine", 800_000_000, 64 * GB)])
    ),
    "no-space": lambda: failing_step(
        f"[dependencies-1 1/1] RUN {INSTALL}",
        error="failed to copy: write /var/lib/docker/x: no space left on device",
    ),
    "not-writable": lambda: found(
        cache_findings(
            CacheFolder(
                ".dockyard/cache", exists=True, refused=(".dockyard/cache/blobs",), ours=False
            ),
            BUDGET,
        )
    ),
    "builder-missing": lambda: found(builder_findings([builder(exists=False)])),
    "builder-stopped": lambda: found(
        builder_findings(
            [
                builder(
                    status="stopped",
                    change=change(Action.START, "its container is stopped"),
                )
            ]
        )
    ),
    "builder-unknown": lambda: found(
        builder_findings([builder(name="team", exists=False, dedicated=False)])
    ),
    "other-platform": lambda: failing_step(
        "[linux/arm64 dependency-builder 3/3] RUN uv venv /opt/venv",
        "exec /bin/sh: exec format error",
        error='process "/bin/sh -c uv venv" did not complete successfully: exit code: 255',
    ),
    "registry-401": lambda: answered(401, '{"errors": [{"code": "UNAUTHORIZED"}]}'),
    "registry-403": lambda: answered(403, '{"errors": [{"code": "DENIED"}]}'),
    "registry-429": lambda: answered(429, Retry_After="60"),
    "untrusted": untrusted,
    "authority-expired": lambda: found(certificate_findings([CERTIFICATES], 1_767_312_000.0)),
    "index-untrusted": lambda: failing_step(
        f"[dependencies-1 1/1] RUN {INSTALL}",
        "error: Failed to fetch: https://packages.example.com/simple/redis/",
        "  cause: client error (Connect)",
        "  cause: invalid peer certificate: UnknownIssuer",
        error='process "/bin/sh -c install-layer" did not complete successfully: exit code: 2',
    ),
    "clock": lambda: found(
        clock_findings([HostAnswer("pypi.org", "index", 200, 0.1, -420.0)], 0.0)
    ),
    "too-large": large_image,
    "engine-down": lambda: down(
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. "
        "Is the docker daemon running?"
    ),
    "engine-denied": lambda: down(
        "permission denied while trying to connect to the Docker daemon socket at "
        "unix:///var/run/docker.sock"
    ),
    "engine-old": lambda: found(engine_findings(OLD_ENGINE), buildx_findings(OLD_ENGINE)),
    "no-store": lambda: found(store_findings(OVERLAY)),
    "no-base": lambda: found(
        registry_findings({HUB: SILENT}, [ImageNeed("python_image", PYTHON, (HUB,), "")], None)
    ),
    "proxies": lambda: found(
        proxy_findings(
            Proxies(
                client={"HTTPS_PROXY": "http://proxy.example.com:3128", "NO_PROXY": "127.0.0.0/8"},
                builder={},
                engine={},
            ),
            (),
        )
    ),
    "lock-stale": lambda: found(
        lock_findings(
            [
                Problem(
                    "uv.lock is out of date: it does not have “redis”",
                    "pyproject.toml",
                    "run `uv lock`",
                )
            ],
            None,
            None,
        )
    ),
    "diverged": lambda: found(
        dockerfile_findings(DockerfileFacts("docker/Dockerfile", "diverged", 12))
    ),
    "context": lambda: found(
        context_findings(
            ContextFacts(
                ".",
                4_211,
                812_000_000,
                (
                    Suggestion("**/.env", 210, 1, "it holds secrets"),
                    Suggestion("data", 790_000_000, 3_900, "nothing copies it"),
                ),
            )
        )
    ),
    "hash": lambda: told(diagnose(read("failed-install"), 1, "docker/Dockerfile")),
    "leftovers": lambda: found(
        state_findings(
            Leftovers(
                snapshots=(".dockyard/cache/snapshots/4711",), held_by="4711", held_seconds=2.0
            )
        )
    ),
}


def filled(text: str) -> str:
    """Put into each marked block what is said; KeyError for a name that there is not."""
    return MARKER.sub(lambda match: f"{match[1]}{SYMPTOMS[match[2]]()}\n{match[3]}", text)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
