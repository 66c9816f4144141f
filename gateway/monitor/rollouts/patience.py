from collections import deque
from statistics import median

from gateway.monitor.rollouts.route import Route

# By less than this, nobody is kept waiting: milliseconds double by chance.
NOTICED_S = 0.1

# Answers that a candidate owes after it kept a client waiting. With it, less than one image in a
# hundred waits in a canary of half of the examinations, so the 99th percentile stays as it was.
OWED = 50

_REMEMBERED = 50


class Patience:
    """Tell how long the clients of one process wait for a candidate, if they do at all.

    They wait for as long as the rollout accepts, measured by what the stable model took lately.
    After a candidate has kept one waiting or failed, the stable model answers all clients, until
    the candidate has given enough answers that nobody waited for.
    """

    def __init__(self) -> None:
        self._stable_s: deque[float] = deque(maxlen=_REMEMBERED)
        self._rollout: int | None = None
        self._owed = 0

    def is_lost(self, route: Route) -> bool:
        return self._rollout == route.rollout and self._owed > 0

    def lose(self, route: Route) -> None:
        self._rollout, self._owed = route.rollout, OWED

    def earn(self, route: Route) -> None:
        """Count an answer of the candidate that came in time."""
        if self._rollout == route.rollout:
            self._owed = max(0, self._owed - 1)

    def observe(self, stable_s: float) -> None:
        """Note the seconds that the stable model took for an image."""
        self._stable_s.append(stable_s)

    def late_after_s(self, route: Route) -> float | None:
        """Return the seconds after which the candidate keeps a client waiting; None if unknown."""
        if not self._stable_s:
            return None
        return slow_after_s(route.slow_factor, median(self._stable_s))


def slow_after_s(slow_factor: float, stable_s: float) -> float:
    """Return the seconds after which a candidate is slow where the stable model took `stable_s`."""
    return max(slow_factor * stable_s, stable_s + NOTICED_S)
