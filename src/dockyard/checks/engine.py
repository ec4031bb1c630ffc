"""Checks that build or run the image."""

from __future__ import annotations

import re
import secrets
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard import process
from dockyard.checks.verdicts import Finding, Verdict, judge
from dockyard.display.format import format_count, format_seconds, strip_control
from dockyard.errors import BuildFailedError, CheckUnavailableError, EngineError
from dockyard.explain_steps import counted

if TYPE_CHECKING:
    from dockyard.checks.workbench import Workbench

__all__ = [
    "check_build",
    "check_files",
    "check_reproduces",
    "check_smoke",
    "project_module",
]

SECONDS = 60.0
CONTAINER_PREFIX = "dockyard-check-"
SHOWN_LINES = 5
# “docker run” itself failed, and not what it was to run (docker-run(1), “Exit Status”).
ENGINE_STATUS = 125


def check_build(workbench: Workbench) -> Verdict:
    """Build the image as ``invoke build`` does, and load it."""
    fix = "the lines above are the step's own; `invoke build` shows the whole log"
    try:
        result = workbench.built
    except BuildFailedError as error:
        findings = [_located(str(one.message), one.where) for one in error.problems]
        return judge("build", findings, "the build failed", error.problems[0].hint or fix)
    record = result.record
    cached = sum(step.cached for step in record.steps if counted(step))
    notes = [note for note in record.notes if note.startswith("NOT the published")]
    steps = format_count(cached, "step")
    figure = f"{workbench.image} in {format_seconds(record.seconds)}, {steps} cached"
    return judge("build", (), figure, fix, notes)


def _located(message: str, where: str | None) -> Finding:
    """Take a place such as “docker/Dockerfile, line 3” apart."""
    match = re.fullmatch(r"(.+), line (\d+)", where or "")
    if match:
        return Finding(message, int(match[2]), match[1])
    return Finding(f"{where}: {message}" if where else message)


def check_files(workbench: Workbench) -> Verdict:
    """Find files of the image that two packages write with different content."""
    from dockyard.file_conflicts import image_conflicts

    plan = workbench.plan
    layers = [layer.packages for layer in plan.layers] if plan else []
    findings = [
        Finding(f"{one.path} is written by {', then '.join(one.packages)}: the last one's is there")
        for one in image_conflicts(workbench.image, layers)
    ]
    return judge(
        "files",
        findings,
        format_count(len(findings), "disputed file"),
        "install one of the packages only, or move both to the same layer to fix their order",
    )


def project_module(context: Path, name: str, copied: tuple[str, ...]) -> str | None:
    """Name the project's own module, where copied sources have one of the project's name."""
    module = re.sub(r"[-.]+", "_", name)
    for top in ("src", "."):
        places = (f"{top}/{module}/__init__.py", f"{top}/{module}.py")
        found = [place.removeprefix("./") for place in places if (context / place).is_file()]
        if any(path == one or path.startswith(f"{one}/") for path in found for one in copied):
            return module
    return None


def check_smoke(workbench: Workbench) -> Verdict:
    """Run the smoke command; without one the health check; without that, import the project."""
    settings = workbench.settings
    if settings.smoke_command:
        return _run_once(workbench, settings.smoke_command, "DOCKYARD_SMOKE_COMMAND")
    if settings.health_check:
        return _ask_for_health(workbench)
    module = project_module(workbench.context, workbench.project.name, settings.copy_paths)
    command = ("python", "-c", f"import {module}") if module else ("python", "--version")
    return _run_once(workbench, command, "the project itself")


def _run_once(workbench: Workbench, command: tuple[str, ...], whose: str) -> Verdict:
    first, *rest = command
    name = CONTAINER_PREFIX + secrets.token_hex(6)
    seconds = float(workbench.settings.smoke_seconds)
    run = ("docker", "run", "--rm", "--name", name, "--entrypoint", first, workbench.image)
    try:
        done = process.run(
            (*run, *rest),
            environment=workbench.environment,
            timeout=seconds,
        )
    finally:
        _remove(workbench, name)
    if done.status == ENGINE_STATUS:
        raise EngineError(
            f"the container does not start: {_last_lines(done.stderr)}", hint="try `docker info`"
        )
    said = shlex.join(command)
    findings = []
    if done.status < 0:
        findings.append(Finding(f"`{said}` did not end within {seconds:.0f} s"))
    elif done.status:
        findings.append(
            Finding(f"`{said}` ended with {done.status}: {_last_lines(done.stderr or done.stdout)}")
        )
    return judge("smoke", findings, f"`{said}`, of {whose}", _smoke_fix(workbench))


def _ask_for_health(workbench: Workbench) -> Verdict:
    """Start the container as it is, and run its health check in it until that is well."""
    settings = workbench.settings
    name = CONTAINER_PREFIX + secrets.token_hex(6)
    said = shlex.join(settings.health_check)
    deadline = time.monotonic() + settings.smoke_seconds
    try:
        started = process.run(
            ("docker", "run", "--detach", "--name", name, "--no-healthcheck", workbench.image),
            environment=workbench.environment,
            timeout=SECONDS,
        )
        if not started.succeeded:
            raise EngineError(
                f"the container does not start: {_last_lines(started.stderr)}",
                hint="`docker run` the image to see more",
            )
        begun, last = time.monotonic(), ""
        while True:
            asked = process.run(
                ("docker", "exec", name, *settings.health_check),
                environment=workbench.environment,
                timeout=max(deadline - time.monotonic(), 1.0),
            )
            if asked.succeeded:
                took = format_seconds(time.monotonic() - begun)
                return judge("smoke", (), f"health check `{said}` answered after {took}", "")
            last = _last_lines(asked.stderr or asked.stdout)
            state = process.run(
                ("docker", "inspect", "--format", "{{.State.Running}}", name), timeout=SECONDS
            )
            if state.stdout.strip() != "true":
                logs = process.run(("docker", "logs", "--tail", "20", name), timeout=SECONDS)
                text = _last_lines(logs.stderr or logs.stdout)
                findings = [Finding(f"the container ended before it answered: {text}")]
                break
            if time.monotonic() > deadline:
                text = f"`{said}` did not succeed within {settings.smoke_seconds} s: {last}"
                findings = [Finding(text)]
                break
            time.sleep(0.3)
    finally:
        _remove(workbench, name)
    return judge("smoke", findings, f"health check `{said}`", _smoke_fix(workbench))


def _smoke_fix(workbench: Workbench) -> str:
    return (
        f"`docker run --rm -it {workbench.image}` shows more; DOCKYARD_SMOKE_COMMAND sets another"
    )


def _last_lines(text: str) -> str:
    lines = [strip_control(line).strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-SHOWN_LINES:]) or "it said nothing"


def _remove(workbench: Workbench, name: str) -> None:
    """Remove a container of ours, running or not; it is no error where it is gone."""
    process.run(
        ("docker", "rm", "--force", "--volumes", name),
        environment=workbench.environment,
        timeout=SECONDS,
    )


def check_reproduces(workbench: Workbench) -> Verdict:
    """Build the commit on two fresh builders, and compare the images byte for byte."""
    from dockyard.reproducibility import check_reproducible

    if not workbench.base_images:
        raise CheckUnavailableError("no base image was found")
    found = check_reproducible(workbench.settings, workbench.environment)
    digest = found.images[0].manifest.removeprefix("sha256:")[:12]
    findings = []
    if not found.identical:
        findings.append(Finding(str(found.difference or "the configurations differ")))
    return judge(
        "reproducible",
        findings,
        f"manifest {digest} twice" if found.identical else "two different images",
        "see what writes that file, and take times and random names out of it",
    )
