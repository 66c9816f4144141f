from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any, Self

import httpx
from pydantic import ValidationError

from gateway.errors import (
    NotReady,
    UpstreamDisconnected,
    UpstreamFault,
    UpstreamLost,
    UpstreamUnreached,
)
from gateway.predict.answer import parse_prediction, parse_problem
from gateway.predict.breaker import Breaker
from gateway.predict.connection import connect
from gateway.predict.exchange import exchange
from gateway.predict.image_request import ImageRequest
from gateway.predict.manifest import Manifest
from gateway.predict.metrics import ANSWERED, LOST, REFUSED, observe_attempt, observe_stages
from gateway.predict.retries import RetryBudget
from gateway.single_flight import SingleFlight
from pipeline.errors import LesionserveError, Overloaded, PoisonImage
from pipeline.http import correlation
from pipeline.schemas import Prediction
from pipeline.tracing.spans import traced, traceparent

# The ingress gets this much less time than the gateway has, or a tenth where that is shorter: the
# one that times out first gives the reason, and the ingress knows it.
_MARGIN_S = 1.0

_REPORT_S = 10.0
# How many more nodes are tried where a proxy could send an image nowhere.
_MOST_UNREACHED = 3
_READY_S = 2.5  # the ingress itself takes up to 2 s to find out


class Upstream:
    """The client of the ingress. Every failure becomes a LesionserveError."""

    def __init__(
        self, client: httpx.AsyncClient, deadline_s: float, retries: RetryBudget | None = None
    ) -> None:
        self._client = client
        self._deadline_s = deadline_s
        self._retries = retries or RetryBudget()
        self._breaker = Breaker()
        self.ready = SingleFlight(self._ready)

    @classmethod
    def connect(
        cls,
        url: str,
        token: str,
        deadline_s: float,
        ca: Path | None = None,
        certificate: Path | None = None,
        *,
        follows: bool = True,
    ) -> Self:
        """Return a client with a connection pool of its own, as `connect` describes it."""
        return cls(connect(url, token, ca, certificate, follows=follows), deadline_s)

    async def close(self) -> None:
        await self._client.aclose()

    async def predict(
        self,
        request: ImageRequest,
        on_attempt: Callable[[], None],
        within_s: float | None = None,
    ) -> Prediction:
        """Send the raw bytes and return the validated answer; call `on_attempt` before each
        attempt.

        It may take `within_s` seconds, by default the deadline.

        Inference is pure, so a request is safe to retry where no answer came: once, since the image
        may be the cause, within one deadline and the retry budget. Where a proxy could send the
        image nowhere, it costs no replica anything, and other nodes are tried. Raise the error that
        the ingress reports, or Overloaded, Unavailable, DeadlineExceeded, PoisonImage or
        UpstreamFault.
        """
        ends_at = monotonic() + (self._deadline_s if within_s is None else within_s)
        self._retries.earn()
        lost: UpstreamLost | None = None
        unreached = 0
        while True:
            try:
                return await self._attempt(request, ends_at, on_attempt)
            except UpstreamUnreached:
                unreached += 1
                if unreached > _MOST_UNREACHED or not self._retries.take(cost=0):
                    raise
            except UpstreamLost as error:
                if lost is not None:
                    raise _lost_twice(lost, error) from lost
                if not self._retries.take():
                    raise
                lost = error

    async def ask_once(self, request: ImageRequest, within_s: float) -> Prediction:
        """Send the raw bytes once and return the validated answer, without a trace in the metrics.

        For a comparison of models, which says nothing of the service. Raise LesionserveError.
        """
        status, body = await exchange(self._client, self._http_request(request, within_s), within_s)
        return _parse(request, status, body)

    async def model(self) -> bytes:
        """Return the manifest of the loaded model, as JSON. Raise LesionserveError."""
        status, body = await self._get("/model")
        if status != 200:
            raise UpstreamFault(f"The inference service answered {status} to GET /model.")
        return body

    async def golden(self) -> bytes:
        """Return the golden cases of the loaded model, as JSON. Raise LesionserveError."""
        return await self._report("/golden")

    async def profile(self) -> bytes:
        """Return the reference profile of the loaded model, as JSON. Raise LesionserveError."""
        return await self._report("/profile")

    async def _report(self, path: str) -> bytes:
        status, body = await self._get(path, _REPORT_S)
        if status != 200:
            raise UpstreamFault(f"The inference service answered {status} to GET {path}.")
        return body

    @traced("upstream_attempt")
    async def _attempt(
        self, request: ImageRequest, ends_at: float, on_attempt: Callable[[], None]
    ) -> Prediction:
        seconds = ends_at - monotonic()
        http_request = self._http_request(request, seconds)
        with self._breaker():
            on_attempt()
            begun = monotonic()
            try:
                status, body = await exchange(self._client, http_request, seconds)
            except Overloaded:
                raise  # for lack of a connection of our own: nothing was sent
            except LesionserveError:
                observe_attempt(LOST, monotonic() - begun)
                raise
        took_s = monotonic() - begun
        try:
            prediction = _parse(request, status, body)
        except LesionserveError as error:
            # A replica that died in the middle of a request is a loss, too.
            is_lost = isinstance(error, UpstreamLost)
            observe_attempt(LOST if is_lost else REFUSED, took_s)
            raise
        observe_attempt(ANSWERED, took_s)
        observe_stages(prediction.timings_ms, took_s)
        return prediction

    def _http_request(self, request: ImageRequest, seconds: float) -> httpx.Request:
        headers = {
            "Content-Type": f"image/{request.header.format.lower()}",
            "X-Request-ID": request.request_id,
            "X-Deadline-Ms": str(_milliseconds_left(seconds)),
        }
        if request.correlation_id is not None:
            headers[correlation.HEADER] = request.correlation_id
        if (parent := traceparent()) is not None:
            headers["traceparent"] = parent
        return self._client.build_request(
            "POST",
            "/predict",
            params=request.options.model_dump(exclude_none=True),
            headers=headers,
            content=request.image,
        )

    async def _ready(self) -> Manifest:
        """Return the model that is ready to answer. Raise NotReady."""
        try:
            status, body = await self._get("/readyz")
            if status == 200:
                status, body = await self._get("/model")
            if status == 200:
                return Manifest.model_validate_json(body)
        except (LesionserveError, ValidationError) as error:
            raise NotReady("The inference service cannot be reached.") from error
        raise NotReady("The inference service is not ready.")

    async def _get(self, path: str, within_s: float = _READY_S) -> tuple[int, bytes]:
        return await exchange(self._client, self._client.build_request("GET", path), within_s)


def _lost_twice(first: UpstreamLost, second: UpstreamLost) -> LesionserveError:
    """Return the error for an image that was sent twice and got no answer."""
    if all(isinstance(error, UpstreamDisconnected) for error in (first, second)):
        return PoisonImage("The inference service was lost twice with this image.")
    return second


def upstream_of(scope: Any) -> Upstream:
    """Return the server's client of the ingress, which lives as long as the server."""
    upstream: Upstream = scope["state"]["upstream"]
    return upstream


def _parse(request: ImageRequest, status: int, body: bytes) -> Prediction:
    """Return the prediction of a response. Raise the error that it reports, or UpstreamFault."""
    if status != 200:
        raise parse_problem(status, body, request.request_id)
    return parse_prediction(body, request)


def _milliseconds_left(deadline_s: float) -> int:
    return round((deadline_s - min(_MARGIN_S, deadline_s / 10)) * 1000)
