"""The two linters of a Dockerfile: BuildKit's own checks, and hadolint where it is installed."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dockyard import process
from dockyard.checks.verdicts import Finding
from dockyard.errors import CheckUnavailableError

if TYPE_CHECKING:
    from dockyard.checks.workbench import Workbench

__all__ = [
    "IGNORED",
    "buildkit_findings",
    "find_hadolint",
    "hadolint_findings",
    "parse_buildkit",
    "parse_hadolint",
    "without_copied_texts",
]

SECONDS = 120.0
# Rules that do not fit here, and why not.
IGNORED = {
    "SecretsUsedInArgOrEnv": "the check “secrets” names these, and what reached the image",
    "DL3002": "the check “non-root” asks the image itself",
    "DL3006": "the check “base-pinned” asks for more than a tag",
    "DL3007": "the check “base-pinned” asks for more than a tag",
    "DL3008": "Debian's archives drop old versions, so that a pinned one stops building",
    "DL3018": "Alpine's archives drop old versions, so that a pinned one stops building",
    "DL3064": "the check “secrets” names these, and what reached the image",
    "DL3042": "uv's and pip's caches are mounts, which are no part of a layer",
}
_COUNTED = ("error", "warning")
_PARSE_ERROR = "DL1000"
_HEREDOC = re.compile(r"<<-?\s*(?:\"([^\"\s]+)\"|'([^'\s]+)'|([A-Za-z_][\w.-]*))")


def buildkit_findings(workbench: Workbench) -> tuple[Finding, ...]:
    """Run ``docker buildx build --call check``, which builds nothing.

    Raises CheckUnavailableError where this buildx or BuildKit cannot.
    """
    settings = workbench.settings
    arguments = ["docker", "buildx", "build", "--call", "check,format=json"]
    builder = workbench.engine.context if settings.builder == "auto" else settings.builder
    arguments += ["--builder", builder, "--file", settings.dockerfile]
    for image in workbench.base_images:
        arguments += ["--build-arg", f"{image.argument}={image.resolved}"]
    done = process.run(
        [*arguments, settings.project],
        environment=workbench.environment,
        directory=settings.root,
        timeout=SECONDS,
    )
    return parse_buildkit(done.stdout, done.stderr, settings.dockerfile)


def parse_buildkit(stdout: str, stderr: str, dockerfile: str) -> tuple[Finding, ...]:
    """Read what the call printed (buildx, ``--call=check,format=json``: ``lint.LintResults``).

    A Dockerfile that cannot be parsed is a finding, and on standard error alone.
    """
    try:
        answer = json.loads(stdout)
    except ValueError:
        errors = [line for line in stderr.splitlines() if line.startswith("ERROR:")]
        said = errors[-1].removeprefix("ERROR:").strip() if errors else stderr.strip()[-300:]
        match = re.search(r"parse error(?: on line (\d+))?:?\s*(.*)", said, re.DOTALL)
        if match or "dockerfile" in said.lower():
            line = int(match[1]) if match and match[1] else None
            return (Finding(said, line, dockerfile),)
        raise CheckUnavailableError(
            f"BuildKit's checks do not run: {said}",
            hint="they need Docker Engine 27 and buildx 0.15: `docker version`",
        ) from None
    found = [
        Finding(
            f"{one['ruleName']}: {one.get('detail') or one['description']}", _line(one), dockerfile
        )
        for one in answer.get("warnings") or ()
        if one["ruleName"] not in IGNORED
    ]
    if error := answer.get("buildError"):
        found.append(Finding(str(error.get("message", error)), _line(error), dockerfile))
    return tuple(found)


def _line(values: dict[str, Any]) -> int | None:
    ranges = (values.get("location") or {}).get("ranges") or ()
    line = ranges[0].get("start", {}).get("line") if ranges else None
    return line if isinstance(line, int) and line > 0 else None


def find_hadolint() -> str | None:
    """Find hadolint on the path, or beside this Python, where its wheel puts it."""
    beside = Path(sys.executable).with_name("hadolint")
    return shutil.which("hadolint") or (str(beside) if beside.is_file() else None)


def without_copied_texts(text: str) -> str:
    """Blank the here-documents of COPY and ADD, line by line.

    They are files, which are no concern of hadolint's; and its parser (language-docker 13) takes
    an instruction that follows one for a part of it.
    """
    lines = text.split("\n")
    position = 0
    while position < len(lines):
        line = lines[position]
        position += 1
        if not re.match(r"\s*(?:ADD|COPY)\b", line, re.IGNORECASE):
            continue
        for match in _HEREDOC.finditer(line):
            delimiter = next(filter(None, match.groups()))
            lines[position - 1] = lines[position - 1].replace(match[0], "text", 1)
            while position < len(lines):
                ended = lines[position].strip("\t") == delimiter
                lines[position] = "#"
                position += 1
                if ended:
                    break
    return "\n".join(lines)


def hadolint_findings(workbench: Workbench) -> tuple[Finding, ...]:
    """Run hadolint. Raises CheckUnavailableError where there is none or it does not understand."""
    program = find_hadolint()
    if program is None:
        raise CheckUnavailableError(
            "it is not installed", hint="`pip install 'dockyard[check]'` brings it"
        )
    ignored = [word for rule in IGNORED if rule.startswith("DL") for word in ("--ignore", rule)]
    done = process.run(
        [program, "--no-color", "--format", "json", *_own_settings(workbench, ignored), "-"],
        input=without_copied_texts(workbench.dockerfile).encode(),
        directory=workbench.settings.root,
        timeout=SECONDS,
    )
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        said = (done.stderr.strip() or f"exit status {done.status}").splitlines()[-1]
        raise CheckUnavailableError(said, hint="run `hadolint` to see more") from None
    return parse_hadolint(answer, workbench.settings.dockerfile)


def _own_settings(workbench: Workbench, ignored: list[str]) -> list[str]:
    """Leave the rules to a .hadolint.yaml of the user's, which --ignore would take the place of."""
    names = (".hadolint.yaml", ".hadolint.yml")
    return [] if any((workbench.settings.root / name).is_file() for name in names) else ignored


def parse_hadolint(answer: Iterable[dict[str, Any]], dockerfile: str) -> tuple[Finding, ...]:
    """Take errors and warnings from hadolint's JSON.

    Raises CheckUnavailableError where it could not parse the Dockerfile: it has not looked at it.
    """
    findings = []
    for one in answer:
        if one.get("code") == _PARSE_ERROR:
            said = " ".join(str(one["message"]).split())
            raise CheckUnavailableError(
                f"it does not understand line {one['line']}", hint=f"it says: {said}"
            )
        if one.get("level") in _COUNTED and one.get("code") not in IGNORED:
            findings.append(Finding(f"{one['code']}: {one['message']}", one["line"], dockerfile))
    return tuple(findings)
