"""Every number that the layer planner does not learn from the project, with its source."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["FREE_LAYERS", "PlannerParameters", "VersionRates"]


@dataclass(frozen=True)
class VersionRates:
    """How much likelier than the average a package is to change, by what its lock entry shows.

    Factors are powers of e. Fitted by Poisson regression, each package weighted by the square root
    of its size, over 1,000 changes of the locks of twelve public applications; refitted with any
    one of them left out, no number moves by more than 0.1.
    """

    constant: float = -0.35
    per_decade_below_megabyte: float = 0.41
    """Small packages are finished ones: for each power of ten between 1 KB and 1 MB."""
    per_decade_above_megabyte: float = -0.09
    per_doubled_minor: float = 0.19
    """A project at 1.94 has released more often than one at 1.3."""
    calendar: float = 0.45
    """Versions that are dates are released by the calendar."""
    below_one: float = -0.31


@dataclass(frozen=True)
class PlannerParameters:
    """What the planner assumes.

    The learning parameters were chosen on the histories of twelve public applications. The result
    depends on none of them much: half or twice the value costs about 1 % more bytes.
    """

    rates: VersionRates = VersionRates()

    seconds_per_layer: float = 0.02
    """What one more layer adds to every build, seconds. Measured with the example in 2 to 24
    dependency layers: 0.52 to 0.87 s for a build without a change and 0.69 to 1.07 s for a code
    change on the engine's builder, 1.38 to 1.59 s for one that an empty builder pushes."""
    seconds_per_layer_from_nothing: float = 0.4
    """What it adds to a build that makes all layers, seconds. Measured with the example behind
    100 Mbit/s: 15.8, 16.6 and 16.9 s with 7, 8 and 9 dependency layers."""
    builds_from_nothing: float = 0.05
    """The share of builds that do: on a new machine without a cache, or on another base image;
    assumed."""
    build_seconds_per_byte: float = 0.174e-6
    """What moving one more byte adds to the build that changes it: download, install, compress,
    push. Measured on loopback: 36 s for 185 MB, 7.8 s for 23 MB."""
    network_bytes_per_second: float = 12.5e6
    """A line of 100 Mbit/s, assumed."""
    transfers_per_change: float = 2.0
    """How often a changed byte crosses that line: pushed once and pulled once."""
    builds_per_change: float = 10.0
    """Builds for each change of the lock, where git does not tell how many commits there are."""
    source_build_seconds: float = 20.0
    """What a package built from source costs its layer's every change, assumed; in the objective
    as bytes, so that such packages stay apart from what changes often and from big wheels."""

    default_intensities: tuple[float, ...] = (0.005, 0.006, 0.01, 0.015, 0.03, 0.05, 0.1, 0.2)
    """Shares of the packages that a change of a lock changes: quantiles of the twelve histories.
    Most changes touch one package, a few nearly all."""
    default_intensity_weight: float = 10.0
    """How many changes of the project's own outweigh those."""
    rate_weight: float = 2.0
    """How many expected changes of a package its own count outweighs the rate from its version."""
    half_life: float = 150.0
    """After how many changes of the lock a package's change counts half."""
    union_weight: float = 40.0
    """How many changes of the lock outweigh what the model says of a whole layer."""
    union_window: int = 80
    """How many of the last changes tell which packages change together."""
    horizon: float = 10.0
    """For how many changes a placement is expected to last: what a better place may cost now."""
    pinned_together: float = 0.3
    """What of an accelerator library's own rate is left in a layer that changes with PyTorch."""

    @property
    def bytes_per_second(self) -> float:
        """The exchange rate between build time and bytes."""
        transfers = self.transfers_per_change / self.network_bytes_per_second
        return 1 / (self.build_seconds_per_byte + transfers)

    @property
    def layer_bytes(self) -> float:
        """What one more layer costs per change of the lock, in bytes."""
        seconds = (
            self.seconds_per_layer + self.builds_from_nothing * self.seconds_per_layer_from_nothing
        )
        return seconds * self.builds_per_change * self.bytes_per_second

    @property
    def source_build_bytes(self) -> float:
        """What building one package from source costs, in bytes."""
        return self.source_build_seconds * self.bytes_per_second

    def measured(self, builds_per_change: float | None) -> PlannerParameters:
        """Return the same with what a project's own history tells."""
        if builds_per_change is None or self.builds_per_change == 0:
            return self
        return replace(self, builds_per_change=builds_per_change)


FREE_LAYERS = PlannerParameters(builds_per_change=0.0, source_build_seconds=0.0)
"""Layers cost nothing, bytes alone count: all the layers that a limit allows are used."""
