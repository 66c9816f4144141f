import asyncio
from typing import Any
from uuid import uuid4

from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, HTTPScope
from django.conf import settings
from structlog.contextvars import bound_contextvars

from gateway.errors import Forbidden, InternalError, MethodNotAllowed
from gateway.keys.auth import address_of, allow, authenticate
from gateway.keys.caller import Caller
from gateway.people.scopes import PREDICT
from gateway.proxy.body import in_time
from gateway.proxy.headers import (
    body_length,
    bound_headers,
    given_correlation_id,
    require_correlation_id,
    require_host,
    require_multipart,
    shows_key,
)
from gateway.proxy.reply import Reply
from gateway.proxy.room import Room
from gateway.usage.ledger import Entry
from gateway.usage.metrics import IN_FLIGHT
from pipeline.errors import LesionserveError

PREDICT_PATH = "/predict/"


class Door:
    """The outermost layer: decides all that can be decided before a byte of body is read.

    Under ASGI, Django reads the whole body before it looks at the path. Here a request gets its
    id, and one to /predict/ its record, its caller and its limits. Further in, the scope carries
    `request_id` and `correlation_id`, and for /predict/ `record` and `caller`.

    What a client still sends after a refusal is discarded by the server, unread by us: closing
    the connection instead would often destroy the answer on its way.
    """

    def __init__(self, pages: ASGI3Application, predict: ASGI3Application) -> None:
        """`predict` takes what goes to /predict/, `pages` all the rest."""
        self._pages = pages
        self._predict = predict
        self._room = Room()

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
        with bound_contextvars(request_id=inner["request_id"]):
            if path == PREDICT_PATH:
                await self._record(inner, receive, send)
            else:
                await self._pass(inner, receive, Reply(inner, send))

    async def _pass(self, scope: Any, receive: ASGIReceiveCallable, reply: Reply) -> None:
        try:
            bound_headers(scope["headers"])
            require_host(scope["headers"])
            body_length(scope["headers"], settings.MAX_FORM_BYTES)
            if settings.HTTPS_ONLY and scope["scheme"] != "https" and shows_key(scope["headers"]):
                raise _in_plain_text()
            await self._pages(scope, in_time(receive), reply)
        except LesionserveError as error:
            await reply.refuse(error)

    async def _record(
        self, scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        entry = Entry(scope["request_id"], address_of(scope), scope["correlation_id"])
        reply = Reply(scope, send, entry.settle)
        with IN_FLIGHT.track_inprogress():
            try:
                caller = await self._inspect(scope, entry)
                with self._room.taken(caller.organisation):
                    await entry.admit(caller)
                    await self._predict(scope, in_time(receive), reply)
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
        require_host(headers)
        if scope["method"] != "POST":
            raise MethodNotAllowed(allow="POST")
        if settings.HTTPS_ONLY and scope["scheme"] != "https":
            raise _in_plain_text()
        caller = await authenticate(scope)
        record.note_caller(caller)
        await allow(scope, caller, PREDICT)
        require_correlation_id(headers)
        require_multipart(headers)
        record.body_bytes = body_length(headers, settings.MAX_UPLOAD_BYTES)
        scope["record"], scope["caller"] = record, caller
        return caller


def _in_plain_text() -> Forbidden:
    return Forbidden("Use HTTPS; take a key that was sent without it for known to others.")
