from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import structlog

from gateway.errors import UpstreamCertificateInvalid, UpstreamDisconnected
from gateway.predict.metrics import CIRCUIT_OPEN
from pipeline.errors import DeadlineExceeded, LesionserveError, Overloaded, Unavailable

logger = structlog.stdlib.get_logger(__name__)

# Failures in a row after which the ingress is taken to be down.
_FAILURES = 8
# Seconds for which each request then gets its 503 at once; after that, one request is the test.
_OPEN_S = 5.0

_LOST = (UpstreamDisconnected, UpstreamCertificateInvalid, DeadlineExceeded, Unavailable)


class Breaker:
    """A circuit breaker: it answers at once while the ingress is down, and spares it on its return.

    Only requests without any response count as failures; every response closes the circuit,
    whatever its status. A client that disconnects changes nothing. After Nygard, "Release It!".
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
            raise  # for lack of a connection of our own: the ingress was not asked
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
            CIRCUIT_OPEN.set(1)
            logger.warning("circuit to the inference service", state="open")

    def _answered(self) -> None:
        if self._failures >= _FAILURES:
            CIRCUIT_OPEN.set(0)
            logger.warning("circuit to the inference service", state="closed")
        self._failures = 0
