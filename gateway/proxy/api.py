import asyncio
from typing import Any, Literal

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.openapi.docs import Swagger
from ninja.openapi.schema import OpenAPISchema
from ninja.security import APIKeyHeader
from pydantic import BaseModel

from gateway.database import in_database, ping
from gateway.keys.models import ApiKey
from gateway.proxy.options import read_options
from gateway.proxy.problems import MEDIA_TYPE
from gateway.proxy.upload import read_upload
from gateway.proxy.upstream import Manifest
from pipeline.decode import inspect
from pipeline.errors import LesionserveError
from pipeline.schemas import Prediction, PredictOptions, Problem

_REFUSALS = (400, 401, 405, 411, 413, 415, 422, 500, 502, 503, 504)

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


class Health(BaseModel):
    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    status: Literal["ready"] = "ready"
    model: Manifest


class DocumentedAPI(NinjaAPI):
    def get_openapi_schema(self, **arguments: Any) -> OpenAPISchema:
        """Ninja's own document, with errors under the media type they are sent with."""
        schema = super().get_openapi_schema(**arguments)
        for operations in schema["paths"].values():
            for operation in operations.values():
                for status, response in operation["responses"].items():
                    if status >= 400:
                        content = response["content"]
                        content[MEDIA_TYPE] = content.pop("application/json")
        return schema


class AdmittedKey(APIKeyHeader):
    """The key by which the door let the request in; it has been verified there."""

    param_name = "X-API-Key"

    async def authenticate(self, request: HttpRequest, key: str | None) -> ApiKey | None:
        return request.scope.get("key")


api = DocumentedAPI(
    title="lesionserve",
    version="1",
    description=(
        "Finds lesions in images of the cervix. Every error is `application/problem+json` "
        "(RFC 9457). The key may also be sent as `Authorization: Api-Key …`."
    ),
    docs=Swagger(settings={"persistAuthorization": False}),
)


@api.exception_handler(LesionserveError)
def tell(request: HttpRequest, error: LesionserveError) -> HttpResponse:
    """Leaves the error for the reply, which makes the answer of it."""
    request.scope["error"] = error
    return HttpResponse(status=error.status)


def _query_parameters() -> list[dict[str, Any]]:
    properties = PredictOptions.model_json_schema()["properties"]
    return [
        {"in": "query", "name": name, "required": False, "schema": schema}
        for name, schema in properties.items()
    ]


@api.post(
    "/predict/",
    auth=AdmittedKey(),
    response={200: Prediction, **dict.fromkeys(_REFUSALS, Problem)},
    openapi_extra={"parameters": _query_parameters(), "requestBody": _UPLOAD},
    summary="Find the lesions in an image",
)
async def predict(request: HttpRequest) -> HttpResponse:
    """Send one image as the part `file`: JPEG, PNG, TIFF, WebP or BMP."""
    request.get_host()  # refuses a host that is none of ours; no middleware does it here
    record = request.scope["record"]
    options = read_options(request.GET)
    image = read_upload(request.headers["Content-Type"], request.read())
    info = await asyncio.to_thread(inspect, image, settings.IMAGE_LIMITS)
    record.note_image(len(image), info)
    record.attempts = 1
    upstream = request.scope["state"]["upstream"]
    answer = await upstream.predict(image, info, options, request.scope["request_id"])
    record.note_prediction(answer.prediction)
    return HttpResponse(
        answer.body,
        content_type="application/json",
        headers={
            "Cache-Control": "no-store",
            "Content-Length": str(len(answer.body)),
            "X-Content-Type-Options": "nosniff",
        },
    )


@api.get("/healthz", response={200: Health}, summary="Is the process up?")
async def healthz(request: HttpRequest) -> Health:
    return Health()


@api.get("/readyz", response={200: Readiness, 503: Problem}, summary="Would an image be answered?")
async def readyz(request: HttpRequest) -> Readiness:
    """Ready: the database answers, and upstream has a model loaded that passed its self-check."""
    await in_database(ping)
    return Readiness(model=await request.scope["state"]["upstream"].ready())
