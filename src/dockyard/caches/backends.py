"""Which caches a build imports from and exports to, as buildx's arguments. Pure.

Options: BuildKit's README, “Export cache”, and ``cache/remotecache/*`` for what is not in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard.errors import Problem, SettingsError

if TYPE_CHECKING:
    from dockyard.caches.scope import CacheScope
    from dockyard.settings import Settings

__all__ = ["Backend", "CacheArguments", "LocalCache", "backends_in_force", "cache_arguments"]

AUTOMATIC = "auto"
NONE = "none"

# What the image's own layers come from, and the keys of all steps. “max” also keeps what each
# dependency's step wrote, which the image has under another path: twice the bytes. And after a
# build that imported a cache and changed a dependency, “max” lost that step's key (BuildKit 0.32):
# every later build on a fresh builder ran it again, and pulled the base image for it.
MODE = "min"

# Options that an exporter takes and an importer does not.
_EXPORT_ONLY = frozenset(
    {
        "compression",
        "compression-level",
        "force-compression",
        "ignore-error",
        "image-manifest",
        "mode",
        "oci-mediatypes",
        "upload_parallelism",
    }
)

# buildx reads these itself and hands them to the builder, so that they need not be arguments,
# which every user of the machine can read (buildx, util/buildflags/cache.go).
_VARIABLES = {
    ("s3", "access_key_id"): "AWS_ACCESS_KEY_ID",
    ("s3", "secret_access_key"): "AWS_SECRET_ACCESS_KEY",
    ("s3", "session_token"): "AWS_SESSION_TOKEN",
    ("gha", "token"): "ACTIONS_RUNTIME_TOKEN",
}
_SETTING = "DOCKYARD_CACHE_BACKENDS"


@dataclass(frozen=True)
class Backend:
    """One entry of the setting: its kind, and buildx's options that follow it."""

    kind: str
    options: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, entry: str) -> Backend:
        """Read ``kind:key=value,key=value``."""
        kind, _, rest = entry.partition(":")
        pairs = (one.partition("=") for one in rest.split(",") if one)
        return cls(kind, tuple((key, value) for key, _, value in pairs))


@dataclass(frozen=True)
class LocalCache:
    """What buildx sees of the local cache: its folder, and digest by tag of what is there."""

    root: Path
    imports: tuple[tuple[str, str], ...]
    writable: bool = True


@dataclass(frozen=True)
class CacheArguments:
    """The values of ``--cache-from`` and ``--cache-to``.

    ``after_push`` are of ``--cache-to`` too, for a run of their own once the image is pushed;
    ``copies`` are references (from, to) of a cache that another tag follows. ``image_tags`` are
    references under which the pushed image is a cache, because its inline cache is one.
    ``environment`` has what buildx reads of secrets, ``notes`` say what was left out, and why.
    """

    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    after_push: tuple[str, ...] = ()
    copies: tuple[tuple[str, str], ...] = ()
    image_tags: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Leave the environment's values out."""
        names = [name for name, _ in self.environment]
        values = (self.cache_from, self.cache_to, self.after_push, self.copies, self.image_tags)
        return f"CacheArguments{(*values, names, self.notes)}"


def backends_in_force(
    configured: Iterable[str], *, registry: str | None, push: bool
) -> tuple[Backend, ...]:
    """Read the setting: ``auto`` is the registry where the image is pushed to one, else nothing."""
    found = []
    for backend in map(Backend.parse, configured):
        if backend.kind == AUTOMATIC:
            found += [Backend("registry")] if push and registry else []
        elif backend.kind != NONE:
            found.append(backend)
    return tuple(dict.fromkeys(found))


def _value(kind: str, options: Mapping[str, str]) -> str:
    """Write one value as buildx reads it: a line of CSV (tonistiigi/go-csvvalue)."""
    fields = [f"type={kind}", *(f"{key}={value}" for key, value in options.items())]
    quoted = (
        '"' + field.replace('"', '""') + '"' if re.search('[,"]', field) else field
        for field in fields
    )
    return ",".join(quoted)


def _importing(kind: str, options: Mapping[str, str]) -> str:
    kept = {key: value for key, value in options.items() if key not in _EXPORT_ONLY}
    return _value(kind, kept)


class _Arguments:
    """Collects the values, each once."""

    def __init__(self, settings: Settings, scope: CacheScope, environment: Mapping[str, str]):
        self.settings, self.scope, self.environment = settings, scope, environment
        self.sources: dict[str, None] = {}
        self.targets: dict[str, None] = {}
        self.copies: list[tuple[str, str]] = []
        self.image_tags: list[str] = []
        self.variables: dict[str, str] = {}
        self.notes: list[str] = []

    def read(self, kind: str, options: Mapping[str, str]) -> None:
        self.sources[_importing(kind, options)] = None

    def write(self, kind: str, options: Mapping[str, str]) -> None:
        """Add an export whose failure is no failure of the build."""
        self.targets[_value(kind, {"mode": MODE, "ignore-error": "true", **options})] = None

    def blobs(self) -> dict[str, str]:
        """Return the options with which cache and image have the same layers."""
        options = {
            "image-manifest": "true",
            "oci-mediatypes": "true",
            "compression": self.settings.compression,
        }
        if self.settings.compression != "uncompressed":
            options["compression-level"] = str(self.settings.compression_level)
        return options

    def without_secrets(self, backend: Backend) -> dict[str, str]:
        """Move what is secret from the options to buildx's environment."""
        options = {}
        for key, value in backend.options:
            if variable := _VARIABLES.get((backend.kind, key)):
                self.variables[variable] = value
            else:
                options[key] = value
        return options


def _local(collected: _Arguments, backend: Backend, local: LocalCache | None) -> None:
    if local is None:
        return
    options = dict(backend.options)
    for _, digest in local.imports:
        # By digest: buildx looks tags up with a lock, and finds fault with one that is not there.
        collected.read("local", {"src": str(local.root), "digest": digest})
    if local.writable:
        place = {"dest": str(local.root), "tag": collected.scope.export_tag}
        collected.write("local", {**collected.blobs(), **options, **place})


def _registry(collected: _Arguments, backend: Backend, *, push: bool) -> None:
    options, scope = dict(backend.options), collected.scope
    if push and not options and scope.repository and not collected.settings.reproducible:
        # What “min” exports are the image's own layers and the keys that lead to them: the image
        # can carry the keys, and nothing travels twice.
        for tag in scope.import_tags:
            collected.read("registry", {"ref": f"{scope.repository}:{tag}"})
        collected.targets[_value("inline", {})] = None
        collected.image_tags += [f"{scope.repository}:{tag}" for tag in scope.export_tags]
        return
    named = options.pop("ref", None)
    if named and ":" in named.rpartition("/")[2]:
        sources, target = [named], named
    else:
        repository = named or scope.repository
        if repository is None:
            raise SettingsError(
                "the backend “registry” needs a registry, and none is set",
                where=_SETTING,
                hint="set DOCKYARD_REGISTRY, or write registry:ref=HOST/NAME",
            )
        sources = [f"{repository}:{tag}" for tag in scope.import_tags]
        target = f"{repository}:{scope.export_tag}"
        # Two exports at once would push the same blobs twice, and to the same place.
        collected.copies += [
            (target, f"{repository}:{tag}") for tag in scope.export_tags if tag != scope.export_tag
        ]
    for reference in sources:
        collected.read("registry", {"ref": reference, **options})
    collected.write("registry", {"ref": target, **collected.blobs(), **options})


def _inline(collected: _Arguments, backend: Backend) -> None:
    if repository := collected.scope.repository:
        collected.read("registry", {"ref": f"{repository}:latest"})
    else:
        collected.notes.append(
            "the inline cache is written but not read: it is in the image of a registry, and "
            "DOCKYARD_REGISTRY is not set"
        )
    collected.targets[_value("inline", dict(backend.options))] = None


def _gha(collected: _Arguments, backend: Backend) -> None:
    options = collected.without_secrets(backend)
    known = {**collected.environment, **collected.variables}
    urls = ("ACTIONS_RESULTS_URL", "ACTIONS_CACHE_URL")
    if not known.get("ACTIONS_RUNTIME_TOKEN") or not (
        any(known.get(name) for name in urls) or {"url", "url_v2"} & options.keys()
    ):
        collected.notes.append(
            "the cache “gha” is left out: ACTIONS_RUNTIME_TOKEN and ACTIONS_RESULTS_URL are not "
            "set, which only GitHub's own actions get (crazy-max/ghaction-github-runtime)"
        )
        return
    # GitHub itself keeps branches apart and lets each fall back to the default branch.
    named = {"scope": f"{collected.scope.image}/{collected.scope.platform}", **options}
    collected.read("gha", named)
    collected.write("gha", named)


def _bucket(collected: _Arguments, backend: Backend) -> None:
    """Name the manifests in s3 or azblob; the blobs of all images are shared, by digest."""
    if backend.kind == "azblob" and "secret_access_key" in dict(backend.options):
        raise SettingsError(
            "the account's key would be an argument of buildx, which every user of this machine "
            "can read",
            where=f"{_SETTING}, azblob:secret_access_key",
            hint="give the builder an identity instead (AZURE_CLIENT_ID and its like, by "
            "DOCKYARD_DRIVER_OPTIONS=env.NAME=VALUE)",
        )
    options, scope = collected.without_secrets(backend), collected.scope
    named = options.pop("name", None)
    sources = [named] if named else [f"{scope.image}/{tag}" for tag in scope.import_tags]
    target = named or ";".join(f"{scope.image}/{tag}" for tag in scope.export_tags)
    for name in sources:
        collected.read(backend.kind, {**options, "name": name})
    collected.write(backend.kind, {**options, "name": target})


def cache_arguments(
    backends: Iterable[Backend],
    settings: Settings,
    scope: CacheScope,
    *,
    environment: Mapping[str, str],
    local: LocalCache | None = None,
    push: bool = False,
    exports: bool = True,
) -> CacheArguments:
    """Turn backends into buildx's arguments.

    With ``push`` the image carries the cache that it pushes to its registry, where nothing else was
    asked for. BuildKit from 0.28 pushes an image and exports its cache at the same time
    (moby/buildkit#6451), and neither sees what the other uploads: all layers travel twice, and a
    registry may take the two for one broken upload. So another export to a registry waits.

    ``environment`` is the command's own; ``local`` what there is of the local cache (None where it
    cannot be used); ``exports`` is False for a builder that can only import. Raises SettingsError
    for options that contradict the others.
    """
    collected = _Arguments(settings, scope, environment)
    for backend in backends:
        clash = {"src", "dest", "tag", "digest"} & dict(backend.options).keys()
        if backend.kind == "local" and clash:
            raise SettingsError(
                Problem(
                    f"the local cache has no option “{min(clash)}”",
                    where=f"{_SETTING}, local",
                    hint="DOCKYARD_CACHE_DIR is where it is; its tags are Dockyard's own",
                )
            )
        if backend.kind == "local":
            _local(collected, backend, local)
        elif backend.kind == "registry":
            _registry(collected, backend, push=push)
        elif backend.kind == "inline":
            _inline(collected, backend)
        elif backend.kind == "gha":
            _gha(collected, backend)
        else:
            _bucket(collected, backend)
    targets = tuple(collected.targets)
    if not exports and (refused := [one for one in targets if not one.startswith("type=inline")]):
        targets = tuple(one for one in targets if one not in refused)
        collected.notes.append(
            "this builder imports caches but cannot export one: that takes the containerd image "
            "store, or the builder of `invoke cache.init`"
        )
        collected.copies.clear()
    later = tuple(one for one in targets if push and one.startswith("type=registry"))
    return CacheArguments(
        cache_from=tuple(collected.sources),
        cache_to=tuple(one for one in targets if one not in later),
        after_push=later,
        copies=tuple(collected.copies),
        image_tags=tuple(collected.image_tags),
        environment=tuple(collected.variables.items()),
        notes=tuple(collected.notes),
    )
