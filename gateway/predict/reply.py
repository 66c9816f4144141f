import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.typing import ASGISendCallable, ASGISendEvent, HTTPResponseStartEvent

from gateway.errors import error_of_response
from gateway.problems import problem
from pipeline.errors import LesionserveError
from pipeline.http import correlation

# For a client to read its answer: one that does not would hold its place for ever.
_WITHIN_S = 120.0

# Awaited with the status and its error, or None, before the first byte of an answer leaves;
# returns the error that the client is to be told, if any.
Settle = Callable[[int, LesionserveError | None], Awaitable[LesionserveError | None]]


async def settled(status: int, error: LesionserveError | None) -> LesionserveError | None:
    """For answers that wait for nothing."""
    return error


class Reply:
    """The one way out: stands in for `send`, so that every answer passes here once.

    An answer of 400 or above is made anew here, whoever made it. A view tells its error in
    `scope["error"]`; of Django's own answers only the status is kept.
    """

    def __init__(
        self, scope: dict[str, Any], send: ASGISendCallable, settle: Settle = settled
    ) -> None:
        self.started = False
        self._scope = scope
        self._send = send
        self._settle = settle
        self._replaced = False

    async def __call__(self, message: ASGISendEvent) -> None:
        if message["type"] == "http.response.start":
            await self._start(message)
        elif not self._replaced:
            await self._pass_on(message)

    async def refuse(self, error: LesionserveError) -> None:
        await self._finish(error.status, error, [])

    async def _start(self, message: HTTPResponseStartEvent) -> None:
        status, headers = message["status"], list(message["headers"])
        error = self._error_behind(status, headers) if status >= 400 else None
        if all(name.lower() != b"cache-control" for name, _ in headers):
            # Only what says otherwise of itself, as static files do, may be kept by a browser.
            headers.append((b"cache-control", b"no-store"))
        await self._finish(status, error, headers)

    def _error_behind(self, status: int, headers: list[tuple[bytes, bytes]]) -> LesionserveError:
        error: LesionserveError | None = self._scope.get("error")
        if error is not None and error.status == status:
            return error
        allow = next((value for name, value in headers if name.lower() == b"allow"), b"")
        return error_of_response(status, allow.decode("latin-1"))

    async def _finish(
        self, status: int, error: LesionserveError | None, headers: list[tuple[bytes, bytes]]
    ) -> None:
        body = b""
        error = await self._settle(status, error)
        correlation_id = self._scope.get("correlation_id")
        if error is not None:
            self._replaced = True
            status = error.status
            headers, body = problem(error, self._scope)
        self.started = True
        headers += self._scope.get("rate_limits", [])
        headers.append((b"x-request-id", self._scope["request_id"].encode()))
        if correlation_id is not None:
            headers.append((correlation.HEADER.lower().encode(), correlation_id.encode()))
        self._ends_at = asyncio.get_running_loop().time() + _WITHIN_S
        await self._pass_on({"type": "http.response.start", "status": status, "headers": headers})
        if self._replaced:
            await self._pass_on({"type": "http.response.body", "body": body, "more_body": False})

    async def _pass_on(self, message: ASGISendEvent) -> None:
        """Raises TimeoutError, at which the server drops the connection."""
        async with asyncio.timeout_at(self._ends_at):
            await self._send(message)
