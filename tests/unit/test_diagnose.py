"""Why a build failed: recorded failures into the error that is shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dockyard.builders import BuilderChoice
from dockyard.diagnose import diagnose
from dockyard.errors import (
    BuilderError,
    BuildFailedError,
    CacheError,
    DiskFullError,
    DockerfileError,
    DockyardError,
    EngineError,
    ImageUnavailableError,
    NetworkError,
    ProjectError,
)
from dockyard.trace import BuildTrace
from support.transcripts import log, read, trace_of, vertex

DOCKERFILE = "docker/Dockerfile"


@pytest.mark.parametrize(
    ("case", "kind", "message", "where", "hint"),
    [
        (
            "failed-install",
            BuildFailedError,
            "dependencies-1: the package index http://127.0.0.1:8080/simple served a file that",
            None,
            "uv lock --upgrade-package",
        ),
        (
            "index-unreachable",
            NetworkError,
            "dependencies-1: the package index http://127.0.0.1:1/simple cannot be reached",
            None,
            "UV_DEFAULT_INDEX",
        ),
        (
            "failed-step",
            BuildFailedError,
            "tool: RUN echo service to-output; echo to-errors >&2; exit 7\n"
            "    service to-output\n    to-errors",
            f"{DOCKERFILE}, line 2",
            "own last output",
        ),
        (
            "missing-source",
            ProjectError,
            "missing is not in the build context: it does not exist, or .dockerignore keeps it out",
            f"{DOCKERFILE}, line 3",
            "invoke context",
        ),
        (
            "missing-in-stage",
            BuildFailedError,
            "/missing is not in tool, which it is to be copied from",
            f"{DOCKERFILE}, line 4",
            "stage",
        ),
        (
            "unreachable-base",
            ImageUnavailableError,
            "the base image 127.0.0.1:1/nothing:1 cannot be loaded\n    failed to do request",
            f"{DOCKERFILE}, line 1",
            "DOCKYARD_IMAGE_MIRRORS",
        ),
        (
            "syntax-error",
            DockerfileError,
            "dockerfile parse error on line 2: unknown instruction: COPPY (did you mean COPY?)",
            f"{DOCKERFILE}, line 2",
            "mend the line",
        ),
        (
            "no-builder",
            BuilderError,
            "there is no builder no-such-builder",
            "DOCKYARD_BUILDER",
            "docker buildx ls",
        ),
        ("no-engine", EngineError, "no Docker Engine answers", None, "DOCKER_HOST"),
        (
            "no-entitlement",
            BuilderError,
            "granting entitlement security.insecure is not allowed by build daemon configuration",
            None,
            "--allow-insecure-entitlement security.insecure",
        ),
        (
            "push-refused",
            NetworkError,
            "the image is built and cannot be pushed\n    failed to push 127.0.0.1:1/service",
            "DOCKYARD_REGISTRY",
            "docker login",
        ),
        (
            "cache-export-failed",
            CacheError,
            "exporting cache to registry failed\n    error writing layer blob",
            None,
            "ignore-error=true",
        ),
    ],
)
def test_recorded_failures(
    case: str, kind: type[DockyardError], message: str, where: str | None, hint: str
) -> None:
    error = diagnose(read(case), 1, DOCKERFILE)
    assert type(error) is kind
    (problem,) = error.problems
    assert problem.message.startswith(message)
    assert problem.where == where
    assert problem.hint is not None
    assert hint in problem.hint
    assert "failed to solve" not in problem.message


def test_uvs_own_error_is_shown_and_not_buildkits_wrapping() -> None:
    text = str(diagnose(read("failed-install"), 1, DOCKERFILE))
    assert "Failed to download `large-package==2.0`" in text
    assert "Hash mismatch for `large-package==2.0`" in text
    assert "did not complete successfully" not in text
    assert "Using CPython" not in text
    assert '"layer"' not in text


@pytest.mark.parametrize(
    ("lines", "hint"),
    [
        ("error: Failed to build `x==1`\n  cause: no gcc\n", "DOCKYARD_BUILD_PACKAGES"),
        ("  × No solution found\n  ╰─▶ x\n", "DOCKYARD_BUILD_PACKAGES"),
    ],
    ids=["error", "cross"],
)
def test_a_package_that_does_not_build(lines: str, hint: str) -> None:
    name = "[dependencies-2 1/1] RUN --mount=type=bind,from=uv-tool,target=/u install-layer x"
    trace = trace_of(
        vertex(name, 0, 1, error="exit code: 1"), log(name, f"Resolved 3 packages\n{lines}")
    )
    (problem,) = diagnose(trace, 1, DOCKERFILE).problems
    first, *shown = problem.message.split("\n")
    assert first == "dependencies-2: a package cannot be installed"
    assert shown == [f"    {one}" for one in lines.strip("\n").split("\n")]
    assert problem.hint is not None
    assert hint in problem.hint


@pytest.mark.parametrize(
    ("prefix", "asked", "platform", "emulated"),
    [
        ("linux/arm64 ", (), "linux/arm64", "arm64"),
        ("", ("linux/arm64",), "linux/arm64", "arm64"),
        ("", (), "the image's platform", "all"),
    ],
    ids=["named", "asked for", "unknown"],
)
def test_programs_of_another_platform(
    prefix: str, asked: tuple[str, ...], platform: str, emulated: str
) -> None:
    name = f"[{prefix}dependencies-1 1/1] RUN install-layer"
    for text in ("exec /bin/sh: exec format error", "Invalid ELF image for this architecture"):
        trace = trace_of(vertex(name, 0, 1, error="exit code: 255"), log(name, f"{text}\n"))
        error = diagnose(trace, 1, DOCKERFILE, platforms=asked)
        assert isinstance(error, BuilderError)
        (problem,) = error.problems
        first = f"dependencies-1: this builder cannot run programs of {platform}"
        assert problem.message == f"{first}\n    {text}"
        assert str(problem.hint).endswith(f"binfmt --install {emulated}`")


def test_a_lock_that_cannot_be_exported() -> None:
    name = "[plan 2/2] RUN uv export"
    trace = trace_of(vertex(name, 0, 1, error="exit code: 2"), log(name, "error: bad lock\n"))
    (problem,) = diagnose(trace, 1, DOCKERFILE).problems
    assert problem.message == "plan: the lock cannot be exported\n    error: bad lock"
    assert problem.hint is not None
    assert "uv lock --check" in problem.hint


@pytest.mark.parametrize(
    "text",
    [
        "write /var/lib/x: no space left on device",
        "error: Failed to install x: No space left on device (os error 28)",
    ],
    ids=["engine", "uv"],
)
def test_a_full_disk_is_named_wherever_it_shows(text: str) -> None:
    name = "[dependencies-1 1/1] RUN install-layer"
    in_log = trace_of(vertex(name, 0, 1, error="exit code: 1"), log(name, f"{text}\n"))
    in_error = trace_of(vertex(name, 0, 1, error=text))
    in_noise = trace_of(f"ERROR: failed to build: failed to solve: {text}\n".encode())
    for trace in (in_log, in_error, in_noise):
        assert isinstance(diagnose(trace, 1, DOCKERFILE), DiskFullError)


def test_an_image_that_fails_when_it_is_pulled() -> None:
    trace = trace_of(
        vertex("[a 1/2] FROM python:3.13@sha256:" + "0" * 64, 0, 1, error="unexpected EOF")
    )
    error = diagnose(trace, 1, DOCKERFILE)
    assert isinstance(error, ImageUnavailableError)
    assert "python:3.13@sha256:" in error.problems[0].message


def test_a_frontend_that_cannot_be_resolved() -> None:
    name = "resolve image config for docker-image://docker.io/docker/dockerfile:1"
    error = diagnose(trace_of(vertex(name, 0, 1, error="i/o timeout")), 1, DOCKERFILE)
    assert isinstance(error, ImageUnavailableError)
    assert error.problems[0].message.startswith("the base image docker.io/docker/dockerfile:1 ")


def test_a_failed_import_does_not_hide_the_cause() -> None:
    trace = trace_of(
        vertex("importing cache manifest from a:b", 0, 1, error="a:b: not found"),
        vertex("[1/1] COPY x /x", 0, 1, error='failed to compute cache key: x y: "/x": not found'),
    )
    assert isinstance(diagnose(trace, 1, DOCKERFILE), ProjectError)


def test_a_long_log_is_shown_by_its_end() -> None:
    name = "[2/2] RUN make"
    text = "".join(f"line {number}\n" for number in range(100))
    trace = trace_of(vertex(name, 0, 1, error="exit code: 2"), log(name, text))
    lines = diagnose(trace, 1, DOCKERFILE).problems[0].message.split("\n")
    assert lines == ["RUN make", *(f"    line {number}" for number in range(80, 100))]


def test_a_log_cannot_drive_the_terminal() -> None:
    name = "[2/2] RUN make"
    trace = trace_of(
        vertex(name, 0, 1, error="exit code: 2"), log(name, "\x1b[2J\x1b]0;x\x07bad\n")
    )
    assert diagnose(trace, 1, DOCKERFILE).problems[0].message == "RUN make\n    bad"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([b"ERROR: first\n", b"ERROR: failed to solve: second\n", b"note\n"], "second"),
        ([b"something\n", b"\n", b"else\n"], "something\nelse"),
        ([], "docker buildx ended with status 17"),
    ],
    ids=["the last error", "no error", "nothing"],
)
def test_without_a_failed_step_the_text_speaks(lines: list[bytes], message: str) -> None:
    error = diagnose(trace_of(*lines), 17, DOCKERFILE)
    assert isinstance(error, BuildFailedError)
    assert error.problems[0].message == message


def test_a_script_that_names_an_error_is_no_such_error() -> None:
    """buildx shows the lines of the Dockerfile around a failed step: they are no output of it."""
    excerpt = [
        "Dockerfile:12",
        "--------------------",
        '  12 | >>> FAULTS = "No space left on device"',
    ]
    trace = replace(trace_of(), noise=(*excerpt, "ERROR: failed to build: something else"))
    assert not isinstance(diagnose(trace, 1, DOCKERFILE), DiskFullError)
    full = replace(trace, noise=(*trace.noise, "write /a: no space left on device"))
    assert isinstance(diagnose(full, 1, DOCKERFILE), DiskFullError)


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("cause: error reading a body from connection", NetworkError, "cannot be reached"),
        ("cause: end of file before message length reached", NetworkError, "cannot be reached"),
        ("cause: invalid peer certificate: Expired", NetworkError, "cannot be reached"),
        ("Failed to download distribution due to network timeout", NetworkError, "cannot be"),
        ("cause: HTTP status client error (401 Unauthorized)", NetworkError, "another login"),
        ("An index (h) returned a 403 Forbidden error.", NetworkError, "login (403 Forbidden)"),
        ("Because x was not found in the package registry", BuildFailedError, "lacks a package"),
        ("cause: HTTP status client error (404 Not Found)", BuildFailedError, "lacks a package"),
        ("cause: Bad CRC (got 1, expected 2)", NetworkError, "or a damaged one"),
        ("error: Missing `Content-Type` header for `h`", NetworkError, "no page or file"),
        ("Received some unexpected JSON from `h`", NetworkError, "no page or file"),
        ("hash mismatch", BuildFailedError, "not the one in uv.lock"),
    ],
)
def test_what_is_wrong_with_an_index(said: str, kind: type[DockyardError], words: str) -> None:
    report = (
        'dockyard: {"layer": "dependencies-1", "kind": "default", "index": "https://i.example", '
        '"served": [], "rejected": ["x"], "reason": "", "seconds": 1}'
    )
    name = "[dependencies-1 1/1] RUN --mount=type=bind,from=uv-tool,target=/u install-layer x"
    trace = trace_of(
        vertex(name, 0, 1, error="exit code: 2"), log(name, f"error: x\n  {said}\n{report}\n")
    )
    error = diagnose(trace, 1, DOCKERFILE)
    assert type(error) is kind
    (problem,) = error.problems
    assert words in problem.message
    assert "dependencies-1: the package index https://i.example" in problem.message
    assert said in problem.message
    assert problem.hint


LOST = (
    "ERROR: failed to receive status: rpc error: code = Unavailable desc = error reading from "
    "server: EOF"
)


def test_a_builder_that_goes_away() -> None:
    trace = BuildTrace((), (), (LOST,))
    dedicated = BuilderChoice("dockyard", "docker-container", "asked for", dedicated=True)
    error = diagnose(trace, 1, DOCKERFILE, builder=dedicated)
    assert isinstance(error, BuilderError)
    (problem,) = error.problems
    assert problem.message.startswith("the builder dockyard (docker-container) went away")
    assert "`invoke cache.init` repairs it" in (problem.hint or "")
    own = BuilderChoice("default", "docker", "the engine's own")
    error = diagnose(trace, 1, DOCKERFILE, builder=own)
    assert isinstance(error, EngineError)
    assert "went away during the build: failed to receive status" in error.problems[0].message
