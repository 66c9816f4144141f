"""How an image is sent to the inference service, by whatever model answers it."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol

from gateway.predict.image_request import ImageRequest
from gateway.predict.upstream import Upstream
from pipeline.schemas import Prediction


@dataclass(frozen=True, slots=True)
class Sender:
    """Whose image it is: the organisation's key, the examination's, and whether it is a probe."""

    organisation: int
    examination: str
    is_probe: bool = False


@dataclass(frozen=True, slots=True)
class Forwarded:
    """An answer of the inference service, and the seconds that it took.

    candidate_error: the code of the error with which a candidate failed before the stable model
    answered.
    """

    prediction: Prediction
    seconds: float
    candidate_error: str = ""


class Forwarder(Protocol):
    """Sends images to the inference service."""

    async def predict(
        self, request: ImageRequest, sender: Sender, on_attempt: Callable[[], None]
    ) -> Forwarded:
        """Return the answer; `on_attempt` is called before each attempt. Raise LesionserveError."""
        ...

    def answered(self, request: ImageRequest, sender: Sender, forwarded: Forwarded) -> None:
        """Take note that the client has its answer; it waits for nothing."""
        ...


class StableForwarder:
    """A forwarder with one model."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def predict(
        self, request: ImageRequest, sender: Sender, on_attempt: Callable[[], None]
    ) -> Forwarded:
        begun = monotonic()
        prediction = await self._upstream.predict(request, on_attempt)
        return Forwarded(prediction, monotonic() - begun)

    def answered(self, request: ImageRequest, sender: Sender, forwarded: Forwarded) -> None:
        """Do nothing: there is no other model."""


def forwarder_of(scope: Any) -> Forwarder:
    """Return the server's forwarder, which lives as long as the server."""
    forwarder: Forwarder = scope["state"]["forwarder"]
    return forwarder
