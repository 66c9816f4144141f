import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn
from django.test import override_settings

from tests.integration.gateway.client import Gateway

PROTOCOL = "gateway.protocol:GatewayProtocol"


class Server(uvicorn.Server):
    """uvicorn in a thread, on a socket of its own."""

    def __init__(self, app: Any, lifespan: str, http: str, proxies: Sequence[str]) -> None:
        config = uvicorn.Config(
            app,
            lifespan=lifespan,
            http=http,
            ws="none",
            log_config=None,
            forwarded_allow_ips=list(proxies),
        )
        super().__init__(config)
        self.is_up = threading.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.is_up.set()


@contextmanager
def serving(
    app: Any,
    lifespan: str = "on",
    http: str = "auto",
    proxies: Sequence[str] = ("127.0.0.1", "::1"),
) -> Iterator[int]:
    """The port on which the app answers; it trusts the forwarding headers of `proxies`."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = Server(app, lifespan, http, proxies)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    assert server.is_up.wait(30)
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@contextmanager
def running_gateway(**settings: Any) -> Iterator[Gateway]:
    from gateway.asgi import application

    with override_settings(**settings), serving(application, http=PROTOCOL) as port:
        yield Gateway(port)
