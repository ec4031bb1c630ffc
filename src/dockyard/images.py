"""``push`` and ``pull``: the image, through the engine, with the bytes that moved.

On the Docker SDK's low-level API: its high-level one hides errors that come as events.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dockyard.caches.credentials import Credential, find_credential
from dockyard.caches.registry_client import RegistryClient, open_repository, split_repository
from dockyard.display.format import format_bytes, format_count, format_seconds
from dockyard.errors import (
    DockyardError,
    EngineError,
    ImageUnavailableError,
    NetworkError,
    SettingsError,
)
from dockyard.image_events import ImageEvents, Moved, count_layers, image_error, is_damage

if TYPE_CHECKING:
    from docker import APIClient

    from dockyard.display.transfer import TransferProgress
    from dockyard.settings import Settings

__all__ = ["ImageTransfer", "image_lines", "news", "pull_image", "push_image"]

# How long the engine may be silent, in seconds, where no setting says so: a registry may take its
# time over a large layer.
SILENCE_SECONDS = 600
# A tar file ends with two empty blocks.
EMPTY_ARCHIVE = bytes(1024)


@dataclass(frozen=True)
class ImageTransfer:
    """What was pushed or pulled: names, the manifest's digest, and what of its layers moved."""

    direction: str
    references: tuple[str, ...]
    digest: str | None
    moved: Moved
    notes: tuple[str, ...]
    seconds: float

    def as_json(self) -> dict[str, object]:
        """Render as JSON values."""
        return {
            "direction": self.direction,
            "references": list(self.references),
            "digest": self.digest,
            **asdict(self.moved),
            "notes": list(self.notes),
            "seconds": round(self.seconds, 3),
        }


def image_lines(done: ImageTransfer) -> list[str]:
    """Say what came of it: the names first, the bytes moved and skipped last."""
    moved = done.moved
    return [
        *(f"note: {note}" for note in done.notes),
        *(f"{reference}  {done.digest or 'digest unknown'}" for reference in done.references),
        f"{done.direction}ed {format_bytes(moved.bytes_moved)} in "
        f"{format_count(moved.layers_moved, 'layer')}, "
        f"skipped {format_bytes(moved.bytes_skipped)} in "
        f"{format_count(moved.layers_skipped, 'layer')} ({format_seconds(done.seconds)})",
    ]


def push_image(
    settings: Settings,
    environment: Mapping[str, str],
    progress: TransferProgress,
    *,
    tag: str | None = None,
) -> ImageTransfer:
    """Push the image that ``latest`` names, under each of its names in DOCKYARD_REGISTRY.

    ``tag`` pushes that one alone. Raises ImageUnavailableError where the engine has none,
    NetworkError for what the registry refuses, EngineError.
    """
    started = time.monotonic()
    repository = _repository(settings)
    with _engine(settings, repository, environment) as engine:
        references = _names(engine, repository, tag)
        followed = _transfer(settings, engine, references, environment, progress, push=True)
    with open_repository(settings, repository, environment) as client:
        layers, notes = _layers(client, followed[-1].digest, None)
    return ImageTransfer(
        "push",
        references,
        followed[-1].digest,
        count_layers(followed, layers),
        notes,
        time.monotonic() - started,
    )


def pull_image(
    settings: Settings,
    environment: Mapping[str, str],
    progress: TransferProgress,
    *,
    tag: str = "latest",
) -> ImageTransfer:
    """Pull a tag of the image from DOCKYARD_REGISTRY into the engine; errors as of a push."""
    started = time.monotonic()
    repository = _repository(settings)
    reference = f"{repository}:{tag}"
    with _engine(settings, repository, environment) as engine:
        followed = _transfer(settings, engine, (reference,), environment, progress, push=False)
        described = _described(engine, reference)
    with open_repository(settings, repository, environment) as client:
        layers, notes = _layers(client, followed[0].digest, described.get("Architecture"))
    return ImageTransfer(
        "pull",
        (reference,),
        followed[0].digest,
        count_layers(followed, layers),
        notes,
        time.monotonic() - started,
    )


def _repository(settings: Settings) -> str:
    from dockyard.project import image_name

    image = image_name(settings)
    if settings.registry:
        return f"{settings.registry}/{image}"
    raise SettingsError(
        "there is no registry to move the image to or from",
        where="DOCKYARD_REGISTRY",
        hint="set it to a registry and prefix, such as ghcr.io/acme",
    )


@contextlib.contextmanager
def _engine(
    settings: Settings, repository: str, environment: Mapping[str, str]
) -> Iterator[APIClient]:
    """Open the engine that the docker command would use: DOCKER_HOST, else the context's.

    NetworkError where it says nothing for too long, which is the registry's silence.
    """
    import docker
    import requests
    import urllib3
    from docker.context import ContextAPI
    from docker.errors import DockerException
    from docker.utils import kwargs_from_env

    silence = settings.registry_timeout or SILENCE_SECONDS

    def patient(options: dict[str, Any]) -> dict[str, Any]:
        return {**options, "timeout": options.get("timeout") or silence}

    try:
        if environment.get("DOCKER_HOST"):
            options: dict[str, Any] = {**kwargs_from_env(environment=dict(environment))}
        else:
            context = ContextAPI.get_context(environment.get("DOCKER_CONTEXT") or None)
            options = {"base_url": context.Host, "tls": context.TLSConfig} if context else {}
        ssh = str(options.get("base_url", "")).startswith("ssh://")
        client = docker.APIClient(
            **{key: value for key, value in options.items() if value},
            timeout=silence,
            use_ssh_client=ssh,
        )
        # The SDK would wait for a pull without end.
        vars(client)["_set_request_timeout"] = patient
        with contextlib.closing(client):
            yield client
    except (DockerException, requests.RequestException, urllib3.exceptions.HTTPError) as error:
        # The SDK reads events past requests: an engine that ends meanwhile is urllib3's to tell.
        if "read timed out" in str(error).lower():
            raise _silent(repository, silence) from error
        raise EngineError(
            f"the Docker Engine does not answer as it should: {_explanation(error)}",
            hint="`docker version` shows whether it runs and this user may talk to it; then the "
            "same command again moves what is still missing",
        ) from error


def _silent(repository: str, seconds: float) -> NetworkError:
    host, _ = split_repository(repository)
    return NetworkError(
        f"{host} has said nothing to the engine for {seconds:g} s",
        hint="see whether the registry and the way to it are well, and try again; "
        "DOCKYARD_REGISTRY_TIMEOUT says how long it may be silent",
    )


def news(
    events: Iterable[dict[str, Any]],
    silence: float,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[dict[str, Any]]:
    """Yield the engine's events until none has said anything new for ``silence`` seconds.

    It repeats how far a layer is ten times a second, also of one that does not come. Unpacking one
    is no registry's silence. Raises TimeoutError after silence.
    """
    told: dict[str, dict[str, Any]] = {}
    heard = clock()
    for event in events:
        about = str(event.get("id", ""))
        if told.get(about) != event or event.get("status") == "Extracting":
            told[about], heard = event, clock()
        elif clock() - heard > silence:
            raise TimeoutError
        yield event


def _explanation(error: Exception) -> str:
    return str(getattr(error, "explanation", None) or error)


def _described(engine: APIClient, reference: str) -> dict[str, Any]:
    described: dict[str, Any] = engine.inspect_image(reference)  # type: ignore[no-untyped-call]
    return described


def _names(engine: APIClient, repository: str, tag: str | None) -> tuple[str, ...]:
    """List what to push: the asked tag, else all that the engine has of the same image."""
    from docker.errors import NotFound

    reference = f"{repository}:{tag or 'latest'}"
    try:
        described = _described(engine, reference)
    except NotFound as error:
        raise ImageUnavailableError(
            f"the engine has no image {reference}", hint="`invoke build` makes it"
        ) from error
    if tag:
        return (reference,)
    names = (name for name in described.get("RepoTags") or ())
    return tuple(sorted(name for name in names if name.rpartition(":")[0] == repository))


def _transfer(
    settings: Settings,
    engine: APIClient,
    references: Iterable[str],
    environment: Mapping[str, str],
    progress: TransferProgress,
    *,
    push: bool,
) -> list[ImageEvents]:
    from docker.errors import APIError

    followed = []
    silence = settings.registry_timeout or SILENCE_SECONDS
    for reference in references:
        repository, _, tag = reference.rpartition(":")
        host, _ = split_repository(repository)
        credential = find_credential(host, environment)
        carry_out = engine.push if push else engine.pull
        events = ImageEvents()
        progress.begin(reference, None)
        try:
            stream = carry_out(
                repository,
                tag=tag,
                stream=True,
                decode=True,
                auth_config=_authentication(credential, host),
            )
            for event in news(stream, silence):
                progress.advance(events.feed(event))
                if events.error:
                    break
        except APIError as error:
            events.error = _explanation(error)
        except TimeoutError as error:
            raise _silent(repository, silence) from error
        finally:
            progress.end()
        if events.error:
            said = events.error
            if credential:
                said = said.replace(credential.secret, "***")
            if not push and is_damage(said):
                _sweep(engine)
            raise image_error(said, reference, push=push)
        followed.append(events)
    return followed


def _sweep(engine: APIClient) -> None:
    """Let the engine drop what a pull left that came damaged.

    It keeps it, goes on with it at the next pull, and fails again for the same bytes, until
    containerd collects garbage (https://github.com/containerd/containerd/issues/3974). That it does
    at once when an image is removed: here an empty one, made for it.
    """
    import requests
    from docker.errors import DockerException

    name = f"dockyard.local/sweep:{secrets.token_hex(8)}"
    # What is to be told is that the pull failed, not that this did.
    with contextlib.suppress(DockerException, requests.RequestException):
        engine.import_image_from_data(EMPTY_ARCHIVE, repository=name)
        engine.remove_image(name)


def _authentication(credential: Credential | None, host: str) -> dict[str, str]:
    """Render a login for the engine; never empty, for which the SDK would look for one itself."""
    if credential is None:
        return {"serveraddress": host}
    if credential.is_token:
        return {"serveraddress": host, "identitytoken": credential.secret}
    return {
        "serveraddress": host,
        "username": credential.username,
        "password": credential.secret,
    }


def _layers(
    client: RegistryClient, digest: str | None, architecture: str | None
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Read an image's layers (digest → bytes) from the registry: of one platform, or of all.

    The engine's events lack the sizes of small layers, and layers that were there altogether. That
    the registry does not tell is a note: the image is where it should be.
    """
    layers: dict[str, int] = {}
    pending = [digest] if digest else []
    try:
        while pending:
            manifest = client.read_manifest(pending.pop())
            if manifest is None:
                continue
            loaded = json.loads(manifest.content)
            for one in loaded.get("layers") or ():
                layers[str(one["digest"])] = int(one["size"])
            for one in loaded.get("manifests") or ():
                built_for = (one.get("platform") or {}).get("architecture")
                if architecture in (None, built_for):
                    pending.append(one["digest"])
    except DockyardError as error:
        return {}, (f"bytes are as the engine tells them: {error.problems[0].message}",)
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}, ("bytes are as the engine tells them: the registry's manifest is malformed",)
    return layers, ()
