"""Routes for monitoring: /healthz, /readyz and /metrics.

They run outside Django and its middleware, so they answer under any host name, over plain HTTP, and
while Django is busy.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable
from django.conf import settings
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from gateway.errors import MethodNotAllowed, NotFound
from gateway.http_headers import require_host
from gateway.metrics import exposition
from gateway.metrics_folder import MetricsFolder
from gateway.predict.manifest import Manifest
from gateway.responses import Response, json_response, response_of


class Health(BaseModel):
    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    status: Literal["ready"] = "ready"
    model: Manifest


async def healthz(scope: Any) -> Response:
    """Answer 200: the process is up."""
    return json_response(200, Health().model_dump(mode="json"))


async def readyz(scope: Any) -> Response:
    """Answer with the model that is ready.

    Ready means that a record can be written, and that the ingress has a model that passed its
    golden cases. Raise NotReady or DatabaseUnavailable.
    """
    await scope["state"]["require_writable"]()
    manifest = await scope["state"]["upstream"].ready()
    return json_response(200, Readiness(model=manifest).model_dump(mode="json"))


class Metrics:
    """Answers with the metrics in Prometheus' text format, of all worker processes in `folder`.

    Without a folder they are this process's own.
    """

    def __init__(self, folder: MetricsFolder | None) -> None:
        self._folder = folder

    async def __call__(self, scope: Any) -> Response:
        if not settings.METRICS_HOSTS:
            raise NotFound("The metrics are switched off here (LESIONSERVE_METRICS_HOSTS).")
        require_host(scope["headers"], settings.METRICS_HOSTS)
        # In a thread: it reads the files of every worker.
        text = await asyncio.to_thread(exposition, self._folder)
        return response_of(200, CONTENT_TYPE_LATEST, text)


def route(respond: Callable[[Any], Awaitable[Response]], *methods: str) -> ASGI3Application:
    """Return an application that answers GET with `respond`, and refuses other methods."""

    async def app(scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["method"] not in methods:
            raise MethodNotAllowed(allow=", ".join(methods))
        await (await respond(scope)).send(send)

    return app
