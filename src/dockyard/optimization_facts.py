"""Ask files, engine, buildx, registries and mirrors what the topics of `invoke optimize` need."""

from __future__ import annotations

import json
import re
import secrets
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dockyard import process
from dockyard.dockerfile import DockerfileState, dockerfile_state, read_plan, recipe, render
from dockyard.dockerfile_syntax import Stage, parse_dockerfile
from dockyard.engine import EngineFacts, engine_facts, inspect_images
from dockyard.errors import DockyardError
from dockyard.layers import LayerPlan, plan_by_size
from dockyard.local_packages import LocalPackages, find_local_packages
from dockyard.optimize import Proposal
from dockyard.records import BuildRecord, load_records
from dockyard.state import State

if TYPE_CHECKING:
    from dockyard.optimize_settings import CacheNeed, PinnedBase
    from dockyard.process import Running
    from dockyard.project import Package, ProjectFacts
    from dockyard.settings import Settings

__all__ = ["Facts"]

RECORDS = 50
ASK_SECONDS = 30.0
WEIGH_SECONDS = 300.0


class Facts:
    """The facts of one run: each is asked for once, when a topic first needs it.

    The methods named after topics return proposals; they raise DockyardError, OSError or
    ValueError where a topic cannot be looked at. ``note`` takes what is to be said beside them.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        *,
        asked: Sequence[str],
        note: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._environment = environment
        self._asked = asked
        self._note = note
        self._state = State(settings.root)
        self._weighing: tuple[str, str, str, Running | None] | None = None

    def close(self) -> None:
        """Keep what need not be asked again."""
        self._state.save()

    @cached_property
    def records(self) -> Sequence[BuildRecord]:
        """The newest builds."""
        found, unreadable = load_records(self._settings.root, RECORDS)
        for one in unreadable:
            self._note(f"a record is not used: {one.path}: {one.reason}")
        return found

    @cached_property
    def _newest(self) -> BuildRecord | None:
        return next((one for one in self.records if one.outcome == "succeeded"), None)

    @cached_property
    def project(self) -> ProjectFacts:
        """The project as a build reads it."""
        from dockyard.preparation import project_facts

        return project_facts(self._settings)

    @cached_property
    def _local(self) -> LocalPackages:
        return find_local_packages(
            self._settings.root / self._settings.project,
            self.project,
            install=self._settings.install,
            copy_paths=self._settings.copy_paths,
        )

    @cached_property
    def _dockerfile(self) -> str:
        path = self._settings.root / self._settings.dockerfile
        return path.read_bytes().decode(errors="replace")

    @cached_property
    def _stages(self) -> tuple[Stage, ...]:
        return parse_dockerfile(self._dockerfile)

    @cached_property
    def plan(self) -> LayerPlan | None:
        """The layer plan that the Dockerfile keeps."""
        return read_plan(self._dockerfile, self._settings.dockerfile)

    @cached_property
    def edited(self) -> bool:
        """Whether the Dockerfile is the user's own, which no setting changes."""
        settings = self._settings
        what = recipe(settings, settings.image or self.project.name, self._local)
        plan = self.plan or plan_by_size(self.project.packages, settings.layers)
        verdict = dockerfile_state(self._dockerfile, render(what, plan))
        return verdict in (DockerfileState.EDITED, DockerfileState.DIVERGED)

    @cached_property
    def _engine(self) -> EngineFacts:
        return engine_facts(self._state, self._environment)

    # -------------------- files

    def context(self) -> tuple[Proposal, ...]:
        """Compare the context with what the settings and the Dockerfile read of it."""
        from dockyard.context import list_context, read_dockerignore, suggest
        from dockyard.dockerfile import render_dockerignore
        from dockyard.information import needed_paths
        from dockyard.optimize_files import ContextFacts, context_paths, propose_context

        settings = self._settings
        folder = settings.root / settings.project
        dockerfile = settings.root / settings.dockerfile
        own = dockerfile.with_name(f"{dockerfile.name}.dockerignore")
        ignore = own if own.is_file() else folder / ".dockerignore"
        read, sure = context_paths(self._stages)
        listing = list_context(folder, read_dockerignore(folder, dockerfile))
        if listing.unreadable:
            self._note(f"not in the context's bytes: {', '.join(listing.unreadable)}")
        needed = tuple(dict.fromkeys((*needed_paths(settings), *read)))
        return propose_context(
            ContextFacts(
                ignore_path=ignore.relative_to(settings.root).as_posix(),
                exists=ignore.is_file(),
                allowlist=""
                if ignore.is_file()
                else render_dockerignore(
                    tuple(one for one in read if one not in (".", "pyproject.toml", "uv.lock")),
                    settings.install,
                    self._local,
                ),
                suggestions=suggest(listing, needed),
                # A build backend may read any file.
                sure=sure and settings.install == "copy",
            )
        )

    def order(self) -> tuple[Proposal, ...]:
        """Look at the Dockerfile's instructions."""
        from dockyard.optimize_files import propose_order

        return propose_order(self._settings.dockerfile, self._stages, self.records)

    def install(self) -> tuple[Proposal, ...]:
        """Compare the install mode with what the container runs."""
        from dockyard.optimize_files import InstallFacts, propose_install

        settings = self._settings
        path = settings.root / settings.project / "pyproject.toml"
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        project = table.get("project", {})
        modules = _run_modules(settings.command, settings.health_check)
        return propose_install(
            InstallFacts(
                mode=settings.install,
                command=settings.command,
                health_check=settings.health_check,
                scripts=tuple(project.get("scripts", {})),
                modules={
                    name: places for name in modules if (places := self._places(name)) is not None
                },
                needs_metadata=bool(project.get("entry-points")),
                buildable="build-system" in table
                or table.get("tool", {}).get("uv", {}).get("package") is True,
            ),
            self.records,
        )

    def _places(self, module: str) -> tuple[str, ...] | None:
        """Where copy mode's Python finds a module of the project; None if it is not the project's.

        The paths are those that the rendered Dockerfile's PYTHONPATH has.
        """
        folder = self._settings.root / self._settings.project
        copied = [path.rstrip("/") for path in self._settings.copy_paths]
        src = any(path.partition("/")[0] == "src" for path in copied)
        searched = ["src" if src else ".", *self._local.python_path]
        likely = dict.fromkeys((*searched, "src", ".", "lib", "python"))
        there = [
            place
            for place in likely
            if any(
                (folder / place / name).exists()
                for name in (f"{module}/__init__.py", f"{module}.py")
            )
        ]
        if not there:
            return None
        return tuple(
            place
            for place in there
            if place in searched
            and any(
                f"{place}/{module}".removeprefix("./").startswith(path) or path == "."
                for path in (*copied, *self._local.python_path)
            )
        )

    # -------------------- settings

    def compression(self) -> tuple[Proposal, ...]:
        """Compare gzip with zstd on the recorded builds."""
        from dockyard.optimize_settings import propose_compression

        if self._settings.compression == "zstd":
            return ()
        return propose_compression(
            self._settings.compression, self.records, able=self._engine.containerd_store
        )

    def base(self) -> tuple[Proposal, ...]:
        """Ask the registries, else the engine, for the digests of base images."""
        from dockyard.optimize_settings import PinnedBase, propose_base
        from dockyard.stand_ins import LOCAL_REGISTRY
        from dockyard.summary import layer_totals

        settings = self._settings
        wanted = {
            key: reference
            for key, reference in (
                ("python-image", settings.python_image),
                ("uv-image", settings.uv_image),
            )
            if "@" not in reference and not reference.startswith(f"{LOCAL_REGISTRY}/")
        }
        asking = {key: _ask_digest(reference) for key, reference in wanted.items()}
        held = inspect_images(tuple(wanted.values())) if wanted else {}
        pinned: list[PinnedBase] = []
        for key, reference in wanted.items():
            answered = asking[key].wait(ASK_SECONDS)
            digest = answered.stdout.strip() if answered.succeeded else ""
            told_by = "its registry"
            if not digest.startswith("sha256:"):
                digest, told_by = _engine_digest(reference, held.get(reference)), "the engine"
            if digest:
                pinned.append(PinnedBase(key, reference, digest, told_by))
            else:
                self._note(
                    f"base: the digest of {reference} is not known: neither its registry tells "
                    "it nor has the engine the image from there"
                )
        totals = layer_totals(self._newest.layers) if self._newest else ()
        size = next((size for kind, _, size in totals if kind == "base"), None)
        return propose_base(pinned, size)

    def mirrors(self) -> tuple[Proposal, ...]:
        """Measure the mirrors; the well-known ones only where the topic was asked for."""
        from dockyard.mirrors import PRESETS, PYPI, parse_mirror, probe
        from dockyard.optimize_settings import propose_a_mirror, propose_mirrors

        settings = self._settings
        packages = [one for one in self.project.packages if one.source.kind == "registry"]
        size, requests = sum(one.size or 0 for one in packages), len(packages)
        probed = _probed_package(packages)
        authorities = str(settings.ca_file) if settings.ca_file else None
        entries = []
        for text in settings.uv_mirrors:
            mirror = parse_mirror(text)
            entries.append((text, "" if mirror.index else mirror.url))
        urls = [url for _, url in entries if url]
        if len(urls) > 1:
            answers = probe(urls, project=probed, authorities=authorities)
            by_url = {one.address: one for one in answers}
            dead = [one for one in answers if one.throughput is None]
            for one in dead:
                self._note(f"mirrors: {one.url}: {one.problem}")
            return propose_mirrors(entries, by_url, size, requests)
        if urls or "mirrors" not in self._asked or settings.network == "none":
            return ()
        index = (settings.uv_default_index or PYPI).rpartition("=")[2].rstrip("/")
        answers = probe([index, *PRESETS.values()], project=probed, authorities=authorities)
        presets = dict(zip(PRESETS, answers[1:], strict=True))
        if not any(one.throughput for one in answers):
            self._note(f"mirrors: neither {answers[0].url} nor a well-known mirror answers")
        return propose_a_mirror(answers[0], presets, size, requests)

    def builder(self) -> tuple[Proposal, ...]:
        """Compare the builders with what the settings want and the caches need."""
        from dockyard.builder_facts import inspect_builder
        from dockyard.builder_setup import ensure_builder
        from dockyard.builders import choose_builder
        from dockyard.optimize_settings import BuilderFacts, propose_builder

        settings = self._settings
        engine = self._engine
        change = None
        dedicated = None
        if settings.builder == "auto" and settings.driver != "docker":
            dedicated = inspect_builder(settings.builder_name)
            choice = choose_builder(
                settings,
                engine,
                push=bool(settings.registry),
                local_images=_stand_ins(self._newest),
            )
            if dedicated or choice.dedicated:
                change = ensure_builder(settings, self._environment, engine, dry_run=True)
        needs = [
            need
            for need in (
                self._need(settings.builder_name, dedicated=True) if dedicated else None,
                self._need(engine.context, dedicated=False),
            )
            if need
        ]
        return propose_builder(BuilderFacts(change, tuple(needs), settings.cache_budget))

    def _need(self, name: str, *, dedicated: bool) -> CacheNeed | None:
        from dockyard.caches.builder_usage import builder_usage, usage_by_kind
        from dockyard.optimize_settings import CacheNeed, parse_garbage_rules

        records = builder_usage(name)
        if records is None:
            self._note(f"builder: {name} does not tell what its cache holds")
            return None
        told = process.run(["docker", "buildx", "inspect", name], timeout=ASK_SECONDS)
        usage = usage_by_kind(records)
        return CacheNeed(
            builder=name,
            dedicated=dedicated,
            layers=usage.layers,
            mounts=sum(one.size for one in records if one.own_mount),
            total=usage.total,
            rules=parse_garbage_rules(told.stdout) if told.succeeded else (),
        )

    # -------------------- the image

    def begin_weight(self) -> None:
        """Start listing what the image holds, in a container, while other topics are asked."""
        from dockyard.optimize_weight import weight_script

        newest = self._newest
        if newest is None:
            return
        tag = str(newest.image["tags"][0])
        try:
            image = inspect_images((tag,)).get(tag)
        except (DockyardError, OSError):
            return
        if image is None:
            return
        script = weight_script()
        known = json.dumps([str(image.get("Id")), script])
        if isinstance(self._state.recall("weight", known), str):
            self._weighing = (tag, known, "", None)
            return
        name = f"dockyard-optimize-{secrets.token_hex(6)}"
        once = ("--rm", "--name", name, "--network", "none", "--pull", "never", "--read-only")
        start = ("--entrypoint", "python", tag, "-c", script)
        self._weighing = (tag, known, name, process.start(["docker", "run", *once, *start]))

    def weight(self) -> tuple[Proposal, ...]:
        """Read what the container listed."""
        from dockyard.optimize_weight import parse_weight, propose_weight

        if self._weighing is None:
            self._note(
                "weight: not looked at: the image is not in the engine; `invoke build` first"
            )
            return ()
        tag, known, name, running = self._weighing
        text = self._state.recall("weight", known)
        if running:
            done = running.wait(WEIGH_SECONDS)
            if done.status < 0:
                process.run(["docker", "container", "rm", "--force", name], timeout=ASK_SECONDS)
                raise ValueError(f"{tag} could not be listed within {WEIGH_SECONDS:.0f} s")
            if not done.succeeded:
                last = done.stderr.strip().splitlines()
                raise ValueError(f"{tag} could not be listed: {last[-1] if last else done.status}")
            text = done.stdout
            self._state.remember("weight", known, text)
        found = parse_weight(tag, str(text))
        settings = self._settings
        built = self._newest.settings.get("slim") if self._newest else None
        then = built.get("value", ()) if isinstance(built, dict) else ()
        if added := [one for one in settings.slim if one not in then]:
            self._note(f"weight: `invoke build` makes the image without {', '.join(added)}")
        return propose_weight(
            found, settings.slim, byte_compile=settings.byte_compile, settable=not self.edited
        )


def _run_modules(*commands: Sequence[str]) -> tuple[str, ...]:
    """Name the top-level modules that commands run: ``python -m mushroom.health``."""
    found = []
    for command in commands:
        if command and re.fullmatch(r"(?:.*/)?python[\d.]*", command[0]) and "-m" in command:
            following = command[list(command).index("-m") + 1 :]
            found += [following[0].partition(".")[0]] if following else []
    return tuple(dict.fromkeys(found))


def _probed_package(packages: Sequence[Package]) -> str:
    """Choose a package that is large enough to tell a mirror's speed."""
    from dockyard.mirrors import PROBED_PROJECT

    sized = [one for one in packages if one.size and one.has_wheel]
    return max(sized, key=lambda one: one.size or 0).name if sized else PROBED_PROJECT


def _stand_ins(record: BuildRecord | None) -> bool:
    images = record.base_images if record else ()
    return any(one.get("origin") == "stand-in" for one in images)


def _ask_digest(reference: str) -> Running:
    template = "{{.Manifest.Digest}}"
    arguments = ["docker", "buildx", "imagetools", "inspect", "--format", template, reference]
    return process.start(arguments)


def _engine_digest(reference: str, inspected: Mapping[str, Any] | None) -> str:
    """Return the digest under which the engine pulled an image; "" where it did not."""
    from dockyard.base_images import normalise

    repository = normalise(reference).rpartition(":")[0]
    for one in (inspected or {}).get("RepoDigests") or ():
        name, _, digest = str(one).partition("@")
        if normalise(name) == repository:
            return digest
    return ""
