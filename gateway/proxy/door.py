import asyncio
from typing import Any
from uuid import uuid4

from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, HTTPScope
from django.conf import settings

from gateway.keys.auth import authenticate
from gateway.proxy.errors import InternalError, MethodNotAllowed
from gateway.proxy.headers import body_length, require_multipart
from gateway.proxy.reply import Reply
from gateway.usage.ledger import Entry
from gateway.usage.metrics import IN_FLIGHT
from pipeline.errors import LesionserveError

PREDICT_PATH = "/predict/"


class Door:
    """The outermost layer: decides all that can be decided before a byte of body is read.

    Under ASGI, Django reads the whole body before it looks at the path. Here a request gets its
    id, and one to /predict/ its record, its key and its limits. Further in, the scope carries
    `request_id`, and for /predict/ `record` and `key`.

    What a client still sends after a refusal is discarded by the server, unread by us: closing
    the connection instead would often destroy the answer on its way.
    """

    def __init__(self, pages: ASGI3Application, predict: ASGI3Application) -> None:
        """`predict` takes what goes to /predict/, `pages` all the rest."""
        self._pages = pages
        self._predict = predict

    async def __call__(
        self, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        inner: dict[str, Any] = {**scope, "request_id": str(uuid4())}
        # The path as Django's routing will see it.
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if path == PREDICT_PATH:
            await self._record(inner, receive, send)
        else:
            await self._pass(inner, receive, Reply(inner, send))

    async def _pass(self, scope: Any, receive: ASGIReceiveCallable, reply: Reply) -> None:
        try:
            body_length(scope["headers"], settings.MAX_FORM_BYTES)
        except LesionserveError as error:
            await reply.refuse(error)
        else:
            await self._pages(scope, receive, reply)

    async def _record(
        self, scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        entry = Entry(scope["request_id"])
        reply = Reply(scope, send, entry.settle)
        with IN_FLIGHT.track_inprogress():
            try:
                await self._admit(scope, entry)
                await self._predict(scope, receive, reply)
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

    async def _admit(self, scope: Any, entry: Entry) -> None:
        headers = scope["headers"]
        if scope["method"] != "POST":
            raise MethodNotAllowed(allow="POST")
        scope["key"] = await authenticate(headers)
        entry.record.key_id = scope["key"].id
        require_multipart(headers)
        entry.record.body_bytes = body_length(headers, settings.MAX_UPLOAD_BYTES)
        scope["record"] = entry.record
        await entry.admit()
