from gateway.predict.metrics import RETRIES, RETRIES_OVER_BUDGET

_EARNED = 0.1  # of a retry, for each request
_SAVED = 10.0  # retries at most, and at the start


class RetryBudget:
    """A budget that limits retries to a tenth of the requests, and ten more.

    Without it, retries double the load on an ingress just when it breaks down. After the retry
    budgets of Finagle.
    """

    def __init__(self) -> None:
        self._left = _SAVED

    def earn(self) -> None:
        self._left = min(_SAVED, self._left + _EARNED)

    def take(self, cost: float = 1.0) -> bool:
        """Take one retry from the budget. Return False where there is none left.

        cost: 0 for a retry that puts no load on the ingress.
        """
        if self._left < cost:
            RETRIES_OVER_BUDGET.inc()
            return False
        self._left -= cost
        RETRIES.inc()
        return True
