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
    proxy between. For a service of one replica, with Serve's direct ingress. Where its port cannot
    be told from others of this process, none is named, and clients stay with the proxy.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._headers: dict[str, str] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_header(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._named())
            await send(message)

        await self._app(scope, receive, send_with_header)

    def _named(self) -> dict[str, str]:
        if self._headers is None:  # Serve starts the server after this object is made
            ports = _listening_ports()
            self._headers = {"Alt-Svc": f'http%2F1.1=":{ports.pop()}"'} if len(ports) == 1 else {}
        return self._headers


def _listening_ports() -> set[int]:
    """Return the ports of Serve's range at which this process listens.

    Serve does not tell the application the port of its HTTP server.
    """
    connections: list[Any] = psutil.Process().net_connections("inet")
    return {
        connection.laddr.port
        for connection in connections
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port in PORTS
    }
