import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from time import monotonic
from typing import Any, Self

import httpx
from pydantic import ValidationError

from gateway.errors import (
    NotReady,
    UpstreamCertificateInvalid,
    UpstreamDisconnected,
    UpstreamFault,
    UpstreamLost,
    UpstreamUnreached,
)
from gateway.predict.alternative_service import AlternativeService
from gateway.predict.answer import parse_prediction, parse_problem
from gateway.predict.breaker import Breaker
from gateway.predict.image_request import ImageRequest
from gateway.predict.manifest import Manifest
from gateway.predict.metrics import ANSWERED, LOST, REFUSED, observe_attempt, observe_stages
from gateway.predict.retries import RetryBudget
from gateway.single_flight import SingleFlight
from pipeline.errors import DeadlineExceeded, LesionserveError, Overloaded, PoisonImage, Unavailable
from pipeline.http import correlation
from pipeline.schemas import Prediction
from pipeline.tracing.spans import traced, traceparent

# The ingress gets this much less time than the gateway has, or a tenth where that is shorter: the
# one that times out first gives the reason, and the ingress knows it.
_MARGIN_S = 1.0

# The picture of the largest image in base64, and the text of a refusal, fit in. A larger response
# is not an ingress's.
_MAX_ANSWER_BYTES = 256 * 1024 * 1024
_MAX_REFUSAL_BYTES = 64 * 1024

_LIMITS = httpx.Limits(
    # Far more than any ingress serves at once; requests beyond it are shed, not queued.
    max_connections=128,
    max_keepalive_connections=32,
    # Shorter than the keep-alive time of every server between here and the graph (uvicorn 5 s by
    # default, Ray Serve 90 s), so that no request is sent on a connection that is just closing.
    keepalive_expiry=3.0,
)
_CONNECT_S = 2.0
_POOL_S = 0.5
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
        """Return a client with a connection pool.

        `certificate` (PEM, with its key) authenticates the gateway to an ingress that asks for one.
        follows: whether images go to the port that the ingress names in Alt-Svc.
        """
        direct = httpx.AsyncHTTPTransport(
            verify=_trust(ca, certificate), limits=_LIMITS, trust_env=False
        )
        client = httpx.AsyncClient(
            base_url=url,
            headers={
                "Authorization": f"Bearer {token}",
                "User-Agent": "lesionserve-gateway",
                "Accept-Encoding": "identity",  # no compression, which could inflate
            },
            # The deadline bounds reading and writing; these bound what must be quick.
            timeout=httpx.Timeout(None, connect=_CONNECT_S, pool=_POOL_S),
            transport=AlternativeService(direct) if follows else direct,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # cookies are never stored
            trust_env=False,  # no proxy, and no credentials from a .netrc
        )
        return cls(client, deadline_s)

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
        status, body = await self._send(self._http_request(request, within_s), within_s)
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
        status, body = await self._send(self._client.build_request("GET", path), _REPORT_S)
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
                status, body = await self._send(http_request, seconds)
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

    async def _get(self, path: str) -> tuple[int, bytes]:
        return await self._send(self._client.build_request("GET", path), _READY_S)

    async def _send(self, request: httpx.Request, deadline_s: float) -> tuple[int, bytes]:
        with _translated_errors():
            async with asyncio.timeout(deadline_s):
                response = await self._client.send(request, stream=True)
                try:
                    return response.status_code, await _read(response)
                finally:
                    await response.aclose()


def _lost_twice(first: UpstreamLost, second: UpstreamLost) -> LesionserveError:
    """Return the error for an image that was sent twice and got no answer."""
    if all(isinstance(error, UpstreamDisconnected) for error in (first, second)):
        return PoisonImage("The inference service was lost twice with this image.")
    return second


def upstream_of(scope: Any) -> Upstream:
    """Return the server's client of the ingress, which lives as long as the server."""
    upstream: Upstream = scope["state"]["upstream"]
    return upstream


def _trust(ca: Path | None, certificate: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    if certificate is not None:
        context.load_cert_chain(str(certificate))
    return context


def _parse(request: ImageRequest, status: int, body: bytes) -> Prediction:
    """Return the prediction of a response. Raise the error that it reports, or UpstreamFault."""
    if status != 200:
        raise parse_problem(status, body, request.request_id)
    return parse_prediction(body, request)


def _milliseconds_left(deadline_s: float) -> int:
    return round((deadline_s - min(_MARGIN_S, deadline_s / 10)) * 1000)


async def _read(response: httpx.Response) -> bytes:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise UpstreamFault("The inference service gave no valid answer.")
    limit = _MAX_ANSWER_BYTES if response.status_code == 200 else _MAX_REFUSAL_BYTES
    body = bytearray()
    async for chunk in response.aiter_raw():  # raw: nothing is decompressed
        body += chunk
        if len(body) > limit:
            raise UpstreamFault("The inference service gave no valid answer.")
    return bytes(body)


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise DeadlineExceeded("The inference service did not finish in time.") from error
    except httpx.PoolTimeout as error:
        raise Overloaded("The gateway is at capacity; try again.") from error
    except httpx.TimeoutException as error:
        raise Unavailable("The inference service cannot be reached.") from error
    except httpx.RemoteProtocolError as error:
        if _hung_up(error):
            raise UpstreamDisconnected("The inference service broke off; try again.") from error
        raise UpstreamFault("The inference service gave no valid answer.") from error
    except httpx.TransportError as error:
        if is_tls_error(error):
            raise UpstreamCertificateInvalid("The inference service cannot be trusted.") from error
        if isinstance(error, httpx.ReadError | httpx.WriteError):
            raise UpstreamDisconnected("The inference service broke off; try again.") from error
        raise Unavailable("The inference service cannot be reached.") from error


def _hung_up(error: httpx.RemoteProtocolError) -> bool:
    # httpx has one error for a closed connection and for malformed HTTP.
    return "without sending" in str(error)


def is_tls_error(error: BaseException | None) -> bool:
    """Return whether TLS failed, such as a certificate that is not trusted."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
