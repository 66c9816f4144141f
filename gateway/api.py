from typing import Any, NoReturn

from csp.constants import UNSAFE_INLINE
from csp.decorators import csp_update
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import ValidationError
from ninja.openapi.docs import Swagger
from ninja.openapi.schema import OpenAPISchema

from gateway.health import Health, Readiness
from gateway.predict.example import ANSWER
from gateway.problems import MEDIA_TYPE, problem_http_response
from gateway.query import described
from gateway.reviews.api import router as reviews
from gateway.usage.api import router as usage
from pipeline.errors import BadRequest, LesionserveError
from pipeline.http import correlation
from pipeline.schemas import Prediction, PredictOptions, Problem
from pipeline.text import one_line

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
    {"name": "feedback", "description": "What people say about answers; scope `feedback`."},
    {"name": "health", "description": "For what watches the service; needs no key."},
]


class Docs(Swagger):
    """Swagger UI on a page of our own."""

    template = "docs.html"


class DocumentedAPI(NinjaAPI):
    def get_openapi_schema(self, **arguments: Any) -> OpenAPISchema:
        """Return Ninja's document, with plain names and the media type of problem responses."""
        schema = super().get_openapi_schema(**arguments)
        schema["components"]["securitySchemes"] = {"apiKey": _API_KEY}
        schema["tags"] = _TAGS
        for operations in schema["paths"].values():
            for operation in operations.values():
                # Ninja names the security scheme after the class that checks it.
                if "security" in operation:
                    operation["security"] = [{"apiKey": []}]
                for status, response in operation["responses"].items():
                    if status >= 400:
                        content = response["content"]
                        content[MEDIA_TYPE] = content.pop("application/json")
        return schema


api = DocumentedAPI(
    title="lesionserve",
    version="1",
    description=(
        "Finds lesions in images of the cervix. Every error is `application/problem+json` "
        "(RFC 9457). The key may also be sent as `Authorization: Api-Key …`."
    ),
    docs=Docs(settings={"persistAuthorization": False}),
    # Swagger UI styles its elements inline.
    docs_decorator=csp_update({"style-src": UNSAFE_INLINE}),
)


api.add_router("", usage)
api.add_router("", reviews)


@api.exception_handler(LesionserveError)
def answer_error(request: ASGIRequest, error: LesionserveError) -> HttpResponse:
    return problem_http_response(error, request)


@api.exception_handler(ValidationError)
def answer_invalid_body(request: ASGIRequest, error: ValidationError) -> HttpResponse:
    """Return a 400 that names the first fault of a body, and nothing else of it."""
    first = error.errors[0]
    place = ".".join(map(str, first["loc"][2:])) or "the body"
    return problem_http_response(BadRequest(one_line(f"{place}: {first['msg']}.", 300)), request)


# The operations below are declared for the document only: gateway.asgi serves their paths beside
# Django, with gateway.predict.endpoint and gateway.health.


@api.post(
    "/predict/",
    response={200: Prediction, **dict.fromkeys(_REFUSALS, Problem)},
    openapi_extra={
        "parameters": [*described(PredictOptions), _IDEMPOTENCY, _CORRELATION],
        "requestBody": _UPLOAD,
        "responses": {200: {"content": {"application/json": {"example": ANSWER}}}},
        "security": [{"apiKey": []}],
    },
    operation_id="predict",
    tags=["prediction"],
    summary="Find the lesions in an image",
)
def predict(request: HttpRequest) -> NoReturn:
    """Send one image as the part `file`: JPEG, PNG, TIFF, WebP or BMP."""
    raise AssertionError("answered beside Django")


@api.get(
    "/healthz",
    response={200: Health},
    operation_id="healthz",
    tags=["health"],
    summary="Is the process up?",
)
def healthz(request: HttpRequest) -> NoReturn:
    raise AssertionError("answered beside Django")


@api.get(
    "/readyz",
    response={200: Readiness, 503: Problem},
    operation_id="readyz",
    tags=["health"],
    summary="Would an image be answered?",
)
def readyz(request: HttpRequest) -> NoReturn:
    """Return the model that is ready: a record can be written, and the ingress has a model that
    passed its golden cases.
    """
    raise AssertionError("answered beside Django")
