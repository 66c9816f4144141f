import re

import httpx

# The protocol is `http/1.1` with its slash escaped, and an empty host stands for the origin's own.
_SAME_HOST = re.compile(r'http%2F1\.1=":([0-9]{1,5})"')
_NOT_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout)


class AlternativeService(httpx.AsyncBaseTransport):
    """A transport that follows the origin's Alt-Svc header (RFC 7838) to another port of its host.

    An ingress behind Ray Serve's proxy names the port at which its replica takes requests itself,
    which costs the processors less. Where nothing listens there any more, the request goes to the
    origin, and so does each until the origin names a port again.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport
        self._port: int | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        port = self._port
        if port is not None:
            try:
                return await self._transport.handle_async_request(_at_port(request, port))
            except _NOT_CONNECTED:  # nothing was sent
                if self._port == port:
                    self._port = None
        response = await self._transport.handle_async_request(request)
        # A response of Serve's proxy itself names none, and forgets none.
        self._port = _named_port(response) or self._port
        return response

    async def aclose(self) -> None:
        await self._transport.aclose()


def _at_port(request: httpx.Request, port: int) -> httpx.Request:
    """Return the request for another port. It keeps its Host header, as the RFC asks."""
    return httpx.Request(
        request.method,
        request.url.copy_with(port=port),
        headers=request.headers,
        stream=request.stream,
        extensions=request.extensions,
    )


def _named_port(response: httpx.Response) -> int | None:
    match = _SAME_HOST.match(response.headers.get("alt-svc", ""))
    return None if match is None else int(match[1])
