"""A second port of the ingress's host, which its responses name."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest

from gateway.predict.alternative_service import AlternativeService

NAMED = {"Alt-Svc": 'http%2F1.1=":29007"'}

Handler = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]


class Host:
    """A host whose origin, at port 80, names another port; `refused` has those that are closed."""

    def __init__(self, **headers: str) -> None:
        self.headers = headers or NAMED
        self.refused: dict[int, Exception] = {}
        self.asked: list[int] = []
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        port = request.url.port or 80
        self.asked.append(port)
        if port in self.refused:
            raise self.refused[port]
        self.requests.append(request)
        return httpx.Response(200, headers=self.headers, content=request.content)


def client(host: Handler) -> httpx.AsyncClient:
    transport = AlternativeService(httpx.MockTransport(host))
    return httpx.AsyncClient(base_url="http://up", transport=transport)


async def test_requests_follow_port_that_origin_named():
    host = Host()
    async with client(host) as upstream:
        for _ in range(3):
            response = await upstream.post("/predict?masks=rle", content=b"image")
            assert response.content == b"image"
    assert host.asked == [80, 29007, 29007]
    assert {str(request.url.raw_path) for request in host.requests} == {"b'/predict?masks=rle'"}
    assert {request.headers["host"] for request in host.requests} == {"up"}


@pytest.mark.parametrize("refusal", [httpx.ConnectError("refused"), httpx.ConnectTimeout("slow")])
async def test_closed_port_leads_back_to_origin_which_names_next(refusal):
    host = Host()
    async with client(host) as upstream:
        await upstream.post("/predict")
        host.refused[29007] = refusal
        host.headers = {"Alt-Svc": 'http%2F1.1=":29008"'}
        await upstream.post("/predict", content=b"image")
        await upstream.post("/predict")
    assert host.asked == [80, 29007, 80, 29008]
    assert host.requests[1].content == b"image"


async def test_origin_that_names_no_port_is_asked_again():
    host = Host()
    async with client(host) as upstream:
        await upstream.post("/predict")
        host.refused[29007] = httpx.ConnectError("refused")
        host.headers = {}
        await upstream.post("/predict")
        await upstream.post("/predict")
    assert host.asked == [80, 29007, 80, 80]


async def test_late_response_that_names_no_port_forgets_none():
    started, ended = asyncio.Event(), asyncio.Event()
    host = Host()

    async def slow_first(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/readyz":
            started.set()
            await ended.wait()
            return httpx.Response(503)
        return host(request)

    async with client(slow_first) as upstream:
        check = asyncio.create_task(upstream.get("/readyz"))
        await started.wait()
        await upstream.post("/predict")
        ended.set()
        assert (await check).status_code == 503
        await upstream.post("/predict")
    assert host.asked == [80, 29007]


async def test_image_that_was_sent_is_not_sent_again():
    host = Host()
    async with client(host) as upstream:
        await upstream.post("/predict")
        host.refused[29007] = httpx.ReadError("reset")
        with pytest.raises(httpx.ReadError):
            await upstream.post("/predict")
    assert host.asked == [80, 29007]


async def test_both_refused_is_refused():
    host = Host()
    async with client(host) as upstream:
        await upstream.post("/predict")
        host.refused = {29007: httpx.ConnectError("refused"), 80: httpx.ConnectError("refused")}
        with pytest.raises(httpx.ConnectError):
            await upstream.post("/predict")


@pytest.mark.parametrize(
    "value",
    ["clear", 'h2=":29007"', 'http%2F1.1="evil.example:29007"', 'http%2F1.1=":290071"', ""],
)
async def test_other_hosts_and_protocols_are_not_followed(value):
    host = Host(**{"Alt-Svc": value})
    async with client(host) as upstream:
        await upstream.post("/predict")
        await upstream.post("/predict")
    assert host.asked == [80, 80]
