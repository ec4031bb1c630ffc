"""Mirrors of package indexes: their short names, what a build says of them, how fast they are.

Everything but :func:`probe` is pure. Which index a package is really installed from is decided in
the build, by the ``install-layer`` script: it tries an index's mirrors in order, then the index,
and writes one line for each (:mod:`dockyard.layer_reports`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

__all__ = [
    "PRESETS",
    "PYPI",
    "Measurement",
    "Mirror",
    "expand",
    "order",
    "parse_mirror",
    "probe",
]

PYPI = "https://pypi.org/simple"

# Each as its operator documents it: mirrors.tuna.tsinghua.edu.cn/help/pypi,
# developer.aliyun.com/mirror/pypi, mirrors.ustc.edu.cn/help/pypi.html,
# mirrors.cloud.tencent.com/help/pypi.html, mirrors.huaweicloud.com.
PRESETS = {
    "tuna": "https://pypi.tuna.tsinghua.edu.cn/simple",
    "aliyun": "https://mirrors.aliyun.com/pypi/simple",
    "ustc": "https://mirrors.ustc.edu.cn/pypi/simple",
    "tencent": "https://mirrors.cloud.tencent.com/pypi/simple",
    "huawei": "https://repo.huaweicloud.com/repository/pypi/simple",
}

# A small package that every mirror of PyPI has, and how much of a file is enough to tell its speed.
PROBED_PROJECT = "pip"
PROBED_BYTES = 2_000_000


@dataclass(frozen=True)
class Mirror:
    """A mirror's URL, and the index that it mirrors by name or URL ("" is PyPI)."""

    url: str
    index: str = ""

    def shown(self) -> str:
        """Return the URL without a user and password."""
        return without_credentials(self.url)


def without_credentials(text: str) -> str:
    """Take the user and password out of the URLs of a text."""
    return re.sub(r"//[^/@\s]*@", "//", text)


def expand(entry: str) -> str:
    """Replace a mirror's short name by its URL, in ``NAME``, ``URL`` or ``INDEX=URL``."""
    return PRESETS.get(entry, entry)


def parse_mirror(entry: str) -> Mirror:
    """Take an entry of ``DOCKYARD_UV_MIRRORS`` apart: ``[INDEX=]URL`` or a short name.

    Raises ValueError if there is no URL in it.
    """
    found = re.fullmatch(r"(?:(.+?)=)?(https?://.*)", expand(entry.strip()))
    if found is None:
        raise ValueError(f"{entry!r} is neither a URL nor one of {', '.join(PRESETS)}")
    return Mirror(found[2].rstrip("/"), (found[1] or "").rstrip("/"))


@dataclass(frozen=True)
class Measurement:
    """How one mirror answered.

    ``latency``: seconds until the answer to a page of the index began; None if it does not answer.
    ``throughput``: bytes a second over ``received`` bytes of a real file; None if it gave none.
    """

    url: str
    latency: float | None = None
    throughput: float | None = None
    received: int = 0
    problem: str = ""
    address: str = field(default="", compare=False)

    def seconds_for(self, size: int, requests: int = 1) -> float:
        """Predict how long ``size`` bytes in so many requests take; infinite if it has none."""
        if self.latency is None or not self.throughput:
            return float("inf")
        return self.latency * requests + size / self.throughput


def order(
    measurements: Iterable[Measurement], size: int = 20_000_000, requests: int = 10
) -> tuple[Measurement, ...]:
    """Sort by the time that such a download takes, the fastest first; the dead keep their order."""
    return tuple(sorted(measurements, key=lambda one: one.seconds_for(size, requests)))


def probe(
    urls: Sequence[str],
    *,
    project: str = PROBED_PROJECT,
    seconds: float = 6.0,
    sample: int = PROBED_BYTES,
    authorities: str | None = None,
) -> tuple[Measurement, ...]:
    """Measure mirrors at the same time: reachability, latency, throughput on a real file.

    ``project`` is a package that all of them have; of its last file at most ``sample`` bytes are
    fetched. ``authorities`` is a PEM file trusted beside the public ones. No mirror takes longer
    than ``seconds``: what it gave until then counts. The result is in the order of ``urls``; a
    failure is in it and raises nothing.
    """
    from threading import Thread

    from dockyard.mirror_probe import Probe

    probes = [Probe(url.rstrip("/"), project, seconds, sample, authorities) for url in urls]
    threads = [Thread(target=one.run, daemon=True) for one in probes]
    for thread in threads:
        thread.start()
    for one, thread in zip(probes, threads, strict=True):
        # A thread that hangs in a name look-up is left behind.
        thread.join(max(one.left(), 0) + 0.2)
    return tuple(one.measurement() for one in probes)
