from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from prometheus_client import Gauge
from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.messages.events import ContextChanged
from purgatory.domain.model import OpenedState

from gateway.errors import BrokenOff, Distrusted
from pipeline.errors import DeadlineExceeded, Unavailable

logger = structlog.stdlib.get_logger(__name__)

_OPEN = Gauge("lesionserve_gateway_circuit_open", "1 while no image is sent upstream.")

# In a row, without one answer between them: nothing answers there.
_FAILURES = 8
# Then each request gets its 503 at once, for as long as this; after it they are the test.
_OPEN_S = 5.0

_NAME = "upstream"
_LOST = (BrokenOff, Distrusted, DeadlineExceeded, Unavailable)


class Breaker:
    """Keeps clients from waiting for an ingress that is gone, and it from a storm on its return."""

    def __init__(self) -> None:
        # An answer is an answer, whatever it says: only what brought none counts.
        answered = (BaseException, lambda error: not isinstance(error, _LOST))
        self._factory = AsyncCircuitBreakerFactory(_FAILURES, _OPEN_S, exclude=[answered])
        self._factory.add_listener(_tell)

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[None]:
        """Around one request. Raises Unavailable at once while the circuit is open."""
        circuit = await self._factory.get_breaker(_NAME)
        try:
            async with circuit:
                yield
        except OpenedState as error:
            raise Unavailable("The inference service cannot be reached.") from error


def _tell(name: str, kind: str, event: Any) -> None:
    if isinstance(event, ContextChanged):
        _OPEN.set(event.state == "opened")
        logger.warning("circuit to the inference service", state=event.state)
