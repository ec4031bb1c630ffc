"""How likely packages are to change, alone and together, learnt from past locks. Pure.

A change of a lock has an intensity λ: a few change one package, some nearly all. Given λ, package i
changes with probability 1 − exp(−λ hᵢ), where its rate hᵢ is 1 on average. With λ distributed as
Gamma(shape k, mean μ), none of the packages of a layer changes with probability
(1 + μ H / k)^−k, where H is the sum of their rates; that one package at least changes is given.
What the last changes show of the layer itself is mixed in: packages that change together count
once.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from functools import cached_property, lru_cache

from dockyard.layer_parameters import PlannerParameters, VersionRates
from dockyard.lock_versions import Changes, LockedPackages, changes

__all__ = ["ChangeModel", "prior_rate", "release_trains"]

ACCELERATOR_TRAIN = "accelerators"
# PyTorch's wheels pin these to exact versions: they change when it does, and hardly ever else.
ACCELERATORS = frozenset({"cuda", "nvidia", "torch", "torchaudio", "torchvision", "triton"})
FIRST_CALENDAR_YEAR = 1990
# A version of so many bits (the sum of the logarithms of its numbers) is no coincidence.
TELLING_BITS = 9.0


@lru_cache(maxsize=1 << 16)
def release_numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a version's release part (PEP 440)."""
    found = re.match(r"v?(?:\d+!)?(\d+(?:\.\d+)*)", version)
    return tuple(int(part[:9]) for part in found[1].split(".")) if found else ()


@lru_cache(maxsize=1 << 16)
def prior_rate(version: str, size: int, rates: VersionRates) -> float:
    """Estimate a package's rate of change, 1 on average, from its version and size alone."""
    numbers = release_numbers(version)
    calendar = bool(numbers) and numbers[0] >= FIRST_CALENDAR_YEAR
    minor = numbers[1] if len(numbers) > 1 and not calendar else 0
    decades = math.log10(max(size, 1000)) - 6
    return math.exp(
        rates.constant
        + rates.per_decade_below_megabyte * (min(decades, 0) + 1)
        + rates.per_decade_above_megabyte * max(decades, 0)
        + rates.per_doubled_minor * math.log2(min(minor, 512) + 1)
        + (rates.calendar if calendar else 0)
        + (rates.below_one if numbers and numbers[0] == 0 else 0)
    )


def release_trains(packages: LockedPackages) -> dict[str, str]:
    """Name the release train of every package that is released together with others.

    A train is one project's packages at one version (``opentelemetry-…``), packages that share a
    version which cannot be chance (``boto3`` and ``botocore`` 1.42.6), or PyTorch with what it
    pins. Of two packages of the first two kinds, when one changes the other does in 95 of 100.
    """
    by_project: dict[str, list[str]] = defaultdict(list)
    by_version: dict[str, list[str]] = defaultdict(list)
    found: dict[str, str] = {}
    for name in sorted(packages):
        version = packages[name].version
        project = re.split(r"[-_.]", name, maxsplit=1)[0]
        if project in ACCELERATORS:
            found[name] = ACCELERATOR_TRAIN
            continue
        by_project[f"{project} {version}"].append(name)
        if sum(math.log2(n + 1) for n in release_numbers(version)) >= TELLING_BITS:
            by_version[version].append(name)
    for together in (by_project, by_version):
        for train, names in together.items():
            if len(names) > 1:
                found.update(dict.fromkeys(names, train))
    return found


class ChangeModel:
    """What is known of a project's packages after each of its lock's versions.

    :meth:`observe` takes the versions in order. All that is asked is of the newest one's packages.
    """

    def __init__(self, packages: LockedPackages, parameters: PlannerParameters) -> None:
        self.parameters = parameters
        self._count: dict[str, float] = defaultdict(float)
        self._exposure: dict[str, float] = defaultdict(float)
        self._intensities: list[float] = []
        # One bit for each of the last changes, the newest lowest: set where the package changed.
        self.marks: dict[str, int] = {}
        self._refresh(packages)

    @classmethod
    def learned(
        cls, versions: Iterable[LockedPackages], parameters: PlannerParameters
    ) -> ChangeModel:
        """Observe versions, oldest first; there must be one at least."""
        before, *later = versions
        model = cls(before, parameters)
        for version in later:
            model.observe(before, version)
            before = version
        return model

    @property
    def observed(self) -> int:
        """How many of the last changes the marks are of."""
        return min(len(self._intensities), self.parameters.union_window)

    def observe(self, old: LockedPackages, new: LockedPackages) -> Changes:
        """Learn from one change of the lock, and return what changed."""
        found = changes(old, new)
        stayed = sorted(old.keys() & new.keys())
        intensity = len(found.changed) / max(sum(self._own_rates[name] for name in stayed), 1e-9)
        if found.changed:
            decay = 0.5 ** (1 / self.parameters.half_life)
            for name in stayed:
                self._count[name] *= decay
                self._exposure[name] = self._exposure[name] * decay + intensity
        window = (1 << self.parameters.union_window) - 1
        self.marks = {name: kept for name, m in self.marks.items() if (kept := m << 1 & window)}
        for name in found.changed:
            self._count[name] += 1
            self.marks[name] = self.marks.get(name, 0) | 1
        self._intensities.append(intensity)
        self._refresh(new)
        return found

    def _refresh(self, packages: LockedPackages) -> None:
        parameters = self.parameters
        own = self._intensities
        defaults = parameters.default_intensities
        weight = parameters.default_intensity_weight / len(defaults)
        total = len(own) + parameters.default_intensity_weight
        mean = (sum(own) + weight * sum(defaults)) / total
        square = (sum(x * x for x in own) + weight * sum(x * x for x in defaults)) / total
        self.shape = mean * mean / max(square - mean * mean, 1e-12)
        self.scale = mean / self.shape
        # A rate is the mean of a Gamma distribution: prior and count, by expected count.
        prior = parameters.rate_weight
        count, exposure = self._count, self._exposure
        self._own_rates = {
            name: (count.get(name, 0.0) + prior)
            / (
                exposure.get(name, 0.0)
                + prior / prior_rate(one.version, one.size, parameters.rates)
            )
            for name, one in packages.items()
        }
        self._packages = packages
        # While old versions are learnt from nobody asks for these.
        for derived in ("trains", "rates", "weights", "_any"):
            self.__dict__.pop(derived, None)

    @cached_property
    def trains(self) -> dict[str, str]:
        """The release train of each package that has one, see :func:`release_trains`."""
        return release_trains(self._packages)

    @cached_property
    def rates(self) -> dict[str, float]:
        """Each package's rate of change, 1 on average; that of a train for all of its packages."""
        rates = dict(self._own_rates)
        members: dict[str, list[str]] = defaultdict(list)
        for name, train in self.trains.items():
            if train != ACCELERATOR_TRAIN:
                members[train].append(name)
        for names in members.values():
            rates.update(dict.fromkeys(names, sum(rates[name] for name in names) / len(names)))
        return rates

    @cached_property
    def weights(self) -> dict[str, int]:
        """What each package costs when its layer changes, in bytes, building it included."""
        build = round(self.parameters.source_build_bytes)
        return {
            name: one.size + (build if one.from_source else 0)
            for name, one in self._packages.items()
        }

    def remaining(self, train: str) -> float:
        """Return what of a package's rate counts in a layer that a faster one of its train is in.

        0 where all of a train changes at once.
        """
        return self.parameters.pinned_together if train == ACCELERATOR_TRAIN else 0.0

    def rate(self, names: Iterable[str]) -> float:
        """Return the rate at which any of the packages changes, trains counted once."""
        total = 0.0
        fastest: dict[str, float] = {}
        for name in sorted(names):
            rate, train = self.rates[name], self.trains.get(name)
            if train is None or train not in fastest:
                total += rate
            else:
                slower, faster = sorted((rate, fastest[train]))
                total += faster - fastest[train] + self.remaining(train) * slower
                rate = faster
            if train is not None:
                fastest[train] = rate
        return total

    def share(self, rate: float) -> float:
        """Return the probability that something of this rate changes, if anything does."""
        changes = 1 - (1 + self.scale * rate) ** -self.shape
        return float(changes / self._any)

    @cached_property
    def _any(self) -> float:
        if not self._packages:
            return 1.0
        return float(1 - (1 + self.scale * self.rate(self._packages)) ** -self.shape)

    def chance(self, names: Collection[str]) -> float:
        """Return the probability that a change of the lock changes any of the packages."""
        if not names:
            return 0.0
        marks = 0
        for name in names:
            marks |= self.marks.get(name, 0)
        weight = self.parameters.union_weight
        return (marks.bit_count() + weight * self.share(self.rate(names))) / (
            self.observed + weight
        )

    def expected(self, names: Collection[str]) -> float:
        """Return what a layer of these packages is expected to cost per change, in bytes."""
        return sum(self.weights[name] for name in names) * self.chance(names)
