from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from gateway.context import Headers, RequestContext, context_of
from gateway.errors import Conflict, MethodNotAllowed, TooManyRequests
from gateway.responses import Response, response_of
from pipeline.errors import LesionserveError, Unauthorized
from pipeline.schemas import Problem

MEDIA_TYPE = "application/problem+json"

# A request that met no free slot, or another of its idempotency key, may be sent again this soon.
RETRY_AFTER_S = 2

# The error page has the style sheet of the other pages, and one script of its own.
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)


def problem_response(error: LesionserveError, context: RequestContext) -> Response:
    """Return the answer to an error: the one place where errors become HTTP."""
    problem = Problem.of(error, context.request_id, context.correlation_id)
    body = problem.model_dump_json().encode()
    return response_of(error.status, MEDIA_TYPE, body, _headers_of(error))


def problem_http_response(error: LesionserveError, request: HttpRequest) -> HttpResponse:
    """Return the same answer for a view of Django's."""
    response = problem_response(error, context_of(request.scope))
    headers = {name.decode(): value.decode("latin-1") for name, value in response.headers}
    return HttpResponse(response.body, status=response.status, headers=headers)


def problem_page(response: Response) -> Response:
    """Return a problem response as the page that a browser shows."""
    problem = Problem.model_validate_json(response.body)
    headers = [
        (name, value)
        for name, value in response.headers
        if name in (b"www-authenticate", b"allow", b"retry-after")
    ]
    waits = [int(value) for name, value in headers if name == b"retry-after"]
    minutes = -(-waits[0] // 60) if response.status == TooManyRequests.status else None
    page = render_to_string("error.html", {"problem": problem, "minutes": minutes})
    headers += [
        (b"content-security-policy", _PAGE_POLICY.encode()),
        (b"referrer-policy", b"same-origin"),
    ]
    return response_of(response.status, "text/html; charset=utf-8", page.encode(), headers)


def _headers_of(error: LesionserveError) -> Headers:
    if isinstance(error, Unauthorized):
        return [(b"www-authenticate", b'Api-Key realm="lesionserve"')]
    if isinstance(error, MethodNotAllowed):
        return [(b"allow", error.allow.encode("latin-1"))]
    if isinstance(error, TooManyRequests):
        return [(b"retry-after", str(error.retry_after_s).encode())]
    if isinstance(error, Conflict) or error.status == 503:
        return [(b"retry-after", str(RETRY_AFTER_S).encode())]
    return []
