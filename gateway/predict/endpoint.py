import asyncio
import hashlib
from contextlib import ExitStack
from typing import Any

import structlog
from asgiref.typing import ASGIReceiveCallable, ASGISendCallable
from django.conf import settings

from gateway.access.auth import authenticate, authorise, source_of
from gateway.access.caller import Caller
from gateway.addresses import address_of
from gateway.audit.models import Record
from gateway.body import ClientDisconnected, cancelled_on_disconnect, read_body
from gateway.context import context_of
from gateway.database import IMAGE_WAITS_S, waiting_at_most
from gateway.errors import InternalError, MethodNotAllowed
from gateway.examination import examination_of
from gateway.http_headers import (
    Headers,
    body_length,
    bound_headers,
    content_type,
    require_correlation_id,
    require_host,
    require_https,
    require_length,
    require_multipart,
)
from gateway.people.scopes import PREDICT, PROBE
from gateway.predict.forwarding import Forwarded, Sender, forwarder_of
from gateway.predict.idempotency import Replay, acquire
from gateway.predict.image_request import ImageRequest
from gateway.predict.in_flight import InFlightLimit
from gateway.predict.metrics import IN_FLIGHT
from gateway.predict.recorder import RequestRecorder
from gateway.predict.tracing import request_trace
from gateway.problems import problem_response
from gateway.query import pairs_of
from gateway.responses import Response, response_of
from pipeline.errors import LesionserveError
from pipeline.http.multipart import read_file
from pipeline.http.query import read_query
from pipeline.image.inspect import Header, inspect
from pipeline.schemas import Prediction, PredictOptions
from pipeline.tracing.spans import span

logger = structlog.stdlib.get_logger(__name__)


class PredictEndpoint:
    """POST /predict/ as a plain ASGI application beside Django.

    Under ASGI, Django reads the whole body before it looks at path, method or credentials, and its
    middleware takes half of the gateway's time for an image. After a refusal the server discards
    the rest of the body, unread: closing the connection would often destroy the answer on its way.
    """

    def __init__(self) -> None:
        self._slots = InFlightLimit()

    async def __call__(
        self, scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Answer one request, and commit its record before the first byte of the answer leaves."""
        context, headers = context_of(scope), scope["headers"]
        error: LesionserveError | None = None
        with IN_FLIGHT.track_inprogress(), waiting_at_most(IMAGE_WAITS_S), ExitStack() as slot:
            slot.enter_context(request_trace(headers))
            async with RequestRecorder(context, recorded_address(scope)) as recorder:
                record = recorder.record
                record.source = source_of(headers)
                try:
                    check_request(scope)
                    caller = await authenticate(scope)
                    record.set_caller(*caller.identity)
                    await authorise(scope, caller, PROBE if caller.is_probe else PREDICT)
                    record.body_bytes = length = check_form(headers)
                    examination = examination_of(headers, caller.name, record.received_at)
                    slot.enter_context(self._slots.acquire(caller.organisation))
                    await recorder.admit(caller)

                    form = await read_body(receive, length)
                    async with cancelled_on_disconnect(receive):
                        options = read_query(pairs_of(scope["query_string"]), PredictOptions)
                        record.set_options(options)
                        image = read_file(content_type(headers), form)
                        del form  # as large as the image, which stays in memory
                        with span("inspect"):
                            sha256, header = await asyncio.to_thread(identify, image)
                        record.set_image(len(image), recorded_digest(sha256), header)
                        request = ImageRequest(
                            image,
                            sha256,
                            header,
                            options,
                            context.request_id,
                            context.correlation_id,
                        )

                        sender = Sender(caller.organisation.pk, examination, caller.is_probe)
                        answer = await replay_or_forward(scope, caller, request, sender, record)
                    recorder.set_prediction(answer.prediction, examination)
                except LesionserveError as raised:
                    error = raised
                except ClientDisconnected:
                    raise  # no client is left to answer; the recorder writes the abort
                except Exception:
                    logger.exception("the request could not be completed")
                    error = InternalError("The request could not be completed.")

                error = await recorder.finish(error)
                if error is not None:
                    await problem_response(error, context).send(send)
                    return
                await prediction_response(answer.prediction, record.replayed).send(send)
                if isinstance(answer, Forwarded):
                    forwarder_of(scope).answered(request, sender, answer)


def recorded_address(scope: Any) -> str | None:
    """Return the client's address for the record. A public demo records nobody's."""
    return None if settings.PUBLIC_DEMO_KEY else address_of(scope)


def check_request(scope: Any) -> None:
    """Check method and headers, before the caller is known. Raise ClientError."""
    headers = scope["headers"]
    bound_headers(headers)
    require_host(headers, settings.ALLOWED_HOSTS)
    if scope["method"] != "POST":
        raise MethodNotAllowed(allow="POST")
    require_https(scope)
    require_length(headers)  # before the key: some servers take the key from a trailer


def check_form(headers: Headers) -> int:
    """Check the headers of the form, and return the length of its body. Raise ClientError."""
    require_correlation_id(headers)
    require_multipart(headers)
    return body_length(headers, settings.MAX_UPLOAD_BYTES)


def identify(image: bytes) -> tuple[str, Header]:
    """Return the SHA-256 of the image file in hex, and its header. Raise ImageError."""
    header = inspect(image, settings.IMAGE_LIMITS)
    return hashlib.sha256(image).hexdigest(), header


def recorded_digest(sha256: str) -> str:
    """Return the image's digest for the record. A public demo records none."""
    return "" if settings.PUBLIC_DEMO_KEY else sha256


async def replay_or_forward(
    scope: Any, caller: Caller, request: ImageRequest, sender: Sender, record: Record
) -> Replay | Forwarded:
    """Return the answer stored for the request's idempotency key, or else the ingress's answer."""
    turn = await acquire(scope["headers"], caller.organisation, request.image, request.options)
    if isinstance(turn, Replay):
        record.replayed = True
        return turn
    async with turn as lease:
        forwarder = forwarder_of(scope)
        forwarded = await forwarder.predict(request, sender, record.count_attempt)
        await lease.keep(forwarded.prediction)
        return forwarded


def prediction_response(prediction: Prediction, replayed: bool) -> Response:
    """Return the 200 response with the prediction as JSON."""
    # Serialized again: the ingress's bytes may hold what the parser ignored, such as a key twice.
    body = prediction.model_dump_json().encode()
    headers = [(b"idempotent-replayed", b"true")] if replayed else []
    return response_of(200, "application/json", body, headers)
