"""The gateway's ASGI middlewares. gateway.asgi puts them around the routes."""

import asyncio
from typing import Any
from uuid import uuid4

from asgiref.typing import (
    ASGI3Application,
    ASGIReceiveCallable,
    ASGISendCallable,
    ASGISendEvent,
    HTTPResponseStartEvent,
)
from django.conf import settings
from structlog.contextvars import bound_contextvars

from gateway.body import bounded
from gateway.context import RequestContext, context_of, with_context
from gateway.database import PAGE_WAITS_S, waiting_at_most
from gateway.errors import InternalError, error_of_response
from gateway.http_headers import (
    body_length,
    bound_headers,
    correlation_id_of,
    refuse_key_in_plain_text,
    require_host,
)
from gateway.negotiation import wants_page
from gateway.problems import MEDIA_TYPE, problem_page, problem_response
from gateway.responses import Response
from pipeline.errors import LesionserveError
from pipeline.http import correlation

# The time allowed for a client to read its answer: a stalled client would hold its slot for ever.
_SEND_WITHIN_S = 120.0

# The headers of a problem response that stay when Django's middleware has set others.
_PROBLEM_HEADERS = frozenset(
    {
        b"content-type",
        b"content-length",
        b"cache-control",
        b"x-content-type-options",
        b"www-authenticate",
        b"allow",
        b"retry-after",
    }
)


class RequestContextMiddleware:
    """Give each request an id, for its log lines and its answer, and a RequestContext."""

    def __init__(self, app: ASGI3Application) -> None:
        self._app = app

    async def __call__(
        self, scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        context = RequestContext(str(uuid4()), correlation_id_of(scope["headers"]))

        async def send_with_ids(message: ASGISendEvent) -> None:
            if message["type"] == "http.response.start":
                headers = [*message["headers"], *context.rate_limits]
                headers.append((b"x-request-id", context.request_id.encode()))
                if (correlation_id := context.correlation_id) is not None:
                    name = correlation.HEADER.lower().encode()
                    headers.append((name, correlation_id.encode()))
                message = {**message, "headers": headers}
            await send(message)

        with bound_contextvars(request_id=context.request_id):
            await self._app(with_context(scope, context), receive, send_with_ids)


class SendTimeoutMiddleware:
    """Raise TimeoutError for an answer that the client does not read, so that the server
    disconnects.
    """

    def __init__(self, app: ASGI3Application) -> None:
        self._app = app

    async def __call__(
        self, scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        ends_at: float | None = None

        async def send_in_time(message: ASGISendEvent) -> None:
            nonlocal ends_at
            if ends_at is None:
                ends_at = asyncio.get_running_loop().time() + _SEND_WITHIN_S
            async with asyncio.timeout_at(ends_at):
                await send(message)

        await self._app(scope, receive, send_in_time)


class ProblemMiddleware:
    """Answer every error as problem+json, or as a page where a browser opened the address.

    An error may be raised, be a problem response of our own views, or be a response of Django or a
    library with a status of 400 or above. Of the last kind, only the status is used.
    """

    def __init__(self, app: ASGI3Application) -> None:
        self._app = app

    async def __call__(
        self, scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        rewriter = _ErrorRewriter(scope, send)
        try:
            await self._app(scope, receive, rewriter)
        except LesionserveError as error:
            await rewriter.refuse(error)
        except Exception:
            if not rewriter.is_started:
                await rewriter.refuse(InternalError("The request could not be completed."))
            raise


class _ErrorRewriter:
    """A replacement for `send`: it passes responses on, but holds those of 400 and above back."""

    def __init__(self, scope: Any, send: ASGISendCallable) -> None:
        self.is_started = False
        self._scope = scope
        self._send = send
        self._held: HTTPResponseStartEvent | None = None
        self._body = b""

    async def __call__(self, message: ASGISendEvent) -> None:
        if message["type"] == "http.response.start":
            if message["status"] >= 400:
                self._held = message
                return
            headers = list(message["headers"])
            if all(name.lower() != b"cache-control" for name, _ in headers):
                # A browser may cache only responses that say so, such as static files.
                headers.append((b"cache-control", b"no-store"))
            self.is_started = True
            await self._send({**message, "headers": headers})
        elif self._held is None or message["type"] != "http.response.body":
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._respond(self._problem_of(self._held))

    async def refuse(self, error: LesionserveError) -> None:
        await self._respond(problem_response(error, context_of(self._scope)))

    def _problem_of(self, held: HTTPResponseStartEvent) -> Response:
        headers = [(name.lower(), value) for name, value in held["headers"]]
        values = dict(headers)
        if values.get(b"content-type") == MEDIA_TYPE.encode():
            own = [(name, value) for name, value in headers if name in _PROBLEM_HEADERS]
            return Response(held["status"], own, self._body)
        error = error_of_response(held["status"], values.get(b"allow", b"").decode("latin-1"))
        return problem_response(error, context_of(self._scope))

    async def _respond(self, response: Response) -> None:
        self.is_started = True
        page = problem_page(response, self._scope) if wants_page(self._scope) else response
        await page.send(self._send)


class HeaderBoundsMiddleware:
    """Refuse headers that exceed the limits."""

    def __init__(self, app: ASGI3Application) -> None:
        self._app = app

    async def __call__(
        self, scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        bound_headers(scope["headers"])
        await self._app(scope, receive, send)


class HostMiddleware:
    """Refuse hosts that are not among ALLOWED_HOSTS."""

    def __init__(self, app: ASGI3Application) -> None:
        self._app = app

    async def __call__(
        self, scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        require_host(scope["headers"], settings.ALLOWED_HOSTS)
        await self._app(scope, receive, send)


class FormBoundsMiddleware:
    """Refuse a body that is larger than any form, before Django reads it, or that is too slow."""

    def __init__(self, app: ASGI3Application) -> None:
        self._app = app

    async def __call__(
        self, scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        length = body_length(scope["headers"], settings.MAX_FORM_BYTES)
        await self._app(scope, bounded(receive, length), send)


class DatabaseTimeoutMiddleware:
    """Limit the total time that a page waits for the database."""

    def __init__(self, app: ASGI3Application) -> None:
        self._app = app

    async def __call__(
        self, scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        with waiting_at_most(PAGE_WAITS_S):
            await self._app(scope, receive, send)


class HttpsMiddleware:
    """Refuse an API key that was sent over plain HTTP. Django redirects requests without one."""

    def __init__(self, app: ASGI3Application) -> None:
        self._app = app

    async def __call__(
        self, scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        refuse_key_in_plain_text(scope)
        await self._app(scope, receive, send)
