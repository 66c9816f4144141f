import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from serve_app.alternative_service import PORTS, AlternativeService


@contextmanager
def listening() -> Iterator[int]:
    """Listen at a port of Serve's range, which is yielded."""
    for port in PORTS:
        with socket.socket() as server:
            try:
                server.bind(("127.0.0.1", port))
            except OSError:
                continue
            server.listen()
            yield port
            return
    pytest.fail("no port is free")


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=[Route("/", lambda _: PlainTextResponse("found"))])
    transport = httpx.ASGITransport(AlternativeService(app))
    async with httpx.AsyncClient(transport=transport, base_url="http://up") as client:
        yield client


async def test_every_response_names_port_of_this_process(client):
    with listening() as port:
        for path, status in (("/", 200), ("/nothing", 404)):
            response = await client.get(path)
            assert response.status_code == status
            assert response.headers["alt-svc"] == f'http%2F1.1=":{port}"'


async def test_port_that_cannot_be_told_from_another_is_not_named(client):
    with listening(), listening():
        response = await client.get("/")
    assert response.status_code == 200
    assert "alt-svc" not in response.headers
