import asyncio
from typing import Any
from uuid import uuid4

from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, HTTPScope
from django.conf import settings
from structlog.contextvars import bound_contextvars

from gateway.access.auth import allow, authenticate
from gateway.access.caller import Caller
from gateway.addresses import address_of
from gateway.body import in_time
from gateway.database import IMAGE_WAITS_S, PAGE_WAITS_S, waiting_at_most
from gateway.errors import Forbidden, InternalError, MethodNotAllowed, NotFound
from gateway.http_headers import (
    Headers,
    body_length,
    bound_headers,
    given_correlation_id,
    require_correlation_id,
    require_host,
    require_length,
    require_multipart,
    shows_key,
)
from gateway.people.scopes import PREDICT
from gateway.predict.in_flight import InFlightLimit
from gateway.predict.reply import Reply
from gateway.usage.ledger import Entry
from gateway.usage.metrics import IN_FLIGHT
from pipeline.errors import LesionserveError

PREDICT_PATH = "/predict/"
# Asked by address, by whatever watches the process from beside it.
HEALTH_PATHS = ("/healthz", "/readyz")
METRICS_PATH = "/metrics"


class Door:
    """The outermost layer: decides all that can be decided before a byte of body is read.

    Under ASGI, Django reads the whole body before it looks at the path. Here a request gets its
    id, and one to /predict/ its record, its caller and its limits. Further in, the scope carries
    `request_id` and `correlation_id`, and for /predict/ `record` and `caller`.

    What a client still sends after a refusal is discarded by the server, unread by us: closing
    the connection instead would often destroy the answer on its way.
    """

    def __init__(self, pages: ASGI3Application, bare: ASGI3Application) -> None:
        """`bare` takes what goes to /predict/, /metrics and the health routes, `pages` the rest."""
        self._pages = pages
        self._bare = bare
        self._room = InFlightLimit()

    async def __call__(
        self, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        inner: dict[str, Any] = {
            **scope,
            "request_id": str(uuid4()),
            "correlation_id": given_correlation_id(scope["headers"]),
        }
        # The path as Django's routing will see it.
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        is_image = path == PREDICT_PATH
        with (
            bound_contextvars(request_id=inner["request_id"]),
            waiting_at_most(IMAGE_WAITS_S if is_image else PAGE_WAITS_S),
        ):
            if is_image:
                await self._record(inner, receive, send)
            else:
                await self._pass(path, inner, receive, Reply(inner, send))

    async def _pass(
        self, path: str, scope: Any, receive: ASGIReceiveCallable, reply: Reply
    ) -> None:
        headers = scope["headers"]
        try:
            bound_headers(headers)
            app = self._inner(path, headers)
            length = body_length(headers, settings.MAX_FORM_BYTES)
            if settings.HTTPS_ONLY and scope["scheme"] != "https" and shows_key(headers):
                raise _in_plain_text()
            await app(scope, in_time(receive, length), reply)
        except LesionserveError as error:
            await reply.refuse(error)
        except Exception:
            if not reply.started:
                await reply.refuse(InternalError("The request could not be completed."))
            raise

    def _inner(self, path: str, headers: Headers) -> ASGI3Application:
        """Return the application behind a path; raise what the request's host is refused for."""
        if path in HEALTH_PATHS:
            return self._bare
        if path == METRICS_PATH:
            if not settings.METRICS_HOSTS:
                raise NotFound("The metrics are switched off here (LESIONSERVE_METRICS_HOSTS).")
            require_host(headers, settings.METRICS_HOSTS)
            return self._bare
        require_host(headers, settings.ALLOWED_HOSTS)
        return self._pages

    async def _record(
        self, scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        entry = Entry(scope["request_id"], address_of(scope), scope["correlation_id"])
        reply = Reply(scope, send, entry.settle)
        with IN_FLIGHT.track_inprogress():
            try:
                caller = await self._inspect(scope, entry)
                with self._room.acquire(caller.organisation):
                    await entry.admit(caller)
                    length = scope["record"].body_bytes
                    await self._bare(scope, in_time(receive, length), reply)
            except LesionserveError as error:
                await reply.refuse(error)
            except Exception:
                if not reply.started:
                    await reply.refuse(InternalError("The request could not be completed."))
                raise
            finally:
                if not reply.started:
                    # Shielded: the server may be cancelling this request at the same time.
                    await asyncio.shield(entry.abort())

    async def _inspect(self, scope: Any, entry: Entry) -> Caller:
        """All that is decided before the body. Raises what the request is refused for."""
        record, headers = entry.record, scope["headers"]
        bound_headers(headers)
        require_host(headers, settings.ALLOWED_HOSTS)
        if scope["method"] != "POST":
            raise MethodNotAllowed(allow="POST")
        if settings.HTTPS_ONLY and scope["scheme"] != "https":
            raise _in_plain_text()
        require_length(headers)  # before the key: some servers take the key from a trailer
        caller = await authenticate(scope)
        record.note_caller(caller)
        await allow(scope, caller, PREDICT)
        require_correlation_id(headers)
        require_multipart(headers)
        record.body_bytes = body_length(headers, settings.MAX_UPLOAD_BYTES)
        scope["record"], scope["caller"] = record, caller
        return caller


def _in_plain_text() -> Forbidden:
    return Forbidden("HTTPS is required. Treat a key that was sent over plain HTTP as compromised.")
