"""The gateway's client of an ingress whose answers a test gives, without a network."""

import ssl

import httpx
import pytest

from gateway.predict.image_request import ImageRequest
from gateway.predict.retries import RetryBudget
from gateway.predict.upstream import Upstream
from pipeline.errors import LesionserveError
from pipeline.image.inspect import Header
from pipeline.schemas import ImageInfo, Prediction, PredictOptions, Problem

INFO = ImageInfo(width=10, height=10, format="PNG")
HEADER = Header("PNG", 10, 10)
IMAGE = ImageRequest(b"image", "0" * 64, HEADER, PredictOptions(), "id")
BAD_CERTIFICATE = ssl.SSLCertVerificationError("bad")


class Wire(httpx.MockTransport):
    """Gives the handler's answers as the network would: still to be read."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        stream = (
            httpx.ByteStream(response.content) if response.is_stream_consumed else response.stream
        )
        return httpx.Response(response.status_code, headers=response.headers, stream=stream)


def upstream(handler, deadline_s: float = 30) -> Upstream:
    """Return a client of this ingress, whose retry budget does not grow with time."""
    client = httpx.AsyncClient(base_url="http://up", transport=Wire(handler))
    return Upstream(client, deadline_s, RetryBudget(lambda: 0.0))


async def ask(ingress: Upstream, attempts: list[int] | None = None) -> Prediction:
    note = (attempts if attempts is not None else []).append
    return await ingress.predict(IMAGE, lambda: note(1))


async def outcome(handler, deadline_s: float = 30) -> LesionserveError:
    with pytest.raises(LesionserveError) as raised:
        await upstream(handler, deadline_s).predict(IMAGE, lambda: None)
    return raised.value


def raising(error: Exception, cause: Exception | None = None):
    def handler(request):
        raise error from cause

    return handler


def answering(status: int, code: str = "", **headers: str):
    problem = Problem(title="t", status=status, detail="d", code=code, request_id="id")
    body = problem.model_dump_json() if code else "<html>"
    return lambda request: httpx.Response(status, text=body, headers=headers)
