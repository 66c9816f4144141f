"""The signed-in person of a request, from its ASGI scope, outside Django's middleware."""

import io
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse
from django.middleware.csrf import CsrfViewMiddleware

from gateway.access.caller import Caller
from gateway.errors import Forbidden
from gateway.people.models import Member
from gateway.people.roles import scopes_of

_BODY_HEADERS = (b"content-type", b"content-length")


def caller_of_session(scope: Mapping[str, Any]) -> Caller | None:
    """Return the person of the request's session cookie, or None; blocking.

    Raise Forbidden where the request may be forged: without the CSRF token of Django's pages (in
    the header `X-CSRFToken`), or from a foreign origin.
    """
    request = _bodiless(scope)
    user = get_user(request)  # an anonymous user, where PeopleBackend refuses the person
    organisation = Member.objects.organisation_of(user)
    if organisation is None:
        return None
    _refuse_forgery(request)
    groups = user.groups.values_list("name", flat=True)
    return Caller(organisation, scopes_of(groups), user=user.get_username())


def _bodiless(scope: Mapping[str, Any]) -> ASGIRequest:
    """Return Django's request without its body, which has not been read."""
    headers = [(name, value) for name, value in scope["headers"] if name not in _BODY_HEADERS]
    request = ASGIRequest({**scope, "headers": headers}, io.BytesIO())
    store = import_module(settings.SESSION_ENGINE).SessionStore
    request.session = store(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    return request


def _refuse_forgery(request: ASGIRequest) -> None:
    check = CsrfViewMiddleware(HttpResponse)
    check.process_request(request)
    # Stands in for the endpoint: a view that is not exempt from the check.
    if check.process_view(request, HttpResponse, (), {}) is not None:
        raise Forbidden("The request does not come from a page of this service; load it again.")
