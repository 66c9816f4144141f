"""uvicorn's HTTP/1.1 protocol, adapted for the gateway.

uvicorn gateway.asgi:application --http gateway.protocol:GatewayProtocol
"""

import uuid
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.context import RequestContext
from gateway.problems import problem_response
from pipeline.errors import BadRequest

_KEEP_ALIVE_S = 75


class GatewayProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with four differences.

    `Upgrade` is ignored, as RFC 9110 (section 7.8) allows: httptools skips the body of a request
    that asks for one, as Java's client and `curl --http2` do. Trailers are dropped: uvicorn appends
    them to the headers, where a proxy would not see a key. What is not HTTP is refused as
    problem+json. An idle connection stays open for longer than clients keep theirs (httpx and
    uvicorn 5 s, nginx 60 s), so that no request is sent on a connection that is just closing.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.timeout_keep_alive = max(self.timeout_keep_alive, _KEEP_ALIVE_S)
        self._in_body = False
        self._head = b""  # the head of a request with an upgrade, without its Upgrade header

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self.logger.warning("refused: not an HTTP request")
            self.send_400_response("")

    def send_400_response(self, msg: str) -> None:
        error = BadRequest("This is not an HTTP/1.1 request; check the client and the port.")
        # No header of malformed HTTP can be trusted.
        response = problem_response(error, RequestContext(str(uuid.uuid4()), correlation_id=None))
        headers = [*response.headers, (b"connection", b"close")]
        lines = [b"HTTP/1.1 400 Bad Request\r\n", *(b"%s: %s\r\n" % header for header in headers)]
        self.transport.write(b"".join([*lines, b"\r\n", response.body]))
        self.transport.close()

    def on_message_begin(self) -> None:
        self._in_body = False
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_body = True
        if self.parser.should_upgrade():
            self._head = self._head_without_upgrade()
        else:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _feed(self, data: bytes) -> None:
        """Parse the bytes. Parse a head with an upgrade again without it, before its body."""
        rest = memoryview(data)
        while rest:
            try:
                self.parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
                # With a new parser: after `Connection: close` the old one accepts no further head.
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                self.parser.feed_data(self._head)

    def _head_without_upgrade(self) -> bytes:
        """Return the head without its Upgrade. Raise HttpParserError for CONNECT, which asks for a
        tunnel.
        """
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if method == b"CONNECT":
            raise httptools.HttpParserError("this server is no proxy")
        lines = [b"%s %s HTTP/%s\r\n" % (method, self.url, version.encode())]
        for name, value in self.headers:
            assert b"\r" not in value, "the parser takes line ends out of a value"
            assert b"\n" not in value, "the parser takes line ends out of a value"
            if name != b"upgrade":
                lines.append(b"%s: %s\r\n" % (name, value))
        return b"".join([*lines, b"\r\n"])
