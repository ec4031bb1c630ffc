"""What registries are asked for a build's traffic: sizes, beside the builder's own requests."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dockyard.errors import DockyardError
from dockyard.traffic_parts import ImageBlob, PushedImage, RegistryFacts

if TYPE_CHECKING:
    from dockyard.preparation import Prepared

__all__ = ["RegistryQuestions"]

# Docker's annotation of what an index holds beside images (BuildKit, docs/attestations).
_KIND = "vnd.docker.reference.type"


@dataclass
class _Answers:
    image: dict[str, int] | None = None
    layers: tuple[ImageBlob, ...] = ()
    configurations: dict[str, tuple[str, int]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    reason: str = ""


class RegistryQuestions:
    """Asks in threads of its own; what is not answered has a reason, and nothing is raised."""

    def __init__(self, prepared: Prepared, environment: Mapping[str, str]) -> None:
        self._settings = prepared.settings
        self._repository = prepared.definition.tags[-1].rpartition(":")[0]
        self._environment = environment
        self._answers = _Answers()
        self._threads: list[threading.Thread] = []

    def ask_for_caches(self, references: Sequence[str]) -> None:
        """Begin to ask for caches, while the build reads them: later it may write them anew."""
        for one in references:
            self._begin(self._ask_for_cache, one)

    def ask_for_image(self, digest: str) -> None:
        """Begin to ask for the image that was pushed."""
        self._begin(self._ask_for_image, digest)

    def _begin(self, ask: Callable[[_Answers, str], None], what: str) -> None:
        thread = threading.Thread(
            target=self._answer, args=(ask, what), name="traffic", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def answers(self, seconds: float) -> RegistryFacts:
        """Wait for at most so many seconds."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))
        found = self._answers
        if any(thread.is_alive() for thread in self._threads):
            found = self._answers = _Answers(reason="the registry did not answer in time")
        reason = found.reason or "the registry was not asked, or has no such manifest"
        return RegistryFacts(found.image, found.configurations, found.sizes, reason)

    @property
    def pushed(self) -> PushedImage | None:
        """The image as the registry has it; None where that is not known.

        The layers of an image for several platforms are no one image's.
        """
        found = self._answers
        if found.image is None or not found.layers:
            return None
        return PushedImage(found.layers, sum(found.image.values()))

    def _answer(self, ask: Callable[[_Answers, str], None], what: str) -> None:
        answers = self._answers
        try:
            ask(answers, what)
        except DockyardError as error:
            answers.reason = error.problems[0].message
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            answers.reason = f"a manifest has another form: {error}"

    def _ask_for_image(self, answers: _Answers, digest: str) -> None:
        """Read the manifests of the image that was pushed: of each platform, and attestations."""
        blobs: dict[str, int] = {}
        images: list[tuple[ImageBlob, ...]] = []
        attestations = set()
        documents = [digest]
        for one in documents:  # grows while it is read
            document = self._manifest(self._repository, one)
            if document is None:
                answers.reason = f"the registry has no manifest {one}"
                return
            for child in document.get("manifests", ()):
                documents.append(str(child["digest"]))
                if (child.get("annotations") or {}).get(_KIND) == "attestation-manifest":
                    attestations.add(documents[-1])
            listed = tuple(
                ImageBlob(str(layer["digest"]), int(layer["size"]))
                for layer in document.get("layers", ())
            )
            if listed and one not in attestations:
                images.append(listed)
            blobs.update({layer.digest: layer.size for layer in listed})
            if config := document.get("config"):
                blobs[str(config["digest"])] = int(config["size"])
        answers.image = blobs
        answers.layers = images[0] if len(images) == 1 else ()

    def _ask_for_cache(self, answers: _Answers, reference: str) -> None:
        """Read what a cache's manifest tells of its blobs' sizes.

        It is an image manifest, or (``image-manifest=false``) an index with the layers and the
        configuration; an image with an inline cache has it in its own configuration.
        """
        repository, _, tag = reference.rpartition(":")
        documents = [tag]
        for one in documents:  # grows while it is read
            document = self._manifest(repository, one)
            if document is None:
                return  # there is no cache yet, most likely
            for blob in (*document.get("layers", ()), *document.get("manifests", ())):
                answers.sizes[str(blob["digest"])] = int(blob["size"])
                kind = str(blob.get("mediaType", ""))
                if "buildkit.cacheconfig" in kind:
                    answers.configurations[reference] = (str(blob["digest"]), int(blob["size"]))
                elif "image.manifest" in kind or "distribution.manifest" in kind:
                    documents.append(str(blob["digest"]))
            if config := document.get("config"):
                entry = (str(config["digest"]), int(config["size"]))
                answers.sizes[entry[0]] = entry[1]
                answers.configurations.setdefault(reference, entry)

    def _manifest(self, repository: str, reference: str) -> dict[str, Any] | None:
        from dockyard.caches.registry_client import open_repository

        with open_repository(self._settings, repository, self._environment) as client:
            found = client.read_manifest(reference)
        document = json.loads(found.content) if found else None
        return document if isinstance(document, dict) else None
