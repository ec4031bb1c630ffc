"""What a build was made of, for its record: read beside buildx, while that runs.

Nothing here fails a build: what cannot be read is named, with the reason, in
``InputsRecord.unknown``.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from dockyard.base_images import normalise
from dockyard.errors import DockyardError
from dockyard.record_parts import FileRecord, InputsRecord, InstructionRecord, PackageRecord

if TYPE_CHECKING:
    from dockyard.preparation import Prepared
    from dockyard.trace import BuildTrace

__all__ = ["InputsReader", "ReadInputs", "base_digests", "instruction_records", "record_inputs"]

SHOWN_CHARACTERS = 200


@dataclass
class ReadInputs:
    """What had to be read for it: files, Dockerfile, builder; ``unknown`` says what could not."""

    files: tuple[FileRecord, ...] = ()
    files_left_out: int = 0
    dockerfile: tuple[InstructionRecord, ...] = ()
    builder_id: str | None = None
    unknown: dict[str, str] = field(default_factory=dict)


class InputsReader:
    """Reads the inputs of one build in a thread of its own."""

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared
        self._thread: threading.Thread | None = None
        self._read = ReadInputs()

    def begin(self) -> None:
        """Start reading; further calls change nothing."""
        if self._thread is None:
            # As a daemon it holds nobody up who presses Ctrl-C.
            self._thread = threading.Thread(target=self._run, name="inputs", daemon=True)
            self._thread.start()

    def result(self, seconds: float | None = None) -> ReadInputs:
        """Wait for the end, for at most ``seconds``, and return what was read."""
        if self._thread is not None:
            self._thread.join(seconds)
        if self._thread is None or self._thread.is_alive():
            reason = "the build ended before it was read"
            return ReadInputs(unknown=dict.fromkeys(("files", "dockerfile", "builder_id"), reason))
        return self._read

    def _run(self) -> None:
        for name, read in (
            ("dockerfile", self._read_dockerfile),
            ("files", self._read_files),
            ("builder_id", self._read_builder),
        ):
            try:
                read()
            except DockyardError as error:
                self._read.unknown[name] = error.problems[0].message
            except (OSError, ValueError) as error:
                self._read.unknown[name] = str(error)

    def _read_dockerfile(self) -> None:
        settings = self._prepared.settings
        text = (settings.root / settings.dockerfile).read_text(encoding="utf-8")
        self._read.dockerfile = instruction_records(text)

    def _read_files(self) -> None:
        from dockyard.context import list_context, read_dockerignore
        from dockyard.context_digests import digest_files

        settings = self._prepared.settings
        folder = settings.root / settings.project
        listing = list_context(
            folder, read_dockerignore(folder, settings.root / settings.dockerfile)
        )
        sizes = [(entry.path, entry.bytes) for entry in listing.entries]
        self._read.files, self._read.files_left_out = digest_files(folder, sizes, settings.root)

    def _read_builder(self) -> None:
        prepared = self._prepared
        if prepared.builder.driver == "docker":
            self._read.builder_id = prepared.engine.identity if prepared.engine else None
        elif prepared.builder.driver == "docker-container":
            self._read.builder_id = _state_of_container(prepared.builder.name)
        if not self._read.builder_id:
            self._read.unknown["builder_id"] = (
                f"what tells builders with the driver {prepared.builder.driver} apart is not known"
            )


def _state_of_container(builder: str) -> str | None:
    """Name a builder's state: the volume that holds its cache, and when that was made.

    A container that is made again with the volume of the one before has its cache, too. The names
    are buildx's (``driver/docker-container/driver.go``), of a builder's first node.
    """
    from dockyard import process

    container = f"buildx_buildkit_{builder}0"
    for arguments in (
        ["volume", "inspect", "--format", "{{.Name}} {{.CreatedAt}}", f"{container}_state"],
        ["container", "inspect", "--format", "{{.Id}}", container],
    ):
        done = process.run(["docker", *arguments], timeout=20)
        if done.succeeded and done.stdout.strip():
            return done.stdout.strip()
    return None


def instruction_records(text: str) -> tuple[InstructionRecord, ...]:
    """List a Dockerfile's instructions by stage, as BuildKit names stages in a build's steps.

    What stands before the first ``FROM`` is in no stage.
    """
    from dockyard.dockerfile_syntax import parse_instructions

    found = []
    stage: str | None = None
    instructions = parse_instructions(text)
    several = sum(one.keyword == "FROM" for one in instructions) > 1
    number = -1
    for one in instructions:
        if one.keyword == "FROM":
            number += 1
            words = one.text.split()[len(one.flags) :]
            named = len(words) >= 3 and words[1].upper() == "AS"
            stage = words[2].lower() if named else f"stage-{number}" if several else None
        whole = f"{one.keyword} {one.text}"
        digest = hashlib.sha256("\0".join([whole, *one.heredocs]).encode(errors="replace"))
        short = whole if len(whole) <= SHOWN_CHARACTERS else whole[: SHOWN_CHARACTERS - 1] + "…"
        found.append(InstructionRecord(stage, one.line, short, digest.hexdigest()))
    return tuple(found)


def base_digests(prepared: Prepared, trace: BuildTrace) -> dict[str, str]:
    """Find the manifest digest of each base image that a build resolved, by build argument."""
    resolved: dict[str, str] = {}
    for step in trace.steps:
        if match := re.match(r"FROM (\S+?)@(sha256:[0-9a-f]{64})", step.instruction):
            resolved.setdefault(match[1], match[2])
    found = {}
    for image in prepared.base_images:
        name, _, pinned = normalise(image.resolved).partition("@")
        if digest := resolved.get(name) or pinned:
            found[image.argument] = digest
    return found


def _packages(prepared: Prepared) -> Iterable[PackageRecord]:
    layers = {
        name: number for number, names in enumerate(prepared.layer_packages, 1) for name in names
    }
    # Without a plan all packages are in one layer.
    for one in prepared.project.locked:
        yield PackageRecord(
            name=one.name,
            version=one.version,
            identity=one.identity,
            layer=layers.get(one.name, 1),
            source=one.source,
            bytes=one.bytes,
        )


def record_inputs(prepared: Prepared, trace: BuildTrace, read: ReadInputs) -> InputsRecord:
    """Put together what a build was made of. Pure."""
    unknown = dict(read.unknown)
    digests = base_digests(prepared, trace)
    if missing := [one.argument for one in prepared.base_images if one.argument not in digests]:
        unknown["base_digests"] = f"the build did not tell that of {', '.join(missing)}"
    scope = prepared.caches.scope if prepared.caches else None
    engine = prepared.engine
    platforms = prepared.definition.platforms or (
        (f"linux/{engine.architecture}",) if engine else ()
    )
    record = InputsRecord(
        packages=tuple(_packages(prepared)),
        files=read.files,
        files_left_out=read.files_left_out,
        dockerfile=read.dockerfile,
        arguments=dict(prepared.definition.build_arguments),
        base_digests=digests,
        builder_id=read.builder_id,
        platforms=tuple(platforms),
        no_cache=prepared.definition.no_cache,
        unknown=unknown or None,
    )
    if scope is None:
        return record
    named = {
        "branch": scope.branch or "",
        "default_branch": scope.default_branch,
        "platform": scope.platform,
    }
    return replace(record, cache_scope=named)
