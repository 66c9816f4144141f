"""Sequential tests by betting: their chance of a false alarm is bounded however often one looks.

A gambler starts with a wealth of 1 and bets against a hypothesis. Where it holds, no bet wins on
average, and the chance that the wealth ever reaches 1/alpha is at most alpha (Ville 1939). The
average of several wealths is one, too. After Waudby-Smith and Ramdas (2024), "Estimating means of
bounded random variables by betting".
"""

from collections.abc import Callable, Sequence
from math import lgamma, log, log1p

import numpy as np

# Of the largest bet that cannot lose everything, these shares are bet at a time, side by side.
_SHARES = np.array([0.05, 0.1, 0.2, 0.4, 0.8])


class _Bets:
    """Bets on factors, from which the wealth follows. The logarithms of each are all its state."""

    def __init__(self, count: int, logs: Sequence[float] | None = None) -> None:
        self._logs = np.zeros(count) if logs is None else np.array(logs, dtype=float)
        if self._logs.shape != (count,):
            raise ValueError(f"{count} wealths are kept, not {len(self._logs)}")

    @property
    def wealth(self) -> float:
        """Return the average wealth of all bets, the evidence against the hypothesis."""
        return float(np.exp(self._logs).mean())

    @property
    def logs(self) -> list[float]:
        """Return what a later process needs to go on: the natural logarithm of each wealth."""
        return [float(value) for value in self._logs]

    def _multiply(self, factors: np.ndarray) -> None:
        # A wealth past 1e300 would be no number; by then the alarm has long been raised.
        self._logs = np.minimum(self._logs + np.log(factors), 690.0)


class UniformTest(_Bets):
    """A test that p-values have the mean 0.5, whatever came before each.

    margin: by how much their mean may be off, on either side, for a reference that is known from a
    sample alone.
    """

    def __init__(self, margin: float = 0.0, logs: Sequence[float] | None = None) -> None:
        super().__init__(2 * len(_SHARES), logs)
        self._margin = margin
        self._stakes = _SHARES / (0.5 + margin)

    def add(self, p: float) -> None:
        """Bet on the next p-value, or on the mean of those of one examination, in [0, 1]."""
        gains = np.concatenate([self._stakes * (p - 0.5), self._stakes * (0.5 - p)])
        self._multiply(1 + gains - np.tile(self._stakes * self._margin, 2))


class MeanTest(_Bets):
    """A test that values in [0, 1] have a mean of at most `limit`, whatever came before each."""

    def __init__(self, limit: float, logs: Sequence[float] | None = None) -> None:
        super().__init__(len(_SHARES), logs)
        if not 0 < limit < 1:
            raise ValueError("the limit is between 0 and 1")
        self._limit = limit

    def add(self, value: float) -> None:
        """Bet on the next value, in [0, 1]."""
        self._multiply(1 + _SHARES * (value - self._limit) / self._limit)


def share_bounds(successes: float, failures: float, alpha: float) -> tuple[float, float]:
    """Return bounds of a share that hold at all times together, but for a chance of alpha.

    It is the confidence sequence of a bet on all shares alike (Robbins 1970), from the counts of
    independent successes and failures so far. Without any, the bounds are 0 and 1.

    A value between 0 and 1 may count as a part of a success, the rest of it as a failure: then the
    bounds are of the mean of such values. The likelihood ratio of a value is convex in it, so its
    mean is at most that of a success or failure with the same mean, and no bet wins on average.
    """
    total = successes + failures
    if not total:
        return 0.0, 1.0
    # Of the bet: the integral of share**successes * (1 - share)**failures.
    bet = lgamma(successes + 1) + lgamma(failures + 1) - lgamma(total + 2)

    def is_refuted(share: float) -> bool:
        likelihood = successes * log(share) + failures * log1p(-share)
        return bet - likelihood >= -log(alpha)

    mean = successes / total
    low = _boundary(is_refuted, 0.0, mean) if successes else 0.0
    high = _boundary(is_refuted, 1.0, mean) if failures else 1.0
    return low, high


def _boundary(is_refuted: Callable[[float], bool], outside: float, inside: float) -> float:
    """Return the share nearest to `inside`, by bisection, that is still refuted."""
    for _ in range(50):
        middle = (outside + inside) / 2
        if is_refuted(middle):
            outside = middle
        else:
            inside = middle
    return outside
