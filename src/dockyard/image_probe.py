"""How fast mirrors of images are: a manifest and a part of a layer from each, at the same time."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from dockyard.base_images import mirror_references, normalise
from dockyard.errors import DockyardError
from dockyard.mirrors import PROBED_BYTES, Measurement

if TYPE_CHECKING:
    from dockyard.caches.layout import Descriptor
    from dockyard.settings import Settings

__all__ = ["ImageMeasurements", "probe_image_mirrors"]

SECONDS = 6.0


@dataclass(frozen=True)
class ImageMeasurements:
    """How the mirrors of one registry answered, by their entry in ``DOCKYARD_IMAGE_MIRRORS``.

    ``size``, in bytes, and ``requests`` are those of the image that was asked for.
    """

    by_entry: dict[str, Measurement]
    size: int
    requests: int


class _EnoughError(Exception):
    """So much of a layer tells the speed."""


@dataclass
class _Probe:
    """One mirror's measurement, which can be read while it still runs."""

    settings: Settings
    environment: Mapping[str, str]
    reference: str
    architecture: str
    deadline: float
    latency: float | None = None
    received: int = 0
    seconds: float = 0.0
    size: int = 0
    requests: int = 0
    problem: str = "no answer in time"
    _layers: list[Descriptor] = field(default_factory=list)

    def run(self) -> None:
        """Measure; failures become part of the measurement."""
        from dockyard.caches.registry_client import open_repository

        name, digest = self.reference.partition("@")[::2]
        host, _, path = name.partition("/")
        path, _, tag = path.partition(":")
        try:
            with open_repository(self.settings, f"{host}/{path}", self.environment) as client:
                started = time.monotonic()
                manifest = client.read_manifest(digest or tag or "latest")
                self.latency = time.monotonic() - started
                content = json.loads(manifest.content) if manifest else {}
                for child in content.get("manifests", ()):
                    if (child.get("platform") or {}).get("architecture") == self.architecture:
                        manifest = client.read_manifest(str(child["digest"]))
                        content = json.loads(manifest.content) if manifest else {}
                        break
                if not content.get("layers"):
                    self.problem = f"it does not have {self.reference}"
                    return
                self._take_layers(content["layers"])
                largest = max(self._layers, key=lambda one: one.size)
                begun = time.monotonic()

                def progress(moved: int) -> None:
                    self.received += moved
                    self.seconds = time.monotonic() - begun
                    if self.received >= PROBED_BYTES or time.monotonic() > self.deadline:
                        raise _EnoughError

                with tempfile.TemporaryDirectory(prefix="dockyard-") as folder:
                    client.download_blob(largest, Path(folder) / "layer", progress)
        except _EnoughError:
            pass
        except DockyardError as error:
            self.problem = error.problems[0].message
        except (OSError, ValueError, KeyError, TypeError) as error:
            self.problem = str(error) or type(error).__name__

    def _take_layers(self, layers: list[dict[str, object]]) -> None:
        from dockyard.caches.layout import Descriptor

        self._layers = [
            Descriptor(str(one.get("mediaType", "")), str(one["digest"]), int(str(one["size"])))
            for one in layers
        ]
        self.size = sum(one.size for one in self._layers)
        self.requests = len(self._layers)

    def measurement(self, entry: str) -> Measurement:
        """Return what is known by now."""
        throughput = self.received / max(self.seconds, 1e-6) if self.received else None
        problem = "" if throughput else self.problem
        return Measurement(entry, self.latency, throughput, self.received, problem, self.reference)


def probe_image_mirrors(
    settings: Settings,
    environment: Mapping[str, str],
    architecture: str,
    *,
    seconds: float = SECONDS,
) -> tuple[ImageMeasurements, ...]:
    """Measure the mirrors of each registry that has several, on a base image of that registry.

    None is waited for longer than ``seconds``. A failure is in the result and raises nothing.
    """
    found = []
    registries: set[str] = set()
    for image in (settings.python_image, settings.uv_image):
        registry = normalise(image).partition("/")[0]
        entries = {
            entry: references[0]
            for entry in settings.image_mirrors
            if (references := mirror_references(image, [entry]))
        }
        if len(entries) < 2 or registry in registries:
            continue
        registries.add(registry)
        deadline = time.monotonic() + seconds
        probes = {
            entry: _Probe(settings, environment, reference, architecture, deadline)
            for entry, reference in entries.items()
        }
        threads = [Thread(target=one.run, daemon=True) for one in probes.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0) + 0.2)
        found.append(
            ImageMeasurements(
                {entry: one.measurement(entry) for entry, one in probes.items()},
                max(one.size for one in probes.values()),
                max(one.requests for one in probes.values()),
            )
        )
    return tuple(found)
