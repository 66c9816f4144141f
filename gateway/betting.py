"""Sequential tests by betting: their chance of a false alarm is bounded however often one looks.

A gambler starts with a wealth of 1 and bets against a hypothesis. Where it holds, no bet wins on
average, and the chance that the wealth ever reaches 1/alpha is at most alpha (Ville 1939). The
average of several wealths is one, too. After Waudby-Smith and Ramdas (2024), "Estimating means of
bounded random variables by betting".
"""

from collections.abc import Callable, Sequence
from math import lgamma, log, log1p

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Of the largest bet that cannot lose everything, these shares are bet at a time, side by side.
_SHARES = np.array([0.05, 0.1, 0.2, 0.4, 0.8])
# A logarithm beyond this would be no number as a wealth; by then the alarm was raised long ago.
_LARGEST_LOG = 690.0


class UniformTests:
    """Tests side by side that p-values have the mean 0.5, whatever came before each.

    Half of the wealth is bet from the first p-value on, and the other half in parts that join
    later, so that a change after many p-values is found as soon as an early one: of the second
    half, the p-value number n brings 1/(n(n+1)).

    margins: shape (tests,), by how much each mean may be off, on either side, where the reference
    is known from a sample alone. logs: shape (tests, bets), the natural logarithms of what each bet
    has; the first half of the bets is on higher p-values. numbers: shape (tests,), of p-values so
    far. Both are all the state.
    """

    def __init__(
        self,
        margins: Floats,
        logs: Floats | None = None,
        numbers: NDArray[np.int64] | None = None,
    ) -> None:
        shape = (len(margins), 2 * len(_SHARES))
        self.logs = np.full(shape, log(0.5)) if logs is None else np.array(logs, dtype=np.float64)
        self.numbers = np.zeros(len(margins), np.int64) if numbers is None else np.array(numbers)
        if self.logs.shape != shape or self.numbers.shape != shape[:1]:
            raise ValueError(f"the logarithms have the shape {self.logs.shape}, not {shape}")
        self._margins = np.asarray(margins, dtype=np.float64)[:, None]
        self._stakes = _SHARES / (0.5 + self._margins)

    def add(self, p: Floats) -> None:
        """Bet on the next p-values, in [0, 1], shape (tests,); a test without one has NaN.

        The mean of the p-values of one examination is one value.
        """
        is_known = ~np.isnan(p)
        self.numbers += is_known
        gains = self._stakes * (p[:, None] - 0.5)
        costs = self._stakes * self._margins
        factors = 1 + np.concatenate([gains - costs, -gains - costs], axis=1)[is_known]
        numbers = self.numbers[is_known, None]
        joining = -np.log(2.0 * numbers * (numbers + 1))
        logs = np.logaddexp(self.logs[is_known], joining) + np.log(factors)
        self.logs[is_known] = np.minimum(logs, _LARGEST_LOG)

    @property
    def wealth(self) -> Floats:
        """Return each test's wealth, what is bet and what is not yet: the evidence."""
        wealth: Floats = np.exp(self.logs).mean(axis=1) + 0.5 / (self.numbers + 1)
        return wealth

    def begin_anew(self) -> None:
        """Forget all evidence."""
        self.logs[:] = log(0.5)
        self.numbers[:] = 0

    def winning_bets(self, test: int) -> tuple[slice, bool]:
        """Return the bets of a test on the side that has won most, and whether it is the higher."""
        half = len(_SHARES)
        is_higher = int(self.logs[test].argmax()) < half
        return slice(0, half) if is_higher else slice(half, 2 * half), is_higher


class MeanTest:
    """A test that values in [0, 1] have a mean of at most `limit`, whatever came before each.

    logs: the natural logarithms of the wealth of each bet, which are all the state.
    """

    def __init__(self, limit: float, logs: Sequence[float] | None = None) -> None:
        if not 0 < limit < 1:
            raise ValueError("the limit is between 0 and 1")
        if logs is not None and len(logs) != len(_SHARES):
            raise ValueError(f"there are {len(_SHARES)} bets, not {len(logs)}")
        self._logs = np.zeros(len(_SHARES)) if logs is None else np.array(logs, dtype=np.float64)
        self._limit = limit

    def add(self, value: float) -> None:
        """Bet on the next value, in [0, 1]."""
        factors = 1 + _SHARES * (value - self._limit) / self._limit
        self._logs = np.minimum(self._logs + np.log(factors), _LARGEST_LOG)

    @property
    def logs(self) -> list[float]:
        """Return what a later process needs to go on."""
        return [float(value) for value in self._logs]

    @property
    def wealth(self) -> float:
        """Return the average wealth of the bets, the evidence against the hypothesis."""
        return float(np.exp(self._logs).mean())


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
