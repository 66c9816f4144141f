from collections.abc import Callable
from time import monotonic

from gateway.predict.metrics import RETRIES, RETRIES_OVER_BUDGET

_EARNED = 0.1  # of a retry, for each request
_PER_SECOND = 10.0
_SAVED = 10.0  # retries at most, and at the start


class RetryBudget:
    """A budget that limits retries to a tenth of the requests, and ten more a second.

    Without it, retries double the load on an ingress just when it breaks down. After the retry
    budgets of Finagle, with its ten retries a second: a few clients cause no storm, and while a
    node that is given up still takes requests, each of these needs its retry.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._left = _SAVED
        self._counted_at = clock()

    def earn(self) -> None:
        self._add(_EARNED)

    def take(self, cost: float = 1.0) -> bool:
        """Take one retry from the budget. Return False where there is none left.

        cost: 0 for a retry that puts no load on the ingress.
        """
        now = self._clock()
        self._add(_PER_SECOND * (now - self._counted_at))
        self._counted_at = now
        if self._left < cost:
            RETRIES_OVER_BUDGET.inc()
            return False
        self._left -= cost
        RETRIES.inc()
        return True

    def _add(self, retries: float) -> None:
        self._left = min(_SAVED, self._left + retries)
