"""Records of made-up builds of one project, to vary and to compare.

The steps are those of a Dockerfile that Dockyard renders, by short names: see ``Made.steps``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dockyard.build_inputs import SHOWN_CHARACTERS
from dockyard.record_parts import (
    FileRecord,
    InputsRecord,
    InstructionRecord,
    LayerRecord,
    PackageRecord,
    StepRecord,
)
from dockyard.records import BuildRecord
from support.records import make_record

__all__ = ["ALL", "Made"]

PYTHON, UV = "docker.io/library/python:3.13-slim", "ghcr.io/astral-sh/uv:0.13.9"
MOUNTS = (
    "--mount=type=bind,from=uv-tool,source=/uv,target=/usr/local/bin/uv "
    "--mount=type=bind,from=scripts,target=/scripts"
)
CACHED = "--mount=type=cache,id=dockyard-uv,target=/var/cache/uv"
LOCKED = (
    "--mount=type=bind,source=pyproject.toml,target=/p --mount=type=bind,source=uv.lock,target=/l"
)

# Seconds that a step takes when it runs.
SECONDS = {"install": 0.1, "venv": 0.3, "assignment": 0.02, "plan": 0.2, "workdir": 0.1}
DEFAULT_SECONDS = {"dep": 4.0, "copy": 0.4, "src": 0.05, "scripts": 0.04, "extra": 1.0, "apt": 6.0}

ALL = ("install", "venv", "assignment", "plan", "dep1", "dep2", "workdir", "copy-env", "copy-dep1",
       "copy-dep2", "src", "scripts")  # fmt: skip


def digest(text: object) -> str:
    return hashlib.sha256(str(text).encode()).hexdigest()


def shortened(text: str) -> str:
    """Cut a line as records do."""
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def image_digest(text: str) -> str:
    return f"sha256:{digest(text)}"


@dataclass(frozen=True)
class Made:
    """One state of the project; ``record`` is a build of it in which the named steps ran.

    ``packages``: (version, layer, bytes) by name; ``files``: (content, bytes) by path; ``lines``:
    what a line of the Dockerfile is instead, by the step's name; ``more``: lines after the last
    step of the application's stage, by name, and ``arguments_in`` declares ARGs before the plan's;
    ``given_plan``: the plan was a build context, and its stage is not reached.
    """

    packages: Mapping[str, tuple[str, int, int]] = field(
        default_factory=lambda: {
            "scipy": ("1.15.1", 1, 35_000_000),
            "redis": ("5.3.0", 2, 230_000),
            "click": ("8.1.0", 2, 98_000),
        }
    )
    files: Mapping[str, tuple[str, int]] = field(
        default_factory=lambda: {
            "pyproject.toml": ("project", 900),
            "uv.lock": ("lock", 52_000),
            "src/app/main.py": ("main", 4_000),
            "src/app/util.py": ("util", 1_000),
            "scripts/run.sh": ("run", 300),
        }
    )
    lines: Mapping[str, str] = field(default_factory=dict)
    heredocs: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=lambda: {"EXTRAS": "cpu"})
    settings: Mapping[str, tuple[Any, str]] = field(default_factory=dict)
    python: str = "python one"
    uv: str = "uv one"
    python_name: str = PYTHON
    builder: tuple[str, str, str | None] = ("default", "docker", "engine-1")
    platforms: tuple[str, ...] = ("linux/amd64",)
    scope: Mapping[str, str] | None = None
    no_cache: bool = False
    layers: int = 2
    slim: str = "bytecode"
    given_plan: bool = False

    def but(self, **changes: Any) -> Made:
        return replace(self, **changes)

    def with_files(self, **changes: tuple[str, int] | None) -> Made:
        """Change files; ``__`` in a name stands for a slash, ``_dot_`` for a dot."""
        files = dict(self.files)
        for name, value in changes.items():
            path = name.replace("__", "/").replace("_dot_", ".")
            if value is None:
                del files[path]
            else:
                files[path] = value
        return replace(self, files=files)

    def with_packages(self, **changes: tuple[str, int, int] | None) -> Made:
        """Change packages, and uv.lock with them."""
        packages = {
            name: one for name, one in {**self.packages, **changes}.items() if one is not None
        }
        return replace(
            self, packages=packages, files={**self.files, "uv.lock": (str(packages), 52_100)}
        )

    # The Dockerfile: (name of the step or "", stage, text, kind, steps and images it builds on).

    def _plain_lines(self) -> list[tuple[str, str | None, str, str, tuple[str, ...]]]:
        numbers = range(1, self.layers + 1)
        assignment = "\n".join(f"{one[1]} {name}" for name, one in sorted(self.packages.items()))
        self_lines: list[tuple[str, str | None, str, str, tuple[str, ...]]] = [
            ("", None, f"ARG PYTHON_IMAGE={self.python_name}", "", ()),
            ("", None, f"ARG UV_IMAGE={UV}", "", ()),
            ("", "uv-tool", "FROM ${UV_IMAGE} AS uv-tool", "", ()),
            ("", "scripts", "FROM scratch AS scripts", "", ()),
            ("install", "scripts", "COPY --chmod=0755 <<'install-layer' /", "copy", ()),
            ("", "dependency-builder", "FROM ${PYTHON_IMAGE} AS dependency-builder", "", ()),
            ("env", "dependency-builder", "ENV PYTHONHASHSEED=0 UV_LINK_MODE=copy", "", ()),
            ("", "environment", "FROM dependency-builder AS environment", "", ()),
            ("venv", "environment", f"RUN {MOUNTS} uv venv /opt/venv", "run",
             ("env+", "python", "install", "uv")),
            ("", "plan", "FROM ${PYTHON_IMAGE} AS plan", "", ()),
            ("assignment", "plan", f"COPY <<'ASSIGNMENT' /plan/assignment\0{assignment}", "copy",
             ("python",)),
            ("", "plan", 'ARG EXTRAS="cpu"', "", ()),
            ("plan", "plan", f"RUN {MOUNTS} {LOCKED} <<'SCRIPT'", "run",
             ("assignment", "install", "uv")),
        ]  # fmt: skip
        for number in numbers:
            stage = f"dependencies-{number}"
            mount = f"--mount=type=bind,from=plan,source=/plan/{number},target=/plan"
            self_lines += [
                ("", stage, f"FROM dependency-builder AS {stage}", "", ()),
                (f"dep{number}", stage,
                 f"RUN {MOUNTS} {mount} {CACHED} install-layer {stage} "
                 f"&& finish-layer {stage} {self.slim}",
                 "run", ("env+", "python", "install", "uv", "plan")),
            ]  # fmt: skip
        self_lines += [
            ("", "app-builder", "FROM ${PYTHON_IMAGE} AS app-builder", "", ()),
            ("workdir", "app-builder", "WORKDIR /app", "file", ("python",)),
            ("copy-env", "app-builder", "COPY --link --from=environment /environment/ /",
             "copy", ("venv",)),
            *(
                (f"copy-dep{number}", "app-builder",
                 f"COPY --link --from=dependencies-{number} /dependencies-{number}/ /", "copy",
                 (f"dep{number}",))
                for number in numbers
            ),
            ("src", "app-builder", "COPY --link src /app/src", "copy", ()),
            ("scripts", "app-builder", "COPY --link scripts /app/scripts", "copy", ()),
        ]  # fmt: skip
        for name, text in self.more.items():
            kind = {"RUN": "run", "COPY": "copy"}.get(text.partition(" ")[0], "")
            self_lines.append((name, "app-builder", text, kind, ("workdir",)))
        return self_lines

    def _lines(self) -> list[tuple[str, str | None, str, str, tuple[str, ...]]]:
        """The Dockerfile with the changed lines; one that is empty is left out."""
        found = []
        for name, stage, text, kind, inputs in self._plain_lines():
            said = self.lines.get(name, text) if name else text
            for number, part in enumerate(filter(None, said.split("\n\n"))):
                # What is put before a line keeps the name for the line itself.
                last = number == said.count("\n\n")
                own = part.partition(" ")[0]
                own_kind = kind if last else {"RUN": "run", "COPY": "copy"}.get(own, "")
                found.append((name if last else f"{name}+", stage, part, own_kind, inputs))
        return found

    def _instructions(self) -> tuple[InstructionRecord, ...]:
        return tuple(
            InstructionRecord(
                stage,
                number,
                shortened(text.partition("\0")[0]),
                digest(text + self.heredocs.get(name, "")),
            )
            for number, (name, stage, text, _, _) in enumerate(self._lines(), 10)
        )

    def _steps(
        self, ran: Collection[str], unreached: Collection[str], errors: Mapping[str, str]
    ) -> tuple[StepRecord, ...]:
        python = f"FROM {self.python_name}@{image_digest(self.python)}"
        images: dict[str, tuple[str, str]] = {
            "uv": ("uv-tool", f"FROM {UV}@{image_digest(self.uv)}"),
            "python": (
                "dependency-builder",
                python,
            ),
        }
        found: list[StepRecord] = []
        if self.given_plan:
            text = "context plan load from client"
            found.append(StepRecord(None, "context", text, None, 0.0, False, True))
        for platform in self.platforms:
            shown = platform if len(self.platforms) > 1 else None
            positions: dict[str, int] = {}
            for name, (image_stage, text) in images.items():
                positions[name] = len(found)
                found.append(StepRecord(image_stage, "image", text, None, 0.0, True, False,
                                        platform=shown))  # fmt: skip
            previous = ""
            for name, stage, text, kind, inputs in self._lines():
                if not kind or (self.given_plan and stage == "plan"):
                    continue
                known = {previous} if previous.endswith("+") else set()
                on = sorted(positions[one] for one in {*inputs, *known} if one in positions)
                positions[name] = len(found)
                previous = name
                said = text.partition("\0")[0].replace("<<'SCRIPT'", "<<SCRIPT")
                said = said.replace("<<'ASSIGNMENT'", "<<ASSIGNMENT")
                runs = name in ran or f"{platform}:{name}" in ran
                stem = name.rstrip("+0123456789").partition("-")[0]
                seconds = SECONDS.get(name, DEFAULT_SECONDS.get(stem, 0.5)) if runs else 0.0
                number = len(found)
                started = f"2026-01-01T00:{number:02}:00.000Z" if runs else None
                reached = name not in unreached
                found.append(
                    StepRecord(
                        stage,
                        kind,
                        said,
                        started,
                        seconds,
                        cached=reached and not runs,
                        ran=runs,
                        error=errors.get(name),
                        platform=shown,
                        inputs=tuple(on),
                    )
                )
        return tuple(found)

    def record(
        self,
        *ran: str,
        id: str = "20260102T000000.000Z-2",  # noqa: A002
        schema: int = 2,
        unreached: Collection[str] = (),
        errors: Mapping[str, str] | None = None,
        **changes: Any,
    ) -> BuildRecord:
        """Make the record of a build of this state; ``unreached`` steps neither ran nor had to."""
        steps = self._steps(ran, unreached, errors or {})
        name, driver, identity = self.builder
        inputs = InputsRecord(
            packages=tuple(
                PackageRecord(one, version, digest((one, version)), layer, bytes=size)
                for one, (version, layer, size) in sorted(self.packages.items())
            ),
            files=tuple(
                FileRecord(path, size, digest(content))
                for path, (content, size) in sorted(self.files.items())
            ),
            dockerfile=self._instructions(),
            arguments={"PYTHON_IMAGE": self.python_name, "UV_IMAGE": UV, **self.arguments},
            base_digests={"PYTHON_IMAGE": image_digest(self.python)},
            builder_id=identity,
            platforms=self.platforms,
            cache_scope=dict(self.scope) if self.scope else None,
            no_cache=self.no_cache,
        )
        settings = {
            "dockerfile": ("docker/Dockerfile", "default"),
            "python_image": (self.python_name, "default"),
            "extras": ([], "default"),
            "build_packages": ([], "default"),
            "slim": (["bytecode"], "default"),
            "layers": (24, "default"),
            "network": ("default", "default"),
            "builder": ("auto", "default"),
            "platforms": ([], "default"),
            "copy_paths": (["src", "scripts"], "default"),
            **self.settings,
        }
        values: dict[str, Any] = {
            "id": id,
            "steps": steps,
            "settings": {
                key: {"value": value, "source": source, "origin": source.partition(" ")[0]}
                for key, (value, source) in settings.items()
            },
            "builder": {"name": name, "driver": driver, "reason": ""},
            "engine": {"platform": "linux/amd64"},
            "base_images": (
                {
                    "argument": "PYTHON_IMAGE",
                    "requested": self.python_name,
                    "resolved": self.python_name,
                    "origin": "upstream",
                },
                {"argument": "UV_IMAGE", "requested": UV, "resolved": UV, "origin": "upstream"},
            ),
            "layers": (
                LayerRecord("base", 178_000_000, compressed=60_000_000),
                LayerRecord("environment", 90_000, compressed=12_000),
                *(
                    LayerRecord(
                        f"dependencies-{number}",
                        116_000_000 // number,
                        tuple(n for n, one in self.packages.items() if one[1] == number),
                        compressed=36_000_000 // number,
                    )
                    for number in range(1, self.layers + 1)
                ),
                LayerRecord("src", 61_440, compressed=9_000),
                LayerRecord("scripts", 20_480, compressed=700),
            ),
            "inputs": inputs,
            "schema": schema,
        }
        if schema == 1:
            values["inputs"] = None
            values["steps"] = tuple(replace(one, inputs=(), platform=None) for one in steps)
        return make_record(**{**values, **changes})
