import socket
from collections.abc import Iterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from serve_app.alternative_service import PORTS, AlternativeService


@pytest.fixture
def port() -> Iterator[int]:
    """Return a port of Serve's range at which this process listens."""
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


async def test_every_response_names_port_of_this_process(port):
    app = Starlette(routes=[Route("/", lambda _: PlainTextResponse("found"))])
    transport = httpx.ASGITransport(AlternativeService(app))
    async with httpx.AsyncClient(transport=transport, base_url="http://up") as client:
        for path, status in (("/", 200), ("/nothing", 404)):
            response = await client.get(path)
            assert response.status_code == status
            assert response.headers["alt-svc"] == f'http%2F1.1=":{port}"'
