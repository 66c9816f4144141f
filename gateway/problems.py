from typing import Any

from django.template.loader import render_to_string

from gateway.errors import Conflict, MethodNotAllowed, TooManyRequests
from gateway.negotiation import wants_page
from pipeline.errors import LesionserveError, Unauthorized
from pipeline.schemas import Problem

MEDIA_TYPE = "application/problem+json"

# What is refused for want of room or of a part may be asked for again this soon.
RETRY_AFTER_S = 2

# The error page has the style sheet of the other pages, and one script of its own.
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)

Headers = list[tuple[bytes, bytes]]


def problem(error: LesionserveError, scope: dict[str, Any]) -> tuple[Headers, bytes]:
    """Return headers and body of the answer to an error: the one place where errors become HTTP.

    The answer is problem+json, or a page where a browser opened an address that is not the API's.
    """
    answer = Problem.of(error, scope["request_id"], scope.get("correlation_id"))
    headers, body = _page(error, answer) if wants_page(scope) else _json(answer)
    headers += [
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    return headers + _headers_of(error), body


def _json(answer: Problem) -> tuple[Headers, bytes]:
    return [(b"content-type", MEDIA_TYPE.encode())], answer.model_dump_json().encode()


def _page(error: LesionserveError, answer: Problem) -> tuple[Headers, bytes]:
    minutes = -(-error.retry_after_s // 60) if isinstance(error, TooManyRequests) else None
    page = render_to_string("error.html", {"problem": answer, "minutes": minutes})
    return [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", _PAGE_POLICY.encode()),
        (b"referrer-policy", b"same-origin"),
    ], page.encode()


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
