import asyncio
from typing import Any, Literal

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.openapi.docs import Swagger
from ninja.openapi.schema import OpenAPISchema
from ninja.security import APIKeyHeader
from pydantic import BaseModel

from gateway.access.caller import Caller
from gateway.predict.example import ANSWER
from gateway.predict.idempotency import Once
from gateway.predict.upstream import Manifest
from gateway.problems import MEDIA_TYPE
from gateway.query import described, pairs
from gateway.usage.api import router as usage
from pipeline.errors import LesionserveError
from pipeline.http import correlation
from pipeline.http.multipart import read_file
from pipeline.http.query import read_query
from pipeline.image.inspect import inspect
from pipeline.schemas import Prediction, PredictOptions, Problem

_REFUSALS = (400, 401, 403, 405, 408, 409, 411, 413, 415, 422, 429, 431, 500, 502, 503, 504)

_UPLOAD = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "additionalProperties": False,
                "properties": {"file": {"type": "string", "format": "binary"}},
            }
        }
    },
}


_IDEMPOTENCY = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "sent again with the same image, brings the same answer, from one inference",
}

_CORRELATION = {
    "in": "header",
    "name": correlation.HEADER,
    "required": False,
    "schema": {
        "type": "string",
        "pattern": correlation.PATTERN,
        "maxLength": correlation.MAX_LENGTH,
    },
    "description": (
        "your own id of the case or request, a pseudonym: comes back in the answer's header and "
        "body, and is in the record"
    ),
}


_API_KEY = {
    "type": "apiKey",
    "in": "header",
    "name": "X-API-Key",
    "description": "the key that your operator gave you; `Authorization: Api-Key …` will do, too",
}

_TAGS = [
    {"name": "prediction", "description": "An image in, its lesions out."},
    {"name": "usage", "description": "What your organisation sent; needs the scope `usage:read`."},
    {"name": "health", "description": "For what watches the service; needs no key."},
]


class Health(BaseModel):
    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    status: Literal["ready"] = "ready"
    model: Manifest


class DocumentedAPI(NinjaAPI):
    def get_openapi_schema(self, **arguments: Any) -> OpenAPISchema:
        """Return Ninja's document with plain names, and errors under their own media type."""
        schema = super().get_openapi_schema(**arguments)
        schema["components"]["securitySchemes"] = {"apiKey": _API_KEY}
        schema["tags"] = _TAGS
        for operations in schema["paths"].values():
            for operation in operations.values():
                if "security" in operation:  # Ninja names the scheme by the class that checks it
                    operation["security"] = [{"apiKey": []}]
                for status, response in operation["responses"].items():
                    if status >= 400:
                        content = response["content"]
                        content[MEDIA_TYPE] = content.pop("application/json")
        return schema


class Admitted(APIKeyHeader):
    """Whoever the door let in; it has authenticated them."""

    param_name = "X-API-Key"

    async def authenticate(self, request: HttpRequest, key: str | None) -> Caller | None:
        return request.scope.get("caller")


api = DocumentedAPI(
    title="lesionserve",
    version="1",
    description=(
        "Finds lesions in images of the cervix. Every error is `application/problem+json` "
        "(RFC 9457). The key may also be sent as `Authorization: Api-Key …`."
    ),
    docs=Swagger(settings={"persistAuthorization": False}),
)


api.add_router("", usage)


@api.exception_handler(LesionserveError)
def tell(request: HttpRequest, error: LesionserveError) -> HttpResponse:
    """Leaves the error for the reply, which makes the answer of it."""
    request.scope["error"] = error
    return HttpResponse(status=error.status)


@api.post(
    "/predict/",
    auth=Admitted(),
    response={200: Prediction, **dict.fromkeys(_REFUSALS, Problem)},
    openapi_extra={
        "parameters": [*described(PredictOptions), _IDEMPOTENCY, _CORRELATION],
        "requestBody": _UPLOAD,
        "responses": {200: {"content": {"application/json": {"example": ANSWER}}}},
    },
    operation_id="predict",
    tags=["prediction"],
    summary="Find the lesions in an image",
)
async def predict(request: HttpRequest) -> HttpResponse:
    """Send one image as the part `file`: JPEG, PNG, TIFF, WebP or BMP."""
    scope, record = request.scope, request.scope["record"]
    options = read_query(pairs(request.GET), PredictOptions)
    record.note_options(options)
    image = read_file(request.headers["Content-Type"], request.read())
    header = await asyncio.to_thread(inspect, image, settings.IMAGE_LIMITS)
    record.note_image(len(image), header)

    async def ask() -> Prediction:
        upstream, id_ = scope["state"]["upstream"], scope["request_id"]
        return await upstream.predict(
            image, header, options, id_, record.note_attempt, scope["correlation_id"]
        )

    once = Once.of(scope["headers"], scope["caller"].organisation, image, options)
    if once is None:
        prediction = await ask()
    else:
        prediction, record.replayed = await once.answer(ask)
    record.note_prediction(prediction)
    # Written anew: what came may hold more than was read of it, such as a key twice.
    body = prediction.model_dump_json().encode()
    headers = {
        "Cache-Control": "no-store",
        "Content-Length": str(len(body)),
        "X-Content-Type-Options": "nosniff",
    }
    if record.replayed:
        headers["Idempotent-Replayed"] = "true"
    return HttpResponse(body, content_type="application/json", headers=headers)


@api.get(
    "/healthz",
    response={200: Health},
    operation_id="healthz",
    tags=["health"],
    summary="Is the process up?",
)
async def healthz(request: HttpRequest) -> Health:
    return Health()


@api.get(
    "/readyz",
    response={200: Readiness, 503: Problem},
    operation_id="readyz",
    tags=["health"],
    summary="Would an image be answered?",
)
async def readyz(request: HttpRequest) -> Readiness:
    """Ready: a record can be written, and upstream has a loaded model that passed its check."""
    await request.scope["state"]["require_writable"]()
    return Readiness(model=await request.scope["state"]["upstream"].ready())
