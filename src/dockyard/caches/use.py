"""The caches of one build: opened before buildx starts, settled after it has ended."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dockyard.caches.backends import (
    CacheArguments,
    LocalCache,
    backends_in_force,
    cache_arguments,
)
from dockyard.caches.scope import CacheScope
from dockyard.errors import DockyardError

if TYPE_CHECKING:
    from dockyard.caches.directory import CacheDirectory, Snapshot
    from dockyard.revision import Revision
    from dockyard.settings import Settings
    from dockyard.trace import BuildTrace

__all__ = ["CacheUse", "cache_scope", "open_caches", "read_local"]

DEFAULT_BRANCH = "main"


def cache_scope(settings: Settings, *, image: str, platform: str, revision: Revision) -> CacheScope:
    """Name a build's caches; ``platform`` is the engine's, for where none is asked for."""
    return CacheScope(
        image=image,
        registry=settings.registry,
        platforms=settings.platforms or (platform,),
        branch=revision.branch,
        default_branch=settings.default_branch or revision.default_branch or DEFAULT_BRANCH,
    )


@dataclass(frozen=True)
class CacheUse:
    """What a build does with caches; a context manager that leaves nothing behind.

    ``notes`` are for the record: what is left out, and why; ``later_notes`` what failed.
    ``tried_without``: this is another try, without imports that failed the build.
    """

    settings: Settings
    scope: CacheScope
    arguments: CacheArguments
    notes: tuple[str, ...] = ()
    snapshot: Snapshot | None = None
    later_notes: tuple[str, ...] = ()
    tried_without: bool = False

    def __enter__(self) -> CacheUse:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.snapshot:
            self.snapshot.drop()

    def without(self, sources: tuple[str, ...]) -> CacheUse:
        """Return it without some of the imports, for another try.

        Without the export to the same folder, too: the builder would ask that for the layers again.
        """
        arguments = self.arguments
        kept = tuple(one for one in arguments.cache_from if one not in sources)
        targets = arguments.cache_to
        if any("type=local" in one for one in sources):
            targets = tuple(one for one in targets if "type=local" not in one)
        arguments = replace(arguments, cache_from=kept, cache_to=targets)
        return replace(self, arguments=arguments, tried_without=True)

    def sources_after(self, trace: BuildTrace) -> tuple[str, ...]:
        """List the imports that a run after this one cannot do without, to end up with all of it.

        Not those that there are none of, nor a copy of one that there is.
        """
        from dockyard.caches.faults import references_not_imported

        absent = {f"type=registry,ref={one}" for one in references_not_imported(trace)}
        kept = [one for one in self.arguments.cache_from if one not in absent]
        repository = self.scope.repository
        names = (self.scope.tag_of(self.scope.default_branch), self.scope.shared_tag)
        original, copy = (f"type=registry,ref={repository}:{tag}" for tag in names)
        return tuple(one for one in kept if one != copy or original not in kept)

    def without_copies(self, reason: str) -> CacheUse:
        """Return it for an export to the registry that failed as a whole, with a note of that."""
        note = f"the cache could not be exported to the registry: {reason}"
        arguments = replace(self.arguments, copies=())
        return replace(self, arguments=arguments, later_notes=(note,))

    def faults(self, trace: BuildTrace) -> tuple[str, ...]:
        """Set damaged blobs of the local cache aside; what there is to say of them."""
        from dockyard.caches.faults import builder_is_stuck

        if self.snapshot is None or not builder_is_stuck(trace):
            return ()
        try:
            return self._set_aside_damaged(self.snapshot)
        except DockyardError as error:
            return (error.problems[0].message,)

    def settle(
        self,
        trace: BuildTrace,
        *,
        succeeded: bool,
        environment: Mapping[str, str],
        image_digest: str | None = None,
    ) -> tuple[str, ...]:
        """Keep what was exported, if the build succeeded; what there is to say about the caches.

        ``image_digest``: of the image that was pushed, None where none was. Raises nothing: what is
        wrong with a cache is a note.
        """
        from dockyard.caches.faults import cache_notes, exports_failed

        notes = [*self.later_notes, *cache_notes(trace), *self.faults(trace)]
        if succeeded and not exports_failed(trace, "registry"):
            notes += self._copy(environment)
            if image_digest:
                notes += self._tag_image(image_digest, environment)
        if self.snapshot:
            try:
                if succeeded and self.snapshot.writable:
                    tag = self.scope.export_tag
                    aliases = {one: tag for one in self.scope.export_tags if one != tag}
                    notes += self.snapshot.commit(aliases).notes
            except DockyardError as error:
                notes.append(error.problems[0].message)
            finally:
                self.snapshot.drop()
        return tuple(notes)

    def _copy(self, environment: Mapping[str, str]) -> tuple[str, ...]:
        """Let the tags that follow this build's cache point at it, too."""
        from dockyard.caches.registry_client import open_repository

        try:
            for source, target in self.arguments.copies:
                repository, _, tag = source.rpartition(":")
                with open_repository(self.settings, repository, environment) as client:
                    if manifest := client.read_manifest(tag):
                        client.write_manifest(
                            target.rpartition(":")[2],
                            manifest.content,
                            manifest.descriptor.media_type,
                        )
        except DockyardError as error:
            return (f"the cache {target} does not follow: {error.problems[0].message}",)
        return ()

    def _tag_image(self, digest: str, environment: Mapping[str, str]) -> tuple[str, ...]:
        """Let the cache's tags point at the pushed image, whose inline cache they are.

        At a manifest of its own with the image's content: neither is removed with the other.
        """
        from dockyard.caches.inline import cache_manifest
        from dockyard.caches.registry_client import open_repository

        target, now = "", datetime.now(UTC)
        by_repository: dict[str, list[str]] = {}
        for one in self.arguments.image_tags:
            by_repository.setdefault(one.rpartition(":")[0], []).append(one)
        try:
            for repository, targets in by_repository.items():
                target = targets[0]
                with open_repository(self.settings, repository, environment) as client:
                    manifest = client.read_manifest(digest)
                    if manifest is None:
                        continue
                    content = cache_manifest(manifest.content, now)
                    for target in targets:
                        tag = target.rpartition(":")[2]
                        client.write_manifest(tag, content, manifest.descriptor.media_type)
        except DockyardError as error:
            return (f"the cache {target} could not be exported: {error.problems[0].message}",)
        return ()

    def _set_aside_damaged(self, snapshot: Snapshot) -> tuple[str, ...]:
        """Take damaged blobs out of the store and the snapshot, whose files they share."""
        aside = _directory(self.settings).set_aside_damaged()
        for digest in aside:
            snapshot.layout.blob_path(digest).unlink(missing_ok=True)
        if not aside:
            return ()
        from dockyard.display.format import format_count

        return (
            f"the local cache held {format_count(len(aside), 'damaged blob')}, now in "
            f"{self.settings.cache_dir / 'corrupt'}: {', '.join(aside)}",
        )


def _without_silent(
    settings: Settings, arguments: CacheArguments
) -> tuple[CacheArguments, tuple[str, ...]]:
    """Leave out what a registry that says nothing is to give or get: the builder would wait."""
    values = (*arguments.cache_from, *arguments.cache_to, *arguments.after_push)
    found = (re.match(r"type=registry\b.*,ref=([^/,]+)/", one) for one in values)
    hosts = dict.fromkeys(one[1] for one in found if one)
    if not hosts:
        return arguments, ()
    from dockyard.caches.alive import is_silent

    notes = []
    for host in hosts:
        plain = host in settings.insecure_registries
        if is_silent(host, plain=plain, seconds=settings.registry_timeout):
            arguments = _without_host(arguments, f"{host}/")
            notes.append(f"caches of {host} are not used: it does not answer in time")
    return arguments, tuple(notes)


def _without_host(arguments: CacheArguments, prefix: str) -> CacheArguments:
    def others(values: tuple[str, ...]) -> tuple[str, ...]:
        # buildx takes a value's options in any order.
        return tuple(one for one in values if f",ref={prefix}" not in one)

    return replace(
        arguments,
        cache_from=others(arguments.cache_from),
        cache_to=others(arguments.cache_to),
        after_push=others(arguments.after_push),
        copies=tuple(pair for pair in arguments.copies if not pair[0].startswith(prefix)),
    )


def _directory(settings: Settings) -> CacheDirectory:
    from dockyard.caches.directory import CacheDirectory

    return CacheDirectory(settings.cache_dir, settings.cache_budget)


def read_local(settings: Settings, scope: CacheScope) -> LocalCache:
    """Look what is in the local cache, without a snapshot: for what is shown and not run."""
    from dockyard.caches.layout import Layout

    found: dict[str, str] = {}
    with contextlib.suppress(DockyardError):
        tags = Layout(settings.cache_dir).index()
        found = {tag: tags[tag].digest for tag in scope.import_tags if tag in tags}
    return LocalCache(settings.cache_dir, tuple(found.items()))


def open_caches(
    settings: Settings,
    scope: CacheScope,
    *,
    push: bool,
    environment: Mapping[str, str],
    imports: bool = True,
    exports: bool = True,
    show_only: bool = False,
) -> CacheUse:
    """Open the caches that the settings name. A local one that cannot be used is a note.

    ``imports`` is False for a build that runs every step, ``exports`` for a builder that can only
    import; ``show_only`` opens nothing. Raises SettingsError for options that contradict.
    """
    backends = backends_in_force(settings.cache_backends, registry=scope.repository, push=push)
    local: LocalCache | None = None
    snapshot: Snapshot | None = None
    notes: tuple[str, ...] = ()
    if any(backend.kind == "local" for backend in backends):
        if show_only:
            local = read_local(settings, scope)
        else:
            try:
                snapshot = _directory(settings).open(scope.import_tags)
                tags = {tag: one.digest for tag, one in snapshot.imports.items()}
                local = LocalCache(snapshot.root, tuple(tags.items()), snapshot.writable)
                notes = snapshot.notes
            except DockyardError as error:
                problem = error.problems[0]
                place = f" ({problem.where})" if problem.where else ""
                notes = (f"the local cache is not used: {problem.message}{place}",)
    try:
        arguments = cache_arguments(
            backends,
            settings,
            scope,
            environment=environment,
            local=local,
            push=push,
            exports=exports,
        )
    except BaseException:
        if snapshot:
            snapshot.drop()
        raise
    if not imports:
        arguments = replace(arguments, cache_from=())
    if not show_only:
        arguments, silent = _without_silent(settings, arguments)
        notes = (*notes, *silent)
    return CacheUse(settings, scope, arguments, (*notes, *arguments.notes), snapshot)
