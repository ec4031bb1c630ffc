"""Record what buildx really says: one file of ``--progress=rawjson`` output for each case.

Run by hand on a machine that ``./bootstrap`` has made ready::

    PYTHONPATH=src:tests python tests/data/transcripts/record.py [case ...]

Files are ``buildx-<version>/<case>.jsonl``, standard error as buildx wrote it. Only what belongs to
this machine and this run is replaced, also inside of base64: names that are random, and the ports
of the registry and of the package index. Most cases are a small service with Dockyard's own
Dockerfile, started with the arguments that ``invoke build`` would use; the others are Dockerfiles
of a few lines, below. Builders, images and servers are temporary and go at the end.
"""

from __future__ import annotations

import argparse
import base64
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from dockyard.definition import BuildDefinition, build_environment
from dockyard.preparation import BuildOptions, prepare
from dockyard.settings import load_settings
from dockyard.state import State
from support.base import ensure_base_image, ensure_uv_image
from support.builders import throwaway_builder
from support.engine import Cleanup, docker, random_name
from support.index import PackageIndex
from support.registry import Registry
from support.service import Service
from support.wheels import make_wheel

HERE = Path(__file__).parent

WARNING = """\
from scratch as Base
COPY file /file
CMD /file
"""
MULTI_PLATFORM = """\
FROM --platform=$BUILDPLATFORM {python} AS tool
ARG TARGETARCH
RUN echo {token} $TARGETARCH > /architecture

FROM scratch
COPY --from=tool /architecture /architecture
COPY file /file
"""
FAILED_STEP = """\
FROM {python} AS tool
RUN echo {token} to-output; echo to-errors >&2; exit 7
FROM {python} AS slow
RUN echo {token} slow && sleep 60
FROM scratch
COPY --from=slow /file /file
COPY --from=tool /file /file
"""
INTERRUPTED = """\
FROM {python} AS tool
RUN echo {token} waiting && sleep 60
"""
MISSING_SOURCE = """\
FROM scratch
COPY file /file
COPY missing /missing
"""
MISSING_IN_STAGE = """\
FROM scratch AS tool
COPY file /file
FROM scratch
COPY --from=tool /missing /missing
"""
UNREACHABLE_BASE = """\
FROM 127.0.0.1:1/nothing:1
COPY file /file
"""
SYNTAX_ERROR = """\
FROM scratch
COPPY file /file
"""
COLOURS = """\
FROM {python} AS tool
RUN echo {token}; printf '\\033[31mred\\033[0m\\rover\\n::error::not a command\\n\\377\\n'; \\
    i=0; while [ $i -lt 5 ]; do i=$((i + 1)); printf "\\rprogress $i"; done; echo
"""


class Workshop:
    """A service, its servers, and everything that a case needs; one for all cases."""

    def __init__(self, stack: ExitStack, target: Path) -> None:
        self._stack = stack
        self._target = target
        self._replacements: dict[str, str] = {}
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dockyard-")))
        self.cleanup = stack.enter_context(Cleanup())
        self.registry = stack.enter_context(Registry(self.folder / "registry"))
        self.index = stack.enter_context(PackageIndex())
        self._replace(str(self.folder), "/tmp/transcripts")
        self._replace(self.registry.host, "127.0.0.1:5000")
        self._replace(self.index.url.split("/")[2], "127.0.0.1:8080")
        self.python, self.uv = ensure_base_image(), ensure_uv_image()
        self.name = random_name()
        self._replace(self.name, "service")
        self.cleanup.name("image", f"{self.name}:latest")
        self.token = self.name
        wheels = self.folder / "wheels"
        wheels.mkdir()
        for package, size in {"large-package": 200_000, "small-package": 2_000}.items():
            for version in ("1.0", "2.0"):
                # The seed is random, so that nothing of an earlier run is in the engine's cache.
                seed = f"{self.name} {version}"
                self.index.add(make_wheel(wheels, package, version, size=size, seed=seed))
        self.versions = {"large-package": "==1.0", "small-package": "==1.0"}
        self.service = Service(
            self.folder / "service",
            self.name,
            self.versions,
            index_url=self.index.url,
            python_image=self.python,
            uv_image=self.uv,
        )

    def _replace(self, text: str, by: str) -> None:
        self._replacements[text] = by

    def builder(self) -> str:
        """Make a builder of its own with an empty cache."""
        name = self._stack.enter_context(throwaway_builder())
        self._replace(name, "builder")
        return name

    def published(self, image: str, name: str) -> str:
        """Push an image of the engine to the registry, where other builders find it."""
        reference = f"{self.registry.host}/{name}"
        self.cleanup.name("image", reference)
        docker("tag", image, reference)
        docker("push", "--quiet", reference)
        return reference

    def definition(self, **environment: str) -> tuple[BuildDefinition, dict[str, str]]:
        """Return what ``invoke build`` would run for the service, and buildx's environment."""
        known = {**os.environ, **self.service.environment, **environment}
        settings = load_settings(self.service.root, known, {})
        prepared = prepare(settings, BuildOptions(), known, State(settings.root))
        for tag in prepared.definition.tags:
            self.cleanup.name("image", tag)
        return prepared.definition, build_environment(settings, known)

    def record_service(
        self, case: str, *, changes: Mapping[str, object] | None = None, **environment: str
    ) -> None:
        """Record a build of the service with parts of its definition changed."""
        definition, variables = self.definition(**environment)
        definition = replace(definition, **(changes or {}))  # type: ignore[arg-type]
        self.record(case, definition.arguments(), variables, self.service.root)

    def record_dockerfile(
        self, case: str, text: str, *options: str, interrupt_at: bytes | None = None
    ) -> None:
        """Record a build of a few lines, whose context holds one file."""
        folder = self.folder / case
        folder.mkdir()
        (folder / "file").write_text(f"{self.token}\n")
        filled = text.replace("{python}", self.python).replace("{token}", self.token)
        (folder / "Dockerfile").write_text(filled)
        arguments = ["docker", "buildx", "build", "--progress=rawjson", "--provenance=false"]
        self.record(case, [*arguments, *options, "."], dict(os.environ), folder, interrupt_at)

    def record(
        self,
        case: str,
        arguments: list[str],
        environment: Mapping[str, str],
        directory: Path,
        interrupt_at: bytes | None = None,
    ) -> None:
        """Run buildx and write what it says; SIGINT once ``interrupt_at`` is in it."""
        said = b""
        with subprocess.Popen(
            arguments,
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stderr is not None
            for line in process.stderr:
                said += line
                if interrupt_at and interrupt_at in line:
                    process.send_signal(signal.SIGINT)
                    interrupt_at = None
        path = self._target / f"{case}.jsonl"
        path.write_bytes(self._neutral(said))
        print(f"{path.name}: exit {process.returncode}, {path.stat().st_size} bytes")

    def _neutral(self, said: bytes) -> bytes:
        def plain(text: bytes) -> bytes:
            for own, neutral in self._replacements.items():
                text = text.replace(own.encode(), neutral.encode())
            return text

        def encoded(match: re.Match[bytes]) -> bytes:
            return match[1] + base64.b64encode(plain(base64.b64decode(match[2]))) + b'"'

        return re.sub(rb'("data":")([A-Za-z0-9+/=]*)"', encoded, plain(said))


def on_the_engine(shop: Workshop) -> None:
    """The everyday cases, with the ``docker`` driver."""
    shop.record_service("cold", changes={"no_cache": True})
    shop.record_service("all-cached")
    shop.service.module.write_text('"""Changed."""\n')
    shop.record_service("code-change")
    shop.service.lock(shop.versions | {"small-package": "==2.0"})
    shop.record_service("small-package-change")


def failing_installs(shop: Workshop) -> None:
    """uv's own errors: a file that is not the locked one, and no index."""
    lock = shop.service.root / "uv.lock"
    shop.service.lock(shop.versions | {"large-package": "==2.0"})
    changed = lock.read_text()
    wheel = re.search(r"large_package-2.0[^}]*sha256:([0-9a-f]{64})", changed)
    assert wheel
    lock.write_text(changed.replace(wheel[1], "0" * 64))
    shop.record_service("failed-install")
    lock.write_text(changed)
    shop.record_service("index-unreachable", UV_DEFAULT_INDEX="http://127.0.0.1:1/simple")
    shop.service.lock(shop.versions)


def other_builders(shop: Workshop) -> None:
    """The ``docker-container`` driver: loading, several platforms, registry caches."""
    images = {
        "DOCKYARD_PYTHON_IMAGE": shop.published(shop.python, "python:3.13"),
        "DOCKYARD_UV_IMAGE": shop.published(shop.uv, "uv:0.13"),
    }
    host = shop.registry.host
    first = shop.builder()
    shop.record_service(
        "container-load", changes={"builder": first, "output": "type=docker"}, **images
    )
    shop.record_dockerfile(
        "multi-platform",
        MULTI_PLATFORM.replace("{python}", images["DOCKYARD_PYTHON_IMAGE"]),
        *("--builder", first, "--platform", "linux/amd64,linux/arm64"),
        *("--output", f"type=image,name={host}/multi:latest,push=true"),
    )
    name = f"{host}/service"
    pushed = {
        "output": "type=image,compression=zstd,oci-mediatypes=true,push=true",
        "tags": (f"{name}:latest",),
    }
    cache = f"type=registry,ref={name}:cache"
    export = f"{cache},mode=max,compression=zstd,oci-mediatypes=true,image-manifest=true"
    shop.record_service(
        "registry-cache-export",
        changes={**pushed, "builder": first, "cache_from": (cache,), "cache_to": (export,)},
        **images,
    )
    second = shop.builder()
    shop.record_service(
        "registry-cache",
        changes={**pushed, "builder": second, "cache_from": (cache,), "cache_to": (export,)},
        **images,
    )
    nowhere = "type=registry,ref=127.0.0.1:1/service:cache"
    shop.record_service(
        "cache-import-failed",
        changes={**pushed, "builder": second, "cache_from": (nowhere, cache)},
        **images,
    )
    shop.record_service(
        "cache-export-ignored",
        changes={
            **pushed,
            "builder": second,
            "cache_to": (f"{nowhere},mode=max,ignore-error=true",),
        },
        **images,
    )
    shop.record_service(
        "cache-export-failed",
        changes={**pushed, "builder": second, "cache_to": (f"{nowhere},mode=max",)},
        **images,
    )
    folder = shop.folder / "cache"
    local = {
        "cache_from": (f"type=local,src={folder}",),
        "cache_to": (f"type=local,dest={folder},mode=max",),
    }
    for case in ("local-cache-export", "local-cache"):
        shop.record_service(case, changes={**pushed, **local, "builder": second}, **images)


def small_dockerfiles(shop: Workshop) -> None:
    """What goes wrong, or is said, in Dockerfiles of a few lines."""
    shop.record_dockerfile("warning", WARNING)
    shop.record_dockerfile("failed-step", FAILED_STEP)
    shop.record_dockerfile("interrupted", INTERRUPTED, interrupt_at=b'"logs"')
    shop.record_dockerfile("missing-source", MISSING_SOURCE)
    shop.record_dockerfile("missing-in-stage", MISSING_IN_STAGE)
    refused = shop.cleanup.name("image", "127.0.0.1:1/service:latest")
    shop.record_dockerfile(
        "push-refused", WARNING, "--output", f"type=image,name={refused},push=true"
    )
    shop.record_dockerfile("unreachable-base", UNREACHABLE_BASE)
    shop.record_dockerfile("syntax-error", SYNTAX_ERROR)
    shop.record_dockerfile("no-entitlement", WARNING, "--allow", "security.insecure")
    shop.record_dockerfile("colours", COLOURS)
    shop.record_dockerfile("no-builder", WARNING, "--builder", "no-such-builder")
    folder = shop.folder / "no-engine"
    folder.mkdir()
    (folder / "Dockerfile").write_text(WARNING)
    arguments = ["docker", "buildx", "build", "--progress=rawjson", "."]
    environment = {**os.environ, "DOCKER_HOST": "tcp://127.0.0.1:1"}
    shop.record("no-engine", arguments, environment, folder)


CASES: tuple[Callable[[Workshop], None], ...] = (
    small_dockerfiles,
    on_the_engine,
    failing_installs,
    other_builders,
)


@contextmanager
def workshop(target: Path) -> Iterator[Workshop]:
    with ExitStack() as stack:
        yield Workshop(stack, target)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    names = [case.__name__ for case in CASES]
    parser.add_argument("cases", nargs="*", metavar="case", help=f"of {', '.join(names)}")
    asked = parser.parse_args().cases or names
    version = re.search(r"\d+\.\d+\.\d+", docker("buildx", "version"))
    assert version
    target = HERE / f"buildx-{version[0]}"
    target.mkdir(exist_ok=True)
    with workshop(target) as shop:
        for case in CASES:
            if case.__name__ in asked:
                case(shop)


if __name__ == "__main__":
    main()
