from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse
from django.template.loader import render_to_string
from django.utils.translation import override

from gateway.context import RequestContext, context_of, path_of
from gateway.error_page import detail_of, language_of, title_of
from gateway.errors import TooManyRequests
from gateway.frames import frame_ancestors
from gateway.responses import Response, response_of
from pipeline.errors import LesionserveError
from pipeline.schemas import Problem

MEDIA_TYPE = "application/problem+json"

# The error page uses the style sheet of the other pages and one script of its own.
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors "
)


def problem_response(error: LesionserveError, context: RequestContext) -> Response:
    """Return the response to an error. Errors become HTTP responses only here."""
    problem = Problem.of(error, context.request_id, context.correlation_id)
    body = problem.model_dump_json().encode()
    headers = [
        (name.lower().encode(), value.encode("latin-1")) for name, value in error.headers().items()
    ]
    return response_of(error.status, MEDIA_TYPE, body, headers)


def problem_http_response(error: LesionserveError, request: ASGIRequest) -> HttpResponse:
    """Return the response to an error for a Django view."""
    response = problem_response(error, context_of(request.scope))
    headers = {name.decode(): value.decode("latin-1") for name, value in response.headers}
    return HttpResponse(response.body, status=response.status, headers=headers)


def problem_page(response: Response, scope: Any) -> Response:
    """Return a problem response as an HTML page, in the language of the request."""
    problem = Problem.model_validate_json(response.body)
    headers = [
        (name, value)
        for name, value in response.headers
        if name in (b"www-authenticate", b"allow", b"retry-after")
    ]
    waits = [int(value) for name, value in headers if name == b"retry-after"]
    minutes = -(-waits[0] // 60) if response.status == TooManyRequests.status else None
    language = language_of(scope)
    with override(language):
        words = {"title": title_of(problem), "detail": detail_of(problem)}
        context = {"problem": problem, "minutes": minutes, "language": language, **words}
        page = render_to_string("error.html", context)
    headers += [
        (b"content-security-policy", (_PAGE_POLICY + frame_ancestors(path_of(scope))).encode()),
        (b"content-language", language.encode()),
        (b"referrer-policy", b"same-origin"),
    ]
    return response_of(response.status, "text/html; charset=utf-8", page.encode(), headers)
