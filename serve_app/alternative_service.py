from typing import Any

import psutil
from ray.serve._private.constants import (
    RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT,
    RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT,
)
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PORTS = range(RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT, RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT)


class AlternativeService:
    """Name this replica's own port in the Alt-Svc header (RFC 7838) of each response.

    A client that has reached it through Serve's proxy may send its next requests there, without the
    proxy between. For a service of one replica, with Serve's direct ingress.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._value: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_header(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Alt-Svc"] = self._header()
            await send(message)

        await self._app(scope, receive, send_with_header)

    def _header(self) -> str:
        if self._value is None:  # Serve starts the server after this object is made
            self._value = f'http%2F1.1=":{_own_port()}"'
        return self._value


def _own_port() -> int:
    """Return the port of this process's HTTP server, which Serve does not tell the application."""
    connections: list[Any] = psutil.Process().net_connections("inet")
    (port,) = (
        connection.laddr.port
        for connection in connections
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port in PORTS
    )
    return int(port)
