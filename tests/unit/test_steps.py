"""Vertex names taken apart, by names that BuildKit and buildx were seen to use."""

from __future__ import annotations

import pytest

from dockyard.steps import StepKind, StepName, parse_step_name, short_instruction
from support.transcripts import TRANSCRIPTS, read

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param(
            "[app-builder 5/5] COPY --link src /app/src",
            StepName(StepKind.COPY, "COPY --link src /app/src", "app-builder", None, 5, 5),
            id="copy",
        ),
        pytest.param(
            "[app-builder 5/5] LINK COPY --link src /app/src",
            StepName(StepKind.MERGE, "LINK COPY --link src /app/src", "app-builder", None, 5, 5),
            id="merge",
        ),
        pytest.param(
            "[2/2] RUN echo one     && echo two",
            StepName(StepKind.RUN, "RUN echo one && echo two", None, None, 2, 2),
            id="the only stage, unnamed",
        ),
        pytest.param(
            "[stage-1 1/2] COPY --from=tool /a /a",
            StepName(StepKind.COPY, "COPY --from=tool /a /a", "stage-1", None, 1, 2),
            id="unnamed stage",
        ),
        pytest.param(
            "[linux/arm64 stage-1 2/2] COPY file /file",
            StepName(StepKind.COPY, "COPY file /file", "stage-1", "linux/arm64", 2, 2),
            id="platform",
        ),
        pytest.param(
            "[linux/arm/v7 2/2] RUN true",
            StepName(StepKind.RUN, "RUN true", None, "linux/arm/v7", 2, 2),
            id="platform variant, no stage",
        ),
        pytest.param(
            "[linux/amd64->arm64 tool 2/2] RUN make",
            StepName(StepKind.RUN, "RUN make", "tool", "linux/amd64->arm64", 2, 2),
            id="cross-built",
        ),
        pytest.param(
            f"[uv-tool 1/1] FROM registry.test/uv:1@{DIGEST}",
            StepName(
                StepKind.IMAGE, f"FROM registry.test/uv:1@{DIGEST}", "uv-tool", None, 1, 1
            ),
            id="base image",
        ),
        pytest.param(
            "[final 2/9] WORKDIR /app",
            StepName(StepKind.FILE, "WORKDIR /app", "final", None, 2, 9),
            id="workdir",
        ),
        pytest.param(
            "[final 3/9] ADD https://example.test/x /x",
            StepName(StepKind.FILE, "ADD https://example.test/x /x", "final", None, 3, 9),
            id="add",
        ),
        pytest.param(
            "[plan 2/2] RUN <<EOF (set -eu...)\nset -eu\nEOF",
            StepName(StepKind.RUN, "RUN <<EOF (set -eu...) set -eu EOF", "plan", None, 2, 2),
            id="here-document",
        ),
        pytest.param(
            "[internal] load build context",
            StepName(StepKind.CONTEXT, "load build context"),
            id="context",
        ),
        pytest.param(
            "[internal] load .dockerignore",
            StepName(StepKind.INTERNAL, "load .dockerignore"),
            id="dockerignore",
        ),
        pytest.param(
            "[linux/amd64 internal] load metadata for python:3.13",
            StepName(StepKind.INTERNAL, "load metadata for python:3.13", platform="linux/amd64"),
            id="metadata for a platform",
        ),
        pytest.param(
            "[auth] library/python:pull token for registry-1.docker.io",
            StepName(StepKind.AUTH, "library/python:pull token for registry-1.docker.io"),
            id="auth",
        ),
        pytest.param(
            "[context models] load from client",
            StepName(StepKind.CONTEXT, "context models load from client"),
            id="named context",
        ),
        pytest.param(
            "importing cache manifest from local:14551151568307428448",
            StepName(
                StepKind.CACHE_IMPORT, "importing cache manifest from local:14551151568307428448"
            ),
            id="cache import",
        ),
        pytest.param(
            "exporting cache to GitHub Actions Cache",
            StepName(StepKind.CACHE_EXPORT, "exporting cache to GitHub Actions Cache"),
            id="cache export",
        ),
        pytest.param(
            "exporting to image", StepName(StepKind.EXPORT, "exporting to image"), id="export"
        ),
        pytest.param(
            "importing to docker", StepName(StepKind.EXPORT, "importing to docker"), id="load"
        ),
        pytest.param(
            "pushing example.test/a with docker",
            StepName(StepKind.EXPORT, "pushing example.test/a with docker"),
            id="push by the engine",
        ),
        pytest.param(
            "resolve image config for docker-image://docker.io/docker/dockerfile:1",
            StepName(
                StepKind.INTERNAL,
                "resolve image config for docker-image://docker.io/docker/dockerfile:1",
            ),
            id="syntax line, resolved",
        ),
        pytest.param(
            f"docker-image://docker.io/docker/dockerfile:1@{DIGEST}",
            StepName(StepKind.IMAGE, f"docker-image://docker.io/docker/dockerfile:1@{DIGEST}"),
            id="syntax line, pulled",
        ),
        pytest.param("[", StepName(StepKind.OTHER, "["), id="a bracket"),
        pytest.param(
            "[a 1/0x] RUN x", StepName(StepKind.OTHER, "[a 1/0x] RUN x"), id="no position"
        ),
        pytest.param(
            "[x 1/2] VOLUME /data",
            StepName(StepKind.OTHER, "VOLUME /data", "x", None, 1, 2),
            id="unknown instruction",
        ),
        pytest.param(
            "something new in BuildKit",
            StepName(StepKind.OTHER, "something new in BuildKit"),
            id="unknown",
        ),
    ],
)  # fmt: skip
def test_names_are_taken_apart(name: str, expected: StepName) -> None:
    assert parse_step_name(name) == expected


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("RUN --mount=type=bind,from=a,target=/b --network=none make all", "RUN make all"),
        ("RUN --mount=type=cache,target=/c uv venv --no-cache /opt", "RUN uv venv --no-cache /opt"),
        ("COPY --link --from=tool --chmod=0755 /a /b", "COPY --from=tool /a /b"),
        ("COPY --link src /app/src", "COPY src /app/src"),
        (f"FROM python:3.13@{DIGEST}", "FROM python:3.13"),
        ("RUN --device=gpu x", "RUN --device=gpu x"),
        ("WORKDIR /app", "WORKDIR /app"),
        ("COPY", "COPY"),
        ("exporting to image", "exporting to image"),
    ],
    ids=[
        "mounts",
        "own flags",
        "from stays",
        "link",
        "digest",
        "unknown flag",
        "none",
        "bare",
        "-",
    ],
)
def test_instructions_are_shortened(instruction: str, expected: str) -> None:
    assert short_instruction(instruction) == expected


@pytest.mark.parametrize("case", sorted(path.stem for path in TRANSCRIPTS.glob("*.jsonl")))
def test_every_recorded_name_is_known(case: str) -> None:
    assert [step.instruction for step in read(case).steps if step.kind == StepKind.OTHER] == []
