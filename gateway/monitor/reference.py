"""Where a value lies among those of a reference: its p-value, uniform where it is one of them."""

from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray

from gateway.monitor.profile import Distribution
from gateway.usage.bins import LAST, bin_of

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ValidationReference:
    """The validation images' distribution of one statistic, known by its quantiles.

    quantiles: shape (n,), at shares from 0 to 1 that are equally far apart. margin: how far the
    mean of the p-values may be from 0.5 although nothing has changed.
    """

    quantiles: Floats
    margin: float

    @classmethod
    def of(cls, distribution: Distribution, chance: float) -> "ValidationReference | None":
        """Return the reference; None without values.

        Its margin holds but for the `chance`, by the inequality of Dvoretzky, Kiefer and Wolfowitz
        with Massart's (1990) constant, for independent images. The quantiles add a step of theirs.
        """
        if not distribution.count:
            return None
        sampling = sqrt(log(2 / chance) / (2 * distribution.count))
        step = 1 / (len(distribution.quantiles) - 1)
        return cls(np.array(distribution.quantiles), min(0.5, sampling + step))

    def p_value(self, value: float, tie: float) -> float:
        """Return the share of the reference below the value; `tie` in [0, 1] splits equal ones."""
        quantiles = self.quantiles
        last = len(quantiles) - 1
        below = int(np.searchsorted(quantiles, value, "left"))
        through = int(np.searchsorted(quantiles, value, "right"))
        if below == through:  # between two quantiles, or beyond all
            if below in (0, last + 1):
                return below / (last + 1)
            low, high = quantiles[below - 1 : below + 1]
            return float(below - 1 + (value - low) / (high - low)) / last
        return (below + tie * (through - 1 - below)) / last


class EarlierReference:
    """The clinic's own earlier values of some statistics, which grow with each new one.

    The p-value of each value among all before it is uniform and independent of those before it, as
    long as the order of the values says nothing (conformal prediction; Vovk et al. 2003). Values
    are counted in the bins of gateway.usage.bins, so that their number does not matter.
    counts: shape (statistics, bins).
    """

    def __init__(self, counts: NDArray[np.int64]) -> None:
        self.counts = counts

    @classmethod
    def empty(cls, statistics: int) -> "EarlierReference":
        return cls(np.zeros((statistics, 2 * LAST + 1), dtype=np.int64))

    def add(self, values: Floats, ties: Floats) -> Floats:
        """Return the p-values of the next values, shape (statistics,), and count them.

        A statistic without a value has NaN for both. ties: in [0, 1], they split equal values.
        """
        p_values = np.full(len(values), np.nan)
        for row, value in enumerate(values):
            if np.isnan(value):
                continue
            number = bin_of(float(value)) + LAST
            counts = self.counts[row]
            below, equal = int(counts[:number].sum()), int(counts[number])
            total = below + equal + int(counts[number + 1 :].sum())
            p_values[row] = (below + ties[row] * (equal + 1)) / (total + 1)
            counts[number] += 1
        return p_values
