"""The words of error pages in the reader's language; problem answers stay English, for programs."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.utils.functional import Promise
from django.utils.translation import (
    get_language,
    get_language_from_request,
    gettext,
    gettext_lazy,
)

from gateway.details import translated
from pipeline.schemas import Problem

_TITLES: Mapping[str, Promise] = {
    "bad_request": gettext_lazy("Bad request"),
    "unauthorized": gettext_lazy("Unauthorized"),
    "forbidden": gettext_lazy("Forbidden"),
    "not_found": gettext_lazy("Not found"),
    "method_not_allowed": gettext_lazy("Method not allowed"),
    "request_timeout": gettext_lazy("Request timeout"),
    "length_required": gettext_lazy("Length required"),
    "body_too_large": gettext_lazy("Body too large"),
    "too_many_requests": gettext_lazy("Too many requests"),
    "headers_too_large": gettext_lazy("Request header fields too large"),
    "internal_error": gettext_lazy("Internal error"),
    "unavailable": gettext_lazy("Service unavailable"),
    "not_ready": gettext_lazy("Service not ready"),
    "database_unavailable": gettext_lazy("Service unavailable"),
}


def language_of(scope: Any) -> str:
    """Return the language of a request as Django chooses it: by its cookie, else its browser."""
    return get_language_from_request(ASGIRequest(scope, BytesIO()))


def title_of(problem: Problem) -> str:
    """Return the title in the active language, or the problem's own where the code is unknown."""
    return str(_TITLES.get(problem.code, problem.title))


def detail_of(problem: Problem) -> str:
    """Return what the page says in the active language, "" where that has no words for it.

    Details that people meet are marked with `gettext_noop` where they are raised. The others are
    the service's own words, which only English has.
    """
    if problem.status == 404:
        return gettext("There is no page at this address.")
    if get_language() == settings.LANGUAGE_CODE:
        return problem.detail
    return translated(problem.detail) or ""
