from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import structlog
from prometheus_client import Gauge

from gateway.errors import UpstreamCertificateInvalid, UpstreamDisconnected
from pipeline.errors import DeadlineExceeded, LesionserveError, Overloaded, Unavailable

logger = structlog.stdlib.get_logger(__name__)

_OPEN = Gauge("lesionserve_gateway_circuit_open", "1 while no image is sent upstream.")

# In a row, without one answer between them: nothing answers there.
_FAILURES = 8
# Then each request gets its 503 at once, for as long as this; after it one of them is the test.
_OPEN_S = 5.0

_LOST = (UpstreamDisconnected, UpstreamCertificateInvalid, DeadlineExceeded, Unavailable)


class Breaker:
    """Circuit breaker: answer at once while the ingress is gone, and spare it on its return.

    Goes around what is sent and received, so that it sees what brought no answer; an answer is an
    answer, whatever it says. A client that leaves tells nothing of the ingress. After Nygard's
    "Release It!".
    """

    def __init__(self) -> None:
        self._failures = 0
        self._opens_at = 0.0  # on the monotonic clock
        self._testing = False

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Watch one request. Raise Unavailable at once while the circuit is open."""
        is_test = self._failures >= _FAILURES
        if is_test:
            if self._testing or monotonic() < self._opens_at:
                raise Unavailable("The inference service cannot be reached.")
            self._testing = True
        try:
            yield
        except _LOST:
            self._lost()
            raise
        except Overloaded:
            raise  # for want of a connection of ours: the ingress was not asked
        except LesionserveError:
            self._answered()
            raise
        else:
            self._answered()
        finally:
            if is_test:
                self._testing = False

    def _lost(self) -> None:
        self._failures += 1
        if self._failures >= _FAILURES:
            self._opens_at = monotonic() + _OPEN_S
        if self._failures == _FAILURES:
            _OPEN.set(1)
            logger.warning("circuit to the inference service", state="open")

    def _answered(self) -> None:
        if self._failures >= _FAILURES:
            _OPEN.set(0)
            logger.warning("circuit to the inference service", state="closed")
        self._failures = 0
